// The E8P product for up to 8 tokens: Z[stage][token][digit][row] = sum_k U[row][k] * digit[token][k].
//
// Bound by the weight bytes; see layout.h for how they lie. One block of 16 warps per multiprocessor:
//
//            k ->   warp 0      warp 1     ...   warp warps_k-1        (next split: another block)
//   row tiles  r   [NL units][NL units]   ...  [NL units]
//   of this    r+1     ...
//   block      :
//
// A warp owns NL units (128 columns each) of k for the whole launch, so that its share of the activation
// digits stays in registers; it walks down the block's row tiles with `kAhead` tiles of loads in flight.
// Warps that do not fit along k share the row tiles instead. The 16-row sums of the warps meet in shared memory
// by integer atomics (exact in any order), and leave for global memory once per chunk of tiles: stored
// where the block has all of k, added atomically where k is split over blocks.
//
// Per code (8 weights) and lane: 2 PRMT, 2 LDS, 2 LOP3 and half an MMA, so that the integer pipe is about half
// busy when weights arrive at the speed of memory.
#include <type_traits>

#include "common/launch.h"
#include "common/ptx.cuh"
#include "e8p/decoder.cuh"
#include "e8p/launch.h"
#include "e8p/params.h"

namespace glq::kernels {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;


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

// Finds the segment of a row tile. Tiles come in ascending order, so the search continues where it was.
class SegmentCursor {
 public:
  __device__ __forceinline__ SegmentCursor(const Segment* segments, int count) : segments_(segments), last_(count - 1) {}
  __device__ __forceinline__ const Segment& At(int tile) {
    while (at_ < last_ && tile >= segments_[at_ + 1].first_tile) ++at_;
    return segments_[at_];
  }

 private:
  const Segment* segments_;
  int at_ = 0, last_;
};

// Zeroes or empties the sums of one chunk. Sums lie as [column][chunk_tiles * 16 rows].
template <int kBlocks>
__device__ __forceinline__ void FlushSums(const ProductParams& p, int32_t* sums, const Segment* segments, int count,
                                          int first, int tiles) {
  SegmentCursor cursor(segments, count);
  const int rows = tiles * kTileRows, pitch = p.chunk_tiles * kTileRows;
  for (int row = static_cast<int>(threadIdx.x); row < rows; row += kThreads) {
    const int tile = first + row / kTileRows;
    const Segment& s = cursor.At(tile);
    int32_t* z = s.z + (tile - s.first_tile) * kTileRows + row % kTileRows;
#pragma unroll
    for (int c = 0; c < 8 * kBlocks; ++c) {
      if (c >= 2 * p.tokens) break;
      const int v = sums[c * pitch + row];
      sums[c * pitch + row] = 0;
      int32_t* to = z + static_cast<int64_t>(c) * s.padded_out;
      if (p.splits == 1) {
        *to = v;
      } else {
        atomicAdd(to, v);
      }
    }
  }
}

template <int kUnits, int kBlocks, bool kE81b>
struct Stream {
  using Load = std::conditional_t<kE81b, uint2, uint4>;
  static constexpr int kAhead = GemvLoadsAhead(kUnits, kBlocks);

  const ProductParams& p;
  const Segment* segments;
  int count, begin, end;  // row tiles of this block
  int first_unit, warp_row, warp_rows;
  // The next row tile to load, where it lies, and where its segment ends.
  int next, segment = 0, segment_end = 0;
  const Load* source = nullptr;
  Load buffer[kAhead][kUnits];

  __device__ __forceinline__ Stream(const ProductParams& params, const Segment* s, int n, const TileShare& share, int unit,
                                    int row, int rows)
      : p(params), segments(s), count(n), first_unit(unit), warp_row(row), warp_rows(rows) {
    const int block = static_cast<int>(blockIdx.x);
    begin = block * share.each + min(block, share.more);
    end = begin + share.each + (block < share.more ? 1 : 0);
    next = begin + warp_row;
  }

  // This lane's first load of the next row tile, or null behind the last one; steps on.
  __device__ __forceinline__ const Load* Next() {
    if (next >= end) return nullptr;
    if (next >= segment_end) {
      while (segment + 1 < count && next >= segments[segment + 1].first_tile) ++segment;
      segment_end = segment + 1 < count ? segments[segment + 1].first_tile : end;
      source = reinterpret_cast<const Load*>(segments[segment].weights) +
               (static_cast<int64_t>(next - segments[segment].first_tile) * p.units + first_unit) * 32 + (threadIdx.x & 31);
    }
    const Load* now = source;
    source += static_cast<int64_t>(warp_rows) * p.units * 32;
    next += warp_rows;
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

  // A chunk is a multiple of kAhead * warp_rows tiles, so that buffer[a] stands for the same step of every
  // round and no register has to move.
  __device__ __forceinline__ void Run(const Decoder& decoder, const uint4 (&digits)[kUnits][2][kBlocks], int32_t* sums) {
    const int pitch = p.chunk_tiles * kTileRows;
    for (int chunk = begin; chunk < end; chunk += p.chunk_tiles) {
      const int chunk_end = min(end, chunk + p.chunk_tiles);
      for (int round = chunk + warp_row; round < chunk_end; round += kAhead * warp_rows) {
#pragma unroll
        for (int a = 0; a < kAhead; ++a) {
          const int tile = round + a * warp_rows;
          if (tile >= chunk_end) break;
          const Load* from = Next();
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
          AddTile((tile - chunk) * kTileRows, low, high, sums, pitch);
        }
      }
      __syncthreads();
      FlushSums<kBlocks>(p, sums, segments, count, chunk, chunk_end - chunk);
      if (chunk_end < end) __syncthreads();
    }
  }
};

template <int kUnits, int kBlocks>
__global__ void __launch_bounds__(kThreads, 1) GemvKernel(const __grid_constant__ ProductParams p) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int log2_k = 31 - __clz(p.warps_k);  // warps_k is a power of two
  const int warp_k = warp & (p.warps_k - 1), warp_row = warp >> log2_k, warp_rows = kWarps >> log2_k;
  const int first_unit = (static_cast<int>(blockIdx.y) * p.warps_k + warp_k) * kUnits;
  const uint32_t sum_bytes = static_cast<uint32_t>(p.chunk_tiles) * kTileRows * 2 * p.tokens * 4;
  const SharedPlan plan =
      PlanShared(ptx::SharedAddress(shared), sum_bytes, p.tiles_e8p > 0, p.tiles_e81b > 0, kAlignedTables);
  auto* sums = reinterpret_cast<int32_t*>(shared);

  // None of this depends on the activations: weights on their way, tables filled, sums cleared.
  ptx::LetSuccessorStart();
  TableWords<kThreads> words(p.tables, p.tiles_e8p > 0, p.tiles_e81b > 0);
  Stream<kUnits, kBlocks, false> e8p(p, p.segments, p.segments_e8p, p.share_e8p, first_unit, warp_row, warp_rows);
  e8p.Start();
  words.Store(shared, plan, p.tiles_e8p > 0, p.tiles_e81b > 0);
  for (uint32_t i = threadIdx.x; i < sum_bytes / 4; i += kThreads) sums[i] = 0;
  ptx::WaitForPredecessor();

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
              p.digits + ((static_cast<int64_t>(k_tile) * p.tokens + token) * 2 + (column & 1)) * 64 + (lane & 3) * 16);
        }
      }
    }
  }
  __syncthreads();
  const Decoder decoder(shared, plan);
  e8p.Run(decoder, digits, sums);
  if (p.tiles_e81b > 0) {
    __syncthreads();
    Stream<kUnits, kBlocks, true> e81b(p, p.segments + p.segments_e8p, p.segments_e81b, p.share_e81b, first_unit, warp_row,
                                       warp_rows);
    e81b.Start();
    e81b.Run(decoder, digits, sums);
  }
}

using Kernel = void (*)(ProductParams);

template <int kBlocks>
Kernel PickKernel(int units) {
  switch (units) {
    case 1: return GemvKernel<1, kBlocks>;
    case 2: return GemvKernel<2, kBlocks>;
    case 3: return GemvKernel<3, kBlocks>;
    case 4: return GemvKernel<4, kBlocks>;
    default: break;
  }
  if constexpr (kBlocks == 1) {
    switch (units) {
      case 5: return GemvKernel<5, 1>;
      case 6: return GemvKernel<6, 1>;
      case 7: return GemvKernel<7, 1>;
      default: break;
    }
  }
  return nullptr;
}

Kernel PickKernel(int units, int blocks) { return blocks == 1 ? PickKernel<1>(units) : PickKernel<2>(units); }

}  // namespace

void LoadGemvKernels(int max_shared_bytes) {
  for (int blocks = 1; blocks <= 2; ++blocks) {
    for (int units = 1; units <= GemvMaxUnits(blocks); ++units) {
      Kernel kernel = PickKernel(units, blocks);
      LoadKernels(kernel);
      PreferSharedMemory(kernel);
      AllowSharedMemory(kernel, max_shared_bytes);
    }
  }
}

void LaunchGemv(const ProductParams& p, const GemvPlan& plan, bool dependent, cudaStream_t stream) {
  Kernel kernel = PickKernel(plan.units_per_warp, plan.token_blocks);
  LaunchConfig config{dim3(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(plan.splits)), dim3(kThreads), plan.shared_bytes, 1, dependent};
  Launch("e8p_gemv", kernel, config, stream, p);
}

}  // namespace glq::kernels
