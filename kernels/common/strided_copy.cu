// One thread per element; neighbouring threads take neighbouring elements of the innermost dimension.
#include "common/launch.h"
#include "common/strided_copy.h"

namespace glq::kernels {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void StridedCopyKernel(const __grid_constant__ StridedCopyParams p) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= p.count) return;
  int64_t rest = i, from = 0, to = 0;
#pragma unroll
  for (int d = 3; d >= 0; --d) {
    const int64_t at = rest % p.shape[d];
    rest /= p.shape[d];
    from += at * p.source_strides[d];
    to += at * p.destination_strides[d];
  }
  static_cast<T*>(p.destination)[to] = static_cast<const T*>(p.source)[from];
}

}  // namespace

void LaunchStridedCopy(const StridedCopyParams& p, cudaStream_t stream) {
  auto* kernel = p.element_bytes == 1   ? StridedCopyKernel<uint8_t>
                 : p.element_bytes == 2 ? StridedCopyKernel<uint16_t>
                 : p.element_bytes == 4 ? StridedCopyKernel<uint32_t>
                                        : StridedCopyKernel<uint64_t>;
  Launch("strided_copy", kernel, {dim3(static_cast<unsigned>((p.count + kThreads - 1) / kThreads)), dim3(kThreads)},
         stream, p);
}

void LoadStridedCopyKernels() {
  LoadKernels(StridedCopyKernel<uint8_t>, StridedCopyKernel<uint16_t>, StridedCopyKernel<uint32_t>,
              StridedCopyKernel<uint64_t>);
}

int CompiledArchitecture() {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(StridedCopyKernel<uint8_t>)) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return attributes.ptxVersion;
}

}  // namespace glq::kernels
