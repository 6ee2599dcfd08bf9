// A whole weight as fp16, all stages summed, for a library product in fp16. Bound by what it writes.
//
// A warp takes a unit of a row tile at a time (layout.h). Adjacent lanes exchange codes so that each store of a warp
// covers whole sectors of 32 bytes: lane q of a row's four then has the groups of 8 columns
//
//     slots 0 and 1 (rows 2p, 2p + 1): group 2q - (q & 1)        slots 2 and 3: two groups further
//
// Nibbles become floats in place: four of a word, moved to bits 4..19, are each or-ed into the mantissa of 2^23, so
// that one subtraction leaves w * 16^i / 2 (E81B: w * 16^i), i = 1..4, exactly, and the stage's factor carries the
// inverse.
#include <cuda_fp16.h>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/launch.h"
#include "e8p/layout.h"

namespace glq::kernels {
namespace {

// One block a multiprocessor, for its tables; with the codes of four stages 64 registers are too few.
constexpr int Threads(int stages) { return stages < 4 ? 1024 : 512; }
constexpr int kPlaces = 4;  // of nibbles in a word that is taken apart: bits 4..7 to 16..19

// Rows (or E81B codes) and signs of one k tile.
struct TileCodes {
  uint32_t first, second;
};

// Gives the neighbour the half of a word of four slots that is its, and takes its half.
__device__ __forceinline__ uint32_t ExchangeHalves(uint32_t word, bool odd) {
  const uint32_t theirs = __shfl_xor_sync(0xFFFFFFFFu, odd ? word & 0xFFFFu : word >> 16, 1);
  return odd ? (word & 0xFFFF0000u) | theirs : (word & 0xFFFFu) | theirs << 16;
}
__device__ __forceinline__ TileCodes Exchange(const TileCodes& c, bool e81b, bool odd) {
  if (e81b) return {ExchangeHalves(c.first, odd), 0};
  // Both words' halves in one.
  const uint32_t low = __byte_perm(c.first, c.second, 0x5410), high = __byte_perm(c.first, c.second, 0x7632);
  const uint32_t theirs = __shfl_xor_sync(0xFFFFFFFFu, odd ? low : high, 1);
  const uint32_t new_low = odd ? theirs : low, new_high = odd ? high : theirs;
  return {__byte_perm(new_low, new_high, 0x5410), __byte_perm(new_low, new_high, 0x7632)};
}

// z[4 * kHalf + i] of 8 weights: nibbles 4 * kHalf .. + 3.
template <bool kFirst, int kHalf>
__device__ __forceinline__ void AddNibbles(uint32_t nibbles, const ExpandStage& stage, float (&z)[8]) {
  const uint32_t word = kHalf == 0 ? nibbles << 4 : nibbles >> 12;
#pragma unroll
  for (int i = 0; i < kPlaces; ++i) {
    const uint32_t bits = ptx::AndOr(word, 0xF0u << (4 * i), 0x4B000000u);
    const float w = __fsub_rn(__uint_as_float(bits), stage.offset[i]);
    float& to = z[4 * kHalf + i];
    to = kFirst ? __fmul_rn(w, stage.factor[i]) : __fmaf_rn(w, stage.factor[i], to);
  }
}

template <int kSlot, int kStage>
__device__ __forceinline__ void AddStage(const ExpandParams& p, const Decoder& decoder, const TileCodes& c,
                                         float (&z)[8]) {
  uint32_t nibbles;
  if ((p.e81b_mask >> kStage) & 1) {
    nibbles = decoder.E81b<kSlot>(c.first);
  } else {
    const Decoder::Pair pair = decoder.E8p<kSlot>(c.first, c.second);
    nibbles = pair.row ^ pair.sign;
  }
  AddNibbles<kStage == 0, 0>(nibbles, p.stages[kStage], z);
  AddNibbles<kStage == 0, 1>(nibbles, p.stages[kStage], z);
}

// 8 columns of one row.
template <int kStages, int kSlot>
__device__ __forceinline__ void StoreSlot(const ExpandParams& p, const Decoder& decoder,
                                          const TileCodes (&codes)[kStages], uint16_t* to) {
  float z[8];
  AddStage<kSlot, 0>(p, decoder, codes[0], z);
  if constexpr (kStages > 1) AddStage<kSlot, 1>(p, decoder, codes[1], z);
  if constexpr (kStages > 2) AddStage<kSlot, 2>(p, decoder, codes[2], z);
  if constexpr (kStages > 3) AddStage<kSlot, 3>(p, decoder, codes[3], z);
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const __half2 pair = __floats2half2_rn(z[2 * i], z[2 * i + 1]);
    words[i] = *reinterpret_cast<const uint32_t*>(&pair);
  }
  ptx::Store128(to, make_uint4(words[0], words[1], words[2], words[3]));
}

template <int kStages>
__global__ void __launch_bounds__(Threads(kStages), 1) ExpandHalvesKernel(const __grid_constant__ ExpandParams p) {
  constexpr int kThreads = Threads(kStages);
  uint8_t* shared = ptx::DynamicShared();
  const bool e8p = p.e81b_mask != (1 << kStages) - 1, e81b = p.e81b_mask != 0;
  const SharedPlan plan = PlanShared(0, e8p, e81b);
  FillTables<kThreads>(shared, plan, e8p, e81b);
  __syncthreads();
  const Decoder decoder(shared, plan);

  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) >> 5;
  const bool odd = lane & 1;
  const int row = (lane >> 2) * 2, column = ((lane & 3) * 2 - (odd ? 1 : 0)) * 8;
  const int64_t step = static_cast<int64_t>(gridDim.x) * (kThreads / 32);
#pragma unroll 1
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + warp; i < p.tiles * p.units; i += step) {
    TileCodes codes[2][kStages];
#pragma unroll
    for (int s = 0; s < kStages; ++s) {
      const int64_t at = i * 32 + lane;
      if ((p.e81b_mask >> s) & 1) {
        const uint2 w = __ldg(static_cast<const uint2*>(p.stages[s].weights) + at);
        codes[0][s] = {w.x, 0}, codes[1][s] = {w.y, 0};
      } else {
        const uint4 w = __ldg(static_cast<const uint4*>(p.stages[s].weights) + at);
        codes[0][s] = {w.x, w.y}, codes[1][s] = {w.z, w.w};
      }
    }
    const int64_t tile = i / p.units, unit = i - tile * p.units;
    uint16_t* to = p.out + (tile * kTileRows + row) * p.cols + unit * kUnitCols + column;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      if (h == 1 && (unit + 1) * kUnitCols > p.cols) break;  // a missing last k tile
#pragma unroll
      for (int s = 0; s < kStages; ++s) codes[h][s] = Exchange(codes[h][s], (p.e81b_mask >> s) & 1, odd);
      uint16_t* at = to + h * kTileCols;
      StoreSlot<kStages, 0>(p, decoder, codes[h], at);
      StoreSlot<kStages, 2>(p, decoder, codes[h], at + 16);
      StoreSlot<kStages, 1>(p, decoder, codes[h], at + p.cols);
      StoreSlot<kStages, 3>(p, decoder, codes[h], at + p.cols + 16);
    }
  }
}

auto* KernelOf(int stages) {
  return stages == 1   ? ExpandHalvesKernel<1>
         : stages == 2 ? ExpandHalvesKernel<2>
         : stages == 3 ? ExpandHalvesKernel<3>
                       : ExpandHalvesKernel<4>;
}

}  // namespace

void LoadExpandHalvesKernels(int max_shared_bytes) {
  for (int stages = 1; stages <= kMaxStages; ++stages) {
    LoadKernels(KernelOf(stages));
    PreferSharedMemory(KernelOf(stages));
    AllowSharedMemory(KernelOf(stages), max_shared_bytes);
  }
}

void SetExpandStage(ExpandStage& stage, const void* weights, bool e81b, float k) {
  stage.weights = weights;
  float place = 1.0f;
  for (int i = 0; i < kPlaces; ++i) {
    place *= 16.0f;
    // E8P: nibbles are u, w = 2u - 15, so w / 2 = u - 7.5; E81B: w = u - 4.
    stage.offset[i] = 8388608.0f + (e81b ? 4.0f : 7.5f) * place;
    stage.factor[i] = (e81b ? 1.0f : 2.0f) * k / place;
  }
}

void LaunchExpandHalves(const ExpandParams& p, int stages, int multiprocessors, cudaStream_t stream) {
  const bool e8p = p.e81b_mask != (1 << stages) - 1, e81b = p.e81b_mask != 0;
  const int threads = Threads(stages), warps = threads / 32;
  const int64_t blocks = (p.tiles * p.units + warps - 1) / warps;
  const auto grid = static_cast<unsigned>(blocks < multiprocessors ? blocks : multiprocessors);
  Launch("e8p_expand_halves", KernelOf(stages), {dim3(grid), dim3(threads), PlanShared(0, e8p, e81b).total}, stream, p);
}

}  // namespace glq::kernels
