// The inner part of gemv.cu: the weights of one codebook as a warp goes through them, and the digits that it multiplies
// them with. gemv.cu says what the steps are and where their sums belong.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/launch.h"
#include "e8p/layout.h"
#include "e8p/params.h"

namespace glq::kernels {

// Digits of a lane's token in the warp's k tiles, all at constant distances from the first. Lanes without a token
// (`any`) multiply what their registers hold: nobody asks for their sums.
template <int kUnits, int kBlocks, int kTile = 0>
__device__ __forceinline__ void LoadDigits(bool any, const uint8_t* from, int block,
                                           uint4 (&digits)[kUnits][2][kBlocks]) {
  if constexpr (kTile < 2 * kUnits) {
    uint4& to = digits[kTile / 2][kTile % 2][block];
    ptx::TakeAnything(to);
    ptx::LoadGlobalIf<kTile * kTileCols * 2>(any, from, to);
    LoadDigits<kUnits, kBlocks, kTile + 1>(any, from, block, digits);
  }
}
// The same where k tiles are missing (not in `there`): zeros.
template <int kUnits, int kBlocks, int kTile = 0>
__device__ __forceinline__ void LoadSomeDigits(bool any, const uint8_t* from, int block, uint32_t there,
                                               uint4 (&digits)[kUnits][2][kBlocks]) {
  if constexpr (kTile < 2 * kUnits) {
    uint4& to = digits[kTile / 2][kTile % 2][block];
    to = make_uint4(0, 0, 0, 0);
    ptx::LoadGlobalIf<kTile * kTileCols * 2>(any && ((there >> kTile) & 1) != 0, from, to);
    LoadSomeDigits<kUnits, kBlocks, kTile + 1>(any, from, block, there, digits);
  }
}

// The q-th stage of a weight with the given codebook, or -1.
__device__ __forceinline__ int StageOfSlot(const GemvWeight& w, bool e81b, int q) {
  for (int s = 0; s < w.stages; ++s) {
    if (((w.e81b_mask >> s) & 1) == static_cast<int>(e81b) && q-- == 0) return s;
  }
  return -1;
}

// One k tile: four codes a lane, an MMA over the low nibbles and one over the high ones. digits: b0, b1 of each.
template <bool kE81b, int kBlocks>
__device__ __forceinline__ void MultiplyTile(const Decoder& decoder, uint32_t rows, uint32_t signs,
                                             const uint4 (&digits)[kBlocks], int (&low)[kBlocks][4],
                                             int (&high)[kBlocks][4]) {
  uint32_t a_low[4], a_high[4];
  if constexpr (kE81b) {
    const uint32_t u[4] = {decoder.E81b<0>(rows), decoder.E81b<1>(rows), decoder.E81b<2>(rows), decoder.E81b<3>(rows)};
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      a_low[s] = u[s] & 0x0F0F0F0Fu;
      a_high[s] = u[s] & 0xF0F0F0F0u;
    }
  } else {
    const Decoder::Pair u[4] = {decoder.E8p<0>(rows, signs), decoder.E8p<1>(rows, signs), decoder.E8p<2>(rows, signs),
                                decoder.E8p<3>(rows, signs)};
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      a_low[s] = ptx::XorAnd(u[s].row, u[s].sign, 0x0F0F0F0Fu);
      a_high[s] = ptx::XorAnd(u[s].row, u[s].sign, 0xF0F0F0F0u);
    }
  }
#pragma unroll
  for (int b = 0; b < kBlocks; ++b) {
    ptx::MmaU8S8(low[b], a_low, digits[b].x, digits[b].y);
    ptx::MmaU8S8(high[b], a_high, digits[b].z, digits[b].w);
  }
}

// A warp's walk through its steps, kAhead of them with loads in flight. buffer[a] stands for every kAhead-th step, so
// that no register has to move.
// kChunks: of the row that the kernel itself transforms.
template <int kUnits, int kBlocks, int kChunks, bool kE81b>
struct Stream {
  using Load = std::conditional_t<kE81b, uint2, uint4>;
  static constexpr int kAhead = GemvLoadsAhead(kUnits, kBlocks, kChunks);
  static_assert(2 * kAhead <= kGemvStepsBehind && kAhead + kGemvMostPrefetched <= kGemvStepsBehind);

  const GemvStep* steps;
  int lane_bytes;  // of this lane behind the start of a row tile
  Load buffer[kAhead][kUnits];

  __device__ __forceinline__ Stream(const GemvStep* list, int unit, int lane)
      : steps(list),
        lane_bytes(unit * (kE81b ? kUnitBytesE81b : kUnitBytesE8p) + lane * static_cast<int>(sizeof(Load))) {}

  // All units of a step, where there is one.
  template <int kUnit = 0>
  static __device__ __forceinline__ void LoadUnits(bool any, const uint8_t* from, Load (&to)[kUnits]) {
    if constexpr (kUnit < kUnits) {
      LoadUnit<kUnit>(any, from, to);
      LoadUnits<kUnit + 1>(any, from, to);
    }
  }
  template <int kUnit>
  static __device__ __forceinline__ void LoadUnit(bool any, const uint8_t* from, Load (&to)[kUnits]) {
    ptx::LoadStreamIf<kUnit*(kE81b ? kUnitBytesE81b : kUnitBytesE8p)>(any, from, to[kUnit]);
  }

  // Registers that no load fills stay zero. Not sooner than the loads: they are held from here on.
  __device__ __forceinline__ void Clear() {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
#pragma unroll
      for (int i = 0; i < kUnits; ++i) buffer[a][i] = {};
    }
  }

  // The first steps' loads, before the digits are there, in two halves: more than the first would keep the load units
  // from anything else until it comes.
  static constexpr int First() { return (kAhead + 1) / 2; }

  // The first half, before there is a list: of a call with a single weight.
  __device__ __forceinline__ void StartWithoutList(const GemvParams& p, int first, int count, int row, int log2_rows) {
    static_assert(!kE81b);
    const int per_slot = (count - row + (1 << log2_rows) - 1) >> log2_rows;
    int slot = 0, in_slot = 0;
#pragma unroll
    for (int a = 0; a < First(); ++a, ++in_slot) {
      if (in_slot == per_slot) ++slot, in_slot = 0;
      const int stage = per_slot > 0 && slot < p.slots_e8p ? StageOfSlot(p.weights[0], false, slot) : -1;
      const auto* weights = static_cast<const uint8_t*>(p.weights[0].stage[max(stage, 0)]);
      const int64_t tile = first + row + (in_slot << log2_rows);
      LoadUnits(stage >= 0, weights + tile * p.units * kUnitBytesE8p + lane_bytes, buffer[a]);
    }
  }
  template <int kFrom, int kTo>
  __device__ __forceinline__ void StartSteps() {
#pragma unroll
    for (int a = kFrom; a < kTo; ++a) {
      const uint8_t* tile = steps[a].weights;
      LoadUnits(tile != nullptr, tile + lane_bytes, buffer[a]);
    }
  }
  __device__ __forceinline__ void Start() {
    Clear();
    StartSteps<0, kAhead>();
  }

  // Units kUnit .. kEnd - 1: multiplied, and their registers filled for a step to come.
  template <int kUnit, int kEnd>
  static __device__ __forceinline__ void MultiplyUnits(const Decoder& decoder,
                                                       const uint4 (&digits)[kUnits][2][kBlocks],
                                                       int (&low)[kBlocks][4], int (&high)[kBlocks][4],
                                                       Load (&weights)[kUnits], bool any, const uint8_t* from) {
    if constexpr (kUnit < kEnd) {
      const Load w = weights[kUnit];
      if constexpr (kE81b) {
        MultiplyTile<true, kBlocks>(decoder, w.x, 0, digits[kUnit][0], low, high);
        MultiplyTile<true, kBlocks>(decoder, w.y, 0, digits[kUnit][1], low, high);
      } else {
        MultiplyTile<false, kBlocks>(decoder, w.x, w.y, digits[kUnit][0], low, high);
        MultiplyTile<false, kBlocks>(decoder, w.z, w.w, digits[kUnit][1], low, high);
      }
      LoadUnit<kUnit>(any, from, weights);
      MultiplyUnits<kUnit + 1, kEnd>(decoder, digits, low, high, weights, any, from);
    }
  }

  // The sums of a row tile: register r of block b at [r][b][lane] of its words, so that no two lanes meet in a bank.
  // Lanes without a token add zero: a branch would end what the compiler can overlap.
  template <int kRegister = 0>
  static __device__ __forceinline__ void AddTile(uint32_t to, const int (&low)[kBlocks][4],
                                                 const int (&high)[kBlocks][4]) {
    if constexpr (kRegister < 4 * kBlocks) {
      constexpr int kBlock = kRegister % kBlocks, kR = kRegister / kBlocks;
      ptx::AddShared<kRegister * 128>(to, low[kBlock][kR] + (high[kBlock][kR] >> 4));
      AddTile<kRegister + 1>(to, low, high);
    }
  }

  // `sums`: address of this lane's first word of the chunk's sums.
  __device__ __forceinline__ void Run(int count, const Decoder& decoder, const uint4 (&digits)[kUnits][2][kBlocks],
                                      uint32_t sums) {
    for (int s = 0; s < count; s += kAhead) {
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        if (s + a >= count) break;
        const uint8_t* tile = steps[s + a + kAhead].weights;
        int low[kBlocks][4] = {}, high[kBlocks][4] = {};
        MultiplyUnits<0, 1>(decoder, digits, low, high, buffer[a], tile != nullptr, tile + lane_bytes);
        const uint32_t to = sums + static_cast<uint32_t>(steps[s + a].sums);
        MultiplyUnits<1, kUnits>(decoder, digits, low, high, buffer[a], tile != nullptr, tile + lane_bytes);
        AddTile(to, low, high);
      }
    }
  }
};

}  // namespace glq::kernels
