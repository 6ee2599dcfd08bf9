// Walsh-Hadamard butterflies over the checkpoint's blocks, in ascending stride.
//
// A padded dimension D is cut into the powers of two of its binary expansion, largest first. The block
// of element i < D is then found without a table: its size is 2^h with h the highest bit in which i
// and D differ, and every block starts at a multiple of its size. So the stage with stride 2^b touches
// element i exactly if b < h(i), and its partner is i ^ 2^b.
#pragma once

#include <cstdint>

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

// A chunk of 4096 elements, 256 threads (t = 0..255), 16 elements each. On entry thread t holds elements 16t .. 16t+15
// of the chunk; on return elements t, t + 256, ..., t + 15 * 256. Three passes of four stages:
//   pass 1: stages 0-3, in registers (no block is smaller than 16)
//   pass 2: stages 4-7, after an exchange inside each half warp
//   pass 3: stages 8-11, after an exchange across the block
// `shared` holds kChunkShared floats; element e lies at e + e / 16, which keeps banks apart. `uniform`: the chunk lies
// inside blocks of at least 4096, so that every stage runs.
//
// The kernels that use this run once per launch, so that what they cost is latency: instruction cache misses
// among it. Hence one body with branches around the passes, not two bodies.
inline constexpr int kChunk = 4096;
inline constexpr int kChunkThreads = 256;
inline constexpr int kChunkShared = kChunk + kChunk / 16;

__device__ __forceinline__ int ChunkSlot(int e) { return e + (e >> 4); }

__device__ __forceinline__ void ChunkFwht(float (&r)[16], float* shared, uint32_t chunk_base, uint32_t dim, bool uniform,
                                          int t) {
  Butterflies<0, true>(r, 0, dim);
#pragma unroll
  for (int j = 0; j < 16; ++j) shared[17 * t + j] = r[j];
  __syncwarp();
  // Element second + 16 j lies at ChunkSlot(second) + 17 j, element t + 256 j at ChunkSlot(t) + 272 j.
  const int second = (t >> 4) * 256 + (t & 15), second_slot = ChunkSlot(second);
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = shared[second_slot + 17 * j];
  if (uniform) {
    Butterflies<4, true>(r, 0, dim);
  } else {
    Butterflies<4, false>(r, chunk_base + second, dim);
  }
#pragma unroll
  for (int j = 0; j < 16; ++j) shared[second_slot + 17 * j] = r[j];
  __syncthreads();
  const int third_slot = ChunkSlot(t);
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = shared[third_slot + 272 * j];
  if (uniform) {
    Butterflies<8, true>(r, 0, dim);
  } else {
    Butterflies<8, false>(r, chunk_base + t, dim);
  }
}

}  // namespace glq
