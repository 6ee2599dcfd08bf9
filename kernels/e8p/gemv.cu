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
// flight. Warps that do not fit along k share the row tiles instead. All that does not depend on the activations comes
// before they are there: the list of a warp's steps, where the rows of a tile belong, the first weights, the tables.
// What lies behind those weights is asked for into the L2 when nothing that is waited for can be held up by it.
// The 16-row sums of the warps meet in shared memory by integer atomics (exact in any order), and leave it once per
// chunk of tiles:
//
//   combined    a block has all of k and all stages of its rows: y_rht in fp32 (numerics: steps 5 and 6); of one token
//               it is watched: cleared first, and taken by the output transform element by element as it is stored.
//               Where k is split over the blocks of a cluster, they send their sums to the first of them before
//   otherwise   the sums themselves, added atomically where k is split over blocks that are no cluster
//
// Per code (8 weights) and lane: 2 IDP (dp4a), 2 LDS, 2 LOP3 and half an MMA, on four different pipes.
//
// Input transform (kChunks > 0): every block does the whole row, redundantly, which saves a launch and its hand-over.
// Only the plain case of one token, 4096 or 8192 columns and aligned 16-bit activations is compiled in: a kernel runs
// each of its instructions about once, so that it is its code's way to the multiprocessor that takes time.
#include <cstddef>

#include "common/bulk_copy.cuh"
#include "common/cluster.cuh"
#include "common/fwht.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/digits.cuh"
#include "e8p/gemv_stream.cuh"
#include "e8p/launch.h"
#include "e8p/load_row.cuh"
#include "e8p/params.h"
#include "e8p/token_scale.cuh"

namespace glq::kernels {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;
static_assert(kThreads == kChunkThreads);

// The weight of a row tile.
__device__ __forceinline__ int WeightOf(const GemvParams& p, int tile) {
  int index = 0;
  while (index + 1 < p.count && tile >= p.weights[index + 1].first_tile) ++index;
  return index;
}

// Row tiles of one block, in chunks whose sums fit shared memory.
struct Share {
  int begin, end;
  __device__ __forceinline__ Share(const GemvParams& p, int block) {
    begin = block * p.share.each + min(block, p.share.more);
    end = begin + p.share.each + (block < p.share.more ? 1 : 0);
  }
};

// Shared memory in front of the tables: this, the sums [slot][row tile][register][block][lane], and the schedule.
struct Front {
  TokenScale scales[kGemvMaxTokens];
  int steps[2][4];  // of every row of warps: E8P, E81B
  // Of the input transform.
  uint32_t warp_max[kWarps];
  uint32_t touched[kWarps];
  // Of an input transform that is a launch of its own.
  TokenHeader headers[kGemvMaxTokens];
  // Of the first block of a cluster: the others' sums have come.
  alignas(16) uint64_t met;
};
static_assert(sizeof(Front) == kGemvFrontBytes);

// A header on its way to shared memory, for the thread that asks for it; what it says is needed only after the product.
__device__ __forceinline__ void CopyHeader(const TokenHeader* from, TokenHeader* to) {
  // Not as a whole: nobody writes the bytes behind t and kind.
#pragma unroll
  for (int c = 0; c < kMaxClusterChunks; c += 2) {
    ptx::CopyAsync16(ptx::SharedAddress(to->digit_sums + c), from->digit_sums + c, true);
  }
  static_assert(offsetof(TokenHeader, kind) == offsetof(TokenHeader, t) + 4);
  ptx::CopyAsync8(ptx::SharedAddress(&to->t), &from->t);
  ptx::CopyAsyncCommit();
}
__device__ __forceinline__ TokenScale ArrivedScale(const TokenHeader& header) {
  ptx::CopyAsyncWait<0>();
  return LoadTokenScale(header);
}

// Every launch finds its parameters in no cache. A warp for each 64 bytes, all at once, instead of one miss after the
// other; stored, so that the compiler keeps it.
__device__ __forceinline__ void TouchParameters(const GemvParams& p, Front& front) {
  static_assert(sizeof(GemvParams) <= kWarps * 64);
  const uint32_t warp = threadIdx.x >> 5;
  if (warp * 64 < sizeof(GemvParams) && (threadIdx.x & 31) == 0) {
    front.touched[warp] = reinterpret_cast<const uint32_t*>(&p)[warp * 16];
  }
}

// A chunk of row tiles, laid out before the activations are there: what every row of warps goes through, one list for
// each codebook, and where the sums of a tile belong. The product itself then needs no more than a pointer a step.
struct Schedule {
  GemvStep* steps[2];  // a list's pitch is p.steps_e8p or p.steps_e81b
  GemvTile* tiles;

  __device__ __forceinline__ Schedule(const GemvParams& p, uint8_t* shared, int rows) {
    auto* at = reinterpret_cast<GemvStep*>(shared + kGemvFrontBytes + p.sum_bytes);
    steps[0] = at;
    steps[1] = at + p.steps_e8p * rows;
    tiles = reinterpret_cast<GemvTile*>(steps[1] + p.steps_e81b * rows);
  }

  // By the whole block; sync before and after. A list ends with kGemvStepsBehind steps of nothing, so that what loads
  // ahead need not look where it ends.
  __device__ __forceinline__ void Build(const GemvParams& p, Front& front, int first, int count, int log2_rows,
                                        int tile_words, int warp, int lane) const {
    const int rows = 1 << log2_rows;
    // From the last warps on: the first have lists to write.
    for (int i = kThreads - 1 - static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const GemvWeight& w = p.weights[WeightOf(p, first + i)];
      const int row = (first + i - w.first_tile) * kTileRows;
      GemvTile tile{p.combine ? static_cast<void*>(w.rows + row) : static_cast<void*>(w.z + row),
                    w.padded_out,
                    static_cast<int16_t>(w.stages),
                    static_cast<int16_t>(w.e81b_mask),
                    {}};
#pragma unroll
      for (int s = 0; s < kMaxStages; ++s) tile.k[s] = w.k[s];
      tiles[i] = tile;
    }
    // A warp for every list.
    const int row = warp & (rows - 1), codebook = warp >> log2_rows;
    const int slots = codebook == 0 ? p.slots_e8p : p.slots_e81b;
    if (codebook > 1 || slots == 0) return;
    const bool e81b = codebook == 1;
    GemvStep* list = e81b ? steps[1] + row * p.steps_e81b : steps[0] + row * p.steps_e8p;
    const int per_slot = (count - row + rows - 1) >> log2_rows;
    int filled = 0, slot = 0, in_slot = lane;  // this lane's step: one row tile of one slot
    for (int i = 0; i < slots * per_slot; i += 32) {
      while (in_slot >= per_slot && slot < slots) in_slot -= per_slot, ++slot;
      GemvStep step{};
      if (slot < slots) {
        const int tile = row + (in_slot << log2_rows), index = WeightOf(p, first + tile);
        const GemvWeight& w = p.weights[index];
        const int stage = StageOfSlot(w, e81b, slot);
        if (stage >= 0) {
          step.weights =
              static_cast<const uint8_t*>(w.stage[stage]) +
              static_cast<int64_t>(first + tile - w.first_tile) * p.units * (e81b ? kUnitBytesE81b : kUnitBytesE8p);
          step.sums = (slot * p.chunk_tiles + tile) * tile_words * 4;
        }
      }
      // Weights of a group have different numbers of stages.
      const uint32_t present = __ballot_sync(0xFFFFFFFFu, step.weights != nullptr);
      if (step.weights != nullptr) list[filled + __popc(present & ((1u << lane) - 1))] = step;
      filled += __popc(present);
      in_slot += 32;
    }
    if (lane < kGemvStepsBehind) list[filled + lane] = {};
    if (lane == 0) front.steps[codebook][row] = filled;
  }
};

// Where the sums of a row lie in a tile's words: row 2p + odd in the registers 2 * odd and 2 * odd + 1, hi and lo, of
// lane 4 * p + token in the block's four.
template <int kBlocks>
__device__ __forceinline__ int SumWord(int row_in_tile, int token) {
  return (row_in_tile & 1) * 64 * kBlocks + (token >> 2) * 32 + (row_in_tile >> 1) * 4 + (token & 3);
}

// Of adjacent tokens.
template <int kTokens>
__device__ __forceinline__ void LoadSums(const int32_t* from, int (&sums)[kTokens]) {
  if constexpr (kTokens == 4) {
    *reinterpret_cast<int4*>(sums) = *reinterpret_cast<const int4*>(from);
  } else if constexpr (kTokens == 2) {
    *reinterpret_cast<int2*>(sums) = *reinterpret_cast<const int2*>(from);
  } else {
    sums[0] = from[0];
  }
}

// A chunk's sums of all stages to y_rht: a thread has kTokens tokens of a row. What this takes is the latency of one
// warp, so there is nothing in it that need not be.
template <int kBlocks, int kTokens, bool kE81b>
__device__ __forceinline__ void FlushRows(const GemvParams& p, const int32_t* sums, const GemvTile* tiles,
                                          const TokenScale* scales, int count) {
  const int slot_words = p.chunk_tiles * GemvTileWords(kBlocks), rows = count * kTileRows;
  int token0 = 0, row = static_cast<int>(threadIdx.x);
#pragma unroll 1
  for (;; row += kThreads) {
    while (row >= rows && token0 < p.tokens) row -= rows, token0 += kTokens;
    if (token0 >= p.tokens) return;
    const int in_tile = row & (kTileRows - 1), index = row >> 4;
    const GemvTile& tile = tiles[index];
    const int32_t* e8p = sums + index * GemvTileWords(kBlocks) + SumWord<kBlocks>(in_tile, token0);
    [[maybe_unused]] const int32_t* e81b = e8p + p.slots_e8p * slot_words;
    float y[kTokens] = {};
    const int stages = tile.stages;
    int stage = 0;
#pragma unroll 1
    do {
      const bool small = kE81b && ((tile.e81b_mask >> stage) & 1);
      const int32_t* from = small ? e81b : e8p;
      const float k = tile.k[stage];
      int hi[kTokens], lo[kTokens];
      LoadSums(from, hi);
      LoadSums(from + 32 * kBlocks, lo);
#pragma unroll
      for (int i = 0; i < kTokens; ++i) {
        TokenScale ordinary = scales[token0 + i];
        ordinary.kind = 0;
        y[i] = AddStage(hi[i], lo[i], ordinary, small, k, stage == 0, y[i]);
      }
      (small ? e81b : e8p) += slot_words;
    } while (++stage < stages);
    float* to = static_cast<float*>(tile.to) + in_tile;
    const int64_t padded_out = tile.padded_out;
#pragma unroll
    for (int i = 0; i < kTokens; ++i) {
      const int token = token0 + i, kind = scales[token].kind;
      if (kind != 0) y[i] = kind == 1 ? 0.0f : __uint_as_float(0x7FC00000u);
      if (kTokens == 1 && p.watched) {
        ptx::StoreRelaxed(to + token * padded_out, y[i]);
      } else if (kTokens == 1 || token < p.tokens) {
        to[token * padded_out] = y[i];
      }
    }
  }
}

// Before the output transform may start to watch: none of the token's rows are there. By one warp, all at once. Each
// word is read again, from the L2 as it was stored there: when they have come, the stores have been performed. Gives
// them, all ones.
__device__ __forceinline__ uint32_t ClearRows(const GemvTile* tiles, int count, int lane) {
  constexpr int kAtOnce = 8;
  const int rows = count * kTileRows;
  uint32_t found = kRowNotThere;
#pragma unroll 1
  for (int first = lane; first < rows; first += 32 * kAtOnce) {
    uint32_t words[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int row = first + 32 * i;
      words[i] = kRowNotThere;
      if (row >= rows) continue;
      float* to = static_cast<float*>(tiles[row / kTileRows].to) + row % kTileRows;
      ptx::StoreRelaxed(to, __uint_as_float(kRowNotThere));
      words[i] = ptx::LoadRelaxed32(to);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) found &= words[i];
  }
  return found;
}
// ... and lets it start; were a word something else, it would start when this kernel has ended.
__device__ __forceinline__ void LetWatcherStart(uint32_t found) {
  if (__all_sync(0xFFFFFFFFu, found == kRowNotThere)) ptx::LetSuccessorStart();
}

// A chunk's sums as they are, where k is split over blocks or a codebook is left to another launch.
template <int kBlocks, int kTokens>
__device__ __forceinline__ void FlushSums(const GemvParams& p, const int32_t* sums, const GemvTile* tiles, int count) {
  const int slot_words = p.chunk_tiles * GemvTileWords(kBlocks), rows = count * kTileRows;
  int token0 = 0, row = static_cast<int>(threadIdx.x);
#pragma unroll 1
  for (;; row += kThreads) {
    while (row >= rows && token0 < p.tokens) row -= rows, token0 += kTokens;
    if (token0 >= p.tokens) return;
    const int in_tile = row & (kTileRows - 1), index = row >> 4;
    const GemvTile& tile = tiles[index];
    const int32_t* e8p = sums + index * GemvTileWords(kBlocks) + SumWord<kBlocks>(in_tile, token0);
    const int32_t* e81b = e8p + p.slots_e8p * slot_words;
    const int64_t plane = tile.padded_out;
    int32_t* z = static_cast<int32_t*>(tile.to) + token0 * 2 * plane + in_tile;
#pragma unroll 1
    for (int stage = 0; stage < tile.stages; ++stage, z += p.tokens * 2 * plane) {
      const bool small = (tile.e81b_mask >> stage) & 1;
      if ((small ? p.slots_e81b : p.slots_e8p) == 0) continue;
      const int32_t* from = small ? e81b : e8p;
      int hi[kTokens], lo[kTokens];
      LoadSums(from, hi);
      LoadSums(from + 32 * kBlocks, lo);
#pragma unroll
      for (int i = 0; i < kTokens; ++i) {
        if (kTokens > 1 && token0 + i >= p.tokens) break;
        if (p.splits == 1) {
          z[2 * i * plane] = hi[i], z[(2 * i + 1) * plane] = lo[i];
        } else {
          atomicAdd(z + 2 * i * plane, hi[i]);
          atomicAdd(z + (2 * i + 1) * plane, lo[i]);
        }
      }
      (small ? e81b : e8p) += slot_words;
    }
  }
}

// The sums of the other blocks of a cluster, to the first one: [split - 1] of the sums' size, behind the tables.
__device__ __forceinline__ void SendSums(const GemvParams& p, const Front& front, const int32_t* sums,
                                         const uint8_t* received, int split) {
  const uint32_t barrier = ptx::AddressInBlock(ptx::SharedAddress(&front.met), 0);
  const uint32_t to = ptx::AddressInBlock(ptx::SharedAddress(received + (split - 1) * p.sum_bytes), 0);
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < p.sum_bytes / 16; i += kThreads) {
    const int4 v = reinterpret_cast<const int4*>(sums)[i];
    const uint32_t words[4] = {static_cast<uint32_t>(v.x), static_cast<uint32_t>(v.y), static_cast<uint32_t>(v.z),
                               static_cast<uint32_t>(v.w)};
    ptx::Send(to + static_cast<uint32_t>(i) * 16, words, barrier);
  }
}
// By the first one. A thread adds what it then stores; sync afterwards.
__device__ __forceinline__ void ReceiveSums(const GemvParams& p, const Front& front, int32_t* sums,
                                            const uint8_t* received) {
  ptx::Receive(ptx::SharedAddress(&front.met));
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < p.sum_bytes / 16; i += kThreads) {
    int4 v = reinterpret_cast<const int4*>(sums)[i];
#pragma unroll 1
    for (int s = 0; s < p.splits - 1; ++s) {
      const int4 more = reinterpret_cast<const int4*>(received + s * p.sum_bytes)[i];
      v.x += more.x, v.y += more.y, v.z += more.z, v.w += more.w;
    }
    reinterpret_cast<int4*>(sums)[i] = v;
  }
}

// Steps of a row of warps on their way to the L2, by one thread: `unit` and those behind it, as many as the block has.
// (By index: with a pointer that walks to the list's end the loop of 7 units is laid out worse, and 4096 x 14336 takes
// 9.9 us instead of 9.6.)
__device__ __forceinline__ void PrefetchSteps(const GemvParams& p, const GemvStep* next, int count, int unit,
                                              int units) {
  const int bytes = min(p.units - unit, units) * kUnitBytesE8p;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    if (next[i].weights != nullptr) ptx::PrefetchBulk(next[i].weights + unit * kUnitBytesE8p, bytes);
  }
}

// Until the input transform says that its row has come, or has said so in an earlier call, or does not say.
__device__ __forceinline__ void AwaitRow(const TokenHeader* header) {
#pragma unroll 1
  for (int looks = 0; looks < 64; ++looks) {
    if (ptx::LoadRelaxed32(&header->row_came) != 0) return;
  }
}

// Sums of the hi and the lo digits that a thread has made.
struct DigitSums {
  int hi = 0, lo = 0;
};
__device__ __forceinline__ void AddDigitSums(const DigitSums& sums, TokenScale& to) {
  const int hi = __reduce_add_sync(0xFFFFFFFFu, sums.hi), lo = __reduce_add_sync(0xFFFFFFFFu, sums.lo);
  if ((threadIdx.x & 31) == 0) {
    atomicAdd(&to.sum_hi, hi);
    atomicAdd(&to.sum_lo, lo);
  }
}

// A row of kChunks chunks that is one Hadamard block: x -> * SV -> Hadamard -> digits in the order of
// DigitLayout::kTiles (numerics: steps 1 to 4). `exchange` holds kChunks * kChunkShared floats. A warp makes the digits
// that it will multiply, or a half of them where another warp multiplies the same columns, so that the block does not
// have to meet; of the scale everything but the sums of digits is there when it meets next.
template <int kUnits, int kChunks>
__device__ __forceinline__ DigitSums TransformInput(const GemvParams& p, const uint4 (&x)[kChunks],
                                                    const uint4 (&sv)[kChunks], Front& front, float* exchange,
                                                    uint8_t* digits, bool clears, uint32_t found,
                                                    const GemvStep* prefetched) {
  const int t = static_cast<int>(threadIdx.x), lane = t & 31, warp = t >> 5;
  float r[kChunks][kChunkRegs];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    float f[kChunkRegs];
    UnpackHalves(x[c], p.x_type == Scalar::kBF16, r[c]);
    UnpackHalves(sv[c], false, f);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[c][j] = __fmul_rn(r[c][j], f[j]);
  }
  ChunksFwht(r, exchange, 0, kChunk, true, t);
  if constexpr (kChunks == 2) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      const float a = r[0][j], b = r[1][j];
      r[0][j] = __fadd_rn(a, b), r[1][j] = __fsub_rn(a, b);
    }
  }
  const float block_scale = InvSqrtPow2(kChunks == 1 ? 12 : 13);
  float largest[kChunks][2] = {};
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) {
      r[c][j] = __fmul_rn(r[c][j], block_scale);
      largest[c][j & 1] = ptx::MaxNan(largest[c][j & 1], fabsf(r[c][j]));
      // Slots that only this thread has read; adjacent columns come back.
      exchange[c * kChunkShared + ChunkSlot(t) + ChunkSlot(j * kChunkThreads)] = r[c][j];
    }
  }
  float all = ptx::MaxNan(largest[0][0], largest[0][1]);
  if constexpr (kChunks == 2) all = ptx::MaxNan(all, ptx::MaxNan(largest[1][0], largest[1][1]));
  const uint32_t max_bits = __reduce_max_sync(0xFFFFFFFFu, __float_as_uint(all) & 0x7FFFFFFFu);
  if (lane == 0) front.warp_max[warp] = max_bits;
  if (t == 0) front.scales[0].sum_hi = front.scales[0].sum_lo = 0;
  __syncthreads();
  if (clears) LetWatcherStart(found);
  // Not sooner: what is on its way to the L2 would hold up x. Out of line, for those that have none.
  if (__builtin_expect(prefetched != nullptr, 0))
    PrefetchSteps(p, prefetched, kChunks == 1 ? 1 : p.prefetched_steps, 0, p.units);
  const RowScale scale = ScaleOfRow(__reduce_max_sync(0xFFFFFFFFu, front.warp_max[lane & (kWarps - 1)]));
  // Groups of 256 columns, of which a lane has 8. Warps w and w + 8 multiply the same columns where there are 4 units a
  // warp in a row of 4096.
  constexpr bool kPairs = kUnits == 4 && kChunks == 1;
  const int first_group = kPairs ? (warp & 7) * 2 + (warp >> 3) : warp * kChunks, odd = lane & 1;
  DigitSums sums;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int group = first_group + c;
    const auto* mine = reinterpret_cast<const float4*>(exchange + (group >> 4) * kChunkShared +
                                                       ChunkSlot((group & 15) * 256 + kChunkRegs * lane));
    float v[kChunkRegs];
    *reinterpret_cast<float4*>(v) = mine[0];
    *reinterpret_cast<float4*>(v + 4) = mine[1];
    DigitWords w{};
    if (scale.kind == 0) w = PackDigits(v, scale.factor);
    // k tile, digit and piece of the columns that this lane and its neighbour hold.
    uint8_t* to = digits + (group * 4 + (lane >> 3)) * 2 * kTileCols + odd * kTileCols + ((lane >> 1) & 3) * 16;
    *reinterpret_cast<uint4*>(to) = PairPieces(w, odd);
    sums.hi += SumOfBytes(w.hi);
    sums.lo += SumOfBytes(w.lo);
  }
  if constexpr (kPairs) {
    ptx::SyncSome(1 + (warp & 7), 64);
  } else {
    __syncwarp();
  }
  if (t == 0) front.scales[0].t = scale.t(), front.scales[0].kind = scale.kind;
  return sums;
}

// kMeets: the blocks of a cluster share rows, each with a part of k, and add their sums in shared memory.
template <int kUnits, int kBlocks, int kChunks, bool kE81b, bool kMeets>
__global__ void __launch_bounds__(kThreads, 1) GemvKernel(const __grid_constant__ GemvParams p) {
  uint8_t* shared = ptx::DynamicShared();
  const int t = static_cast<int>(threadIdx.x), lane = t & 31;
  Front& front = *reinterpret_cast<Front*>(shared);
  TableWords<kThreads> words;
  words.Load(true, kE81b);
  TouchParameters(p, front);
  const int warp =
      __shfl_sync(0xFFFFFFFFu, t >> 5, 0);   // the compiler may keep what depends on it in uniform registers
  const int log2_k = 31 - __clz(p.warps_k);  // warps_k is a power of two
  const int warp_k = warp & (p.warps_k - 1), warp_row = warp >> log2_k, log2_rows = 4 - log2_k;
  // The last warps along k load units that other warps have, too, rather than none: their digits are zero here.
  static_assert(!kMeets || kChunks == 0);
  const int split = kMeets ? ptx::ClusterRank() : static_cast<int>(blockIdx.y);
  const int first_unit = (split * p.warps_k + warp_k) * kUnits;
  const int load_unit = min(first_unit, p.units - kUnits);
  const bool any_e8p = p.slots_e8p > 0, any_e81b = kE81b && p.slots_e81b > 0;
  const SharedPlan plan = PlanShared(static_cast<uint32_t>(p.front_bytes), any_e8p, any_e81b);
  // As far as registers go, the second codebook's weights are on their way from the start.
  constexpr bool kE81bStartsEarly = kE81b && kUnits <= 3 && kBlocks == 1;
  auto* sums = reinterpret_cast<int32_t*>(shared + kGemvFrontBytes);

  // None of this depends on the activations: weights on their way, tables filled, sums cleared.
  const bool first_split = !kMeets || split == 0;
  if (!p.watched || !first_split) ptx::LetSuccessorStart();
  if (kMeets && t == 0) {
    ptx::BarrierInit(ptx::SharedAddress(&front.met), 1);
    ptx::BarrierInitFence();
  }
  const Share share(p, kMeets ? ptx::ClusterIndex() : static_cast<int>(blockIdx.x));
  const Schedule schedule(p, shared, 1 << log2_rows);
  const int first_count = min(p.chunk_tiles, share.end - share.begin);
  Stream<kUnits, kBlocks, kChunks, false> e8p(schedule.steps[0] + warp_row * p.steps_e8p, load_unit, lane);
  [[maybe_unused]] Stream<kUnits, kBlocks, kChunks, true> e81b(schedule.steps[1] + warp_row * p.steps_e81b, load_unit,
                                                               lane);
  // The weights behind the words: otherwise the tables would wait for both.
  const bool ready = words.Arrived(kE81b, static_cast<uint32_t>(share.end));
  const bool single = kChunks > 0 && p.count == 1;
  e8p.Clear();
  if (any_e8p && single && ready) e8p.StartWithoutList(p, share.begin, first_count, warp_row, log2_rows);
  schedule.Build(p, front, share.begin, first_count, log2_rows, GemvTileWords(kBlocks), warp, lane);
  words.Store(shared, plan, any_e8p, any_e81b);
  __syncthreads();
  if (any_e8p && !single) e8p.template StartSteps<0, e8p.First()>();
  if (any_e8p) e8p.template StartSteps<e8p.First(), e8p.kAhead>();
  // The steps behind them come to the L2 meanwhile.
  if (kChunks == 0 && any_e8p && warp == kWarps / 2 && lane < 1 << log2_rows) {
    if (p.awaits_row) AwaitRow(p.headers);
    PrefetchSteps(p, schedule.steps[0] + lane * p.steps_e8p + e8p.kAhead, p.prefetched_steps,
                  split * p.warps_k * kUnits, p.warps_k * kUnits);
  }
  if constexpr (kE81bStartsEarly) {
    if (any_e81b) e81b.Start();
  }
  for (int i = t; i < p.sum_bytes / 4; i += kThreads) sums[i] = 0;
  // Where the digits of this lane's MMA column, of the first token of four, begin in the warp's first k tile, and which
  // of its k tiles there are: all but those behind the row's end and those that are another warp's.
  const int column = lane >> 2;
  uint8_t* transformed = shared + plan.total + kChunks * kChunkShared * 4;  // digits of the block's own
  const uint8_t* piece = kChunks > 0 ? transformed : p.digits;
  piece += (static_cast<int64_t>(column / 2) * p.dim + load_unit * kUnitCols) * 2 + (column & 1) * 64 + (lane & 3) * 16;
  [[maybe_unused]] const uint8_t* pieces[2] = {piece, piece + static_cast<int64_t>(p.dim) * 8};
  const int first_tile = (first_unit - load_unit) * 2, end_tile = min(p.dim / kTileCols - load_unit * 2, 2 * kUnits);
  const uint32_t k_tiles = first_tile < end_tile ? (1u << end_tile) - (1u << first_tile) : 0;
  if constexpr (kChunks == 0) {
    // So that nothing is left to do between the wait and the loads.
#pragma unroll
    for (int b = 0; b < kBlocks; ++b) ptx::HaveNow(pieces[b], k_tiles);
  }
  [[maybe_unused]] DigitSums digit_sums;
  if constexpr (kChunks > 0) {
    // Not as constants: their loads would be moved behind the wait.
    constexpr uint32_t kOnes = 0x3C003C00u;
    uint4 sv[kChunks];
    const uint16_t* own_sv = p.sv + kChunkRegs * t;
    sv[0] = make_uint4(kOnes, kOnes, kOnes, kOnes);
    if constexpr (kChunks == 2) sv[1] = sv[0];
    ptx::LoadGlobalIf<0>(p.sv != nullptr, own_sv, sv[0]);
    if constexpr (kChunks == 2) ptx::LoadGlobalIf<kChunk * 2>(p.sv != nullptr, own_sv, sv[1]);
    ptx::WaitForPredecessor();
    uint4 x[kChunks];
#pragma unroll
    for (int c = 0; c < kChunks; ++c) x[c] = static_cast<const uint4*>(p.x)[c * kChunkThreads + t];
    const bool clears = p.watched && warp == kWarps - 1;
    uint32_t found = 0;
    if (clears) found = ClearRows(schedule.tiles, share.end - share.begin, lane);
    auto* exchange = reinterpret_cast<float*>(shared + plan.total);
    // Short rows: a warp for each step, which costs nothing where there is none. Long ones: one after the other.
    const GemvStep* next = nullptr;
    if (kChunks == 1 ? lane == 0 && warp < p.prefetched_steps << log2_rows
                     : p.prefetched_steps > 0 && warp == kWarps / 2 && lane < 1 << log2_rows) {
      const int each = kChunks == 1 ? warp : lane, row = each & ((1 << log2_rows) - 1);
      next = schedule.steps[0] + row * p.steps_e8p + e8p.kAhead + (each >> log2_rows);
    }
    digit_sums = TransformInput<kUnits>(p, x, sv, front, exchange, transformed, clears, found, next);
  } else {
    // Behind the wait no warp waits for another: each goes on as soon as its own digits are there.
    __syncthreads();
    if constexpr (kMeets) {
      // Behind the block's meeting, as in PrepareRow.
      if (t == 0) {
        ptx::BarrierArriveExpect(ptx::SharedAddress(&front.met), static_cast<uint32_t>((p.splits - 1) * p.sum_bytes));
      }
      ptx::ClusterSyncRelaxed();
    }
    ptx::WaitForPredecessor();
  }

  // digits[unit][k tile][block of 4 tokens]: this lane's piece of MMA column lane / 4.
  uint4 digits[kUnits][2][kBlocks];
  if constexpr (kChunks > 0) {
#pragma unroll
    for (int j = 0; j < 2 * kUnits; ++j) ptx::TakeAnything(digits[j / 2][j % 2][0]);
    if (column < 2) {
#pragma unroll
      for (int j = 0; j < 2 * kUnits; ++j) {
        digits[j / 2][j % 2][0] = *reinterpret_cast<const uint4*>(piece + j * kTileCols * 2);
      }
    }
    AddDigitSums(digit_sums, front.scales[0]);
  } else {
    const bool all = k_tiles == (1u << (2 * kUnits)) - 1;
#pragma unroll
    for (int b = 0; b < kBlocks; ++b) {
      const bool any = 4 * b + column / 2 < p.tokens;
      if (all) {
        LoadDigits<kUnits, kBlocks>(any, pieces[b], b, digits);
      } else {
        LoadSomeDigits<kUnits, kBlocks>(any, pieces[b], b, k_tiles, digits);
      }
    }
  }
  if (kChunks == 0 && p.combine && t < p.tokens) CopyHeader(p.headers + t, front.headers + t);
  const uint32_t lane_sums = ptx::SharedAddress(sums + lane);
  if (kChunks == 0 && p.watched && first_split && warp == kWarps - 1) {
    LetWatcherStart(ClearRows(schedule.tiles, share.end - share.begin, lane));  // while digits come
  }
  if (kChunks == 0 && p.combine && t < p.tokens) front.scales[t] = ArrivedScale(front.headers[t]);
  Decoder decoder(shared, plan);
  decoder.Keep();
  for (int chunk = share.begin;;) {
    if (any_e8p) e8p.Run(front.steps[0][warp_row], decoder, digits, lane_sums);
    if constexpr (kE81b) {
      if (any_e81b) {
        if constexpr (!kE81bStartsEarly) e81b.Start();
        e81b.Run(front.steps[1][warp_row], decoder, digits,
                 lane_sums + static_cast<uint32_t>(p.slots_e8p * p.chunk_tiles * GemvTileWords(kBlocks) * 4));
      }
    }
    __syncthreads();
    if constexpr (kMeets) {  // all row tiles are one chunk
      const uint8_t* received = shared + plan.total;
      if (!first_split) {
        SendSums(p, front, sums, received, split);
        return;
      }
      ReceiveSums(p, front, sums, received);
      __syncthreads();
    }
    const int tiles = min(p.chunk_tiles, share.end - chunk);
    if (kChunks > 0 || kMeets || p.combine) {
      // As few tokens a thread as do it at once.
      const int rows = tiles * kTileRows;
      if (kChunks > 0 || kUnits > 4 || p.tokens == 1 || rows * p.tokens <= kThreads) {
        FlushRows<kBlocks, 1, kE81b>(p, sums, schedule.tiles, front.scales, tiles);
      } else if (rows * p.tokens <= 2 * kThreads) {
        FlushRows<kBlocks, 2, kE81b>(p, sums, schedule.tiles, front.scales, tiles);
      } else {
        FlushRows<kBlocks, 4, kE81b>(p, sums, schedule.tiles, front.scales, tiles);
      }
    } else if (p.tokens == 1) {
      FlushSums<kBlocks, 1>(p, sums, schedule.tiles, tiles);
    } else {
      FlushSums<kBlocks, 4>(p, sums, schedule.tiles, tiles);
    }
    chunk += p.chunk_tiles;
    if (chunk >= share.end) return;
    __syncthreads();
    for (int i = t; i < p.sum_bytes / 4; i += kThreads) sums[i] = 0;
    schedule.Build(p, front, chunk, min(p.chunk_tiles, share.end - chunk), log2_rows, GemvTileWords(kBlocks), warp,
                   lane);
    __syncthreads();
    if (any_e8p) e8p.Start();
    if constexpr (kE81bStartsEarly) {
      if (any_e81b) e81b.Start();
    }
  }
}

using Kernel = void (*)(GemvParams);

template <int kBlocks, int kChunks, bool kE81b>
Kernel PickKernel(int units) {
  if constexpr (kChunks == 0) {
    switch (units) {
      case 1:
        return GemvKernel<1, kBlocks, 0, kE81b, false>;
      case 3:
        return GemvKernel<3, kBlocks, 0, kE81b, false>;
      default:
        break;
    }
  }
  // Rows of 4096 are 16 warps of 2 units, or fewer warps of 4; rows of 8192 are 16 warps of 4 units.
  if constexpr (kChunks < 2) {
    if (units == 2) return GemvKernel<2, kBlocks, kChunks, kE81b, false>;
  }
  if (units == 4) return GemvKernel<4, kBlocks, kChunks, kE81b, false>;
  if constexpr (kBlocks == 1 && kChunks == 0) {
    switch (units) {
      case 5:
        return GemvKernel<5, 1, 0, kE81b, false>;
      case 6:
        return GemvKernel<6, 1, 0, kE81b, false>;
      case 7:
        return GemvKernel<7, 1, 0, kE81b, false>;
      default:
        break;
    }
  }
  return nullptr;
}

// Rows whose blocks meet are longer than what one block holds.
template <int kUnits, bool kE81b>
Kernel PickMeetingKernel(int units) {
  if constexpr (kUnits > GemvMaxUnits(1)) {
    return nullptr;
  } else {
    return units == kUnits ? GemvKernel<kUnits, 1, 0, kE81b, true> : PickMeetingKernel<kUnits + 1, kE81b>(units);
  }
}

// Null where there is none.
Kernel PickKernel(int units, int blocks, int chunks, bool e81b, bool meets) {
  if (meets) {
    if (blocks > 1 || chunks > 0) return nullptr;
    return e81b ? PickMeetingKernel<kGemvLeastMeetingUnits, true>(units)
                : PickMeetingKernel<kGemvLeastMeetingUnits, false>(units);
  }
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
        for (int kind = 0; kind < 4; ++kind) {
          Kernel kernel = PickKernel(units, blocks, chunks, (kind & 1) != 0, (kind & 2) != 0);
          if (kernel == nullptr) continue;
          LoadKernels(kernel);
          PreferSharedMemory(kernel);
          AllowSharedMemory(kernel, max_shared_bytes);
        }
      }
    }
  }
}

bool HasGemvKernel(int units, int blocks, int chunks, bool meets) {
  return PickKernel(units, blocks, chunks, false, meets) != nullptr;
}

int GemvRoom(int splits, int max_shared_bytes) {
  // All of them fill the registers of a multiprocessor.
  Kernel kernel = PickKernel(GemvMaxUnits(1), 1, 0, false, true);
  AllowSharedMemory(kernel, max_shared_bytes);
  return ClusterRoom(kernel, splits, kThreads, static_cast<size_t>(max_shared_bytes));
}

void LaunchGemv(const GemvParams& p, const GemvPlan& plan, bool dependent, cudaStream_t stream) {
  Kernel kernel =
      PickKernel(plan.units_per_warp, plan.token_blocks, plan.transform_chunks, p.slots_e81b > 0, plan.meets);
  LaunchConfig config{dim3(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(plan.splits)), dim3(kThreads),
                      plan.shared_bytes, 1, dependent};
  if (plan.meets) config.grid = dim3(static_cast<unsigned>(plan.blocks * plan.splits)), config.cluster = plan.splits;
  Launch("e8p_gemv", kernel, config, stream, p);
}

}  // namespace glq::kernels
