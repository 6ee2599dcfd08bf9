// Input side of the E8P linear: x -> u = x * SV -> v = B u -> integers (numerics: steps 1 to 4), or fp16.
//
// One cluster of C blocks of 512 threads per token, C = 1, 2, 4 or 8 chunks of 4096 elements. What bounds it is
// latency, not bytes: a row is 8 to 64 KiB. Rows that do not fit (dim > 32768, or > 4096 on GPUs without
// clusters) and block lists that are not the binary expansion go through rht_large.cu.
#include "e8p/rht.cuh"

#include <algorithm>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/digits.cuh"
#include "e8p/launch.h"
#include "e8p/load_row.cuh"
#include "e8p/rht_block.cuh"

namespace glq::kernels {
namespace {

constexpr int kClearsPerThread = 2;  // 16 bytes each, so that clearing takes less time than a transform

// Block `block` of `blocks` that only clear.
__device__ __forceinline__ void Clear(const RhtInputParams& p, uint32_t block, uint32_t blocks) {
  ptx::WaitForPredecessor();
  const int64_t count = p.clear_count / 4;
#pragma unroll 1
  for (int64_t i = block * blockDim.x + threadIdx.x; i < count; i += blocks * blockDim.x) {
    reinterpret_cast<int4*>(p.clear)[i] = make_int4(0, 0, 0, 0);
  }
}

template <int kCluster>
__device__ __forceinline__ void StoreRow(const RhtInputParams& p, const RowPlace& at, int token,
                                         float (&r)[kChunkRegs]) {
  float* row = p.v + token * p.v_stride;
  if (ptx::AnyNan(r)) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[j] = ToF32Canonical(r[j]);
  }
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const int i = ElementIndex<kCluster, true>(at, j);
    if (i < p.dim) row[i] = r[j];
  }
}

// The values in the order of the block's columns, [chunk][column], 8 adjacent ones per thread afterwards. To slots that
// only this thread has read.
__device__ __forceinline__ void WriteColumns(float* pass, int t, const float (&r)[kChunkRegs]) {
  float* slot = pass + ChunkSlot(t);
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) slot[ChunkSlot(j * kChunkThreads)] = r[j];
}

// Once `element` is there: no element is a NaN with these bits, which is for the store to wait.
__device__ __forceinline__ void TellRowCame(const RhtInputParams& p, float element) {
  if (__float_as_uint(element) != kRowNotThere) ptx::StoreRelaxed(&p.headers->row_came, 1);
}

template <int kCluster>
__global__ void __launch_bounds__(kChunkThreads, kRowBlocks) RhtInputKernel(const __grid_constant__ RhtInputParams p) {
  __shared__ RowShared<kCluster> shared;
  __shared__ int sums[2];

  ptx::LetSuccessorStart();
  const int token = static_cast<int>(blockIdx.x / kCluster);
  const RowPlace at{static_cast<int>(blockIdx.x % kCluster), static_cast<int>(threadIdx.x), 0};
  const int t = at.t, lane = t & 31, warp = t >> 5;
  if (token >= p.tokens) {
    const uint32_t rows = static_cast<uint32_t>(p.tokens) * kCluster;
    Clear(p, blockIdx.x - rows, gridDim.x - rows);
    return;
  }
  const uint32_t dim = static_cast<uint32_t>(p.dim);
  const SvPiece sv = LoadSv(p.sv, p.dim, at.rank, t);
  if (t < 2) sums[t] = 0;
  PrepareRow(shared, at, dim);
  const void* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * (p.x_type == Scalar::kF32 ? 4 : 2);
  ptx::ComputeNow(row);
  ptx::WaitForPredecessor();

  float r[kChunkRegs];
  if (p.pretransformed) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const int i = ElementIndex<kCluster, true>(at, j);
      r[j] = i < p.dim ? static_cast<const float*>(row)[i] : 0.0f;
    }
  } else {
    LoadRow({row, p.x_type, p.in_features, p.sv}, sv, at.rank, t, r);
    // One row is held up by nothing but its load, others by what then keeps the memory busy.
    const bool tells = p.hints && blockIdx.x == 0 && t == 0;
    if (tells && p.tokens == 1) TellRowCame(p, r[0]);
    RowFwht<kCluster, true>(r, shared, at, dim);
    if (tells && p.tokens > 1) TellRowCame(p, r[0]);
  }
  if (p.v != nullptr) {
    StoreRow<kCluster>(p, at, token, r);
    return;
  }

  // The largest |v| of the row: of every warp of the cluster, to every block.
  WriteColumns(shared.pass, t, r);
  uint32_t max_bits = __reduce_max_sync(0xFFFFFFFFu, LargestBits(r));
  if constexpr (kCluster == 1) {
    if (lane == 0) shared.maxima[warp] = max_bits;
    __syncthreads();
    max_bits = shared.maxima[lane % kRowWarps];
  } else {
    const uint32_t barrier = ptx::SharedAddress(&shared.maxima_barrier);
    if (lane < kCluster) {
      const uint32_t mine = ptx::SharedAddress(shared.maxima + at.rank * kRowWarps + warp);
      ptx::Send(ptx::AddressInBlock(mine, lane), max_bits, ptx::AddressInBlock(barrier, lane));
    }
    __syncthreads();
    ptx::Receive(barrier);
    constexpr int kEach = kCluster * kRowWarps / 32;
    max_bits = 0;
#pragma unroll
    for (int i = 0; i < kEach; ++i) max_bits = max(max_bits, shared.maxima[kEach * lane + i]);
  }
  const RowScale scale = ScaleOfRow(__reduce_max_sync(0xFFFFFFFFu, max_bits));

  const float* mine = shared.pass + ChunkSlot(kChunkRegs * t);
  *reinterpret_cast<float4*>(r) = reinterpret_cast<const float4*>(mine)[0];
  *reinterpret_cast<float4*>(r + 4) = reinterpret_cast<const float4*>(mine)[1];
  const int local = kChunkRegs * t;  // in [chunk][column]
  const int column = local / kColumns<kCluster> * kChunk + at.rank * kColumns<kCluster> + local % kColumns<kCluster>;
  if (IsHalves(p.layout)) {
    if (column < StoredColumns(p.layout, p.dim))
      StoreHalves(p.digits, p.layout, p.tokens, p.dim, token, column, r, scale);
    if (at.rank == 0 && t == 0) p.headers[token].t = scale.t(), p.headers[token].kind = scale.kind;
    return;
  }
  DigitWords words{};
  if (scale.kind == 0) words = PackDigits(r, scale.factor);
  StoreDigits(p.digits, p.layout, p.tokens, p.dim, token, column, column < StoredColumns(p.layout, p.dim), words);

  // Both sums of a warp at once: of 256 digits each, |sum| <= 2^15.
  const int both = __reduce_add_sync(0xFFFFFFFFu, SumOfBytes(words.hi) * 65536 + SumOfBytes(words.lo));
  if (lane == 0) {
    const int low = static_cast<int16_t>(both);
    atomicAdd(&sums[0], (both - low) >> 16);
    atomicAdd(&sums[1], low);
  }
  __syncthreads();
  TokenHeader* h = p.headers + token;
  if (t < kMaxClusterChunks && (t == at.rank || (at.rank == 0 && t >= kCluster))) {
    h->digit_sums[t] = t == at.rank ? make_int2(sums[0], sums[1]) : make_int2(0, 0);
  }
  if (at.rank == 0 && t == 32) {
    h->t = scale.t();
    h->kind = scale.kind;
  }
}

template <int kLog2>
__device__ __forceinline__ void StoreBlockRow(const RhtInputParams& p, int token, int first,
                                              const float (&r)[kBlockRegs]) {
  constexpr int kW = kAdjacent<kLog2>;
  float* row = p.v + token * p.v_stride;
  const bool aligned = (reinterpret_cast<uintptr_t>(row) & (kW == 2 ? 7 : 15)) == 0;
#pragma unroll
  for (int j = 0; j < kBlockRegs; j += kW) {
    const int i = first + j / kW * kSegment;
    if (i >= p.dim) continue;  // dim is a multiple of 16
    float v[kW];
#pragma unroll
    for (int m = 0; m < kW; ++m) v[m] = ToF32Canonical(r[j + m]);
    if (!aligned) {
#pragma unroll
      for (int m = 0; m < kW; ++m) row[i + m] = v[m];
    } else if constexpr (kW == 2) {
      *reinterpret_cast<float2*>(row + i) = make_float2(v[0], v[1]);
    } else {
#pragma unroll
      for (int m = 0; m < kW; m += 4)
        *reinterpret_cast<float4*>(row + i + m) = make_float4(v[m], v[m + 1], v[m + 2], v[m + 3]);
    }
  }
}

// kParts (1 or 2) blocks of threads of 2^kLog2 elements for a row, which share its maximum. SV comes before the wait
// where there are registers to hold it.
template <int kLog2, int kParts>
__global__ void __launch_bounds__(kBlockThreads<kLog2>,
                                  512 * (LoadsEarly(kLog2) ? 2 : kRowBlocks) / kBlockThreads<kLog2>)
    RhtInputBlockKernel(const __grid_constant__ RhtInputParams p) {
  constexpr int kBlockWarps = kBlockThreads<kLog2> / 32;
  constexpr bool kEarly = LoadsEarly(kLog2);
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  __shared__ uint32_t maxima[kParts * kBlockWarps];  // [block][warp]
  __shared__ uint64_t maxima_barrier;
  __shared__ int sums[2];

  ptx::LetSuccessorStart();
  const int token = static_cast<int>(blockIdx.x / kParts), part = static_cast<int>(blockIdx.x % kParts);
  const int t = static_cast<int>(threadIdx.x), lane = t & 31, warp = t >> 5;
  if (token >= p.tokens) {
    const uint32_t rows = static_cast<uint32_t>(p.tokens) * kParts;
    Clear(p, blockIdx.x - rows, gridDim.x - rows);
    return;
  }
  if (t < 2) sums[t] = 0;
  const uint32_t barrier = ptx::SharedAddress(&maxima_barrier);
  if constexpr (kParts > 1) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (t == 0) {
      ptx::BarrierInit(barrier, 1);
      ptx::BarrierInitFence();
    }
    __syncthreads();
    if (t == 0) ptx::BarrierArriveExpect(barrier, sizeof(maxima));  // as in PrepareRow
    ptx::ClusterSyncRelaxed();
#endif
  }
  const void* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * (p.x_type == Scalar::kF32 ? 4 : 2);
  const int base = part << kLog2;
  const auto piece_of = [&](int half) { return ((base + (half << (kLog2 - 1))) >> 3) + t; };  // 8 elements of the row
  [[maybe_unused]] SvPiece sv[2];
  if constexpr (kEarly) {
    sv[0] = LoadSv(p.sv, p.dim, 0, piece_of(0));
    sv[1] = LoadSv(p.sv, p.dim, 0, piece_of(1));
    ptx::ComputeNow(row);
  }
  ptx::WaitForPredecessor();

  float r[kBlockRegs];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int piece = piece_of(half);
    float values[kChunkRegs];
    LoadRow({row, p.x_type, p.in_features, p.sv}, kEarly ? sv[half] : LoadSv(p.sv, p.dim, 0, piece), 0, piece, values);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[8 * half + j] = values[j];
  }
  BlockFwht<kLog2>(r, shared, base, p.dim, t);
  if (p.v != nullptr) {
    StoreBlockRow<kLog2>(p, token, base + kAdjacent<kLog2> * t, r);
    return;
  }

  StoreAdjacent<kLog2>(r, shared, t);
  uint32_t max_bits = __reduce_max_sync(0xFFFFFFFFu, LargestBits(r));
  if constexpr (kParts == 1) {
    if (lane == 0) maxima[warp] = max_bits;
    __syncthreads();
  } else {
    if (lane < kParts)
      ptx::Send(ptx::AddressInBlock(ptx::SharedAddress(maxima + part * kBlockWarps + warp), lane), max_bits,
                ptx::AddressInBlock(barrier, lane));
    __syncthreads();
    ptx::Receive(barrier);
  }
  max_bits = 0;
#pragma unroll
  for (int i = 0; i < kParts * kBlockWarps; i += 32)
    max_bits = max(max_bits, maxima[i + lane % min(32, kParts * kBlockWarps)]);
  const RowScale scale = ScaleOfRow(__reduce_max_sync(0xFFFFFFFFu, max_bits));

  if (IsHalves(p.layout)) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int local = (half << (kLog2 - 1)) + kChunkRegs * t, column = base + local;
      const auto* mine = reinterpret_cast<const float4*>(shared + BlockSlot(local));
      float values[kChunkRegs];
      *reinterpret_cast<float4*>(values) = mine[0];
      *reinterpret_cast<float4*>(values + 4) = mine[1];
      if (column < StoredColumns(p.layout, p.dim))
        StoreHalves(p.digits, p.layout, p.tokens, p.dim, token, column, values, scale);
    }
    if (part == 0 && t == 0) p.headers[token].t = scale.t(), p.headers[token].kind = scale.kind;
    return;
  }
  int sum_hi = 0, sum_lo = 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int local = (half << (kLog2 - 1)) + kChunkRegs * t, column = base + local;
    const auto* mine = reinterpret_cast<const float4*>(shared + BlockSlot(local));
    float values[kChunkRegs];
    *reinterpret_cast<float4*>(values) = mine[0];
    *reinterpret_cast<float4*>(values + 4) = mine[1];
    DigitWords words{};
    if (scale.kind == 0) words = PackDigits(values, scale.factor);
    StoreDigits(p.digits, p.layout, p.tokens, p.dim, token, column, column < StoredColumns(p.layout, p.dim), words);
    sum_hi += SumOfBytes(words.hi);
    sum_lo += SumOfBytes(words.lo);
  }
  sum_hi = __reduce_add_sync(0xFFFFFFFFu, sum_hi);
  sum_lo = __reduce_add_sync(0xFFFFFFFFu, sum_lo);
  if (lane == 0) {
    atomicAdd(&sums[0], sum_hi);
    atomicAdd(&sums[1], sum_lo);
  }
  __syncthreads();
  TokenHeader* h = p.headers + token;
  if (t < kMaxClusterChunks && (t == part || (part == 0 && t >= kParts))) {
    h->digit_sums[t] = t == part ? make_int2(sums[0], sums[1]) : make_int2(0, 0);
  }
  if (part == 0 && t == 32) {
    h->t = scale.t();
    h->kind = scale.kind;
  }
}

template <int kLog2>
auto* BlockKernelOf(int parts) {
  return parts == 1 ? RhtInputBlockKernel<kLog2, 1> : RhtInputBlockKernel<kLog2, 2>;
}

}  // namespace

int RhtClusterSize(int64_t dim) {
  int c = 1;
  while (static_cast<int64_t>(c) * kChunk < dim) c *= 2;
  return c;
}

void LaunchRhtInput(const RhtInputParams& p, bool dependent, int max_shared_bytes, cudaStream_t stream) {
  const int64_t chunks = (p.dim + kChunk - 1) / kChunk;
  const int log2 = std::max(12, LargestBlockLog2(p.dim));
  if (!p.pretransformed && p.clear_count == 0 && TransformsMany(log2, p.tokens * chunks) &&
      FitsRhtManyInput(p.dim, max_shared_bytes)) {
    LaunchRhtManyInput(p, dependent, stream);
    return;
  }
  const bool in_blocks = !p.pretransformed && TransformsInBlocks(log2, p.tokens * chunks);
  const int parts = static_cast<int>((p.dim + (int64_t{1} << log2) - 1) >> log2);  // one or two
  const int c = in_blocks ? parts : RhtClusterSize(p.dim), threads = in_blocks ? 1 << (log2 - 4) : kChunkThreads;
  // Blocks of their own clear: the row's would take longer for it than for the row.
  constexpr int64_t kMaxClearing = 128;
  const int64_t each = static_cast<int64_t>(kClearsPerThread) * threads;
  const int64_t clearing = std::min(kMaxClearing, (p.clear_count / 4 + each - 1) / each);
  const int64_t clusters = p.tokens + (clearing + c - 1) / c;
  size_t shared = in_blocks ? static_cast<size_t>(BlockBytes(log2)) : 0;
  if (LoadsEarly(log2) || !in_blocks)
    shared = std::max(shared, SpreadBytes(clusters * c, c, dependent, max_shared_bytes));
  LaunchConfig config{dim3(static_cast<unsigned>(clusters * c)), dim3(static_cast<unsigned>(threads)), shared, c,
                      dependent};
  if (in_blocks) {
    Launch("rht_input", log2 == 14 ? BlockKernelOf<14>(parts) : BlockKernelOf<13>(parts), config, stream, p);
    return;
  }
  auto* kernel = c == 1   ? RhtInputKernel<1>
                 : c == 2 ? RhtInputKernel<2>
                 : c == 4 ? RhtInputKernel<4>
                          : RhtInputKernel<8>;
  Launch("rht_input", kernel, config, stream, p);
}

void LoadRhtInputKernels(int max_shared_bytes) {
  const auto load = [](size_t shared, auto... kernels) {
    LoadKernels(kernels...);
    PreferSharedMemory(kernels...);
    AllowDynamicShared(shared, kernels...);
  };
  load(MostSpreadBytes(max_shared_bytes), RhtInputKernel<1>, RhtInputKernel<2>, RhtInputKernel<4>, RhtInputKernel<8>);
  for (const int parts : {1, 2}) {
    load(MostSpreadBytes(max_shared_bytes), BlockKernelOf<13>(parts));
    load(BlockBytes(14), BlockKernelOf<14>(parts));
  }
}

}  // namespace glq::kernels
