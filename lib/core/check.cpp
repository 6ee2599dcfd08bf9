#include "core/check.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace glq {
namespace {

struct Text {
  char chars[96];
};

Text DeviceText(const glq_device& device) {
  Text text;
  if (device.type == GLQ_DEVICE_CPU && device.index == 0) {
    std::snprintf(text.chars, sizeof(text.chars), "cpu");
  } else if (device.type == GLQ_DEVICE_CUDA) {
    std::snprintf(text.chars, sizeof(text.chars), "cuda:%d", device.index);
  } else {
    std::snprintf(text.chars, sizeof(text.chars), "{type %d, index %d}", device.type, device.index);
  }
  return text;
}

Text DtypeText(glq_dtype dtype) {
  Text text;
  std::snprintf(text.chars, sizeof(text.chars), "0x%08x", dtype);
  for (int i = 0; i < kNumDtypes; ++i) {
    if (DtypeBit(dtype) >> i & 1) std::snprintf(text.chars, sizeof(text.chars), "%s", kDtypeNames[i]);
  }
  return text;
}

Text SetText(DtypeSet set) {
  Text text{};
  size_t used = 0;
  for (int i = 0; i < kNumDtypes && used < sizeof(text.chars); ++i) {
    if (!(set >> i & 1)) continue;
    const int n = std::snprintf(text.chars + used, sizeof(text.chars) - used, "%s%s", used ? ", " : "", kDtypeNames[i]);
    used += static_cast<size_t>(n);
  }
  return text;
}

uint64_t Magnitude(int64_t n) { return n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n); }

// Span of the elements in bytes, from the lowest to behind the highest, relative to the first
// element; false if it cannot be represented.
bool Span(const glq_view& view, int64_t& low, int64_t& high) {
  const int64_t size = DtypeSize(view.dtype);
  low = 0, high = size;
  for (int i = 0; i < view.ndim; ++i) {
    int64_t reach;
    if (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &reach) ||
        __builtin_mul_overflow(reach, size, &reach) ||
        __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high)) {
      return false;
    }
  }
  if (low == INT64_MIN) return false;
  const auto data = reinterpret_cast<uintptr_t>(view.data);
  return static_cast<uintptr_t>(-low) <= data && data + static_cast<uintptr_t>(high) >= data;
}

bool IsEmpty(const glq_view& view) {
  return std::any_of(view.shape, view.shape + view.ndim, [](int64_t n) { return n == 0; });
}

Range RangeOfMatrix(const Matrix& m) {
  const int64_t size = DtypeSize(m.dtype);
  const auto begin = reinterpret_cast<uintptr_t>(m.data);
  if (m.rows == 0 || m.cols == 0) return {begin, begin, 0, 0};
  const int64_t bytes = ((m.rows - 1) * m.stride + m.cols) * size;
  return {begin, begin + static_cast<uintptr_t>(bytes), m.stride * size, m.cols * size};
}

}  // namespace

void FailArg(glq_status status, const ArgName& name, const char* format, ...) {
  char text[1024];
  const int n = name.index < 0 ? std::snprintf(text, sizeof(text), "%s", name.head)
                               : std::snprintf(text, sizeof(text), "%s[%d]%s", name.head, name.index, name.tail);
  const auto used = std::min(sizeof(text) - 1, static_cast<size_t>(std::max(0, n)));
  va_list args;
  va_start(args, format);
  std::vsnprintf(text + used, sizeof(text) - used, format, args);
  va_end(args);
  throw Error(status, text);
}

bool Overlap(const Range& a, const Range& b) {
  if (a.begin == a.end || b.begin == b.end || a.end <= b.begin || b.end <= a.begin) return false;
  // Column slices of one buffer: equal strides, and in each row b lies beside a.
  if (a.stride != b.stride || a.stride <= 0) return true;
  const auto stride = static_cast<uintptr_t>(a.stride);
  const uintptr_t offset =
      b.begin >= a.begin ? (b.begin - a.begin) % stride : (stride - (a.begin - b.begin) % stride) % stride;
  return !(offset >= static_cast<uintptr_t>(a.width) && offset + static_cast<uintptr_t>(b.width) <= stride);
}

void CheckView(const ArgName& name, const glq_view* view, Alignment alignment) {
  CheckNotNull(name, view);
  const glq_view& v = *view;
  if (v.ndim < 0 || v.ndim > GLQ_MAX_NDIM) {
    FailArg(GLQ_E_SHAPE, name, ".ndim = %d, expected 0 to %d", v.ndim, GLQ_MAX_NDIM);
  }
  if (DtypeBit(v.dtype) == 0) {
    FailArg(GLQ_E_DTYPE, name, ".dtype = %s, expected one of %s", DtypeText(v.dtype).chars, SetText(kAnyDtype).chars);
  }
  if (v.flags & ~uint32_t{GLQ_VIEW_READ_ONLY}) {
    FailArg(GLQ_E_INVALID_ARGUMENT, name, ".flags = 0x%x, expected no bits but 0x%x", v.flags,
            uint32_t{GLQ_VIEW_READ_ONLY});
  }
  if (v.reserved != 0) FailArg(GLQ_E_INVALID_ARGUMENT, name, ".reserved = %u, expected 0", v.reserved);
  if (v.device.type != GLQ_DEVICE_CPU && v.device.type != GLQ_DEVICE_CUDA) {
    FailArg(GLQ_E_INVALID_ARGUMENT, name, ".device.type = %d, expected %d (CPU) or %d (CUDA)", v.device.type,
            GLQ_DEVICE_CPU, GLQ_DEVICE_CUDA);
  }
  if (v.device.index < 0 || (v.device.type == GLQ_DEVICE_CPU && v.device.index != 0)) {
    FailArg(GLQ_E_INVALID_ARGUMENT, name, ".device.index = %d, expected %s", v.device.index,
            v.device.type == GLQ_DEVICE_CPU ? "0" : "at least 0");
  }
  int64_t elements = DtypeSize(v.dtype);
  for (int i = 0; i < v.ndim; ++i) {
    if (v.shape[i] < 0) FailArg(GLQ_E_SHAPE, name, ".shape[%d] = %" PRId64 ", expected at least 0", i, v.shape[i]);
  }
  if (IsEmpty(v)) return;
  for (int i = 0; i < v.ndim; ++i) {
    if (__builtin_mul_overflow(elements, v.shape[i], &elements)) {
      FailArg(GLQ_E_SHAPE, name, ".shape[%d] = %" PRId64 ", expected fewer than 2^63 bytes in all", i, v.shape[i]);
    }
  }
  if (!v.data) FailArg(GLQ_E_INVALID_ARGUMENT, name, ".data = NULL, expected memory for %" PRId64 " bytes", elements);
  int64_t low, high;
  if (!Span(v, low, high)) {
    int widest = 0;
    for (int i = 1; i < v.ndim; ++i) {
      if (v.shape[i] > 1 && Magnitude(v.strides[i]) > Magnitude(v.strides[widest])) widest = i;
    }
    FailArg(GLQ_E_LAYOUT, name, ".strides[%d] = %" PRId64 ", expected an extent in bytes that fits the address space",
            widest, v.strides[widest]);
  }
  const auto address = reinterpret_cast<uintptr_t>(v.data);
  if (alignment == Alignment::kElement && address % static_cast<uintptr_t>(DtypeSize(v.dtype)) != 0) {
    FailArg(GLQ_E_ALIGNMENT, name, ".data = %p, expected a multiple of %" PRId64 " bytes (%s)", v.data,
            DtypeSize(v.dtype), DtypeText(v.dtype).chars);
  }
}

namespace {

void CheckDtypeOf(const ArgName& name, const char* field, glq_dtype dtype, DtypeSet accepted) {
  if (DtypeBit(dtype) & accepted) return;
  const bool one = (accepted & (accepted - 1)) == 0;
  FailArg(GLQ_E_DTYPE, name, "%s = %s, expected %s%s", field, DtypeText(dtype).chars, one ? "" : "one of ",
          SetText(accepted).chars);
}

}  // namespace

void CheckDtype(const ArgName& name, const glq_view& view, DtypeSet accepted) {
  CheckDtypeOf(name, ".dtype", view.dtype, accepted);
}
void CheckDtype(const ArgName& name, glq_dtype dtype, DtypeSet accepted) { CheckDtypeOf(name, "", dtype, accepted); }

void CheckDevice(const ArgName& name, const glq_view& view, const glq_device& device, bool or_host) {
  if (view.device.type == device.type && view.device.index == device.index) return;
  if (or_host && view.device.type == GLQ_DEVICE_CPU && view.device.index == 0) return;
  FailArg(GLQ_E_DEVICE_MISMATCH, name, ".device = %s, expected %s%s", DeviceText(view.device).chars,
          DeviceText(device).chars, or_host && device.type != GLQ_DEVICE_CPU ? " or cpu" : "");
}

void CheckWritable(const ArgName& name, const glq_view& view) {
  if (view.flags & GLQ_VIEW_READ_ONLY) {
    FailArg(GLQ_E_INVALID_ARGUMENT, name, ".flags = %u (GLQ_VIEW_READ_ONLY), expected 0 for an output", view.flags);
  }
}

int64_t NumElements(const glq_view& view) {
  if (IsEmpty(view)) return 0;
  int64_t n = 1;
  for (int i = 0; i < view.ndim; ++i) n *= view.shape[i];
  return n;
}

bool IsCompact(const glq_view& view) {
  if (IsEmpty(view)) return true;
  int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    if (view.shape[i] > 1 && view.strides[i] != stride) return false;
    stride *= view.shape[i];
  }
  return true;
}

void CheckCompact(const ArgName& name, const glq_view& view) {
  if (IsCompact(view)) return;
  int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    if (view.shape[i] > 1 && view.strides[i] != stride) {
      FailArg(GLQ_E_LAYOUT, name, ".strides[%d] = %" PRId64 ", expected %" PRId64 " (compact)", i, view.strides[i],
              stride);
    }
    stride *= view.shape[i];
  }
}

void CheckNoSelfOverlap(const ArgName& name, const glq_view& view) {
  if (IsEmpty(view)) return;
  // From the smallest stride to the largest, each must step over all that the smaller ones reach.
  uint64_t reach = 0;
  bool done[GLQ_MAX_NDIM] = {};
  for (;;) {
    int next = -1;
    for (int i = 0; i < view.ndim; ++i) {
      if (done[i] || view.shape[i] == 1) continue;
      if (next < 0 || Magnitude(view.strides[i]) < Magnitude(view.strides[next])) next = i;
    }
    if (next < 0) return;
    const uint64_t stride = Magnitude(view.strides[next]);
    if (stride <= reach) {
      FailArg(GLQ_E_LAYOUT, name, ".strides[%d] = %" PRId64 ", expected more than %" PRIu64 " (elements overlap)", next,
              view.strides[next], reach);
    }
    reach += static_cast<uint64_t>(view.shape[next] - 1) * stride;
    done[next] = true;
  }
}

void CheckShape(const ArgName& name, const glq_view& view, const Extent* extents, int n) {
  if (view.ndim != n) FailArg(GLQ_E_SHAPE, name, ".ndim = %d, expected %d", view.ndim, n);
  for (int i = 0; i < n; ++i) {
    if (extents[i].value >= 0 && view.shape[i] != extents[i].value) {
      FailArg(GLQ_E_SHAPE, name, ".shape[%d] = %" PRId64 ", expected %s = %" PRId64, i, view.shape[i], extents[i].what,
              extents[i].value);
    }
  }
}

Range RangeOf(const glq_view& view) {
  const auto data = reinterpret_cast<uintptr_t>(view.data);
  if (IsEmpty(view)) return {data, data, 0, 0};
  int64_t low, high;
  static_cast<void>(Span(view, low, high));
  const uintptr_t begin = data - static_cast<uintptr_t>(-low), end = data + static_cast<uintptr_t>(high);
  // The stride of a single row may be anything.
  if (view.ndim == 2 && view.shape[0] > 1 && view.strides[0] > 0 && (view.shape[1] == 1 || view.strides[1] == 1)) {
    return {begin, end, view.strides[0] * DtypeSize(view.dtype), view.shape[1] * DtypeSize(view.dtype)};
  }
  return {begin, end, 0, 0};
}

MatrixArg CheckMatrix(const ArgName& name, const glq_view* view, const glq_device& device, Access access,
                      DtypeSet accepted, Extent rows, Extent cols, Alignment alignment) {
  CheckView(name, view, alignment);
  const glq_view& v = *view;
  CheckDtype(name, v, accepted);
  if (v.ndim != 1 && v.ndim != 2) FailArg(GLQ_E_SHAPE, name, ".ndim = %d, expected 1 or 2", v.ndim);
  const int c = v.ndim - 1;
  Matrix m{v.data, v.dtype, v.ndim == 2 ? v.shape[0] : 1, v.shape[c], v.shape[c]};
  if (cols.value >= 0 && m.cols != cols.value) {
    FailArg(GLQ_E_SHAPE, name, ".shape[%d] = %" PRId64 ", expected %s = %" PRId64, c, m.cols, cols.what, cols.value);
  }
  if (rows.value >= 0 && m.rows != rows.value) {
    if (v.ndim == 1) {
      FailArg(GLQ_E_SHAPE, name, ".ndim = 1 (one row), expected %s = %" PRId64 " rows", rows.what, rows.value);
    }
    FailArg(GLQ_E_SHAPE, name, ".shape[0] = %" PRId64 ", expected %s = %" PRId64, m.rows, rows.what, rows.value);
  }
  if (m.rows > kMaxTokens) {
    FailArg(GLQ_E_SHAPE, name, ".shape[0] = %" PRId64 ", expected at most %" PRId64, m.rows, kMaxTokens);
  }
  if (m.rows > 0 && m.cols > 1 && v.strides[c] != 1) {
    FailArg(GLQ_E_LAYOUT, name, ".strides[%d] = %" PRId64 ", expected 1", c, v.strides[c]);
  }
  if (m.rows > 1 && m.cols > 0) {
    if (v.strides[0] < m.cols) {
      FailArg(GLQ_E_LAYOUT, name, ".strides[0] = %" PRId64 ", expected at least shape[1] = %" PRId64, v.strides[0],
              m.cols);
    }
    m.stride = v.strides[0];
  }
  CheckDevice(name, v, device, false);
  if (access == Access::kWrite) CheckWritable(name, v);
  return {m, RangeOfMatrix(m)};
}

void CheckDisjoint(const ArgName& output, const Range& a, const ArgName& other, const Range& b) {
  if (!Overlap(a, b)) return;
  char text[64];
  std::snprintf(text, sizeof(text), other.index < 0 ? "%s" : "%s[%d]%s", other.head, other.index, other.tail);
  FailArg(GLQ_E_ALIASING, output, " = [0x%" PRIxPTR ", 0x%" PRIxPTR ") overlaps %s = [0x%" PRIxPTR ", 0x%" PRIxPTR ")",
          a.begin, a.end, text, b.begin, b.end);
}

WorkspaceArg CheckWorkspace(const glq_workspace* workspace, size_t needed) {
  if (needed == 0) return {nullptr, {0, 0, 0, 0}};
  if (!workspace) Fail(GLQ_E_WORKSPACE_TOO_SMALL, "workspace = NULL, needed %zu bytes", needed);
  if (workspace->bytes < needed) {
    Fail(GLQ_E_WORKSPACE_TOO_SMALL, "workspace.bytes = %zu, needed %zu", workspace->bytes, needed);
  }
  if (!workspace->data) Fail(GLQ_E_INVALID_ARGUMENT, "workspace.data = NULL, expected %zu bytes", workspace->bytes);
  const auto begin = reinterpret_cast<uintptr_t>(workspace->data);
  if (begin % GLQ_WORKSPACE_ALIGNMENT != 0) {
    Fail(GLQ_E_ALIGNMENT, "workspace.data = %p, expected a multiple of %d bytes", workspace->data,
         GLQ_WORKSPACE_ALIGNMENT);
  }
  if (begin + workspace->bytes < begin) {
    Fail(GLQ_E_INVALID_ARGUMENT, "workspace.bytes = %zu, expected an extent that fits the address space",
         workspace->bytes);
  }
  return {workspace->data, {begin, begin + workspace->bytes, 0, 0}};
}

void CheckMaxTokens(int64_t max_tokens) {
  if (max_tokens < 0 || max_tokens > kMaxTokens) {
    Fail(GLQ_E_INVALID_ARGUMENT, "max_tokens = %" PRId64 ", expected 0 to %" PRId64, max_tokens, kMaxTokens);
  }
}

void CheckNotNull(const ArgName& name, const void* pointer) {
  if (!pointer) FailArg(GLQ_E_INVALID_ARGUMENT, name, " = NULL, expected a pointer");
}

}  // namespace glq
