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

// Times SU, which lies in shared memory.
template <int kLog2>
__device__ __forceinline__ void MultiplySu(float (&r)[kRegs], const uint8_t* su, int t) {
  constexpr int kW = kAdjacent<kLog2>;
#pragma unroll
  for (int j = 0; j < kRegs; j += kW) {
    const uint8_t* from = su + 2 * (j / kW * kSegment + kW * t);
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
      const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&halves[m / 2]));
      r[j + m] = __fmul_rn(r[j + m], f.x);
      r[j + m + 1] = __fmul_rn(r[j + m + 1], f.y);
    }
  }
}

// Groups of kAdjacent elements, aligned and inside the row or behind its end, without NaNs. `left`: elements of the row
// from `to` on.
template <int kLog2, bool kBf16>
__device__ __forceinline__ void StoreHalves(uint16_t* to, int left, const float (&r)[kRegs]) {
  constexpr int kW = kAdjacent<kLog2>;
#pragma unroll
  for (int j = 0; j < kRegs; j += kW) {
    const int offset = j / kW * kSegment;
    if (offset >= left) continue;
    if constexpr (kW == 2) {
      *reinterpret_cast<uint32_t*>(to + offset) = PackHalves<kBf16>(r[j], r[j + 1]);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4) {
        *reinterpret_cast<uint2*>(to + offset + m) =
            make_uint2(PackHalves<kBf16>(r[j + m], r[j + m + 1]), PackHalves<kBf16>(r[j + m + 2], r[j + m + 3]));
      }
    }
  }
}

template <int kLog2, bool kScaled>
__global__ void __launch_bounds__(kThreads<kLog2>, kThreadsPerMultiprocessor / kThreads<kLog2>)
    RhtManyOutputKernel(const __grid_constant__ RhtOutputGroup group) {
  constexpr int kW = kAdjacent<kLog2>;
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  ptx::LetSuccessorStart();
  const RhtOutputParams& p = group.items[blockIdx.y];
  const Place at{static_cast<int>(blockIdx.z) << kLog2, p.dim, static_cast<int>(threadIdx.x)};
  if (at.base >= at.dim) return;
  const int token = static_cast<int>(blockIdx.x), segment = kSegment * at.warp(), end = p.out_features;
  const float* row_in = p.rows + token * p.rows_stride + at.base;
  auto* row_out = static_cast<uint8_t*>(p.y) + token * p.y_stride * (p.y_type == Scalar::kF32 ? 4 : 2);
  uint8_t* su = Vector(shared, kLog2);
  PrepareScales<kLog2>(shared, at);
  if (p.su != nullptr) StageHalves<false>(su + 2 * segment, p.su + at.base + segment, at.inside() - segment, at.lane());
  ptx::WaitForPredecessor();

  float r[kRegs];
  const bool in_pieces = (reinterpret_cast<uintptr_t>(row_in) & 15) == 0;
  if (in_pieces) StageFloats(shared + segment, row_in + segment, at.inside() - segment, at.lane());
  ptx::CopyAsyncCommit();
  ptx::CopyAsyncWait<0>();
  __syncwarp();
  if (in_pieces) {
    LoadOwn(r, shared, at.t);
    // The warp has its segment; what the L2 still holds of it need not be written to memory.
    const int line = segment + 32 * at.lane();
    if (p.rows_end_here && (reinterpret_cast<uintptr_t>(row_in) & 127) == 0 && line + 32 <= at.inside())
      ptx::Discard128(const_cast<float*>(row_in) + line);
  } else {
#pragma unroll
    for (int j = 0; j < kRegs; ++j) r[j] = kRegs * at.t + j < at.inside() ? row_in[kRegs * at.t + j] : 0.0f;
  }
  if constexpr (kScaled) {
    const RowFactor factor = LoadRowFactor(p.headers, token);
#pragma unroll
    for (int j = 0; j < kRegs; ++j) r[j] = ScaledElement(r[j], factor);
  }
  FirstPasses<kLog2>(r, shared, at);
  __syncthreads();
  LoadAdjacent<kLog2>(r, shared, at.t);
  LastPass<kLog2>(r, shared, at);

  const int first = at.base + kW * at.t;
  if (p.su != nullptr) MultiplySu<kLog2>(r, su, at.t);
  if (p.bias != nullptr) {
#pragma unroll
    for (int j = 0; j < kRegs; ++j) {
      const int i = first + j / kW * kSegment + j % kW;
      if (i < end) r[j] = __fadd_rn(r[j], __ldg(p.bias + i));
    }
  }
  bool nan = false;
#pragma unroll
  for (int j = 0; j < kRegs; j += 8) {
    float part[8];
#pragma unroll
    for (int m = 0; m < 8; ++m) part[m] = r[j + m];
    nan |= ptx::AnyNan(part);
  }
  const bool vectors =
      p.y_type != Scalar::kF32 && ((reinterpret_cast<uintptr_t>(row_out) & (kW == 2 ? 3 : 7)) | (end % kW)) == 0;
  if (!vectors || nan) {
#pragma unroll
    for (int j = 0; j < kRegs; ++j) {
      const int i = first + j / kW * kSegment + j % kW;
      if (i < end) StoreScalar(row_out, p.y_type, i, r[j]);
    }
  } else if (p.y_type == Scalar::kBF16) {
    StoreHalves<kLog2, true>(reinterpret_cast<uint16_t*>(row_out) + first, end - first, r);
  } else {
    StoreHalves<kLog2, false>(reinterpret_cast<uint16_t*>(row_out) + first, end - first, r);
  }
}

using Kernel = void (*)(RhtOutputGroup);
template <bool kScaled>
Kernel PickKernel(int log2) {
  return log2 == 12   ? RhtManyOutputKernel<12, kScaled>
         : log2 == 13 ? RhtManyOutputKernel<13, kScaled>
                      : RhtManyOutputKernel<14, kScaled>;
}
Kernel PickKernel(int log2, bool scaled) { return scaled ? PickKernel<true>(log2) : PickKernel<false>(log2); }

}  // namespace

void LaunchRhtManyOutput(const RhtOutputGroup& group, int log2, bool dependent, cudaStream_t stream) {
  int64_t dim = 0;
  for (int i = 0; i < group.count; ++i) dim = std::max<int64_t>(dim, group.items[i].dim);
  const int64_t parts = (dim + (int64_t{1} << log2) - 1) >> log2;  // one or two
  const LaunchConfig config{dim3(static_cast<unsigned>(group.items[0].tokens), static_cast<unsigned>(group.count),
                                 static_cast<unsigned>(parts)),
                            dim3((1u << log2) / kRegs), static_cast<size_t>(SharedBytes(log2)), 1, dependent};
  Launch("rht_output", PickKernel(log2, group.items[0].scale_rows), config, stream, group);
}

void LoadRhtManyOutputKernels() {
  for (int log2 = 12; log2 <= 14; ++log2) {
    for (const bool scaled : {false, true}) {
      LoadKernels(PickKernel(log2, scaled));
      PreferSharedMemory(PickKernel(log2, scaled));
      AllowDynamicShared(static_cast<size_t>(SharedBytes(log2)), PickKernel(log2, scaled));
    }
  }
}

}  // namespace glq::kernels
