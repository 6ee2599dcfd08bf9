#include "quantizer/matrix_view.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace glq::quantizer {
namespace {

template <typename T>
void Convert(const void* data, int64_t offset, int64_t n, double* out) {
  const T* in = static_cast<const T*>(data) + offset;
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(static_cast<float>(in[i]));
}

template <>
void Convert<double>(const void* data, int64_t offset, int64_t n, double* out) {
  const double* in = static_cast<const double*>(data) + offset;
  for (int64_t i = 0; i < n; ++i) out[i] = in[i];
}

}  // namespace

void LoadRow(const MatrixView& m, int64_t row, int64_t col, int64_t n, double* out) {
  const int64_t offset = row * m.stride + col;
  switch (m.dtype) {
    case GLQ_DTYPE_F16:
      return Convert<Eigen::half>(m.data, offset, n, out);
    case GLQ_DTYPE_BF16:
      return Convert<Eigen::bfloat16>(m.data, offset, n, out);
    case GLQ_DTYPE_F32:
      return Convert<float>(m.data, offset, n, out);
    default:
      return Convert<double>(m.data, offset, n, out);
  }
}

int64_t FirstNotFinite(const double* values, int64_t n) {
  // One pass that vectorises; the position is looked for only when there is one.
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += values[i] * 0.0;
  if (sum == 0) return -1;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) return i;
  }
  return -1;
}

double LargestMagnitude(const double* values, int64_t n) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(values[i]));
  return largest;
}

void CheckView(const MatrixView& m, const char* name, int64_t rows, int64_t cols) {
  if (m.dtype != GLQ_DTYPE_F16 && m.dtype != GLQ_DTYPE_BF16 && m.dtype != GLQ_DTYPE_F32 && m.dtype != GLQ_DTYPE_F64) {
    Fail(GLQ_E_DTYPE, "%s has data type 0x%08x; expected F16, BF16, F32 or F64", name, static_cast<unsigned>(m.dtype));
  }
  if (m.cols != cols || (rows >= 0 && m.rows != rows) || m.rows < 0) {
    if (rows >= 0) {
      Fail(GLQ_E_SHAPE, "%s is [%lld, %lld]; expected [%lld, %lld]", name, static_cast<long long>(m.rows),
           static_cast<long long>(m.cols), static_cast<long long>(rows), static_cast<long long>(cols));
    }
    Fail(GLQ_E_SHAPE, "%s is [%lld, %lld]; expected %lld columns", name, static_cast<long long>(m.rows),
         static_cast<long long>(m.cols), static_cast<long long>(cols));
  }
  if (m.stride < m.cols) {
    Fail(GLQ_E_LAYOUT, "%s has a row stride of %lld; expected at least %lld", name, static_cast<long long>(m.stride),
         static_cast<long long>(m.cols));
  }
  if (m.data == nullptr && m.rows > 0 && m.cols > 0) Fail(GLQ_E_INVALID_ARGUMENT, "%s is null", name);
}

}  // namespace glq::quantizer
