// DLPack's structs, laid out as its specification of version 1 says. Consumers know them by these
// bytes; the names matter to nobody but this library, except that of the outer struct.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glq::dlpack {

struct Version {
  uint32_t major, minor;
};

struct Device {
  int32_t type, id;
};
inline constexpr int32_t kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;

struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: compact, row-major
  uint64_t byte_offset;
};

inline constexpr uint32_t kMajor = 1, kMinor = 0;
inline constexpr uint64_t kReadOnly = 1;  // bit of DLManagedTensorVersioned::flags

}  // namespace glq::dlpack

struct DLManagedTensorVersioned {
  glq::dlpack::Version version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  uint64_t flags;
  glq::dlpack::Tensor dl_tensor;
};

static_assert(sizeof(glq::dlpack::Tensor) == 48 && offsetof(glq::dlpack::Tensor, shape) == 24);
static_assert(sizeof(DLManagedTensorVersioned) == 80 && offsetof(DLManagedTensorVersioned, dl_tensor) == 32);
