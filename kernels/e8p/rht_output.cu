// Output side of the E8P linear: integer sums -> y_rht -> B -> * SU + bias -> y (numerics: steps 5 to 7).
//
// One cluster of C blocks of 256 threads per token and weight of the group; see rht.cuh. C fits the largest
// weight; smaller ones leave some of its blocks without elements.
#include "e8p/rht.cuh"

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/combine.cuh"
#include "e8p/launch.h"

namespace glq::kernels {
namespace {

template <int kCluster>
__global__ void __launch_bounds__(kChunkThreads) RhtOutputKernel(const __grid_constant__ RhtOutputGroup group) {
  const RhtOutputParams& p = group.items[blockIdx.y];
  __shared__ float shared[kChunkShared];
  const int t = static_cast<int>(threadIdx.x);
  const int token = static_cast<int>(blockIdx.x / kCluster);
  const int rank = static_cast<int>(blockIdx.x % kCluster);
  const uint32_t dim = static_cast<uint32_t>(p.dim);
  ptx::WaitForPredecessor();
  ptx::LetSuccessorStart();

  float r[16];
  const uint32_t first = static_cast<uint32_t>(rank) * kChunk + 16 * t;
  const RowSums row = p.stages > 0 ? LoadRowSums(p, token) : RowSums{};
  if (!p.transform) {
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      const uint32_t i = first + j;
      if (i < dim) StoreScalar(p.y, p.y_type, token * p.y_stride + i, CombinedElement(p, row, token, i));
    }
    return;
  }
  if (p.stages > 0 && first + 16 <= dim) {
    CombinedElements16(p, row, token, first, r);
  } else {
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      const uint32_t i = first + j;
      r[j] = i < dim ? (p.stages > 0 ? CombinedElement(p, row, token, i) : p.rows[token * p.rows_stride + i]) : 0.0f;
    }
  }
  RowFwht<kCluster>(r, shared, rank, dim);
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    const uint32_t i = ElementIndex<kCluster>(rank, j);
    if (i < static_cast<uint32_t>(p.out_features)) {
      StoreScalar(p.y, p.y_type, token * p.y_stride + i, FinishElement(p, row, i, r[j]));
    }
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
}

}  // namespace glq::kernels
