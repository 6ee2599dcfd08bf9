// The one matrix product that the quantizer is made of.
#pragma once

#include <cstdint>

namespace glq::quantizer {

// A product with fixed rounding: every element of c is a chain of fp64 multiplications and additions
// in ascending k, none of them fused, so the bytes depend neither on the instruction set nor on how
// the work is cut up.
//   c[j * ldc + r] +-= sum_k a[k * a_k + j * a_j] * b[k * ldb + r],   j < cols, r < rows
// cols is a multiple of 8, rows one of 16.
struct Operand {
  const double* data;
  int64_t k_stride, j_stride;
};
void AddProduct(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols,
                int64_t rows);
void SubtractProduct(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols,
                     int64_t rows);

}  // namespace glq::quantizer
