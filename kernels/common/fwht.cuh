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

// In registers: r[j] is element index(j) = base + (j << kShift), j the bits kShift.. of the index. Does the
// stages kShift .. kShift + log2(kCount) - 1 where they belong to the element's block. kUniform: all of
// them do.
template <int kShift, int kCount, bool kUniform>
__device__ __forceinline__ void Butterflies(float (&r)[kCount], uint32_t base, uint32_t dim) {
#pragma unroll
  for (int bit = 1, b = kShift; bit < kCount; bit <<= 1, ++b) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      if (j & bit) continue;
      const bool active = kUniform || b < BlockLog2(base + (static_cast<uint32_t>(j) << kShift), dim);
      const float a = r[j], c = r[j | bit];
      if (active) {
        r[j] = __fadd_rn(a, c);
        r[j | bit] = __fsub_rn(a, c);
      }
    }
  }
}

// A chunk of 4096 elements, 256 threads, 16 elements each. On entry thread t holds elements 16t .. 16t+15
// of the chunk; on return elements t, t + 256, ..., t + 15 * 256. Three passes of four stages:
//   pass 1: stages 0-3, in registers
//   pass 2: stages 4-7, after an exchange inside each half warp
//   pass 3: stages 8-11, after an exchange across the block
// `shared` holds kChunkShared floats; element e lies at e + e / 16, which keeps banks apart.
inline constexpr int kChunk = 4096;
inline constexpr int kChunkThreads = 256;
inline constexpr int kChunkShared = kChunk + kChunk / 16;

__device__ __forceinline__ int ChunkSlot(int e) { return e + (e >> 4); }

template <bool kUniform>
__device__ __forceinline__ void ChunkFwht(float (&r)[16], float* shared, uint32_t chunk_base, uint32_t dim) {
  const int t = static_cast<int>(threadIdx.x);
  Butterflies<0, 16, kUniform>(r, chunk_base + 16 * t, dim);
#pragma unroll
  for (int j = 0; j < 16; ++j) shared[ChunkSlot(16 * t + j)] = r[j];
  __syncwarp();
  const int second = (t >> 4) * 256 + (t & 15);
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = shared[ChunkSlot(second + 16 * j)];
  Butterflies<4, 16, kUniform>(r, chunk_base + second, dim);
#pragma unroll
  for (int j = 0; j < 16; ++j) shared[ChunkSlot(second + 16 * j)] = r[j];
  __syncthreads();
#pragma unroll
  for (int j = 0; j < 16; ++j) r[j] = shared[ChunkSlot(t + 256 * j)];
  Butterflies<8, 16, kUniform>(r, chunk_base + t, dim);
}

}  // namespace glq
