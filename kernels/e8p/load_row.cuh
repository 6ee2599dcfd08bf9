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

// SV of elements 8t..8t+7 of chunk `rank`: it does not depend on the kernels before. SV is padded to a multiple of
// 64 and aligned, and so is the chunk.
struct SvPiece {
  uint4 v;
};
__device__ __forceinline__ SvPiece LoadSv(const uint16_t* sv, int dim, int rank, int t) {
  SvPiece piece{};
  const int first = rank * kChunk + 8 * t;
  if (sv != nullptr && first < dim) {
    piece.v = __ldg(reinterpret_cast<const uint4*>(sv + first));
  }
  return piece;
}

// Elements 8t..8t+7 of chunk `rank` of x, times SV; zeros from in_features on.
__device__ __forceinline__ void LoadRow(const InputRow& p, const SvPiece& sv, int rank, int t, float (&r)[kChunkRegs]) {
  const int first = rank * kChunk + 8 * t;
  const bool wide = p.x_type == Scalar::kF32;
  const auto* bytes = static_cast<const uint8_t*>(p.x) + static_cast<int64_t>(first) * (wide ? 4 : 2);
  if (first >= p.in_features) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = 0.0f;
    return;
  }
  if (first + 8 <= p.in_features && (reinterpret_cast<uintptr_t>(bytes) & 15) == 0) {
    const auto* v = reinterpret_cast<const uint4*>(bytes);
    if (wide) {
#pragma unroll
      for (int i = 0; i < 2; ++i) *reinterpret_cast<uint4*>(r + 4 * i) = v[i];
    } else {
      UnpackHalves(v[0], p.x_type == Scalar::kBF16, r);
    }
  } else {
    // The end of a row that is no multiple of 8, and rows that are not 16-byte aligned.
    uint32_t raw[kChunkRegs];
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      raw[j] = 0;
      if (first + j < p.in_features) {
        raw[j] = wide ? reinterpret_cast<const uint32_t*>(bytes)[j] : reinterpret_cast<const uint16_t*>(bytes)[j];
      }
    }
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const float half = __half2float(__ushort_as_half(static_cast<uint16_t>(raw[j])));
      r[j] = wide ? __uint_as_float(raw[j]) : p.x_type == Scalar::kBF16 ? __uint_as_float(raw[j] << 16) : half;
    }
  }
  if (p.sv != nullptr) {
    float f[8];
    UnpackHalves(sv.v, false, f);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = first + j < p.in_features ? __fmul_rn(r[j], f[j]) : 0.0f;
  }
}

}  // namespace glq::kernels
