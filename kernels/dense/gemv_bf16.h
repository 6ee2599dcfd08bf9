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

struct GemvBf16Device {
  int multiprocessors;
  int max_shared_bytes;  // that a block can opt in to
  bool sm90;             // the kernels were compiled for sm_90 or later
};

// Any alignment, any GPU. Both kernels add in the same order: they give the same bytes.
void LaunchGemvBf16(const GemvBf16Params& p, const GemvBf16Device& device, cudaStream_t stream);
void LoadGemvBf16Kernels();

// Rows of 16-byte pieces, at least kGemvBf16StreamMinK columns, on a GPU for which LoadGemvBf16StreamKernels() was
// called.
inline constexpr int64_t kGemvBf16StreamMinK = 512;
bool HasGemvBf16Stream(const GemvBf16Device& device);
void LaunchGemvBf16Stream(const GemvBf16Params& p, const GemvBf16Device& device, cudaStream_t stream);
void LoadGemvBf16StreamKernels();

}  // namespace glq::kernels
