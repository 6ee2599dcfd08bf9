// Input side of the E8P linear: x -> u = x * SV -> v = B u -> integers (numerics: steps 1 to 4).
//
// One cluster of C blocks of 512 threads per token, C = 1, 2, 4 or 8 chunks of 4096 elements. What bounds it is
// latency, not bytes: a row is 8 to 64 KiB. Rows that do not fit (dim > 32768, or > 4096 on GPUs without
// clusters) and block lists that are not the binary expansion go through rht_large.cu.
#include "e8p/rht.cuh"

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/digits.cuh"
#include "e8p/load_row.cuh"
#include "e8p/launch.h"

namespace glq::kernels {
namespace {

template <int kCluster>
__global__ void __launch_bounds__(kChunkThreads, 2) RhtInputKernel(const __grid_constant__ RhtInputParams p) {
  __shared__ float shared[kChunkShared];
  __shared__ alignas(16) uint8_t staged[2 * kChunk];  // digits of this block's elements
  [[maybe_unused]] __shared__ uint32_t maxima[kMaxClusterChunks];  // one per block of the cluster
  __shared__ uint32_t warp_max[kChunkThreads / 32];
  __shared__ int sums[2];

  const int t = static_cast<int>(threadIdx.x);
  const int token = static_cast<int>(blockIdx.x / kCluster);
  const int rank = static_cast<int>(blockIdx.x % kCluster);
  const uint32_t dim = static_cast<uint32_t>(p.dim);
  ptx::LetSuccessorStart();
  const SvPiece sv = LoadSv(p.pretransformed ? nullptr : p.sv, p.dim, rank, t);
  ptx::WaitForPredecessor();

  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kChunkThreads + t; i < p.clear_count / 4;
       i += static_cast<int64_t>(gridDim.x) * kChunkThreads) {
    reinterpret_cast<int4*>(p.clear)[i] = make_int4(0, 0, 0, 0);
  }

  float r[kChunkRegs];
  const int64_t x_bytes = p.x_type == Scalar::kF32 ? 4 : 2;
  const void* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * x_bytes;
  if (p.pretransformed) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const uint32_t i = ElementIndex<kCluster>(rank, j);
      r[j] = i < dim ? static_cast<const float*>(row)[i] : 0.0f;
    }
  } else {
    LoadRow({row, p.x_type, p.in_features, p.sv}, sv, rank, t, r);
    RowFwht<kCluster>(r, shared, rank, dim);
    MultiplyInvSqrt<kCluster>(r, rank, dim);
  }

  if (p.v != nullptr) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const uint32_t i = ElementIndex<kCluster>(rank, j);
      if (i < dim) p.v[token * p.v_stride + i] = ToF32Canonical(r[j]);
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if constexpr (kCluster > 1) cg::this_cluster().sync();  // others may still read this block's chunk
#endif
    return;
  }

  // The largest |v| of the row, as bits.
  uint32_t max_bits = 0;
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const bool inside = ElementIndex<kCluster>(rank, j) < dim;
    max_bits = max(max_bits, inside ? __float_as_uint(r[j]) & 0x7FFFFFFFu : 0u);
  }
  max_bits = __reduce_max_sync(0xFFFFFFFFu, max_bits);
  if ((t & 31) == 0) warp_max[t >> 5] = max_bits;
  if (t < 2) sums[t] = 0;
  __syncthreads();
  max_bits = __reduce_max_sync(0xFFFFFFFFu, warp_max[t & (kChunkThreads / 32 - 1)]);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if constexpr (kCluster > 1) {
    // Every block writes its maximum to every other; reading after the barrier is local, so that none
    // has to stay for the others.
    cg::cluster_group cluster = cg::this_cluster();
    if (t < kCluster) cluster.map_shared_rank(maxima, t)[rank] = max_bits;
    cluster.sync();
#pragma unroll
    for (int s = 0; s < kCluster; ++s) max_bits = max(max_bits, maxima[s]);
  }
#endif
  const RowScale scale = ScaleOfRow(max_bits);

  // Staged as [s][column / 64 inside this block][digit][64].
  constexpr int kColumns = kChunk / kCluster;
  int sum_hi = 0, sum_lo = 0;
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const bool inside = ElementIndex<kCluster>(rank, j) < dim;
    const Digits d = inside ? SplitDigits(r[j], scale) : Digits{0, 0};
    const int s = j % kCluster, column = t + (j / kCluster) * kChunkThreads;
    const int in_tile = DigitByte(p.layout, column & 63);
    const int at = (s * kColumns + (column & ~63)) * 2 + in_tile;
    staged[at] = static_cast<uint8_t>(d.hi);
    staged[at + 64] = static_cast<uint8_t>(d.lo);
    sum_hi += d.hi;
    sum_lo += d.lo;
  }
  sum_hi = __reduce_add_sync(0xFFFFFFFFu, sum_hi);
  sum_lo = __reduce_add_sync(0xFFFFFFFFu, sum_lo);
  if ((t & 31) == 0) {
    atomicAdd(&sums[0], sum_hi);
    atomicAdd(&sums[1], sum_lo);
  }
  __syncthreads();
  const int stored = StoredColumns(p.layout, p.dim);
#pragma unroll
  for (int piece = t; piece < 2 * kChunk / 16; piece += kChunkThreads) {
    const int s = piece / (2 * kColumns / 16), in_s = piece % (2 * kColumns / 16);
    const int k_tile = (s * kChunk + rank * kColumns) / 64 + in_s / 8;
    if (k_tile * 64 < stored) {
      const int64_t to = DigitPiece(p.layout, p.tokens, p.dim, token, in_s % 8 / 4, k_tile, in_s % 4);
      *reinterpret_cast<uint4*>(p.digits + to) = *reinterpret_cast<const uint4*>(staged + piece * 16);
    }
  }
  if (t == 0) {
    TokenHeader* h = p.headers + token;
    h->digit_sums[rank] = make_int2(sums[0], sums[1]);
    if (rank == 0) {
      h->t = scale.t;
      h->kind = scale.kind;
      for (int i = kCluster; i < kMaxClusterChunks; ++i) h->digit_sums[i] = make_int2(0, 0);
    }
  }
}

}  // namespace

int RhtClusterSize(int64_t dim) {
  int c = 1;
  while (static_cast<int64_t>(c) * kChunk < dim) c *= 2;
  return c;
}

void LaunchRhtInput(const RhtInputParams& p, bool dependent, cudaStream_t stream) {
  const int c = RhtClusterSize(p.dim);
  LaunchConfig config{dim3(static_cast<unsigned>(p.tokens * c)), dim3(kChunkThreads), 0, c, dependent};
  auto* kernel = c == 1 ? RhtInputKernel<1> : c == 2 ? RhtInputKernel<2> : c == 4 ? RhtInputKernel<4> : RhtInputKernel<8>;
  Launch("rht_input", kernel, config, stream, p);
}

void LoadRhtInputKernels() {
  LoadKernels(RhtInputKernel<1>, RhtInputKernel<2>, RhtInputKernel<4>, RhtInputKernel<8>);
  PreferSharedMemory(RhtInputKernel<1>, RhtInputKernel<2>, RhtInputKernel<4>, RhtInputKernel<8>);
}

}  // namespace glq::kernels
