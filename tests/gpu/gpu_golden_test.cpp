// The golden layers on the GPU: every array of exact.tsv, byte for byte.
#include <gtest/gtest.h>

#include "gpu/support.h"
#include "support/golden.h"

namespace glq::gpu {
namespace {

using test::Golden;
using test::GoldenArray;

glq_dtype DtypeOf(const GoldenArray& a) {
  return a.dtype == "f16"    ? GLQ_DTYPE_F16
         : a.dtype == "bf16" ? GLQ_DTYPE_BF16
         : a.dtype == "f32"  ? GLQ_DTYPE_F32
         : a.dtype == "u8"   ? GLQ_DTYPE_U8
                             : GLQ_DTYPE_I64;
}

glq_view ViewOf(GoldenArray& a) {
  glq_view view;
  Require(
      glq_view_init(&view, a.bytes.data(), DtypeOf(a), nullptr, static_cast<int32_t>(a.shape.size()), a.shape.data()),
      "view");
  return view;
}

// "bd_96x192/b3" -> its tensors and input.
class Layer {
 public:
  Layer(const Golden& golden, const std::string& name, bool with_bias)
      : sv_(golden.Load(name + "/SV")), su_(golden.Load(name + "/SU")) {
    const std::string shape = name.substr(0, name.find('/')), dims = shape.substr(shape.find('_') + 1);
    // The power-of-two layer of a shape shares its input with the block-diagonal one.
    const std::string inputs = golden.Has(shape + "/x") ? shape : "bd_" + dims;
    x_ = golden.Load(inputs + "/x");
    desc_.out_features = std::stoll(dims);
    desc_.in_features = std::stoll(dims.substr(dims.find('x') + 1));
    desc_.weight_scale = golden.Load<float>(name + "/Wscale")[0];
    indices_.reserve(GLQ_E8P_MAX_STAGES);
    for (int s = 1; s <= GLQ_E8P_MAX_STAGES; ++s) {
      const std::string number = s == 1 ? "" : std::to_string(s);
      const bool e8p = golden.Has(name + "/Qidxs" + number + "_e8p");
      if (!e8p && !golden.Has(name + "/Qidxs" + number + "_e81b")) break;
      glq_e8p_stage stage{};
      stage.codebook = e8p ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B;
      stage.cum_inv_scale = 1;
      if (s > 1)
        stage.cum_inv_scale =
            golden.Load<float>(name + (s == 2 ? "/inv_resid_scale" : "/inv_resid_scale" + std::to_string(s - 1)))[0];
      indices_.push_back(golden.Load(name + "/Qidxs" + number + (e8p ? "_e8p" : "_e81b")));
      stage.indices = ViewOf(indices_.back());
      stages_.push_back(stage);
    }
    desc_.stages = stages_.data();
    desc_.num_stages = static_cast<int32_t>(stages_.size());
    sv_view_ = ViewOf(sv_);
    su_view_ = ViewOf(su_);
    desc_.sv = &sv_view_;
    desc_.su = &su_view_;
    if (with_bias) {
      bias_ = golden.Load(name + "/bias");
      bias_view_ = ViewOf(bias_);
      desc_.bias = &bias_view_;
    }
  }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const glq_e8p_desc& desc() const { return desc_; }
  const GoldenArray& x() const { return x_; }

 private:
  GoldenArray sv_, su_, x_, bias_;
  std::vector<GoldenArray> indices_;
  std::vector<glq_e8p_stage> stages_;
  glq_view sv_view_{}, su_view_{}, bias_view_{};
  glq_e8p_desc desc_ = GLQ_E8P_DESC_INIT;
};

Image ImageOf(const GoldenArray& a) {
  Image image(DtypeOf(a), a.shape[0], a.shape[1]);
  std::memcpy(image.data(), a.bytes.data(), a.bytes.size());
  return image;
}

void CheckExact(const Golden& golden, const Golden& exact, const std::string& name) {
  SCOPED_TRACE(name);
  const std::string layer_name = name.substr(0, name.rfind('/'));
  const Layer layer(golden, layer_name, name.find("_bias_") != std::string::npos);
  const Pair pair{nullptr, MakeWeight(GpuContext(), layer.desc(), GpuStream())};
  const Image x = ImageOf(layer.x()), y = ImageOf(exact.Load(name));
  const DeviceImage device_x(x);
  for (int64_t tokens = 1; tokens <= y.rows(); ++tokens)
    EXPECT_TRUE(GpuFusedEquals(pair, device_x, y, tokens)) << tokens << " tokens";
}

TEST(GpuGolden, EveryExactArray) {
  const Golden golden, exact("exact.tsv");
  ASSERT_EQ(exact.names().size(), 46u);
  for (const std::string& name : exact.names()) CheckExact(golden, exact, name);
}

TEST(GpuGolden, OneOfEachSmoke) {
  const Golden golden, exact("exact.tsv");
  for (const char* name :
       {"bd_96x192/b3/y_exact_f16", "bd_100x200/b4/y_exact_bias_f32", "pow2_48x80/b2/y_exact_bf16"}) {
    CheckExact(golden, exact, name);
  }
}

// The three golden rows again and again: large batches take other kernels, the bytes stay.
TEST(GpuGolden, InsideLargeBatches) {
  const Golden golden, exact("exact.tsv");
  for (const std::string name : {"bd_96x192/b2", "bd_96x192/b5", "bd_96x192/b8", "bd_100x200/b3", "pow2_48x80/b4"}) {
    SCOPED_TRACE(name);
    const Layer layer(golden, name, false);
    const Pair pair{nullptr, MakeWeight(GpuContext(), layer.desc(), GpuStream())};
    const Image x = ImageOf(layer.x()), y = ImageOf(exact.Load(name + "/y_exact_f32"));
    constexpr int64_t kTokens = 2100;
    Image many_x(x.dtype(), kTokens, x.cols()), many_y(y.dtype(), kTokens, y.cols());
    for (int64_t t = 0; t < kTokens; ++t) {
      std::memcpy(many_x.data() + t * x.cols() * 2, x.Row(t % 3), static_cast<size_t>(x.cols()) * 2);
      std::memcpy(many_y.data() + t * y.cols() * 4, y.Row(t % 3), static_cast<size_t>(y.cols()) * 4);
    }
    const DeviceImage device_x(many_x);
    for (const int64_t tokens : {8, 9, 33, 383, 384, 2048, 2100}) {
      EXPECT_TRUE(GpuFusedEquals(pair, device_x, many_y, tokens)) << tokens << " tokens";
    }
  }
}

}  // namespace
}  // namespace glq::gpu
