// Copy between two strided arrays of up to four dimensions in device memory.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace glq::kernels {

struct StridedCopyParams {
  const void* source;
  void* destination;
  int64_t shape[4], source_strides[4], destination_strides[4];  // in elements, innermost last
  int64_t count;
  int32_t element_bytes;  // 1, 2, 4 or 8
};
void LaunchStridedCopy(const StridedCopyParams& p, cudaStream_t stream);
void LoadStridedCopyKernels();

// What the kernels were compiled for that the current device runs, as major * 10 + minor; 0 if none fits.
int CompiledArchitecture();

}  // namespace glq::kernels
