// Facts about element types.
#pragma once

#include <cstddef>
#include <cstdint>

#include "glq/base.h"

namespace glq {

// A set of element types: one bit each.
using DtypeSet = uint32_t;

inline constexpr glq_dtype kDtypes[] = {GLQ_DTYPE_I8,  GLQ_DTYPE_I16, GLQ_DTYPE_I32, GLQ_DTYPE_I64, GLQ_DTYPE_U8,
                                        GLQ_DTYPE_U16, GLQ_DTYPE_F16, GLQ_DTYPE_F32, GLQ_DTYPE_F64, GLQ_DTYPE_BF16};
inline constexpr const char* kDtypeNames[] = {"I8", "I16", "I32", "I64", "U8", "U16", "F16", "F32", "F64", "BF16"};
inline constexpr int kNumDtypes = sizeof(kDtypes) / sizeof(kDtypes[0]);

// 0 for a type that the library does not know.
constexpr DtypeSet DtypeBit(glq_dtype dtype) {
  for (int i = 0; i < kNumDtypes; ++i) {
    if (kDtypes[i] == dtype) return 1u << i;
  }
  return 0;
}

// Bytes of an element of a known type.
constexpr int64_t DtypeSize(glq_dtype dtype) { return (dtype >> 8 & 255) / 8; }

inline constexpr DtypeSet kAnyDtype = (1u << kNumDtypes) - 1;
inline constexpr DtypeSet kFloats = DtypeBit(GLQ_DTYPE_F16) | DtypeBit(GLQ_DTYPE_BF16) | DtypeBit(GLQ_DTYPE_F32);

}  // namespace glq
