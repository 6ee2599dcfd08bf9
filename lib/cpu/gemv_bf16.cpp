#include "cpu/gemv_bf16.h"

#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/gemv_bf16.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/highway.h"

#include "cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

using F32 = hn::CappedTag<float, 16>;
using VF32 = hn::VFromD<F32>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(F32()));
constexpr int64_t kSums = 64;
constexpr int kVectors = static_cast<int>(kSums / kLanes);  // of partial sums, per row of W and of x

// Rows of W and of x worked on together: as many partial sums as the registers hold. A converted vector of
// W serves all rows of x, one of x all rows of W.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
constexpr int kWeightRows = 2, kTokens = 2;
#else
constexpr int kWeightRows = 1, kTokens = 1;
#endif

HWY_INLINE float Reduce(VF32 (&sums)[kVectors]) {
  const F32 d;
  for (int half = kVectors / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sums[i] = hn::Add(sums[i], sums[i + half]);
  }
  HWY_ALIGN float lanes[kLanes];
  hn::Store(sums[0], d, lanes);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] = lanes[i] + lanes[i + half];
  }
  return lanes[0];
}

// kT rows of x from t on, kW rows of W from i on.
template <Scalar kType, int kT, int kW>
HWY_INLINE void DotRows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, int64_t t, int64_t i,
                        const Matrix& y) {
  const F32 d;
  const uint16_t* rows[kW];
  const void* tokens[kT];
  for (int a = 0; a < kW; ++a) rows[a] = w + (i + a) * ldw;
  for (int b = 0; b < kT; ++b) tokens[b] = x.Row(t + b);
  VF32 sums[kT][kW][kVectors];
  for (auto& token : sums) for (auto& row : token) for (VF32& v : row) v = hn::Zero(d);

  const auto step = [&](int64_t j, int v, const auto& load) {
    VF32 wv[kW];
    for (int a = 0; a < kW; ++a) wv[a] = load.template operator()<Scalar::kBF16>(rows[a], j);
    for (int b = 0; b < kT; ++b) {
      const VF32 xv = load.template operator()<kType>(tokens[b], j);
      for (int a = 0; a < kW; ++a) sums[b][a][v] = FusedMulAdd(d, wv[a], xv, sums[b][a][v]);
    }
  };
  int64_t j = 0;
  for (; j + kSums <= k; j += kSums) {
    for (int v = 0; v < kVectors; ++v) {
      step(j + v * kLanes, v, [&]<Scalar kS>(const void* p, int64_t at) { return LoadF32<kS>(d, p, at); });
    }
  }
  if (j < k) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t left = std::clamp<int64_t>(k - j - v * kLanes, 0, kLanes);
      const auto load = [&]<Scalar kS>(const void* p, int64_t at) {
        return left > 0 ? LoadF32N<kS>(d, p, at, static_cast<size_t>(left)) : hn::Zero(d);
      };
      step(j + v * kLanes, v, load);
    }
  }
  for (int b = 0; b < kT; ++b) {
    for (int a = 0; a < kW; ++a) {
      const hn::CappedTag<float, 1> d1;
      WithScalar(y.type, [&]<Scalar kOut>() {
        StoreF32<kOut>(d1, hn::Set(d1, Reduce(sums[b][a])), y.Row(t + b), i + a, 1);
      });
    }
  }
}

template <Scalar kType, int kT>
HWY_INLINE void DotAllRows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, int64_t t, const Matrix& y,
                           int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kWeightRows <= end; i += kWeightRows) DotRows<kType, kT, kWeightRows>(w, k, ldw, x, t, i, y);
  for (; i < end; ++i) DotRows<kType, kT, 1>(w, k, ldw, x, t, i, y);
}

void GemvBf16Rows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, const Matrix& y, int64_t begin,
                  int64_t end) {
  // Rows of W that stay in the first-level cache while all rows of x pass.
  const int64_t bundle = std::max<int64_t>(kWeightRows, 16384 / std::max<int64_t>(1, k) / kWeightRows * kWeightRows);
  WithScalar(x.type, [&]<Scalar kType>() {
    for (; begin < end; begin += bundle) {
      const int64_t stop = std::min(end, begin + bundle);
      int64_t t = 0;
      for (; t + kTokens <= x.rows; t += kTokens) DotAllRows<kType, kTokens>(w, k, ldw, x, t, y, begin, stop);
      for (; t < x.rows; ++t) DotAllRows<kType, 1>(w, k, ldw, x, t, y, begin, stop);
    }
  });
}

}  // namespace glq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace glq::cpu {

HWY_EXPORT(GemvBf16Rows);

void GemvBf16(const uint16_t* w, int64_t n, int64_t k, int64_t ldw, ConstMatrix x, Matrix y, Parallel& par) {
  // Below about 64 Ki weights a thread costs more than it brings.
  const int64_t grain = std::max<int64_t>(1, 65536 / std::max<int64_t>(1, k));
  par.For(n, grain, [&](int64_t begin, int64_t end, int) {
    HWY_DYNAMIC_DISPATCH(GemvBf16Rows)(w, k, ldw, x, y, begin, end);
  });
}

}  // namespace glq::cpu
#endif  // HWY_ONCE
