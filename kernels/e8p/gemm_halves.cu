// The fp16 product of GLQ_MATH_FP16_EXPANDED on Hopper: all stages of a weight decoded into one fp16 operand in
// registers, activations in shared memory, warpgroup MMAs. The weight is never written anywhere.
//
//   block = 2 consumer warpgroups (128 rows of one weight) and one that copies; kTokens tokens; one split of k
//
//              k ->    unit (128 columns)      next unit ...
//   warp 0, 16 rows    [8 or 16 bytes a lane and stage]    from global memory, a unit ahead
//   warp 1             [...]
//   ...
//   tokens             [kTokens x 128 bytes][kTokens x 128 bytes]    k tiles, a ring of kRing slots, filled by bulk
//                                                                    copies of contiguous memory
//
// A k tile is four k steps of 16. A word of nibbles u becomes four words of two fp16, nibbles i and i + 4, one for each
// step: in the mantissas of 512 and of 32 they are 512 + u and 32 + u, from which one subtraction leaves u - 7.5 (E81B:
// u - 4) exactly. Stages are added from the last one to the first, c_s = (u_s - 7.5) + ratio * c_{s+1}, one FMA of two
// elements each. While the tensor cores work on one k tile the warp decodes the next into other registers.
//
// The sums leave the block as y_rht / t in fp32. Few row blocks: k is split over the blocks of a cluster, which put
// their sums into shared memory (where the ring was) and add each other's in a fixed order.
#include "e8p/gemm_halves.h"

#include "common/bulk_copy.cuh"
#include "common/cluster.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/wgmma.cuh"
#include "e8p/decoder.cuh"

namespace glq::kernels {
namespace {

// Places in the block's shared memory, counted from the start of its window: barriers first, the decoding tables, then
// the ring, which the swizzle wants at a multiple of 1 KiB.
constexpr uint32_t kTableAddress = 4096;
constexpr uint32_t kE81bAddress = kTableAddress + kTableBytes;
constexpr uint32_t RingAddress(bool e81b) { return kE81bAddress + (e81b ? kE81bTableBytes : 0); }
static_assert(RingAddress(false) % 1024 == 0 && RingAddress(true) % 1024 == 0);

constexpr int kMaxRing = 12;
struct Front {
  uint64_t full[kMaxRing], empty[kMaxRing];
};
static_assert(sizeof(Front) <= kTableAddress - 2048);

constexpr int SlotBytes(int tokens) { return tokens * kTileCols * 2; }
constexpr int RingSlots(int tokens, bool e81b) {
  return tokens == 64 ? kMaxRing : tokens == 128 ? (e81b ? 7 : 9) : (e81b ? 3 : 4);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <int kTokensOfTile, int kStagesOfWeight, bool kE81bIsLast>
struct Tile {
  static constexpr int kTokens = kTokensOfTile;
  static constexpr int kStages = kStagesOfWeight;
  static constexpr bool kE81bLast = kE81bIsLast;
  static constexpr int kWarps = kHalvesRows / kTileRows;
  static constexpr int kConsumers = kWarps * 32;
  static constexpr int kSumBlocks = kTokens / 8;
  static constexpr int kSlotBytes = SlotBytes(kTokens);
  static constexpr int kRing = RingSlots(kTokens, kE81bLast);
  static constexpr uint32_t kRingAddress = RingAddress(kE81bLast);
  // Registers move from the copying warpgroup to the others; a block starts with 65,536 / kHalvesThreads, in eights.
  static constexpr int kConsumerRegs = 240, kCopierRegs = 24;
  // Tokens whose sums the ring's memory holds at once when a cluster adds them. The pitch keeps banks apart.
  static constexpr int kSumPitch = kHalvesRows + 4;
  static constexpr int kPassTokens = kTokens == 256 ? 128 : kTokens;
  static_assert(kPassTokens * kSumPitch * 4 <= kRing * kSlotBytes);
  static constexpr bool IsE81b(int stage) { return kE81bLast && stage == kStages - 1; }
};

// Where the block is in the ring.
template <int kRing>
struct Slot {
  int index = 0;
  uint32_t phase = 0;
  __device__ __forceinline__ void Next() {
    if (++index == kRing) index = 0, phase ^= 1;
  }
};

// The ring as a warp of the consumers goes through it.
template <typename T>
class Ring {
 public:
  // Addresses of the slots, and of their barriers.
  __device__ __forceinline__ Ring(uint32_t slots, uint32_t full, uint32_t empty)
      : halves_(ptx::WgmmaDescriptorLow(slots)), full_(full), empty_(empty) {}

  // Of the next k tile, once its activations have come.
  __device__ __forceinline__ uint32_t Descriptor() const {
    ptx::BarrierWait(full_ + 8 * slot_.index, slot_.phase);
    return halves_ + static_cast<uint32_t>(slot_.index) * ptx::WgmmaOffset(T::kSlotBytes);
  }
  // The products of the tile before it are done.
  __device__ __forceinline__ void ReleasePrevious() {
    if ((threadIdx.x & 31) == 0 && previous_ != 0) ptx::BarrierArrive(previous_);
    previous_ = empty_ + 8 * slot_.index;
  }
  __device__ __forceinline__ void Next() { slot_.Next(); }

 private:
  uint32_t halves_, full_, empty_, previous_ = 0;
  Slot<T::kRing> slot_;
};

// The codes of a unit, all stages.
template <typename T>
struct Codes {
  uint4 of[T::kStages];  // E81B: x and y
};

// One lane's place in every stage.
template <typename T>
struct WeightStream {
  const uint8_t* at[T::kStages];
  // Of `left` units. What comes two units behind goes to the L2 meanwhile, where a unit is shorter than memory takes.
  __device__ __forceinline__ void Load(Codes<T>& to, int left) {
    constexpr int kBehind = T::kTokens < 256 && T::kStages == 2 ? 2 : 0;
#pragma unroll
    for (int s = 0; s < T::kStages; ++s) {
      const int bytes = T::IsE81b(s) ? kUnitBytesE81b : kUnitBytesE8p;
      if (T::IsE81b(s)) {
        const uint2 codes = ptx::LoadStream64(at[s]);
        to.of[s] = make_uint4(codes.x, codes.y, 0, 0);
      } else {
        to.of[s] = ptx::LoadStream128(at[s]);
      }
      if (kBehind > 0 && left > kBehind) ptx::PrefetchL2(at[s] + kBehind * bytes);
      at[s] += bytes;
    }
  }
};

// Nibbles of a word as u - offset, exactly: halves[i] has nibbles i (low) and i + 4.
template <bool kE81b>
__device__ __forceinline__ void NibblesToHalves(uint32_t nibbles, uint32_t (&halves)[4]) {
  constexpr uint32_t k512 = 0x60006000u, k32 = 0x50005000u;         // fp16, twice
  constexpr uint32_t kFrom512 = kE81b ? 0x60086008u : 0x600F600Fu;  // 516 or 519.5
  constexpr uint32_t kFrom32 = kE81b ? 0x50805080u : 0x50F050F0u;   // 36 or 39.5
  // Bits 1..4 of a mantissa are units of 512, bits 5..8 of 32.
  const uint32_t first = nibbles * 2, second = nibbles >> 7;
  halves[0] = ptx::SubHalves(ptx::AndOr(first, 0x001E001Eu, k512), kFrom512);
  halves[1] = ptx::SubHalves(ptx::AndOr(first, 0x01E001E0u, k32), kFrom32);
  halves[2] = ptx::SubHalves(ptx::AndOr(second, 0x001E001Eu, k512), kFrom512);
  halves[3] = ptx::SubHalves(ptx::AndOr(second, 0x01E001E0u, k32), kFrom32);
}

// Adds stage kStage of slot kSlot to what the stages behind it have left.
template <typename T, int kStage, int kSlot, int kTile>
__device__ __forceinline__ void AddStage(const Decoder& decoder, const Codes<T>& codes, const uint32_t* ratio,
                                         uint32_t (&a)[4][4]) {
  const uint4& w = codes.of[kStage];
  uint32_t nibbles;
  if constexpr (T::IsE81b(kStage)) {
    nibbles = decoder.E81b<kSlot>(kTile == 0 ? w.x : w.y);
  } else {
    const Decoder::Pair pair = decoder.E8p<kSlot>(kTile == 0 ? w.x : w.z, kTile == 0 ? w.y : w.w);
    nibbles = pair.row ^ pair.sign;
  }
  uint32_t halves[4];
  NibblesToHalves<T::IsE81b(kStage)>(nibbles, halves);
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    a[step][kSlot] =
        kStage == T::kStages - 1 ? halves[step] : ptx::FmaHalves(ratio[kStage + 1], a[step][kSlot], halves[step]);
  }
}

// Slot kSlot of k tile kTile of a unit, to register kSlot of the A fragments of the tile's four k steps.
template <typename T, int kSlot, int kTile>
__device__ __forceinline__ void DecodeSlot(const Decoder& decoder, const Codes<T>& codes, const uint32_t* ratio,
                                           uint32_t (&a)[4][4]) {
  if constexpr (T::kStages > 3) AddStage<T, 3, kSlot, kTile>(decoder, codes, ratio, a);
  if constexpr (T::kStages > 2) AddStage<T, 2, kSlot, kTile>(decoder, codes, ratio, a);
  if constexpr (T::kStages > 1) AddStage<T, 1, kSlot, kTile>(decoder, codes, ratio, a);
  AddStage<T, 0, kSlot, kTile>(decoder, codes, ratio, a);
#pragma unroll
  for (int step = 0; step < 4; ++step) ptx::ComputeNow(a[step][kSlot]);
}

template <typename T, int kTile>
__device__ __forceinline__ void DecodeTile(const Decoder& decoder, const Codes<T>& codes, const uint32_t* ratio,
                                           uint32_t (&a)[4][4]) {
  DecodeSlot<T, 0, kTile>(decoder, codes, ratio, a);
  DecodeSlot<T, 1, kTile>(decoder, codes, ratio, a);
  DecodeSlot<T, 2, kTile>(decoder, codes, ratio, a);
  DecodeSlot<T, 3, kTile>(decoder, codes, ratio, a);
}

template <typename T>
__device__ __forceinline__ void MultiplyStep(float (&sums)[T::kSumBlocks][4], const uint32_t (&a)[4][4],
                                             uint32_t halves, int step) {
  ptx::WgmmaF16(sums, a[step], ptx::WgmmaDescriptor(halves + ptx::WgmmaOffset(static_cast<uint32_t>(32 * step))));
  ptx::WgmmaCommit();
}

// The k steps of a tile whose fragments are complete, `a`; between them the next tile, kTile of `codes`, is decoded to
// `next`. A warp whose products wait for the tensor cores could not go on to the decoding behind them. `load` asks for
// weights: right behind the wait for activations, since the next such wait is one for all loads on their way, too.
template <typename T, int kTile, typename Load>
__device__ __forceinline__ void MultiplyAndDecode(float (&sums)[T::kSumBlocks][4], Ring<T>& ring,
                                                  const uint32_t (&a)[4][4], const Decoder& decoder,
                                                  const Codes<T>& codes, const uint32_t* ratio, uint32_t (&next)[4][4],
                                                  const Load& load) {
  const uint32_t halves = ring.Descriptor();
  ptx::WgmmaFence();
  MultiplyStep<T>(sums, a, halves, 0);
  load();
  ptx::WgmmaWait<1>();  // the tile before: its fragments and its slot are free again
  ring.ReleasePrevious();
  DecodeSlot<T, 0, kTile>(decoder, codes, ratio, next);
  ptx::WgmmaFence();
  MultiplyStep<T>(sums, a, halves, 1);
  DecodeSlot<T, 1, kTile>(decoder, codes, ratio, next);
  ptx::WgmmaFence();
  MultiplyStep<T>(sums, a, halves, 2);
  DecodeSlot<T, 2, kTile>(decoder, codes, ratio, next);
  ptx::WgmmaFence();
  MultiplyStep<T>(sums, a, halves, 3);
  DecodeSlot<T, 3, kTile>(decoder, codes, ratio, next);
  ring.Next();
}

// All units of the block, one at least; `now`: the codes of the first.
template <typename T>
__device__ __forceinline__ void MultiplyUnits(float (&sums)[T::kSumBlocks][4], Ring<T>& ring, const Decoder& decoder,
                                              WeightStream<T>& stream, Codes<T>& now, const uint32_t* ratio,
                                              int units) {
  uint32_t a[2][4][4];
  Codes<T> next{};
  DecodeTile<T, 0>(decoder, now, ratio, a[0]);
  for (int left = units; left > 0; --left) {
    MultiplyAndDecode<T, 1>(sums, ring, a[0], decoder, now, ratio, a[1], [&] {
      if (left > 1) stream.Load(next, left - 1);
    });
    // Behind the last unit what is decoded is not used.
    MultiplyAndDecode<T, 0>(sums, ring, a[1], decoder, next, ratio, a[0], [] {});
    now = next;
  }
  ptx::WgmmaWait<0>();
}

#endif

template <int kTokens, int kStages, bool kE81bLast>
__global__ void __launch_bounds__(kHalvesThreads, 1) HalvesKernel(const __grid_constant__ HalvesParams p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Tile<kTokens, kStages, kE81bLast>;
  uint8_t* shared = ptx::DynamicShared();
  const uint32_t base = ptx::SharedAddress(shared);
  Front& front = *reinterpret_cast<Front*>(shared);
  const uint32_t window = base & 0xFF000000u;  // the upper bits are the block's rank in its cluster
  const uint32_t ring = window + T::kRingAddress;
  const SharedPlan plan{window + kTableAddress - base, window + kE81bAddress - base, 0};

  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int split = static_cast<int>(blockIdx.x) % p.splits, block = static_cast<int>(blockIdx.x) / p.splits;
  const int token0 = static_cast<int>(blockIdx.y) * T::kTokens, tokens = min(T::kTokens, p.tokens - token0);
  int index = 0;
  while (index + 1 < p.count && block >= p.weights[index + 1].first_block) ++index;
  const HalvesWeight& weight = p.weights[index];
  const int unit_begin = split * p.units / p.splits, unit_end = (split + 1) * p.units / p.splits;
  const auto full = [&](int slot) { return ptx::SharedAddress(&front.full[slot]); };
  const auto empty = [&](int slot) { return ptx::SharedAddress(&front.empty[slot]); };

  ptx::LetSuccessorStart();
  if (threadIdx.x == T::kConsumers) {
    for (int i = 0; i < T::kRing; ++i) {
      ptx::BarrierInit(full(i), 1);
      ptx::BarrierInit(empty(i), T::kWarps);
    }
    ptx::BarrierInitFence();
  }
  __syncthreads();  // before the roles part: all threads have to meet at one place of the code

  Slot<T::kRing> slot;
  if (warp >= T::kWarps) {
    ptx::GiveRegisters<T::kCopierRegs>();
    if (warp > T::kWarps) return;
    // --- The copying warp ---
    ptx::WaitForPredecessor();
    const uint32_t bytes = static_cast<uint32_t>(tokens) * kTileCols * 2;
    const int first = 2 * unit_begin, last = 2 * unit_end;
    for (int tile = first; tile < last; ++tile, slot.Next()) {
      if (tile - first >= T::kRing) ptx::BarrierWait(empty(slot.index), slot.phase ^ 1);
      if (lane == 0) {
        ptx::BarrierArriveExpect(full(slot.index), bytes);
        ptx::BulkCopy(ring + slot.index * T::kSlotBytes,
                      p.halves + (static_cast<int64_t>(tile) * p.tokens + token0) * kTileCols * 2, bytes,
                      full(slot.index));
      }
      __syncwarp();
    }
    if (p.splits > 1) {
      for (int pass = 0; pass < T::kTokens / T::kPassTokens; ++pass) {
        ptx::ClusterSync();
        ptx::ClusterSync();
      }
    }
    return;
  }

  // --- Consumers ---
  const int tile = (block - weight.first_block) * T::kWarps + warp;
  // A warp behind the last row reads the first rows, and drops what comes of it.
  const int64_t first_unit =
      static_cast<int64_t>(tile * kTileRows < weight.padded_out ? tile : 0) * p.units + unit_begin;
  WeightStream<T> stream;
  uint32_t ratio[T::kStages];
#pragma unroll
  for (int s = 0; s < T::kStages; ++s) {
    stream.at[s] = static_cast<const uint8_t*>(weight.stage[s]) +
                   (T::IsE81b(s) ? first_unit * kUnitBytesE81b + lane * 8 : first_unit * kUnitBytesE8p + lane * 16);
    ratio[s] = weight.ratio[s];
  }
  Codes<T> now;
  stream.Load(now, unit_end - unit_begin);
  FillTables<T::kConsumers>(shared, plan, true, T::kE81bLast);
  ptx::SyncThreads<1>(T::kConsumers);
  ptx::TakeRegisters<T::kConsumerRegs>();
  ptx::WaitForPredecessor();  // y_rht may still be read by the call before

  Decoder decoder(shared, plan);
  decoder.Keep();
  float sums[T::kSumBlocks][4];
#pragma unroll
  for (int j = 0; j < T::kSumBlocks; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[j][i] = 0.0f;
  }
  Ring<T> slots(ring, full(0), empty(0));
  MultiplyUnits<T>(sums, slots, decoder, stream, now, ratio, unit_end - unit_begin);
#pragma unroll
  for (int j = 0; j < T::kSumBlocks; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      ptx::ComputeNow(sums[j][i]);
      sums[j][i] = __fmul_rn(sums[j][i], weight.factor);
    }
  }

  if (p.splits == 1) {
    if (tile * kTileRows >= weight.padded_out) return;
    float* to = weight.rows + static_cast<int64_t>(token0) * weight.padded_out + tile * kTileRows + (lane >> 2) * 2;
#pragma unroll
    for (int j = 0; j < T::kSumBlocks; ++j) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int token = 8 * j + 2 * (lane & 3) + c;
        if (token < tokens) {
          *reinterpret_cast<float2*>(to + static_cast<int64_t>(token) * weight.padded_out) =
              make_float2(sums[j][c], sums[j][2 + c]);
        }
      }
    }
    return;
  }
  // Every block of the cluster has its part of the sums of all rows: shown to the others, added, each for some tokens.
  auto* shown = reinterpret_cast<float*>(shared + (ring - base));
#pragma unroll
  for (int pass = 0; pass < T::kTokens / T::kPassTokens; ++pass) {
    // The ring is free: all products of this block are done.
    ptx::SyncThreads<1>(T::kConsumers);
#pragma unroll
    for (int j = 0; j < T::kPassTokens / 8; ++j) {
      const int from = pass * (T::kPassTokens / 8) + j;
      float* to = shown + (8 * j + (lane & 3) * 2) * T::kSumPitch + warp * kTileRows + (lane >> 2) * 2;
      *reinterpret_cast<float2*>(to) = make_float2(sums[from][0], sums[from][2]);
      *reinterpret_cast<float2*>(to + T::kSumPitch) = make_float2(sums[from][1], sums[from][3]);
    }
    ptx::ClusterSync();
    constexpr int kPairs = kHalvesRows / 2;  // of rows
    const int first_row = (block - weight.first_block) * kHalvesRows;
    for (int i = static_cast<int>(threadIdx.x) + split * T::kConsumers; i < T::kPassTokens * kPairs;
         i += p.splits * T::kConsumers) {
      const int in_pass = i / kPairs, row = i % kPairs * 2, token = pass * T::kPassTokens + in_pass;
      if (token >= tokens || first_row + row >= weight.padded_out) continue;
      float2 sum = make_float2(0.0f, 0.0f);
      for (int s = 0; s < p.splits; ++s) {
        const float2 part = *reinterpret_cast<const float2*>(ptx::InBlock(shown, s) + in_pass * T::kSumPitch + row);
        sum.x = __fadd_rn(sum.x, part.x);
        sum.y = __fadd_rn(sum.y, part.y);
      }
      *reinterpret_cast<float2*>(weight.rows + static_cast<int64_t>(token0 + token) * weight.padded_out + first_row +
                                 row) = sum;
    }
    ptx::ClusterSync();
  }
#else
  __trap();  // the plan has this path only where it was compiled
#endif
}

using Kernel = void (*)(HalvesParams);

template <int kTokens>
Kernel PickKernel(int stages, bool e81b_last) {
  if (e81b_last) {
    return stages == 2   ? HalvesKernel<kTokens, 2, true>
           : stages == 3 ? HalvesKernel<kTokens, 3, true>
                         : HalvesKernel<kTokens, 4, true>;
  }
  return stages == 2   ? HalvesKernel<kTokens, 2, false>
         : stages == 3 ? HalvesKernel<kTokens, 3, false>
                       : HalvesKernel<kTokens, 4, false>;
}
Kernel PickKernel(int tokens, int stages, bool e81b_last) {
  return tokens == 64    ? PickKernel<64>(stages, e81b_last)
         : tokens == 128 ? PickKernel<128>(stages, e81b_last)
                         : PickKernel<256>(stages, e81b_last);
}

uint32_t SharedBytes(int tokens, bool e81b_last) {
  // As if dynamic shared memory started at 0 of the window: where it starts is not documented.
  return RingAddress(e81b_last) + static_cast<uint32_t>(RingSlots(tokens, e81b_last) * SlotBytes(tokens));
}

}  // namespace

void LoadHalvesKernels(int max_shared_bytes) {
  for (const int tokens : kHalvesTokens) {
    for (int stages = 2; stages <= kMaxStages; ++stages) {
      for (const bool e81b_last : {false, true}) {
        Kernel kernel = PickKernel(tokens, stages, e81b_last);
        LoadKernels(kernel);
        PreferSharedMemory(kernel);
        AllowSharedMemory(kernel, max_shared_bytes);
      }
    }
  }
}

void LaunchHalves(const HalvesParams& p, const HalvesPlan& plan, int stages, bool e81b_last, bool dependent,
                  cudaStream_t stream) {
  LaunchConfig config{
      dim3(static_cast<unsigned>(plan.row_blocks * plan.splits), static_cast<unsigned>(plan.token_tiles)),
      dim3(static_cast<unsigned>(kHalvesThreads)), SharedBytes(plan.tokens, e81b_last), plan.splits, dependent};
  Launch("e8p_gemm_halves", PickKernel(plan.tokens, stages, e81b_last), config, stream, p);
}

}  // namespace glq::kernels
