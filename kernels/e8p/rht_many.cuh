// Very many rows' Hadamard transforms, a single thread block for each, shared by the input and the output side.
//
// With so many rows a multiprocessor is never idle, and what counts is instructions and the traffic of shared memory,
// not latency: 32 elements a thread are exchanged twice, where 16 (rht_block.cuh) and 8 (rht.cuh) are three times.
//
// A block of threads holds 2^n elements of a row, n = 12 to 14, 2^n / 32 threads, a warp for each segment of 1024.
// Element bits of a thread's registers, passes and their stages:
//   pass 1: bits 0-4                      stages 0-4     32 adjacent elements
//   pass 2: bits 5-9                      stages 5-9     elements 32 apart in the warp's segment
//   pass 3: bits 10..n-1 and the lowest   stages 10..n-1
// A thread ends with W = 2^(15 - n) adjacent elements of every segment: register s * W + m is element 1024 s + W t + m.
//
// A row, and what it is multiplied by, comes by cp.async, in 16-byte pieces that are neighbours in memory: as loads of
// a thread's own elements they would lie 64 or 128 bytes apart between lanes, and what the L1 takes for that bounds a
// kernel of this kind.
#pragma once

#include <cstdint>

#include "common/fwht.cuh"
#include "common/ptx.cuh"

namespace glq::kernels::many {

inline constexpr int kRegs = 32;
inline constexpr int kSegment = 1024;
inline constexpr int kThreadsPerMultiprocessor = 1024;  // 64 registers each
template <int kLog2>
inline constexpr int kThreads = (1 << kLog2) / kRegs;
template <int kLog2>
inline constexpr int kSegments = (1 << kLog2) / kSegment;
template <int kLog2>
inline constexpr int kAdjacent = kRegs / kSegments<kLog2>;

// --- Shared memory ---
// Elements, then as many fp16 of SV or SU, then the scale of every segment.

constexpr int SharedBytes(int log2) { return (6 << log2) + (1 << log2) / kSegment * 4; }
__device__ __forceinline__ uint8_t* Vector(float* shared, int log2) {
  return reinterpret_cast<uint8_t*>(shared + (1 << log2));
}
__device__ __forceinline__ float* Scales(float* shared, int log2) {
  return reinterpret_cast<float*>(Vector(shared, log2) + (2 << log2));
}

// Where an element lies: 32 of them are 8 pieces of 16 bytes, which change places by the number of the 32, so that the
// banks of a warp's accesses are different ones in every pass.
__device__ __forceinline__ constexpr int Slot(int e) { return e ^ (((e >> 5) & 7) << 2); }

__device__ __forceinline__ void StoreFour(float* to, const float* r) {
  *reinterpret_cast<float4*>(to) = make_float4(r[0], r[1], r[2], r[3]);
}
__device__ __forceinline__ void LoadFour(float* r, const float* from) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
}

// --- A warp's segment on its way in ---
// All of these are followed by CopyAsyncCommit(), CopyAsyncWait() and __syncwarp(); sources are 16-byte aligned.

// fp32, every element to its slot; zeros from `inside` on, a multiple of 4.
__device__ __forceinline__ void StageFloats(float* segment, const float* from, int inside, int lane) {
  const uint32_t slot = 4 * Slot(4 * lane), to = ptx::SharedAddress(segment), even = to + slot, odd = to + (slot ^ 64);
#pragma unroll
  for (int i = 0; i < kRegs / 4; ++i) {
    const int first = 128 * i + 4 * lane;
    ptx::CopyAsync16((i % 2 == 0 ? even : odd) + 512 * i, first < inside ? from + first : from, first < inside);
  }
}

// 16-bit elements, in 2 KiB, zeros from `inside` on, a multiple of 8. kApart: piece p of 8 elements to StagedPiece(p),
// which keeps banks apart when a thread reads its four; otherwise as they lie in memory.
__device__ __forceinline__ constexpr int StagedPiece(int p) { return p ^ ((p >> 3) & 3); }
template <bool kApart>
__device__ __forceinline__ void StageHalves(void* staged, const uint16_t* from, int inside, int lane) {
  const uint32_t to = ptx::SharedAddress(staged) + 16 * (kApart ? StagedPiece(lane) : lane);
#pragma unroll
  for (int i = 0; i < kRegs / 8; ++i) {
    const int first = 256 * i + 8 * lane;
    ptx::CopyAsync16(to + 512 * i, first < inside ? from + first : from, first < inside);
  }
}
// Elements 8i .. 8i + 7 of a thread's 32, kept apart.
__device__ __forceinline__ uint4 StagedEight(const void* staged, int i, int lane) {
  return static_cast<const uint4*>(staged)[StagedPiece(4 * lane) ^ i];
}

// --- The transform ---

// What a block transforms: elements base .. base + 2^kLog2 - 1 of a row of dim, `base` a multiple of 2^kLog2.
struct Place {
  int base, dim, t;
  __device__ __forceinline__ int lane() const { return t & 31; }
  __device__ __forceinline__ int warp() const { return t >> 5; }
  __device__ __forceinline__ int inside() const { return dim - base; }
  // All elements are one Hadamard block: a smaller one would lie behind it.
  template <int kLog2>
  __device__ __forceinline__ bool whole() const {
    return inside() >= 1 << kLog2;
  }
};

// Scales of the segments that lie in one Hadamard block each. Read after the first barrier.
template <int kLog2>
__device__ __forceinline__ void PrepareScales(float* shared, const Place& at) {
  if (at.t < kSegments<kLog2>) {
    const auto first = static_cast<uint32_t>(at.base + at.t * kSegment);
    Scales(shared, kLog2)[at.t] =
        (at.t + 1) * kSegment <= at.inside() ? InvSqrtPow2(BlockLog2(first, static_cast<uint32_t>(at.dim))) : 1.0f;
  }
}

template <int kCount>
__device__ __forceinline__ void Pass(float (&r)[kCount], bool whole, int values) {
  if (whole || values >= kCount) {
    Butterflies(r);
  } else {
    ButterfliesInside(r, values);
  }
}

// The thread's own 32 elements, from their slots.
__device__ __forceinline__ void LoadOwn(float (&r)[kRegs], const float* shared, int t) {
  const int own = Slot(kRegs * t);
#pragma unroll
  for (int j = 0; j < kRegs; j += 4) LoadFour(r + j, shared + (own ^ j));
}

// Passes 1 and 2. On entry register j is element 32t + j, zero from dim on; on return all elements are in their slots,
// for other warps to read behind a barrier.
template <int kLog2>
__device__ __forceinline__ void FirstPasses(float (&r)[kRegs], float* shared, const Place& at) {
  const bool whole = at.whole<kLog2>();
  Pass(r, whole, at.inside() - kRegs * at.t);
  const int own = Slot(kRegs * at.t);
#pragma unroll
  for (int j = 0; j < kRegs; j += 4) StoreFour(shared + (own ^ j), r + j);
  __syncwarp();
  float* segment = shared + kSegment * at.warp();
#pragma unroll
  for (int j = 0; j < kRegs; ++j) r[j] = segment[32 * j + (at.lane() ^ ((j & 7) << 2))];
  Pass(r, whole, (at.inside() - kSegment * at.warp()) >> 5);
#pragma unroll
  for (int j = 0; j < kRegs; ++j) segment[32 * j + (at.lane() ^ ((j & 7) << 2))] = r[j];
}

// A thread's elements of pass 3, from and to their slots, which no other thread reads in it.
template <int kLog2>
__device__ __forceinline__ void LoadAdjacent(float (&r)[kRegs], const float* shared, int t) {
  constexpr int kW = kAdjacent<kLog2>;
  const int slot = Slot(kW * t);  // in the first segment: the others lie at constant distances
#pragma unroll
  for (int j = 0; j < kRegs; j += kW) {
    const float* segment = shared + j / kW * kSegment;
    if constexpr (kW == 2) {
      const float2 v = *reinterpret_cast<const float2*>(segment + slot);
      r[j] = v.x, r[j + 1] = v.y;
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4) LoadFour(r + j + m, segment + (slot ^ m));
    }
  }
}
template <int kLog2>
__device__ __forceinline__ void StoreAdjacent(const float (&r)[kRegs], float* shared, int t) {
  constexpr int kW = kAdjacent<kLog2>;
  const int slot = Slot(kW * t);
#pragma unroll
  for (int j = 0; j < kRegs; j += kW) {
    float* segment = shared + j / kW * kSegment;
    if constexpr (kW == 2) {
      *reinterpret_cast<float2*>(segment + slot) = make_float2(r[j], r[j + 1]);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4) StoreFour(segment + (slot ^ m), r + j + m);
    }
  }
}

// Pass 3, with the scale.
template <int kLog2>
__device__ __forceinline__ void LastPass(float (&r)[kRegs], float* shared, const Place& at) {
  constexpr int kW = kAdjacent<kLog2>, kS = kSegments<kLog2>;
  const bool whole = at.whole<kLog2>();
  const int segments = at.inside() / kSegment;
#pragma unroll
  for (int m = 0; m < kW; ++m) {
    float part[kS];
#pragma unroll
    for (int s = 0; s < kS; ++s) part[s] = r[s * kW + m];
    Pass(part, whole, segments);
#pragma unroll
    for (int s = 0; s < kS; ++s) r[s * kW + m] = part[s];
  }
  if (whole) {
    const float scale = InvSqrtPow2(kLog2);
#pragma unroll
    for (int j = 0; j < kRegs; ++j) r[j] = __fmul_rn(r[j], scale);
    return;
  }
#pragma unroll
  for (int s = 0; s < kS; ++s) {
    const float scale = Scales(shared, kLog2)[s];
#pragma unroll
    for (int m = 0; m < kW; ++m) {
      float factor = scale;
      if (s == segments) {  // across the row's end: element by element
        const int i = at.base + s * kSegment + kW * at.t + m;
        factor = InvSqrtPow2(BlockLog2(static_cast<uint32_t>(i), static_cast<uint32_t>(at.dim)));
      }
      r[s * kW + m] = __fmul_rn(r[s * kW + m], factor);
    }
  }
}

}  // namespace glq::kernels::many
