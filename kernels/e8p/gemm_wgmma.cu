// The E8P product for more than 8 tokens on Hopper: weights decoded into registers, digits in shared memory, warpgroup
// MMAs.
//
//   block = 2 or 4 consumer warpgroups (128 or 256 rows of one weight) and one that copies; kColumns columns, that is
//           kColumns / 2 tokens in two digits; one split of k
//
//              k ->    unit (128 columns)      next unit ...
//   warp 0, 16 rows    [16 bytes a lane]       from global memory a lap of kAhead units ahead, decoded to fragments
//   warp 1             [16 bytes a lane]
//   ...
//   columns            [kColumns x 128 bytes]  a ring of kRing slots, filled by bulk copies of contiguous memory
//
// A unit is four k steps of 32: low and high nibbles of its two k tiles. As bytes the high ones stay where they are, 16
// times their value; the low ones move up to the same by a multiplication, which the busy integer pipe does not do, or
// have sums of their own. While the tensor cores work on one k tile the warp decodes the next into other registers. All
// stages of the weight are done one after another by the same block, which ends each with numerics' steps 5 and 6 in
// registers, so that what leaves is y_rht in fp32 and not sums of every stage and digit.
//
// Few row blocks: k is split over the blocks of a cluster, which put their sums into shared memory (where the ring was)
// and add each other's through distributed shared memory, every block for its share of the tokens. Integers: any split
// gives the same bytes.
#include "e8p/gemm_wgmma.h"

#include "common/bulk_copy.cuh"
#include "common/cluster.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/wgmma.cuh"
#include "e8p/decoder.cuh"
#include "e8p/token_scale.cuh"

namespace glq::kernels {
namespace {

// Places in the block's shared memory, counted from the start of its window: small things first, the decoding tables,
// then the ring, which the swizzle wants at a multiple of 1 KiB.
constexpr uint32_t kTableAddress = 8192;
constexpr uint32_t kE81bAddress = kTableAddress + kTableBytes;
constexpr uint32_t kRingAddress = kE81bAddress + kE81bTableBytes;
static_assert(kRingAddress % 1024 == 0);

struct Front {
  TokenScale tokens[128];
  uint64_t full[12], empty[12], tokens_ready;
};
static_assert(sizeof(Front) <= kTableAddress - 4096);

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// What is compiled for one number of columns. Registers decide: kColumns / 2 sums a lane, besides some 60.
template <int kColumnsOfTile>
struct Tile {
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr int kTokens = kColumns / 2;
  static constexpr int kWarpgroups = WgmmaRows(kColumns) / 64;
  static constexpr int kWarps = kWarpgroups * 4;
  static constexpr int kConsumers = kWarps * 32;
  static constexpr int kRows = kWarps * kTileRows;
  static constexpr int kThreads = WgmmaThreads(kColumns);
  static_assert(kThreads == kConsumers + 128);
  // Registers move from the copying warpgroup to the others; a block starts with 65,536 / kThreads each, in eights.
  static constexpr int kConsumerRegs = kWarpgroups == 2 ? 240 : 112;
  static constexpr int kCopierRegs = kWarpgroups == 2 ? 24 : 32;
  static constexpr int kSlotBytes = kColumns * kUnitCols;
  static constexpr int kRing = WgmmaRing(kColumns);
  static constexpr int kAhead = WgmmaAhead(kColumns);
  // Sums of the high nibbles, 16 times what they are, apart from those of the low ones, where there are registers for
  // both: one operation less for every code.
  static constexpr bool kApart = kColumns == 32;
  static constexpr int kSumBlocks = kColumns / 8, kHighBlocks = kApart ? kSumBlocks : 1;
  static_assert(kRing % kAhead == 0);  // the loop is unrolled over kAhead units: the slot of each is a constant
  // Columns of sums that the ring's memory holds at once when a cluster adds them. The pitch keeps banks apart.
  static constexpr int kSumPitch = kRows + 4;
  static constexpr int kPassColumns = kColumns == 256 ? 128 : kColumns;
  static_assert(kPassColumns * kSumPitch * 4 <= kRing * kSlotBytes);
};

// One stage of this lane's row tile. The two codebooks' loops are compiled apart: a load whose width is decided at run
// time is waited for at once.
struct WeightStream {
  const uint8_t* at;  // this lane's bytes of the next unit that has not been loaded
  bool e81b;
};

// A warp behind the last row reads the first rows, and drops what comes of it.
__device__ __forceinline__ WeightStream StreamOf(const WgmmaWeight& weight, int stage, int tile, int units, int unit) {
  const int lane = static_cast<int>(threadIdx.x & 31);
  WeightStream s;
  s.e81b = (weight.e81b_mask >> stage) & 1;
  const int64_t first = static_cast<int64_t>(tile * kTileRows < weight.padded_out ? tile : 0) * units + unit;
  s.at = static_cast<const uint8_t*>(weight.stage[stage]) +
         (s.e81b ? first * kUnitBytesE81b + lane * 8 : first * kUnitBytesE8p + lane * 16);
  return s;
}

template <bool kE81b>
__device__ __forceinline__ uint4 LoadUnit(const uint8_t* at) {
  if constexpr (kE81b) {
    const uint2 codes = ptx::LoadStream64(at);
    return make_uint4(codes.x, codes.y, 0, 0);
  } else {
    return ptx::LoadStream128(at);
  }
}

// The first kAhead of `count` units.
template <int kAhead>
__device__ __forceinline__ void LoadFirstUnits(const WeightStream& s, int count, uint4 (&ahead)[kAhead]) {
#pragma unroll
  for (int a = 0; a < kAhead; ++a) {
    if (a < count)
      ahead[a] = s.e81b ? LoadUnit<true>(s.at + a * kUnitBytesE81b) : LoadUnit<false>(s.at + a * kUnitBytesE8p);
  }
}

// k tile kTile of a unit to the A fragments of two k steps, as bytes: high nibbles times 16, and so the low ones, where
// both have the same sums.
template <bool kE81b, bool kApart, int kTile>
__device__ __forceinline__ void DecodeTile(const Decoder& decoder, const uint4& w, uint32_t (&low)[4],
                                           uint32_t (&high)[4]) {
  constexpr uint32_t kLow = 0x0F0F0F0Fu, kHigh = 0xF0F0F0F0u;
  if constexpr (kE81b) {
    const uint32_t codes = kTile == 0 ? w.x : w.y;
    const uint32_t u[4] = {decoder.E81b<0>(codes), decoder.E81b<1>(codes), decoder.E81b<2>(codes),
                           decoder.E81b<3>(codes)};
#pragma unroll
    for (int s = 0; s < 4; ++s) low[s] = kApart ? u[s] & kLow : (u[s] * 16) & kHigh, high[s] = u[s] & kHigh;
  } else {
    const uint32_t rows = kTile == 0 ? w.x : w.z, signs = kTile == 0 ? w.y : w.w;
    const Decoder::Pair u[4] = {decoder.E8p<0>(rows, signs), decoder.E8p<1>(rows, signs), decoder.E8p<2>(rows, signs),
                                decoder.E8p<3>(rows, signs)};
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      low[s] = kApart ? ptx::XorAnd(u[s].row, u[s].sign, kLow) : ((u[s].row ^ u[s].sign) * 16) & kHigh;
      high[s] = ptx::XorAnd(u[s].row, u[s].sign, kHigh);
    }
  }
}

// Sums of a stage: `all`, or the low nibbles' there and the high ones'.
template <typename T>
struct Sums {
  int (&all)[T::kSumBlocks][4];
  int high[T::kHighBlocks][4];
};

// Two k steps: both operands of a k tile are complete before the tensor cores may look at registers.
template <typename T>
__device__ __forceinline__ void MultiplyTile(Sums<T>& sums, uint32_t (&low)[4], uint32_t (&high)[4], uint32_t digits) {
#pragma unroll
  for (int s = 0; s < 4; ++s) ptx::ComputeNow(low[s]), ptx::ComputeNow(high[s]);
  ptx::WgmmaFence();
  ptx::WgmmaU8S8(sums.all, low, ptx::WgmmaDescriptor(digits));
  if constexpr (T::kApart) {
    ptx::WgmmaU8S8(sums.high, high, ptx::WgmmaDescriptor(digits + ptx::WgmmaOffset(32)));
  } else {
    ptx::WgmmaU8S8(sums.all, high, ptx::WgmmaDescriptor(digits + ptx::WgmmaOffset(32)));
  }
  ptx::WgmmaCommit();
  ptx::WgmmaWait<1>();  // the k tile before: its fragments are free again
}

// Where the block is in the ring: kAhead slots at a time.
struct Lap {
  int index = 0;
  uint32_t phase = 0;
  template <typename T>
  __device__ __forceinline__ void Next() {
    if (++index == T::kRing / T::kAhead) index = 0, phase ^= 1;
  }
};

// What MultiplyLap works on besides registers: addresses of barriers and the ring's first descriptor.
struct Ring {
  uint32_t digits, full, empty;
};

// A lap of kAhead units whose weights are in `now`; those of the next lap go to `next`, all at once behind the first
// wait for `now`: the loads of a warp are waited for together, and so they all have a lap's time.
template <typename T, bool kE81b>
__device__ __forceinline__ void MultiplyLap(const Decoder& decoder, const uint8_t* from, int left, const Ring& ring,
                                            Lap& lap, uint32_t& previous, const uint4 (&now)[T::kAhead],
                                            uint4 (&next)[T::kAhead], Sums<T>& sums) {
  constexpr int kAhead = T::kAhead, kBytes = kE81b ? kUnitBytesE81b : kUnitBytesE8p;
  const bool first_lane = (threadIdx.x & 31) == 0;
  const uint32_t digits = ring.digits + static_cast<uint32_t>(lap.index) * ptx::WgmmaOffset(kAhead * T::kSlotBytes);
  const uint32_t full = ring.full + static_cast<uint32_t>(lap.index) * kAhead * 8, to_empty = ring.empty - ring.full;
#pragma unroll
  for (int a = 0; a < kAhead; ++a) {
    if (a > 0 && a >= left) {  // slots that stay empty, so that a stage starts with a lap
      ptx::BarrierWait(full + a * 8, lap.phase);
      if (first_lane) ptx::BarrierArrive(full + a * 8 + to_empty);
      continue;
    }
    uint32_t fragments[2][2][4];  // [k tile][low, high]
    DecodeTile<kE81b, T::kApart, 0>(decoder, now[a], fragments[0][0], fragments[0][1]);
    ptx::BarrierWait(full + a * 8, lap.phase);
    MultiplyTile(sums, fragments[0][0], fragments[0][1], digits + ptx::WgmmaOffset(a * T::kSlotBytes));
    if (first_lane && previous != 0) ptx::BarrierArrive(previous);
    if (a == 0) {
#pragma unroll
      for (int b = 0; b < kAhead; ++b) {
        if (b + kAhead < left) next[b] = LoadUnit<kE81b>(from + b * kBytes);
      }
    }
    DecodeTile<kE81b, T::kApart, 1>(decoder, now[a], fragments[1][0], fragments[1][1]);
    MultiplyTile(sums, fragments[1][0], fragments[1][1], digits + ptx::WgmmaOffset(a * T::kSlotBytes + 64));
    previous = full + a * 8 + to_empty;
  }
  lap.Next<T>();
}

// All units of one stage, one at least: sums = U * digits. `first`: the weights of the first lap.
template <typename T, bool kE81b>
__device__ __forceinline__ void MultiplyStage(const Decoder& decoder, const WeightStream& stream, int count,
                                              const Ring& ring, Lap& lap, uint4 (&first)[T::kAhead],
                                              int (&to)[T::kSumBlocks][4]) {
  constexpr int kLapBytes = T::kAhead * (kE81b ? kUnitBytesE81b : kUnitBytesE8p);
  Sums<T> sums{to, {}};
#pragma unroll
  for (int j = 0; j < T::kSumBlocks; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[j][i] = 0;
  }
  const uint8_t* from = stream.at + kLapBytes;
  uint32_t previous = 0;  // the barrier of the slot before this one, until its products are known to be done
  uint4 second[T::kAhead] = {};
  for (int left = count;; from += 2 * kLapBytes) {
    MultiplyLap<T, kE81b>(decoder, from, left, ring, lap, previous, first, second, sums);
    if ((left -= T::kAhead) <= 0) break;
    MultiplyLap<T, kE81b>(decoder, from + kLapBytes, left, ring, lap, previous, second, first, sums);
    if ((left -= T::kAhead) <= 0) break;
  }
  ptx::WgmmaWait<0>();
#pragma unroll
  for (int j = 0; j < T::kSumBlocks; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      ptx::ComputeNow(to[j][i]);
      if constexpr (T::kApart) {
        ptx::ComputeNow(sums.high[j][i]);
        to[j][i] += sums.high[j][i] >> 4;
      } else {
        to[j][i] >>= 4;
      }
    }
  }
  if ((threadIdx.x & 31) == 0 && previous != 0) ptx::BarrierArrive(previous);
}

// Adds a stage to two rows of y_rht.
__device__ __forceinline__ void AddStagePair(float* to, int2 hi, int2 lo, const TokenScale& token, bool e81b, float k,
                                             bool first) {
  float2 y = make_float2(0.0f, 0.0f);
  if (!first) y = *reinterpret_cast<const float2*>(to);
  y.x = AddStage(hi.x, lo.x, token, e81b, k, first, y.x);
  y.y = AddStage(hi.y, lo.y, token, e81b, k, first, y.y);
  *reinterpret_cast<float2*>(to) = y;
}

#endif

template <int kColumns>
__global__ void __launch_bounds__(WgmmaThreads(kColumns), 1) WgmmaKernel(const __grid_constant__ WgmmaParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Tile<kColumns>;
  uint8_t* shared = ptx::DynamicShared();
  const uint32_t base = ptx::SharedAddress(shared);
  Front& front = *reinterpret_cast<Front*>(shared);
  const uint32_t window = base & 0xFF000000u;  // the upper bits are the block's rank in its cluster
  const uint32_t ring = window + kRingAddress;
  const SharedPlan plan{window + kTableAddress - base, window + kE81bAddress - base, 0};

  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int split = static_cast<int>(blockIdx.x) % p.splits, block = static_cast<int>(blockIdx.x) / p.splits;
  const int token0 = static_cast<int>(blockIdx.y) * T::kTokens, tokens = min(T::kTokens, p.tokens - token0);
  int index = 0;
  while (index + 1 < p.count && block >= p.weights[index + 1].first_block) ++index;
  const WgmmaWeight& weight = p.weights[index];
  const int unit_begin = split * p.units / p.splits, unit_end = (split + 1) * p.units / p.splits;
  const auto full = [&](int slot) { return ptx::SharedAddress(&front.full[slot]); };
  const auto empty = [&](int slot) { return ptx::SharedAddress(&front.empty[slot]); };
  const uint32_t tokens_ready = ptx::SharedAddress(&front.tokens_ready);

  ptx::LetSuccessorStart();
  if (threadIdx.x == T::kConsumers) {
    for (int i = 0; i < T::kRing; ++i) {
      ptx::BarrierInit(full(i), 1);
      ptx::BarrierInit(empty(i), T::kWarps);
    }
    ptx::BarrierInit(tokens_ready, 32);
    ptx::BarrierInitFence();
  }

  __syncthreads();  // before the roles part: all threads have to meet at one place of the code

  if (warp >= T::kWarps) {
    ptx::GiveRegisters<T::kCopierRegs>();
    if (warp > T::kWarps) return;
    // --- The copying warp ---
    ptx::WaitForPredecessor();
    const uint32_t bytes = static_cast<uint32_t>(tokens) * 2 * kUnitCols;
    Lap lap;
    const auto store_tokens = [&] {
      for (int i = lane; i < tokens; i += 32) {
        front.tokens[i] = LoadTokenScale(p.headers[token0 + i]);
      }
      ptx::BarrierArrive(tokens_ready);
    };
    int laps = 0;
    for (int stage = 0; stage < weight.stages; ++stage) {
      for (int unit = unit_begin; unit < unit_end; unit += T::kAhead, lap.Next<T>(), ++laps) {
        for (int a = 0; a < T::kAhead; ++a) {
          const int slot = lap.index * T::kAhead + a;
          if (laps >= T::kRing / T::kAhead) ptx::BarrierWait(empty(slot), lap.phase ^ 1);
          if (lane == 0) {
            if (unit + a < unit_end) {
              ptx::BarrierArriveExpect(full(slot), bytes);
              ptx::BulkCopy(ring + slot * T::kSlotBytes,
                            p.digits + (static_cast<int64_t>(unit + a) * p.tokens + token0) * 2 * kUnitCols, bytes,
                            full(slot));
            } else {
              ptx::BarrierArrive(full(slot));
            }
          }
          __syncwarp();
        }
        if (laps == 0) store_tokens();
      }
      if (p.splits > 1) {
        for (int pass = 0; pass < kColumns / T::kPassColumns; ++pass) {
          ptx::ClusterSync();
          ptx::ClusterSync();
        }
      }
    }
    return;
  }

  // --- Consumers ---
  const int tile = (block - weight.first_block) * T::kWarps + warp;
  const int units = unit_end - unit_begin;
  WeightStream stream = StreamOf(weight, 0, tile, p.units, unit_begin);
  uint4 ahead[T::kAhead] = {};
  LoadFirstUnits(stream, units, ahead);
  FillTables<T::kConsumers>(shared, plan, p.any_e8p, p.any_e81b);
  ptx::SyncThreads<1>(T::kConsumers);
  ptx::TakeRegisters<T::kConsumerRegs>();
  ptx::WaitForPredecessor();  // y_rht may still be read by the call before

  const Decoder decoder(shared, plan);
  int sums[kColumns / 8][4];
  Lap lap;
  const Ring slots{ptx::WgmmaDescriptorLow(ring), full(0), empty(0)};
  for (int stage = 0; stage < weight.stages; ++stage) {
    const bool e81b = stream.e81b;
    if (e81b) {
      MultiplyStage<T, true>(decoder, stream, units, slots, lap, ahead, sums);
    } else {
      MultiplyStage<T, false>(decoder, stream, units, slots, lap, ahead, sums);
    }
    if (stage + 1 < weight.stages) {
      stream = StreamOf(weight, stage + 1, tile, p.units, unit_begin);
      LoadFirstUnits(stream, units, ahead);
    }
    if (stage == 0) ptx::BarrierWait(tokens_ready, 0);
    const float k = weight.k[stage];
    if (p.splits == 1) {
      if (tile * kTileRows < weight.padded_out) {
        float* to = weight.rows + static_cast<int64_t>(token0) * weight.padded_out + tile * kTileRows + (lane >> 2) * 2;
#pragma unroll
        for (int j = 0; j < kColumns / 8; ++j) {
          const int token = 4 * j + (lane & 3);
          if (token < tokens) {
            AddStagePair(to + static_cast<int64_t>(token) * weight.padded_out, make_int2(sums[j][0], sums[j][2]),
                         make_int2(sums[j][1], sums[j][3]), front.tokens[token], e81b, k, stage == 0);
          }
        }
      }
      continue;
    }
    // Every block of the cluster has its part of the sums of all rows: shown to the others, added, each for some
    // tokens.
    int* shown = reinterpret_cast<int*>(shared + (ring - base));
#pragma unroll
    for (int pass = 0; pass < kColumns / T::kPassColumns; ++pass) {
      // The ring is free: all products of this block are done.
      ptx::SyncThreads<1>(T::kConsumers);
#pragma unroll
      for (int j = 0; j < T::kPassColumns / 8; ++j) {
        const int from = pass * (T::kPassColumns / 8) + j;
        int* to = shown + (8 * j + (lane & 3) * 2) * T::kSumPitch + warp * kTileRows + (lane >> 2) * 2;
        *reinterpret_cast<int2*>(to) = make_int2(sums[from][0], sums[from][2]);
        *reinterpret_cast<int2*>(to + T::kSumPitch) = make_int2(sums[from][1], sums[from][3]);
      }
      ptx::ClusterSync();
      constexpr int kPairs = T::kRows / 2;  // of rows
      const int first_row = (block - weight.first_block) * T::kRows;
      for (int i = static_cast<int>(threadIdx.x) + split * T::kConsumers; i < T::kPassColumns / 2 * kPairs;
           i += p.splits * T::kConsumers) {
        const int in_pass = i / kPairs, row = i % kPairs * 2, token = pass * (T::kPassColumns / 2) + in_pass;
        if (token >= tokens || first_row + row >= weight.padded_out) continue;
        int2 hi = make_int2(0, 0), lo = make_int2(0, 0);
        const int at = 2 * in_pass * T::kSumPitch + row;
        for (int s = 0; s < p.splits; ++s) {
          const int* remote = ptx::InBlock(shown, s) + at;
          const int2 a = *reinterpret_cast<const int2*>(remote),
                     b = *reinterpret_cast<const int2*>(remote + T::kSumPitch);
          hi.x += a.x, hi.y += a.y, lo.x += b.x, lo.y += b.y;
        }
        AddStagePair(weight.rows + static_cast<int64_t>(token0 + token) * weight.padded_out + first_row + row, hi, lo,
                     front.tokens[token], e81b, k, stage == 0);
      }
      // Bulk copies will write where ordinary stores did.
      ptx::BulkCopyFence();
      ptx::ClusterSync();
    }
  }
#else
  __trap();  // the plan has this path only where it was compiled
#endif
}

using Kernel = void (*)(WgmmaParams);

Kernel PickKernel(int columns) {
  switch (columns) {
    case 32:
      return WgmmaKernel<32>;
    case 64:
      return WgmmaKernel<64>;
    case 128:
      return WgmmaKernel<128>;
    default:
      return WgmmaKernel<256>;
  }
}

uint32_t SharedBytes(int columns) {
  // As if dynamic shared memory started at 0 of the window: where it starts is not documented.
  return kRingAddress + static_cast<uint32_t>(WgmmaRing(columns) * columns * kUnitCols);
}

}  // namespace

void LoadWgmmaKernels(int max_shared_bytes) {
  for (int columns : kWgmmaColumns) {
    Kernel kernel = PickKernel(columns);
    LoadKernels(kernel);
    PreferSharedMemory(kernel);
    AllowSharedMemory(kernel, max_shared_bytes);
  }
}

int WgmmaRoom(int columns, int splits) {
  return ClusterRoom(PickKernel(columns), splits, WgmmaThreads(columns), SharedBytes(columns));
}

void LaunchWgmma(const WgmmaParams& p, const WgmmaPlan& plan, bool dependent, cudaStream_t stream) {
  LaunchConfig config{
      dim3(static_cast<unsigned>(plan.row_blocks * plan.splits), static_cast<unsigned>(plan.token_tiles)),
      dim3(static_cast<unsigned>(WgmmaThreads(plan.columns))), SharedBytes(plan.columns), plan.splits, dependent};
  Launch("e8p_gemm_wgmma", PickKernel(plan.columns), config, stream, p);
}

}  // namespace glq::kernels
