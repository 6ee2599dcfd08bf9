// DLPack 1.x as another framework would lay it out, written down apart from the library's own.
#pragma once

#include <vector>

#include "api/fixture.h"

namespace glq::test {

struct Dlpack {
  uint32_t version_major, version_minor;
  void* manager;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
static_assert(sizeof(Dlpack) == 80);

// An array that a producer hands out; counts how often it is deleted.
struct DlpackArray {
  explicit DlpackArray(Array& array) : shape(array.shape()) {
    const glq_view v = array.view();
    strides.assign(v.strides, v.strides + v.ndim);
    managed = {1,
               3,
               this,
               [](DLManagedTensorVersioned* self) {
                 ++static_cast<DlpackArray*>(reinterpret_cast<Dlpack*>(self)->manager)->deleted;
               },
               0,
               v.data,
               1,
               0,
               v.ndim,
               static_cast<uint8_t>(v.dtype & 255),
               static_cast<uint8_t>(v.dtype >> 8 & 255),
               static_cast<uint16_t>(v.dtype >> 16),
               shape.data(),
               strides.data(),
               0};
  }
  DLManagedTensorVersioned* get() { return reinterpret_cast<DLManagedTensorVersioned*>(&managed); }
  std::vector<int64_t> shape, strides;
  Dlpack managed;
  int deleted = 0;
};

}  // namespace glq::test
