// The Hessian of a layer's inputs: from activations, set, read.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/error.h"
#include "platform/fp_env.h"
#include "quantizer/gemm.h"
#include "quantizer/quantizer.h"

namespace glq::quantizer {
namespace {

constexpr int64_t kTokens = 128;  // converted at a time

void KeepLowest(std::atomic<int64_t>& lowest, int64_t value) {
  int64_t seen = lowest.load(std::memory_order_relaxed);
  while (value < seen && !lowest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

void Quantizer::CheckNotInRun(const char* what) const {
  if (progress_.active) {
    Fail(GLQ_E_WRONG_STATE,
         "%s: a run was cancelled or has failed after %lld of %lld rows and has to be finished or abandoned first",
         what, static_cast<long long>(progress_.strips_done * kStrip),
         static_cast<long long>(PaddedOut(options_.out_features, options_.pow2_layout)));
  }
}

void Quantizer::AddBatch(const MatrixView& x) {
  const ScopedDefaultFp fp;
  CheckNotInRun("add_batch");
  const int64_t n = options_.in_features;
  CheckView(x, "x", -1, n);
  if (x.rows == 0) return;
  const int64_t width = RoundUp(n, kTile);
  AlignedVector<double> slab(static_cast<size_t>(std::min(kTokens, x.rows) * width));

  const auto load = [&](int64_t first, int64_t count, auto&& look) {
    parallel_->For(count, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        double* row = slab.data() + t * width;
        LoadRow(x, first + t, 0, n, row);
        look(t, row);
      }
    });
  };

  // Every token is looked at before the first is added, so that a bad batch changes nothing.
  std::atomic<int64_t> bad{x.rows * n};
  int64_t beyond = -1;
  double bound = samples_ > 0 ? bound_ : 0;
  double largest[kTokens];
  for (int64_t first = 0; first < x.rows; first += kTokens) {
    const int64_t count = std::min(kTokens, x.rows - first);
    load(first, count, [&](int64_t t, const double* row) {
      const int64_t at = FirstNotFinite(row, n);
      if (at >= 0) KeepLowest(bad, (first + t) * n + at);
      largest[t] = LargestMagnitude(row, n);
    });
    for (int64_t t = 0; t < count; ++t) {
      bound += largest[t] * largest[t];
      if (beyond < 0 && !(bound <= kLargestElement)) beyond = first + t;
    }
  }
  if (bad < x.rows * n) {
    Fail(GLQ_E_NOT_FINITE, "x[%lld, %lld] is NaN or infinite; the Hessian is unchanged",
         static_cast<long long>(bad / n), static_cast<long long>(bad % n));
  }
  if (beyond >= 0) {
    LoadRow(x, beyond, 0, n, slab.data());
    const double most = LargestMagnitude(slab.data(), n);
    const auto at = std::find_if(slab.begin(), slab.end(), [&](double v) { return std::fabs(v) == most; });
    Fail(GLQ_E_NOT_FINITE, "x[%lld, %lld] = %g: with its square the Hessian goes beyond %g; the Hessian is unchanged",
         static_cast<long long>(beyond), static_cast<long long>(at - slab.begin()), *at, kLargestElement);
  }

  if (hessian_.empty()) hessian_ = SymmetricTiles(n);
  if (samples_ == 0) std::fill(hessian_.data().begin(), hessian_.data().end(), 0.0);
  const int64_t tiles = hessian_.tiles();
  for (int64_t first = 0; first < x.rows; first += kTokens) {
    const int64_t count = std::min(kTokens, x.rows - first);
    load(first, count, [](int64_t, const double*) {});
    parallel_->For(tiles * (tiles + 1) / 2, 1, [&](int64_t begin, int64_t end, int) {
      int64_t i, j;
      TriangleIndex(begin, &i, &j);
      for (int64_t p = begin; p < end; ++p) {
        AddProduct(hessian_.Tile(i, j), kTile, {slab.data() + j * kTile, width, 1}, slab.data() + i * kTile, width,
                   count, kTile, kTile);
        if (++j > i) ++i, j = 0;
      }
    });
  }
  samples_ += static_cast<double>(x.rows);
  bound_ = bound;
  has_report_ = false;
}

void Quantizer::SetHessian(const MatrixView& h, double samples) {
  const ScopedDefaultFp fp;
  CheckNotInRun("set_hessian");
  const int64_t n = options_.in_features;
  CheckView(h, "hessian", n, n);
  if (h.dtype != GLQ_DTYPE_F32 && h.dtype != GLQ_DTYPE_F64) {
    Fail(GLQ_E_DTYPE, "hessian has data type 0x%08x; expected F32 or F64", static_cast<unsigned>(h.dtype));
  }
  if (!(samples >= 0) || !std::isfinite(samples)) {
    Fail(GLQ_E_INVALID_ARGUMENT, "samples is %g; expected a number of at least 0", samples);
  }
  const auto at = [&](int64_t i, int64_t j) {
    double v;
    LoadRow(h, i, j, 1, &v);
    return v;
  };
  // Rounding in whatever produced the matrix is forgiven, another matrix is not.
  constexpr double kAsymmetry = 1e-5;
  std::atomic<int64_t> infinite{n * n}, negative{n}, asymmetric{n * n}, beyond{n * n};
  SymmetricTiles sum(n);
  std::vector<double> largest(parallel_->workers());
  const double factor = samples > 0 ? samples : 1;
  parallel_->For(n, 16, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) {
      const double diagonal = at(i, i);
      if (diagonal < 0) KeepLowest(negative, i);
      for (int64_t j = 0; j <= i; ++j) {
        const double low = at(i, j), high = at(j, i);
        if (!std::isfinite(low)) KeepLowest(infinite, i * n + j);
        if (!std::isfinite(high)) KeepLowest(infinite, j * n + i);
        const double size = std::sqrt(std::fabs(diagonal) * std::fabs(at(j, j)));
        if (std::fabs(low - high) > kAsymmetry * std::max(size, std::max(std::fabs(low), std::fabs(high)))) {
          KeepLowest(asymmetric, i * n + j);
        }
        const double v = (low + high) / 2 * factor;
        if (!(std::fabs(v) <= kLargestElement)) KeepLowest(beyond, i * n + j);
        largest[worker] = std::max(largest[worker], std::fabs(v));
        sum.At(i, j) = v;
        if (i / kTile == j / kTile) sum.At(j, i) = v;
      }
    }
  });
  const auto fail_at = [&](glq_status status, int64_t where, const char* what) {
    const int64_t i = where / n, j = where % n;
    Fail(status, "hessian[%lld, %lld] = %g and hessian[%lld, %lld] = %g: %s", static_cast<long long>(i),
         static_cast<long long>(j), at(i, j), static_cast<long long>(j), static_cast<long long>(i), at(j, i), what);
  };
  if (infinite < n * n) fail_at(GLQ_E_NOT_FINITE, infinite, "NaN or infinite");
  if (negative < n) fail_at(GLQ_E_INVALID_ARGUMENT, negative * n + negative, "a diagonal element is negative");
  if (asymmetric < n * n) fail_at(GLQ_E_INVALID_ARGUMENT, asymmetric, "not symmetric");
  if (beyond < n * n) {
    Fail(GLQ_E_NOT_FINITE, "hessian[%lld, %lld] = %g, times %g samples, is beyond %g; the Hessian is unchanged",
         static_cast<long long>(beyond / n), static_cast<long long>(beyond % n), at(beyond / n, beyond % n), factor,
         kLargestElement);
  }
  hessian_ = std::move(sum);
  samples_ = samples;
  bound_ = *std::max_element(largest.begin(), largest.end());
  has_report_ = false;
}

double Quantizer::GetHessian(void* out, glq_dtype dtype, int64_t stride) const {
  const ScopedDefaultFp fp;
  const int64_t n = options_.in_features;
  CheckView({out, dtype, n, n, stride}, "hessian", n, n);
  if (dtype != GLQ_DTYPE_F32 && dtype != GLQ_DTYPE_F64) {
    Fail(GLQ_E_DTYPE, "hessian has data type 0x%08x; expected F32 or F64", static_cast<unsigned>(dtype));
  }
  const double divisor = samples_ > 0 ? samples_ : 1;
  parallel_->For(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const double v = hessian_.empty() ? 0 : hessian_.Symmetric(i, j) / divisor;
        if (dtype == GLQ_DTYPE_F64) {
          static_cast<double*>(out)[i * stride + j] = v;
        } else {
          static_cast<float*>(out)[i * stride + j] = static_cast<float>(v);
        }
      }
    }
  });
  return samples_;
}

}  // namespace glq::quantizer
