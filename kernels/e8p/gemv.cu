// The E8P product for up to 8 tokens, with the input transform in front of it where rows are short.
//
// Bound by the weight bytes; see layout.h for how they lie. One block of 16 warps per multiprocessor:
//
//            k ->   warp 0      warp 1     ...   warp warps_k-1        (next split: another block)
//   row tiles  r   [NL units][NL units]   ...  [NL units]
//   of this    r+1     ...
//   block      :
//
// A warp owns NL units (128 columns each) of k for the whole launch, so that its share of the activation
// digits stays in registers; it walks down the block's row tiles, stage after stage, with `kAhead` tiles of loads in
// flight. Warps that do not fit along k share the row tiles instead. The 16-row sums of the warps meet in shared memory
// by integer atomics (exact in any order), and leave it once per chunk of tiles:
//
//   combined    a block has all of k and all stages of its rows: y_rht in fp32 (numerics: steps 5 and 6)
//   otherwise   the sums themselves, added atomically where k is split over blocks
//
// Per code (8 weights) and lane: 2 PRMT, 2 LDS, 2 LOP3 and half an MMA, so that the integer pipe is about half
// busy when weights arrive at the speed of memory.
//
// Input transform (kChunks > 0): every block does the whole row, redundantly, which saves a launch and its hand-over.
// Only the plain case of one token, 4096 or 8192 columns and aligned 16-bit activations is compiled in: a kernel runs
// each of its instructions about once, so that it is its code's way to the multiprocessor that takes time.
#include <type_traits>

#include "common/fwht.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/digits.cuh"
#include "e8p/launch.h"
#include "e8p/load_row.cuh"
#include "e8p/params.h"
#include "e8p/token_scale.cuh"

namespace glq::kernels {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;
static_assert(kThreads == kChunkThreads);

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

// The q-th stage of a weight with the given codebook, or -1.
__device__ __forceinline__ int StageOfSlot(const GemvWeight& w, bool e81b, int q) {
  for (int s = 0; s < w.stages; ++s) {
    if (((w.e81b_mask >> s) & 1) == static_cast<int>(e81b) && q-- == 0) return s;
  }
  return -1;
}

// Finds the weight of a row tile. Tiles come in ascending order, so the search continues where it was.
__device__ __forceinline__ int WeightOf(const GemvParams& p, int tile, int index) {
  while (index + 1 < p.count && tile >= p.weights[index + 1].first_tile) ++index;
  return index;
}

// Row tiles of one block, in chunks whose sums fit shared memory.
struct Share {
  int begin, end;
  __device__ __forceinline__ explicit Share(const GemvParams& p) {
    const int block = static_cast<int>(blockIdx.x);
    begin = block * p.share.each + min(block, p.share.more);
    end = begin + p.share.each + (block < p.share.more ? 1 : 0);
  }
};

// The weights of one codebook, as this lane loads them: chunk by chunk, slot (stage of the codebook) by slot, row tile
// by row tile. Every chunk takes a multiple of kAhead steps, so that buffer[a] stands for the same step of every round
// and no register has to move.
template <int kUnits, int kBlocks, bool kE81b>
struct Stream {
  using Load = std::conditional_t<kE81b, uint2, uint4>;
  static constexpr int kAhead = GemvLoadsAhead(kUnits, kBlocks);

  const GemvParams& p;
  Share share;
  int slots, first_unit, warp_row, log2_rows;  // 2^log2_rows warps share the row tiles
  // Steps come in runs: row tiles of one slot and one weight, or nothing. Of the run: where its next step lies (null:
  // nothing) and how many there still are.
  const Load* source = nullptr;
  int run = 0;
  // Where the next run starts: chunk, slot, row tile, and the steps before it in the slot and in the chunk.
  int chunk, slot = 0, tile, in_slot = 0, in_chunk = 0;
  Load buffer[kAhead][kUnits];

  __device__ __forceinline__ Stream(const GemvParams& params, const Share& s, int unit, int row, int log2)
      : p(params),
        share(s),
        slots(kE81b ? p.slots_e81b : p.slots_e8p),
        first_unit(unit),
        warp_row(row),
        log2_rows(log2),
        chunk(s.begin),
        tile(s.begin + row) {}

  __device__ __forceinline__ int Tiles(int first) const { return min(p.chunk_tiles, share.end - first); }
  __device__ __forceinline__ int StepsPerSlot(int first) const {
    return (Tiles(first) + (1 << log2_rows) - 1) >> log2_rows;
  }

  __device__ __forceinline__ void FindRun() {
    source = nullptr;
    while (chunk < share.end) {
      const int chunk_end = chunk + Tiles(chunk), per_slot = StepsPerSlot(chunk);
      if (slot < slots) {
        if (tile < chunk_end) {
          const int index = WeightOf(p, tile, 0);
          const GemvWeight& w = p.weights[index];
          const int end = index + 1 < p.count ? min(chunk_end, p.weights[index + 1].first_tile) : chunk_end;
          const int stage = StageOfSlot(w, kE81b, slot);
          if (stage >= 0) {
            source = static_cast<const Load*>(w.stage[stage]) +
                     (static_cast<int64_t>(tile - w.first_tile) * p.units + first_unit) * 32 + (threadIdx.x & 31);
          }
          run = (end - tile + (1 << log2_rows) - 1) >> log2_rows;
          tile += run << log2_rows, in_slot += run, in_chunk += run;
          return;
        }
        run = per_slot - in_slot;  // other warps have one step more
        in_chunk += run;
        ++slot, tile = chunk + warp_row, in_slot = 0;
        if (run > 0) return;
      } else {
        run = (kAhead - in_chunk % kAhead) % kAhead;
        chunk += p.chunk_tiles, slot = 0, tile = chunk + warp_row, in_slot = 0, in_chunk = 0;
        if (run > 0) return;
      }
    }
    run = 1 << 30;
  }

  // This lane's first load of the next step, or null if there is nothing; steps on.
  __device__ __forceinline__ const Load* Next() {
    if (run == 0) FindRun();
    --run;
    const Load* now = source;
    if (source != nullptr) source += static_cast<int64_t>(p.units) * 32 << log2_rows;
    return now;
  }

  __device__ __forceinline__ Load LoadUnit(const Load* from, int i) const {
    if (from == nullptr || first_unit + i >= p.units) return Load{};
    if constexpr (kE81b) {
      return ptx::LoadStream64(from + i * 32);
    } else {
      return ptx::LoadStream128(from + i * 32);
    }
  }

  // Before the digits are there.
  __device__ __forceinline__ void Start() {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const Load* from = Next();
#pragma unroll
      for (int i = 0; i < kUnits; ++i) buffer[a][i] = LoadUnit(from, i);
    }
  }

  __device__ __forceinline__ void AddTile(int row, const int (&low)[kBlocks][4], const int (&high)[kBlocks][4],
                                          int32_t* sums, int pitch) const {
    const int lane = static_cast<int>(threadIdx.x & 31);
    // Rows 2p and 2p+1 of the tile, columns 2q and 2q+1.
    row += (lane >> 2) * 2;
#pragma unroll
    for (int b = 0; b < kBlocks; ++b) {
      const int column = 8 * b + (lane & 3) * 2;
      if (column < 2 * p.tokens) {
        int32_t* to = sums + column * pitch + row;
        atomicAdd(to, low[b][0] + (high[b][0] >> 4));
        atomicAdd(to + pitch, low[b][1] + (high[b][1] >> 4));
        atomicAdd(to + 1, low[b][2] + (high[b][2] >> 4));
        atomicAdd(to + pitch + 1, low[b][3] + (high[b][3] >> 4));
      }
    }
  }

  // The chunk that starts at row tile `first`. Sums lie as [slot][column][chunk_tiles * 16 rows].
  __device__ __forceinline__ void Run(int first, const Decoder& decoder, const uint4 (&digits)[kUnits][2][kBlocks],
                                      int32_t* sums) {
    const int pitch = p.chunk_tiles * kTileRows;
    const int tiles = Tiles(first), per_slot_here = StepsPerSlot(first);
    int tile = warp_row, left = slots, in_slot = 0;
    for (int steps = slots * per_slot_here; steps > 0; steps -= kAhead) {
#pragma unroll
      for (int a = 0; a < kAhead; ++a) {
        const Load* from = Next();
        if (left > 0 && tile < tiles) {
          int low[kBlocks][4] = {}, high[kBlocks][4] = {};
#pragma unroll
          for (int i = 0; i < kUnits; ++i) {
            const Load w = buffer[a][i];
            buffer[a][i] = LoadUnit(from, i);
            if constexpr (kE81b) {
              MultiplyTile<true, kBlocks>(decoder, w.x, 0, digits[i][0], low, high);
              MultiplyTile<true, kBlocks>(decoder, w.y, 0, digits[i][1], low, high);
            } else {
              MultiplyTile<false, kBlocks>(decoder, w.x, w.y, digits[i][0], low, high);
              MultiplyTile<false, kBlocks>(decoder, w.z, w.w, digits[i][1], low, high);
            }
          }
          AddTile(tile * kTileRows, low, high, sums, pitch);
        } else {
#pragma unroll
          for (int i = 0; i < kUnits; ++i) buffer[a][i] = LoadUnit(from, i);
        }
        tile += 1 << log2_rows;
        if (++in_slot == per_slot_here) in_slot = 0, tile = warp_row, --left, sums += 2 * p.tokens * pitch;
      }
    }
  }
};

// Takes the sums of a chunk out of shared memory and leaves zeros.
__device__ __forceinline__ void FlushSums(const GemvParams& p, int32_t* sums, const TokenScale* scales, int first,
                                          int tiles) {
  const int rows = tiles * kTileRows, pitch = p.chunk_tiles * kTileRows;
  for (int i = static_cast<int>(threadIdx.x); i < rows * p.tokens; i += kThreads) {
    const int token = i / rows, row = i - token * rows, tile = first + row / kTileRows;
    const GemvWeight& w = p.weights[WeightOf(p, tile, 0)];
    const int out = (tile - w.first_tile) * kTileRows + row % kTileRows;
    int e8p = 0, e81b = p.slots_e8p;
    float y = 0.0f;
    for (int stage = 0; stage < w.stages; ++stage) {
      const bool small = (w.e81b_mask >> stage) & 1;
      if ((small ? p.slots_e81b : p.slots_e8p) == 0) continue;
      int32_t* hi = sums + ((small ? e81b++ : e8p++) * 2 * p.tokens + 2 * token) * pitch + row;
      int32_t* lo = hi + pitch;
      if (p.combine) {
        y = AddStage(*hi, *lo, scales[token], small, w.k[stage], stage == 0, y);
      } else {
        int32_t* z = w.z + (static_cast<int64_t>(stage) * p.tokens + token) * 2 * w.padded_out + out;
        if (p.splits == 1) {
          z[0] = *hi, z[w.padded_out] = *lo;
        } else {
          atomicAdd(z, *hi);
          atomicAdd(z + w.padded_out, *lo);
        }
      }
      *hi = 0, *lo = 0;
    }
    // Slots for which this weight has no stage: what was added there means nothing, and the next chunk starts from
    // zero.
    const auto clear = [&](int slot, int end) {
      for (; slot < end; ++slot) {
        int32_t* unused = sums + (slot * 2 * p.tokens + 2 * token) * pitch + row;
        unused[0] = 0, unused[pitch] = 0;
      }
    };
    clear(e8p, p.slots_e8p);
    clear(e81b, p.slots_e8p + p.slots_e81b);
    if (p.combine) w.rows[static_cast<int64_t>(token) * w.padded_out + out] = y;
  }
}

// Shared memory in front of the tables.
struct Front {
  TokenScale scales[kGemvMaxTokens];
  // Of the input transform.
  uint32_t warp_max[kWarps];
  int digit_sums[2];
  int reserved[2];
};
static_assert(sizeof(Front) == kGemvFrontBytes);

// A row of kChunks chunks that is one Hadamard block: x -> * SV -> Hadamard -> digits in the order of
// DigitLayout::kTiles (numerics: steps 1 to 4). `exchange` holds kChunkShared floats.
template <int kChunks>
__device__ __forceinline__ void TransformInput(const GemvParams& p, const uint4 (&sv)[kChunks], Front& front,
                                               float* exchange, uint8_t* digits) {
  const int t = static_cast<int>(threadIdx.x);
  uint4 x[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) x[c] = static_cast<const uint4*>(p.x)[c * kChunkThreads + t];
  float r[kChunks][kChunkRegs];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    float f[kChunkRegs];
    UnpackHalves(x[c], p.x_type == Scalar::kBF16, r[c]);
    UnpackHalves(sv[c], false, f);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[c][j] = __fmul_rn(r[c][j], f[j]);
    if (c > 0) __syncthreads();
    ChunkFwht(r[c], exchange, 0, kChunk, true, t);
  }
  if constexpr (kChunks == 2) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const float a = r[0][j], b = r[1][j];
      r[0][j] = __fadd_rn(a, b), r[1][j] = __fsub_rn(a, b);
    }
  }
  const float block_scale = InvSqrtPow2(kChunks == 1 ? 12 : 13);
  uint32_t max_bits = 0;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      r[c][j] = __fmul_rn(r[c][j], block_scale);
      max_bits = max(max_bits, __float_as_uint(r[c][j]) & 0x7FFFFFFFu);
    }
  }
  max_bits = __reduce_max_sync(0xFFFFFFFFu, max_bits);
  if ((t & 31) == 0) front.warp_max[t >> 5] = max_bits;
  if (t < 2) front.digit_sums[t] = 0;
  __syncthreads();
  const RowScale scale = ScaleOfRow(__reduce_max_sync(0xFFFFFFFFu, front.warp_max[t & (kWarps - 1)]));
  int sum_hi = 0, sum_lo = 0;
  // Element t + 512 j of a chunk: the same byte of every eighth k tile.
  uint8_t* to = digits + t / kTileCols * 2 * kTileCols + DigitByte(DigitLayout::kTiles, t % kTileCols);
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const Digits d = SplitDigits(r[c][j], scale);
      to[(c * kChunk + j * kChunkThreads) * 2] = static_cast<uint8_t>(d.hi);
      to[(c * kChunk + j * kChunkThreads) * 2 + kTileCols] = static_cast<uint8_t>(d.lo);
      sum_hi += d.hi;
      sum_lo += d.lo;
    }
  }
  sum_hi = __reduce_add_sync(0xFFFFFFFFu, sum_hi);
  sum_lo = __reduce_add_sync(0xFFFFFFFFu, sum_lo);
  if ((t & 31) == 0) {
    atomicAdd(&front.digit_sums[0], sum_hi);
    atomicAdd(&front.digit_sums[1], sum_lo);
  }
  __syncthreads();
  if (t == 0) front.scales[0] = {scale.t, front.digit_sums[0], front.digit_sums[1], scale.kind};
}

template <int kUnits, int kBlocks, int kChunks, bool kE81b>
__global__ void __launch_bounds__(kThreads, 1) GemvKernel(const __grid_constant__ GemvParams p) {
  uint8_t* shared = ptx::DynamicShared();
  const int t = static_cast<int>(threadIdx.x), lane = t & 31;
  const int warp =
      __shfl_sync(0xFFFFFFFFu, t >> 5, 0);   // the compiler may keep what depends on it in uniform registers
  const int log2_k = 31 - __clz(p.warps_k);  // warps_k is a power of two
  const int warp_k = warp & (p.warps_k - 1), warp_row = warp >> log2_k, log2_rows = 4 - log2_k;
  const int first_unit = (static_cast<int>(blockIdx.y) * p.warps_k + warp_k) * kUnits;
  const bool any_e8p = p.slots_e8p > 0, any_e81b = kE81b && p.slots_e81b > 0;
  const SharedPlan plan =
      PlanShared(ptx::SharedAddress(shared), static_cast<uint32_t>(p.front_bytes), any_e8p, any_e81b, kAlignedTables);
  // As far as registers go, the second codebook's weights are on their way from the start.
  constexpr bool kE81bStartsEarly = kE81b && kUnits <= 3 && kBlocks == 1;
  Front& front = *reinterpret_cast<Front*>(shared);
  auto* sums = reinterpret_cast<int32_t*>(shared + kGemvFrontBytes);

  // None of this depends on the activations: weights on their way, tables filled, sums cleared.
  ptx::LetSuccessorStart();
  const Share share(p);
  TableWords<kThreads> words(p.tables, any_e8p, any_e81b);
  Stream<kUnits, kBlocks, false> e8p(p, share, first_unit, warp_row, log2_rows);
  [[maybe_unused]] Stream<kUnits, kBlocks, true> e81b(p, share, first_unit, warp_row, log2_rows);
  e8p.Start();
  words.Store(shared, plan, any_e8p, any_e81b);
  if constexpr (kE81bStartsEarly) {
    if (any_e81b) e81b.Start();
  }
  for (int i = t; i < p.sum_bytes / 4; i += kThreads) sums[i] = 0;
  const uint8_t* digits_from = p.digits;
  if constexpr (kChunks > 0) {
    uint4 sv[kChunks];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      constexpr uint32_t kOnes = 0x3C003C00u;
      sv[c] = p.sv == nullptr ? make_uint4(kOnes, kOnes, kOnes, kOnes)
                              : __ldg(reinterpret_cast<const uint4*>(p.sv) + c * kChunkThreads + t);
    }
    ptx::WaitForPredecessor();
    auto* exchange = reinterpret_cast<float*>(shared + kGemvFrontBytes + p.sum_bytes);
    uint8_t* to = shared + kGemvFrontBytes + p.sum_bytes + kChunkShared * 4;
    TransformInput<kChunks>(p, sv, front, exchange, to);
    digits_from = to;
  } else {
    ptx::WaitForPredecessor();
  }
  if (kChunks == 0 && p.combine && t < p.tokens) {
    front.scales[t] = LoadTokenScale(p.headers[t]);
  }

  // digits[unit][k tile][block of 4 tokens]: this lane's piece of MMA column lane / 4.
  uint4 digits[kUnits][2][kBlocks];
  const int column = lane >> 2;
#pragma unroll
  for (int i = 0; i < kUnits; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int k_tile = (first_unit + i) * 2 + h;
#pragma unroll
      for (int b = 0; b < kBlocks; ++b) {
        const int token = b * 4 + column / 2;
        digits[i][h][b] = make_uint4(0, 0, 0, 0);
        if (k_tile * kTileCols < p.dim && token < p.tokens) {
          digits[i][h][b] = *reinterpret_cast<const uint4*>(
              digits_from + ((static_cast<int64_t>(k_tile) * p.tokens + token) * 2 + (column & 1)) * 64 +
              (lane & 3) * 16);
        }
      }
    }
  }
  __syncthreads();
  const Decoder decoder(shared, plan);
  for (int chunk = share.begin; chunk < share.end; chunk += p.chunk_tiles) {
    if (any_e8p) e8p.Run(chunk, decoder, digits, sums);
    if constexpr (kE81b) {
      int32_t* small = sums + p.slots_e8p * 2 * p.tokens * p.chunk_tiles * kTileRows;
      if constexpr (kE81bStartsEarly) {
        if (any_e81b) e81b.Run(chunk, decoder, digits, small);
      } else if (any_e81b) {
        Share part = share;
        part.begin = chunk, part.end = min(share.end, chunk + p.chunk_tiles);
        Stream<kUnits, kBlocks, true> late(p, part, first_unit, warp_row, log2_rows);
        late.Start();
        late.Run(chunk, decoder, digits, small);
      }
    }
    __syncthreads();
    FlushSums(p, sums, front.scales, chunk, min(p.chunk_tiles, share.end - chunk));
    if (chunk + p.chunk_tiles < share.end) __syncthreads();
  }
}

using Kernel = void (*)(GemvParams);

template <int kBlocks, int kChunks, bool kE81b>
Kernel PickKernel(int units) {
  if constexpr (kChunks == 0) {
    switch (units) {
      case 1:
        return GemvKernel<1, kBlocks, 0, kE81b>;
      case 3:
        return GemvKernel<3, kBlocks, 0, kE81b>;
      default:
        break;
    }
  }
  // Rows of 4096 are 16 warps of 2 units, or fewer warps of 4; rows of 8192 are 16 warps of 4 units.
  if constexpr (kChunks < 2) {
    if (units == 2) return GemvKernel<2, kBlocks, kChunks, kE81b>;
  }
  if (units == 4) return GemvKernel<4, kBlocks, kChunks, kE81b>;
  if constexpr (kBlocks == 1 && kChunks == 0) {
    switch (units) {
      case 5:
        return GemvKernel<5, 1, 0, kE81b>;
      case 6:
        return GemvKernel<6, 1, 0, kE81b>;
      case 7:
        return GemvKernel<7, 1, 0, kE81b>;
      default:
        break;
    }
  }
  return nullptr;
}

// Null where there is none.
Kernel PickKernel(int units, int blocks, int chunks, bool e81b) {
  if (chunks == 1) return e81b ? PickKernel<1, 1, true>(units) : PickKernel<1, 1, false>(units);
  if (chunks == 2) return e81b ? PickKernel<1, 2, true>(units) : PickKernel<1, 2, false>(units);
  if (blocks == 1) return e81b ? PickKernel<1, 0, true>(units) : PickKernel<1, 0, false>(units);
  return e81b ? PickKernel<2, 0, true>(units) : PickKernel<2, 0, false>(units);
}

}  // namespace

void LoadGemvKernels(int max_shared_bytes) {
  for (int units = 1; units <= GemvMaxUnits(1); ++units) {
    for (int blocks = 1; blocks <= 2; ++blocks) {
      for (int chunks = 0; chunks <= 2; ++chunks) {
        for (bool e81b : {false, true}) {
          Kernel kernel = PickKernel(units, blocks, chunks, e81b);
          if (kernel == nullptr) continue;
          LoadKernels(kernel);
          PreferSharedMemory(kernel);
          AllowSharedMemory(kernel, max_shared_bytes);
        }
      }
    }
  }
}

bool HasGemvKernel(int units, int blocks, int chunks) { return PickKernel(units, blocks, chunks, false) != nullptr; }

void LaunchGemv(const GemvParams& p, const GemvPlan& plan, bool dependent, cudaStream_t stream) {
  Kernel kernel = PickKernel(plan.units_per_warp, plan.token_blocks, plan.transform_chunks, p.slots_e81b > 0);
  LaunchConfig config{dim3(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(plan.splits)), dim3(kThreads),
                      plan.shared_bytes, 1, dependent};
  Launch("e8p_gemv", kernel, config, stream, p);
}

}  // namespace glq::kernels
