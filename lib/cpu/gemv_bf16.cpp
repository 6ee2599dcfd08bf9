#include "cpu/gemv_bf16.h"

#include <algorithm>
#include <cmath>

#include "cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/gemv_bf16.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

#include "hwy/cache_control.h"
#include "hwy/highway.h"

#include "cpu/convert-inl.h"

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

using F32 = hn::CappedTag<float, 16>;
using VF32 = hn::VFromD<F32>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(F32()));
constexpr int64_t kSums = 64;

// Rows of x and of W worked on together, and vectors of partial sums of each in one pass over a chunk of columns.
// A converted vector of W serves all rows of x, one of x all rows of W. Few rows of x: memory is the limit, so W is
// read straight through. More: arithmetic is the limit, so the rows are many and the passes several; the later
// passes find the chunk in the first-level cache.
template <int kT>
struct Shape {
  static constexpr int kRows = kT <= 2 ? 1 : (HWY_ARCH_X86 && kLanes < 16) ? 2 : 4;
  static constexpr int kVectors = static_cast<int>(HWY_MIN(kSums / kLanes, kT == 1 ? 8 : kT == 2 ? 4 : 1));
};
constexpr int kTokens = 4;
constexpr int64_t kChunk = 16 * kSums;

// Asks for the kSums weights at p (two cache lines, alignment aside) to come to the second-level cache: they are
// those of the next rows.
HWY_INLINE void PrefetchRun(const uint16_t* p) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  __builtin_prefetch(p, 0, 2);
  __builtin_prefetch(p + kSums / 2, 0, 2);
#else
  hwy::Prefetch(p);
  hwy::Prefetch(p + kSums / 2);
#endif
}

// Adds the upper half of `sums` to the lower one, and so on.
HWY_INLINE float Reduce(float* sums) {
  for (int64_t half = kSums / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) sums[l] = sums[l] + sums[l + half];
  }
  return sums[0];
}

// kT rows of x from t on, kW rows of W from i on.
template <Scalar kType, int kT, int kW, int kV>
HWY_INLINE void DotRows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, int64_t t, int64_t i,
                        const Matrix& y) {
  const F32 d;
  const uint16_t* rows[kW];
  const void* tokens[kT];
  for (int a = 0; a < kW; ++a) rows[a] = w + (i + a) * ldw;
  for (int b = 0; b < kT; ++b) tokens[b] = x.Row(t + b);
  HWY_ALIGN float partial[kT][kW][kSums] = {};
  for (int64_t begin = 0; begin < k; begin += kChunk) {
    const int64_t end = std::min(k, begin + kChunk);
    for (int64_t offset = 0; offset < kSums; offset += kV * kLanes) {
      VF32 sums[kT][kW][kV];
      for (int b = 0; b < kT; ++b) {
        for (int a = 0; a < kW; ++a) {
          for (int v = 0; v < kV; ++v) sums[b][a][v] = hn::Load(d, partial[b][a] + offset + v * kLanes);
        }
      }
      const auto step = [&](int64_t j, const auto& load) HWY_ATTR {
        for (int v = 0; v < kV; ++v) {
          const int64_t at = j + v * kLanes;
          VF32 wv[kW];
          for (int a = 0; a < kW; ++a) wv[a] = load.template operator()<Scalar::kBF16>(rows[a], at);
          for (int b = 0; b < kT; ++b) {
            const VF32 xv = load.template operator()<kType>(tokens[b], at);
            for (int a = 0; a < kW; ++a) sums[b][a][v] = FusedMulAdd(d, wv[a], xv, sums[b][a][v]);
          }
        }
      };
      int64_t j = begin + offset;
      for (; j + kV * kLanes <= end; j += kSums) {
        if (offset == 0) {
          for (int a = 0; a < kW; ++a) PrefetchRun(rows[a] + kW * ldw + j);
        }
        step(j, [&]<Scalar kS>(const void* p, int64_t at) HWY_ATTR { return LoadF32<kS>(d, p, at); });
      }
      if (j - offset < end) {  // the last, incomplete run of kSums columns: zeros in place of the missing ones
        step(j, [&]<Scalar kS>(const void* p, int64_t at) HWY_ATTR {
          return at < end ? LoadF32N<kS>(d, p, at, static_cast<size_t>(std::min(kLanes, end - at))) : hn::Zero(d);
        });
      }
      for (int b = 0; b < kT; ++b) {
        for (int a = 0; a < kW; ++a) {
          for (int v = 0; v < kV; ++v) hn::Store(sums[b][a][v], d, partial[b][a] + offset + v * kLanes);
        }
      }
    }
  }
  const hn::CappedTag<float, 1> d1;
  for (int b = 0; b < kT; ++b) {
    for (int a = 0; a < kW; ++a) {
      WithScalar(y.type, [&]<Scalar kOut>() HWY_ATTR {
        StoreF32<kOut>(d1, hn::Set(d1, Reduce(partial[b][a])), y.Row(t + b), i + a, 1);
      });
    }
  }
}

template <Scalar kType, int kT>
HWY_INLINE void DotAllRows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, int64_t t, const Matrix& y,
                           int64_t begin, int64_t end) {
  using S = Shape<kT>;
  int64_t i = begin;
  for (; i + S::kRows <= end; i += S::kRows) DotRows<kType, kT, S::kRows, S::kVectors>(w, k, ldw, x, t, i, y);
  for (; i < end; ++i) DotRows<kType, kT, 1, S::kVectors>(w, k, ldw, x, t, i, y);
}

void GemvBf16Rows(const uint16_t* w, int64_t k, int64_t ldw, const ConstMatrix& x, const Matrix& y, int64_t begin,
                  int64_t end) {
  constexpr int64_t kBundle = Shape<kTokens>::kRows;  // of W, for all rows of x while they are in the cache
  WithScalar(x.type, [&]<Scalar kType>() {
    for (; begin < end; begin += kBundle) {
      const int64_t stop = std::min(end, begin + kBundle);
      int64_t t = 0;
      for (; t + kTokens <= x.rows; t += kTokens) DotAllRows<kType, kTokens>(w, k, ldw, x, t, y, begin, stop);
      if (t + 2 <= x.rows) {
        DotAllRows<kType, 2>(w, k, ldw, x, t, y, begin, stop);
        t += 2;
      }
      if (t < x.rows) DotAllRows<kType, 1>(w, k, ldw, x, t, y, begin, stop);
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
