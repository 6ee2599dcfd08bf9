// y = x W^T for up to 16 tokens, W bf16 [N][K], for large weights on sm_90: as fast as the memory gives them.
//
// Bound by the weight bytes. A multiprocessor must have some 100 KiB of them on their way all the time, so they go to
// shared memory, one block a multiprocessor, in rings that belong to one warp each: nothing but a warp's own progress
// decides when its next load starts. A block owns up to 224 rows, in two halves:
//
//                  chunk of 512 columns            next chunk
//               |  w0 | w1 | ... | w7 (64 each) |  w0 | ...
//     rows  0.. |  warps 0 to 7, 16 rows a stage, all stages of a chunk, then the next chunk
//     rows R/2. |  warps 8 to 15
//
//   stage   2 KiB of a warp's ring: 16 rows x 128 bytes; odd rows have their 64-byte halves swapped, so that the
//           16-byte loads of a fragment meet all banks
//   x       a ring of chunks that the block shares, [tokens][512] padded by 64 bytes a row. Warp t starts the copy of
//           token t by the copy engine: a load would come back behind the weights that are on their way.
//
// A fragment of x serves all stages of its chunk. Sums are those of gemv_bf16.cu, MMA by MMA, in the same order. At the
// end each warp puts its sums where its ring was, and the 8 warps' sums are added in ascending warp order.
#include "common/bulk_copy.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "dense/gemv_bf16.h"

namespace glq::kernels {
namespace {

constexpr int kWarps = 16, kHalves = 2, kColumnWarps = kWarps / kHalves;
constexpr int kThreads = kWarps * 32;
constexpr int kStep = 64, kChunk = kColumnWarps * kStep;
constexpr int kStageRows = 16, kStageBytes = kStageRows * kStep * 2;
constexpr int kMaxStagesOfChunk = 7;  // sums: 8 registers each
constexpr int kMaxRows = kHalves * kMaxStagesOfChunk * kStageRows;
constexpr int kXPitch = kChunk * 2 + 64;

// kTokens: 8 or 16, what x is padded to.
template <int kTokens>
struct Layout {
  static constexpr int kStages = kTokens == 8 ? 5 : 4;  // of a ring
  static constexpr int kSlots = kTokens == 8 ? 7 : 5;   // chunks of x
  static constexpr int kSlotBytes = kTokens * kXPitch, kRingBytes = kStages * kStageBytes;
  static constexpr int kRings = kSlots * kSlotBytes, kBarriers = kRings + kWarps * kRingBytes;
  static constexpr int kBytes = kBarriers + 2 * kSlots * 8;
  static_assert(kMaxStagesOfChunk * kStageRows * kTokens * 4 <= kRingBytes, "the sums take the ring's place");
};

// A lane's loads of a warp's weights: chunks in ascending order, stages of 16 rows within a chunk. Eight lanes copy the
// 128 bytes of a row. Rows and columns beyond the end become zeros.
template <int kStages>
struct WeightLoader {
  const char* source;  // of the lane's piece of the next stage
  const int64_t row_bytes;
  const int rows, row_lane, column_lane, k;
  const uint32_t ring;
  int row = 0, chunk_column = 0;  // of the next stage
  uint32_t target;

  __device__ WeightLoader(const GemvBf16Params& p, int64_t first_row, int rows_of_warp, int column_warp, int lane,
                          uint32_t ring_address)
      : row_bytes(p.ldw * 2),
        rows(rows_of_warp),
        row_lane(lane >> 3),
        column_lane(column_warp * kStep + 8 * (lane & 7)),
        k(static_cast<int>(p.k)),
        ring(ring_address + (lane >> 3) * 128 + ((lane & 7) ^ ((lane >> 3) % 2 * 4)) * 16),
        target(ring) {
    source = reinterpret_cast<const char*>(p.w + (first_row + row_lane) * p.ldw + column_lane);
  }

  __device__ __forceinline__ void Next() {
    if (chunk_column < k) {
      const int left = chunk_column + column_lane < k ? rows - row - row_lane : 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) ptx::CopyAsync16(target + i * 4 * 128, source + i * 4 * row_bytes, left > 4 * i);
      target = target == ring + (kStages - 1) * kStageBytes ? ring : target + kStageBytes;
      source += kStageRows * row_bytes;
      row += kStageRows;
      if (row >= rows) {
        source += kChunk * 2 - row * row_bytes;
        row = 0;
        chunk_column += kChunk;
        if (chunk_column >= k) ptx::LetSuccessorStart();
      }
    }
    ptx::CopyAsyncCommit();
  }
};

template <int kTokens>
__global__ void __launch_bounds__(kThreads, 1)
    GemvBf16StreamKernel(const __grid_constant__ GemvBf16Params p, int rows_per_block) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  using L = Layout<kTokens>;
  uint8_t* shared = ptx::DynamicShared();
  const int t = static_cast<int>(threadIdx.x), warp = t >> 5, lane = t & 31, row_lane = lane >> 2, q = lane & 3;
  const int half = warp / kColumnWarps, column_warp = warp % kColumnWarps, k = static_cast<int>(p.k);
  const int64_t block_row = static_cast<int64_t>(blockIdx.x) * rows_per_block;
  const int block_rows = static_cast<int>(min(static_cast<int64_t>(rows_per_block), p.n - block_row));
  const int half_rows = (block_rows + 8 * kHalves - 1) / (8 * kHalves) * 8;
  const int rows = max(0, min(half_rows, block_rows - half * half_rows));
  const int64_t first_row = block_row + half * half_rows;
  const uint32_t slots = ptx::SharedAddress(shared), ring = slots + L::kRings + warp * L::kRingBytes;
  const uint32_t full = slots + L::kBarriers, empty = full + L::kSlots * 8;

  // Towards L2 while the predecessor may still write x: nothing is read, and L2 is where its writes end up.
  const uint32_t lines = (static_cast<uint32_t>(k) + 63) / 64;  // of 128 bytes, a row of x
  for (uint32_t i = blockIdx.x * kThreads + t; i < lines * p.tokens; i += gridDim.x * kThreads) {
    ptx::PrefetchL2(p.x + i / lines * p.ldx + i % lines * 64);
  }
  WeightLoader<L::kStages> weights(p, first_row, rows, column_warp, lane, ring);
#pragma unroll 1
  for (int i = 0; i < L::kStages; ++i) weights.Next();
  if (t == 0) {
    for (int i = 0; i < L::kSlots; ++i) {
      ptx::BarrierInit(full + 8 * i, min(p.tokens, kWarps));
      ptx::BarrierInit(empty + 8 * i, kWarps);
    }
    ptx::BarrierInitFence();
  }
  __syncthreads();
  ptx::WaitForPredecessor();

  const int chunks = (k + kChunk - 1) / kChunk;
  const bool copies_x = lane == 0 && warp < p.tokens;
  auto copy_x = [&](int chunk, int slot) {
    const uint32_t bytes = min(kChunk, k - chunk * kChunk) * 2;
    ptx::BarrierArriveExpect(full + 8 * slot, bytes);
    ptx::BulkCopy(slots + slot * L::kSlotBytes + warp * kXPitch, p.x + warp * p.ldx + chunk * kChunk, bytes,
                  full + 8 * slot);
  };
  if (copies_x) {
    for (int i = 0; i < min(L::kSlots, chunks); ++i) copy_x(i, i);
  }

  const uint32_t x_at = slots + row_lane * kXPitch + column_warp * 128 + q * 16;
  const uint32_t w_begin = ring + row_lane * 128 + (q ^ (row_lane % 2 * 4)) * 16;
  const uint32_t other_half = row_lane % 2 ? -64 : 64;
  uint32_t w_at = w_begin, phase = 0;
  int slot = 0;
  float sums[kMaxStagesOfChunk][2][4] = {};  // [stage][rows 0 to 7, 8 to 15]
  for (int chunk = 0; chunk < chunks; ++chunk) {
    ptx::BarrierWait(full + 8 * slot, phase);
    uint4 x[2][2];  // [tokens 0 to 7, 8 to 15][half of the step]; zeros beyond the last column
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const bool inside = chunk * kChunk + column_warp * kStep + 32 * e + 8 * q < k;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        x[h][e] = make_uint4(0, 0, 0, 0);
        if (8 * h < kTokens && inside)
          x[h][e] = ptx::LoadShared128(x_at + slot * L::kSlotBytes + h * 8 * kXPitch + e * 64);
      }
    }
#pragma unroll
    for (int s = 0; s < kMaxStagesOfChunk; ++s) {
      if (s * kStageRows >= rows) break;
      ptx::CopyAsyncWait<L::kStages - 1>();
      __syncwarp();
      uint4 w[2][2];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
#pragma unroll
        for (int h = 0; h < 2; ++h) w[h][e] = ptx::LoadShared128(w_at + (e ? other_half : 0) + h * 8 * 128);
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          ptx::MmaBf16(sums[s][h], x[0][e].x, x[1][e].x, x[0][e].y, x[1][e].y, w[h][e].x, w[h][e].y);
        }
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          ptx::MmaBf16(sums[s][h], x[0][e].z, x[1][e].z, x[0][e].w, x[1][e].w, w[h][e].z, w[h][e].w);
        }
      }
      w_at = w_at == w_begin + (L::kStages - 1) * kStageBytes ? w_begin : w_at + kStageBytes;
      __syncwarp();
      weights.Next();
    }
    __syncwarp();
    if (lane == 0) ptx::BarrierArrive(empty + 8 * slot);
    // Refills the slot of the chunk before: the slowest warp has had the time of a chunk to leave it.
    if (copies_x && chunk > 0 && chunk - 1 + L::kSlots < chunks) {
      const int before = slot == 0 ? L::kSlots - 1 : slot - 1;
      ptx::BarrierWait(empty + 8 * before, slot == 0 ? phase ^ 1 : phase);
      copy_x(chunk - 1 + L::kSlots, before);
    }
    if (++slot == L::kSlots) slot = 0, phase ^= 1;
  }

  // A warp's sums: [stage][token][16 rows].
  __syncwarp();
  uint8_t* rings = shared + L::kRings;
#pragma unroll
  for (int s = 0; s < kMaxStagesOfChunk; ++s) {
    if (s * kStageRows >= rows) break;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      auto* to = reinterpret_cast<float2*>(rings + warp * L::kRingBytes) +
                 ((s * kTokens + row_lane) * kStageRows + 8 * h + 2 * q) / 2;
      to[0] = make_float2(sums[s][h][0], sums[s][h][1]);
      if (kTokens > 8) to[8 * kStageRows / 2] = make_float2(sums[s][h][2], sums[s][h][3]);
    }
  }
  __syncthreads();
  const int padded_rows = (rows + kStageRows - 1) / kStageRows * kStageRows;
  const auto* from = reinterpret_cast<const float*>(rings + half * kColumnWarps * L::kRingBytes);
  for (int i = t % (kThreads / kHalves); i < padded_rows * p.tokens; i += kThreads / kHalves) {
    const int token = i / padded_rows, row = i % padded_rows;
    if (row >= rows) continue;
    const float* at = from + (row / kStageRows * kTokens + token) * kStageRows + row % kStageRows;
    float sum = at[0];
#pragma unroll
    for (int w = 1; w < kColumnWarps; ++w) sum = __fadd_rn(sum, at[w * (L::kRingBytes / 4)]);
    StoreScalar(p.y, p.y_type, token * p.ldy + first_row + row, sum);
  }
#endif
}

constexpr int kSharedBytes = Layout<8>::kBytes > Layout<16>::kBytes ? Layout<8>::kBytes : Layout<16>::kBytes;

}  // namespace

bool HasGemvBf16Stream(const GemvBf16Device& device) { return device.sm90 && device.max_shared_bytes >= kSharedBytes; }

// Every block gets the same number of rows, give or take 8: that many waves of blocks as rows need.
void LaunchGemvBf16Stream(const GemvBf16Params& p, const GemvBf16Device& device, cudaStream_t stream) {
  const int64_t wave = static_cast<int64_t>(device.multiprocessors) * kMaxRows, waves = (p.n + wave - 1) / wave;
  const int64_t blocks = device.multiprocessors * waves, rows = ((p.n + blocks - 1) / blocks + 7) / 8 * 8;
  LaunchConfig config{dim3(static_cast<unsigned>((p.n + rows - 1) / rows)), dim3(kThreads), 0, 1, true};
  const auto launch = [&](auto* kernel, int bytes) {
    config.shared_bytes = static_cast<size_t>(bytes);
    Launch("gemv_bf16_stream", kernel, config, stream, p, static_cast<int>(rows));
  };
  p.tokens <= 8 ? launch(GemvBf16StreamKernel<8>, Layout<8>::kBytes)
                : launch(GemvBf16StreamKernel<16>, Layout<16>::kBytes);
}

void LoadGemvBf16StreamKernels() {
  PreferSharedMemory(GemvBf16StreamKernel<8>, GemvBf16StreamKernel<16>);
  AllowSharedMemory(GemvBf16StreamKernel<8>, Layout<8>::kBytes);
  AllowSharedMemory(GemvBf16StreamKernel<16>, Layout<16>::kBytes);
}

}  // namespace glq::kernels
