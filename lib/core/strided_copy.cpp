#include "core/strided_copy.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/dtype.h"

namespace glq {
namespace {

struct Dim {
  int64_t n, from, to;  // extent and strides in bytes
};

template <size_t kSize>
void CopyRow(const std::byte* from, std::byte* to, const Dim& d) {
  for (int64_t i = 0; i < d.n; ++i) std::memcpy(to + i * d.to, from + i * d.from, kSize);
}

void Copy(const std::byte* from, std::byte* to, const Dim* dims, int ndim, int64_t size) {
  if (ndim > 1) {
    for (int64_t i = 0; i < dims->n; ++i) Copy(from + i * dims->from, to + i * dims->to, dims + 1, ndim - 1, size);
    return;
  }
  const Dim& d = *dims;
  if (d.from == size && d.to == size) {
    std::memcpy(to, from, static_cast<size_t>(d.n * size));
    return;
  }
  switch (size) {
    case 1:
      return CopyRow<1>(from, to, d);
    case 2:
      return CopyRow<2>(from, to, d);
    case 4:
      return CopyRow<4>(from, to, d);
    default:
      return CopyRow<8>(from, to, d);
  }
}

}  // namespace

void CopyOnHost(const glq_view& source, const glq_view& destination) {
  const int64_t size = DtypeSize(source.dtype);
  Dim dims[GLQ_MAX_NDIM];
  int ndim = 0;
  for (int i = 0; i < source.ndim; ++i) {
    if (source.shape[i] == 0) return;
    if (source.shape[i] == 1) continue;
    const Dim d{source.shape[i], source.strides[i] * size, destination.strides[i] * size};
    // A dimension that continues the one before it becomes part of it: longer runs.
    if (ndim > 0 && dims[ndim - 1].from == d.n * d.from && dims[ndim - 1].to == d.n * d.to) {
      dims[ndim - 1] = {dims[ndim - 1].n * d.n, d.from, d.to};
    } else {
      dims[ndim++] = d;
    }
  }
  if (ndim == 0) dims[ndim++] = {1, size, size};
  Copy(static_cast<const std::byte*>(source.data), static_cast<std::byte*>(destination.data), dims, ndim, size);
}

}  // namespace glq
