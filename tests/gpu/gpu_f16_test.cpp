// GLQ_MATH_FP16_EXPANDED on the GPU: near the exact mode by a bound that follows from its roundings, the same in every
// run, and another arithmetic where the plan says so.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "gpu/f16.h"
#include "gpu/support.h"

namespace glq::gpu {
namespace {

constexpr int64_t kTokens = 400;

// Every element of the weight and of v is rounded once to fp16, to a relative error of 2^-11 / sqrt(3) / m (rms), m the
// mantissa: 2.1e-4 on average. Both together are 2.9e-4 of the norm of a row of y, the more surely the more elements it
// has; the bound leaves room for rows of few.
constexpr double kRowError = 8e-4;
// y's own rounding, in both results.
double OutputError(glq_dtype y) { return y == GLQ_DTYPE_F32 ? 0 : y == GLQ_DTYPE_F16 ? 0x1p-11 : 0x1p-8; }

double Value(const Image& m, int64_t r, int64_t c) {
  if (m.dtype() == GLQ_DTYPE_F32) return m.Get<float>(r, c);
  const auto bits = m.Get<uint16_t>(r, c);
  return m.dtype() == GLQ_DTYPE_BF16 ? FromBf16(bits) : FromHalf(bits);
}

void RunF16(const Pair& pair, const DeviceImage& x, Image& y, int64_t tokens) {
  const cudaStream_t stream = GpuStream();
  const glq_launch_opts opts = F16Options();
  size_t bytes = 0;
  GLQ_ASSERT_OK(glq_fused_linear_e8p_workspace(GpuContext(), pair.gpu.get(), tokens, &opts, &bytes));
  Workspace workspace(bytes);
  const DeviceImage device_y(y);
  const glq_view xv = x.View(tokens), yv = device_y.View(tokens);
  GLQ_ASSERT_OK(
      glq_fused_linear_e8p(GpuContext(), stream, pair.gpu.get(), &xv, &yv, workspace.Poisoned(stream), &opts));
  device_y.Download(y, stream);
  EXPECT_TRUE(workspace.Intact(stream));
}

Image Like(const Image& m) {
  return Image(m.dtype(), m.rows(), m.cols(), m.stride(),
               static_cast<int64_t>(m.data_offset() - 256) / SizeOf(m.dtype()));
}

// The largest error of a row relative to its norm, infinite where one is NaN; rows of zeros must be equal.
double LargestRowError(const Image& expected, const Image& got) {
  double largest = 0;
  for (int64_t r = 0; r < expected.rows(); ++r) {
    double error = 0, norm = 0;
    for (int64_t c = 0; c < expected.cols(); ++c) {
      const double e = Value(expected, r, c), g = Value(got, r, c);
      error += (g - e) * (g - e), norm += e * e;
    }
    if (error == 0 && norm == 0) continue;
    const double relative = std::sqrt(error / norm);
    if (!std::isfinite(relative)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, relative);
  }
  return largest;
}

void CheckNear(const LinearSpec& spec, int64_t tokens, const FusedCase& c = {}) {
  SCOPED_TRACE(spec.Text() + ", " + std::to_string(tokens) + " tokens, x " + Name(c.x) + ", y " + Name(c.y));
  const HostLinear linear(spec);
  const Pair pair(linear);
  ASSERT_TRUE(TakesF16(GpuContext(), pair.gpu.get(), tokens));
  Image x(c.x, tokens, spec.in, c.x_stride, c.x_offset), y(c.y, tokens, spec.out, c.y_stride, c.y_offset);
  x.FillNormal(c.seed, c.x_scale);
  CpuFused(pair, x, y);
  const DeviceImage device_x(x);
  Image got = Like(y), again = Like(y);
  RunF16(pair, device_x, got, tokens);
  RunF16(pair, device_x, again, tokens);
  EXPECT_TRUE(SameRows(got, again, tokens));  // and nothing else was written
  EXPECT_FALSE(SameRows(y, got, tokens)) << "the exact mode's bytes";
  EXPECT_LT(LargestRowError(y, got), kRowError + OutputError(c.y));
}

TEST(GpuF16, LibraryIsThereSmoke) {
  if (std::getenv("GLQ_TEST_NO_LIBRARY") != nullptr) GTEST_SKIP() << "contexts are made without it";
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  GLQ_ASSERT_OK(glq_context_get_info(GpuContext(), &info));
  EXPECT_NE(info.cublaslt_version, 0) << "nothing here can be tested without cuBLASLt: " << info.cublaslt_message;
}

class Width : public ::testing::TestWithParam<int> {};

TEST_P(Width, NearSmoke) {
  LinearSpec spec = SmallestF16(GpuContext(), GetParam(), kTokens).value();
  CheckNear(spec, kTokens, {.y = GLQ_DTYPE_F32});
  spec.out -= 5, spec.in -= 3, spec.bias = GLQ_DTYPE_F16, spec.su = Signs::kReal, spec.sv = Signs::kReal;
  CheckNear(spec, kTokens, {.x = GLQ_DTYPE_BF16, .y = GLQ_DTYPE_BF16});
}

INSTANTIATE_TEST_SUITE_P(Bits, Width, ::testing::Values(3, 4, 5, 6, 7, 8),
                         [](const auto& i) { return std::to_string(i.param); });

// A missing last k tile, and block lists that are transformed in global memory.
TEST(GpuF16, BlockListsSmoke) {
  LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  spec.in_blocks = {spec.in / 2, spec.in / 2}, spec.out_blocks = {spec.out / 2, spec.out / 4, spec.out / 4};
  CheckNear(spec, kTokens);
  spec.in_blocks = {}, spec.in += 64;
  CheckNear(spec, kTokens, {.x = GLQ_DTYPE_F32});
  spec.out_blocks = {}, spec.out += 16;
  CheckNear(spec, kTokens, {.y = GLQ_DTYPE_F16});
}

TEST(GpuF16, TypesAndLayoutsSmoke) {
  const LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  for (const glq_dtype type : kFloatTypes) {
    CheckNear(spec, kTokens,
              {.x = type, .y = type, .x_stride = spec.in + 3, .y_stride = spec.out + 5, .x_offset = 1, .y_offset = 3});
  }
}

// So many rows that single blocks transform them.
TEST(GpuF16, RealSizes) {
  CheckNear({.out = 12288, .in = 8192, .bits = 4, .bias = GLQ_DTYPE_BF16}, 512, {.y = GLQ_DTYPE_BF16});
  CheckNear({.out = 16384, .in = 8192 + 4096, .bits = 3}, 512, {.x = GLQ_DTYPE_BF16, .y = GLQ_DTYPE_F16});
  CheckNear({.out = 4096, .in = 16384 + 4096, .bits = 8}, 300);
}

TEST(GpuF16, ManyRowsSmoke) {
  const LinearSpec in{.out = 64, .in = 8192 + 64, .bits = 8}, out{.out = 8192 + 16, .in = 256, .bits = 8};
  for (const LinearSpec& spec : {in, out}) {
    const HostLinear linear(spec);
    if (!TakesF16(GpuContext(), MakeWeight(GpuContext(), linear.desc(), GpuStream()).get(), 260)) {
      GTEST_SKIP() << "the exact mode is faster here; RealSizes does the same";
    }
    CheckNear(spec, 260);
    if (TakesF16(GpuContext(), MakeWeight(GpuContext(), linear.desc(), GpuStream()).get(), 130)) CheckNear(spec, 130);
  }
}

// The weight stays expanded from slice to slice; the last slice may be too short for it.
TEST(GpuF16, SlicesSmoke) {
  for (const int64_t tokens : {2048 + 2048, 2048 + 3}) CheckNear(SmallestF16(GpuContext(), 8, 2048).value(), tokens);
}

// Slices choose for themselves whether to expand: the last one may have to where the first ones did not.
TEST(GpuF16, LastSliceExpandsSmoke) {
  constexpr int64_t kSlice = 2048;
  constexpr int64_t kShapes[][2] = {{256, 512}, {512, 512}, {1024, 512}, {1536, 1024}, {4096, 4096}};
  const bool small = std::getenv("GLQ_TEST_SMALL") != nullptr;  // a sanitizer takes many minutes for the last one
  for (const int bits : {4, 6, 8}) {
    for (const auto& [out, in] : kShapes) {
      if (small && out == 4096) continue;
      const LinearSpec spec{.out = out, .in = in, .bits = bits};
      const HostLinear linear(spec);
      const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
      if (!TakesF16(GpuContext(), weight.get(), kSlice) || Expands(GpuContext(), weight.get(), kSlice)) continue;
      for (int64_t rest = 256; rest < kSlice; rest += 256) {
        if (!Expands(GpuContext(), weight.get(), rest)) continue;
        CheckNear(spec, kSlice + rest, {.x = GLQ_DTYPE_BF16});
        return;
      }
    }
  }
  GTEST_SKIP() << "no such shape here";
}

// NaN exactly where the exact mode has it, zero rows equal, neighbours untouched.
TEST(GpuF16, SpecialRowsSmoke) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  spec.bias = GLQ_DTYPE_F32;
  for (const bool in_cluster : {true, false}) {
    if (!in_cluster)
      spec.in_blocks = {spec.in / 2, spec.in / 2}, spec.out_blocks = {spec.out / 2, spec.out / 4, spec.out / 4};
    const HostLinear linear(spec);
    const Pair pair(linear);
    ASSERT_TRUE(TakesF16(GpuContext(), pair.gpu.get(), kTokens));
    for (const glq_dtype type : kFloatTypes) {
      SCOPED_TRACE(std::string(Name(type)) + (in_cluster ? "" : ", block lists"));
      Image x(type, kTokens, spec.in), y(GLQ_DTYPE_F32, kTokens, spec.out), got = Like(y);
      x.FillNormal(5);
      for (int64_t r = 0; r < kTokens; ++r) {
        if (r % 7 == 1) x.Set(r, r % spec.in, r % 2 ? kNan : -kInf);
        if (r % 7 == 3) {
          for (int64_t c = 0; c < spec.in; ++c) x.Set(r, c, r % 2 ? 0.0f : -0.0f);
        }
        if (r % 7 == 5) {
          for (int64_t c = 0; c < spec.in; ++c) x.Set(r, c, c == 0 ? 1.0f : 0.0f);  // all |v| the largest
        }
      }
      CpuFused(pair, x, y);
      RunF16(pair, DeviceImage(x), got, kTokens);
      for (int64_t r = 0; r < kTokens; ++r) {
        double error = 0, norm = 0;
        for (int64_t c = 0; c < spec.out; ++c) {
          if (r % 7 == 1) {
            ASSERT_EQ(got.Get<uint32_t>(r, c), 0x7FC00000u) << "row " << r;
          } else if (r % 7 == 3) {
            ASSERT_EQ(got.Get<uint32_t>(r, c), y.Get<uint32_t>(r, c)) << "row " << r;
          }
          const double e = Value(y, r, c), d = Value(got, r, c) - e;
          error += d * d, norm += e * e;
        }
        if (r % 7 != 1) {
          EXPECT_LE(std::sqrt(error / norm), kRowError) << "row " << r;
        }
      }
    }
  }
}

// Activations and weights of any size keep their precision: scales are powers of two and a factor per row.
TEST(GpuF16, ScalesSmoke) {
  LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  for (const double scale : {-0.5, 1e-9, 3e9}) {
    spec.weight_scale = scale;
    for (const float x_scale : {1e-25f, 1e20f}) CheckNear(spec, kTokens, {.x = GLQ_DTYPE_F32, .x_scale = x_scale});
  }
}

// The weight of the first stages of a layer.
Image DecodeStages(const LinearSpec& spec, int32_t stages) {
  const HostLinear linear(spec);
  glq_e8p_desc desc = linear.desc();
  desc.num_stages = stages;
  desc.bits = 0;
  for (int32_t s = 0; s < stages; ++s) desc.bits += desc.stages[s].codebook == GLQ_CODEBOOK_E8P ? 2 : 1;
  const Tensor weight = MakeWeight(CpuContext(), desc, nullptr);
  Image w(GLQ_DTYPE_F32, spec.out, spec.in);
  const glq_view view = w.View();
  Require(glq_decode_e8p(CpuContext(), nullptr, weight.get(), 0, &view, nullptr), "glq_decode_e8p");
  return w;
}

// Elementwise, with the bound of the worst case (ABI.md): 2^-10 of sum_j (|w_j| + what stages behind the first add)
// |v_j|, for the sums of fp32 and what fp16 loses below its normal range an eighth more, and the exact mode's own m /
// 65278 * sum_j |w_j|.
TEST(GpuF16, MatmulSmoke) {
  const LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  const HostLinear linear(spec);
  const Pair pair(linear);
  std::vector<Image> stages;  // sums of the first ones
  for (int32_t s = 1; s <= linear.desc().num_stages; ++s) stages.push_back(DecodeStages(spec, s));
  const Image& w = stages.back();
  Image v(GLQ_DTYPE_F32, kTokens, spec.in);
  v.FillNormal(6, 20);
  for (int64_t c = 0; c < spec.in; ++c) v.Set(1, c, 0), v.Set(2, c, c == 3 ? INFINITY : 1);
  const glq_launch_opts opts = F16Options();
  size_t bytes = 0;
  GLQ_ASSERT_OK(glq_matmul_e8p_workspace(GpuContext(), pair.gpu.get(), kTokens, &opts, &bytes));
  Workspace workspace(bytes);
  Image z(GLQ_DTYPE_F32, kTokens, spec.out, spec.out + 3, 1);
  const DeviceImage device_v(v), device_z(z);
  const glq_view from = device_v.View(), to = device_z.View();
  GLQ_ASSERT_OK(
      glq_matmul_e8p(GpuContext(), GpuStream(), pair.gpu.get(), &from, &to, workspace.Poisoned(GpuStream()), &opts));
  device_z.Download(z, GpuStream());
  EXPECT_TRUE(workspace.Intact(GpuStream()));
  for (const int64_t r : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{3}, kTokens - 1}) {
    for (int64_t i = 0; i < spec.out; ++i) {
      double sum = 0, bound = 0;
      for (int64_t j = 0; j < spec.in; ++j) {
        const double element = w.Get<float>(i, j), x = v.Get<float>(r, j);
        double parts = std::fabs(element);
        for (size_t s = 1; s < stages.size(); ++s) {
          parts += static_cast<double>(s) * std::fabs(stages[s].Get<float>(i, j) - stages[s - 1].Get<float>(i, j));
        }
        sum += element * x, bound += parts * std::fabs(x);
      }
      if (r == 2) {
        ASSERT_EQ(z.Get<uint32_t>(r, i), 0x7FC00000u);
      } else {
        ASSERT_LE(std::fabs(z.Get<float>(r, i) - sum), bound * 0x1p-10 * 1.125) << "row " << r << ", " << i;
      }
    }
  }
}

// Batches large enough for it alone and in the group, whose plans are not the same.
TEST(GpuF16, GroupSmoke) {
  constexpr int64_t kBatch = 1100;
  LinearSpec first = SmallestF16(GpuContext(), 8, kTokens).value();
  first.sv_seed = 9;
  LinearSpec second = first, other = first;
  second.bits = 7, second.out += 16, second.seed = 2;
  other.sv_seed = 10, other.seed = 3;  // another input transform
  std::vector<std::unique_ptr<HostLinear>> linears;
  std::vector<Pair> pairs;
  std::vector<const glq_tensor*> weights;
  for (const LinearSpec& s : {first, second, other}) {
    linears.push_back(std::make_unique<HostLinear>(s));
    pairs.emplace_back(*linears.back());
    ASSERT_TRUE(TakesF16(GpuContext(), pairs.back().gpu.get(), kBatch));
  }
  for (const Pair& p : pairs) weights.push_back(p.gpu.get());
  for (const int64_t tokens : {kBatch, 2048 + kBatch}) {
    Image x(GLQ_DTYPE_BF16, tokens, first.in);
    x.FillNormal(8);
    const DeviceImage device_x(x);
    const glq_launch_opts opts = F16Options();
    size_t bytes = 0;
    GLQ_ASSERT_OK(glq_fused_linear_e8p_group_workspace(GpuContext(), weights.data(), 3, tokens, &opts, &bytes));
    Workspace workspace(bytes);
    std::vector<Image> y;
    std::vector<DeviceImage> device_y;
    std::vector<glq_view> views;
    y.reserve(3), device_y.reserve(3);
    for (const auto& l : linears) {
      y.emplace_back(GLQ_DTYPE_F16, tokens, l->spec().out);
      device_y.emplace_back(y.back());
      views.push_back(device_y.back().View());
    }
    const glq_view xv = device_x.View();
    GLQ_ASSERT_OK(glq_fused_linear_e8p_group(GpuContext(), GpuStream(), weights.data(), 3, &xv, views.data(),
                                             workspace.Poisoned(GpuStream()), &opts));
    EXPECT_TRUE(workspace.Intact(GpuStream()));
    for (size_t i = 0; i < 3; ++i) {
      device_y[i].Download(y[i], GpuStream());
      Image alone = Like(y[i]);
      // The group may be computed otherwise, in another order of the sums, too.
      RunF16(pairs[i], device_x, alone, tokens);
      EXPECT_LT(LargestRowError(alone, y[i]), kRowError + OutputError(GLQ_DTYPE_F16))
          << "member " << i << ", " << tokens << " tokens";
    }
  }
}

// Where the mode is not taken it is the exact one to the byte: one stage, few tokens, scales that fp16 cannot follow.
TEST(GpuF16, ElsewhereExactSmoke) {
  LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  // `ratio`: of the second stage's scale to the first one's, or 0 for what it is.
  const auto check = [](const LinearSpec& s, int64_t tokens, double ratio = 0) {
    SCOPED_TRACE(s.Text() + ", ratio " + std::to_string(ratio));
    const HostLinear linear(s);
    glq_e8p_desc desc = linear.desc();
    std::vector<glq_e8p_stage> stages(desc.stages, desc.stages + desc.num_stages);
    if (ratio != 0) stages[1].cum_inv_scale = ratio;
    desc.stages = stages.data();
    const Pair pair(MakeWeight(CpuContext(), desc), MakeWeight(GpuContext(), desc, GpuStream()));
    ASSERT_FALSE(TakesF16(GpuContext(), pair.gpu.get(), tokens));
    Image x(GLQ_DTYPE_F16, tokens, s.in), y(GLQ_DTYPE_F32, tokens, s.out), got = Like(y);
    x.FillNormal(3);
    CpuFused(pair, x, y);
    RunF16(pair, DeviceImage(x), got, tokens);
    EXPECT_TRUE(SameRows(y, got, tokens));
  };
  check(spec, 5);
  check(spec, 32);
  spec.weight_scale = 1e30;
  check(spec, kTokens);
  spec.weight_scale = 1e-30;
  check(spec, kTokens);
  check({.out = 4096, .in = 64, .bits = 2}, 40);
  spec.weight_scale = LinearSpec().weight_scale;
  if (Expands(GpuContext(), MakeWeight(GpuContext(), HostLinear(spec).desc(), GpuStream()).get(), kTokens)) return;
  for (const double ratio : {17.0, -20.0, 0x1p-15}) check(spec, kTokens, ratio);  // for the product that decodes
}

// Where the product decodes the weight, as on Hopper, it needs no library: the same bytes without it.
TEST(GpuF16, WithoutLibrarySmoke) {
  const LinearSpec spec = SmallestF16(GpuContext(), 4, kTokens).value();
  const HostLinear linear(spec);
  const Pair pair(linear);
  if (Expands(GpuContext(), pair.gpu.get(), kTokens)) GTEST_SKIP() << "the weight is expanded here";
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = kGpu;
  desc.cublaslt_library = "/nonexistent/libcublasLt.so";
  glq_context* made = nullptr;
  GLQ_ASSERT_OK(glq_context_create(&desc, &made));
  const Context context(made);
  const Tensor weight = MakeWeight(made, linear.desc(), GpuStream());
  ASSERT_TRUE(TakesF16(made, weight.get(), kTokens));
  Image x(GLQ_DTYPE_BF16, kTokens, spec.in), y(GLQ_DTYPE_F16, kTokens, spec.out), got = Like(y);
  x.FillNormal(11);
  const DeviceImage device_x(x), device_y(got);
  RunF16(pair, device_x, y, kTokens);
  const glq_launch_opts opts = F16Options();
  size_t bytes = 0;
  GLQ_ASSERT_OK(glq_fused_linear_e8p_workspace(made, weight.get(), kTokens, &opts, &bytes));
  Workspace workspace(bytes);
  const glq_view xv = device_x.View(), yv = device_y.View();
  GLQ_ASSERT_OK(
      glq_fused_linear_e8p(made, GpuStream(), weight.get(), &xv, &yv, workspace.Poisoned(GpuStream()), &opts));
  device_y.Download(got, GpuStream());
  EXPECT_TRUE(SameRows(y, got, kTokens));
}

// Every tile of the product that decodes, ragged rows and tokens, k split and not, all stages.
TEST(GpuF16, RaggedTokensSmoke) {
  for (const int bits : {3, 4, 7, 8}) {
    const LinearSpec spec{.out = 5 * 128 + 16, .in = 2048 + 64, .bits = bits};
    const HostLinear linear(spec);
    const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
    for (const int64_t tokens : {37, 90, 129, 256 + 7}) {
      if (TakesF16(GpuContext(), weight.get(), tokens)) CheckNear(spec, tokens, {.x = GLQ_DTYPE_BF16});
    }
  }
}

TEST(GpuF16, WorkspaceSmoke) {
  const LinearSpec spec = SmallestF16(GpuContext(), 8, kTokens).value();
  const HostLinear linear(spec);
  const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
  const glq_launch_opts opts = F16Options();
  const auto query = [&](int64_t tokens) {
    size_t bytes = 0;
    Require(glq_fused_linear_e8p_workspace(GpuContext(), weight.get(), tokens, &opts, &bytes), "workspace query");
    return bytes;
  };
  size_t before = 0;
  for (const int64_t tokens : {0, 1, 8, 9, 100, 127, 128, 191, 192, 383, 384, 400, 2047, 2048, 2049, 5000}) {
    const size_t bytes = query(tokens);
    EXPECT_GE(bytes, before) << tokens;
    before = bytes;
    glq_op_query support = GLQ_OP_QUERY_INIT;
    support.op = GLQ_OP_FUSED_LINEAR_E8P, support.in_features = spec.in, support.out_features = spec.out,
    support.bits = spec.bits, support.max_tokens = tokens, support.math_mode = GLQ_MATH_FP16_EXPANDED;
    glq_op_support_info info = GLQ_OP_SUPPORT_INFO_INIT;
    GLQ_ASSERT_OK(glq_op_support(GpuContext(), &support, &info));
    EXPECT_EQ(info.workspace_bytes, bytes) << tokens;
  }
  const size_t needed = query(kTokens), exact = FusedWorkspace(GpuContext(), weight.get(), kTokens);
  if (Expands(GpuContext(), weight.get(), kTokens) || Expands(GpuContext(), weight.get(), 256)) {
    EXPECT_GT(needed, static_cast<size_t>(2 * spec.in * spec.out));
  } else {
    EXPECT_EQ(needed, exact) << "weights are decoded in the product";
  }
  const Image x(GLQ_DTYPE_F16, kTokens, spec.in), y(GLQ_DTYPE_F16, kTokens, spec.out);
  const DeviceImage device_x(x), device_y(y);
  const glq_view xv = device_x.View(), yv = device_y.View();
  for (const size_t bytes : {needed - 1, exact}) {
    if (bytes >= needed) continue;
    const Workspace workspace(bytes);
    EXPECT_EQ(glq_fused_linear_e8p(GpuContext(), GpuStream(), weight.get(), &xv, &yv, workspace.get(), &opts),
              GLQ_E_WORKSPACE_TOO_SMALL);
    glq_error_info error = GLQ_ERROR_INFO_INIT;
    glq_last_error(&error);
    EXPECT_NE(std::string(error.message).find(std::to_string(bytes)), std::string::npos) << error.message;
    EXPECT_NE(std::string(error.message).find(std::to_string(needed)), std::string::npos) << error.message;
  }
}

}  // namespace
}  // namespace glq::gpu
