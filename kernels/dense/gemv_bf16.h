// Launcher of the BF16 matrix-vector product.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/scalar_type.h"

namespace glq::kernels {

struct GemvBf16Params {
  const uint16_t* w;  // bf16 [n][ldw]
  const uint16_t* x;  // bf16 [tokens][ldx]
  void* y;
  Scalar y_type;
  int64_t n, k, ldw, ldx, ldy;
  int32_t tokens;
};
void LaunchGemvBf16(const GemvBf16Params& p, bool dependent, cudaStream_t stream);
void LoadGemvBf16Kernels();

}  // namespace glq::kernels
