// The transforms of one token: rows of fp32 in, rows of fp32 out. Dispatched to the best instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/matrix.h"

namespace glq::cpu {

// One side's transform. `signs`: fp16 bits, one per padded element; null stands for all ones.
struct Transform {
  std::span<const int64_t> blocks;
  const uint16_t* signs;
  int64_t features, padded;  // elements outside and inside
};

// v[padded] = blockwise Hadamard(signs * x, zero-padded), scaled. NaNs come out canonical.
void RhtInputRow(const Transform& t, const void* x, Scalar type, float* v);

// y[features] = signs * scaled blockwise Hadamard(row) + bias, rounded to `type`. `row` is used up. bias may be null.
void RhtOutputRow(const Transform& t, float* row, const float* bias, void* y, Scalar type);

// Butterflies in ascending stride within every block along a row, one multiply, then one by the signs.
void HadamardRow(const Transform& t, float* row);

// The same down the columns [begin, end) of a matrix [padded][stride], without signs.
void HadamardColumns(std::span<const int64_t> blocks, float* data, int64_t stride, int64_t begin, int64_t end);

// to[i] = row[i] * sign for i < n, rounded to `type`.
void ScaleAndStoreRow(const float* row, float sign, int64_t n, void* to, Scalar type);

// What makes a row of v integers: v ~ q * from_integer.
struct RowScale {
  enum Kind : int32_t { kNormal, kZero, kNotFinite };
  float from_integer;  // m / 32639
  Kind kind;
  double sum;  // of all q; exact
};

// Rows of digits are kept per group of up to kTokenGroup tokens, side by side:
//   [padded / 32][8 subvectors][tokens of the group][digit hi, lo][4 columns]
// Which four of 32 columns a subvector holds depends on the target, see SubvectorColumn in matmul.cpp.
inline constexpr int64_t kTokenGroup = 4;

// Steps 3 and 4 of the contract: the balanced base-256 digits of rint(v * 32639 / max |v|), written at
// `digits` (of the token within its group of `group` tokens). A row that is zero or not finite gives zeros.
RowScale QuantizeRow(const float* v, int64_t padded, int64_t group, int8_t* digits);

}  // namespace glq::cpu
