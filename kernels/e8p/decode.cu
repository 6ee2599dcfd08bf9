// Decoding without a product: scaled weights of the rotated matrix, and one stage as int8 for a library product.
// One thread per lane of a unit: 8 codes of 2 rows. Bound by what it writes.
#include "common/launch.h"
#include "common/scalar.cuh"
#include "e8p/launch.h"
#include "e8p/layout.h"
#include "e8p/nibbles.cuh"

namespace glq::kernels {
namespace {

constexpr int kThreads = 256;

// The integer weights (times 4, or times 2) of one code, from its word of nibbles.
template <bool kE81b>
__device__ __forceinline__ int Weight(uint32_t word, int k) {
  const int u = static_cast<int>((word >> (4 * k)) & 15u);
  return kE81b ? u - 4 : 2 * u - 15;
}

struct Codes {
  uint32_t words[2][4];  // [k tile of the unit][slot]
};

// The entry of the low byte.
__device__ __forceinline__ uint32_t Look(const std::array<uint32_t, 256>& table, uint32_t code) {
  return __ldg(table.data() + (code & 255));
}

__device__ __forceinline__ Codes LoadCodes(const void* weights, bool e81b, int64_t index) {
  Codes c;
  if (e81b) {
    const uint2 w = static_cast<const uint2*>(weights)[index];
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      c.words[0][s] = Look(kNibbles.e81b, w.x >> (8 * s));
      c.words[1][s] = Look(kNibbles.e81b, w.y >> (8 * s));
    }
  } else {
    const uint4 w = static_cast<const uint4*>(weights)[index];
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      c.words[0][s] = Look(kNibbles.magnitude, w.x >> (8 * s)) ^ Look(kNibbles.sign, w.y >> (8 * s));
      c.words[1][s] = Look(kNibbles.magnitude, w.z >> (8 * s)) ^ Look(kNibbles.sign, w.w >> (8 * s));
    }
  }
  return c;
}

__global__ void __launch_bounds__(kThreads) DecodeKernel(const __grid_constant__ DecodeParams p) {
  const int64_t first_tile = p.row_begin / 16, tiles = (p.row_begin + p.rows + 15) / 16 - first_tile;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= tiles * p.units * 32) return;
  const int64_t tile = first_tile + i / (p.units * 32), unit = i / 32 % p.units, lane = i % 32;
  const int64_t index = (tile * p.units + unit) * 32 + lane;
  float z[2][4][8];
  for (int stage = 0; stage < p.stages; ++stage) {
    const bool e81b = (p.e81b_mask >> stage) & 1;
    const Codes c = LoadCodes(p.weights[stage], e81b, index);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
#pragma unroll
      for (int s = 0; s < 4; ++s) {
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          const float w = static_cast<float>(e81b ? Weight<true>(c.words[h][s], k) : Weight<false>(c.words[h][s], k));
          z[h][s][k] = stage == 0 ? __fmul_rn(w, p.k[0]) : __fmaf_rn(w, p.k[stage], z[h][s][k]);
        }
      }
    }
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t column = unit * kUnitCols + h * kTileCols + (lane & 3) * 16;
    if (column >= p.cols) continue;
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      const int64_t row = tile * 16 + (lane >> 2) * 2 + (s & 1) - p.row_begin;
      if (row < 0 || row >= p.rows) continue;
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        StoreScalar(p.out, p.out_type, row * p.out_stride + column + (s >> 1) * 8 + k, z[h][s][k]);
      }
    }
  }
}

template <bool kE81b>
__global__ void __launch_bounds__(kThreads) ExpandKernel(const void* weights, int64_t rows, int64_t cols, int8_t* out) {
  const int64_t units = (cols + kUnitCols - 1) / kUnitCols;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= rows / 16 * units * 32) return;
  const int64_t tile = i / (units * 32), unit = i / 32 % units, lane = i % 32;
  const Codes c = LoadCodes(weights, kE81b, i);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t column = unit * kUnitCols + h * kTileCols + (lane & 3) * 16;
    if (column >= cols) continue;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      uint32_t bytes[4];
#pragma unroll
      for (int g = 0; g < 2; ++g) {
        const uint32_t word = c.words[h][r + 2 * g];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          uint32_t packed = 0;
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            packed |= static_cast<uint32_t>(Weight<kE81b>(word, 4 * half + k) & 255) << (8 * k);
          }
          bytes[2 * g + half] = packed;
        }
      }
      *reinterpret_cast<uint4*>(out + (tile * 16 + (lane >> 2) * 2 + r) * cols + column) =
          make_uint4(bytes[0], bytes[1], bytes[2], bytes[3]);
    }
  }
}

unsigned Blocks(int64_t n) { return static_cast<unsigned>((n + kThreads - 1) / kThreads); }

}  // namespace

void LaunchDecode(const DecodeParams& p, cudaStream_t stream) {
  const int64_t tiles = (p.row_begin + p.rows + 15) / 16 - p.row_begin / 16;
  if (p.rows == 0) return;
  Launch("e8p_decode", DecodeKernel, {dim3(Blocks(tiles * p.units * 32)), dim3(kThreads)}, stream, p);
}

void LaunchExpandInt8(const void* weights, bool e81b, int64_t rows, int64_t cols, int8_t* out, cudaStream_t stream) {
  const int64_t n = rows / 16 * ((cols + kUnitCols - 1) / kUnitCols) * 32;
  Launch("e8p_expand", e81b ? ExpandKernel<true> : ExpandKernel<false>, {dim3(Blocks(n)), dim3(kThreads)}, stream,
         weights, rows, cols, out);
}

void LoadDecodeKernels() { LoadKernels(DecodeKernel, ExpandKernel<true>, ExpandKernel<false>); }

}  // namespace glq::kernels
