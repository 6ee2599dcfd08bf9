// Many rows' Hadamard transforms, each by single thread blocks, shared by the input and the output side.
//
// With many tokens a multiprocessor is hardly ever idle, and instructions count besides latency: 16 elements a thread
// and up to 16384 a block take two thirds of the time of the clusters of rht.cuh, since nothing crosses blocks. (Rows
// of 4096 need no cluster there and are faster with 8 elements a thread. Of very many rows: rht_many.cuh.) A block of
// threads holds 2^n elements, n = 13 or 14, 2^n / 16 threads. Element bits of a thread's registers, passes and their
// stages:
//   pass 1: bits 0-2 and n-1,  stages 0-2      (two groups of 8 adjacent elements)
//   pass 2: bits 3-6,          stages 3-6
//   pass 3: bits 7-10,         stages 7-10
//   pass 4: bits 11..n-1 and the lowest ones,  stages 11..n-1
// so that a thread ends with W = 2^(15 - n) adjacent elements of every segment of 2048: register s * W + m is element
// 2048 s + W t + m.
#pragma once

#include <cstdint>

#include "common/fwht.cuh"

namespace glq::kernels {

inline constexpr int kBlockRegs = 16;
// Blocks of 8192 have the registers to load SV or SU before their wait: most launches that take them are short.
constexpr bool LoadsEarly(int log2) { return log2 == 13; }
inline constexpr int kSegment = 2048;
template <int kLog2>
inline constexpr int kBlockThreads = (1 << kLog2) / kBlockRegs;
template <int kLog2>
inline constexpr int kSegments = (1 << kLog2) / kSegment;
template <int kLog2>
inline constexpr int kAdjacent = kBlockRegs / kSegments<kLog2>;

// Keeps the banks of a warp's accesses apart in every pass, and pieces of 8 elements 16-byte aligned.
__device__ __forceinline__ constexpr int BlockSlot(int e) { return e + ((e >> 5) << 2) + ((e >> 8) << 3); }

// Shared memory of a block: elements, then the scale of every segment.
constexpr int BlockFloats(int log2) { return (1 << log2) + (1 << log2) / 8 + (1 << log2) / 32; }
constexpr int BlockBytes(int log2) { return (BlockFloats(log2) + 8) * 4; }

// A thread's elements after the transform, from and to their slots.
template <int kLog2>
__device__ __forceinline__ void LoadAdjacent(float (&r)[kBlockRegs], const float* shared, int t) {
  constexpr int kW = kAdjacent<kLog2>;
  const float* slot = shared + BlockSlot(kW * t);
#pragma unroll
  for (int j = 0; j < kBlockRegs; j += kW) {
    const float* from = slot + BlockSlot(j / kW * kSegment);
    if constexpr (kW == 2) {
      *reinterpret_cast<float2*>(r + j) = *reinterpret_cast<const float2*>(from);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4)
        *reinterpret_cast<float4*>(r + j + m) = *reinterpret_cast<const float4*>(from + m);
    }
  }
}
template <int kLog2>
__device__ __forceinline__ void StoreAdjacent(const float (&r)[kBlockRegs], float* shared, int t) {
  constexpr int kW = kAdjacent<kLog2>;
  float* slot = shared + BlockSlot(kW * t);
#pragma unroll
  for (int j = 0; j < kBlockRegs; j += kW) {
    float* to = slot + BlockSlot(j / kW * kSegment);
    if constexpr (kW == 2) {
      *reinterpret_cast<float2*>(to) = make_float2(r[j], r[j + 1]);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4) {
        *reinterpret_cast<float4*>(to + m) = make_float4(r[j + m], r[j + m + 1], r[j + m + 2], r[j + m + 3]);
      }
    }
  }
}

template <int kCount>
__device__ __forceinline__ void BlockPass(float (&r)[kCount], int values) {
  if (values >= kCount) {
    Butterflies(r);
  } else {
    ButterfliesInside(r, values);
  }
}

// The stages of a pass over the elements that lie kStep apart, from and to their slots.
template <int kStep>
__device__ __forceinline__ void SlotsPass(float (&r)[kBlockRegs], float* slot, int values) {
#pragma unroll
  for (int j = 0; j < kBlockRegs; ++j) r[j] = slot[BlockSlot(kStep * j)];
  BlockPass(r, values);
#pragma unroll
  for (int j = 0; j < kBlockRegs; ++j) slot[BlockSlot(kStep * j)] = r[j];
  __syncthreads();
}

// Elements base .. base + 2^kLog2 - 1 of a row of dim, `base` a multiple of 2^kLog2. On entry register j is element
// 8t + j, register 8 + j element 2^kLog2 / 2 + 8t + j, zeros from dim on; on return as above, with the scale, and the
// slots of its elements are the thread's to write without a barrier.
template <int kLog2>
__device__ __forceinline__ void BlockFwht(float (&r)[kBlockRegs], float* shared, int base, int dim, int t) {
  constexpr int kHalf = 1 << (kLog2 - 1), kW = kAdjacent<kLog2>, kS = kSegments<kLog2>;
  const int inside = dim - base;
  float* scales = shared + BlockFloats(kLog2);
  if (t < kS) {
    // One block holds all of a segment in front of the row's end; a segment across it is scaled below.
    const bool whole = (t + 1) * kSegment <= inside;
    scales[t] =
        whole ? InvSqrtPow2(BlockLog2(static_cast<uint32_t>(base + t * kSegment), static_cast<uint32_t>(dim))) : 1.0f;
  }
  float* slot = shared + BlockSlot(8 * t);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float part[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) part[j] = r[8 * half + j];
    Butterflies(part);
    auto* to = reinterpret_cast<float4*>(slot + half * BlockSlot(kHalf));
    to[0] = make_float4(part[0], part[1], part[2], part[3]);
    to[1] = make_float4(part[4], part[5], part[6], part[7]);
  }
  __syncthreads();
  SlotsPass<8>(r, shared + BlockSlot((t >> 3) * 128) + (t & 7), (inside - (t >> 3) * 128) >> 3);
  SlotsPass<128>(r, shared + BlockSlot((t >> 7) * 2048) + BlockSlot(t & 127), (inside - (t >> 7) * 2048) >> 7);
  LoadAdjacent<kLog2>(r, shared, t);
  const int segments = inside / kSegment;
#pragma unroll
  for (int m = 0; m < kW; ++m) {
    float part[kS];
#pragma unroll
    for (int s = 0; s < kS; ++s) part[s] = r[s * kW + m];
    BlockPass(part, segments);
#pragma unroll
    for (int s = 0; s < kS; ++s) r[s * kW + m] = part[s];
  }
  if (segments < kS && inside % kSegment != 0) {
#pragma unroll
    for (int j = 0; j < kBlockRegs; ++j) {
      const int i = base + j / kW * kSegment + kW * t + j % kW;
      if (j / kW == segments)
        r[j] = __fmul_rn(r[j], InvSqrtPow2(BlockLog2(static_cast<uint32_t>(i), static_cast<uint32_t>(dim))));
    }
  }
#pragma unroll
  for (int s = 0; s < kS; ++s) {
    const float scale = scales[s];
#pragma unroll
    for (int m = 0; m < kW; ++m) r[s * kW + m] = __fmul_rn(r[s * kW + m], scale);
  }
}

}  // namespace glq::kernels
