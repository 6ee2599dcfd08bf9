// The codeword search: against golden data, against all 65536 codewords, against its plain definition, and on every
// instruction set of the machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "hwy/targets.h"
#include "platform/parallel.h"
#include "quantizer/gemm.h"
#include "quantizer/nearest.h"
#include "quantizer_testing.h"

namespace glq::quantizer {
namespace {

Chain OneStage(e8p::Codebook codebook) {
  Chain c;
  c.stages = 1;
  c.codebook[0] = codebook;
  c.rho[0] = c.sigma[0] = 1;
  return c;
}

// Vectors [n][8] -> codes, through QuantizeBlock.
std::vector<uint16_t> Search(const Chain& chain, const std::vector<double>& x) {
  const int64_t n = static_cast<int64_t>(x.size()) / 8;
  std::vector<uint16_t> out(n * chain.stages);
  for (int64_t first = 0; first < n; first += kStrip) {
    double target[8 * kStrip] = {}, value[8 * kStrip];
    uint16_t codes[e8p::kMaxStages * kStrip];
    const int64_t count = std::min(kStrip, n - first);
    for (int64_t r = 0; r < count; ++r) {
      for (int j = 0; j < 8; ++j) target[j * kStrip + r] = x[(first + r) * 8 + j];
    }
    QuantizeBlock(chain, target, nullptr, value, codes);
    for (int s = 0; s < chain.stages; ++s) {
      for (int64_t r = 0; r < count; ++r) out[s * n + first + r] = codes[s * kStrip + r];
    }
  }
  return out;
}

// As many on every instruction set; `check` runs under each.
template <typename F>
void ForEachTarget(F check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
}

std::vector<double> Gaussian(int64_t n, double scale, uint32_t seed) {
  std::mt19937 twister(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<double> x(n * 8);
  for (double& v : x) v = normal(twister);
  return x;
}

// Vectors with many exact ties: multiples of 1/8 around the codebook's range, and sparse ones.
std::vector<double> Lattice(int64_t n, uint32_t seed) {
  std::mt19937 twister(seed);
  std::vector<double> x(n * 8);
  for (int64_t i = 0; i < n; ++i) {
    const int span = 1 + static_cast<int>(twister() % 24);
    const double unit = i % 3 == 0 ? 0.5 : i % 3 == 1 ? 0.25 : 0.125;
    for (int j = 0; j < 8; ++j) {
      x[i * 8 + j] = i % 5 == 0 && twister() % 2 ? 0 : unit * (static_cast<int>(twister() % (2 * span + 1)) - span);
    }
  }
  return x;
}

// Instrumented code takes ten times as long to look at every codeword.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kVectors = 320;
#else
constexpr int64_t kVectors = 10000;
#endif

struct Brute {
  std::vector<double> codewords = std::vector<double>(8 * 65536);  // [coordinate][code]
  std::vector<double> minus_norm = std::vector<double>(65536);
  Brute() {
    for (int code = 0; code < 65536; ++code) {
      int8_t w[8];
      e8p::DecodeE8p(static_cast<uint16_t>(code), w);
      for (int j = 0; j < 8; ++j) {
        codewords[j * 65536 + code] = 2 * (w[j] / 4.0);
        minus_norm[code] -= w[j] / 4.0 * w[j] / 4.0;
      }
    }
  }
  // Largest 2 x.c - |c|^2 and its code, for 16 vectors [8][16].
  void Best(const double* x, double* score, int* code) const {
    std::fill(score, score + 16, -1e300);
    constexpr int kBatch = 64;
    double c[kBatch * 16];
    for (int first = 0; first < 65536; first += kBatch) {
      for (int i = 0; i < kBatch; ++i) std::fill(c + i * 16, c + i * 16 + 16, minus_norm[first + i]);
      AddProduct(c, 16, {codewords.data() + first, 65536, 1}, x, 16, 8, kBatch, 16);
      for (int i = 0; i < kBatch; ++i) {
        for (int r = 0; r < 16; ++r) {
          const bool wins = c[i * 16 + r] > score[r];
          score[r] = wins ? c[i * 16 + r] : score[r];
          code[r] = wins ? first + i : code[r];
        }
      }
    }
  }
};

double Score(const double* x, uint16_t code) {
  int8_t w[8];
  e8p::DecodeE8p(code, w);
  double s = 0;
  for (int j = 0; j < 8; ++j) s += 2 * x[j] * w[j] / 4.0 - w[j] / 4.0 * w[j] / 4.0;
  return s;
}

TEST(QuantizerNearest, GoldenCodes) {
  const auto x = Golden::Read<float>("nn/e8p_x");
  EXPECT_EQ(Search(OneStage(e8p::Codebook::kE8P), {x.begin(), x.end()}), Golden::Read<uint16_t>("nn/e8p_code"));
  const auto y = Golden::Read<float>("nn/e81b_x");
  const auto small = Golden::Read<uint8_t>("nn/e81b_code");
  EXPECT_EQ(Search(OneStage(e8p::Codebook::kE81B), {y.begin(), y.end()}),
            std::vector<uint16_t>(small.begin(), small.end()));
}

TEST(QuantizerNearest, EqualsBruteForceOverAllCodewords) {
  const Brute brute;
  const auto pool = MakeThreadPool(2);
  std::vector<double> x;
  for (const double scale : {0.3, 0.7, 1.03, 1.5, 2.0, 4.0, 30.0}) {
    const auto more = Gaussian((scale == 1.03 ? 4 : 1) * kVectors, scale, static_cast<uint32_t>(scale * 100));
    x.insert(x.end(), more.begin(), more.end());
  }
  const int64_t n = static_cast<int64_t>(x.size()) / 8;
  ASSERT_EQ(n, 10 * kVectors);
  const auto codes = Search(OneStage(e8p::Codebook::kE8P), x);
  std::atomic<int> differ{0};
  pool->For(n / 16, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      double t[8 * 16], score[16];
      int code[16];
      for (int r = 0; r < 16; ++r) {
        for (int j = 0; j < 8; ++j) t[j * 16 + r] = x[(b * 16 + r) * 8 + j];
      }
      brute.Best(t, score, code);
      for (int r = 0; r < 16; ++r) differ += code[r] != codes[b * 16 + r];
    }
  });
  // Continuous samples have no ties: every single code has to agree.
  EXPECT_EQ(differ, 0);
}

TEST(QuantizerNearest, TiesAreAsNearAsBruteForce) {
  const Brute brute;
  const auto x = Lattice(3200, 7);
  const auto codes = Search(OneStage(e8p::Codebook::kE8P), x);
  int ties = 0;
  for (size_t b = 0; b < codes.size(); b += 16) {
    double t[8 * 16], score[16];
    int code[16];
    for (int r = 0; r < 16; ++r) {
      for (int j = 0; j < 8; ++j) t[j * 16 + r] = x[(b + r) * 8 + j];
    }
    brute.Best(t, score, code);
    for (int r = 0; r < 16; ++r) {
      // All these numbers are exact in fp64.
      ASSERT_EQ(Score(&x[(b + r) * 8], codes[b + r]), score[r]);
      ties += code[r] != codes[b + r];
    }
  }
  EXPECT_GT(ties, 100);  // otherwise this test checks less than it says
}

TEST(QuantizerNearest, EqualsTheDefinitionOnEveryTarget) {
  std::vector<double> x = Gaussian(8000, 1.03, 1);
  for (const auto& more : {Gaussian(2000, 3.0, 2), Gaussian(500, 1e4, 3), Gaussian(500, 1e-9, 4), Lattice(4000, 5)}) {
    x.insert(x.end(), more.begin(), more.end());
  }
  // A hair off exact ties, where rounding could decide differently.
  for (size_t i = 0; i < 8000; ++i) x.push_back(x[x.size() - 32000 + i] * (1 + (i % 7) * 1e-16) + (i % 3) * 1e-17);
  const size_t n = x.size() / 8;
  std::vector<uint16_t> large(n), small(n);
  for (size_t i = 0; i < n; ++i) {
    large[i] = NearestE8p(&x[i * 8]).code;
    small[i] = NearestE81b(&x[i * 8]);
  }
  ForEachTarget([&] {
    EXPECT_EQ(Search(OneStage(e8p::Codebook::kE8P), x), large);
    EXPECT_EQ(Search(OneStage(e8p::Codebook::kE81B), x), small);
  });
}

TEST(QuantizerNearest, ZeroGoesToTheSpecifiedCode) {
  EXPECT_EQ(Search(OneStage(e8p::Codebook::kE8P), std::vector<double>(8))[0], 0x00FF);
}

Chain FourStages(bool joint) {
  Chain c;
  c.stages = 4;
  double product = 1;
  for (int s = 0; s < 4; ++s) {
    c.codebook[s] = s == 3 ? e8p::Codebook::kE81B : e8p::Codebook::kE8P;
    c.rho[s] = s == 0 ? 1 : s == 3 ? 2.04 : 3.45;
    product *= c.rho[s];
    c.sigma[s] = static_cast<float>(1 / product);
  }
  c.joint = joint;
  return c;
}

TEST(QuantizerNearest, ChainsAreTheSameOnEveryTargetAndDecode) {
  std::vector<double> metric(64);
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 8; ++j) metric[i * 8 + j] = i == j ? 1.0 + 0.1 * i : 0.2 / (1 + std::abs(i - j));
  }
  const auto x = Gaussian(2 * kStrip * 50, 0.8, 11);
  for (const bool joint : {false, true}) {
    const Chain chain = FourStages(joint);
    std::vector<double> first;
    ForEachTarget([&] {
      std::vector<double> all;
      for (size_t b = 0; b < x.size(); b += 8 * kStrip) {
        double value[8 * kStrip], decoded[8 * kStrip];
        uint16_t codes[e8p::kMaxStages * kStrip];
        QuantizeBlock(chain, &x[b], metric.data(), value, codes);
        const uint16_t* stages[] = {codes, codes + kStrip, codes + 2 * kStrip, codes + 3 * kStrip};
        DecodeBlock(chain, 4, stages, 1, kStrip, decoded);
        ASSERT_TRUE(std::equal(value, value + 8 * kStrip, decoded));
        all.insert(all.end(), value, value + 8 * kStrip);
      }
      if (first.empty()) first = all;
      EXPECT_EQ(all, first);
    });
  }
}

TEST(QuantizerNearest, JointSearchIsNeverWorse) {
  const auto x = Gaussian(kStrip * 200, 1.0, 12);
  double plain_error = 0, joint_error = 0;
  for (size_t b = 0; b < x.size(); b += 8 * kStrip) {
    double plain[8 * kStrip], joint[8 * kStrip];
    uint16_t codes[e8p::kMaxStages * kStrip];
    QuantizeBlock(FourStages(false), &x[b], nullptr, plain, codes);
    QuantizeBlock(FourStages(true), &x[b], nullptr, joint, codes);
    for (int64_t r = 0; r < kStrip; ++r) {
      double p = 0, q = 0;
      for (int j = 0; j < 8; ++j) {
        const size_t at = j * kStrip + r;
        p += (x[b + at] - plain[at]) * (x[b + at] - plain[at]);
        q += (x[b + at] - joint[at]) * (x[b + at] - joint[at]);
      }
      ASSERT_LE(q, p * (1 + 1e-12));
      plain_error += p;
      joint_error += q;
    }
  }
  EXPECT_LT(joint_error, 0.95 * plain_error);
}

TEST(QuantizerGemm, SameBytesOnEveryTargetAndAsPlainLoops) {
  const int64_t depth = 37, cols = 24, rows = 48;
  std::vector<double> a(depth * cols), b(depth * rows), c(cols * rows);
  std::mt19937 twister(3);
  std::normal_distribution<double> normal;
  for (auto* m : {&a, &b, &c}) {
    for (double& v : *m) v = normal(twister);
  }
  std::vector<double> sum = c, difference = c;
  for (int64_t j = 0; j < cols; ++j) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = 0; k < depth; ++k) {
        sum[j * rows + r] += a[j * depth + k] * b[k * rows + r];
        difference[j * rows + r] -= a[j * depth + k] * b[k * rows + r];
      }
    }
  }
  ForEachTarget([&] {
    std::vector<double> got = c;
    AddProduct(got.data(), rows, {a.data(), 1, depth}, b.data(), rows, depth, cols, rows);
    EXPECT_EQ(got, sum);
    got = c;
    SubtractProduct(got.data(), rows, {a.data(), 1, depth}, b.data(), rows, depth, cols, rows);
    EXPECT_EQ(got, difference);
  });
}

}  // namespace
}  // namespace glq::quantizer
