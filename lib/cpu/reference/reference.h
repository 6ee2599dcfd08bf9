// The exact contract of the E8P linear as an obvious scalar program, one step after the other. It is
// the oracle of the tests: it shares no code with the kernels but the codebook and the scalar
// conversions. It allocates and is slow.
#pragma once

#include <cstdint>

#include "cpu/matrix.h"
#include "e8p/linear.h"

namespace glq::cpu::reference {

struct Linear {
  const e8p::LinearMeta& meta;
  const void* const* packed;  // per stage, the checkpoint's tensor
  const uint16_t* sv;         // fp16 bits; null stands for all ones
  const uint16_t* su;
  const float* bias;  // or null
};

void RhtInput(const Linear& linear, ConstMatrix x, Matrix v);
void MatmulRht(const Linear& linear, ConstMatrix v, Matrix y_rht);
void RhtOutput(const Linear& linear, ConstMatrix y_rht, Matrix y);
void FusedLinear(const Linear& linear, ConstMatrix x, Matrix y);
void DecodeRht(const Linear& linear, int64_t row_begin, int64_t rows, Matrix w);
void Dequantize(const Linear& linear, Matrix w);
void GemvBf16(const uint16_t* w, int64_t n, int64_t k, int64_t ldw, ConstMatrix x, Matrix y);

}  // namespace glq::cpu::reference
