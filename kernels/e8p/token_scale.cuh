// Sums of one stage to y_rht where the product itself ends with it (numerics: steps 5 and 6).
#pragma once

#include "e8p/combine.cuh"
#include "e8p/params.h"

namespace glq::kernels {

// A TokenHeader, its parts added up.
struct alignas(16) TokenScale {
  float t;
  int sum_hi, sum_lo, kind;
};

__device__ __forceinline__ TokenScale LoadTokenScale(const TokenHeader& h) {
  int2 sum = make_int2(0, 0);
#pragma unroll
  for (int c = 0; c < kMaxClusterChunks; ++c) sum.x += h.digit_sums[c].x, sum.y += h.digit_sums[c].y;
  return {h.t, sum.x, sum.y, h.kind};
}

// Stage after stage of one element: `hi` and `lo` are sums over nibbles, `k` the stage's factor, `before` the stages
// before it.
__device__ __forceinline__ float AddStage(int hi, int lo, const TokenScale& token, bool e81b, float k, bool first,
                                          float before) {
  const Correction c =
      e81b ? Correction{1, 4 * token.sum_hi, 4 * token.sum_lo} : Correction{2, 15 * token.sum_hi, 15 * token.sum_lo};
  const float z = StageSum(hi, lo, c), scale = __fmul_rn(k, token.t);
  const float y = first ? __fmul_rn(z, scale) : __fmaf_rn(z, scale, before);
  return token.kind == 0 ? y : token.kind == 1 ? 0.0f : __uint_as_float(0x7FC00000u);
}

}  // namespace glq::kernels
