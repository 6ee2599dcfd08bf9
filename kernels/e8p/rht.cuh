// One row's Hadamard transform by thread blocks of a cluster, shared by the input and the output side.
//
// A row of D elements is cut into chunks of 4096; block `rank` of a cluster of C owns chunk `rank` of the C chunks that
// the cluster covers:
//
//   1. stages 0..11 inside the chunk (common/fwht.cuh)
//   2. stages 12..14 across chunks: each block sends every block its 1/C of the columns, through distributed shared
//      memory, and goes on with elements  s * 4096 + column,  s = 0..C-1. A block waits for what it gets and for
//      nothing else, and none has to stay for the others afterwards, as it would if they came and read.
//
// After it a thread holds 8 elements, W = 8 / C of each chunk; register s * W + m is
//   kTogether or C = 1: element s * 4096 + rank * (4096 / C) + t + 512 m. What a thread sends a block goes to the same
//                       thread there, in one store.
//   else:               element s * 4096 + rank * (4096 / C) + W * t + m: adjacent ones, to be stored together.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/bulk_copy.cuh"
#include "common/cluster.cuh"
#include "common/fwht.cuh"
#include "common/ptx.cuh"

namespace glq::kernels {

// Where in the C chunks of its cluster a block and a thread of it are.
struct RowPlace {
  int rank;    // of the block, and of its chunk
  int t;       // of the thread
  int chunk0;  // first chunk of the cluster in the row
};

template <int kCluster>
inline constexpr int kColumns = kChunk / kCluster;  // of every chunk that a block holds after the exchange
template <int kCluster>
inline constexpr int kWidth = kChunkRegs / kCluster;  // of them that a thread holds

// Register -> element of the row.
template <int kCluster, bool kTogether>
__device__ __forceinline__ int ElementIndex(const RowPlace& at, int reg) {
  constexpr int kW = kWidth<kCluster>;
  const int first = (at.chunk0 + reg / kW) * kChunk + at.rank * kColumns<kCluster>, m = reg % kW;
  return kTogether || kCluster == 1 ? first + at.t + m * kChunkThreads : first + kW * at.t + m;
}

inline constexpr int kRowWarps = kChunkThreads / 32;

// Shared memory of the transform: `pass` for the stages of the chunk, `columns` [chunk][column] for what the blocks of
// the cluster send, `scales` of the C chunks, `maxima` [block][warp] for the input side.
template <int kCluster>
struct RowShared {
  alignas(16) float pass[kChunkShared];
  alignas(16) float columns[kCluster > 1 ? kChunk : 4];
  alignas(16) float scales[kCluster > 1 ? 8 : 4];
  alignas(16) uint32_t maxima[kCluster * kRowWarps];
  alignas(8) uint64_t columns_barrier, maxima_barrier;
};

// Whether what a chunk holds of the row is one block or lies in one.
__device__ __forceinline__ bool IsInOneBlock(int chunk, uint32_t dim) {
  const uint32_t left = dim - static_cast<uint32_t>(chunk) * kChunk;
  return left >= kChunk || (left & (left - 1)) == 0;
}

// fp32(1 / sqrt(block)) of such a chunk; 1 for a chunk of several blocks or none, see ScalePartial.
__device__ __forceinline__ float ChunkScale(int chunk, uint32_t dim) {
  const bool one = static_cast<uint32_t>(chunk) * kChunk < dim && IsInOneBlock(chunk, dim);
  return one ? InvSqrtPow2(BlockLog2(static_cast<uint32_t>(chunk) * kChunk, dim)) : 1.0f;
}

// Blocks of the cluster that hold elements of the row.
template <int kCluster>
__device__ __forceinline__ int SendingBlocks(const RowPlace& at, uint32_t dim) {
  return min(kCluster, static_cast<int>((dim + kChunk - 1) / kChunk) - at.chunk0);
}

// What does not depend on the kernels before. All blocks of a cluster must call it, also those without elements.
template <int kCluster>
__device__ __forceinline__ void PrepareRow(RowShared<kCluster>& shared, const RowPlace& at, uint32_t dim) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if constexpr (kCluster > 1) {
    constexpr int kW = kWidth<kCluster>;
    const int sending = SendingBlocks<kCluster>(at, dim);
    if (at.t < kCluster) shared.scales[at.t] = ChunkScale(at.chunk0 + at.t, dim);
      // Nobody sends what lies behind the row. A thread clears what it will read.
#pragma unroll
    for (int s = 1; s < kCluster; ++s) {
      if (s < sending) continue;
#pragma unroll
      for (int m = 0; m < kW; ++m) shared.columns[s * kColumns<kCluster> + kW * at.t + m] = 0.0f;
    }
    const uint32_t columns = ptx::SharedAddress(&shared.columns_barrier),
                   maxima = ptx::SharedAddress(&shared.maxima_barrier);
    if (at.t == 0) {
      ptx::BarrierInit(columns, 1);
      ptx::BarrierInit(maxima, 1);
      ptx::BarrierInitFence();
    }
    __syncthreads();
    // Not together with the initialisation: the compiler may predicate both instead of branching, and
    // compute-sanitizer's racecheck then reports a hazard between them.
    if (at.t == 0) {
      ptx::BarrierArriveExpect(columns, static_cast<uint32_t>(sending) * kColumns<kCluster> * 4);
      ptx::BarrierArriveExpect(maxima, sizeof(shared.maxima));
    }
    ptx::ClusterSyncRelaxed();
  }
#endif
}

// A chunk of several blocks: none of them reaches beyond it, so that they can be scaled before the exchange.
__device__ __forceinline__ void ScalePartial(float (&r)[kChunkRegs], int chunk, int t, uint32_t dim) {
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const uint32_t i = static_cast<uint32_t>(chunk * kChunk + t + kChunkThreads * j);
    r[j] = __fmul_rn(r[j], InvSqrtPow2(BlockLog2(i, dim)));  // some power of two times the zeros behind the row
  }
}

// The transform with its scale. On entry thread t holds elements 8t..8t+7 of chunk `rank`.
template <int kCluster, bool kTogether>
__device__ __forceinline__ void RowFwht(float (&r)[kChunkRegs], RowShared<kCluster>& shared, const RowPlace& at,
                                        uint32_t dim) {
  const int chunk = at.chunk0 + at.rank, t = at.t;
  const uint32_t begin = static_cast<uint32_t>(chunk) * kChunk;
  if (kCluster == 1 || begin < dim) {
    const bool whole = begin + kChunk <= dim;
    ChunkFwht(r, shared.pass, begin, dim, whole, t);
    if (!IsInOneBlock(chunk, dim)) ScalePartial(r, chunk, t, dim);
  }
  if constexpr (kCluster == 1) {
    const float scale = ChunkScale(chunk, dim);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = __fmul_rn(r[j], scale);
  } else {
    constexpr int kW = kWidth<kCluster>, kC = kColumns<kCluster>;
    const uint32_t barrier = ptx::SharedAddress(&shared.columns_barrier);
    if (begin < dim) {
      const uint32_t mine = ptx::SharedAddress(shared.columns + at.rank * kC + (kTogether ? t * kW : t));
#pragma unroll
      for (int to = 0; to < kCluster; ++to) {
        const uint32_t address = ptx::AddressInBlock(mine, to), remote_barrier = ptx::AddressInBlock(barrier, to);
        uint32_t words[kW];
#pragma unroll
        for (int m = 0; m < kW; ++m) words[m] = __float_as_uint(r[to * kW + m]);
        if constexpr (kTogether) {
          ptx::Send(address, words, remote_barrier);
        } else {
#pragma unroll
          for (int m = 0; m < kW; ++m) ptx::Send(address + m * kChunkThreads * 4, words[m], remote_barrier);
        }
      }
    }
    ptx::Receive(barrier);
    float part[kW][kCluster];
#pragma unroll
    for (int s = 0; s < kCluster; ++s) {
      const float* from = shared.columns + s * kC + kW * t;
      if constexpr (kW == 4) {
        const float4 v = *reinterpret_cast<const float4*>(from);
        part[0][s] = v.x, part[1][s] = v.y, part[2][s] = v.z, part[3][s] = v.w;
      } else if constexpr (kW == 2) {
        const float2 v = *reinterpret_cast<const float2*>(from);
        part[0][s] = v.x, part[1][s] = v.y;
      } else {
        part[0][s] = *from;
      }
    }
    const int inside = static_cast<int>(dim / kChunk) - at.chunk0;
    if (inside >= kCluster) {
#pragma unroll
      for (int m = 0; m < kW; ++m) Butterflies(part[m]);
    } else {
#pragma unroll
      for (int m = 0; m < kW; ++m) ButterfliesInside(part[m], inside);
    }
#pragma unroll
    for (int s = 0; s < kCluster; ++s) {
      const float scale = shared.scales[s];
#pragma unroll
      for (int m = 0; m < kW; ++m) r[s * kW + m] = __fmul_rn(part[m][s], scale);
    }
  }
}

// Dynamic shared memory that a launch of few blocks asks for and does not use, so that no more than two, or one, share
// a multiprocessor. Launched early, very few blocks fall on the few multiprocessors that the product before leaves
// free: two each, since four there take twice the time. Of more, most come when the product ends, and then the first
// multiprocessors to be free would take two each while others have none. Where 128 blocks are clusters of four or
// eight, one each is slower: presumably not all find neighbouring multiprocessors at once.
inline constexpr size_t kTwoBlocksBytes = 60 * 1024;
inline size_t OneBlockBytes(int max_shared_bytes) { return static_cast<size_t>(max_shared_bytes / 2); }
inline size_t SpreadBytes(int64_t blocks, int cluster, bool dependent, int max_shared_bytes) {
  if (!dependent || blocks > 256) return 0;
  return blocks >= 8 && blocks <= (cluster <= 2 ? 128 : 64) ? OneBlockBytes(max_shared_bytes) : kTwoBlocksBytes;
}
// What the kernels must be allowed for it.
inline size_t MostSpreadBytes(int max_shared_bytes) {
  return std::max(kTwoBlocksBytes, OneBlockBytes(max_shared_bytes));
}

// Blocks of a multiprocessor: all threads it can hold, 32 registers each.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 800 && __CUDA_ARCH__ != 900 && \
    (__CUDA_ARCH__ < 1000 || __CUDA_ARCH__ >= 1200)
inline constexpr int kRowBlocks = 3;
#else
inline constexpr int kRowBlocks = 4;
#endif

}  // namespace glq::kernels
