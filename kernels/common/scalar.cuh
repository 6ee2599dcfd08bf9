// Loads and stores of fp16, bf16 and fp32 elements through fp32, with canonical NaNs.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "common/scalar_type.h"

namespace glq {

__device__ __forceinline__ float LoadScalar(const void* p, Scalar type, int64_t i) {
  switch (type) {
    case Scalar::kF16:
      return __half2float(static_cast<const __half*>(p)[i]);
    case Scalar::kBF16:
      return __uint_as_float(static_cast<uint32_t>(static_cast<const uint16_t*>(p)[i]) << 16);
    default:
      return static_cast<const float*>(p)[i];
  }
}

// One rounding, to nearest even. Every NaN is stored as the canonical quiet NaN of the type.
__device__ __forceinline__ uint16_t ToF16Bits(float v) {
  return isnan(v) ? uint16_t{0x7E00} : __half_as_ushort(__float2half_rn(v));
}
__device__ __forceinline__ uint16_t ToBf16Bits(float v) {
  return isnan(v) ? uint16_t{0x7FC0} : __bfloat16_as_ushort(__float2bfloat16_rn(v));
}
__device__ __forceinline__ float ToF32Canonical(float v) { return isnan(v) ? __uint_as_float(0x7FC00000u) : v; }

__device__ __forceinline__ void StoreScalar(void* p, Scalar type, int64_t i, float v) {
  switch (type) {
    case Scalar::kF16:
      static_cast<uint16_t*>(p)[i] = ToF16Bits(v);
      break;
    case Scalar::kBF16:
      static_cast<uint16_t*>(p)[i] = ToBf16Bits(v);
      break;
    default:
      static_cast<float*>(p)[i] = ToF32Canonical(v);
      break;
  }
}

// Two values that are no NaNs, the first one in the lower half.
template <bool kBf16>
__device__ __forceinline__ uint32_t PackHalves(float low, float high) {
  if constexpr (kBf16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
}

}  // namespace glq
