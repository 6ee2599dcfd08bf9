// The golden layers: every target must give the contract's bytes.
#include <gtest/gtest.h>

#include "cpu_support.h"
#include "support/golden.h"

namespace glq::cpu {
namespace {

using glq::test::Golden;

struct GoldenLayer {
  test::RandomLinear linear;
  std::vector<uint16_t> x;  // fp16
  int64_t tokens;
};

// "bd_96x192/b3" -> its tensors.
GoldenLayer LoadLayer(const Golden& golden, const std::string& name) {
  GoldenLayer layer;
  const std::string shape = name.substr(0, name.find('/'));
  // The power-of-two layer shares its inputs with the block-diagonal one.
  const std::string inputs = golden.Has(shape + "/x") ? shape : "bd_" + shape.substr(shape.find('_') + 1);
  const auto x = golden.Load(inputs + "/x");
  layer.x = x.As<uint16_t>();
  layer.tokens = x.shape[0];
  e8p::LinearMeta& m = layer.linear.meta;
  const std::string dims = shape.substr(shape.find('_') + 1);
  m.out_features = std::stoll(dims);
  m.in_features = std::stoll(dims.substr(dims.find('x') + 1));
  const auto first = golden.Load(name + "/Qidxs_e8p");
  m.padded_out = 16 * first.shape[0];
  m.padded_in = 64 * first.shape[1];
  m.out_blocks = e8p::BinaryBlocks(m.padded_out);
  m.in_blocks = e8p::BinaryBlocks(m.padded_in);
  m.weight_scale = golden.Load<float>(name + "/Wscale")[0];
  for (int s = 1; s <= 4; ++s) {
    const std::string number = s == 1 ? "" : std::to_string(s);
    const bool e8p = golden.Has(name + "/Qidxs" + number + "_e8p");
    if (!e8p && !golden.Has(name + "/Qidxs" + number + "_e81b")) break;
    const auto codebook = e8p ? e8p::Codebook::kE8P : e8p::Codebook::kE81B;
    double cumulative = 1;
    if (s > 1) {
      const std::string key = s == 2 ? "/inv_resid_scale" : "/inv_resid_scale" + std::to_string(s - 1);
      cumulative = golden.Load<float>(name + key)[0];
    }
    m.stages.push_back(
        {codebook, cumulative, static_cast<float>(m.weight_scale * cumulative / e8p::Denominator(codebook))});
    layer.linear.packed.push_back(golden.Load<uint8_t>(name + "/Qidxs" + number + (e8p ? "_e8p" : "_e81b")));
  }
  layer.linear.sv = golden.Load<uint16_t>(name + "/SV");
  layer.linear.su = golden.Load<uint16_t>(name + "/SU");
  return layer;
}

// Calls f(layer, output type, expected bytes) for every line of exact.tsv.
template <typename F>
int ForEachExact(const F& f) {
  const Golden golden, exact("exact.tsv");
  int count = 0;
  for (const std::string& name : exact.names()) {
    SCOPED_TRACE(name);
    const size_t slash = name.rfind('/');
    GoldenLayer layer = LoadLayer(golden, name.substr(0, slash));
    if (name.find("_bias_") != std::string::npos) {
      layer.linear.meta.has_bias = true;
      for (const uint16_t h : golden.Load<uint16_t>(name.substr(0, slash) + "/bias")) {
        layer.linear.bias.push_back(HalfToFloat(h));
      }
    }
    const auto expected = exact.Load(name);
    const Scalar type = expected.dtype == "f32" ? Scalar::kF32 : expected.dtype == "f16" ? Scalar::kF16 : Scalar::kBF16;
    f(layer, type, expected.bytes);
    ++count;
  }
  return count;
}

TEST(ExactGolden, Reference) {
  const int count = ForEachExact([](const GoldenLayer& layer, Scalar type, const std::vector<std::byte>& expected) {
    const e8p::LinearMeta& m = layer.linear.meta;
    std::vector<std::byte> y(expected.size());
    WithReference(layer.linear, [&](const reference::Linear& l) {
      reference::FusedLinear(l, {layer.x.data(), Scalar::kF16, layer.tokens, m.in_features, m.in_features},
                             {y.data(), type, layer.tokens, m.out_features, m.out_features});
    });
    EXPECT_EQ(y, expected);
  });
  EXPECT_EQ(count, 46);
}

TEST(ExactGolden, EveryTarget) {
  const auto pool = MakeThreadPool(2);
  test::OnEachTarget([&] {
    ForEachExact([&](const GoldenLayer& layer, Scalar type, const std::vector<std::byte>& expected) {
      const e8p::LinearMeta& m = layer.linear.meta;
      const auto weights = layer.linear.Make(*pool);
      std::vector<std::byte> y(expected.size());
      test::RunFused(*weights, {layer.x.data(), Scalar::kF16, layer.tokens, m.in_features, m.in_features},
                     {y.data(), type, layer.tokens, m.out_features, m.out_features}, *pool);
      EXPECT_EQ(y, expected);
    });
  });
}

// The transforms against float64.
TEST(RhtGolden, CloseToFloat64) {
  const Golden golden;
  const auto pool = MakeThreadPool(1);
  for (const std::string name :
       {"bd_64x64", "bd_96x192", "bd_48x80", "pow2_48x80", "bd_100x200", "bd_112x960", "bd_16x33"}) {
    SCOPED_TRACE(name);
    const std::string at = "rht/" + name;
    const auto x = golden.Load(at + "/x"), v = golden.Load(at + "/x_rht_f64");
    const auto y_rht = golden.Load(at + "/y_rht"), y = golden.Load(at + "/y_f64");
    test::RandomLinear l;
    l.meta.in_features = x.shape[1];
    l.meta.padded_in = v.shape[1];
    l.meta.out_features = y.shape[1];
    l.meta.padded_out = y_rht.shape[1];
    l.meta.in_blocks = e8p::BinaryBlocks(l.meta.padded_in);
    l.meta.out_blocks = e8p::BinaryBlocks(l.meta.padded_out);
    l.sv = golden.Load<uint16_t>(at + "/SV");
    l.su = golden.Load<uint16_t>(at + "/SU");
    const auto weights = l.Make(*pool);
    auto xs = x.As<uint16_t>();
    auto ys = y_rht.As<float>();
    const int64_t tokens = x.shape[0];
    const auto expected_v = v.As<double>(), expected_y = y.As<double>();
    test::OnEachTarget([&] {
      std::vector<float> made_v(expected_v.size()), made_y(expected_y.size());
      RhtInput(*weights, {xs.data(), Scalar::kF16, tokens, l.meta.in_features, l.meta.in_features},
               {made_v.data(), Scalar::kF32, tokens, l.meta.padded_in, l.meta.padded_in}, *pool);
      test::Workspace workspace(RhtOutputWorkspace(l.meta, tokens, 1));
      RhtOutput(*weights, {ys.data(), Scalar::kF32, tokens, l.meta.padded_out, l.meta.padded_out},
                {made_y.data(), Scalar::kF32, tokens, l.meta.out_features, l.meta.out_features}, workspace.get(),
                *pool);
      for (size_t i = 0; i < made_v.size(); ++i) EXPECT_NEAR(made_v[i], expected_v[i], 4e-6) << i;
      for (size_t i = 0; i < made_y.size(); ++i) EXPECT_NEAR(made_y[i], expected_y[i], 4e-6) << i;
    });
  }
}

}  // namespace
}  // namespace glq::cpu
