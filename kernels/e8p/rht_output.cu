// Output side of the E8P linear: integer sums -> y_rht -> B -> * SU + bias -> y (numerics: steps 5 to 7).
//
// Clusters of C blocks of 512 threads; see rht.cuh. The blocks of a row's transform are independent, so that a cluster
// covers the largest of them, and the rest of the row (less than that) is a second cluster's: 28672 = 16384 + (8192 +
// 4096) takes two clusters of 4. One C for all weights of a group; smaller ones leave some blocks without elements.
#include "e8p/rht.cuh"

#include <algorithm>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/combine.cuh"
#include "e8p/launch.h"
#include "e8p/rht_block.cuh"

namespace glq::kernels {
namespace {

// Elements first .. first + 7 of a row in fp32. dim is a multiple of 16: a thread has all of its elements or none.
__device__ __forceinline__ void LoadFloats(const float* row, bool aligned, int first, int dim, float (&r)[kChunkRegs]) {
  if (first >= dim) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = 0.0f;
  } else if (aligned) {
    *reinterpret_cast<float4*>(r) = reinterpret_cast<const float4*>(row + first)[0];
    *reinterpret_cast<float4*>(r + 4) = reinterpret_cast<const float4*>(row + first)[1];
  } else {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = row[first + j];
  }
}

// The same of rows that are being stored.
__device__ __forceinline__ void WatchFloats(const float* row, int first, int dim, float (&r)[kChunkRegs]) {
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) r[j] = 0.0f;
  if (first >= dim) return;
  bool there;
  do {
    const uint4 a = ptx::LoadRelaxed128(row + first), b = ptx::LoadRelaxed128(row + first + 4);
    const uint32_t words[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    there = true;
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      there = there && words[j] != kRowNotThere;
      r[j] = __uint_as_float(words[j]);
    }
  } while (!there);
}

__device__ __forceinline__ void ScaleFloats(const TokenHeader* headers, int token, float (&r)[kChunkRegs]) {
  const RowFactor factor = LoadRowFactor(headers, token);
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) r[j] = ScaledElement(r[j], factor);
}

// SU of a thread's elements, two fp16 a word; ones without SU. Aligned, and padded to dim, a multiple of 16.
struct SuPiece {
  uint32_t halves[kChunkRegs / 2];
};
template <int kCluster>
__device__ __forceinline__ SuPiece LoadSu(const uint16_t* su, const RowPlace& at, int dim) {
  constexpr uint32_t kOnes = 0x3C003C00u;
  SuPiece piece{{kOnes, kOnes, kOnes, kOnes}};
  if (su == nullptr) return piece;
  constexpr int kW = kCluster == 1 ? 1 : kWidth<kCluster>;
#pragma unroll
  for (int j = 0; j < kChunkRegs; j += kW) {
    const int i = ElementIndex<kCluster, false>(at, j);
    if (i >= dim) continue;
    if constexpr (kW == 4) {
      const uint2 four = __ldg(reinterpret_cast<const uint2*>(su + i));
      piece.halves[j / 2] = four.x, piece.halves[j / 2 + 1] = four.y;
    } else if constexpr (kW == 2) {
      piece.halves[j / 2] = __ldg(reinterpret_cast<const uint32_t*>(su + i));
    } else {
      const uint32_t half = __ldg(su + i);
      piece.halves[j / 2] = j % 2 == 0 ? half : piece.halves[j / 2] | (half << 16);
    }
  }
  return piece;
}

__device__ __forceinline__ void MultiplySu(float (&r)[kChunkRegs], const SuPiece& su) {
#pragma unroll
  for (int j = 0; j < kChunkRegs; j += 2) {
    const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&su.halves[j / 2]));
    r[j] = __fmul_rn(r[j], f.x);
    r[j + 1] = __fmul_rn(r[j + 1], f.y);
  }
}

// Values without NaNs. kCluster > 1: every group of kWidth elements is aligned and inside the row, or behind its end.
template <int kCluster, bool kBf16>
__device__ __forceinline__ void StoreHalves(uint16_t* row, const RowPlace& at, int end, const float (&r)[kChunkRegs]) {
  constexpr int kW = kCluster == 1 ? 1 : kWidth<kCluster>;
#pragma unroll
  for (int j = 0; j < kChunkRegs; j += kW) {
    const int i = ElementIndex<kCluster, false>(at, j);
    if (i >= end) continue;
    if constexpr (kW == 4) {
      *reinterpret_cast<uint2*>(row + i) =
          make_uint2(PackHalves<kBf16>(r[j], r[j + 1]), PackHalves<kBf16>(r[j + 2], r[j + 3]));
    } else if constexpr (kW == 2) {
      *reinterpret_cast<uint32_t*>(row + i) = PackHalves<kBf16>(r[j], r[j + 1]);
    } else {
      row[i] = static_cast<uint16_t>(PackHalves<kBf16>(r[j], 0.0f));
    }
  }
}
template <int kCluster>
__device__ __forceinline__ void StoreFloats(float* row, const RowPlace& at, int end, const float (&r)[kChunkRegs]) {
  constexpr int kW = kCluster == 1 ? 1 : kWidth<kCluster>;
#pragma unroll
  for (int j = 0; j < kChunkRegs; j += kW) {
    const int i = ElementIndex<kCluster, false>(at, j);
    if (i >= end) continue;
    if constexpr (kW == 4) {
      *reinterpret_cast<float4*>(row + i) = make_float4(r[j], r[j + 1], r[j + 2], r[j + 3]);
    } else if constexpr (kW == 2) {
      *reinterpret_cast<float2*>(row + i) = make_float2(r[j], r[j + 1]);
    } else {
      row[i] = r[j];
    }
  }
}

// How the weights of a group come. A kernel for each, so that none pays for another's instructions and registers.
enum class Source {
  kRows,        // rows in fp32
  kScaledRows,  // rows to be multiplied by their token's t
  kSums,        // some as sums of stages, others as rows
};

template <int kCluster, Source kSource>
__global__ void __launch_bounds__(kChunkThreads, kSource == Source::kSums ? 3 : kRowBlocks)
    RhtOutputKernel(const __grid_constant__ RhtOutputGroup group) {
  __shared__ RowShared<kCluster> shared;
  ptx::LetSuccessorStart();
  const RhtOutputParams& p = group.items[blockIdx.y];
  const int token = static_cast<int>(blockIdx.x / kCluster);
  const RowPlace at{static_cast<int>(blockIdx.x % kCluster), static_cast<int>(threadIdx.x),
                    static_cast<int>(blockIdx.z) * kCluster};
  const int dim = p.dim, end = p.out_features;
  if (at.chunk0 * kChunk >= dim) return;  // a whole cluster

  // What does not depend on the predecessor.
  const SuPiece su = LoadSu<kCluster>(p.su, at, dim);
  const Scalar y_type = p.y_type;
  auto* row_out = static_cast<uint8_t*>(p.y) + token * p.y_stride * (y_type == Scalar::kF32 ? 4 : 2);
  constexpr int kW = kCluster == 1 ? 1 : kWidth<kCluster>;
  const bool vectors =
      ((reinterpret_cast<uintptr_t>(row_out) & (kW * (y_type == Scalar::kF32 ? 4 : 2) - 1)) | (end & (kW - 1))) == 0;
  const float* bias = p.bias;
  const float* row_in = p.rows + token * p.rows_stride;
  const bool aligned_in = (reinterpret_cast<uintptr_t>(row_in) & 15) == 0;
  PrepareRow(shared, at, static_cast<uint32_t>(dim));
  ptx::ComputeNow(row_in);
  ptx::ComputeNow(row_out);
  const bool watched = kSource == Source::kRows && p.watched;
  if (!watched) ptx::WaitForPredecessor();

  float r[kChunkRegs];
  const int first = (at.chunk0 + at.rank) * kChunk + kChunkRegs * at.t;
  if (kSource == Source::kSums && p.stages > 0) {
    if (first < dim) {
      CombinedElements8(p, token, static_cast<uint32_t>(first), r);
    } else {
#pragma unroll
      for (int j = 0; j < kChunkRegs; ++j) r[j] = 0.0f;
    }
  } else if (watched) {
    WatchFloats(row_in, first, dim, r);
  } else {
    LoadFloats(row_in, aligned_in, first, dim, r);
  }
  if constexpr (kSource == Source::kScaledRows) ScaleFloats(p.headers, token, r);
  RowFwht<kCluster, false>(r, shared, at, static_cast<uint32_t>(dim));
  MultiplySu(r, su);
  if (bias != nullptr) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const int i = ElementIndex<kCluster, false>(at, j);
      if (i < end) r[j] = __fadd_rn(r[j], __ldg(bias + i));
    }
  }
  if (!vectors || ptx::AnyNan(r)) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const int i = ElementIndex<kCluster, false>(at, j);
      if (i < end) StoreScalar(row_out, y_type, i, r[j]);
    }
  } else if (y_type == Scalar::kBF16) {
    StoreHalves<kCluster, true>(reinterpret_cast<uint16_t*>(row_out), at, end, r);
  } else if (y_type == Scalar::kF16) {
    StoreHalves<kCluster, false>(reinterpret_cast<uint16_t*>(row_out), at, end, r);
  } else {
    StoreFloats<kCluster>(reinterpret_cast<float*>(row_out), at, end, r);
  }
  // By now every block of the product has seen it.
  if (p.hint != nullptr && threadIdx.x == 0 && blockIdx.x == 0 && blockIdx.z == 0) {
    ptx::StoreRelaxed(&p.hint->row_came, 0);
  }
  // What waits for this launch waits for the product through it.
  if (watched) ptx::WaitForPredecessor();
}

// Groups of kAdjacent elements, aligned and inside the row or behind its end, without NaNs.
template <int kLog2, bool kBf16>
__device__ __forceinline__ void StoreBlockHalves(uint16_t* row, int first, int end, const float (&r)[kBlockRegs]) {
  constexpr int kW = kAdjacent<kLog2>;
  uint16_t* to = row + first;
#pragma unroll
  for (int j = 0; j < kBlockRegs; j += kW) {
    const int offset = j / kW * kSegment;
    if (offset >= end - first) continue;
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

// SU of a thread's elements, two fp16 a word; ones without SU and behind the end.
template <int kLog2>
__device__ __forceinline__ void LoadBlockSu(const uint16_t* su, int first, int dim,
                                            uint32_t (&halves)[kBlockRegs / 2]) {
  constexpr int kW = kAdjacent<kLog2>;
#pragma unroll
  for (int j = 0; j < kBlockRegs; j += 2) {
    const int i = first + j / kW * kSegment + j % kW;
    halves[j / 2] = 0x3C003C00u;
    if (su != nullptr && i < dim) halves[j / 2] = __ldg(reinterpret_cast<const uint32_t*>(su + i));
  }
}

// One block of threads for 2^kLog2 elements. What does not depend on the predecessor comes before the wait where there
// are registers to hold it.
template <int kLog2, Source kSource>
__global__ void __launch_bounds__(kBlockThreads<kLog2>,
                                  512 * (LoadsEarly(kLog2) || kSource == Source::kSums ? 2 : kRowBlocks) /
                                      kBlockThreads<kLog2>)
    RhtOutputBlockKernel(const __grid_constant__ RhtOutputGroup group) {
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  ptx::LetSuccessorStart();
  const RhtOutputParams& p = group.items[blockIdx.y];
  const int token = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
  const int base = static_cast<int>(blockIdx.z) << kLog2, dim = p.dim, end = p.out_features;
  if (base >= dim) return;

  constexpr int kW = kAdjacent<kLog2>;
  const int first = base + kW * t;
  [[maybe_unused]] uint32_t su[kBlockRegs / 2];
  constexpr bool kEarly = LoadsEarly(kLog2);
  if constexpr (kEarly) LoadBlockSu<kLog2>(p.su, first, dim, su);
  const Scalar y_type = p.y_type;
  auto* row_out = static_cast<uint8_t*>(p.y) + token * p.y_stride * (y_type == Scalar::kF32 ? 4 : 2);
  const float* row_in = p.rows + token * p.rows_stride;
  const bool aligned_in = (reinterpret_cast<uintptr_t>(row_in) & 15) == 0;
  if constexpr (kEarly) {
    ptx::ComputeNow(row_in);
    ptx::ComputeNow(row_out);
  }
  ptx::WaitForPredecessor();

  float r[kBlockRegs];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int from = base + (half << (kLog2 - 1)) + kChunkRegs * t;
    float part[kChunkRegs];
    if (kSource != Source::kSums || p.stages == 0) {
      LoadFloats(row_in, aligned_in, from, dim, part);
      if constexpr (kSource == Source::kScaledRows) ScaleFloats(p.headers, token, part);
    } else if (from < dim) {
      CombinedElements8(p, token, static_cast<uint32_t>(from), part);
    } else {
#pragma unroll
      for (int j = 0; j < kChunkRegs; ++j) part[j] = 0.0f;
    }
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[8 * half + j] = part[j];
  }
  BlockFwht<kLog2>(r, shared, base, dim, t);

  if (p.su != nullptr) {
    if constexpr (!kEarly) LoadBlockSu<kLog2>(p.su, first, dim, su);
#pragma unroll
    for (int j = 0; j < kBlockRegs; j += 2) {
      const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&su[j / 2]));
      r[j] = __fmul_rn(r[j], f.x);
      r[j + 1] = __fmul_rn(r[j + 1], f.y);
    }
  }
  if (p.bias != nullptr) {
    const float* bias = p.bias + first;
#pragma unroll
    for (int j = 0; j < kBlockRegs; ++j) {
      const int offset = j / kW * kSegment + j % kW;
      if (offset < end - first) r[j] = __fadd_rn(r[j], __ldg(bias + offset));
    }
  }
  bool nan = false;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float part[kChunkRegs];
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) part[j] = r[8 * half + j];
    nan |= ptx::AnyNan(part);
  }
  const bool vectors =
      y_type != Scalar::kF32 && ((reinterpret_cast<uintptr_t>(row_out) & (kW == 2 ? 3 : 7)) | (end % kW)) == 0;
  if (!vectors || nan) {
#pragma unroll
    for (int j = 0; j < kBlockRegs; ++j) {
      const int i = first + j / kW * kSegment + j % kW;
      if (i < end) StoreScalar(row_out, y_type, i, r[j]);
    }
  } else if (y_type == Scalar::kBF16) {
    StoreBlockHalves<kLog2, true>(reinterpret_cast<uint16_t*>(row_out), first, end, r);
  } else {
    StoreBlockHalves<kLog2, false>(reinterpret_cast<uint16_t*>(row_out), first, end, r);
  }
}

template <int kLog2>
auto* BlockKernelOf(Source source) {
  return source == Source::kRows         ? RhtOutputBlockKernel<kLog2, Source::kRows>
         : source == Source::kScaledRows ? RhtOutputBlockKernel<kLog2, Source::kScaledRows>
                                         : RhtOutputBlockKernel<kLog2, Source::kSums>;
}

template <int kCluster>
auto* KernelOf(Source source) {
  return source == Source::kRows         ? RhtOutputKernel<kCluster, Source::kRows>
         : source == Source::kScaledRows ? RhtOutputKernel<kCluster, Source::kScaledRows>
                                         : RhtOutputKernel<kCluster, Source::kSums>;
}

}  // namespace

int OutputClusterSize(int64_t dim) { return RhtClusterSize(int64_t{1} << LargestBlockLog2(dim)); }

void LaunchRhtOutput(const RhtOutputGroup& group, bool dependent, int max_shared_bytes, cudaStream_t stream) {
  int log2 = 12;
  int64_t dim = 0, chunks = 0;
  // The weights of a group come from one product: all of them are to be scaled, or none.
  Source source = group.items[0].scale_rows ? Source::kScaledRows : Source::kRows;
  for (int i = 0; i < group.count; ++i) {
    const RhtOutputParams& item = group.items[i];
    log2 = std::max(log2, LargestBlockLog2(item.dim));
    dim = std::max<int64_t>(dim, item.dim);
    chunks += (item.dim + kChunk - 1) / kChunk;
    if (item.stages > 0) source = Source::kSums;
  }
  const int64_t tokens = group.items[0].tokens;
  if (source != Source::kSums && TransformsMany(log2, tokens * chunks)) {
    LaunchRhtManyOutput(group, dependent, stream);
    return;
  }
  const auto parts = static_cast<unsigned>((dim + (int64_t{1} << log2) - 1) >> log2);  // one or two
  if (TransformsInBlocks(log2, tokens * chunks)) {
    const dim3 grid(static_cast<unsigned>(tokens), static_cast<unsigned>(group.count), parts);
    auto* kernel = log2 == 14 ? BlockKernelOf<14>(source) : BlockKernelOf<13>(source);
    size_t shared = static_cast<size_t>(BlockBytes(log2));
    if (LoadsEarly(log2))
      shared = std::max(shared, SpreadBytes(int64_t{grid.x} * grid.y * grid.z, 1, dependent, max_shared_bytes));
    Launch("rht_output", kernel, {grid, dim3(1u << (log2 - 4)), shared, 1, dependent}, stream, group);
    return;
  }
  const int c = 1 << (log2 - 12);
  const dim3 grid(static_cast<unsigned>(tokens * c), static_cast<unsigned>(group.count), parts);
  auto* kernel = c == 1   ? KernelOf<1>(source)
                 : c == 2 ? KernelOf<2>(source)
                 : c == 4 ? KernelOf<4>(source)
                          : KernelOf<8>(source);
  const size_t shared = SpreadBytes(int64_t{grid.x} * grid.y * grid.z, c, dependent, max_shared_bytes);
  Launch("rht_output", kernel, {grid, dim3(kChunkThreads), shared, c, dependent}, stream, group);
}

void LoadRhtOutputKernels(int max_shared_bytes) {
  const auto load = [](size_t shared, auto... kernels) {
    LoadKernels(kernels...);
    PreferSharedMemory(kernels...);
    AllowDynamicShared(shared, kernels...);
  };
  for (const Source source : {Source::kRows, Source::kScaledRows, Source::kSums}) {
    load(MostSpreadBytes(max_shared_bytes), KernelOf<1>(source), KernelOf<2>(source), KernelOf<4>(source),
         KernelOf<8>(source));
    load(MostSpreadBytes(max_shared_bytes), BlockKernelOf<13>(source));
    load(BlockBytes(14), BlockKernelOf<14>(source));
  }
}

}  // namespace glq::kernels
