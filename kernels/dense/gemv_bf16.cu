// y = x W^T for up to 16 tokens, W bf16 [N][K]: every weight is read once; fp32 sums in a fixed order.
//
// This kernel takes any alignment and runs on any GPU; gemv_bf16_stream.cu is the one for large aligned weights.
// A block of 8 warps owns 16 rows; warp w owns the k steps w, w + 8, ... of 64 columns. A lane (p = lane / 4,
// q = lane % 4) loads 8 columns at a time:
//
//   columns of a step   0..7   8..15  16..23 24..31 | 32..39 40..47 48..55 56..63
//   lane                q=0    q=1    q=2    q=3    | q=0    q=1    q=2    q=3
//   of rows             p and p + 8 of W, tokens p and p + 8 of x
//
// The tensor core does the sums: the k slots of an m16n8k16 MMA may be any 16 columns as long as both operands agree,
// so the eight elements of a 16-byte load serve two MMAs as they are (elements 0-3, then 4-7). x is the operand of 16
// rows, W that of 8: a step is 4 MMAs per 8 rows of W, in ascending order of columns. The 8 warps' sums are added in
// ascending warp order. A token is a row of the MMA: its sum does not depend on the others. Rows that are not 16-byte
// aligned, and the last columns when K is no multiple of 8, go element by element in the same order.
#include "dense/gemv_bf16.h"

#include <cuda_bf16.h>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"

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

// kTokens: 8 or 16, what x is padded to.
template <int kTokens, bool kVector>
__global__ void __launch_bounds__(kThreads, 2) GemvBf16Kernel(const __grid_constant__ GemvBf16Params p) {
  __shared__ float partial[kWarps][kTokens][16];
  const int t = static_cast<int>(threadIdx.x), warp = t >> 5, lane = t & 31, row_lane = lane >> 2, q = lane & 3;
  const int64_t row0 = static_cast<int64_t>(blockIdx.x) * 16;
  const uint16_t *rows[2], *x[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t row = row0 + row_lane + 8 * h;
    rows[h] = row < p.n ? p.w + row * p.ldw : nullptr;
    const int token = row_lane + 8 * h;
    x[h] = token < p.tokens ? p.x + token * p.ldx : nullptr;
  }

  struct Weights {
    uint4 v[2][2];  // [row p, p + 8][first, second half of the step]
  };
  auto load = [&](int64_t step) {
    Weights w;
    const int64_t column = step * kStep + 8 * q;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      w.v[h][0] = LoadEight<kVector>(rows[h], column, p.k, true);
      w.v[h][1] = LoadEight<kVector>(rows[h], column + 32, p.k, true);
    }
    return w;
  };
  const int64_t steps = (p.k + kStep - 1) / kStep;
  Weights ahead[kAhead];
#pragma unroll
  for (int a = 0; a < kAhead; ++a) ahead[a] = load(warp + a * kWarps);
  ptx::WaitForPredecessor();

  float sums[2][4] = {};
  for (int64_t step0 = warp; step0 < steps; step0 += kAhead * kWarps) {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int64_t step = step0 + a * kWarps;
      if (step >= steps) break;
      const Weights w = ahead[a];
      ahead[a] = load(step + kAhead * kWarps);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int64_t column = step * kStep + 32 * e + 8 * q;
        const uint4 x0 = LoadEight<kVector>(x[0], column, p.k, false);
        const uint4 x1 = kTokens > 8 ? LoadEight<kVector>(x[1], column, p.k, false) : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          ptx::MmaBf16(sums[h], x0.x, x1.x, x0.y, x1.y, w.v[h][e].x, w.v[h][e].y);
          ptx::MmaBf16(sums[h], x0.z, x1.z, x0.w, x1.w, w.v[h][e].z, w.v[h][e].w);
        }
      }
    }
  }
  ptx::LetSuccessorStart();
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    partial[warp][row_lane][8 * h + 2 * q] = sums[h][0];
    partial[warp][row_lane][8 * h + 2 * q + 1] = sums[h][1];
    if (kTokens > 8) {
      partial[warp][row_lane + 8][8 * h + 2 * q] = sums[h][2];
      partial[warp][row_lane + 8][8 * h + 2 * q + 1] = sums[h][3];
    }
  }
  __syncthreads();
  for (int i = t; i < 16 * kTokens; i += kThreads) {
    const int row = i % 16, token = i / 16;
    if (row0 + row >= p.n || token >= p.tokens) continue;
    float sum = partial[0][token][row];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) sum = __fadd_rn(sum, partial[w][token][row]);
    StoreScalar(p.y, p.y_type, token * p.ldy + row0 + row, sum);
  }
}

}  // namespace

void LaunchGemvBf16(const GemvBf16Params& p, const GemvBf16Device& device, cudaStream_t stream) {
  const bool vector = ((reinterpret_cast<uintptr_t>(p.w) | reinterpret_cast<uintptr_t>(p.x)) & 15) == 0 &&
                      (p.n <= 1 || p.ldw % 8 == 0) && (p.tokens <= 1 || p.ldx % 8 == 0);
  if (vector && p.k % 8 == 0 && p.k >= kGemvBf16StreamMinK && p.k <= INT32_MAX / 2 && HasGemvBf16Stream(device)) {
    LaunchGemvBf16Stream(p, device, stream);
    return;
  }
  auto* kernel = p.tokens <= 8 ? (vector ? GemvBf16Kernel<8, true> : GemvBf16Kernel<8, false>)
                               : (vector ? GemvBf16Kernel<16, true> : GemvBf16Kernel<16, false>);
  const LaunchConfig config{dim3(static_cast<unsigned>((p.n + 15) / 16)), dim3(kThreads), 0, 1, device.sm90};
  Launch("gemv_bf16", kernel, config, stream, p);
}

void LoadGemvBf16Kernels() {
  LoadKernels(GemvBf16Kernel<8, true>, GemvBf16Kernel<8, false>, GemvBf16Kernel<16, true>, GemvBf16Kernel<16, false>);
}

}  // namespace glq::kernels
