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
  const auto* h = reinterpret_cast<const int4*>(p.headers + token);  // two partial sums each, then t and kind
  int4 parts[kMaxClusterChunks / 2];
#pragma unroll
  for (int i = 0; i < kMaxClusterChunks / 2; ++i) parts[i] = h[i];
  const int4 rest = h[kMaxClusterChunks / 2];
  s.sum_hi = 0, s.sum_lo = 0;
#pragma unroll
  for (int i = 0; i < kMaxClusterChunks / 2; ++i) {
    s.sum_hi += parts[i].x + parts[i].z;
    s.sum_lo += parts[i].y + parts[i].w;
  }
  s.kind = rest.y;
  s.signed_sums = p.signed_sums;
#pragma unroll
  for (int i = 0; i < kMaxStages; ++i) s.c[i] = __fmul_rn(p.k[i], __int_as_float(rest.x));
  return s;
}

// fp32(256 * hi + lo), rounded once, for |256 * hi + lo| < 2^39: the sum is cut into a * 2^16 + b with |b| <= 2^15 and
// |a| < 2^24, both exact in fp32, so that one fused multiply-add rounds their exact sum.
__device__ __forceinline__ float RoundDigits(int hi, int lo) {
  const int low = (hi & 255) * 256 + lo;
  const int carry = (low + 32768) >> 16;
  const int a = (hi >> 8) + carry, b = low - (carry << 16);
  return __fmaf_rn(static_cast<float>(a), 65536.0f, static_cast<float>(b));
}

// What undoes the unsigned nibbles of a stage: sum of w = factor * (sum of u) - offset.
struct Correction {
  int factor, hi, lo;
};
__device__ __forceinline__ Correction CorrectionOf(const RowSums& s, bool e81b) {
  if (s.signed_sums) return {1, 0, 0};
  // E8P: w4 = 2u - 15; E81B: w2 = u - 4. Per digit the result fits 32 bits: |w| <= 11, |digit| <= 128, dim <= 2^20.
  return e81b ? Correction{1, 4 * s.sum_hi, 4 * s.sum_lo} : Correction{2, 15 * s.sum_hi, 15 * s.sum_lo};
}

// sum_j w[j] q[j] of one stage, rounded once.
__device__ __forceinline__ float StageSum(int u_hi, int u_lo, const Correction& c) {
  return RoundDigits(c.factor * u_hi - c.hi, c.factor * u_lo - c.lo);
}

__device__ __forceinline__ float CombinedElement(const RhtOutputParams& p, const RowSums& s, int token, uint32_t i) {
  if (s.kind == 1) return 0.0f;
  if (s.kind == 2) return __uint_as_float(0x7FC00000u);
  float z = 0.0f;
#pragma unroll
  for (int stage = 0; stage < kMaxStages; ++stage) {
    if (stage < p.stages) {
      const int32_t* sums = p.z[stage] + static_cast<int64_t>(token) * 2 * p.dim;
      const float sum = StageSum(sums[i], sums[p.dim + i], CorrectionOf(s, (p.e81b_mask >> stage) & 1));
      z = stage == 0 ? __fmul_rn(sum, s.c[0]) : __fmaf_rn(sum, s.c[stage], z);
    }
  }
  return z;
}

// What the rows of a library product in fp16 still lack (RhtOutputParams::scale_rows).
struct RowFactor {
  float t;
  int kind;
};
__device__ __forceinline__ RowFactor LoadRowFactor(const TokenHeader* headers, int token) {
  const float2 both = *reinterpret_cast<const float2*>(&headers[token].t);
  return {both.x, static_cast<int>(__float_as_uint(both.y))};
}
__device__ __forceinline__ float ScaledElement(float r, const RowFactor& f) {
  return f.kind == 0 ? __fmul_rn(r, f.t) : f.kind == 1 ? 0.0f : __uint_as_float(0x7FC00000u);
}

// y_rht, however it comes.
__device__ __forceinline__ float RotatedElement(const RhtOutputParams& p, int token, uint32_t i) {
  if (p.stages > 0) return CombinedElement(p, LoadRowSums(p, token), token, i);
  const float r = p.rows[token * p.rows_stride + i];
  return p.scale_rows ? ScaledElement(r, LoadRowFactor(p.headers, token)) : r;
}

// Elements first .. first + 7 (a multiple of 8), first + 7 < dim.
__device__ __forceinline__ void CombinedElements8(const RhtOutputParams& p, int token, uint32_t first, float (&r)[8]) {
  RowSums s;
#pragma unroll
  for (int stage = 0; stage < kMaxStages; ++stage) {
    if (stage >= p.stages) break;
    const int32_t* sums = p.z[stage] + static_cast<int64_t>(token) * 2 * p.dim + first;
    int hi[8], lo[8];
#pragma unroll
    for (int v = 0; v < 2; ++v) {
      *reinterpret_cast<int4*>(hi + 4 * v) = reinterpret_cast<const int4*>(sums)[v];
      *reinterpret_cast<int4*>(lo + 4 * v) = reinterpret_cast<const int4*>(sums + p.dim)[v];
    }
    if (stage == 0) s = LoadRowSums(p, token);  // behind the first sums, which take longer
    const Correction c = CorrectionOf(s, (p.e81b_mask >> stage) & 1);
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float sum = StageSum(hi[j], lo[j], c);
      r[j] = stage == 0 ? __fmul_rn(sum, s.c[0]) : __fmaf_rn(sum, s.c[stage], r[j]);
    }
  }
  if (s.kind != 0) {
#pragma unroll
    for (int j = 0; j < 8; ++j) r[j] = s.kind == 2 ? __uint_as_float(0x7FC00000u) : 0.0f;
  }
}

}  // namespace glq::kernels
