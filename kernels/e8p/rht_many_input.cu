// The input side for very many rows: x -> u = x * SV -> v = B u -> integers (numerics: steps 1 to 4), or fp16.
//
//   before the wait   SV on its way into shared memory
//   behind it         x into shared memory; x * SV, passes 1 and 2
//   | barrier |       pass 3; its elements back to shared memory, every warp's largest |v|
//   | barrier |       integers of a thread's 32 columns
//
// See rht_many.cuh for the transform. A row of two parts is a cluster of two blocks, which share its maximum.
#include "common/bulk_copy.cuh"
#include "common/cluster.cuh"
#include "common/launch.h"
#include "common/ptx.cuh"
#include "common/scalar.cuh"
#include "e8p/digits.cuh"
#include "e8p/launch.h"
#include "e8p/load_row.cuh"
#include "e8p/rht_many.cuh"

namespace glq::kernels {

using namespace many;

namespace {

// Elements first .. first + 31 of a row of any kind, times SV.
__device__ __forceinline__ void LoadSlowly(const InputRow& row, int dim, int first, float (&r)[kRegs]) {
#pragma unroll
  for (int i = 0; i < kRegs / kChunkRegs; ++i) {
    const int piece = first / kChunkRegs + i;
    float values[kChunkRegs];
    LoadRow(row, LoadSv(row.sv, dim, 0, piece), 0, piece, values);
#pragma unroll
    for (int j = 0; j < kChunkRegs; ++j) r[kChunkRegs * i + j] = values[j];
  }
}

// A thread's 32 elements of 16 bits, and SV, if any, from shared memory.
template <bool kBf16>
__device__ __forceinline__ void LoadStaged(const void* x, const void* sv, int lane, float (&r)[kRegs]) {
#pragma unroll
  for (int i = 0; i < kRegs / 8; ++i) {
    UnpackHalves(StagedEight(x, i, lane), kBf16, r + 8 * i);
    if (sv == nullptr) continue;
    float factors[8];
    UnpackHalves(StagedEight(sv, i, lane), false, factors);
#pragma unroll
    for (int j = 0; j < 8; ++j) r[8 * i + j] = __fmul_rn(r[8 * i + j], factors[j]);
  }
}

// What a thread makes of 32 columns for warpgroup MMAs: groups b, b + 2, b + 4 and b + 6 (8 columns each) of a k tile,
// b = t % 2, since they are neighbours in memory: every store is a piece of 16 bytes, and the two of a pair of threads
// are 32 adjacent ones. Of its groups a thread with b = 1 reads the upper four columns first, which keeps banks apart:
// the order of the results is put right where they are packed.
class Strand {
 public:
  __device__ __forceinline__ Strand(const float* shared, const Place& at)
      : odd_(at.t & 1),
        k_tile_((at.base >> 6) + (at.t >> 1)),
        from_(shared + 64 * (at.t >> 1)),
        first_((3 * odd_) ^ (at.t & 6)) {}

  __device__ __forceinline__ int FirstColumn() const { return 64 * k_tile_; }

  // DigitLayout::kUnits. Adds the digits to the sums.
  __device__ __forceinline__ void StoreDigits(const RhtInputParams& p, int token, const RowScale& scale, int& sum_hi,
                                              int& sum_lo) const {
    uint32_t words[2][2][4] = {};  // [digit][odd columns][q]
    if (scale.kind == 0) {
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        float v[8];
        Load(q, v);
        const DigitWords w = PackDigits(v, scale.factor, odd_ == 0 ? 0x5410u : 0x1054u);
        sum_hi += SumOfBytes(w.hi);
        sum_lo += SumOfBytes(w.lo);
#pragma unroll
        for (int i = 0; i < 2; ++i) words[0][i][q] = w.hi[i], words[1][i][q] = w.lo[i];
      }
    }
#pragma unroll
    for (int digit = 0; digit < 2; ++digit) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int64_t to = DigitPiece(DigitLayout::kUnits, p.tokens, p.dim, token, digit, k_tile_, 2 * i + odd_);
        const uint32_t(&w)[4] = words[digit][i];
        *reinterpret_cast<uint4*>(p.digits + to) = make_uint4(w[0], w[1], w[2], w[3]);
      }
    }
  }

  // DigitLayout::kHalfTiles.
  __device__ __forceinline__ void StoreHalves(const RhtInputParams& p, int token, const RowScale& scale) const {
    uint32_t words[4][4] = {};  // [c][q]
    if (scale.kind == 0) {
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        float v[8];
        Load(q, v);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const uint32_t pair = ScaledPair(v[c], v[c + 4], scale.factor);
          words[c][q] = __byte_perm(pair, 0, odd_ == 0 ? 0x3210u : 0x1032u);
        }
      }
    }
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      *reinterpret_cast<uint4*>(p.digits + HalfTilesByte(p.tokens, token, k_tile_, odd_, c)) =
          make_uint4(words[c][0], words[c][1], words[c][2], words[c][3]);
    }
  }

 private:
  // Columns of group b + 2q as they come: Slot() of 64 * (t / 2) + 8b + 16q + (4 with b = 1), and of its other half.
  __device__ __forceinline__ void Load(int q, float (&v)[8]) const {
    const int piece = first_ ^ (4 * (q & 1)) ^ (q >> 1);
    LoadFour(v, from_ + 32 * (q >> 1) + 4 * piece);
    LoadFour(v + 4, from_ + 32 * (q >> 1) + 4 * (piece ^ 1));
  }

  int odd_, k_tile_;
  const float* from_;
  int first_;  // of the 8 pieces of 32 columns
};

template <int kLog2, int kParts>
__global__ void __launch_bounds__(kThreads<kLog2>, kThreadsPerMultiprocessor / kThreads<kLog2>)
    RhtManyInputKernel(const __grid_constant__ RhtInputParams p) {
  constexpr int kWarps = kThreads<kLog2> / 32;
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  __shared__ uint32_t maxima[kParts * kWarps];  // [block][warp]
  __shared__ uint64_t maxima_barrier;
  __shared__ int2 sums[kWarps];  // of the digits

  ptx::LetSuccessorStart();
  const int token = static_cast<int>(blockIdx.x) / kParts, part = static_cast<int>(blockIdx.x) % kParts;
  const Place at{part << kLog2, p.dim, static_cast<int>(threadIdx.x)};
  const int t = at.t, lane = at.lane(), warp = at.warp(), segment = kSegment * warp;
  const uint8_t* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * (p.x_type == Scalar::kF32 ? 4 : 2);
  const bool in_pieces =
      p.x_type != Scalar::kF32 && ((reinterpret_cast<uintptr_t>(row) & 15) | (p.in_features % 8)) == 0;
  uint8_t* sv = p.sv == nullptr ? nullptr : Vector(shared, kLog2) + 2 * segment;
  PrepareScales<kLog2>(shared, at);
  // Zeros from in_features on, not what SV has there: it may be anything, and the padding of u is 0.
  const int left = p.in_features - at.base - segment;
  if (sv != nullptr && in_pieces) StageHalves<true>(sv, p.sv + at.base + segment, left, lane);
  const uint32_t barrier = ptx::SharedAddress(&maxima_barrier);
  PrepareMaxima<kParts, kWarps>(barrier, t);
  ptx::WaitForPredecessor();

  float r[kRegs];
  if (in_pieces) {
    StageHalves<true>(shared + segment, reinterpret_cast<const uint16_t*>(row) + at.base + segment, left, lane);
    ptx::CopyAsyncCommit();
    ptx::CopyAsyncWait<0>();
    __syncwarp();
    if (p.x_type == Scalar::kBF16) {
      LoadStaged<true>(shared + segment, sv, lane, r);
    } else {
      LoadStaged<false>(shared + segment, sv, lane, r);
    }
    __syncwarp();
  } else {
    LoadSlowly({row, p.x_type, p.in_features, p.sv}, p.dim, at.base + kRegs * t, r);
  }
  FirstPasses<kLog2>(r, shared, at);
  __syncthreads();
  LoadAdjacent<kLog2>(r, shared, t);
  LastPass<kLog2>(r, shared, at);
  if (p.v != nullptr) {
    StoreGroups<kAdjacent<kLog2>, kSegment>(p, token, at.base + kAdjacent<kLog2> * t, r);
    return;
  }

  StoreAdjacent<kLog2>(r, shared, t);
  const RowScale scale = ScaleOfParts<kParts, kWarps>(LargestBits(r), maxima, barrier, part, warp, lane);
  TokenHeader* header = p.headers + token;
  if (part == 0 && t == kThreads<kLog2> - 1) header->t = scale.t(), header->kind = scale.kind;

  int sum_hi = 0, sum_lo = 0;
  if (p.layout == DigitLayout::kUnits || p.layout == DigitLayout::kHalfTiles) {
    const Strand strand(shared, at);
    if (strand.FirstColumn() < StoredColumns(p.layout, p.dim)) {
      if (p.layout == DigitLayout::kHalfTiles) {
        strand.StoreHalves(p, token, scale);
      } else {
        strand.StoreDigits(p, token, scale, sum_hi, sum_lo);
      }
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < kRegs / 8; ++i) {
      const int local = 8 * (t + i * kThreads<kLog2>), column = at.base + local, slot = Slot(local);
      float values[kChunkRegs];
      LoadFour(values, shared + slot);
      LoadFour(values + 4, shared + (slot ^ 4));
      const bool inside = column < StoredColumns(p.layout, p.dim);
      if (IsHalves(p.layout)) {
        if (inside) StoreHalves(p.digits, p.layout, p.tokens, p.dim, token, column, values, scale);
        continue;
      }
      DigitWords words{};
      if (scale.kind == 0) words = PackDigits(values, scale.factor);
      StoreDigits(p.digits, p.layout, p.tokens, p.dim, token, column, inside, words);
      sum_hi += SumOfBytes(words.hi);
      sum_lo += SumOfBytes(words.lo);
    }
  }
  if (IsHalves(p.layout)) return;
  sum_hi = __reduce_add_sync(0xFFFFFFFFu, sum_hi);
  sum_lo = __reduce_add_sync(0xFFFFFFFFu, sum_lo);
  if (lane == 0) sums[warp] = make_int2(sum_hi, sum_lo);
  __syncthreads();
  if (warp > 0) return;
  const int2 mine = lane < kWarps ? sums[lane] : make_int2(0, 0);
  const int2 all = make_int2(__reduce_add_sync(0xFFFFFFFFu, mine.x), __reduce_add_sync(0xFFFFFFFFu, mine.y));
  if (lane < kMaxClusterChunks && (lane == part || (part == 0 && lane >= kParts)))
    header->digit_sums[lane] = lane == part ? all : make_int2(0, 0);
}

using Kernel = void (*)(RhtInputParams);
Kernel PickKernel(int log2, int parts) {
  return log2 == 12   ? (parts == 1 ? RhtManyInputKernel<12, 1> : RhtManyInputKernel<12, 2>)
         : log2 == 13 ? (parts == 1 ? RhtManyInputKernel<13, 1> : RhtManyInputKernel<13, 2>)
                      : (parts == 1 ? RhtManyInputKernel<14, 1> : RhtManyInputKernel<14, 2>);
}

}  // namespace

void LaunchRhtManyInput(const RhtInputParams& p, int log2, bool dependent, cudaStream_t stream) {
  const int parts = static_cast<int>((p.dim + (int64_t{1} << log2) - 1) >> log2);  // one or two
  const LaunchConfig config{dim3(static_cast<unsigned>(p.tokens * parts)), dim3((1u << log2) / kRegs),
                            static_cast<size_t>(SharedBytes(log2)), parts, dependent};
  Launch("rht_input", PickKernel(log2, parts), config, stream, p);
}

void LoadRhtManyInputKernels() {
  for (int log2 = 12; log2 <= 14; ++log2) {
    for (const int parts : {1, 2}) {
      LoadKernels(PickKernel(log2, parts));
      PreferSharedMemory(PickKernel(log2, parts));
      AllowDynamicShared(static_cast<size_t>(SharedBytes(log2)), PickKernel(log2, parts));
    }
  }
}

}  // namespace glq::kernels
