// A caller's matrix of any floating-point type, read as fp64.
#pragma once

#include <cstdint>

#include "glq/base.h"

namespace glq::quantizer {

struct MatrixView {
  const void* data = nullptr;
  glq_dtype dtype = GLQ_DTYPE_F32;  // F16, BF16, F32 or F64
  int64_t rows = 0, cols = 0;
  int64_t stride = 0;  // elements between rows
};

// Elements (row, col .. col + n) of the matrix; exact.
void LoadRow(const MatrixView& m, int64_t row, int64_t col, int64_t n, double* out);

// Index of the first value that is NaN or infinite; -1 if there is none. Raises the exception "invalid" if there is.
int64_t FirstNotFinite(const double* values, int64_t n);

// Of all that are not NaN; 0 of none.
double LargestMagnitude(const double* values, int64_t n);

// Fails unless the view has one of the types above and this shape; rows < 0 stands for any number. `name` is
// what the caller knows the argument by.
void CheckView(const MatrixView& m, const char* name, int64_t rows, int64_t cols);

}  // namespace glq::quantizer
