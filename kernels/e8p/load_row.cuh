// A chunk of an activation row into registers, times SV (numerics: step 1).
#pragma once

#include <cstdint>

#include "common/fwht.cuh"
#include "common/scalar.cuh"

namespace glq::kernels {

__device__ __forceinline__ void UnpackHalves(const uint4& u, bool bf16, float* to) {
  const uint32_t w[4] = {u.x, u.y, u.z, u.w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float2 halves = __half22float2(*reinterpret_cast<const __half2*>(&w[j]));
    to[2 * j] = bf16 ? __uint_as_float(w[j] << 16) : halves.x;
    to[2 * j + 1] = bf16 ? __uint_as_float(w[j] & 0xFFFF0000u) : halves.y;
  }
}

struct InputRow {
  const void* x;
  Scalar x_type;
  int in_features;
  const uint16_t* sv;  // fp16 bits or null
};

// Elements 16t..16t+15 of chunk `rank` of x, times SV; zeros from in_features on. Contains barriers of the block.
__device__ __forceinline__ void LoadRow(const InputRow& p, int rank, float* shared, int t, float (&r)[16]) {
  const int chunk = rank * kChunk, first = chunk + 16 * t;
  const int size = p.x_type == Scalar::kF32 ? 4 : 2;
  if (p.in_features % kChunk == 0 && (reinterpret_cast<uintptr_t>(p.x) & 15) == 0) {
    if (chunk >= p.in_features) {
#pragma unroll
      for (int j = 0; j < 16; ++j) r[j] = 0.0f;
      return;
    }
    const auto* v = reinterpret_cast<const uint4*>(static_cast<const uint8_t*>(p.x) + static_cast<int64_t>(first) * size);
    if (p.x_type == Scalar::kF32) {
#pragma unroll
      for (int i = 0; i < 4; ++i) *reinterpret_cast<uint4*>(r + 4 * i) = v[i];
    } else {
      const uint4 a = v[0], b = v[1];
      UnpackHalves(a, p.x_type == Scalar::kBF16, r);
      UnpackHalves(b, p.x_type == Scalar::kBF16, r + 8);
    }
    if (p.sv != nullptr) {
      const auto* sv = reinterpret_cast<const uint4*>(p.sv + first);
      float f[16];
      UnpackHalves(__ldg(sv), false, f);
      UnpackHalves(__ldg(sv + 1), false, f + 8);
#pragma unroll
      for (int j = 0; j < 16; ++j) r[j] = __fmul_rn(r[j], f[j]);
    }
    return;
  }
  // The last chunk, and rows that are not 16-byte aligned: element by element, through shared memory.
#pragma unroll 1
  for (int j = 0; j < 16; ++j) {
    const int e = t + 256 * j, i = chunk + e;
    float v = 0.0f;
    if (i < p.in_features) {
      v = LoadScalar(p.x, p.x_type, i);
      if (p.sv != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.sv + i))));
    }
    shared[ChunkSlot(e)] = v;
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = shared[17 * t + j];
  __syncthreads();
}

}  // namespace glq::kernels
