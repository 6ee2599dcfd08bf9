// y = x W^T for up to 16 tokens, W bf16 [N][K]: every weight is read once; fp32 sums in a fixed order.
//
// Bound by the weight bytes. A block of 8 warps owns 16 rows; warp w owns the k steps w, w + 8, ... of 64 columns:
//
//   step of 64 columns, rows p and p + 8, lane (p = lane / 4, q = lane % 4):
//       columns 16q .. 16q+7 (one 16-byte load), 16q+8 .. 16q+15 (another)
//
// so that a row's 128 bytes are read by four lanes at once. The tensor core does the sums: the k slots of an
// m16n8k16 MMA may be any 16 columns as long as both operands agree, so the eight elements of a 16-byte load
// serve two MMAs as they are (elements 0-3, then 4-7), and x is loaded in the same shape. A step of 64 columns
// is 4 MMAs. The 8 warps' sums are added in ascending warp order. A token is a column of the
// MMA: its sum does not depend on the others. Rows that are not 16-byte aligned, and the last columns when K
// is no multiple of 8, go element by element in the same order.
#include <cuda_bf16.h>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "dense/gemv_bf16.h"

namespace glq::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kStep = 64;
constexpr int kAhead = 3;  // steps of loads in flight: 3 x 64 bytes a lane, two blocks a multiprocessor

// Eight columns from `column` on as four registers; zeros beyond the end.
template <bool kVector>
__device__ __forceinline__ uint4 LoadEight(const uint16_t* row, int64_t column, int64_t k, bool stream) {
  if (row == nullptr || column >= k) return make_uint4(0, 0, 0, 0);
  if (kVector && column + 8 <= k) {
    if (stream) return ptx::LoadStream128(row + column);
    return __ldg(reinterpret_cast<const uint4*>(row + column));
  }
  uint32_t v[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t a = column + 2 * i < k ? row[column + 2 * i] : 0;
    const uint32_t b = column + 2 * i + 1 < k ? row[column + 2 * i + 1] : 0;
    v[i] = a | b << 16;
  }
  return make_uint4(v[0], v[1], v[2], v[3]);
}

template <int kBlocks, bool kVector>
__global__ void __launch_bounds__(kThreads, 2) GemvBf16Kernel(const __grid_constant__ GemvBf16Params p) {
  __shared__ float partial[kWarps][16][8 * kBlocks + 1];
  const int t = static_cast<int>(threadIdx.x), warp = t >> 5, lane = t & 31, row_lane = lane >> 2, q = lane & 3;
  const int64_t row0 = static_cast<int64_t>(blockIdx.x) * 16;
  const uint16_t* rows[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t row = row0 + row_lane + 8 * h;
    rows[h] = row < p.n ? p.w + row * p.ldw : nullptr;
  }
  const uint16_t* x[kBlocks];
#pragma unroll
  for (int b = 0; b < kBlocks; ++b) {
    const int token = 8 * b + row_lane;
    x[b] = token < p.tokens ? p.x + token * p.ldx : nullptr;
  }

  struct Weights {
    uint4 v[2][2];  // [row p, p + 8][first, second eight columns]
  };
  auto load = [&](int64_t step) {
    Weights w;
    const int64_t column = step * kStep + 16 * q;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      w.v[h][0] = LoadEight<kVector>(rows[h], column, p.k, true);
      w.v[h][1] = LoadEight<kVector>(rows[h], column + 8, p.k, true);
    }
    return w;
  };
  const int64_t steps = (p.k + kStep - 1) / kStep;
  Weights ahead[kAhead];
#pragma unroll
  for (int a = 0; a < kAhead; ++a) ahead[a] = load(warp + a * kWarps);
  ptx::WaitForPredecessor();

  float sums[kBlocks][4] = {};
  for (int64_t step0 = warp; step0 < steps; step0 += kAhead * kWarps) {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int64_t step = step0 + a * kWarps;
      if (step >= steps) break;
      const Weights w = ahead[a];
      ahead[a] = load(step + kAhead * kWarps);
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const uint4 v = LoadEight<kVector>(x[b], step * kStep + 16 * q + 8 * e, p.k, false);
          ptx::MmaBf16(sums[b], w.v[0][e].x, w.v[1][e].x, w.v[0][e].y, w.v[1][e].y, v.x, v.y);
          ptx::MmaBf16(sums[b], w.v[0][e].z, w.v[1][e].z, w.v[0][e].w, w.v[1][e].w, v.z, v.w);
        }
      }
    }
  }
  ptx::LetSuccessorStart();
#pragma unroll
  for (int b = 0; b < kBlocks; ++b) {
    partial[warp][row_lane][8 * b + 2 * q] = sums[b][0];
    partial[warp][row_lane][8 * b + 2 * q + 1] = sums[b][1];
    partial[warp][row_lane + 8][8 * b + 2 * q] = sums[b][2];
    partial[warp][row_lane + 8][8 * b + 2 * q + 1] = sums[b][3];
  }
  __syncthreads();
  for (int i = t; i < 16 * 8 * kBlocks; i += kThreads) {
    const int row = i % 16, token = i / 16;
    if (row0 + row >= p.n || token >= p.tokens) continue;
    float sum = partial[0][row][token];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) sum = __fadd_rn(sum, partial[w][row][token]);
    StoreScalar(p.y, p.y_type, token * p.ldy + row0 + row, sum);
  }
}

}  // namespace

void LaunchGemvBf16(const GemvBf16Params& p, bool dependent, cudaStream_t stream) {
  const bool vector = ((reinterpret_cast<uintptr_t>(p.w) | reinterpret_cast<uintptr_t>(p.x)) & 15) == 0 &&
                      (p.n <= 1 || p.ldw % 8 == 0) && (p.tokens <= 1 || p.ldx % 8 == 0);
  auto* kernel = p.tokens <= 8 ? (vector ? GemvBf16Kernel<1, true> : GemvBf16Kernel<1, false>)
                               : (vector ? GemvBf16Kernel<2, true> : GemvBf16Kernel<2, false>);
  LaunchConfig config{dim3(static_cast<unsigned>((p.n + 15) / 16)), dim3(kThreads), 0, 1, dependent};
  Launch("gemv_bf16", kernel, config, stream, p);
}

void LoadGemvBf16Kernels() {
  LoadKernels(GemvBf16Kernel<1, true>, GemvBf16Kernel<1, false>, GemvBf16Kernel<2, true>, GemvBf16Kernel<2, false>);
}

}  // namespace glq::kernels
