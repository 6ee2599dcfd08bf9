// What the operations compute, seen through the C interface only.
#include <cfenv>
#include <cmath>
#include <cstring>

#include "api/fixture.h"

namespace glq::test {
namespace {

std::vector<std::string> LayerNames() {
  std::vector<std::string> names;
  const Golden exact("exact.tsv");
  for (const std::string& n : exact.names()) {
    const std::string layer = n.substr(0, n.rfind('/'));
    if (names.empty() || names.back() != layer) names.push_back(layer);
  }
  return names;
}

class GoldenLinear : public testing::TestWithParam<std::string> {
 protected:
  std::string shape() const { return GetParam().substr(0, GetParam().find('/')); }
  // pow2_96x192 has the inputs of bd_96x192.
  std::string XName() const { return golden_.Has(shape() + "/x") ? shape() + "/x" : "bd_" + shape().substr(5) + "/x"; }
  Golden golden_, exact_{"exact.tsv"};
  ContextPtr context_ = MakeContext();
};

TEST_P(GoldenLinear, GivesTheContractsBytes) {
  GoldenLayer layer(golden_, GetParam());
  const TensorPtr weight = MakeWeight(context_.get(), layer.Desc());
  const Array x = ArrayOf(golden_, XName());
  for (const char* type : {"f32", "f16", "bf16"}) {
    const Array want = ArrayOf(exact_, GetParam() + "/y_exact_" + type);
    EXPECT_EQ(FusedLinear(context_.get(), weight.get(), x, DtypeOf(type)).values(), want.values()) << type;
  }
}

TEST_P(GoldenLinear, ThePiecesGiveTheWhole) {
  GoldenLayer layer(golden_, GetParam());
  const TensorPtr weight = MakeWeight(context_.get(), layer.Desc());
  const Array x = ArrayOf(golden_, XName());
  const int64_t tokens = x.shape()[0];
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  ASSERT_EQ(glq_e8p_get_info(weight.get(), &info), GLQ_OK);
  Array v(GLQ_DTYPE_F32, {tokens, info.padded_in}), z(GLQ_DTYPE_F32, {tokens, info.padded_out}),
      y(GLQ_DTYPE_F16, {tokens, info.out_features});
  size_t bytes[3];
  ASSERT_EQ(glq_rht_input_workspace(context_.get(), weight.get(), tokens, nullptr, &bytes[0]), GLQ_OK);
  ASSERT_EQ(glq_matmul_e8p_workspace(context_.get(), weight.get(), tokens, nullptr, &bytes[1]), GLQ_OK);
  ASSERT_EQ(glq_rht_output_workspace(context_.get(), weight.get(), tokens, nullptr, &bytes[2]), GLQ_OK);
  Scratch s0(bytes[0]), s1(bytes[1]), s2(bytes[2]);
  const glq_view xv = x.view(), vv = v.view(), zv = z.view(), yv = y.view();
  ASSERT_EQ(glq_rht_input(context_.get(), nullptr, weight.get(), &xv, &vv, &s0.workspace, nullptr), GLQ_OK)
      << LastMessage();
  ASSERT_EQ(glq_matmul_e8p(context_.get(), nullptr, weight.get(), &vv, &zv, &s1.workspace, nullptr), GLQ_OK)
      << LastMessage();
  ASSERT_EQ(glq_rht_output(context_.get(), nullptr, weight.get(), &zv, &yv, &s2.workspace, nullptr), GLQ_OK)
      << LastMessage();
  EXPECT_EQ(y.values(), ArrayOf(exact_, GetParam() + "/y_exact_f16").values());
  EXPECT_TRUE(v.GuardsIntact() && z.GuardsIntact() && y.GuardsIntact());
  EXPECT_TRUE(s0.array.GuardsIntact() && s1.array.GuardsIntact() && s2.array.GuardsIntact());
}

TEST_P(GoldenLinear, ExportGivesBackWhatCame) {
  GoldenLayer layer(golden_, GetParam());
  const TensorPtr weight = MakeWeight(context_.get(), layer.Desc());
  glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
  std::vector<Array> out;
  std::vector<glq_view> views;
  for (const Array& a : layer.indices) out.emplace_back(GLQ_DTYPE_I64, a.shape());
  Array sv(GLQ_DTYPE_F16, layer.sv.shape()), su(GLQ_DTYPE_F16, layer.su.shape());
  for (const Array& a : out) views.push_back(a.view());
  for (size_t i = 0; i < views.size(); ++i) parts.indices[i] = &views[i];
  const glq_view svv = sv.view(), suv = su.view();
  parts.sv = &svv, parts.su = &suv;
  ASSERT_EQ(glq_e8p_export(context_.get(), nullptr, weight.get(), &parts), GLQ_OK) << LastMessage();
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].values(), layer.indices[i].values()) << "stage " << i;
    EXPECT_TRUE(out[i].GuardsIntact());
  }
  EXPECT_EQ(sv.values(), layer.sv.values());
  EXPECT_EQ(su.values(), layer.su.values());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenLinear, testing::ValuesIn(LayerNames()), [](const auto& p) {
  std::string name = p.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

class Linear : public testing::Test {
 protected:
  Golden golden_;
  ContextPtr context_ = MakeContext();
  GoldenLayer b2_{golden_, "bd_96x192/b2"}, b3_{golden_, "bd_96x192/b3"}, b5_{golden_, "bd_96x192/b5"};
  TensorPtr w2_ = MakeWeight(context_.get(), b2_.Desc());
  TensorPtr w3_ = MakeWeight(context_.get(), b3_.Desc());
  TensorPtr w5_ = MakeWeight(context_.get(), b5_.Desc());
  Array x_ = ArrayOf(golden_, "bd_96x192/x");
};

TEST_F(Linear, TheBiasIsPartOfIt) {
  GoldenLayer layer(golden_, "bd_100x200/b4");
  const Array bias = ArrayOf(golden_, "bd_100x200/b4/bias");
  glq_e8p_desc desc = layer.Desc();
  const glq_view view = bias.view();
  desc.bias = &view;
  const TensorPtr weight = MakeWeight(context_.get(), desc);
  EXPECT_EQ(FusedLinear(context_.get(), weight.get(), ArrayOf(golden_, "bd_100x200/x"), GLQ_DTYPE_F32).values(),
            ArrayOf(Golden("exact.tsv"), "bd_100x200/b4/y_exact_bias_f32").values());
}

TEST_F(Linear, DequantizeComesCloseToTheQuantizersWeight) {
  int layers = 0;
  for (const std::string& name : LayerNames()) {
    if (!golden_.Has(name + "/W_hat")) continue;
    ++layers;
    GoldenLayer layer(golden_, name);
    const TensorPtr weight = MakeWeight(context_.get(), layer.Desc());
    const std::vector<float> want = golden_.Load<float>(name + "/W_hat");
    Array w(GLQ_DTYPE_F32, {layer.desc.out_features, layer.desc.in_features});
    size_t bytes;
    ASSERT_EQ(glq_dequantize_workspace(context_.get(), weight.get(), nullptr, &bytes), GLQ_OK);
    Scratch scratch(bytes);
    const glq_view view = w.view();
    ASSERT_EQ(glq_dequantize(context_.get(), nullptr, weight.get(), &view, &scratch.workspace, nullptr), GLQ_OK)
        << LastMessage();
    double difference = 0, norm = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      difference += std::pow(w.as<float>()[i] - want[i], 2);
      norm += std::pow(want[i], 2);
    }
    EXPECT_LT(std::sqrt(difference / norm), 1e-5) << name;
    EXPECT_TRUE(w.GuardsIntact() && scratch.array.GuardsIntact());
  }
  EXPECT_GE(layers, 8);
}

TEST_F(Linear, AGroupIsItsMembersEvenAsColumnsOfOneMatrix) {
  const glq_tensor* weights[] = {w3_.get(), nullptr, w5_.get(), w2_.get()};
  const Array want[] = {FusedLinear(context_.get(), w3_.get(), x_, GLQ_DTYPE_F16),
                        {},
                        FusedLinear(context_.get(), w5_.get(), x_, GLQ_DTYPE_F16),
                        FusedLinear(context_.get(), w2_.get(), x_, GLQ_DTYPE_F16)};
  Array all(GLQ_DTYPE_F16, {3, 3 * 96});
  const glq_view whole = all.view();
  glq_view y[4];
  std::memset(y, 0xFF, sizeof(y));  // the entry of the absent weight is not looked at
  for (int i : {0, 2, 3}) {
    const int column = i == 0 ? 0 : i - 1;
    y[i] = whole;
    y[i].shape[1] = 96;
    y[i].data = all.as<uint16_t>() + 96 * column;
  }
  size_t bytes;
  ASSERT_EQ(glq_fused_linear_e8p_group_workspace(context_.get(), weights, 4, 3, nullptr, &bytes), GLQ_OK)
      << LastMessage();
  Scratch scratch(bytes);
  const glq_view xv = x_.view();
  ASSERT_EQ(glq_fused_linear_e8p_group(context_.get(), nullptr, weights, 4, &xv, y, &scratch.workspace, nullptr),
            GLQ_OK)
      << LastMessage();
  for (int i : {0, 2, 3}) {
    const int column = i == 0 ? 0 : i - 1;
    for (int64_t row = 0; row < 3; ++row) {
      EXPECT_EQ(std::memcmp(all.as<uint16_t>() + row * 288 + column * 96, want[i].values().data() + row * 192, 192), 0)
          << i << " " << row;
    }
  }
  EXPECT_TRUE(all.GuardsIntact() && scratch.array.GuardsIntact());
}

TEST_F(Linear, AVectorIsARowAndStridesAreFree) {
  const Array want = FusedLinear(context_.get(), w3_.get(), x_, GLQ_DTYPE_F32);
  size_t bytes;
  ASSERT_EQ(glq_fused_linear_e8p_workspace(context_.get(), w3_.get(), 3, nullptr, &bytes), GLQ_OK);
  Scratch scratch(bytes);
  // One row at a time, as vectors.
  for (int64_t row = 0; row < 3; ++row) {
    Array xr(GLQ_DTYPE_F16, {192}, x_.as<uint16_t>() + row * 192), yr(GLQ_DTYPE_F32, {96});
    const glq_view xv = xr.view(), yv = yr.view();
    ASSERT_EQ(glq_fused_linear_e8p(context_.get(), nullptr, w3_.get(), &xv, &yv, &scratch.workspace, nullptr), GLQ_OK);
    EXPECT_EQ(std::memcmp(yr.data(), static_cast<const char*>(want.data()) + row * 384, 384), 0) << row;
  }
  // Odd strides, so that rows are aligned to their element only.
  Array wide(GLQ_DTYPE_F16, {3, 211}), out(GLQ_DTYPE_F32, {3, 101});
  for (int64_t row = 0; row < 3; ++row)
    std::memcpy(wide.as<uint16_t>() + row * 211 + 1, x_.as<uint16_t>() + row * 192, 384);
  glq_view xv = wide.view(), yv = out.view();
  xv.data = wide.as<uint16_t>() + 1, xv.shape[1] = 192;
  yv.data = out.as<float>() + 1, yv.shape[1] = 96;
  ASSERT_EQ(glq_fused_linear_e8p(context_.get(), nullptr, w3_.get(), &xv, &yv, &scratch.workspace, nullptr), GLQ_OK)
      << LastMessage();
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_EQ(std::memcmp(out.as<float>() + row * 101 + 1, static_cast<const char*>(want.data()) + row * 384, 384), 0)
        << row;
  }
  // Between the rows nothing is written.
  for (int64_t row = 0; row < 3; ++row) {
    const auto* bytes_of_row = out.as<unsigned char>() + row * 404;
    EXPECT_TRUE(std::all_of(bytes_of_row, bytes_of_row + 4, [](unsigned char c) { return c == kCanary; }));
    EXPECT_TRUE(std::all_of(bytes_of_row + 388, bytes_of_row + 404, [](unsigned char c) { return c == kCanary; }));
  }
}

TEST_F(Linear, ThreadsAndModesDoNotChangeBytes) {
  const Array want = FusedLinear(context_.get(), w5_.get(), x_, GLQ_DTYPE_F32);
  for (const int32_t threads : {1, 3, 7}) {
    const ContextPtr other = MakeContext(threads);
    const TensorPtr w = MakeWeight(other.get(), b5_.Desc());
    EXPECT_EQ(FusedLinear(other.get(), w.get(), x_, GLQ_DTYPE_F32).values(), want.values()) << threads;
  }
  // On the CPU the other mode is the exact one.
  Array many(GLQ_DTYPE_F16, {500, 192});
  for (int64_t row = 0; row < 500; ++row)
    std::memcpy(many.as<unsigned char>() + row * 384, x_.as<unsigned char>() + row % x_.shape()[0] * 384, 384);
  for (const glq_dtype y : {GLQ_DTYPE_F32, GLQ_DTYPE_F16}) {
    EXPECT_EQ(FusedLinear(context_.get(), w5_.get(), many, y, GLQ_MATH_FP16_EXPANDED).values(),
              FusedLinear(context_.get(), w5_.get(), many, y).values());
  }
}

TEST_F(Linear, TheCallersFloatingPointControlDoesNotChangeBytes) {
  const auto want = FusedLinear(context_.get(), w5_.get(), x_, GLQ_DTYPE_F32).values();
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    const TensorPtr weight = MakeWeight(context_.get(), b5_.Desc());
    const auto got = FusedLinear(context_.get(), weight.get(), x_, GLQ_DTYPE_F32).values();
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(got, want) << mode;
    EXPECT_EQ(after, mode);
  }
  // With traps a scale that overflows fp32 must still come back as a status.
#if defined(__GLIBC__)
  glq_e8p_desc desc = b5_.Desc();
  desc.weight_scale = 1e300;
  feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
  glq_tensor* none = nullptr;
  const glq_status status = glq_tensor_create_e8p(context_.get(), nullptr, &desc, &none);
  fedisableexcept(FE_ALL_EXCEPT);
  EXPECT_EQ(status, GLQ_E_NOT_FINITE);
#endif
}

TEST_F(Linear, ZeroTokensAreFineWithoutAWorkspace) {
  int64_t xs[] = {0, 192}, ys[] = {0, 96};
  glq_view x, y;
  ASSERT_EQ(glq_view_init(&x, nullptr, GLQ_DTYPE_F16, nullptr, 2, xs), GLQ_OK);
  ASSERT_EQ(glq_view_init(&y, nullptr, GLQ_DTYPE_F16, nullptr, 2, ys), GLQ_OK);
  EXPECT_EQ(glq_fused_linear_e8p(context_.get(), nullptr, w3_.get(), &x, &y, nullptr, nullptr), GLQ_OK)
      << LastMessage();
}

TEST_F(Linear, WorkspacesDoNotShrinkWithTokens) {
  size_t last[4] = {};
  for (int64_t tokens = 0; tokens <= 700; ++tokens) {
    size_t now[4];
    const glq_tensor* group[] = {w2_.get(), w5_.get()};
    ASSERT_EQ(glq_fused_linear_e8p_workspace(context_.get(), w5_.get(), tokens, nullptr, &now[0]), GLQ_OK);
    ASSERT_EQ(glq_fused_linear_e8p_group_workspace(context_.get(), group, 2, tokens, nullptr, &now[1]), GLQ_OK);
    ASSERT_EQ(glq_matmul_e8p_workspace(context_.get(), w5_.get(), tokens, nullptr, &now[2]), GLQ_OK);
    ASSERT_EQ(glq_rht_output_workspace(context_.get(), w5_.get(), tokens, nullptr, &now[3]), GLQ_OK);
    for (int i = 0; i < 4; ++i) {
      ASSERT_GE(now[i], last[i]) << tokens << " " << i;
      last[i] = now[i];
    }
  }
}

TEST_F(Linear, ARowThatIsNotFiniteGivesNanAndLeavesOthersAlone) {
  const Array want = FusedLinear(context_.get(), w3_.get(), x_, GLQ_DTYPE_F16);
  Array x = x_;
  x.as<uint16_t>()[192 + 7] = 0x7C00;  // infinity in row 1
  const Array got = FusedLinear(context_.get(), w3_.get(), x, GLQ_DTYPE_F16);
  const auto a = got.values(), b = want.values();
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 192, b.begin()));
  EXPECT_TRUE(std::equal(a.begin() + 384, a.end(), b.begin() + 384));
  for (size_t i = 192; i < 384; i += 2) EXPECT_EQ(a[i] | a[i + 1] << 8, 0x7E00);
}

TEST_F(Linear, BlocksMayBeGivenInAnyOrderAndSize) {
  glq_e8p_desc desc = b2_.Desc();
  const int64_t in[] = {1, 64, 1, 2, 4, 8, 16, 32, 64}, out[] = {32, 64};
  desc.in_blocks = in, desc.num_in_blocks = 9;
  desc.out_blocks = out, desc.num_out_blocks = 2;
  const TensorPtr weight = MakeWeight(context_.get(), desc);
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  ASSERT_EQ(glq_e8p_get_info(weight.get(), &info), GLQ_OK);
  ASSERT_EQ(info.num_in_blocks, 9);
  EXPECT_EQ(info.in_blocks[2], 1);
  EXPECT_EQ(info.out_blocks[1], 64);
  // The effective weight and the product agree.
  Array w(GLQ_DTYPE_F32, {96, 192});
  size_t bytes;
  ASSERT_EQ(glq_dequantize_workspace(context_.get(), weight.get(), nullptr, &bytes), GLQ_OK);
  Scratch scratch(bytes);
  const glq_view wv = w.view();
  ASSERT_EQ(glq_dequantize(context_.get(), nullptr, weight.get(), &wv, &scratch.workspace, nullptr), GLQ_OK);
  Array one(GLQ_DTYPE_F32, {192, 192});
  std::memset(one.data(), 0, one.bytes());
  for (int i = 0; i < 192; ++i) one.as<float>()[i * 193] = 1;
  Array y = FusedLinear(context_.get(), weight.get(), one, GLQ_DTYPE_F32);
  for (int i = 0; i < 192; ++i) {
    for (int r = 0; r < 96; ++r)
      ASSERT_NEAR(y.as<float>()[i * 96 + r], w.as<float>()[r * 192 + i], 2e-4f) << i << " " << r;
  }
}

TEST_F(Linear, InputTransformsAreNumbered) {
  const auto id = [](const TensorPtr& w) {
    glq_e8p_info info = GLQ_E8P_INFO_INIT;
    EXPECT_EQ(glq_e8p_get_info(w.get(), &info), GLQ_OK);
    return info.input_transform_id;
  };
  EXPECT_EQ(id(w2_), id(w3_));
  EXPECT_EQ(id(w2_), id(w5_));
  GoldenLayer other(golden_, "bd_96x192/b2");
  other.sv.as<uint16_t>()[5] ^= 0x8000;
  EXPECT_NE(id(MakeWeight(context_.get(), other.Desc())), id(w2_));
  glq_e8p_desc desc = b2_.Desc();
  desc.sv = nullptr;
  EXPECT_NE(id(MakeWeight(context_.get(), desc)), id(w2_));
  desc = b2_.Desc();
  const int64_t in[] = {64, 128};
  desc.in_blocks = in, desc.num_in_blocks = 2;
  EXPECT_NE(id(MakeWeight(context_.get(), desc)), id(w2_));
}

TEST_F(Linear, HostMemoryOfADescriptorMayHaveAnyAlignment) {
  const Array want = FusedLinear(context_.get(), w3_.get(), x_, GLQ_DTYPE_F32);
  GoldenLayer layer(golden_, "bd_96x192/b3");
  glq_e8p_desc desc = layer.Desc();
  std::vector<std::vector<unsigned char>> moved;
  const auto shift = [&](glq_view view, size_t bytes) {
    moved.emplace_back(bytes + 3);
    std::memcpy(moved.back().data() + 3, view.data, bytes);
    view.data = moved.back().data() + 3;
    return view;
  };
  for (size_t i = 0; i < layer.stages.size(); ++i)
    layer.stages[i].indices = shift(layer.stages[i].indices, layer.indices[i].bytes());
  const glq_view sv = shift(*desc.sv, layer.sv.bytes()), su = shift(*desc.su, layer.su.bytes());
  desc.sv = &sv, desc.su = &su;
  const TensorPtr weight = MakeWeight(context_.get(), desc);
  EXPECT_EQ(FusedLinear(context_.get(), weight.get(), x_, GLQ_DTYPE_F32).values(), want.values());
}

TEST_F(Linear, DecodedRowsAreScaledCodewords) {
  Array all(GLQ_DTYPE_F32, {96, 192}), some(GLQ_DTYPE_F32, {5, 192}), table(GLQ_DTYPE_I8, {65536, 8});
  const glq_view av = all.view(), sv = some.view(), tv = table.view();
  ASSERT_EQ(glq_e8p_codebook(GLQ_CODEBOOK_E8P, &tv), GLQ_OK);
  ASSERT_EQ(glq_decode_e8p(context_.get(), nullptr, w2_.get(), 0, &av, nullptr), GLQ_OK);
  ASSERT_EQ(glq_decode_e8p(context_.get(), nullptr, w2_.get(), 91, &sv, nullptr), GLQ_OK);
  EXPECT_EQ(std::memcmp(some.data(), all.as<float>() + 91 * 192, some.bytes()), 0);
  const auto codes = golden_.Load<uint16_t>("bd_96x192/b2/code0");
  const auto k = static_cast<float>(b2_.desc.weight_scale / 4);
  for (size_t i = 0; i < codes.size() * 8; ++i) {
    ASSERT_EQ(all.as<float>()[i], static_cast<float>(table.as<int8_t>()[codes[i / 8] * 8 + i % 8]) * k) << i;
  }
}

TEST_F(Linear, PackingIsTheCheckpointsLayout) {
  const Array codes = ArrayOf(golden_, "pack/e8p_codes"), packed = ArrayOf(golden_, "pack/e8p_packed");
  const Array codes8 = ArrayOf(golden_, "pack/e81b_codes"), packed8 = ArrayOf(golden_, "pack/e81b_packed");
  const auto round_trip = [&](int32_t codebook, const Array& c, const Array& p, glq_dtype type) {
    Array to(GLQ_DTYPE_I64, p.shape()), back(type, c.shape());
    const glq_view cv = c.view(), tv = to.view(), bv = back.view();
    ASSERT_EQ(glq_e8p_pack(context_.get(), nullptr, codebook, &cv, &tv), GLQ_OK) << LastMessage();
    EXPECT_EQ(to.values(), p.values());
    ASSERT_EQ(glq_e8p_unpack(context_.get(), nullptr, codebook, &tv, &bv), GLQ_OK) << LastMessage();
    EXPECT_EQ(back.values(), c.values());
    EXPECT_TRUE(to.GuardsIntact() && back.GuardsIntact());
  };
  round_trip(GLQ_CODEBOOK_E8P, codes, packed, GLQ_DTYPE_U16);
  round_trip(GLQ_CODEBOOK_E81B, codes8, packed8, GLQ_DTYPE_U8);
}

TEST_F(Linear, E81bTableIsTheGoldenOne) {
  Array table(GLQ_DTYPE_I8, {256, 8});
  const glq_view view = table.view();
  ASSERT_EQ(glq_e8p_codebook(GLQ_CODEBOOK_E81B, &view), GLQ_OK);
  const GoldenArray want = golden_.Load("codebook/e81b_times2");
  EXPECT_EQ(std::memcmp(table.data(), want.bytes.data(), want.bytes.size()), 0);
}

TEST_F(Linear, AZeroScaleGivesTheBias) {
  GoldenLayer layer(golden_, "bd_96x192/b3");
  glq_e8p_desc desc = layer.Desc();
  desc.weight_scale = 0;
  Array bias(GLQ_DTYPE_BF16, {96});
  for (int i = 0; i < 96; ++i) bias.as<uint16_t>()[i] = static_cast<uint16_t>(0x3F80 + i);
  const glq_view bv = bias.view();
  desc.bias = &bv;
  const TensorPtr weight = MakeWeight(context_.get(), desc);
  Array y = FusedLinear(context_.get(), weight.get(), x_, GLQ_DTYPE_BF16);
  for (int i = 0; i < 3 * 96; ++i) ASSERT_EQ(y.as<uint16_t>()[i], 0x3F80 + i % 96);
  // The bias comes out in the type it had.
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  ASSERT_EQ(glq_e8p_get_info(weight.get(), &info), GLQ_OK);
  EXPECT_EQ(info.bias_dtype, GLQ_DTYPE_BF16);
  Array back(GLQ_DTYPE_BF16, {96});
  const glq_view out = back.view();
  glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
  parts.bias = &out;
  ASSERT_EQ(glq_e8p_export(context_.get(), nullptr, weight.get(), &parts), GLQ_OK) << LastMessage();
  EXPECT_EQ(back.values(), bias.values());
}

TEST_F(Linear, GemvIsTheProduct) {
  for (const auto& [n, k] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 70}, {33, 129}, {5, 0}}) {
    Array w(GLQ_DTYPE_BF16, {n, k}), x(GLQ_DTYPE_BF16, {2, k}), y(GLQ_DTYPE_F32, {2, n});
    for (int64_t i = 0; i < n * k; ++i)
      w.as<uint16_t>()[i] = static_cast<uint16_t>(0x3F80 | (i * 37 % 128) | (i % 3 == 0 ? 0x8000 : 0));
    for (int64_t i = 0; i < 2 * k; ++i) x.as<uint16_t>()[i] = static_cast<uint16_t>(0x3F80 | (i * 11 % 128));
    const TensorPtr weight = MakeDense(context_.get(), w);
    size_t bytes;
    ASSERT_EQ(glq_gemv_bf16_workspace(context_.get(), weight.get(), 2, nullptr, &bytes), GLQ_OK) << LastMessage();
    Scratch scratch(bytes);
    const glq_view xv = x.view(), yv = y.view();
    ASSERT_EQ(glq_gemv_bf16(context_.get(), nullptr, weight.get(), &xv, &yv, &scratch.workspace, nullptr), GLQ_OK)
        << LastMessage();
    const auto f = [](uint16_t h) {
      const uint32_t bits = static_cast<uint32_t>(h) << 16;
      float value;
      std::memcpy(&value, &bits, 4);
      return static_cast<double>(value);
    };
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t r = 0; r < n; ++r) {
        double sum = 0;
        for (int64_t c = 0; c < k; ++c) sum += f(w.as<uint16_t>()[r * k + c]) * f(x.as<uint16_t>()[b * k + c]);
        EXPECT_NEAR(y.as<float>()[b * n + r], sum, 1e-4 * static_cast<double>(k + 1)) << n << " " << k;
      }
    }
    EXPECT_TRUE(y.GuardsIntact());
  }
}

TEST_F(Linear, ThePlanIsTextOfTheSizeItSays) {
  size_t needed = 0;
  ASSERT_EQ(glq_fused_linear_e8p_plan(context_.get(), w3_.get(), 4, nullptr, nullptr, 0, &needed), GLQ_OK);
  std::string text(needed, '!');
  ASSERT_EQ(glq_fused_linear_e8p_plan(context_.get(), w3_.get(), 4, nullptr, text.data(), needed, &needed), GLQ_OK);
  EXPECT_EQ(text.size(), std::strlen(text.c_str()) + 1);
  EXPECT_THAT(text, testing::HasSubstr("device: cpu\n"));
  std::string cut(10, '!');
  EXPECT_FAILS(glq_fused_linear_e8p_plan, (context_.get(), w3_.get(), 4, nullptr, cut.data(), 10, &needed),
               GLQ_E_BUFFER_TOO_SMALL, "capacity = 10", "needed " + std::to_string(text.size()));
  EXPECT_EQ(std::string(cut.c_str()), text.substr(0, 9));
}

TEST_F(Linear, SupportAgreesWithTheCall) {
  glq_op_query query = GLQ_OP_QUERY_INIT;
  query.op = GLQ_OP_FUSED_LINEAR_E8P, query.in_features = 192, query.out_features = 96, query.max_tokens = 9,
  query.bits = 5;
  glq_op_support_info info = GLQ_OP_SUPPORT_INFO_INIT;
  ASSERT_EQ(glq_op_support(context_.get(), &query, &info), GLQ_OK) << LastMessage();
  EXPECT_EQ(info.status, GLQ_OK);
  EXPECT_STREQ(info.reason, "");
  EXPECT_STRNE(info.path, "");
  size_t bytes;
  ASSERT_EQ(glq_fused_linear_e8p_workspace(context_.get(), w5_.get(), 9, nullptr, &bytes), GLQ_OK);
  EXPECT_EQ(info.workspace_bytes, bytes);
  query.op = GLQ_OP_GEMV_BF16, query.bits = 0, query.max_tokens = 17;
  ASSERT_EQ(glq_op_support(context_.get(), &query, &info), GLQ_OK);
  EXPECT_EQ(info.status, GLQ_E_SHAPE);
  EXPECT_THAT(info.reason, testing::HasSubstr("max_tokens = 17, expected 0 to 16"));
  query.max_tokens = 16, query.x_dtype = GLQ_DTYPE_F16;
  ASSERT_EQ(glq_op_support(context_.get(), &query, &info), GLQ_OK);
  EXPECT_EQ(info.status, GLQ_E_DTYPE);
  EXPECT_THAT(info.reason, testing::HasSubstr("query.x_dtype = F16, expected BF16"));
  query.op = GLQ_OP_RHT_INPUT, query.bits = 2, query.in_features = (1 << 20) + 1;
  ASSERT_EQ(glq_op_support(context_.get(), &query, &info), GLQ_OK);
  EXPECT_EQ(info.status, GLQ_E_SHAPE);
}

}  // namespace
}  // namespace glq::test
