// Very many rows' Hadamard transforms, shared by the input and the output side. On the input side a row is one thread
// block, on the output side what lies behind its largest Hadamard block is another one.
//
// With so many rows a multiprocessor is never idle, and what counts is instructions and the traffic of shared memory,
// not latency: 32 elements a thread are exchanged twice, where 16 (rht_block.cuh) and 8 (rht.cuh) are three times.
//
// A warp for each segment of 1024 elements. Element bits of a thread's registers, passes and their stages, in a
// Hadamard block of 2^n elements:
//   pass 1: bits 0-4                      stages 0-4     32 adjacent elements
//   pass 2: bits 5-9                      stages 5-9     elements 32 apart in the warp's segment
//   pass 3: bits 10..n-1 and the lowest   stages 10..n-1
// A thread ends with W = 2^(15 - n) adjacent elements of every segment of the block: register s * W + m is element
// 1024 s + W t + m of it. Hadamard blocks of less than 1024 lie in the last segment, for which there is no pass 3.
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
inline constexpr int kMaxThreads = 1024;  // with 64 registers each what a multiprocessor holds
// Of a block for rows of up to `dim` elements, less than 32768.
inline constexpr unsigned Warps(int64_t dim) { return static_cast<unsigned>((dim + kSegment - 1) / kSegment); }

// --- Shared memory ---
// Segment after segment: its elements, then as many fp16 of SV or SU.
inline constexpr int kSegmentBytes = 6 * kSegment;
inline constexpr int kSegmentFloats = kSegmentBytes / 4;
constexpr size_t SharedBytes(unsigned warps) { return size_t{warps} * kSegmentBytes; }

// Where an element of a segment lies: 32 of them are 8 pieces of 16 bytes, which change places by the number of the 32,
// so that the banks of a warp's accesses are different ones in every pass.
__device__ __forceinline__ constexpr int Slot(int e) { return e ^ (((e >> 5) & 7) << 2); }

__device__ __forceinline__ void StoreFour(float* to, const float* r) {
  *reinterpret_cast<float4*>(to) = make_float4(r[0], r[1], r[2], r[3]);
}
__device__ __forceinline__ void LoadFour(float* r, const float* from) {
  const float4 v = *reinterpret_cast<const float4*>(from);
  r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
}

// A warp's part of a row, elements first .. first + 1023, at `segment`, where a thread block has the row from `base`
// on. kWhole: it is known when the kernel is compiled that all segments are whole.
template <bool kWhole>
struct Part {
  float* segment;
  int base, first, dim, warp, lane;
  __device__ __forceinline__ Part(float* shared, int base, int dim, int t)
      : segment(shared + (t >> 5) * kSegmentFloats),
        base(base),
        first(base + (t >> 5) * kSegment),
        dim(dim),
        warp(t >> 5),
        lane(t & 31) {}

  __device__ __forceinline__ int inside() const { return dim - first; }
  // All of it lies in front of the row's end, and therefore in one Hadamard block.
  __device__ __forceinline__ bool whole() const { return kWhole || inside() >= kSegment; }
  __device__ __forceinline__ uint8_t* halves() const { return reinterpret_cast<uint8_t*>(segment + kSegment); }
};

// --- A segment on its way in ---
// All of these are followed by CopyAsyncCommit(), CopyAsyncWait() and __syncwarp(); sources are 16-byte aligned.

// fp32, every element to its slot; zeros from `inside` on, a multiple of 4.
__device__ __forceinline__ void StageFloats(float* segment, const float* from, int inside, int lane) {
  const uint32_t slot = 4 * Slot(4 * lane), to = ptx::SharedAddress(segment), even = to + slot, odd = to + (slot ^ 64);
  const float* mine = from + 4 * lane;
  if (inside >= kSegment) {
#pragma unroll
    for (int i = 0; i < kRegs / 4; ++i) ptx::CopyAsync16((i % 2 == 0 ? even : odd) + 512 * i, mine + 128 * i, true);
    return;
  }
#pragma unroll 1
  for (int i = 0; i < kRegs / 4; ++i) {
    const bool there = 128 * i + 4 * lane < inside;
    ptx::CopyAsync16((i % 2 == 0 ? even : odd) + 512 * i, there ? mine + 128 * i : from, there);
  }
}

// 16-bit elements, in 2 KiB, zeros from `inside` on, a multiple of 8. kApart: piece p of 8 elements to StagedPiece(p),
// which keeps banks apart when a thread reads its four; otherwise as they lie in memory.
__device__ __forceinline__ constexpr int StagedPiece(int p) { return p ^ ((p >> 3) & 3); }
template <bool kApart>
__device__ __forceinline__ void StageHalves(void* staged, const uint16_t* from, int inside, int lane) {
  const uint32_t to = ptx::SharedAddress(staged) + 16 * (kApart ? StagedPiece(lane) : lane);
  const uint16_t* mine = from + 8 * lane;
  if (inside >= kSegment) {
#pragma unroll
    for (int i = 0; i < kRegs / 8; ++i) ptx::CopyAsync16(to + 512 * i, mine + 256 * i, true);
    return;
  }
#pragma unroll 1
  for (int i = 0; i < kRegs / 8; ++i) {
    const bool there = 256 * i + 8 * lane < inside;
    ptx::CopyAsync16(to + 512 * i, there ? mine + 256 * i : from, there);
  }
}
// Elements 8i .. 8i + 7 of a thread's 32, kept apart.
__device__ __forceinline__ uint4 StagedEight(const void* staged, int i, int lane) {
  return static_cast<const uint4*>(staged)[StagedPiece(4 * lane) ^ i];
}

// A thread's own 32 elements, from their slots.
template <bool kWhole>
__device__ __forceinline__ void LoadOwn(float (&r)[kRegs], const Part<kWhole>& part) {
  const int own = Slot(kRegs * part.lane);
#pragma unroll
  for (int j = 0; j < kRegs; j += 4) LoadFour(r + j, part.segment + (own ^ j));
}

// --- The transform ---

// `values`: how many lie in front of the row's end.
__device__ __forceinline__ void Pass(float (&r)[kRegs], bool whole, int values) {
  if (whole || values >= kRegs) {
    Butterflies(r);
  } else {
    ButterfliesInside(r, values);
  }
}

// Passes 1 and 2. On entry register j is element 32 * lane + j of the segment, zero from dim on (or all of the row is
// NaN); on return all are in their slots, for other warps to read behind a barrier. A segment across the row's end is
// done then, with its scale.
template <bool kWhole>
__device__ __forceinline__ void FirstPasses(float (&r)[kRegs], const Part<kWhole>& part) {
  Pass(r, part.whole(), part.inside() - kRegs * part.lane);
  const int own = Slot(kRegs * part.lane);
#pragma unroll
  for (int j = 0; j < kRegs; j += 4) StoreFour(part.segment + (own ^ j), r + j);
  __syncwarp();
#pragma unroll
  for (int j = 0; j < kRegs; ++j) r[j] = part.segment[32 * j + (part.lane ^ ((j & 7) << 2))];
  Pass(r, part.whole(), part.inside() >> 5);
#pragma unroll
  for (int j = 0; j < kRegs; ++j) part.segment[32 * j + (part.lane ^ ((j & 7) << 2))] = r[j];
  if (part.whole()) return;
#pragma unroll 1
  for (int e = part.lane; e < part.inside(); e += 32) {  // what the thread has just stored
    const int log2 = BlockLog2(static_cast<uint32_t>(part.first + e), static_cast<uint32_t>(part.dim));
    float& v = part.segment[Slot(e)];
    v = __fmul_rn(v, InvSqrtPow2(log2));
  }
}

// What a thread has in pass 3 of 2^kLog2 elements whose first segment is at `block`, `t` the thread's number among
// those that have a part of them.
template <int kLog2>
struct LastPass {
  static constexpr int kSegments = (1 << kLog2) / kSegment, kAdjacent = kRegs / kSegments;
  float r[kRegs];
  float* block;
  int own;  // its first element

  // Of register j from there.
  static __device__ __forceinline__ constexpr int Offset(int j) { return j / kAdjacent * kSegment + j % kAdjacent; }

  __device__ __forceinline__ LastPass(float* block, int t) : block(block), own(kAdjacent * t) {
    const int slot = Slot(own);  // its elements of the other segments have the same place in them
#pragma unroll
    for (int s = 0; s < kSegments; ++s) {
      const float* segment = block + s * kSegmentFloats;
      if constexpr (kAdjacent == 2) {
        const float2 v = *reinterpret_cast<const float2*>(segment + slot);
        r[2 * s] = v.x, r[2 * s + 1] = v.y;
      } else {
#pragma unroll
        for (int m = 0; m < kAdjacent; m += 4) LoadFour(r + s * kAdjacent + m, segment + (slot ^ m));
      }
    }
  }

  // One Hadamard block, with its scale.
  __device__ __forceinline__ void Transform() {
    const float scale = InvSqrtPow2(kLog2);
#pragma unroll
    for (int m = 0; m < kAdjacent; ++m) {
      float across[kSegments];
#pragma unroll
      for (int s = 0; s < kSegments; ++s) across[s] = r[s * kAdjacent + m];
      Butterflies(across);
#pragma unroll
      for (int s = 0; s < kSegments; ++s) r[s * kAdjacent + m] = __fmul_rn(across[s], scale);
    }
  }

  // Several, in the first `whole` segments (fwht.cuh, ButterfliesInside), with the scale of each segment. All branches
  // are the same for the whole block of threads.
  __device__ __forceinline__ void Transform(int whole, const float* scales) {
    StagesInside(whole);
#pragma unroll
    for (int s = 0; s < kSegments; ++s) {
      const float scale = scales[s];
#pragma unroll
      for (int m = 0; m < kAdjacent; ++m) r[s * kAdjacent + m] = __fmul_rn(r[s * kAdjacent + m], scale);
    }
  }
  template <int kBit = 1>
  __device__ __forceinline__ void StagesInside(int whole) {
    if constexpr (kBit < kSegments) {
#pragma unroll
      for (int group = 0; group < kSegments; group += 2 * kBit) {
        if (group + 2 * kBit > whole) continue;
#pragma unroll
        for (int j = group * kAdjacent; j < (group + kBit) * kAdjacent; ++j) {
          const float x = r[j], y = r[j + kBit * kAdjacent];
          r[j] = __fadd_rn(x, y);
          r[j + kBit * kAdjacent] = __fsub_rn(x, y);
        }
      }
      StagesInside<2 * kBit>(whole);
    }
  }

  // Back to their slots, which no other thread has read in this pass.
  __device__ __forceinline__ void Store() const {
    const int slot = Slot(own);
#pragma unroll
    for (int s = 0; s < kSegments; ++s) {
      float* segment = block + s * kSegmentFloats;
      if constexpr (kAdjacent == 2) {
        *reinterpret_cast<float2*>(segment + slot) = make_float2(r[2 * s], r[2 * s + 1]);
      } else {
#pragma unroll
        for (int m = 0; m < kAdjacent; m += 4) StoreFour(segment + (slot ^ m), r + s * kAdjacent + m);
      }
    }
  }
};

}  // namespace glq::kernels::many
