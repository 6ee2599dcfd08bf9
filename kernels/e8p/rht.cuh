// One row's Hadamard transform by a cluster of thread blocks, shared by the input and the output side.
//
// A row of D elements is cut into chunks of 4096; block `rank` of the cluster owns chunk `rank`:
//
//   1. stages 0..11 inside the chunk (common/fwht.cuh)
//   2. stages 12..14 across chunks: each block reads its 1/C of the columns from all C chunks through
//      distributed shared memory, so that it ends up with elements  s * 4096 + column,  s = 0..C-1
//
// After it a thread holds 8 elements: register m * C + s is element s * 4096 + Column(m).
#pragma once

#include <cooperative_groups.h>

#include <cstdint>

#include "common/fwht.cuh"

namespace glq::kernels {

namespace cg = cooperative_groups;

// Column inside the chunk of a thread's registers m * C .. m * C + C - 1.
template <int kCluster>
__device__ __forceinline__ int Column(int rank, int m) {
  return rank * (kChunk / kCluster) + static_cast<int>(threadIdx.x) + m * kChunkThreads;
}

template <int kCluster>
__device__ __forceinline__ uint32_t ElementIndex(int rank, int reg) {
  return static_cast<uint32_t>((reg % kCluster) * kChunk + Column<kCluster>(rank, reg / kCluster));
}

// Whether every element of chunk `rank` belongs to a block of at least a chunk.
__device__ __forceinline__ bool ChunkIsUniform(int rank, uint32_t dim) {
  const uint32_t end = (static_cast<uint32_t>(rank) + 1) * kChunk;
  return end <= dim && BlockLog2(end - 1, dim) >= 12;
}

// On entry thread t holds elements 8t..8t+7 of chunk `rank`.
template <int kCluster>
__device__ __forceinline__ void RowFwht(float (&r)[kChunkRegs], float* shared, int rank, uint32_t dim) {
  ChunkFwht(r, shared, static_cast<uint32_t>(rank) * kChunk, dim, ChunkIsUniform(rank, dim), static_cast<int>(threadIdx.x));
  if constexpr (kCluster > 1) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cg::cluster_group cluster = cg::this_cluster();
    __syncthreads();
    const int t = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) shared[t + kChunkThreads * j] = r[j];
    cluster.sync();
#pragma unroll
    for (int s = 0; s < kCluster; ++s) {
      const float* remote = cluster.map_shared_rank(shared, s);
#pragma unroll
      for (int m = 0; m < kChunkRegs / kCluster; ++m) r[m * kCluster + s] = remote[Column<kCluster>(rank, m)];
    }
#pragma unroll
    for (int m = 0; m < kChunkRegs / kCluster; ++m) {
      float part[kCluster];
#pragma unroll
      for (int s = 0; s < kCluster; ++s) part[s] = r[m * kCluster + s];
      Butterflies<12, false>(part, static_cast<uint32_t>(Column<kCluster>(rank, m)), dim);
#pragma unroll
      for (int s = 0; s < kCluster; ++s) r[m * kCluster + s] = part[s];
    }
#endif
  }
}

// The block's scale of each register's element. One value for all where the row is one block.
template <int kCluster>
__device__ __forceinline__ void MultiplyInvSqrt(float (&r)[kChunkRegs], int rank, uint32_t dim) {
  if ((dim & (dim - 1)) == 0) {
    const float scale = InvSqrtPow2(31 - __clz(static_cast<int>(dim)));
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = __fmul_rn(r[j], scale);
  } else {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      r[j] = __fmul_rn(r[j], InvSqrtPow2(BlockLog2(ElementIndex<kCluster>(rank, j), dim)));
    }
  }
}

}  // namespace glq::kernels
