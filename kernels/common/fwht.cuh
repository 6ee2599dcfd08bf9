// Walsh-Hadamard butterflies over the checkpoint's blocks, in ascending stride.
//
// A padded dimension D is cut into the powers of two of its binary expansion, largest first. The block
// of element i < D is then found without a table: its size is 2^h with h the highest bit in which i
// and D differ, and every block starts at a multiple of its size. So the stage with stride 2^b touches
// element i exactly if b < h(i), and its partner is i ^ 2^b.
#pragma once

#include <cstdint>

#include "common/ptx.cuh"

namespace glq {

// log2 of the size of the block that holds i. For i >= D the value is meaningless.
__device__ __forceinline__ int BlockLog2(uint32_t i, uint32_t dim) { return 31 - __clz(static_cast<int>(i ^ dim)); }

// fp32(1 / sqrt(2^h)).
__device__ __forceinline__ float InvSqrtPow2(int h) {
  float power = __uint_as_float(static_cast<uint32_t>(127 - (h >> 1)) << 23);  // 2^-(h/2)
  return (h & 1) ? power * 0.70710678118654752f : power;                       // exact scaling of one rounding
}

// In registers: r[j] is element base + (j << kShift). Does the stages kShift .. kShift + log2(kCount) - 1 where they
// belong to the element's block. kUniform: all of them do.
template <int kShift, bool kUniform, int kCount>
__device__ __forceinline__ void Butterflies(float (&r)[kCount], uint32_t base, uint32_t dim) {
  int h[kCount];
  if constexpr (!kUniform) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) h[j] = BlockLog2(base + (static_cast<uint32_t>(j) << kShift), dim);
  }
#pragma unroll
  for (int bit = 1, b = kShift; bit < kCount; bit <<= 1, ++b) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      if (j & bit) continue;
      const float x = r[j], y = r[j | bit];
      if (kUniform || b < h[j]) {
        r[j] = __fadd_rn(x, y);
        r[j | bit] = __fsub_rn(x, y);
      }
    }
  }
}

// All stages of kCount values, element j and j ^ bit for every bit.
template <int kCount>
__device__ __forceinline__ void Butterflies(float (&r)[kCount]) {
  Butterflies<0, true>(r, 0, 0);
}

// As above where only the first `inside` values lie in front of the row's end: a butterfly runs exactly if the aligned
// group of 2 * bit values around it does. (With a row cut into the powers of two of its length, largest first, an
// aligned group in front of the end lies inside one block, and one across the end in none.) Values behind the end are
// zero and stay so. One bit after the other by recursion: as three loops the compiler leaves some of 32 values rolled.
template <int kBit = 1, int kCount>
__device__ __forceinline__ void ButterfliesInside(float (&r)[kCount], int inside) {
  if constexpr (kBit < kCount) {
#pragma unroll
    for (int group = 0; group < kCount; group += 2 * kBit) {
      if (group + 2 * kBit > inside) continue;
#pragma unroll
      for (int j = group; j < group + kBit; ++j) {
        const float x = r[j], y = r[j | kBit];
        r[j] = __fadd_rn(x, y);
        r[j | kBit] = __fsub_rn(x, y);
      }
    }
    ButterfliesInside<2 * kBit>(r, inside);
  }
}

// A chunk of 4096 elements, 512 threads (t = 0..511), 8 elements each. On entry thread t holds elements 8t .. 8t+7
// of the chunk; on return elements t, t + 512, ..., t + 7 * 512. Four passes of three stages:
//   pass 1: stages 0-2, in registers (no block is smaller than 16)
//   pass 2: stages 3-5, after an exchange inside eight threads
//   pass 3: stages 6-8, after an exchange inside two warps
//   pass 4: stages 9-11, after an exchange across the block
// The exchanges wait for no more threads than that; two warps by the barriers 1 to 8.
// `shared` holds kChunkShared floats, 16-byte aligned; element e lies at ChunkSlot(e), which keeps banks apart in every
// pass and leaves 8 elements of a thread in two pieces of 16 bytes. `uniform`: the chunk lies inside blocks of at least
// 4096, so that every stage runs. Elements from `dim` on must be zero and stay zero.
//
// On return a thread may write the slots of its own elements without a barrier.
//
// The kernels that use this run once per launch, on few multiprocessors: what they cost is latency, instructions of a
// warp times some five cycles. Hence many threads with few elements (16 elements on 256 threads took 1.6 times as
// long on an H200), and one body with branches around the passes, not two bodies.
inline constexpr int kChunk = 4096;
inline constexpr int kChunkThreads = 512;
inline constexpr int kChunkRegs = kChunk / kChunkThreads;
inline constexpr int kChunkShared = kChunk + kChunk / 8;

__device__ __forceinline__ int ChunkSlot(int e) { return e + ((e >> 5) << 2); }

// Three stages over elements first + (j << kShift), `first` in the aligned group that starts at `group`.
template <int kShift>
__device__ __forceinline__ void ChunkPass(float (&r)[kChunkRegs], int group, int inside, bool uniform) {
  const int values = (inside - group) >> kShift;
  if (uniform || values >= kChunkRegs) {
    Butterflies(r);
  } else {
    ButterfliesInside(r, values);
  }
}

// kCount chunks at once, which share barriers; chunk c in r[c] and at shared + c * kChunkShared.
template <int kCount>
__device__ __forceinline__ void ChunksFwht(float (&r)[kCount][kChunkRegs], float* shared, uint32_t chunk_base,
                                           uint32_t dim, bool uniform, int t) {
  const int inside = static_cast<int>(dim - chunk_base);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
    Butterflies(r[c]);
    auto* own = reinterpret_cast<float4*>(shared + c * kChunkShared + ChunkSlot(8 * t));
    own[0] = make_float4(r[c][0], r[c][1], r[c][2], r[c][3]);
    own[1] = make_float4(r[c][4], r[c][5], r[c][6], r[c][7]);
  }
  __syncwarp();
  // Elements first + 8 j, + 64 j and + 512 j of the three passes lie at constant distances from the slot of the first.
  const int eighth = t >> 3, part = t >> 6;
  float* slot = shared + eighth * ChunkSlot(64) + (t & 7);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
#pragma unroll
    for (int j = 0; j < 8; ++j) r[c][j] = slot[c * kChunkShared + ChunkSlot(8 * j)];
    ChunkPass<3>(r[c], eighth * 64, inside, uniform);
#pragma unroll
    for (int j = 0; j < 8; ++j) slot[c * kChunkShared + ChunkSlot(8 * j)] = r[c][j];
  }
  ptx::SyncSome(1 + part, 64);
  slot = shared + part * ChunkSlot(512) + ChunkSlot(t & 63);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
#pragma unroll
    for (int j = 0; j < 8; ++j) r[c][j] = slot[c * kChunkShared + ChunkSlot(64 * j)];
    ChunkPass<6>(r[c], part * 512, inside, uniform);
#pragma unroll
    for (int j = 0; j < 8; ++j) slot[c * kChunkShared + ChunkSlot(64 * j)] = r[c][j];
  }
  __syncthreads();
  slot = shared + ChunkSlot(t);
#pragma unroll
  for (int c = 0; c < kCount; ++c) {
#pragma unroll
    for (int j = 0; j < 8; ++j) r[c][j] = slot[c * kChunkShared + ChunkSlot(512 * j)];
    ChunkPass<9>(r[c], 0, inside, uniform);
  }
}

__device__ __forceinline__ void ChunkFwht(float (&r)[kChunkRegs], float* shared, uint32_t chunk_base, uint32_t dim,
                                          bool uniform, int t) {
  ChunksFwht<1>(reinterpret_cast<float(&)[1][kChunkRegs]>(r), shared, chunk_base, dim, uniform, t);
}

}  // namespace glq
