// A transformed row to 16-bit integers in two balanced base-256 digits (numerics: steps 3 and 4), and where the
// digits go (params.h).
#pragma once

#include <cstdint>

#include "common/fwht.cuh"
#include "e8p/params.h"

namespace glq::kernels {

struct RowScale {
  float t;       // m / 32639
  float factor;  // 32639 / m
  int kind;      // TokenHeader::kind
};

// From the largest |v| of the row as bits: NaN and infinity order above every finite value.
__device__ __forceinline__ RowScale ScaleOfRow(uint32_t max_bits) {
  RowScale s{0.0f, 0.0f, 0};
  const float m = __uint_as_float(max_bits);
  if (max_bits >= 0x7F800000u) {
    s.kind = 2;
    return s;
  }
  const float factor = __fdiv_rn(32639.0f, m);
  if (max_bits == 0 || isinf(factor)) {
    s.kind = 1;
    return s;
  }
  s.factor = factor;
  s.t = __fdiv_rn(m, 32639.0f);
  return s;
}

struct Digits {
  int hi, lo;
};
__device__ __forceinline__ Digits SplitDigits(float v, const RowScale& s) {
  const int q = s.kind == 0 ? __float2int_rn(__fmul_rn(v, s.factor)) : 0;
  Digits d;
  d.hi = (q + 128) >> 8;
  d.lo = q - 256 * d.hi;
  return d;
}

// Byte of column i (0..63) inside the 64 bytes of a k tile's digit plane, before any swizzle.
__device__ __forceinline__ int DigitByte(DigitLayout layout, int i) {
  const int group = i >> 3, c = i & 7;
  if (layout == DigitLayout::kTiles) return (group >> 1) * 16 + (c & 1) * 8 + (group & 1) * 4 + (c >> 1);
  if (layout == DigitLayout::kUnits) return (c & 1) * 32 + (group & 1) * 16 + (group >> 1) * 4 + (c >> 1);
  return i;
}

// Where piece `piece` (16 bytes, 0..3) of a k tile's digit plane lies.
__device__ __forceinline__ int64_t DigitPiece(DigitLayout layout, int tokens, int dim, int token, int digit, int k_tile, int piece) {
  if (layout == DigitLayout::kTiles) return ((static_cast<int64_t>(k_tile) * tokens + token) * 2 + digit) * 64 + piece * 16;
  const int row = 2 * token + digit;
  if (layout == DigitLayout::kUnits) {
    const int swizzled = ((k_tile & 1) * 4 + piece) ^ (row & 7);
    return (static_cast<int64_t>(k_tile >> 1) * tokens * 2 + row) * 128 + swizzled * 16;
  }
  return static_cast<int64_t>(row) * dim + k_tile * 64 + piece * 16;
}

// Columns for which digits are stored.
__device__ __forceinline__ int StoredColumns(DigitLayout layout, int dim) {
  return layout == DigitLayout::kUnits ? (dim + 127) / 128 * 128 : dim;
}

}  // namespace glq::kernels
