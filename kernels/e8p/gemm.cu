// The E8P product for more than 8 tokens: each decoded weight is used for 16 or 32 tokens.
//
//   block = 8 warps: 512 rows x (4 * kBlocks) tokens x one split of k
//   warp  = 4 row tiles (64 rows), all tokens of the block
//
// Per k tile of 64 columns a warp decodes 16 codes a lane (four row tiles) and issues 8 * kBlocks MMAs, with the
// digits of the tile read from shared memory once for all row tiles: 32 (look-ups) + 4 * kBlocks wavefronts of
// shared memory against 8 * kBlocks MMAs. Digits arrive by asynchronous copies, kStages units ahead;
// weights go straight to registers, kAhead units ahead. Low and high nibbles share an accumulator (the
// high ones are shifted down), since accumulators, 16 * kBlocks a lane, are what registers are short of.
#include <type_traits>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/launch.h"
#include "e8p/params.h"

namespace glq::kernels {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kWarpTiles = 4;
constexpr int kStages = 4;
constexpr int kAhead = 2;

constexpr int StageBytes(int blocks) { return 2 * 4 * blocks * 128; }

template <int kBlocks, bool kE81b>
__global__ void __launch_bounds__(kThreads, 1) GemmKernel(const __grid_constant__ ProductParams p) {
  using Load = std::conditional_t<kE81b, uint2, uint4>;
  constexpr int kTokens = 4 * kBlocks;
  constexpr int kStageBytes = StageBytes(kBlocks);
  uint8_t* shared = ptx::DynamicShared();
  const int t = static_cast<int>(threadIdx.x), warp = t >> 5, lane = t & 31;
  const int token0 = static_cast<int>(blockIdx.x) * kTokens;
  const int split = static_cast<int>(blockIdx.z);
  const int unit_begin = static_cast<int>(static_cast<int64_t>(split) * p.units / p.splits);
  const int unit_end = static_cast<int>(static_cast<int64_t>(split + 1) * p.units / p.splits);
  const int tiles = kE81b ? p.tiles_e81b : p.tiles_e8p;
  const Segment* segments = p.segments + (kE81b ? p.segments_e8p : 0);
  const int segment_count = kE81b ? p.segments_e81b : p.segments_e8p;
  const SharedPlan plan = PlanShared(kStages * kStageBytes, !kE81b, kE81b);

  // This warp's row tiles.
  const Load* source[kWarpTiles];
  int32_t* z[kWarpTiles];
  int padded_out[kWarpTiles];
#pragma unroll
  for (int r = 0; r < kWarpTiles; ++r) {
    const int tile = (static_cast<int>(blockIdx.y) * kWarps + warp) * kWarpTiles + r;
    source[r] = nullptr, z[r] = nullptr, padded_out[r] = 0;
    if (tile < tiles) {
      int s = 0;
      while (s + 1 < segment_count && tile >= segments[s + 1].first_tile) ++s;
      const int local = tile - segments[s].first_tile;
      source[r] =
          reinterpret_cast<const Load*>(segments[s].weights) + static_cast<int64_t>(local) * p.units * 32 + lane;
      z[r] = segments[s].z + local * kTileRows;
      padded_out[r] = segments[s].padded_out;
    }
  }
  auto load_weights = [&](int unit, Load(&to)[kWarpTiles]) {
#pragma unroll
    for (int r = 0; r < kWarpTiles; ++r) {
      to[r] = Load{};
      if (source[r] != nullptr && unit < unit_end) {
        if constexpr (kE81b) {
          to[r] = ptx::LoadStream64(source[r] + static_cast<int64_t>(unit) * 32);
        } else {
          to[r] = ptx::LoadStream128(source[r] + static_cast<int64_t>(unit) * 32);
        }
      }
    }
  };
  ptx::LetSuccessorStart();
  Load weights[kAhead][kWarpTiles];
#pragma unroll
  for (int a = 0; a < kAhead; ++a) load_weights(unit_begin + a, weights[a]);

  FillTables<kThreads>(shared, plan, !kE81b, kE81b);
  ptx::WaitForPredecessor();

  // One unit of digits: [k tile of the unit][token][digit][64], tokens and columns beyond the end as zeros.
  auto load_digits = [&](int unit) {
    if (unit < unit_end) {
      const uint32_t to = ptx::SharedAddress(shared) + (unit % kStages) * kStageBytes;
      for (int i = t; i < kStageBytes / 16; i += kThreads) {
        const int h = i / (kTokens * 8), token = token0 + (i / 8) % kTokens, k_tile = unit * 2 + h;
        const bool valid = token < p.tokens && k_tile * kTileCols < p.dim;
        const uint8_t* from =
            valid ? p.digits + (static_cast<int64_t>(token) * p.dim + k_tile * kTileCols) * 2 + (i % 8) * 16 : p.digits;
        ptx::CopyAsync16(to + i * 16, from, valid);
      }
    }
    ptx::CopyAsyncCommit();
  };
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) load_digits(unit_begin + s);

  const Decoder decoder(shared, plan);
  int sums[kWarpTiles][kBlocks][4] = {};
  for (int unit0 = unit_begin; unit0 < unit_end; unit0 += kAhead) {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int unit = unit0 + a;
      if (unit >= unit_end) break;
      ptx::CopyAsyncWait<kStages - 2>();
      __syncthreads();
      load_digits(unit + kStages - 1);
      Load w[kWarpTiles];
#pragma unroll
      for (int r = 0; r < kWarpTiles; ++r) w[r] = weights[a][r];
      load_weights(unit + kAhead, weights[a]);
      const uint4* digits = reinterpret_cast<const uint4*>(shared + (unit % kStages) * kStageBytes) + lane;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t low[kWarpTiles][4], high[kWarpTiles][4];
#pragma unroll
        for (int r = 0; r < kWarpTiles; ++r) {
          uint32_t u[4];
          if constexpr (kE81b) {
            const uint32_t codes = h == 0 ? w[r].x : w[r].y;
            u[0] = decoder.E81b<0>(codes), u[1] = decoder.E81b<1>(codes);
            u[2] = decoder.E81b<2>(codes), u[3] = decoder.E81b<3>(codes);
          } else {
            const uint32_t rows = h == 0 ? w[r].x : w[r].z, signs = h == 0 ? w[r].y : w[r].w;
            const Decoder::Pair pairs[4] = {decoder.E8p<0>(rows, signs), decoder.E8p<1>(rows, signs),
                                            decoder.E8p<2>(rows, signs), decoder.E8p<3>(rows, signs)};
#pragma unroll
            for (int s = 0; s < 4; ++s) u[s] = pairs[s].row ^ pairs[s].sign;
          }
#pragma unroll
          for (int s = 0; s < 4; ++s) {
            low[r][s] = u[s] & 0x0F0F0F0Fu;
            high[r][s] = (u[s] >> 4) & 0x0F0F0F0Fu;
          }
        }
#pragma unroll
        for (int b = 0; b < kBlocks; ++b) {
          const uint4 d = digits[(h * kBlocks + b) * 32];
#pragma unroll
          for (int r = 0; r < kWarpTiles; ++r) {
            ptx::MmaU8S8(sums[r][b], low[r], d.x, d.y);
            ptx::MmaU8S8(sums[r][b], high[r], d.z, d.w);
          }
        }
      }
    }
  }
  ptx::CopyAsyncWait<0>();

#pragma unroll
  for (int r = 0; r < kWarpTiles; ++r) {
    if (z[r] == nullptr) continue;
#pragma unroll
    for (int b = 0; b < kBlocks; ++b) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int column = 8 * b + (lane & 3) * 2 + c;  // 2 * token + digit
        if (token0 + column / 2 >= p.tokens) continue;
        int32_t* to = z[r] + static_cast<int64_t>(2 * token0 + column) * padded_out[r] + (lane >> 2) * 2;
        if (p.splits == 1) {
          *reinterpret_cast<int2*>(to) = make_int2(sums[r][b][c], sums[r][b][c + 2]);
        } else {
          atomicAdd(to, sums[r][b][c]);
          atomicAdd(to + 1, sums[r][b][c + 2]);
        }
      }
    }
  }
}

using Kernel = void (*)(ProductParams);

Kernel PickKernel(int token_blocks, bool e81b) {
  if (token_blocks == 4) return e81b ? GemmKernel<4, true> : GemmKernel<4, false>;
  return e81b ? GemmKernel<8, true> : GemmKernel<8, false>;
}

}  // namespace

void LoadGemmKernels(int max_shared_bytes) {
  for (int blocks : {4, 8}) {
    for (bool e81b : {false, true}) {
      Kernel kernel = PickKernel(blocks, e81b);
      LoadKernels(kernel);
      PreferSharedMemory(kernel);
      AllowSharedMemory(kernel, max_shared_bytes);
    }
  }
}

uint32_t GemmFrontBytes(int token_blocks) { return static_cast<uint32_t>(kStages * StageBytes(token_blocks)); }

void LaunchGemm(const ProductParams& p, const GemmPlan& plan, bool e81b, bool dependent, cudaStream_t stream) {
  LaunchConfig config{plan.grid, dim3(kThreads), plan.shared_bytes, 1, dependent};
  Launch("e8p_gemm", PickKernel(plan.token_blocks, e81b), config, stream, p);
}

}  // namespace glq::kernels
