// Codes -> bytes of nibbles, and the multiply-add that takes them. Included once per target.
#if defined(GLQ_CPU_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GLQ_CPU_DECODE_INL_H_
#undef GLQ_CPU_DECODE_INL_H_
#else
#define GLQ_CPU_DECODE_INL_H_
#endif

#include <cstring>

#include "cpu/matmul.h"
#include "cpu/plane_tables.h"
#include "cpu/simd.h"
#include "hwy/highway.h"

// x86 without 32-bit byte products: pairs of products in 16 bits, widened once per block.
#undef GLQ_PAIRWISE_I16
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3_DL
#define GLQ_PAIRWISE_I16 1
#else
#define GLQ_PAIRWISE_I16 0
#endif

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DecI32 = hn::CappedTag<int32_t, 16>;
using DecI16 = hn::Repartition<int16_t, DecI32>;
using DecI8 = hn::Repartition<int8_t, DecI32>;
using DecU8 = hn::Repartition<uint8_t, DecI32>;

// acc + the sums of four products of nibbles (bytes of w) and digits (bytes of q).
HWY_INLINE hn::VFromD<DecI32> MultiplyAdd(hn::VFromD<DecU8> w, hn::VFromD<DecI32> q, hn::VFromD<DecI32> acc) {
  const DecI32 d;
#if HWY_ARCH_ARM
  // Nibbles fit signed bytes, which is the form that more Arm machines have.
  return hn::SumOfMulQuadAccumulate(d, hn::BitCast(DecI8(), w), hn::BitCast(DecI8(), q), acc);
#else
  return hn::SumOfMulQuadAccumulate(d, w, hn::BitCast(DecI8(), q), acc);
#endif
}

#if GLQ_PAIRWISE_I16
HWY_INLINE hn::VFromD<DecI16> PairwiseProducts(hn::VFromD<DecU8> w, hn::VFromD<DecI32> q) {
  return hn::SatWidenMulPairwiseAdd(DecI16(), w, hn::BitCast(DecI8(), q));  // never saturates
}
HWY_INLINE hn::VFromD<DecI32> SumPairs(hn::VFromD<DecI16> pairs) {
  return hn::WidenMulPairwiseAdd(DecI32(), pairs, hn::Set(DecI16(), int16_t{1}));
}
#endif

#if GLQ_BYTE_PLANES

// 64 look-ups in one plane's table of 256 bytes. `upper` holds the top bits of the indices.
struct PlaneLookup {
  __m512i t0, t1, t2, t3;
  explicit PlaneLookup(const uint8_t* table)
      : t0(_mm512_load_si512(table)),
        t1(_mm512_load_si512(table + 64)),
        t2(_mm512_load_si512(table + 128)),
        t3(_mm512_load_si512(table + 192)) {}
  HWY_INLINE __m512i operator()(__m512i index, __mmask64 upper) const {
    return _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(t0, index, t1),
                                  _mm512_permutex2var_epi8(t2, index, t3));
  }
};

constexpr int kSignConstant = 0x11;  // PlaneTables::sign_constant as an immediate; a test compares them

struct E8pPlanes {
  PlaneLookup lookup[4];
  __m512i sign[4];
  explicit E8pPlanes(const PlaneTables& t = Planes())
      : lookup{PlaneLookup(t.magnitude[0]), PlaneLookup(t.magnitude[1]), PlaneLookup(t.magnitude[2]),
               PlaneLookup(t.magnitude[3])},
        sign{_mm512_set1_epi64(static_cast<int64_t>(t.sign[0])), _mm512_set1_epi64(static_cast<int64_t>(t.sign[1])),
             _mm512_set1_epi64(static_cast<int64_t>(t.sign[2])), _mm512_set1_epi64(static_cast<int64_t>(t.sign[3]))} {}

  // visit(subvector, bytes) for the eight subvectors of a block.
  template <class Visit>
  HWY_INLINE void ForEachSubvector(const uint8_t* block, const Visit& visit) const {
    const __m512i index = _mm512_load_si512(block);
    const __m512i signs = _mm512_load_si512(block + kBlockCodes);
    const __mmask64 upper = _mm512_movepi8_mask(index);
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int b = 0; b < 4; ++b) {
      const __m512i word =
          _mm512_xor_si512(lookup[b](index, upper), _mm512_gf2p8affine_epi64_epi8(signs, sign[b], kSignConstant));
      visit(2 * b, hn::VFromD<DecU8>{_mm512_and_si512(word, nibble)});
      visit(2 * b + 1, hn::VFromD<DecU8>{_mm512_and_si512(_mm512_srli_epi16(word, 4), nibble)});
    }
  }
};

struct E81bPlanes {
  PlaneLookup lookup[4];
  explicit E81bPlanes(const PlaneTables& t = Planes())
      : lookup{PlaneLookup(t.e81b[0]), PlaneLookup(t.e81b[1]), PlaneLookup(t.e81b[2]), PlaneLookup(t.e81b[3])} {}

  template <class Visit>
  HWY_INLINE void ForEachSubvector(const uint8_t* block, const Visit& visit) const {
    const __m512i index = _mm512_load_si512(block);
    const __mmask64 upper = _mm512_movepi8_mask(index);
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int b = 0; b < 4; ++b) {
      const __m512i word = lookup[b](index, upper);
      visit(2 * b, hn::VFromD<DecU8>{_mm512_and_si512(word, nibble)});
      visit(2 * b + 1, hn::VFromD<DecU8>{_mm512_and_si512(_mm512_srli_epi16(word, 4), nibble)});
    }
  }
};

// Blocks of one tile -> subvectors `step` bytes apart.
HWY_INLINE void DecodeBlocks(e8p::Codebook codebook, const uint8_t* blocks, int64_t count, uint8_t* to, int64_t step) {
  const auto run = [&](const auto& planes) {
    for (int64_t b = 0; b < count; ++b) {
      planes.ForEachSubvector(blocks + b * BlockBytes(codebook),
                              [&](int sub, hn::VFromD<DecU8> w) { hn::Store(w, DecU8(), to + sub * step); });
      to += 8 * step;
    }
  };
  if (codebook == e8p::Codebook::kE8P) {
    run(E8pPlanes());
  } else {
    run(E81bPlanes());
  }
}

#else  // !GLQ_BYTE_PLANES

// Keeps a word in a general register. Compilers else gather bytes and words through vector registers here, which
// takes more than twice as long.
HWY_INLINE uint32_t InRegister(uint32_t word) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm("" : "+r"(word));
#endif
  return word;
}

// Blocks of one tile -> subvectors `step` bytes apart; at most kChunkBlocks. All words are looked up before the
// first is split: a vector load right behind the stores of its lanes would wait for them.
HWY_INLINE void DecodeBlocks(e8p::Codebook codebook, const uint8_t* blocks, int64_t count, uint8_t* to, int64_t step) {
  const DecU8 d;
  const hn::Repartition<uint16_t, DecU8> d16;
  constexpr int64_t kBytes = static_cast<int64_t>(hn::MaxLanes(d));
  constexpr int64_t kTileBytes = kTileRows * 4;
  const e8p::NibbleTables& tables = e8p::Nibbles();
  HWY_ALIGN uint32_t words[kChunkBlocks * 4 * kTileRows];  // [block][group][row]
  for (int64_t b = 0; b < count; ++b) {
    const uint8_t* codes = blocks + b * BlockBytes(codebook);
    uint32_t* out = words + b * 4 * kTileRows;
    if (codebook == e8p::Codebook::kE8P) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        uint32_t index, sign;  // of four groups, the first lowest
        std::memcpy(&index, codes + 4 * r, 4);
        std::memcpy(&sign, codes + kBlockCodes + 4 * r, 4);
        index = InRegister(index);
        sign = InRegister(sign);
        for (int g = 0; g < 4; ++g) {
          out[g * kTileRows + r] =
              InRegister(tables.magnitude[index >> (8 * g) & 255] ^ tables.sign[sign >> (8 * g) & 255]);
        }
      }
    } else {
      for (int64_t r = 0; r < kTileRows; ++r) {
        for (int g = 0; g < 4; ++g) out[g * kTileRows + r] = InRegister(tables.e81b[codes[4 * r + g]]);
      }
    }
  }
  const auto nibble = hn::Set(d, uint8_t{15});
  const auto* from = reinterpret_cast<const uint8_t*>(words);
  for (int64_t group = 0; group < 4 * count; ++group) {
    for (int64_t i = 0; i < kTileBytes; i += kBytes) {
      const auto word = hn::Load(d, from + i);
      const auto high = hn::BitCast(d, hn::ShiftRight<4>(hn::BitCast(d16, word)));
      hn::Store(hn::And(word, nibble), d, to + i);
      hn::Store(hn::And(high, nibble), d, to + step + i);
    }
    from += kTileBytes;
    to += 2 * step;
  }
}

#endif  // GLQ_BYTE_PLANES

}  // namespace glq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
