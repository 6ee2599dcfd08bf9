// Transforms of rows of any length and any block list, in place over an fp32 matrix in global memory.
//
// Used where a row does not fit a cluster (rht.cuh), on GPUs without clusters for rows beyond one chunk, and for
// block lists other than the binary expansion of the dimension. Passes:
//
//   load    x * SV, or the combined sums of the product, into the buffer
//   stages  standard lists: 0..11 per chunk of 4096 in one pass, then up to four stages a pass;
//           other lists, and columns of a matrix: one stage a pass
//   finish  scale, row maximum, digits; or scale, SU, bias, output
//
// Each element goes through the same additions in the same order as in the cluster kernels.
#include "common/fwht.cuh"
#include "common/launch.h"
#include "common/scalar.cuh"
#include "e8p/combine.cuh"
#include "e8p/digits.cuh"
#include "e8p/launch.h"

namespace glq::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kFinishThreads = 512;

// log2 of the size of the block that holds element i, and i's place in it.
struct Place {
  int log2;
  int64_t local;
};
__device__ __forceinline__ Place FindBlock(const BlockList& blocks, int64_t dim, int64_t i) {
  if (blocks.standard) {
    const int h = BlockLog2(static_cast<uint32_t>(i), static_cast<uint32_t>(dim));
    return {h, i & ((int64_t{1} << h) - 1)};
  }
  int low = 0, high = blocks.count;
  while (high - low > 1) {
    const int mid = (low + high) / 2;
    if (blocks.starts[mid] <= i) {
      low = mid;
    } else {
      high = mid;
    }
  }
  return {63 - __clzll(blocks.starts[low + 1] - blocks.starts[low]), i - blocks.starts[low]};
}

__global__ void LoadInputKernel(const __grid_constant__ RhtInputParams p, float* buffer) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x, token = blockIdx.y;
  if (token == 0) {
    for (int64_t c = i; c < p.clear_count; c += static_cast<int64_t>(gridDim.x) * kThreads) p.clear[c] = 0;
  }
  if (i >= p.dim) return;
  const int64_t size = p.x_type == Scalar::kF32 ? 4 : 2;
  const void* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * size;
  float v = 0.0f;
  if (i < p.in_features) {
    v = LoadScalar(row, p.x_type, i);
    if (p.sv != nullptr && !p.pretransformed) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.sv + i))));
  }
  buffer[token * p.dim + i] = v;
}

__global__ void LoadOutputKernel(const __grid_constant__ RhtOutputParams p, float* buffer) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int token = static_cast<int>(blockIdx.y);
  if (i >= p.dim) return;
  buffer[static_cast<int64_t>(token) * p.dim + i] = RotatedElement(p, token, static_cast<uint32_t>(i));
}

__global__ void CombineKernel(const __grid_constant__ RhtOutputParams p) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= p.dim) return;
  for (int token = static_cast<int>(blockIdx.y); token < p.tokens; token += static_cast<int>(gridDim.y)) {
    static_cast<float*>(p.y)[token * p.y_stride + i] =
        ToF32Canonical(RotatedElement(p, token, static_cast<uint32_t>(i)));
  }
}

// Stages 0..11 of one chunk of one row.
__global__ void __launch_bounds__(kChunkThreads) ChunkKernel(float* buffer, int64_t dim) {
  alignas(16) __shared__ float shared[kChunkShared];
  const int t = static_cast<int>(threadIdx.x);
  float* row = buffer + static_cast<int64_t>(blockIdx.y) * dim;
  const int64_t base = static_cast<int64_t>(blockIdx.x) * kChunk;
  float r[kChunkRegs];
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const int64_t i = base + kChunkRegs * t + j;
    r[j] = i < dim ? row[i] : 0.0f;
  }
  ChunkFwht(r, shared, static_cast<uint32_t>(base), static_cast<uint32_t>(dim), false, t);
#pragma unroll
  for (int j = 0; j < kChunkRegs; ++j) {
    const int64_t i = base + t + kChunkThreads * j;
    if (i < dim) row[i] = r[j];
  }
}

// Stages kShift .. kShift + 3 of standard lists: a thread holds the 16 elements that differ in these bits.
template <int kShift>
__global__ void HighStagesKernel(float* buffer, int64_t dim, int64_t threads) {
  const int64_t g = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= threads) return;
  float* row = buffer + static_cast<int64_t>(blockIdx.y) * dim;
  const int64_t low = g & ((int64_t{1} << kShift) - 1), base = (g >> kShift << (kShift + 4)) | low;
  float r[16];
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    const int64_t i = base + (static_cast<int64_t>(j) << kShift);
    r[j] = i < dim ? row[i] : 0.0f;
  }
  Butterflies<kShift, false>(r, static_cast<uint32_t>(base), static_cast<uint32_t>(dim));
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    const int64_t i = base + (static_cast<int64_t>(j) << kShift);
    if (i < dim) row[i] = r[j];
  }
}

// One stage of any list. Element i of vector v is at buffer[v * vector_stride + i * element_stride].
__global__ void StageKernel(float* buffer, const BlockList blocks, int64_t dim, int64_t vectors, int64_t vector_stride,
                            int64_t element_stride, int bit, bool vectors_first) {
  const int64_t g = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= dim * vectors) return;
  // Neighbouring threads take neighbouring addresses.
  const int64_t i = vectors_first ? g / vectors : g % dim, v = vectors_first ? g % vectors : g / dim;
  const Place place = FindBlock(blocks, dim, i);
  if (bit >= place.log2 || ((place.local >> bit) & 1)) return;
  float* a = buffer + v * vector_stride + i * element_stride;
  float* b = a + (element_stride << bit);
  const float x = *a, y = *b;
  *a = __fadd_rn(x, y);
  *b = __fsub_rn(x, y);
}

__global__ void __launch_bounds__(kFinishThreads)
    FinishInputKernel(const __grid_constant__ RhtInputParams p, const BlockList blocks, float* buffer) {
  __shared__ uint32_t block_max;
  __shared__ int sums[2];
  const int t = static_cast<int>(threadIdx.x);
  const int64_t token = blockIdx.x;
  float* row = buffer + token * p.dim;
  if (t == 0) block_max = 0, sums[0] = 0, sums[1] = 0;
  __syncthreads();
  uint32_t max_bits = 0;
  for (int64_t i = t; i < p.dim; i += kFinishThreads) {
    float v = row[i];
    if (!p.pretransformed) v = __fmul_rn(v, InvSqrtPow2(FindBlock(blocks, p.dim, i).log2));
    if (p.v != nullptr) {
      p.v[token * p.v_stride + i] = ToF32Canonical(v);
    } else {
      row[i] = v;
      max_bits = max(max_bits, __float_as_uint(v) & 0x7FFFFFFFu);
    }
  }
  if (p.v != nullptr) return;
  atomicMax(&block_max, max_bits);
  __syncthreads();
  const RowScale scale = ScaleOfRow(block_max);
  if (IsHalves(p.layout)) {
    for (int i = t; i < StoredColumns(p.layout, p.dim); i += kFinishThreads) {
      StoreHalf(p.digits, p.layout, p.tokens, p.dim, static_cast<int>(token), i, i < p.dim ? row[i] : 0.0f, scale);
    }
    if (t == 0) p.headers[token].t = scale.t(), p.headers[token].kind = scale.kind;
    return;
  }
  int sum_hi = 0, sum_lo = 0;
  for (int i = t; i < StoredColumns(p.layout, p.dim); i += kFinishThreads) {
    const Digits d = i < p.dim ? SplitDigits(row[i], scale) : Digits{0, 0};
    const int byte = DigitByte(p.layout, i & 63);
    for (int digit = 0; digit < 2; ++digit) {
      const int64_t piece = DigitPiece(p.layout, p.tokens, p.dim, static_cast<int>(token), digit, i >> 6, byte >> 4);
      p.digits[piece + (byte & 15)] = static_cast<uint8_t>(digit == 0 ? d.hi : d.lo);
    }
    sum_hi += d.hi;
    sum_lo += d.lo;
  }
  atomicAdd(&sums[0], sum_hi);
  atomicAdd(&sums[1], sum_lo);
  __syncthreads();
  if (t == 0) {
    TokenHeader* h = p.headers + token;
    h->t = scale.t();
    h->kind = scale.kind;
    h->digit_sums[0] = make_int2(sums[0], sums[1]);
    for (int i = 1; i < kMaxClusterChunks; ++i) h->digit_sums[i] = make_int2(0, 0);
  }
}

__global__ void FinishOutputKernel(const __grid_constant__ RhtOutputParams p, const BlockList blocks,
                                   const float* buffer) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int token = static_cast<int>(blockIdx.y);
  if (i >= p.out_features) return;
  const int kind = p.stages > 0 || p.scale_rows ? p.headers[token].kind : 0;
  float v = __fmul_rn(buffer[static_cast<int64_t>(token) * p.dim + i], InvSqrtPow2(FindBlock(blocks, p.dim, i).log2));
  if (p.su != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.su + i))));
  if (p.bias != nullptr) v = __fadd_rn(v, __ldg(p.bias + i));
  if (kind == 2) v = __uint_as_float(0x7FC00000u);
  StoreScalar(p.y, p.y_type, token * p.y_stride + i, v);
}

__global__ void ScaleColumnsKernel(const DequantizeParams p, const BlockList blocks, int64_t padded_out) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x, i = blockIdx.y;
  if (j >= p.padded_in) return;
  for (int64_t row = i; row < padded_out; row += gridDim.y) {
    float v = __fmul_rn(p.buffer[row * p.padded_in + j], InvSqrtPow2(FindBlock(blocks, p.padded_in, j).log2));
    if (p.sv != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.sv + j))));
    p.buffer[row * p.padded_in + j] = v;
  }
}

__global__ void StoreDequantizedKernel(const DequantizeParams p, const BlockList blocks, int64_t padded_out) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= p.in_features) return;
  for (int64_t i = blockIdx.y; i < p.out_features; i += gridDim.y) {
    float v = __fmul_rn(p.buffer[i * p.padded_in + j], InvSqrtPow2(FindBlock(blocks, padded_out, i).log2));
    if (p.su != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.su + i))));
    StoreScalar(p.out, p.out_type, i * p.out_stride + j, v);
  }
}

unsigned Count(int64_t n) { return static_cast<unsigned>((n + kThreads - 1) / kThreads); }

// Grids have at most 65535 blocks along y: longer batches go in slices.
constexpr int64_t kMaxGridY = 65535;

}  // namespace

void LaunchFwhtRows(float* buffer, int64_t rows, int64_t dim, const BlockList& blocks, cudaStream_t stream) {
  if (!blocks.standard) {
    for (int bit = 0; bit < blocks.max_log2; ++bit) {
      Launch("fwht_stage", StageKernel, {dim3(Count(dim * rows)), dim3(kThreads)}, stream, buffer, blocks, dim, rows,
             dim, int64_t{1}, bit, false);
    }
    return;
  }
  for (int64_t first = 0; first < rows; first += kMaxGridY) {
    const unsigned n = static_cast<unsigned>(rows - first < kMaxGridY ? rows - first : kMaxGridY);
    float* part = buffer + first * dim;
    Launch("fwht_chunk", ChunkKernel,
           {dim3(static_cast<unsigned>((dim + kChunk - 1) / kChunk), n), dim3(kChunkThreads)}, stream, part, dim);
    auto high = [&](auto* kernel, int shift) {
      const int64_t span = int64_t{1} << (shift + 4), threads = (dim + span - 1) / span << shift;
      Launch("fwht_high", kernel, {dim3(Count(threads), n), dim3(kThreads)}, stream, part, dim, threads);
    };
    if (blocks.max_log2 > 12) high(HighStagesKernel<12>, 12);
    if (blocks.max_log2 > 16) high(HighStagesKernel<16>, 16);
  }
}

void LaunchRhtInputLarge(const RhtInputParams& p, const BlockList& blocks, float* buffer, cudaStream_t stream) {
  for (int64_t first = 0; first < p.tokens; first += kMaxGridY) {
    RhtInputParams part = p;
    const int64_t n = p.tokens - first < kMaxGridY ? p.tokens - first : kMaxGridY;
    part.x = static_cast<const uint8_t*>(p.x) + first * p.x_stride * (p.x_type == Scalar::kF32 ? 4 : 2);
    if (first > 0) part.clear_count = 0;
    Launch("rht_load", LoadInputKernel, {dim3(Count(p.dim), static_cast<unsigned>(n)), dim3(kThreads)}, stream, part,
           buffer + first * p.dim);
  }
  if (!p.pretransformed) LaunchFwhtRows(buffer, p.tokens, p.dim, blocks, stream);
  Launch("rht_finish", FinishInputKernel, {dim3(static_cast<unsigned>(p.tokens)), dim3(kFinishThreads)}, stream, p,
         blocks, buffer);
}

void LaunchRhtOutputLarge(const RhtOutputParams& p, const BlockList& blocks, float* buffer, cudaStream_t stream) {
  const dim3 load(Count(p.dim), static_cast<unsigned>(p.tokens)),
      store(Count(p.out_features), static_cast<unsigned>(p.tokens));
  Launch("rht_load", LoadOutputKernel, {load, dim3(kThreads)}, stream, p, buffer);
  LaunchFwhtRows(buffer, p.tokens, p.dim, blocks, stream);
  Launch("rht_finish", FinishOutputKernel, {store, dim3(kThreads)}, stream, p, blocks,
         static_cast<const float*>(buffer));
}

void LaunchCombine(const RhtOutputParams& p, cudaStream_t stream) {
  const dim3 grid(Count(p.dim), static_cast<unsigned>(p.tokens < kMaxGridY ? p.tokens : kMaxGridY));
  Launch("e8p_combine", CombineKernel, {grid, dim3(kThreads)}, stream, p);
}

void LaunchScaleColumns(const DequantizeParams& p, const BlockList& in_blocks, int64_t padded_out,
                        cudaStream_t stream) {
  const dim3 grid(Count(p.padded_in), static_cast<unsigned>(padded_out < kMaxGridY ? padded_out : kMaxGridY));
  Launch("dequantize_scale", ScaleColumnsKernel, {grid, dim3(kThreads)}, stream, p, in_blocks, padded_out);
}

void LaunchDequantizeColumns(const DequantizeParams& p, const BlockList& out_blocks, int64_t padded_out,
                             cudaStream_t stream) {
  for (int bit = 0; bit < out_blocks.max_log2; ++bit) {
    Launch("fwht_stage", StageKernel, {dim3(Count(padded_out * p.padded_in)), dim3(kThreads)}, stream, p.buffer,
           out_blocks, padded_out, p.padded_in, int64_t{1}, p.padded_in, bit, true);
  }
  const dim3 grid(Count(p.in_features), static_cast<unsigned>(p.out_features < kMaxGridY ? p.out_features : kMaxGridY));
  Launch("dequantize_store", StoreDequantizedKernel, {grid, dim3(kThreads)}, stream, p, out_blocks, padded_out);
}

void LoadRhtLargeKernels() {
  LoadKernels(LoadInputKernel, LoadOutputKernel, CombineKernel, ChunkKernel, HighStagesKernel<12>, HighStagesKernel<16>,
              StageKernel, FinishInputKernel, FinishOutputKernel, ScaleColumnsKernel, StoreDequantizedKernel);
}

}  // namespace glq::kernels
