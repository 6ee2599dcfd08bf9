// The input side inside the product: every block transforms the token for itself (numerics: steps 1 to 4).
//
// For one token that is cheaper than a launch of its own: the work repeats in every block, but it runs while the
// block's first weights are on their way. 512 threads, up to four chunks of 4096 elements, two at a time:
//
//   1. stages 0..11 of each chunk by a half of the block
//   2. chunks meet in shared memory: a thread takes columns t, t + 512, ... of all of them for stages 12 and 13
//   3. maximum, integers, digits into shared memory in the layout of params.h
#pragma once

#include <cstdint>

#include "common/fwht.cuh"
#include "e8p/digits.cuh"
#include "e8p/load_row.cuh"
#include "e8p/params.h"

namespace glq::kernels {

inline constexpr int kFusedThreads = 512;
inline constexpr int kFusedMaxChunks = 4;

// Shared memory besides the digits: a buffer per chunk, and a few words.
constexpr uint32_t FusedScratchBytes(int64_t dim) {
  const int64_t chunks = (dim + kChunk - 1) / kChunk;
  return static_cast<uint32_t>((chunks <= 2 ? 2 : kFusedMaxChunks) * kChunkShared * 4 + 256);
}

// kChunks: 1, 2 or 4.
template <int kChunks>
__device__ __forceinline__ void TransformToDigits(const InputRow& row, int dim, uint8_t* scratch, uint8_t* digits,
                                                  TokenHeader* header) {
  constexpr int kValues = kChunks == 1 ? 16 : 8 * kChunks;
  auto* buffers = reinterpret_cast<float*>(scratch);
  auto* words = reinterpret_cast<uint32_t*>(buffers + (kChunks <= 2 ? 2 : kFusedMaxChunks) * kChunkShared);
  const int thread = static_cast<int>(threadIdx.x), half = thread >> 8, t = thread & 255;
  const auto udim = static_cast<uint32_t>(dim);

  float v[kValues];
#pragma unroll 1
  for (int round = 0; round < (kChunks + 1) / 2; ++round) {
    const int chunk = 2 * round + half;
    float* buffer = buffers + chunk * kChunkShared;
    float r[16];
    LoadRow(row, chunk, t, r);
    const uint32_t end = (static_cast<uint32_t>(chunk) + 1) * kChunk;
    ChunkFwht(r, buffer, static_cast<uint32_t>(chunk) * kChunk, udim, end <= udim && BlockLog2(end - 1, udim) >= 12, t);
    if constexpr (kChunks == 1) {
#pragma unroll
      for (int j = 0; j < 16; ++j) v[j] = r[j];
    } else {
      __syncthreads();
#pragma unroll
      for (int j = 0; j < 16; ++j) buffer[t + 256 * j] = r[j];
    }
  }
  if (thread < 2) words[32 + thread] = 0;
  if constexpr (kChunks > 1) {
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 8; ++m) {
      const int column = thread + kFusedThreads * m;
      float part[kChunks];
#pragma unroll
      for (int s = 0; s < kChunks; ++s) part[s] = buffers[s * kChunkShared + column];
      Butterflies<12, false>(part, static_cast<uint32_t>(column), udim);
#pragma unroll
      for (int s = 0; s < kChunks; ++s) v[m * kChunks + s] = part[s];
    }
  }
  // Register m * kChunks + s is element s * 4096 + column(m).
  const auto element = [&](int j) {
    return kChunks == 1 ? t + 256 * j : (j % kChunks) * kChunk + thread + kFusedThreads * (j / kChunks);
  };
  const bool mine = kChunks > 1 || half == 0;
  const bool power = (dim & (dim - 1)) == 0;
  const float scale_all = InvSqrtPow2(31 - __clz(dim));
  uint32_t max_bits = 0;
#pragma unroll
  for (int j = 0; j < kValues; ++j) {
    v[j] = __fmul_rn(v[j], power ? scale_all : InvSqrtPow2(BlockLog2(static_cast<uint32_t>(element(j)), udim)));
    max_bits = max(max_bits, mine && element(j) < dim ? __float_as_uint(v[j]) & 0x7FFFFFFFu : 0u);
  }
  max_bits = __reduce_max_sync(0xFFFFFFFFu, max_bits);
  if ((thread & 31) == 0) words[thread >> 5] = max_bits;
  __syncthreads();
  max_bits = __reduce_max_sync(0xFFFFFFFFu, words[thread & 15]);
  const RowScale scale = ScaleOfRow(max_bits);
  int sum_hi = 0, sum_lo = 0;
#pragma unroll
  for (int j = 0; j < kValues; ++j) {
    const int i = element(j);
    if (mine && i < dim) {
      const Digits d = SplitDigits(v[j], scale);
      const int at = (i >> 6) * 128 + DigitByte(i & 63);
      digits[at] = static_cast<uint8_t>(d.hi);
      digits[at + 64] = static_cast<uint8_t>(d.lo);
      sum_hi += d.hi;
      sum_lo += d.lo;
    }
  }
  if (header != nullptr) {  // the same for the whole block
    sum_hi = __reduce_add_sync(0xFFFFFFFFu, sum_hi);
    sum_lo = __reduce_add_sync(0xFFFFFFFFu, sum_lo);
    if ((thread & 31) == 0) {
      atomicAdd(reinterpret_cast<int*>(words + 32), sum_hi);
      atomicAdd(reinterpret_cast<int*>(words + 33), sum_lo);
    }
    __syncthreads();
    if (thread < kMaxClusterChunks) {
      header->digit_sums[thread] = thread == 0 ? make_int2(static_cast<int>(words[32]), static_cast<int>(words[33])) : make_int2(0, 0);
    }
    if (thread == 0) {
      header->t = scale.t;
      header->kind = scale.kind;
    }
  }
}

}  // namespace glq::kernels
