// Inputs of every kind, good and bad: types, zeros, ragged shapes, NaN, matrices that are no Hessian, hostile states.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Core>
#include <limits>

#include "core/error.h"
#include "quantizer_testing.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace glq::quantizer {
namespace {

// What a saved state ends with.
uint64_t Checksum(const std::vector<uint8_t>& b) {
  uint64_t hash = 0xcbf29ce484222325u ^ (b.size() - 8);
  const auto mix = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  };
  size_t at = 0;
  for (; at + 16 <= b.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, &b[at], 8);
    mix(word);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, &b[at], b.size() - 8 - at);
  mix(tail);
  return hash;
}

class QuantizerInput : public testing::Test {
 protected:
  static Options Make(int64_t out, int64_t in, int bits = 2) {
    Options o;
    o.out_features = out;
    o.in_features = in;
    o.bits = bits;
    return o;
  }

  // The status and message with which `f` fails.
  template <typename F>
  static void ExpectError(F f, glq_status status, const std::string& text) {
    try {
      f();
      ADD_FAILURE() << "no error; expected: " << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.status(), status) << e.what();
      EXPECT_THAT(e.what(), testing::HasSubstr(text));
    }
  }

  double Sqnr(const RandomLayer& layer, const Result& r) {
    const auto now = Reconstruct(r);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < now.size(); ++i) {
      signal += static_cast<double>(layer.w[i]) * layer.w[i];
      noise += (layer.w[i] - now[i]) * (layer.w[i] - now[i]);
    }
    return 10 * std::log10(signal / noise);
  }

  std::unique_ptr<Parallel> pool_ = MakeThreadPool(2);
};

TEST_F(QuantizerInput, GaussianWeightWithIdentityHessianReachesTheExpectedSqnr) {
  const double expected[] = {10.41, 15.28, 20.22, 24.11, 27.03, 28.72, 29.47};
  const RandomLayer layer(512, 512, 42, 1);
  for (int bits = 2; bits <= 8; ++bits) {
    Quantizer q(Make(512, 512, bits), pool_.get());
    Result r;
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
    EXPECT_TRUE(q.report().identity_hessian);
    EXPECT_NEAR(q.report().sqnr_db, expected[bits - 2], 0.1) << bits;
  }
}

TEST_F(QuantizerInput, SearchRemovesTheOverloadOfHighRates) {
  const double expected[] = {20.8, 25.7, 31.1, 35.9, 41.1};
  const RandomLayer layer(256, 256, 43, 1);
  for (int bits = 4; bits <= 8; ++bits) {
    Options o = Make(256, 256, bits);
    o.scale_mode = ScaleMode::kSearch;
    Quantizer q(o, pool_.get());
    Result r;
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
    EXPECT_GT(q.report().sqnr_db, expected[bits - 4]) << bits;
    EXPECT_NEAR(q.report().sqnr_db, Sqnr(layer, r), 1e-6);
  }
}

TEST_F(QuantizerInput, ReportIsWhatTheResultDecodesTo) {
  const RandomLayer layer(50, 100, 6);
  for (const bool pow2 : {false, true}) {
    Options o = Make(50, 100, 7);
    o.pow2_layout = pow2;
    Quantizer q(o, pool_.get());
    q.AddBatch(layer.Tokens());
    Result r;
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
    const Report& report = q.report();
    EXPECT_EQ(r.meta.padded_out, 64);
    EXPECT_EQ(r.meta.padded_in, 128);
    EXPECT_EQ(r.meta.bits(), 7);
    EXPECT_NEAR(report.sqnr_db, Sqnr(layer, r), 1e-6);
    EXPECT_EQ(report.stages, 4);
    EXPECT_EQ(report.samples, 256);
    EXPECT_EQ(static_cast<float>(report.weight_scale), r.weight_scale);
    for (int s = 1; s < 4; ++s) {
      EXPECT_LT(report.stage_error[s], report.stage_error[s - 1]);
      EXPECT_EQ(static_cast<float>(report.cum_inv_scale[s]), r.inv_resid_scale[s - 1]);
      EXPECT_EQ(r.meta.stages[s].cum_inv_scale, report.cum_inv_scale[s]);
    }
    EXPECT_GT(report.proxy_loss_relative, 0);
    EXPECT_LT(report.proxy_loss_relative, 1);
    EXPECT_GT(report.seconds, 0);
    EXPECT_EQ(report.damping_retries, 0);
  }
}

TEST_F(QuantizerInput, RefinementLowersTheLossPassByPass) {
  const RandomLayer layer(64, 128, 7);
  for (const ScaleMode mode : {ScaleMode::kSpec, ScaleMode::kSearch}) {
    for (int bits = 2; bits <= 5; ++bits) {
      double last = 0;
      for (int passes = 0; passes <= 3; ++passes) {
        Options o = Make(64, 128, bits);
        o.refine_passes = passes;
        o.scale_mode = mode;
        o.input_scale = mode == ScaleMode::kSearch ? 0.95 : 0;
        Quantizer q(o, pool_.get());
        q.AddBatch(layer.Tokens());
        Result r;
        ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
        if (passes == 1) {
          EXPECT_LT(q.report().proxy_loss, 0.99 * last);
        } else if (passes > 1) {
          EXPECT_LT(q.report().proxy_loss, last);
        }
        last = q.report().proxy_loss;
      }
    }
  }
}

TEST_F(QuantizerInput, MoeExpertsAgreeWithTheRecordedCodes) {
  // Experts are damped after the rotation only; fp32 and fp64 resolve a near-tie or two differently.
  const auto w = Golden::Read<float>("moe/W_gate_up"), h = Golden::Read<float>("moe/H_gate_up");
  int64_t same = 0, all = 0;
  for (int e = 0; e < 3; ++e) {
    for (const int bits : {4, 5}) {
      Options o = Make(96, 80, bits);
      o.damping = -1;
      Quantizer q(o, pool_.get());
      q.SetHessian({h.data() + e * 80 * 80, GLQ_DTYPE_F32, 80, 80, 80}, 1);
      Result r;
      ASSERT_EQ(q.Run({w.data() + e * 96 * 80, GLQ_DTYPE_F32, 96, 80, 80}, nullptr, nullptr, &r), Outcome::kDone);
      const auto codes = Codes(r, 0);
      std::vector<uint16_t> expected;
      for (const char* part : {"gate", "up"}) {
        const auto words = Golden::Read<uint64_t>("moe/b" + std::to_string(bits) + "/experts." + std::to_string(e) +
                                                  "." + part + "_proj.Qidxs_e8p");
        std::vector<uint16_t> half(48 * 16);
        e8p::UnpackE8p(words.data(), 48, 128, half.data());
        expected.insert(expected.end(), half.begin(), half.end());
      }
      ASSERT_EQ(codes.size(), expected.size());
      for (size_t i = 0; i < codes.size(); ++i) same += codes[i] == expected[i];
      all += static_cast<int64_t>(codes.size());
    }
  }
  EXPECT_GE(same, all - 2);
}

TEST_F(QuantizerInput, HalfPrecisionInputsAreExact) {
  const RandomLayer layer(40, 72, 8);
  const auto check = [&](auto zero, glq_dtype dtype) {
    using T = decltype(zero);
    std::vector<T> w(layer.w.begin(), layer.w.end()), x(layer.x.begin(), layer.x.end());
    std::vector<float> w32(w.begin(), w.end());
    std::vector<double> x64;
    for (const T v : x) x64.push_back(static_cast<double>(static_cast<float>(v)));
    Quantizer a(Make(40, 72), pool_.get()), b(Make(40, 72), pool_.get());
    a.AddBatch({x.data(), dtype, layer.tokens, 72, 72});
    b.AddBatch(View(x64, layer.tokens, 72));
    Result first, second;
    ASSERT_EQ(a.Run({w.data(), dtype, 40, 72, 72}, nullptr, nullptr, &first), Outcome::kDone);
    ASSERT_EQ(b.Run(View(w32, 40, 72), nullptr, nullptr, &second), Outcome::kDone);
    EXPECT_TRUE(SameBytes(first, second));
  };
  check(Eigen::half(), GLQ_DTYPE_F16);
  check(Eigen::bfloat16(), GLQ_DTYPE_BF16);
}

TEST_F(QuantizerInput, StridesAndOddShapes) {
  for (const auto& [out, in] :
       {std::pair(1, 1), std::pair(1, 7), std::pair(17, 3), std::pair(3, 65), std::pair(33, 129)}) {
    const RandomLayer layer(out, in, 10, 20);
    std::vector<float> wide(out * (in + 5), std::nanf("")), tokens(20 * (in + 3), std::nanf(""));
    for (int64_t i = 0; i < out; ++i) std::copy_n(&layer.w[i * in], in, &wide[i * (in + 5)]);
    for (int64_t i = 0; i < 20; ++i) std::copy_n(&layer.x[i * in], in, &tokens[i * (in + 3)]);
    Quantizer a(Make(out, in, 3), pool_.get()), b(Make(out, in, 3), pool_.get());
    a.AddBatch(layer.Tokens());
    b.AddBatch({tokens.data(), GLQ_DTYPE_F32, 20, in, in + 3});
    b.AddBatch({nullptr, GLQ_DTYPE_F32, 0, in, in});
    Result first, second;
    ASSERT_EQ(a.Run(layer.Weight(), nullptr, nullptr, &first), Outcome::kDone);
    ASSERT_EQ(b.Run({wide.data(), GLQ_DTYPE_F32, out, in, in + 5}, nullptr, nullptr, &second), Outcome::kDone);
    EXPECT_TRUE(SameBytes(first, second));
    EXPECT_NEAR(a.report().sqnr_db, Sqnr(layer, first), 1e-6);
  }
}

TEST_F(QuantizerInput, ZeroWeightIsReproducedExactly) {
  for (const float tiny : {0.0f, 1e-42f}) {
    const std::vector<float> w(32 * 64, tiny);
    for (const ScaleMode mode : {ScaleMode::kSpec, ScaleMode::kSearch}) {
      Options o = Make(32, 64, 4);
      o.scale_mode = mode;
      Quantizer q(o, pool_.get());
      Result r;
      ASSERT_EQ(q.Run(View(w, 32, 64), nullptr, nullptr, &r), Outcome::kDone);
      EXPECT_EQ(r.weight_scale, 0.0f);
      EXPECT_EQ(q.report().proxy_loss, 0);
      EXPECT_EQ(q.report().sqnr_db, tiny == 0 ? std::numeric_limits<double>::infinity() : 0.0);
      for (const double v : Reconstruct(r)) ASSERT_EQ(v, 0);
    }
  }
}

TEST_F(QuantizerInput, ZeroHessianIsAsGoodAsNone) {
  const RandomLayer layer(32, 64, 12);
  Quantizer q(Make(32, 64), pool_.get());
  q.AddBatch(View(std::vector<float>(64), 1, 64));
  Result r;
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
  EXPECT_EQ(q.report().damping_retries, 1);
  EXPECT_GT(q.report().sqnr_db, 10);
}

TEST_F(QuantizerInput, IndefiniteHessians) {
  const RandomLayer layer(32, 64, 13);
  std::vector<double> h(64 * 64);
  for (int i = 0; i < 64; ++i) h[i * 64 + i] = 1;
  // Eigenvalue -0.05: one step of 0.1 of the mean mends it.
  h[1] = h[64] = 1.07;
  Quantizer q(Make(32, 64), pool_.get());
  q.SetHessian(View(h, 64, 64), 1);
  Result r;
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
  EXPECT_EQ(q.report().damping_retries, 1);
  h[1] = h[64] = 5;
  q.SetHessian(View(h, 64, 64), 1);
  ExpectError([&] { q.Run(layer.Weight(), nullptr, nullptr, &r); }, GLQ_E_NUMERIC, "not positive definite");
  EXPECT_FALSE(q.in_cancelled_run());
}

TEST_F(QuantizerInput, BadMatrices) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  RandomLayer layer(20, 40, 14);
  Quantizer q(Make(20, 40), pool_.get());
  q.AddBatch(layer.Tokens());
  std::vector<double> before(40 * 40), after(40 * 40);
  q.GetHessian(before.data(), GLQ_DTYPE_F64, 40);
  Result r;
  for (const float bad : {nan, inf, -inf}) {
    RandomLayer broken = layer;
    broken.w[3 * 40 + 17] = bad;
    broken.x[200 * 40 + 5] = bad;
    ExpectError([&] { q.Run(broken.Weight(), nullptr, nullptr, &r); }, GLQ_E_NOT_FINITE, "weight[3, 17]");
    ExpectError([&] { q.AddBatch(broken.Tokens()); }, GLQ_E_NOT_FINITE, "x[200, 5]");
    std::vector<double> h = before;
    h[7 * 40 + 2] = bad;
    ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_NOT_FINITE, "hessian[7, 2]");
    h[7 * 40 + 2] = before[7 * 40 + 2];
    h[2 * 40 + 7] = bad;
    ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_NOT_FINITE, "hessian[2, 7]");
  }
  std::vector<double> h = before;
  h[7 * 40 + 2] += 0.01 * before[0];
  ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_INVALID_ARGUMENT, "hessian[7, 2] = ");
  ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_INVALID_ARGUMENT, "not symmetric");
  h = before;
  h[41] = -1;
  ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_INVALID_ARGUMENT, "negative");
  ExpectError([&] { q.SetHessian(View(before, 40, 40), -1); }, GLQ_E_INVALID_ARGUMENT, "samples is -1");
  ExpectError([&] { q.SetHessian(View(before, 40, 40), nan); }, GLQ_E_INVALID_ARGUMENT, "samples");
  ExpectError([&] { q.SetHessian(View(before, 20, 80), 1); }, GLQ_E_SHAPE, "hessian is [20, 80]; expected [40, 40]");
  ExpectError([&] { q.SetHessian({before.data(), GLQ_DTYPE_F16, 40, 40, 40}, 1); }, GLQ_E_DTYPE, "expected F32 or F64");
  ExpectError([&] { q.Run(View(layer.w, 40, 20), nullptr, nullptr, &r); }, GLQ_E_SHAPE,
              "weight is [40, 20]; expected [20, 40]");
  ExpectError(
      [&] {
        q.Run({layer.w.data(), GLQ_DTYPE_F32, 20, 40, 39}, nullptr, nullptr, &r);
      },
      GLQ_E_LAYOUT, "stride of 39");
  ExpectError([&] { q.Run({layer.w.data(), GLQ_DTYPE_I8, 20, 40, 40}, nullptr, nullptr, &r); }, GLQ_E_DTYPE, "weight");
  ExpectError(
      [&] {
        q.Run({nullptr, GLQ_DTYPE_F32, 20, 40, 40}, nullptr, nullptr, &r);
      },
      GLQ_E_INVALID_ARGUMENT, "weight is null");
  ExpectError([&] { q.AddBatch({layer.x.data(), GLQ_DTYPE_F32, 5, 41, 41}); }, GLQ_E_SHAPE, "x is [5, 41]");
  ExpectError([&] { q.report(); }, GLQ_E_WRONG_STATE, "no run");
  std::vector<double> huge(20 * 40, 1e300);
  ExpectError([&] { q.Run(View(huge, 20, 40), nullptr, nullptr, &r); }, GLQ_E_NOT_FINITE, "rms");
  q.GetHessian(after.data(), GLQ_DTYPE_F64, 40);
  EXPECT_EQ(before, after);
  EXPECT_TRUE(r.stages.empty());
}

TEST_F(QuantizerInput, HessiansThatLeaveFp64AreRefused) {
  RandomLayer layer(20, 40, 18);
  Quantizer q(Make(20, 40), pool_.get());
  q.AddBatch(layer.Tokens());
  std::vector<double> before(40 * 40), after(40 * 40);
  q.GetHessian(before.data(), GLQ_DTYPE_F64, 40);
  std::vector<double> x(300 * 40, 1);
  for (const double huge : {1e51, -1e200, std::numeric_limits<double>::max()}) {
    x[200 * 40 + 5] = huge;
    ExpectError([&] { q.AddBatch(View(x, 300, 40)); }, GLQ_E_NOT_FINITE, "x[200, 5] = ");
  }
  // Also where it is only the sum that does.
  x.assign(300 * 40, 0);
  for (int t = 10; t < 300; t += 10) x[t * 40 + 3] = 3e49;
  ExpectError([&] { q.AddBatch(View(x, 300, 40)); }, GLQ_E_NOT_FINITE, "x[120, 3] = 3e+49");
  for (const double huge : {1e101, std::numeric_limits<double>::max()}) {
    std::vector<double> h = before;
    h[5 * 41] = huge;
    ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_NOT_FINITE, "hessian[5, 5] = ");
  }
  std::vector<double> h(40 * 40);
  for (int i = 0; i < 40; ++i) h[i * 41] = 1e95;
  ExpectError([&] { q.SetHessian(View(h, 40, 40), 1e6); }, GLQ_E_NOT_FINITE, "hessian[0, 0] = 1e+95, times 1e+06");
  h[1] = 1e94;
  ExpectError([&] { q.SetHessian(View(h, 40, 40), 1); }, GLQ_E_INVALID_ARGUMENT, "not symmetric");
  EXPECT_EQ(q.GetHessian(after.data(), GLQ_DTYPE_F64, 40), 256);
  EXPECT_EQ(before, after);
  // What add_batch adds to counts, whoever it is from.
  h[1] = 0;
  q.SetHessian(View(h, 40, 40), 99999);
  x.assign(40, 1e48);
  ExpectError([&] { q.AddBatch(View(x, 1, 40)); }, GLQ_E_NOT_FINITE, "x[0, 0] = 1e+48");
  std::vector<std::byte> saved(q.SavedSize());
  q.Save(saved.data());
  Quantizer loaded = Quantizer::Load(saved.data(), saved.size(), pool_.get());
  ExpectError([&] { loaded.AddBatch(View(x, 1, 40)); }, GLQ_E_NOT_FINITE, "x[0, 0] = 1e+48");
  q.SetHessian(View(h, 40, 40), 0);
  q.AddBatch(View(x, 1, 40));
}

TEST_F(QuantizerInput, HessiansJustBelowTheLimitAreAsGoodAsAny) {
  const RandomLayer layer(32, 64, 19);
  for (const ScaleMode mode : {ScaleMode::kSpec, ScaleMode::kSearch}) {
    Options o = Make(32, 64, 3);
    o.refine_passes = 1;
    o.scale_mode = mode;
    Quantizer q(o, pool_.get());
    q.AddBatch(layer.Tokens());
    std::vector<double> h(64 * 64);
    q.GetHessian(h.data(), GLQ_DTYPE_F64, 64);
    Result want, got;
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &want), Outcome::kDone);
    const double loss = q.report().proxy_loss_relative;
    for (double& v : h) v = std::ldexp(v, 300);
    q.SetHessian(View(h, 64, 64), 256);
    std::vector<std::byte> saved(q.SavedSize());
    q.Save(saved.data());
    Quantizer loaded = Quantizer::Load(saved.data(), saved.size(), pool_.get());
    ASSERT_EQ(loaded.Run(layer.Weight(), nullptr, nullptr, &got), Outcome::kDone);
    EXPECT_TRUE(SameBytes(want, got));
    EXPECT_EQ(loaded.report().proxy_loss_relative, loss);
  }
}

#if defined(__x86_64__)
// Calls `f` with floating-point exceptions that kill the process, and subnormals flushed; passes on what it throws.
template <typename F>
void WithTraps(F f) {
  struct Restored {
    unsigned saved = _mm_getcsr();
    ~Restored() { _mm_setcsr(saved); }
  } restored;
  _mm_setcsr(0x1900 | 0x8040);  // invalid, division by zero and overflow unmasked
  f();
}

TEST_F(QuantizerInput, CallersMayTrapFloatingPointExceptions) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const RandomLayer layer(20, 64, 20);
  Options bad = Make(20, 64);
  bad.damping = bad.rho_e8p = std::numeric_limits<double>::signaling_NaN();
  ExpectError([&] { WithTraps([&] { Quantizer q(bad, pool_.get()); }); }, GLQ_E_NOT_FINITE, "damping");
  ExpectError([&] { WithTraps([&] { Quantizer::MemoryEstimate(bad, 2); }); }, GLQ_E_NOT_FINITE, "damping");

  Quantizer q(Make(20, 64), pool_.get());
  std::vector<double> x(3 * 64, 1e-310), h(64 * 64);
  WithTraps([&] { q.AddBatch(View(x, 3, 64)); });
  for (const double v : {inf, nan, 1e300}) {
    x[70] = v;
    ExpectError([&] { WithTraps([&] { q.AddBatch(View(x, 3, 64)); }); }, GLQ_E_NOT_FINITE, "x[1, 6]");
    h[65] = v;
    ExpectError([&] { WithTraps([&] { q.SetHessian(View(h, 64, 64), 2); }); }, GLQ_E_NOT_FINITE, "hessian[1, 1]");
  }
  ExpectError([&] { WithTraps([&] { q.SetHessian(View(h, 64, 64), nan); }); }, GLQ_E_INVALID_ARGUMENT, "samples");
  for (int i = 0; i < 64; ++i) h[i * 65] = 1e60;
  WithTraps([&] { q.SetHessian(View(h, 64, 64), 2); });
  std::vector<float> f32(64 * 64);
  WithTraps([&] { q.GetHessian(f32.data(), GLQ_DTYPE_F32, 64); });
  RandomLayer broken = layer;
  broken.w[70] = static_cast<float>(inf);
  Result r;
  ExpectError([&] { WithTraps([&] { q.Run(broken.Weight(), nullptr, nullptr, &r); }); }, GLQ_E_NOT_FINITE,
              "weight[1, 6]");
  WithTraps([&] { ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone); });

  std::vector<uint8_t> state(q.SavedSize());
  q.Save(state.data());
  for (const size_t at : {size_t{96}, size_t{104}, size_t{104 + 8 * 65}}) {  // samples, two elements
    for (const double v : {inf, -inf, nan}) {
      auto damaged = state;
      std::memcpy(&damaged[at], &v, 8);
      const uint64_t sum = Checksum(damaged);
      std::memcpy(&damaged[damaged.size() - 8], &sum, 8);
      ExpectError([&] { WithTraps([&] { Quantizer::Load(damaged.data(), damaged.size(), pool_.get()); }); },
                  GLQ_E_BAD_FILE, "quantizer state");
    }
  }
}
#endif

TEST_F(QuantizerInput, BadOptions) {
  const auto expect = [&](void (*change)(Options&), glq_status status, const char* text) {
    Options o = Make(64, 64);
    change(o);
    ExpectError([&] { Quantizer q(o, pool_.get()); }, status, text);
    ExpectError([&] { Quantizer::MemoryEstimate(o, 2); }, status, text);
  };
  expect([](Options& o) { o.bits = 1; }, GLQ_E_INVALID_ARGUMENT, "bits is 1");
  expect([](Options& o) { o.bits = 9; }, GLQ_E_INVALID_ARGUMENT, "bits is 9");
  expect([](Options& o) { o.in_features = 0; }, GLQ_E_INVALID_ARGUMENT, "in_features is 0");
  expect([](Options& o) { o.out_features = -5; }, GLQ_E_INVALID_ARGUMENT, "out_features is -5");
  expect([](Options& o) { o.in_features = int64_t{1} << 40; }, GLQ_E_INVALID_ARGUMENT, "in_features");
  expect([](Options& o) { o.refine_passes = 101; }, GLQ_E_INVALID_ARGUMENT, "refine_passes is 101");
  expect([](Options& o) { o.scale_mode = static_cast<ScaleMode>(2); }, GLQ_E_INVALID_ARGUMENT, "scale_mode is 2");
  expect([](Options& o) { o.damping = std::nan(""); }, GLQ_E_NOT_FINITE, "damping");
  expect([](Options& o) { o.input_scale = -1; }, GLQ_E_INVALID_ARGUMENT, "input_scale is -1");
  expect([](Options& o) { o.rho_e8p = std::nan(""); }, GLQ_E_NOT_FINITE, "rho_e8p");
  expect([](Options& o) { o.rho_e81b = 1e9; }, GLQ_E_INVALID_ARGUMENT, "rho_e81b");
  expect([](Options& o) { o.pow2_layout = true, o.out_features = 8; }, GLQ_E_SHAPE, "[8, 64]");
}

TEST_F(QuantizerInput, ACancelledRunAllowsNothingElse) {
  RandomLayer layer(400, 64, 15);
  Quantizer q(Make(400, 64), pool_.get());
  Result r;
  const auto stop = [](void*, int64_t, int64_t, const char* phase) -> int32_t { return phase[0] == 'l'; };
  ASSERT_EQ(q.Run(layer.Weight(), stop, nullptr, &r), Outcome::kCancelled);
  ExpectError([&] { q.AddBatch(layer.Tokens()); }, GLQ_E_WRONG_STATE, "add_batch");
  ExpectError([&] { q.SetHessian(View(std::vector<double>(64 * 64), 64, 64), 1); }, GLQ_E_WRONG_STATE, "set_hessian");
  RandomLayer other = layer;
  other.w[5] += 1;
  ExpectError([&] { q.Run(other.Weight(), nullptr, nullptr, &r); }, GLQ_E_WRONG_STATE, "weight differs");
  EXPECT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &r), Outcome::kDone);
  EXPECT_EQ(q.Run(other.Weight(), nullptr, nullptr, &r), Outcome::kDone);
}

TEST_F(QuantizerInput, HostileStatesAreRejected) {
  const RandomLayer layer(400, 64, 16);
  Options o = Make(400, 64, 3);
  Quantizer q(o, pool_.get());
  q.AddBatch(layer.Tokens());
  Result r;
  int calls = 0;
  const auto stop = [](void* user, int64_t, int64_t, const char* phase) -> int32_t {
    return phase[0] == 'l' && ++*static_cast<int*>(user) == 2;
  };
  ASSERT_EQ(q.Run(layer.Weight(), stop, &calls, &r), Outcome::kCancelled);
  std::vector<uint8_t> good(q.SavedSize());
  q.Save(good.data());
  // From any alignment.
  std::vector<uint8_t> moved(good.size() + 1);
  std::copy(good.begin(), good.end(), moved.begin() + 1);
  EXPECT_NO_THROW(Quantizer::Load(moved.data() + 1, good.size(), pool_.get()));

  const auto load = [&](const std::vector<uint8_t>& bytes) {
    Quantizer::Load(bytes.data(), bytes.size(), pool_.get());
  };
  for (size_t n : {size_t{0}, size_t{7}, size_t{8}, size_t{100}, good.size() / 2, good.size() - 1}) {
    ExpectError(
        [&] {
          load({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)});
        },
        GLQ_E_BAD_FILE, "quantizer state");
  }
  std::mt19937 twister(1);
  for (int i = 0; i < 500; ++i) {
    auto bad = good;
    bad[i < 160 ? static_cast<size_t>(i) : twister() % bad.size()] ^= static_cast<uint8_t>(1 << twister() % 8);
    ExpectError([&] { load(bad); }, GLQ_E_BAD_FILE, "quantizer state");
  }
  auto longer = good;
  longer.push_back(0);
  ExpectError([&] { load(longer); }, GLQ_E_BAD_FILE, "damaged");

  // An attacker who gets the checksum right: every 4-byte field of the headers takes extreme values. What is accepted
  // has to be a state that can be used.
  uint64_t stored;
  std::memcpy(&stored, good.data() + good.size() - 8, 8);
  ASSERT_EQ(Checksum(good), stored);
  const size_t run = 104 + SymmetricTiles::Elements(64) * 8;
  int accepted = 0, rejected = 0;
  for (size_t at = 8; at < run + 56; at += at == 100 ? run - 100 : 4) {
    for (const uint32_t value : {0u, 1u, 5u, 0x7fffffffu, 0xffffffffu, 0x7ff00000u, 0x40000000u}) {
      auto bad = good;
      std::memcpy(&bad[at], &value, 4);
      const uint64_t fixed = Checksum(bad);
      std::memcpy(&bad[bad.size() - 8], &fixed, 8);
      try {
        Quantizer loaded = Quantizer::Load(bad.data(), bad.size(), pool_.get());
        ++accepted;
        if (loaded.options().in_features != 64 || loaded.options().out_features != 400) continue;
        try {
          loaded.Run(layer.Weight(), nullptr, nullptr, &r);
        } catch (const Error& e) {
          EXPECT_TRUE(e.status() == GLQ_E_WRONG_STATE || e.status() == GLQ_E_NOT_FINITE) << e.what();
        }
      } catch (const Error& e) {
        EXPECT_EQ(e.status(), GLQ_E_BAD_FILE) << at << " " << value << " " << e.what();
        ++rejected;
      }
    }
  }
  EXPECT_GT(accepted, 20);
  EXPECT_GT(rejected, 100);
}

}  // namespace
}  // namespace glq::quantizer
