// Time to quantize one layer, Hessian given: quantizer_bench [out] [in] [bits] [threads] [search] [passes]
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "quantizer/quantizer.h"

namespace q = glq::quantizer;

int main(int argc, char** argv) {
  const auto number = [&](int i, long fallback) { return argc > i ? std::atol(argv[i]) : fallback; };
  q::Options o;
  o.out_features = number(1, 4096);
  o.in_features = number(2, 4096);
  o.bits = static_cast<int>(number(3, 2));
  const int threads = static_cast<int>(number(4, 2));
  o.scale_mode = number(5, 0) != 0 ? q::ScaleMode::kSearch : q::ScaleMode::kSpec;
  o.refine_passes = static_cast<int>(number(6, 0));
  const auto pool = glq::MakeThreadPool(threads);
  q::Quantizer quantizer(o, pool.get());

  std::mt19937 twister(1);
  std::normal_distribution<float> normal;
  const int64_t n = o.in_features, tokens = 1024;
  // Correlated activations: neighbours share a part.
  std::vector<float> x(tokens * n), w(o.out_features * n);
  for (int64_t t = 0; t < tokens; ++t) {
    float carry = 0;
    for (int64_t i = 0; i < n; ++i) x[t * n + i] = carry = 0.9f * carry + normal(twister);
  }
  for (float& v : w) v = 0.02f * normal(twister);
  const auto seconds = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  double before = seconds();
  quantizer.AddBatch({x.data(), GLQ_DTYPE_F32, tokens, n, n});
  std::printf("add_batch tokens=%lld s=%.2f\n", static_cast<long long>(tokens), seconds() - before);

  struct Clock {
    std::chrono::steady_clock::time_point last;
    std::string phase;
  } clock = {std::chrono::steady_clock::now(), "check"};
  // Prints how long each phase took.
  const auto progress = [](void* user, int64_t, int64_t, const char* name) -> int32_t {
    Clock& c = *static_cast<Clock*>(user);
    if (c.phase == name) return 0;
    const auto now = std::chrono::steady_clock::now();
    std::printf("  %s s=%.2f\n", c.phase.c_str(), std::chrono::duration<double>(now - c.last).count());
    c = {now, name};
    return 0;
  };
  q::Result result;
  before = seconds();
  quantizer.Run({w.data(), GLQ_DTYPE_F32, o.out_features, n, n}, progress, &clock, &result);
  const double taken = seconds() - before;
  const q::Report& r = quantizer.report();
  std::printf("out=%lld in=%lld bits=%d threads=%d search=%d passes=%d s=%.2f proxy=%.6g relative=%.6g sqnr_db=%.3f\n",
              static_cast<long long>(o.out_features), static_cast<long long>(n), o.bits, threads,
              static_cast<int>(o.scale_mode), o.refine_passes, taken, r.proxy_loss, r.proxy_loss_relative, r.sqnr_db);
  return 0;
}
