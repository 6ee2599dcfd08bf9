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

// SV of elements 8t..8t+7 of chunk `rank`, ones without SV: it does not depend on the kernels before. SV is padded to a
// multiple of 64 and aligned, and so is the chunk.
struct SvPiece {
  float v[kChunkRegs];
};
__device__ __forceinline__ SvPiece LoadSv(const uint16_t* sv, int dim, int rank, int t) {
  const int first = rank * kChunk + kChunkRegs * t;
  constexpr uint32_t kOnes = 0x3C003C00u;
  uint4 halves = make_uint4(kOnes, kOnes, kOnes, kOnes);
  if (sv != nullptr && first < dim) halves = __ldg(reinterpret_cast<const uint4*>(sv + first));
  SvPiece piece;
  UnpackHalves(halves, false, piece.v);
  return piece;
}

// Elements 8t..8t+7 of chunk `rank` of x, times SV; zeros from in_features on.
__device__ __forceinline__ void LoadRow(const InputRow& p, const SvPiece& sv, int rank, int t, float (&r)[kChunkRegs]) {
  const int first = rank * kChunk + kChunkRegs * t;
  const bool wide = p.x_type == Scalar::kF32;
  const auto* bytes = static_cast<const uint8_t*>(p.x) + static_cast<int64_t>(first) * (wide ? 4 : 2);
  if (first + kChunkRegs <= p.in_features && (reinterpret_cast<uintptr_t>(bytes) & 15) == 0) {
    const auto* v = reinterpret_cast<const uint4*>(bytes);
    if (wide) {
#pragma unroll
      for (int i = 0; i < 2; ++i) *reinterpret_cast<uint4*>(r + 4 * i) = v[i];
    } else {
      const uint4 halves = v[0];
      if (p.x_type == Scalar::kBF16) {
        UnpackHalves(halves, true, r);
      } else {
        UnpackHalves(halves, false, r);
      }
    }
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = __fmul_rn(r[j], sv.v[j]);
    return;
  }
  // The end of a row that is no multiple of 8, and rows that are not 16-byte aligned.
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    r[j] = first + j < p.in_features ? __fmul_rn(LoadScalar(p.x, p.x_type, first + j), sv.v[j]) : 0.0f;
  }
}

}  // namespace glq::kernels
