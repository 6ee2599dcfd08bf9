// Output side of the E8P linear: integer sums -> y_rht -> B -> * SU + bias -> y (numerics: steps 5 to 7).
//
// One cluster of C blocks of 512 threads per token and weight of the group; see rht.cuh. C fits the largest
// weight; smaller ones leave some of its blocks without elements.
#include "e8p/rht.cuh"

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/combine.cuh"
#include "e8p/launch.h"

namespace glq::kernels {
namespace {

// y_rht of elements 8t..8t+7 of chunk `rank`, into registers.
__device__ __forceinline__ void LoadRow(const RhtOutputParams& p, const RowSums& row, int token, int rank, float (&r)[kChunkRegs]) {
  const int t = static_cast<int>(threadIdx.x), chunk = rank * kChunk, first = chunk + 8 * t;
  if (p.stages > 0) {
    // dim is a multiple of 16: a thread has all of its elements or none.
    if (first < p.dim) {
      CombinedElements8(p, row, token, static_cast<uint32_t>(first), r);
    } else {
#pragma unroll
      for (int j = 0; j < kChunkRegs; ++j) r[j] = 0.0f;
    }
    return;
  }
  const float* row_in = p.rows + token * p.rows_stride;
  const bool vector = first + 8 <= p.dim && (reinterpret_cast<uintptr_t>(row_in) & 15) == 0;
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    if (vector) {
      *reinterpret_cast<float4*>(r + 4 * j) = reinterpret_cast<const float4*>(row_in + first)[j];
    } else {
#pragma unroll
      for (int i = 4 * j; i < 4 * j + 4; ++i) r[i] = first + i < p.dim ? row_in[first + i] : 0.0f;
    }
  }
}

__device__ __forceinline__ void StoreElement(const RhtOutputParams& p, void* row, uint32_t i, float v) {
  if (p.y_type == Scalar::kF32) {
    static_cast<float*>(row)[i] = ToF32Canonical(v);
  } else {
    static_cast<uint16_t*>(row)[i] = p.y_type == Scalar::kBF16 ? ToBf16Bits(v) : ToF16Bits(v);
  }
}

template <int kCluster>
__global__ void __launch_bounds__(kChunkThreads, 2) RhtOutputKernel(const __grid_constant__ RhtOutputGroup group) {
  __shared__ float shared[kChunkShared];
  const RhtOutputParams p = group.items[blockIdx.y];
  const int token = static_cast<int>(blockIdx.x / kCluster);
  const int rank = static_cast<int>(blockIdx.x % kCluster);
  const uint32_t dim = static_cast<uint32_t>(p.dim);
  void* row_out = static_cast<uint8_t*>(p.y) + token * p.y_stride * (p.y_type == Scalar::kF32 ? 4 : 2);

  // SU and bias do not depend on the predecessor.
  float su[kChunkRegs], bias[kChunkRegs];
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const uint32_t i = ElementIndex<kCluster>(rank, j);
    const bool inside = i < static_cast<uint32_t>(p.out_features);
    su[j] = inside && p.su != nullptr ? __half2float(__ushort_as_half(__ldg(p.su + i))) : 1.0f;
    bias[j] = inside && p.bias != nullptr ? __ldg(p.bias + i) : 0.0f;
  }
  ptx::LetSuccessorStart();
  ptx::WaitForPredecessor();

  float r[kChunkRegs];
  const RowSums row = p.stages > 0 ? LoadRowSums(p, token) : RowSums{};
  LoadRow(p, row, token, rank, r);
  RowFwht<kCluster>(r, shared, rank, dim);
  MultiplyInvSqrt<kCluster>(r, rank, dim);
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const uint32_t i = ElementIndex<kCluster>(rank, j);
    float v = p.su != nullptr ? __fmul_rn(r[j], su[j]) : r[j];
    if (p.bias != nullptr) v = __fadd_rn(v, bias[j]);
    if (i < static_cast<uint32_t>(p.out_features)) StoreElement(p, row_out, i, v);
  }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if constexpr (kCluster > 1) cg::this_cluster().sync();  // others may still read this block's chunk
#endif
}

}  // namespace

void LaunchRhtOutput(const RhtOutputGroup& group, bool dependent, cudaStream_t stream) {
  int c = 1;
  for (int i = 0; i < group.count; ++i) c = RhtClusterSize(group.items[i].dim) > c ? RhtClusterSize(group.items[i].dim) : c;
  LaunchConfig config{dim3(static_cast<unsigned>(group.items[0].tokens * c), static_cast<unsigned>(group.count)),
                      dim3(kChunkThreads), 0, c, dependent};
  auto* kernel =
      c == 1 ? RhtOutputKernel<1> : c == 2 ? RhtOutputKernel<2> : c == 4 ? RhtOutputKernel<4> : RhtOutputKernel<8>;
  Launch("rht_output", kernel, config, stream, group);
}

void LoadRhtOutputKernels() {
  LoadKernels(RhtOutputKernel<1>, RhtOutputKernel<2>, RhtOutputKernel<4>, RhtOutputKernel<8>);
  PreferSharedMemory(RhtOutputKernel<1>, RhtOutputKernel<2>, RhtOutputKernel<4>, RhtOutputKernel<8>);
}

}  // namespace glq::kernels
