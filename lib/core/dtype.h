// Facts about element types.
#pragma once

#include <cstddef>
#include <cstdint>

#include "glq/base.h"

namespace glq {

// A set of element types: one bit each.
using DtypeSet = uint32_t;

// Names by bit.
inline constexpr const char* kDtypeNames[] = {"I8", "I16", "I32", "I64", "U8", "U16", "F16", "F32", "F64", "BF16"};
inline constexpr int kNumDtypes = sizeof(kDtypeNames) / sizeof(kDtypeNames[0]);

// 0 for a type that the library does not know. A switch, as every call goes through here several times.
constexpr DtypeSet DtypeBit(glq_dtype dtype) {
  switch (dtype) {
    case GLQ_DTYPE_I8:
      return 1 << 0;
    case GLQ_DTYPE_I16:
      return 1 << 1;
    case GLQ_DTYPE_I32:
      return 1 << 2;
    case GLQ_DTYPE_I64:
      return 1 << 3;
    case GLQ_DTYPE_U8:
      return 1 << 4;
    case GLQ_DTYPE_U16:
      return 1 << 5;
    case GLQ_DTYPE_F16:
      return 1 << 6;
    case GLQ_DTYPE_F32:
      return 1 << 7;
    case GLQ_DTYPE_F64:
      return 1 << 8;
    case GLQ_DTYPE_BF16:
      return 1 << 9;
    default:
      return 0;
  }
}

// Bytes of an element of a known type.
constexpr int64_t DtypeSize(glq_dtype dtype) { return (dtype >> 8 & 255) / 8; }

inline constexpr DtypeSet kAnyDtype = (1u << kNumDtypes) - 1;
inline constexpr DtypeSet kFloats = DtypeBit(GLQ_DTYPE_F16) | DtypeBit(GLQ_DTYPE_BF16) | DtypeBit(GLQ_DTYPE_F32);

}  // namespace glq
