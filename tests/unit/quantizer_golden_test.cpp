// The quantizer against the golden layers: the same codes, and proxy losses that only get better.
#include <gtest/gtest.h>

#include "quantizer/factor.h"
#include "quantizer_testing.h"

namespace glq::quantizer {
namespace {

struct Case {
  const char* name;    // of the outputs
  const char* inputs;  // of W and H
  int first_bits, last_bits;
  bool pow2;
};

const Case kCases[] = {{"bd_96x192", "bd_96x192", 2, 8, false},
                       {"bd_100x200", "bd_100x200", 2, 4, false},
                       {"bd_48x80", "bd_48x80", 3, 3, false},
                       {"pow2_48x80", "pow2_48x80", 2, 4, true},
                       {"pow2_96x192", "bd_96x192", 4, 4, true}};

struct Loaded {
  std::vector<float> w, h;
  int64_t out, in;
};

Loaded LoadInputs(const Case& c) {
  // Layers that repeat another's inputs name them there.
  const std::string from = Golden::Has(std::string(c.name) + "/W") ? c.name : c.inputs;
  const std::vector<int64_t> shape = Golden::Shape(from + "/W");
  return {Golden::Read<float>(from + "/W"), Golden::Read<float>(from + "/H"), shape[0], shape[1]};
}

class GoldenLayers : public testing::TestWithParam<Case> {
 protected:
  // Quantizes the layer and returns the report.
  Report Quantize(int bits, ScaleMode mode, int passes, Result* result) {
    const Loaded layer = LoadInputs(GetParam());
    Options o;
    o.in_features = layer.in;
    o.out_features = layer.out;
    o.bits = bits;
    o.pow2_layout = GetParam().pow2;
    o.scale_mode = mode;
    o.refine_passes = passes;
    Quantizer q(o, pool_.get());
    q.SetHessian(View(layer.h, layer.in, layer.in), 1);
    EXPECT_EQ(q.Run(View(layer.w, layer.out, layer.in), nullptr, nullptr, result), Outcome::kDone);
    return q.report();
  }

  // Proxy loss of the recorded codes.
  double RecordedLoss(int bits) {
    const Loaded layer = LoadInputs(GetParam());
    const std::string base = std::string(GetParam().name) + "/b" + std::to_string(bits);
    Result r;
    Quantize(bits, ScaleMode::kSpec, 0, &r);
    for (size_t s = 0; s < r.stages.size(); ++s) {
      const bool e8p = r.meta.stages[s].codebook == e8p::Codebook::kE8P;
      const std::string key = base + "/Qidxs" + (s == 0 ? "" : std::to_string(s + 1)) + (e8p ? "_e8p" : "_e81b");
      const auto bytes = Golden::Read<uint8_t>(key);
      r.stages[s].assign(bytes.begin(), bytes.end());
    }
    r.weight_scale = Golden::Read<float>(base + "/Wscale")[0];
    return Loss(layer, r);
  }

  // The definition, in original space: the rotation changes neither the Hessian's quadratic form nor its mean
  // diagonal, padding rows count with a weight of zero, padding columns have a Hessian of zero.
  static double Loss(const Loaded& layer, const Result& r) {
    const std::vector<double> now = Reconstruct(r, true);
    double mean = 0;
    for (int64_t i = 0; i < layer.in; ++i) mean += layer.h[i * layer.in + i];
    mean /= static_cast<double>(layer.in);
    double total = 0;
    std::vector<double> d(layer.in);
    for (int64_t i = 0; i < r.meta.padded_out; ++i) {
      for (int64_t j = 0; j < layer.in; ++j) {
        d[j] = (i < layer.out ? layer.w[i * layer.in + j] : 0.0) - now[i * r.meta.padded_in + j];
      }
      for (int64_t j = 0; j < layer.in; ++j) {
        total += 0.01 * mean * d[j] * d[j];
        for (int64_t k = 0; k < layer.in; ++k) total += d[j] * layer.h[j * layer.in + k] * d[k];
      }
    }
    return total / static_cast<double>(r.meta.padded_out);
  }

  std::unique_ptr<Parallel> pool_ = MakeThreadPool(2);
};

TEST_P(GoldenLayers, CodesAreExactlyTheRecordedOnes) {
  for (int bits = GetParam().first_bits; bits <= GetParam().last_bits; ++bits) {
    SCOPED_TRACE(bits);
    Result r;
    Quantize(bits, ScaleMode::kSpec, 0, &r);
    const std::string base = std::string(GetParam().name) + "/b" + std::to_string(bits);
    for (size_t s = 0; s < r.stages.size(); ++s) {
      const bool e8p = r.meta.stages[s].codebook == e8p::Codebook::kE8P;
      const std::string key = base + "/Qidxs" + (s == 0 ? "" : std::to_string(s + 1)) + (e8p ? "_e8p" : "_e81b");
      const auto expected = Golden::Read<uint8_t>(key);
      EXPECT_EQ(std::vector<uint8_t>(r.stages[s].begin(), r.stages[s].end()), expected) << key;
    }
    EXPECT_EQ(r.su, Golden::Read<uint16_t>(base + "/SU"));
    EXPECT_EQ(r.sv, Golden::Read<uint16_t>(base + "/SV"));
    EXPECT_NEAR(r.weight_scale, Golden::Read<float>(base + "/Wscale")[0], 2e-7 * r.weight_scale);
    const char* names[] = {"/inv_resid_scale", "/inv_resid_scale2", "/inv_resid_scale3"};
    for (size_t s = 0; s < r.inv_resid_scale.size(); ++s) {
      EXPECT_EQ(r.inv_resid_scale[s], Golden::Read<float>(base + names[s])[0]);
    }
    if (Golden::Has(base + "/W_hat")) {
      const auto expected = Golden::Read<float>(base + "/W_hat");
      const auto got = Reconstruct(r);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-5) << i;
    }
  }
}

TEST_P(GoldenLayers, ProxyLossIsTheDefinitionAndNoWorseThanRecorded) {
  const Loaded layer = LoadInputs(GetParam());
  for (int bits = GetParam().first_bits; bits <= GetParam().last_bits; ++bits) {
    SCOPED_TRACE(bits);
    const double recorded = RecordedLoss(bits);
    Result r;
    const Report spec = Quantize(bits, ScaleMode::kSpec, 0, &r);
    EXPECT_LE(spec.proxy_loss, recorded * (1 + 1e-6));
    EXPECT_NEAR(spec.proxy_loss, Loss(layer, r), 1e-6 * spec.proxy_loss);
    Result better;
    const Report search = Quantize(bits, ScaleMode::kSearch, 0, &better);
    Result best;
    const Report refined = Quantize(bits, ScaleMode::kSearch, 2, &best);
    EXPECT_LT(search.proxy_loss, spec.proxy_loss);
    EXPECT_LT(refined.proxy_loss, search.proxy_loss);
    // Scales fitted afterwards and sums over refined codes are reported as they are, too.
    EXPECT_NEAR(refined.proxy_loss, Loss(layer, best), 1e-6 * refined.proxy_loss);
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenLayers, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(GoldenLdl, FactorsMatch) {
  const auto pool = MakeThreadPool(1);
  const auto h = Golden::Read<double>("ldl/H");
  SymmetricTiles a(32);
  for (int64_t i = 0; i < 64; ++i) a.At(i, i) = 1;
  for (int64_t i = 0; i < 32; ++i) {
    for (int64_t j = 0; j < 32; ++j) a.Tile(0, 0)[j * kTile + i] = h[i * 32 + j];
  }
  ASSERT_TRUE(Cholesky(&a, *pool));
  std::vector<double> d(64 * 8);
  BlockLdl(&a, d.data(), *pool);
  const auto l = Golden::Read<double>("ldl/L_block8"), blocks = Golden::Read<double>("ldl/D_block8");
  for (int64_t i = 0; i < 32; ++i) {
    for (int64_t j = 0; j < i / 8 * 8; ++j) EXPECT_NEAR(a.At(i, j), l[i * 32 + j], 1e-10) << i << " " << j;
  }
  for (size_t i = 0; i < blocks.size(); ++i) EXPECT_NEAR(d[i], blocks[i], 1e-9 * std::fabs(blocks[i]) + 1e-9) << i;
}

}  // namespace
}  // namespace glq::quantizer
