// The randomized Hadamard transform and the rounding of activations to integers, one token at a time.
//
// Bytes are the contract's whatever the order of butterflies of one stage, so the stages are grouped for
// speed: a first pass does the strides inside runs of eight vectors, later passes three strides at once.
#include "cpu/rht.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/rht.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

#include "cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

using F32 = hn::CappedTag<float, 16>;
using VF32 = hn::VFromD<F32>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(F32()));

HWY_INLINE void Butterfly(VF32& a, VF32& b) {
  const VF32 sum = hn::Add(a, b);
  b = hn::Sub(a, b);
  a = sum;
}

// Swaps the lanes whose numbers differ in bit kStride.
template <int64_t kStride>
HWY_INLINE VF32 SwapLanes(VF32 v) {
  const F32 d;
  if constexpr (kStride * 2 == kLanes) {
    return hn::ConcatLowerUpper(d, v, v);
  } else if constexpr (kStride == 1) {
    return hn::Shuffle2301(v);
  } else if constexpr (kStride == 2) {
    return hn::Shuffle1032(v);
  } else {
    static_assert(kStride == 4);
    return hn::SwapAdjacentBlocks(v);
  }
}

// One stage inside a vector: lane a becomes a + b, lane b becomes a - b, which is a + (-b).
template <int64_t kStride>
HWY_INLINE VF32 LaneStage(VF32 v) {
  const F32 d;
  const hn::RebindToUnsigned<F32> du;
  const auto odd = hn::Ne(hn::And(hn::Iota(du, 0), hn::Set(du, static_cast<uint32_t>(kStride))), hn::Zero(du));
  const VF32 minus_zero = hn::Set(d, -0.0f);
  return hn::Add(SwapLanes<kStride>(v), hn::Xor(v, hn::IfThenElseZero(hn::RebindMask(d, odd), minus_zero)));
}

HWY_INLINE VF32 LaneStages(VF32 v) {
  if constexpr (kLanes > 1) v = LaneStage<1>(v);
  if constexpr (kLanes > 2) v = LaneStage<2>(v);
  if constexpr (kLanes > 4) v = LaneStage<4>(v);
  if constexpr (kLanes > 8) v = LaneStage<8>(v);
  return v;
}

// log2(kRadix) stages across vectors `h` elements apart, ascending.
template <int kRadix>
HWY_INLINE void CrossStages(VF32 (&r)[kRadix]) {
  for (int stride = 1; stride < kRadix; stride *= 2) {
    for (int i = 0; i < kRadix; ++i) {
      if (!(i & stride)) Butterfly(r[i], r[i + stride]);
    }
  }
}

// kRadix vectors in a row: all strides below kRadix * kLanes.
template <int kRadix>
HWY_INLINE void FirstPass(float* data, int64_t n) {
  const F32 d;
  for (int64_t i = 0; i < n; i += kRadix * kLanes) {
    VF32 r[kRadix];
    for (int k = 0; k < kRadix; ++k) r[k] = LaneStages(hn::LoadU(d, data + i + k * kLanes));
    CrossStages<kRadix>(r);
    for (int k = 0; k < kRadix; ++k) hn::StoreU(r[k], d, data + i + k * kLanes);
  }
}

// Strides h, 2h, ... of elements `step` apart; lanes are neighbours, so step * h >= kLanes unless step > 1.
template <int kRadix>
HWY_INLINE void Pass(float* data, int64_t n, int64_t h) {
  const F32 d;
  for (int64_t i = 0; i < n; i += kRadix * h) {
    for (int64_t j = i; j < i + h; j += kLanes) {
      VF32 r[kRadix];
      for (int k = 0; k < kRadix; ++k) r[k] = hn::LoadU(d, data + j + k * h);
      CrossStages<kRadix>(r);
      for (int k = 0; k < kRadix; ++k) hn::StoreU(r[k], d, data + j + k * h);
    }
  }
}

// Strides from h up to n / 2, for runs of neighbours that divide h.
HWY_INLINE void Passes(float* data, int64_t n, int64_t h) {
  while (h < n) {
    if (h * 4 < n) {
      Pass<8>(data, n, h);
      h *= 8;
    } else if (h * 2 < n) {
      Pass<4>(data, n, h);
      h *= 4;
    } else {
      Pass<2>(data, n, h);
      h *= 2;
    }
  }
}

HWY_NOINLINE void ScalarButterflies(float* data, int64_t n) {
  for (int64_t stride = 1; stride < n; stride *= 2) {
    for (int64_t i = 0; i < n; ++i) {
      if (i & stride) continue;
      const float a = data[i], b = data[i + stride];
      data[i] = a + b;
      data[i + stride] = a - b;
    }
  }
}

HWY_INLINE void Butterflies(float* data, int64_t n) {
  if (n < kLanes) return ScalarButterflies(data, n);
  if (n < 8 * kLanes) {
    FirstPass<1>(data, n);
    return Passes(data, n, kLanes);
  }
  FirstPass<8>(data, n);
  Passes(data, n, 8 * kLanes);
}

float BlockScale(int64_t block) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(block))); }

// row[i] = row[i] * scale * sign[i]: two roundings, as the contract has it.
HWY_INLINE void ScaleBlock(float* row, int64_t n, float scale, const uint16_t* signs) {
  const F32 d;
  const VF32 factor = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    VF32 v = hn::Mul(hn::LoadU(d, row + i), factor);
    if (signs) v = hn::Mul(v, LoadF32<Scalar::kF16>(d, signs, i));
    hn::StoreU(v, d, row + i);
  }
  for (; i < n; ++i) {
    row[i] *= scale;
    if (signs) row[i] *= HalfToFloat(signs[i]);
  }
}

HWY_INLINE void TransformBlocks(const Transform& t, float* row, const uint16_t* signs) {
  for (const int64_t block : t.blocks) {
    Butterflies(row, block);
    ScaleBlock(row, block, BlockScale(block), signs);
    row += block;
    if (signs) signs += block;
  }
}

template <Scalar kType>
HWY_INLINE void LoadRow(const Transform& t, const void* x, float* v) {
  const F32 d;
  const auto sign = [&](int64_t i) { return t.signs ? LoadF32<Scalar::kF16>(d, t.signs, i) : hn::Set(d, 1.0f); };
  int64_t i = 0;
  for (; i + kLanes <= t.features; i += kLanes) {
    hn::StoreU(hn::Mul(LoadF32<kType>(d, x, i), sign(i)), d, v + i);
  }
  if (i < t.features) {  // padded is a multiple of kLanes, so whole vectors of v and of the signs exist
    const size_t rest = static_cast<size_t>(t.features - i);
    const VF32 u = hn::Mul(LoadF32N<kType>(d, x, i, rest), sign(i));
    hn::StoreU(hn::IfThenElseZero(hn::FirstN(d, rest), u), d, v + i);
    i += kLanes;
  }
  if (i < t.padded) std::memset(v + i, 0, static_cast<size_t>(t.padded - i) * sizeof(float));
}

void RhtInputRow(const Transform& t, const void* x, Scalar type, float* v) {
  WithScalar(type, [&]<Scalar kType>() { LoadRow<kType>(t, x, v); });
  TransformBlocks(t, v, nullptr);
  const F32 d;
  for (int64_t i = 0; i < t.padded; i += kLanes) hn::StoreU(CanonicalNan(d, hn::LoadU(d, v + i)), d, v + i);
}

void HadamardRow(const Transform& t, float* row) { TransformBlocks(t, row, t.signs); }

template <Scalar kType>
HWY_INLINE void StoreRow(const float* row, const float* bias, int64_t n, void* y) {
  const F32 d;
  for (int64_t i = 0; i < n; i += kLanes) {
    const size_t count = static_cast<size_t>(std::min(kLanes, n - i));
    VF32 v = hn::LoadN(d, row + i, count);
    if (bias) v = hn::Add(v, hn::LoadN(d, bias + i, count));
    StoreF32<kType>(d, v, y, i, count);
  }
}

void RhtOutputRow(const Transform& t, float* row, const float* bias, void* y, Scalar type) {
  TransformBlocks(t, row, t.signs);
  WithScalar(type, [&]<Scalar kType>() { StoreRow<kType>(row, bias, t.features, y); });
}

void ScaleAndStoreRow(const float* row, float sign, int64_t n, void* to, Scalar type) {
  WithScalar(type, [&]<Scalar kType>() {
    const F32 d;
    for (int64_t i = 0; i < n; i += kLanes) {
      const size_t count = static_cast<size_t>(std::min(kLanes, n - i));
      StoreF32<kType>(d, hn::Mul(hn::LoadN(d, row + i, count), hn::Set(d, sign)), to, i, count);
    }
  });
}

// Stages from h on, down kLanes columns at once.
HWY_INLINE void ColumnStages(float* data, int64_t stride, int64_t n) {
  const F32 d;
  const auto pass = [&]<int kRadix>(int64_t h) {
    for (int64_t i = 0; i < n; i += kRadix * h) {
      for (int64_t j = i; j < i + h; ++j) {
        VF32 r[kRadix];
        for (int k = 0; k < kRadix; ++k) r[k] = hn::LoadU(d, data + (j + k * h) * stride);
        CrossStages<kRadix>(r);
        for (int k = 0; k < kRadix; ++k) hn::StoreU(r[k], d, data + (j + k * h) * stride);
      }
    }
  };
  for (int64_t h = 1; h < n;) {
    if (h * 4 < n) {
      pass.template operator()<8>(h);
      h *= 8;
    } else if (h * 2 < n) {
      pass.template operator()<4>(h);
      h *= 4;
    } else {
      pass.template operator()<2>(h);
      h *= 2;
    }
  }
}

void HadamardColumns(std::span<const int64_t> blocks, float* data, int64_t stride, int64_t begin, int64_t end) {
  const F32 d;
  for (const int64_t block : blocks) {
    const VF32 factor = hn::Set(d, BlockScale(block));
    for (int64_t c = begin; c < end; c += kLanes) {
      ColumnStages(data + c, stride, block);
      for (int64_t r = 0; r < block; ++r) {
        float* at = data + r * stride + c;
        hn::StoreU(hn::Mul(hn::LoadU(d, at), factor), d, at);
      }
    }
    data += block * stride;
  }
}

// As bits: orders like the magnitudes, with infinity and the NaNs on top.
HWY_INLINE int32_t LargestMagnitude(const float* v, int64_t n) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const auto magnitude = hn::Set(di, 0x7FFFFFFF);
  auto m0 = hn::Zero(di), m1 = hn::Zero(di);
  for (int64_t i = 0; i < n; i += 2 * kLanes) {  // n is a multiple of 64
    m0 = hn::Max(m0, hn::And(hn::BitCast(di, hn::LoadU(d, v + i)), magnitude));
    m1 = hn::Max(m1, hn::And(hn::BitCast(di, hn::LoadU(d, v + i + kLanes)), magnitude));
  }
  return hn::ReduceMax(di, hn::Max(m0, m1));
}

// The bytes of a vector of q + 128, as digits in the order of the subvectors. The high byte is the high
// digit; the low byte, with its top bit flipped, is the low digit.
#if GLQ_BYTE_PLANES
// One subvector per column j of the four groups of eight: j, 8 + j, 16 + j, 24 + j.
struct DigitOrder {
  uint8_t at[64];
  constexpr DigitOrder() : at() {
    for (int j = 0; j < 8; ++j) {
      for (int group = 0; group < 4; ++group) {
        at[8 * j + group] = static_cast<uint8_t>(2 * (8 * group + j) + 1);
        at[8 * j + 4 + group] = static_cast<uint8_t>(2 * (8 * group + j));
      }
    }
  }
};
template <class D8, class V8>
HWY_INLINE V8 OrderDigits(D8 d8, V8 bytes) {
  alignas(64) static constexpr DigitOrder kOrder;
  return hn::TableLookupLanes(bytes, hn::SetTableIndices(d8, kOrder.at));
}
#else
// Two subvectors per group of eight: its even columns, then its odd ones.
template <class D8, class V8>
HWY_INLINE V8 OrderDigits(D8 d8, V8 bytes) {
  alignas(16) static constexpr uint8_t kOrder[16] = {1, 5, 9, 13, 0, 4, 8, 12, 3, 7, 11, 15, 2, 6, 10, 14};
  return hn::TableLookupBytes(bytes, hn::LoadDup128(d8, kOrder));
}
#endif

RowScale QuantizeRow(const float* v, int64_t padded, int64_t group, int8_t* digits) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const hn::Repartition<int16_t, F32> d16;
  const hn::Repartition<uint8_t, F32> d8;
  constexpr int64_t kColumns = 2 * kLanes;  // per step
  constexpr int64_t kPiece = 8;             // bytes of one token in one subvector

  const int32_t bits = LargestMagnitude(v, padded);
  float m;
  std::memcpy(&m, &bits, sizeof(m));
  const float to_integer = 32639.0f / m;
  RowScale scale = {0.0f, RowScale::kNormal, 0.0};
  if (bits >= 0x7F800000) {
    scale.kind = RowScale::kNotFinite;
  } else if (bits == 0 || !std::isfinite(to_integer)) {
    scale.kind = RowScale::kZero;
  }
  if (scale.kind != RowScale::kNormal) {
    for (int64_t piece = 0; piece < padded / 4; ++piece) std::memset(digits + piece * group * kPiece, 0, kPiece);
    return scale;
  }
  scale.from_integer = m / 32639.0f;

  const VF32 factor = hn::Set(d, to_integer);
  const auto flip = hn::Set(d16, int16_t{0x80});
  const auto half = hn::Set(di, 128);
  constexpr int64_t kSumColumns = 8192;  // 32-bit sums of this many columns cannot overflow
  for (int64_t begin = 0; begin < padded; begin += kSumColumns) {
    const int64_t end = std::min(padded, begin + kSumColumns);
    auto sum = hn::Zero(di);
    for (int64_t j = begin; j < end; j += kColumns) {
      const auto q0 = hn::NearestInt(hn::Mul(hn::LoadU(d, v + j), factor));
      const auto q1 = hn::NearestInt(hn::Mul(hn::LoadU(d, v + j + kLanes), factor));
      sum = hn::Add(sum, hn::Add(q0, q1));
      const auto q = hn::OrderedDemote2To(d16, hn::Add(q0, half), hn::Add(q1, half));
      const auto ordered = OrderDigits(d8, hn::BitCast(d8, hn::Xor(q, flip)));
      int8_t* to = digits + j / 4 * group * kPiece;
      if (group == 1) {
        hn::StoreU(ordered, d8, reinterpret_cast<uint8_t*>(to));
      } else {
        HWY_ALIGN uint8_t pieces[kColumns * 2];
        hn::Store(ordered, d8, pieces);
        for (int64_t k = 0; k < kColumns / 4; ++k) std::memcpy(to + k * group * kPiece, pieces + k * kPiece, kPiece);
      }
    }
    scale.sum += static_cast<double>(hn::ReduceSum(di, sum));
  }
  return scale;
}

}  // namespace glq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace glq::cpu {

HWY_EXPORT(RhtInputRow);
HWY_EXPORT(RhtOutputRow);
HWY_EXPORT(HadamardRow);
HWY_EXPORT(HadamardColumns);
HWY_EXPORT(ScaleAndStoreRow);
HWY_EXPORT(QuantizeRow);

void RhtInputRow(const Transform& t, const void* x, Scalar type, float* v) {
  HWY_DYNAMIC_DISPATCH(RhtInputRow)(t, x, type, v);
}
void RhtOutputRow(const Transform& t, float* row, const float* bias, void* y, Scalar type) {
  HWY_DYNAMIC_DISPATCH(RhtOutputRow)(t, row, bias, y, type);
}
void HadamardRow(const Transform& t, float* row) { HWY_DYNAMIC_DISPATCH(HadamardRow)(t, row); }
void HadamardColumns(std::span<const int64_t> blocks, float* data, int64_t stride, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(HadamardColumns)(blocks, data, stride, begin, end);
}
void ScaleAndStoreRow(const float* row, float sign, int64_t n, void* to, Scalar type) {
  HWY_DYNAMIC_DISPATCH(ScaleAndStoreRow)(row, sign, n, to, type);
}
RowScale QuantizeRow(const float* v, int64_t padded, int64_t group, int8_t* digits) {
  return HWY_DYNAMIC_DISPATCH(QuantizeRow)(v, padded, group, digits);
}

}  // namespace glq::cpu
#endif  // HWY_ONCE
