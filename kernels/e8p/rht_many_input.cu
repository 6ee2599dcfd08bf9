// The input side for very many rows: x -> u = x * SV -> v = B u -> integers (numerics: steps 1 to 4), or fp16.
//
//   before the wait   SV on its way into shared memory
//   behind it         x into shared memory; x * SV, passes 1 and 2
//   | barrier |       pass 3; its elements back to shared memory, every warp's largest |v|
//   | barrier |       integers of a thread's 32 columns
//
// See rht_many.cuh for the transform. grid: rows.
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

// A segment of a row of any kind, times SV, to its slots; zeros from `left` on.
template <bool kWhole>
__device__ __forceinline__ void LoadSlowly(const RhtInputParams& p, const uint8_t* row, const Part<kWhole>& part,
                                           int left) {
#pragma unroll 4
  for (int e = part.lane; e < kSegment; e += 32) {
    const int i = part.first + e;
    float v = 0.0f;
    if (e < left) {
      v = LoadScalar(row, p.x_type, i);
      if (p.sv != nullptr) v = __fmul_rn(v, __half2float(__ushort_as_half(__ldg(p.sv + i))));
    }
    part.segment[Slot(e)] = v;
  }
}

// A thread's 32 elements of 16 bits.
template <bool kBf16>
__device__ __forceinline__ void LoadStaged(const void* x, int lane, float (&r)[kRegs]) {
#pragma unroll
  for (int i = 0; i < kRegs / 8; ++i) UnpackHalves(StagedEight(x, i, lane), kBf16, r + 8 * i);
}

// What a thread makes of 32 columns for warpgroup MMAs: groups b, b + 2, b + 4 and b + 6 (8 columns each) of a k tile,
// b = t % 2, since they are neighbours in memory: every store is a piece of 16 bytes, and the two of a pair of threads
// are 32 adjacent ones. Of its groups a thread with b = 1 reads the upper four columns first, which keeps banks apart:
// the order of the results is put right where they are packed.
class Strand {
 public:
  template <bool kWhole>
  __device__ __forceinline__ explicit Strand(const Part<kWhole>& part)
      : odd_(part.lane & 1),
        k_tile_(16 * part.warp + (part.lane >> 1)),
        from_(part.segment + 64 * (part.lane >> 1)),
        first_((3 * odd_) ^ (part.lane & 6)) {}

  __device__ __forceinline__ int FirstColumn() const { return 64 * k_tile_; }

  // DigitLayout::kUnits. Adds the digits to the sums.
  __device__ __forceinline__ void StoreDigits(const RhtInputParams& p, int token, const RowScale& scale, int& sum_hi,
                                              int& sum_lo) const {
    uint32_t words[2][2][4] = {};  // [digit][odd columns][q]
    if (scale.kind == 0) {
      const uint32_t order = odd_ == 0 ? 0x6420u : 0x2064u;
#pragma unroll
      for (int q = 0; q < 4; ++q) {
        float v[8];
        Load(q, v);
        const DigitWords w = PackDigitPairs(v, scale.factor, order);
        sum_hi += SumOfBytes(w.hi);
        sum_lo += SumOfBytes(w.lo);
#pragma unroll
        for (int i = 0; i < 2; ++i) words[0][i][q] = w.hi[i], words[1][i][q] = w.lo[i];
      }
    }
    // DigitPiece(): the other digit and the odd columns are bits of the piece, which the swizzle does not mix.
    const int64_t row = (static_cast<int64_t>(k_tile_ >> 1) * p.tokens + token) * 256;
    const int piece = (4 * (k_tile_ & 1) + odd_) ^ (2 * token & 7);
    uint8_t* to = p.digits + row;
#pragma unroll
    for (int digit = 0; digit < 2; ++digit) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint32_t(&w)[4] = words[digit][i];
        *reinterpret_cast<uint4*>(to + 128 * digit + 16 * (piece ^ (2 * i + digit))) =
            make_uint4(w[0], w[1], w[2], w[3]);
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

// A row's v, for glq_rht_input.
__device__ __forceinline__ void StoreRow(const RhtInputParams& p, int token, const float* shared, int t) {
  float* row = p.v + token * p.v_stride;
  const bool aligned = (reinterpret_cast<uintptr_t>(row) & 15) == 0;
  for (int i = 4 * t; i < p.dim; i += 4 * static_cast<int>(blockDim.x)) {
    float v[4];
    LoadFour(v, shared + i / kSegment * kSegmentFloats + Slot(i % kSegment));
#pragma unroll
    for (float& value : v) value = ToF32Canonical(value);
    if (aligned) {
      StoreFour(row + i, v);
    } else {
#pragma unroll
      for (int m = 0; m < 4; ++m) row[i + m] = v[m];
    }
  }
}

// Pass 3 of the segments of one Hadamard block by their own warps. Returns the largest |v|.
template <int kLog2>
__device__ __forceinline__ uint32_t FinishBlock(float* block, int t) {
  LastPass<kLog2> pass(block, t);
  pass.Transform();
  pass.Store();
  return LargestBits(pass.r);
}

// The same where every warp has to find out which block its segment is in.
__device__ __forceinline__ uint32_t FinishAny(float* shared, const Part<false>& part) {
  if (!part.whole()) {  // there is nothing left to do
    float largest = 0.0f;
#pragma unroll 1
    for (int e = part.lane; e < part.inside(); e += 32) largest = ptx::MaxNan(largest, fabsf(part.segment[Slot(e)]));
    return __float_as_uint(largest) & 0x7FFFFFFFu;
  }
  const int log2 = BlockLog2(static_cast<uint32_t>(part.first), static_cast<uint32_t>(part.dim));
  const int first_warp = part.warp & -(1 << (log2 - 10)), t = 32 * (part.warp - first_warp) + part.lane;
  float* block = shared + first_warp * kSegmentFloats;
  // One comparison after the other: the table of a switch would have to come from memory.
  if (log2 == 13) return FinishBlock<13>(block, t);
  if (log2 == 12) return FinishBlock<12>(block, t);
  if (log2 == 14) return FinishBlock<14>(block, t);
  if (log2 == 11) return FinishBlock<11>(block, t);
  return FinishBlock<10>(block, t);
}

struct Front {
  uint32_t maxima[kMaxThreads / 32];  // of the warps
  int2 sums[kMaxThreads / 32];        // of the digits
};

// kRow: rows are one Hadamard block of 2^kRow elements; 0: any rows. (How much code there is counts: a launch begins
// behind a product, and its instructions have to come.)
template <int kRow>
__global__ void __launch_bounds__(kMaxThreads) RhtManyInputKernel(const __grid_constant__ RhtInputParams p) {
  auto* shared = reinterpret_cast<float*>(ptx::DynamicShared());
  __shared__ Front front;

  ptx::LetSuccessorStart();
  const int token = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x), warp = t >> 5;
  const Part<(kRow > 0)> part(shared, 0, p.dim, t);
  // Zeros from in_features on, not what SV has there: it may be anything, and the padding of u is 0.
  const int left = p.in_features - part.first;
  if (p.in_pieces && p.sv != nullptr) StageHalves<true>(part.halves(), p.sv + part.first, left, part.lane);
  ptx::WaitForPredecessor();

  float r[kRegs];
  const uint8_t* row = static_cast<const uint8_t*>(p.x) + token * p.x_stride * (p.x_type == Scalar::kF32 ? 4 : 2);
  if (p.in_pieces) {
    StageHalves<true>(part.segment, reinterpret_cast<const uint16_t*>(row) + part.first, left, part.lane);
    ptx::CopyAsyncCommit();
    ptx::CopyAsyncWait<0>();
    __syncwarp();
    if (p.x_type == Scalar::kBF16) {
      LoadStaged<true>(part.segment, part.lane, r);
    } else {
      LoadStaged<false>(part.segment, part.lane, r);
    }
    if (p.sv != nullptr) {
      float factors[kRegs];
      LoadStaged<false>(part.halves(), part.lane, factors);
#pragma unroll
      for (int j = 0; j < kRegs; ++j) r[j] = __fmul_rn(r[j], factors[j]);
    }
  } else {
    LoadSlowly(p, row, part, left);
    __syncwarp();
    LoadOwn(r, part);
  }
  __syncwarp();
  FirstPasses(r, part);
  __syncthreads();
  uint32_t largest;
  if constexpr (kRow > 0) {
    largest = FinishBlock<kRow>(shared, t);
  } else {
    largest = FinishAny(shared, part);
  }
  largest = __reduce_max_sync(0xFFFFFFFFu, largest);
  if (part.lane == 0) front.maxima[warp] = largest;
  __syncthreads();
  if (p.v != nullptr) {
    StoreRow(p, token, shared, t);
    return;
  }
  const int warps = static_cast<int>(blockDim.x) >> 5;
  const RowScale scale = ScaleOfRow(__reduce_max_sync(0xFFFFFFFFu, front.maxima[min(part.lane, warps - 1)]));
  TokenHeader* header = p.headers + token;
  if (t == 0) header->t = scale.t(), header->kind = scale.kind;

  int sum_hi = 0, sum_lo = 0;
  if (p.layout == DigitLayout::kUnits || p.layout == DigitLayout::kHalfTiles) {
    const Strand strand(part);
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
      const int column = part.first + 256 * i + 8 * part.lane, slot = Slot(column % kSegment);
      float values[kChunkRegs];
      LoadFour(values, part.segment + slot);
      LoadFour(values + 4, part.segment + (slot ^ 4));
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
  if (part.lane == 0) front.sums[warp] = make_int2(sum_hi, sum_lo);
  __syncthreads();
  if (warp > 0) return;
  const int2 mine = t < warps ? front.sums[t] : make_int2(0, 0);
  const int2 all = make_int2(__reduce_add_sync(0xFFFFFFFFu, mine.x), __reduce_add_sync(0xFFFFFFFFu, mine.y));
  if (t < kMaxClusterChunks) header->digit_sums[t] = t == 0 ? all : make_int2(0, 0);
}

auto* KernelFor(int64_t dim) {
  return dim == 4096    ? RhtManyInputKernel<12>
         : dim == 8192  ? RhtManyInputKernel<13>
         : dim == 16384 ? RhtManyInputKernel<14>
                        : RhtManyInputKernel<0>;
}

}  // namespace

int RhtManyInputThreads(int64_t dim) { return 32 * static_cast<int>(Warps(dim)); }

bool FitsRhtManyInput(int64_t dim, int max_shared_bytes) {
  return RhtManyInputThreads(dim) <= kMaxThreads &&
         SharedBytes(Warps(dim)) + sizeof(Front) <= static_cast<size_t>(max_shared_bytes);
}

void LaunchRhtManyInput(const RhtInputParams& params, bool dependent, cudaStream_t stream) {
  RhtInputParams p = params;
  const int64_t row_step = p.tokens > 1 ? p.x_stride : 0;
  p.in_pieces =
      p.x_type != Scalar::kF32 && ((reinterpret_cast<uintptr_t>(p.x) & 15) | (p.in_features % 8) | (row_step % 8)) == 0;
  const unsigned warps = Warps(p.dim);
  const LaunchConfig config{dim3(static_cast<unsigned>(p.tokens)), dim3(32 * warps), SharedBytes(warps), 1, dependent};
  Launch("rht_input", KernelFor(p.dim), config, stream, p);
}

void LoadRhtManyInputKernels(int max_shared_bytes) {
  for (const int64_t dim : {4096, 8192, 16384, 0}) {
    LoadKernels(KernelFor(dim));
    PreferSharedMemory(KernelFor(dim));
    AllowSharedMemory(KernelFor(dim), max_shared_bytes);
  }
}

}  // namespace glq::kernels
