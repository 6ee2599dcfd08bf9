// Integer sums of the stages -> y_rht, and y_rht after the transform -> y (numerics: steps 5 to 7).
#pragma once

#include <cstdint>

#include "common/fwht.cuh"
#include "e8p/params.h"

namespace glq::kernels {

// What a row needs besides its sums: c_s = k_s * t, and the sum of all q as digits, by which the unsigned
// nibbles of the product are brought back to signed weights.
struct RowSums {
  bool signed_sums;
  float c[kMaxStages];
  int sum_hi, sum_lo;
  int kind;
};

__device__ __forceinline__ RowSums LoadRowSums(const RhtOutputParams& p, int token) {
  RowSums s;
  const TokenHeader& h = p.headers[token];
  s.kind = h.kind;
  s.signed_sums = p.signed_sums;
  s.sum_hi = 0, s.sum_lo = 0;
  for (int i = 0; i < h.parts; ++i) {
    s.sum_hi += h.digit_sums[i].x;
    s.sum_lo += h.digit_sums[i].y;
  }
#pragma unroll
  for (int i = 0; i < kMaxStages; ++i) s.c[i] = i < p.stages ? __fmul_rn(p.k[i], h.t) : 0.0f;
  return s;
}

// sum_j w[j] q[j] of one stage from the product's sums over unsigned nibbles, rounded once.
__device__ __forceinline__ float StageSum(int u_hi, int u_lo, bool e81b, const RowSums& s) {
  // E8P: w4 = 2u - 15; E81B: w2 = u - 4. Per digit the result fits 32 bits: |w| <= 11, |digit| <= 128, dim <= 2^20.
  if (s.signed_sums) return __ll2float_rn(static_cast<long long>(u_hi) * 256 + u_lo);
  const int hi = e81b ? u_hi - 4 * s.sum_hi : 2 * u_hi - 15 * s.sum_hi;
  const int lo = e81b ? u_lo - 4 * s.sum_lo : 2 * u_lo - 15 * s.sum_lo;
  return __ll2float_rn(static_cast<long long>(hi) * 256 + lo);
}

__device__ __forceinline__ float AddStage(int stage, float sum, float z, float c) {
  return stage == 0 ? __fmul_rn(sum, c) : __fmaf_rn(sum, c, z);
}

__device__ __forceinline__ float CombinedElement(const RhtOutputParams& p, const RowSums& s, int token, uint32_t i) {
  if (s.kind == 1) return 0.0f;
  if (s.kind == 2) return __uint_as_float(0x7FC00000u);
  float z = 0.0f;
  for (int stage = 0; stage < p.stages; ++stage) {
    const int32_t* sums = p.z[stage] + static_cast<int64_t>(token) * 2 * p.dim;
    z = AddStage(stage, StageSum(sums[i], sums[p.dim + i], (p.e81b_mask >> stage) & 1, s), z, s.c[stage]);
  }
  return z;
}

// Elements first .. first + 15, first a multiple of 16.
__device__ __forceinline__ void CombinedElements16(const RhtOutputParams& p, const RowSums& s, int token, uint32_t first,
                                                   float (&r)[16]) {
  const float fill = s.kind == 2 ? __uint_as_float(0x7FC00000u) : 0.0f;
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = fill;
  if (s.kind != 0) return;
#pragma unroll
  for (int stage = 0; stage < kMaxStages; ++stage) {
    if (stage >= p.stages) break;
    const int32_t* sums = p.z[stage] + static_cast<int64_t>(token) * 2 * p.dim + first;
    const bool e81b = (p.e81b_mask >> stage) & 1;
    int hi[16], lo[16];
#pragma unroll
    for (int v = 0; v < 4; ++v) {
      *reinterpret_cast<int4*>(hi + 4 * v) = reinterpret_cast<const int4*>(sums)[v];
      *reinterpret_cast<int4*>(lo + 4 * v) = reinterpret_cast<const int4*>(sums + p.dim)[v];
    }
#pragma unroll
    for (int j = 0; j < 16; ++j) r[j] = AddStage(stage, StageSum(hi[j], lo[j], e81b, s), r[j], s.c[stage]);
  }
}

// The element after its butterflies: scale of the block, SU, bias.
__device__ __forceinline__ float FinishElement(const RhtOutputParams& p, const RowSums& s, uint32_t i, float v) {
  v = __fmul_rn(v, InvSqrtPow2(BlockLog2(i, static_cast<uint32_t>(p.dim))));
  if (p.su != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.su + i))));
  if (p.bias != nullptr) v = __fadd_rn(v, __ldg(p.bias + i));
  return s.kind == 2 && p.stages > 0 ? __uint_as_float(0x7FC00000u) : v;
}

}  // namespace glq::kernels
