// A transformed row to 16-bit integers in two balanced base-256 digits (numerics: steps 3 and 4), and where the
// digits go (params.h); or to fp16.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "common/fwht.cuh"
#include "common/ptx.cuh"
#include "e8p/params.h"

namespace glq::kernels {

struct RowScale {
  float m;       // the largest |v|
  float factor;  // 32639 / m
  int kind;      // TokenHeader::kind
  // m / 32639: a division that only the one who stores it has to make.
  __device__ __forceinline__ float t() const { return kind == 0 ? __fdiv_rn(m, 32639.0f) : 0.0f; }
};

// Largest |v| of a thread's values as bits: NaN and infinity order above every finite value.
template <int kCount>
__device__ __forceinline__ uint32_t LargestBits(const float (&r)[kCount]) {
  float m = fabsf(r[0]);
#pragma unroll
  for (int j = 1; j < kCount; ++j) m = ptx::MaxNan(m, fabsf(r[j]));
  return __float_as_uint(m) & 0x7FFFFFFFu;
}

// From the largest |v| of the row as bits: NaN and infinity order above every finite value.
__device__ __forceinline__ RowScale ScaleOfRow(uint32_t max_bits) {
  RowScale s{__uint_as_float(max_bits), 0.0f, 0};
  if (max_bits >= 0x7F800000u) {
    s.kind = 2;
    return s;
  }
  const float factor = __fdiv_rn(32639.0f, s.m);
  if (max_bits == 0 || isinf(factor)) {
    s.kind = 1;
    return s;
  }
  s.factor = factor;
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
__device__ __forceinline__ int64_t DigitPiece(DigitLayout layout, int tokens, int dim, int token, int digit, int k_tile,
                                              int piece) {
  if (layout == DigitLayout::kTiles)
    return (static_cast<int64_t>(token) * dim + k_tile * 64) * 2 + digit * 64 + piece * 16;
  const int row = 2 * token + digit;
  if (layout == DigitLayout::kUnits) {
    const int swizzled = ((k_tile & 1) * 4 + piece) ^ (row & 7);
    return (static_cast<int64_t>(k_tile >> 1) * tokens * 2 + row) * 128 + swizzled * 16;
  }
  return static_cast<int64_t>(row) * dim + k_tile * 64 + piece * 16;
}

// Columns for which digits are stored.
__device__ __forceinline__ int StoredColumns(DigitLayout layout, int dim) {
  return layout == DigitLayout::kUnits || layout == DigitLayout::kHalfTiles ? (dim + 127) / 128 * 128 : dim;
}

// The digits of 8 adjacent columns: word 0 holds columns 0 2 4 6, word 1 columns 1 3 5 7.
struct DigitWords {
  uint32_t hi[2], lo[2];
};

// Only for an ordinary row (kind 0): |v * factor| stays below 2^15, and adding 1.5 * 2^23 rounds it to an integer, ties
// to even, in the low bits of the sum. 128 more, for the upper digit, is a second addition that rounds in the same way:
// of floats, since the integer pipe has the permutations to do.
__device__ __forceinline__ DigitWords PackDigits(const float (&v)[8], float factor) {
  uint32_t q[8], rounded[8];
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const float scaled = __fmul_rn(v[j], factor);
    q[j] = __float_as_uint(__fadd_rn(scaled, 12582912.0f));
    rounded[j] = __float_as_uint(__fadd_rn(scaled, 12582912.0f + 128.0f));
  }
  DigitWords w;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    w.lo[i] = __byte_perm(__byte_perm(q[i], q[i + 2], 0x0040), __byte_perm(q[i + 4], q[i + 6], 0x0040), 0x5410);
    w.hi[i] = __byte_perm(__byte_perm(rounded[i], rounded[i + 2], 0x0051),
                          __byte_perm(rounded[i + 4], rounded[i + 6], 0x0051), 0x5410);
  }
  return w;
}

// The same in fewer instructions, but one after the other: two integers in a word, biased by 2^15, so that 128 is added
// to both at a time. `order`: 0x6420, or 0x2064 where v has the upper four columns first.
__device__ __forceinline__ DigitWords PackDigitPairs(const float (&v)[8], float factor, uint32_t order) {
  uint32_t q[8];
#pragma unroll
  for (int j = 0; j < 8; ++j) q[j] = __float_as_uint(__fadd_rn(__fmul_rn(v[j], factor), 12582912.0f + 32768.0f));
  DigitWords w;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t low = __byte_perm(q[i], q[i + 2], 0x5410), high = __byte_perm(q[i + 4], q[i + 6], 0x5410);
    w.lo[i] = __byte_perm(low, high, order);
    w.hi[i] = __byte_perm(low + 0x00800080u, high + 0x00800080u, order + 0x1111u) ^ 0x80808080u;
  }
  return w;
}

// Byte of column 64 * k_tile + 8 * group + c in DigitLayout::kHalfTiles, c < 4; the next half is column c + 4.
__device__ __forceinline__ int64_t HalfTilesByte(int tokens, int token, int k_tile, int group, int c) {
  const int piece = (2 * c + (group & 1)) ^ (token & 7);
  return (static_cast<int64_t>(k_tile) * tokens + token) * 128 + piece * 16 + (group >> 1) * 4;
}

// IsHalves: one element, below 32640; zeros for a row that is not ordinary.
__device__ __forceinline__ void StoreHalf(uint8_t* halves, DigitLayout layout, int tokens, int dim, int token,
                                          int column, float v, const RowScale& s) {
  const int64_t byte =
      layout == DigitLayout::kHalves
          ? (static_cast<int64_t>(token) * dim + column) * 2
          : HalfTilesByte(tokens, token, column >> 6, (column >> 3) & 7, column & 3) + (column & 4) / 2;
  *reinterpret_cast<__half*>(halves + byte) = __float2half_rn(s.kind == 0 ? __fmul_rn(v, s.factor) : 0.0f);
}

__device__ __forceinline__ uint32_t ScaledPair(float low, float high, float factor) {
  const __half2 pair = __floats2half2_rn(__fmul_rn(low, factor), __fmul_rn(high, factor));
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// IsHalves: columns column .. column + 7.
__device__ __forceinline__ void StoreHalves(uint8_t* halves, DigitLayout layout, int tokens, int dim, int token,
                                            int column, const float (&v)[8], const RowScale& s) {
  uint32_t words[4] = {};
  if (layout == DigitLayout::kHalves) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (s.kind == 0) words[i] = ScaledPair(v[2 * i], v[2 * i + 1], s.factor);
    *reinterpret_cast<uint4*>(halves + (static_cast<int64_t>(token) * dim + column) * 2) =
        make_uint4(words[0], words[1], words[2], words[3]);
    return;
  }
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    if (s.kind == 0) words[c] = ScaledPair(v[c], v[c + 4], s.factor);
    *reinterpret_cast<uint32_t*>(halves + HalfTilesByte(tokens, token, column >> 6, (column >> 3) & 7, c)) = words[c];
  }
}

__device__ __forceinline__ int SumOfBytes(const uint32_t (&w)[2]) {
  return __dp4a(static_cast<int>(w[1]), 0x01010101, __dp4a(static_cast<int>(w[0]), 0x01010101, 0));
}

// DigitLayout::kTiles: lanes 2i and 2i + 1 hold the groups of a piece of 16 bytes. The even one gets the piece of hi,
// the odd one that of lo. To be called by whole warps.
__device__ __forceinline__ uint4 PairPieces(const DigitWords& w, int odd) {
  const uint32_t theirs0 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w.hi[0] : w.lo[0], 1);
  const uint32_t theirs1 = __shfl_xor_sync(0xFFFFFFFFu, odd ? w.hi[1] : w.lo[1], 1);
  return odd ? make_uint4(theirs0, w.lo[0], theirs1, w.lo[1]) : make_uint4(w.hi[0], theirs0, w.hi[1], theirs1);
}

// Stores the digits of columns column .. column + 7 where `inside`. To be called by whole warps; lane l holds the l-th
// group of 8 columns of 256.
__device__ __forceinline__ void StoreDigits(uint8_t* digits, DigitLayout layout, int tokens, int dim, int token,
                                            int column, bool inside, const DigitWords& w) {
  const int k_tile = column >> 6, group = (column >> 3) & 7, odd = group & 1;
  if (layout == DigitLayout::kTiles) {
    const uint4 piece = PairPieces(w, odd);
    if (!inside) return;
    const int64_t to = DigitPiece(DigitLayout::kTiles, tokens, dim, token, odd, k_tile, group >> 1);
    *reinterpret_cast<uint4*>(digits + to) = piece;
    return;
  }
  if (!inside) return;
#pragma unroll
  for (int digit = 0; digit < 2; ++digit) {
    const uint32_t even_columns = digit == 0 ? w.hi[0] : w.lo[0], odd_columns = digit == 0 ? w.hi[1] : w.lo[1];
    if (layout == DigitLayout::kUnits) {
      uint8_t* to = digits + 4 * (group >> 1);
      *reinterpret_cast<uint32_t*>(to + DigitPiece(DigitLayout::kUnits, tokens, dim, token, digit, k_tile, odd)) =
          even_columns;
      *reinterpret_cast<uint32_t*>(to + DigitPiece(DigitLayout::kUnits, tokens, dim, token, digit, k_tile, 2 + odd)) =
          odd_columns;
    } else {
      const int64_t to = DigitPiece(DigitLayout::kRows, tokens, dim, token, digit, k_tile, 0) + group * 8;
      *reinterpret_cast<uint2*>(digits + to) =
          make_uint2(__byte_perm(even_columns, odd_columns, 0x5140), __byte_perm(even_columns, odd_columns, 0x7362));
    }
  }
}

}  // namespace glq::kernels
