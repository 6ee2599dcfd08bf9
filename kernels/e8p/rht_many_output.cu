// The output side for very many rows in fp32: y_rht -> B -> * SU + bias -> y (numerics: step 7).
//
//   before the wait   SU on its way into shared memory
//   behind it         y_rht into shared memory; passes 1 and 2 | barrier | pass 3, SU, bias, y
//
// See rht_many.cuh for the transform. grid: (rows, weights of a group, parts of a row).
#include <algorithm>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/combine.cuh"
#include "e8p/launch.h"
#include "e8p/rht_many.cuh"

namespace glq::kernels {

using namespace many;

namespace {

template <int kLog2>
inline constexpr int kThreads = (1 << kLog2) / kRegs;
// Adjacent elements that a thread stores at a time.
template <int kLog2>
inline constexpr int kGroup = LastPass<kLog2>::kAdjacent < 4 ? LastPass<kLog2>::kAdjacent : 4;

// Times SU, which lies behind every segment.
template <int kLog2>
__device__ __forceinline__ void MultiplySu(LastPass<kLog2>& f) {
  constexpr int kW = LastPass<kLog2>::kAdjacent;
#pragma unroll
  for (int s = 0; s < LastPass<kLog2>::kSegments; ++s) {
    const uint8_t* from = reinterpret_cast<const uint8_t*>(f.block + s * kSegmentFloats + kSegment) + 2 * f.own;
    uint32_t halves[kW / 2];
    if constexpr (kW == 2) {
      halves[0] = *reinterpret_cast<const uint32_t*>(from);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4) {
        const uint2 four = *reinterpret_cast<const uint2*>(from + 2 * m);
        halves[m / 2] = four.x, halves[m / 2 + 1] = four.y;
      }
    }
#pragma unroll
    for (int m = 0; m < kW; m += 2) {
      float& low = f.r[s * kW + m];
      float& high = f.r[s * kW + m + 1];
      const float2 factors = __half22float2(*reinterpret_cast<const __half2*>(&halves[m / 2]));
      low = __fmul_rn(low, factors.x);
      high = __fmul_rn(high, factors.y);
    }
  }
}

// kCount (2 or 4) adjacent elements, aligned and without NaNs.
template <Scalar kType, int kCount>
__device__ __forceinline__ void StoreGroup(void* row, int i, const float* r) {
  if constexpr (kType == Scalar::kF32) {
    float* to = static_cast<float*>(row) + i;
    if constexpr (kCount == 2) {
      *reinterpret_cast<float2*>(to) = make_float2(r[0], r[1]);
    } else {
      StoreFour(to, r);
    }
  } else {
    constexpr bool kBf16 = kType == Scalar::kBF16;
    uint16_t* to = static_cast<uint16_t*>(row) + i;
    if constexpr (kCount == 2) {
      *reinterpret_cast<uint32_t*>(to) = PackHalves<kBf16>(r[0], r[1]);
    } else {
      *reinterpret_cast<uint2*>(to) = make_uint2(PackHalves<kBf16>(r[0], r[1]), PackHalves<kBf16>(r[2], r[3]));
    }
  }
}

// All that a thread has, in groups of adjacent elements, each inside the row or behind its end.
template <Scalar kType, int kLog2>
__device__ __forceinline__ void StoreGroups(void* row, int first, int end, const LastPass<kLog2>& f) {
  constexpr int kCount = kGroup<kLog2>;
#pragma unroll
  for (int j = 0; j < kRegs; j += kCount) {
    const int i = first + f.Offset(j);
    if (i < end) StoreGroup<kType, kCount>(row, i, f.r + j);
  }
}

template <int kLog2>
__device__ __forceinline__ void StoreRow(const RhtOutputParams& p, uint8_t* row_out, int base, LastPass<kLog2>& f) {
  const int first = base + f.own, end = p.out_features;
  if (p.su != nullptr) MultiplySu(f);
  if (p.bias != nullptr) {
#pragma unroll
    for (int j = 0; j < kRegs; ++j) {
      const int i = first + f.Offset(j);
      if (i < end) f.r[j] = __fadd_rn(f.r[j], __ldg(p.bias + i));
    }
  }
  bool nan = false;
#pragma unroll
  for (int j = 0; j < kRegs; j += 8) {
    float part[8];
#pragma unroll
    for (int m = 0; m < 8; ++m) part[m] = f.r[j + m];
    nan |= ptx::AnyNan(part);
  }
  const int group_bytes = kGroup<kLog2> * (p.y_type == Scalar::kF32 ? 4 : 2);
  if (((reinterpret_cast<uintptr_t>(row_out) & (group_bytes - 1)) | (end % kGroup<kLog2>)) != 0 || nan) {
    f.Store();
#pragma unroll 1
    for (int j = 0; j < kRegs; ++j) {
      const int i = first + f.Offset(j);
      const float* segment = f.block + j / f.kAdjacent * kSegmentFloats;
      if (i < end) StoreScalar(row_out, p.y_type, i, segment[Slot(f.own + j % f.kAdjacent)]);
    }
  } else if (p.y_type == Scalar::kBF16) {
    StoreGroups<Scalar::kBF16>(row_out, first, end, f);
  } else if (p.y_type == Scalar::kF16) {
    StoreGroups<Scalar::kF16>(row_out, first, end, f);
  } else {
    StoreGroups<Scalar::kF32>(row_out, first, end, f);
  }
}

// kWhole: rows are one Hadamard block of 2^kLog2 elements. Otherwise that is the size of the largest one, and what lies
// behind it is another thread block's.
template <int kLog2, bool kWhole, bool kScaled>
__global__ void __launch_bounds__(kMaxThreads) RhtManyOutputKernel(const __grid_constant__ RhtOutputGroup group) {
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  __shared__ float scales[kThreads<kLog2> / 32];  // of the segments
  ptx::LetSuccessorStart();
  const RhtOutputParams& p = group.items[blockIdx.y];
  const int token = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
  const Part<kWhole> part(shared, kWhole ? 0 : static_cast<int>(blockIdx.z) << kLog2, p.dim, t);
  if (part.base >= p.dim) return;
  const int inside = part.inside();
  if (!kWhole && part.lane == 0) {
    const int log2 = BlockLog2(static_cast<uint32_t>(part.first), static_cast<uint32_t>(part.dim));
    scales[part.warp] = part.whole() ? InvSqrtPow2(log2) : 1.0f;
  }
  const float* from = p.rows + token * p.rows_stride + part.first;
  auto* row_out = static_cast<uint8_t*>(p.y) + token * p.y_stride * (p.y_type == Scalar::kF32 ? 4 : 2);
  if (p.su != nullptr) StageHalves<false>(part.halves(), p.su + part.first, inside, part.lane);
  ptx::WaitForPredecessor();

  float r[kRegs];
  const bool in_pieces = (reinterpret_cast<uintptr_t>(from) & 15) == 0;
  if (in_pieces) StageFloats(part.segment, from, inside, part.lane);
  ptx::CopyAsyncCommit();
  ptx::CopyAsyncWait<0>();
  __syncwarp();
  if (in_pieces) {
    LoadOwn(r, part);
    // The warp has its segment; what the L2 still holds of it need not be written to memory.
    const int line = 32 * part.lane;
    if (p.rows_end_here && (reinterpret_cast<uintptr_t>(from) & 127) == 0 && line + 32 <= inside)
      ptx::Discard128(const_cast<float*>(from) + line);
  } else {
#pragma unroll
    for (int j = 0; j < kRegs; ++j) r[j] = kRegs * part.lane + j < inside ? from[kRegs * part.lane + j] : 0.0f;
  }
  if constexpr (kScaled) {
    const RowFactor factor = LoadRowFactor(p.headers, token);
#pragma unroll
    for (int j = 0; j < kRegs; ++j) r[j] = ScaledElement(r[j], factor);
  }
  FirstPasses(r, part);
  __syncthreads();
  LastPass<kLog2> pass(shared, t);
  if constexpr (kWhole) {
    pass.Transform();
  } else {
    pass.Transform((p.dim - part.base) / kSegment, scales);
  }
  StoreRow(p, row_out, part.base, pass);
}

template <bool kWhole, bool kScaled>
auto* KernelOf(int log2) {
  return log2 == 10   ? RhtManyOutputKernel<10, kWhole, kScaled>
         : log2 == 11 ? RhtManyOutputKernel<11, kWhole, kScaled>
         : log2 == 12 ? RhtManyOutputKernel<12, kWhole, kScaled>
         : log2 == 13 ? RhtManyOutputKernel<13, kWhole, kScaled>
                      : RhtManyOutputKernel<14, kWhole, kScaled>;
}
auto* KernelOf(int log2, bool whole, bool scaled) {
  if (whole) return scaled ? KernelOf<true, true>(log2) : KernelOf<true, false>(log2);
  return scaled ? KernelOf<false, true>(log2) : KernelOf<false, false>(log2);
}

// log2 of the elements that a block of threads transforms.
int ThreadBlockLog2(int64_t dim) { return std::max(10, LargestBlockLog2(dim)); }

}  // namespace

int RhtManyOutputThreads(int64_t dim) { return (1 << ThreadBlockLog2(dim)) / kRegs; }

void LaunchRhtManyOutput(const RhtOutputGroup& group, bool dependent, cudaStream_t stream) {
  int64_t dim = 0;
  for (int i = 0; i < group.count; ++i) dim = std::max<int64_t>(dim, group.items[i].dim);
  const int log2 = ThreadBlockLog2(dim);
  bool whole = true;
  for (int i = 0; i < group.count; ++i) whole &= group.items[i].dim == 1 << log2;
  const int64_t parts = (dim + (int64_t{1} << log2) - 1) >> log2;  // one or two
  const LaunchConfig config{dim3(static_cast<unsigned>(group.items[0].tokens), static_cast<unsigned>(group.count),
                                 static_cast<unsigned>(parts)),
                            dim3(static_cast<unsigned>(RhtManyOutputThreads(dim))),
                            SharedBytes(Warps(int64_t{1} << log2)), 1, dependent};
  Launch("rht_output", KernelOf(log2, whole, group.items[0].scale_rows), config, stream, group);
}

void LoadRhtManyOutputKernels() {
  for (int log2 = 10; log2 <= 14; ++log2) {
    for (const bool whole : {false, true}) {
      for (const bool scaled : {false, true}) {
        auto* kernel = KernelOf(log2, whole, scaled);
        LoadKernels(kernel);
        PreferSharedMemory(kernel);
        AllowDynamicShared(SharedBytes(Warps(int64_t{1} << log2)), kernel);
      }
    }
  }
}

}  // namespace glq::kernels
