// Compressed weights times digits. A weight is a nibble u (four times the E8P weight is 2u - 15, twice the
// E81B weight is u - 4), an activation two balanced base-256 digits, so that a multiply-add is
// "unsigned byte times signed byte, four of them into 32 bits" (vpdpbusd and its relatives). All sums are
// exact: at most 13 * 128 * 2^20 < 2^31.
//
//   one or two tokens     codes -> registers -> products; nothing is stored in between
//   more                  kChunkBlocks blocks of two tiles are decoded into the first-level cache once,
//                         then multiplied with all tokens, up to four at a time
//
// Within a block, "subvector" s of a tile holds 16 rows x 4 columns, one 32-bit lane per row. The columns
// are those that the decoder of the target gives for free, and QuantizeRow orders the digits to match:
//   AVX-512 VBMI  columns s, 8 + s, 16 + s, 24 + s          (a byte plane of four codes' words)
//   others        columns 8 * (s / 2) + 2 * i + s % 2       (one code's word, even or odd nibbles)
#include "cpu/matmul.h"

#include <array>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/matmul.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

#include "cpu/convert-inl.h"
#include "cpu/decode-inl.h"

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

using e8p::Codebook;

using I32 = hn::CappedTag<int32_t, 16>;
using VI32 = hn::VFromD<I32>;
using U8 = hn::Repartition<uint8_t, I32>;
using VU8 = hn::VFromD<U8>;
constexpr int64_t kIntLanes = static_cast<int64_t>(hn::MaxLanes(I32()));
constexpr int64_t kRowsAtOnce = kTilesAtOnce * kTileRows;

// The same four digits for every row.
HWY_INLINE VI32 BroadcastDigits(const int8_t* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  return hn::Set(I32(), four);
}

// Register block of the tile path: vectors of rows x tokens x two digits.
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
constexpr int kRowVectors = 2, kTokens = 4;
#elif HWY_ARCH_ARM_A64
constexpr int kRowVectors = 4, kTokens = 2;
#else
constexpr int kRowVectors = 1, kTokens = 4;
#endif

// Adds the products of `blocks` decoded blocks to the sums of kT tokens and kRowVectors vectors of rows.
//   tile         first row of the block of rows; next subvector kRowsAtOnce * 4 bytes further
//   digits       first token; next token 8 bytes further, next subvector `step` bytes further
//   sums         first token, first row
template <int kT>
HWY_INLINE void MultiplyTile(const uint8_t* tile, int64_t blocks, const int8_t* digits, int64_t step, int32_t* sums) {
  const I32 d;
  const U8 d8;
  VI32 acc[kT][2][kRowVectors];
  for (int t = 0; t < kT; ++t) {
    for (int digit = 0; digit < 2; ++digit) {
      for (int r = 0; r < kRowVectors; ++r) {
        acc[t][digit][r] = hn::Load(d, sums + (2 * t + digit) * kRowsAtOnce + r * kIntLanes);
      }
    }
  }
  for (int64_t b = 0; b < blocks; ++b) {
#if GLQ_PAIRWISE_I16
    // 16-bit sums of eight subvectors cannot overflow: 8 * 2 * 13 * 128 < 2^15.
    const hn::Repartition<int16_t, I32> d16;
    hn::VFromD<decltype(d16)> part[kT][2][kRowVectors];
    for (auto& token : part)
      for (auto& digit : token)
        for (auto& v : digit) v = hn::Zero(d16);
#endif
    for (int s = 0; s < 8; ++s) {
      VU8 w[kRowVectors];
      for (int r = 0; r < kRowVectors; ++r) w[r] = hn::Load(d8, tile + r * kIntLanes * 4);
      for (int t = 0; t < kT; ++t) {
        for (int digit = 0; digit < 2; ++digit) {
          const VI32 q = BroadcastDigits(digits + 8 * t + 4 * digit);
          for (int r = 0; r < kRowVectors; ++r) {
#if GLQ_PAIRWISE_I16
            part[t][digit][r] = hn::Add(part[t][digit][r], PairwiseProducts(w[r], q));
#else
            acc[t][digit][r] = MultiplyAdd(w[r], q, acc[t][digit][r]);
#endif
          }
        }
      }
      tile += kRowsAtOnce * 4;
      digits += step;
    }
#if GLQ_PAIRWISE_I16
    for (int t = 0; t < kT; ++t) {
      for (int digit = 0; digit < 2; ++digit) {
        for (int r = 0; r < kRowVectors; ++r) {
          acc[t][digit][r] = hn::Add(acc[t][digit][r], SumPairs(part[t][digit][r]));
        }
      }
    }
#endif
  }
  for (int t = 0; t < kT; ++t) {
    for (int digit = 0; digit < 2; ++digit) {
      for (int r = 0; r < kRowVectors; ++r) {
        hn::Store(acc[t][digit][r], d, sums + (2 * t + digit) * kRowsAtOnce + r * kIntLanes);
      }
    }
  }
}

// Steps 5 (rounding) and 6 for `rows` rows of one token; sums[digit * kRowsAtOnce + row].
HWY_INLINE void FinishRows(const MatmulArgs& args, int s, int64_t token, const int32_t* sums, int64_t rows, float* y) {
  using F64 = hn::CappedTag<double, 8>;
  const F64 d64;
  const hn::Rebind<int32_t, F64> d32;
  const hn::Rebind<float, F64> df;
  constexpr int64_t kStep = static_cast<int64_t>(hn::MaxLanes(d64));

  const StageBlocks& stage = args.stages[s];
  const RowScale& scale = args.scales[token];
  if (scale.kind != RowScale::kNormal) {
    const uint32_t bits = scale.kind == RowScale::kZero ? 0 : kCanonicalNan;
    const auto value = hn::BitCast(df, hn::Set(hn::RebindToUnsigned<decltype(df)>(), bits));
    for (int64_t r = 0; r < rows; r += kStep) hn::StoreU(value, df, y + r);
    return;
  }
  const bool e8p = stage.codebook == Codebook::kE8P;
  const auto factor = hn::Set(d64, e8p ? 2.0 : 1.0);
  const auto offset = hn::Set(d64, (e8p ? 15.0 : 4.0) * scale.sum);
  const auto base = hn::Set(d64, 256.0);
  const auto c = hn::Set(df, stage.k * scale.from_integer);
  for (int64_t r = 0; r < rows; r += kStep) {
    // Integers below 2^53 all the way; the demotion is the one rounding.
    const auto hi = hn::PromoteTo(d64, hn::LoadU(d32, sums + r));
    const auto lo = hn::PromoteTo(d64, hn::LoadU(d32, sums + kRowsAtOnce + r));
    const auto u = hn::Add(hn::Mul(hi, base), lo);
    const auto z = hn::DemoteTo(df, hn::Sub(hn::Mul(u, factor), offset));
    const auto out = s == 0 ? hn::Mul(z, c) : FusedMulAdd(df, z, c, hn::LoadU(df, y + r));
    hn::StoreU(CanonicalNan(df, out), df, y + r);
  }
}

// Asks for the chunk of codes that is decoded after the one at block b of stage s, while that is multiplied:
// the decoder reads in bursts, too short for the hardware to foresee.
template <int kTiles>
HWY_INLINE void PrefetchNext(const MatmulArgs& args, int64_t tile, int64_t end, int s, int64_t b) {
  const int64_t blocks = args.cols / kBlockCols;
  b += kChunkBlocks;
  if (b >= blocks) {
    b = 0;
    if (++s == args.num_stages) {
      s = 0;
      tile += kTiles;
    }
  }
  const int64_t block_bytes = BlockBytes(args.stages[s].codebook);
  const int64_t bytes = HWY_MIN(kChunkBlocks, blocks - b) * block_bytes;
  for (int64_t k = tile; k < HWY_MIN(end, tile + kTiles); ++k) {
    const uint8_t* codes = args.stages[s].blocks + (k * blocks + b) * block_bytes;
    for (int64_t i = 0; i < bytes; i += 64) hwy::Prefetch(codes + i);
  }
}

template <int kTiles>
HWY_INLINE void TilePath(const MatmulArgs& args, int64_t tile, int64_t end, MatmulScratch* scratch) {
  constexpr int64_t kRows = kTiles * kTileRows;
  const int64_t blocks = args.cols / kBlockCols;
  for (int s = 0; s < args.num_stages; ++s) {
    const StageBlocks& stage = args.stages[s];
    const int64_t block_bytes = BlockBytes(stage.codebook);
    const uint8_t* codes = stage.blocks + tile * blocks * block_bytes;
    std::memset(scratch->sums, 0, static_cast<size_t>(args.tokens * 2 * kRowsAtOnce) * sizeof(int32_t));
    for (int64_t b = 0; b < blocks; b += kChunkBlocks) {
      const int64_t count = HWY_MIN(kChunkBlocks, blocks - b);
      for (int k = 0; k < kTiles; ++k) {
        DecodeBlocks(stage.codebook, codes + (k * blocks + b) * block_bytes, count, scratch->tile + k * kTileRows * 4,
                     kRowsAtOnce * 4);
      }
      PrefetchNext<kTiles>(args, tile, end, s, b);
      for (int64_t first = 0; first < args.tokens; first += kTokenGroup) {
        const int64_t group = HWY_MIN(kTokenGroup, args.tokens - first);
        const int64_t step = 8 * group;
        const int8_t* digits = args.digits + first * 2 * args.cols + b * 8 * step;
        int32_t* sums = scratch->sums + first * 2 * kRowsAtOnce;
        for (int64_t row = 0; row < kRows; row += kRowVectors * kIntLanes) {
          for (int64_t t = 0; t < group; t += kTokens) {
            const uint8_t* weights = scratch->tile + row * 4;
            const int8_t* q = digits + 8 * t;
            int32_t* to = sums + t * 2 * kRowsAtOnce + row;
            switch (HWY_MIN(kTokens, group - t)) {
              case 1:
                MultiplyTile<1>(weights, count, q, step, to);
                break;
              case 2:
                MultiplyTile<2>(weights, count, q, step, to);
                break;
              case 3:
                MultiplyTile<HWY_MIN(3, kTokens)>(weights, count, q, step, to);
                break;
              default:
                MultiplyTile<kTokens>(weights, count, q, step, to);
                break;
            }
          }
        }
      }
    }
    for (int64_t t = 0; t < args.tokens; ++t) {
      FinishRows(args, s, t, scratch->sums + t * 2 * kRowsAtOnce, kRows, args.y + t * args.y_stride + tile * kTileRows);
    }
  }
}

#if GLQ_BYTE_PLANES
// One tile, kT tokens, no stored weights. The sums of kTileRows rows take 4 registers a token, so that
// the products' latency is covered.
template <int kT>
HWY_INLINE void DirectPath(const MatmulArgs& args, int64_t tile, MatmulScratch* scratch) {
  const I32 d;
  const int64_t blocks = args.cols / kBlockCols;
  for (int s = 0; s < args.num_stages; ++s) {
    const StageBlocks& stage = args.stages[s];
    const int64_t block_bytes = BlockBytes(stage.codebook);
    const uint8_t* codes = stage.blocks + tile * blocks * block_bytes;
    const auto run = [&](const auto& planes) {
      VI32 acc[kT][2][2];
      for (auto& token : acc)
        for (auto& digit : token)
          for (auto& v : digit) v = hn::Zero(d);
      const int8_t* digits = args.digits;
      for (int64_t b = 0; b < blocks; ++b) {
        planes.ForEachSubvector(codes + b * block_bytes, [&](int sub, VU8 w) {
          for (int t = 0; t < kT; ++t) {
            for (int digit = 0; digit < 2; ++digit) {
              const VI32 q = BroadcastDigits(digits + (sub * kT + t) * 8 + 4 * digit);
              acc[t][digit][sub & 1] = MultiplyAdd(w, q, acc[t][digit][sub & 1]);
            }
          }
        });
        digits += 64 * kT;
      }
      for (int t = 0; t < kT; ++t) {
        for (int digit = 0; digit < 2; ++digit) {
          hn::Store(hn::Add(acc[t][digit][0], acc[t][digit][1]), d, scratch->sums + (2 * t + digit) * kRowsAtOnce);
        }
      }
    };
    if (stage.codebook == Codebook::kE8P) {
      run(E8pPlanes());
    } else {
      run(E81bPlanes());
    }
    for (int t = 0; t < kT; ++t) {
      FinishRows(args, s, t, scratch->sums + t * 2 * kRowsAtOnce, kTileRows,
                 args.y + t * args.y_stride + tile * kTileRows);
    }
  }
}
#endif  // GLQ_BYTE_PLANES

void MatmulTiles(const MatmulArgs& args, int64_t begin, int64_t end, MatmulScratch* scratch) {
  int64_t tile = begin;
#if GLQ_BYTE_PLANES
  if (args.tokens == 1) {
    for (; tile < end; ++tile) DirectPath<1>(args, tile, scratch);
  } else if (args.tokens == 2) {
    for (; tile < end; ++tile) DirectPath<2>(args, tile, scratch);
  }
#endif
  for (; tile + kTilesAtOnce <= end; tile += kTilesAtOnce) TilePath<kTilesAtOnce>(args, tile, end, scratch);
  for (; tile < end; ++tile) TilePath<1>(args, tile, end, scratch);
}

// The integers of four codes of one row, as fp32.
HWY_INLINE void CodesToFloats(Codebook codebook, const uint8_t* block, int64_t row, float* to) {
  const e8p::NibbleTables& tables = e8p::Nibbles();
  const bool e8p = codebook == Codebook::kE8P;
  const int32_t factor = e8p ? 2 : 1, offset = e8p ? 15 : 4;
  for (int group = 0; group < 4; ++group) {
    const int64_t at = 4 * row + group;
    const uint32_t word =
        e8p ? tables.magnitude[block[at]] ^ tables.sign[block[kBlockCodes + at]] : tables.e81b[block[at]];
    for (int k = 0; k < 8; ++k) {
      to[8 * group + k] = static_cast<float>(factor * static_cast<int32_t>(word >> (4 * k) & 15) - offset);
    }
  }
}

void DecodeRow(const StageBlocks* stages, int num_stages, int64_t cols, int64_t tile, int64_t tile_row, void* to,
               Scalar type) {
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kStep = static_cast<int64_t>(hn::MaxLanes(d));
  const int64_t blocks = cols / kBlockCols;
  HWY_ALIGN float integers[kBlockCols];
  HWY_ALIGN float weights[kBlockCols];
  for (int64_t b = 0; b < blocks; ++b) {
    for (int s = 0; s < num_stages; ++s) {
      const StageBlocks& stage = stages[s];
      const uint8_t* block = stage.blocks + (tile * blocks + b) * BlockBytes(stage.codebook);
      CodesToFloats(stage.codebook, block, tile_row, integers);
      const auto k = hn::Set(d, stage.k);
      for (int64_t i = 0; i < kBlockCols; i += kStep) {
        const auto n = hn::Load(d, integers + i);
        hn::Store(s == 0 ? hn::Mul(n, k) : FusedMulAdd(d, n, k, hn::Load(d, weights + i)), d, weights + i);
      }
    }
    WithScalar(type, [&]<Scalar kType>() {
      for (int64_t i = 0; i < kBlockCols; i += kStep) {
        StoreF32<kType>(d, hn::Load(d, weights + i), to, b * kBlockCols + i, static_cast<size_t>(kStep));
      }
    });
  }
}

}  // namespace glq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace glq::cpu {

HWY_EXPORT(MatmulTiles);
HWY_EXPORT(DecodeRow);

void MatmulTiles(const MatmulArgs& args, int64_t begin, int64_t end, MatmulScratch* scratch) {
  HWY_DYNAMIC_DISPATCH(MatmulTiles)(args, begin, end, scratch);
}
void DecodeRow(const StageBlocks* stages, int num_stages, int64_t cols, int64_t tile, int64_t tile_row, void* to,
               Scalar type) {
  HWY_DYNAMIC_DISPATCH(DecodeRow)(stages, num_stages, cols, tile, tile_row, to, type);
}

}  // namespace glq::cpu
#endif  // HWY_ONCE
