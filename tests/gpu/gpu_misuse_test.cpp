// Wrong calls on a CUDA context: the status, the sentence, nothing queued, and the next right call works.
#include <gtest/gtest.h>

#include "gpu/support.h"

namespace glq::gpu {
namespace {

class GpuMisuse : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 3;

  GpuMisuse()
      : linear_({.out = 100, .in = 200, .bits = 3}),
        pair_(linear_),
        x_(GLQ_DTYPE_F16, kTokens, 200),
        y_(GLQ_DTYPE_F16, kTokens, 100),
        want_(GLQ_DTYPE_F16, kTokens, 100),
        dx_(Filled(x_)),
        dy_(y_),
        bytes_(FusedWorkspace(GpuContext(), pair_.gpu.get(), kTokens)),
        memory_(bytes_ + 512) {
    CpuFused(pair_, x_, want_);
    xv_ = dx_.View();
    yv_ = dy_.View();
    ws_ = {memory_.data(), bytes_};
  }

  static const Image& Filled(Image& x) {
    x.FillNormal(1);
    return x;
  }

  glq_status Call(const glq_tensor* weight) {
    return glq_fused_linear_e8p(GpuContext(), GpuStream(), weight, &xv_, &yv_, &ws_, nullptr);
  }
  glq_status Call() { return Call(pair_.gpu.get()); }

  // `words`: what the sentence must contain.
  static void ExpectFailure(glq_status got, glq_status expected, std::initializer_list<const char*> words) {
    EXPECT_EQ(got, expected);
    glq_error_info info = GLQ_ERROR_INFO_INIT;
    glq_last_error(&info);
    EXPECT_EQ(info.status, expected);
    for (const char* w : words)
      EXPECT_NE(std::string(info.message).find(w), std::string::npos)
          << '"' << info.message << "\" has no \"" << w << '"';
  }

  // The output was not touched, and the right call works.
  void TearDown() override {
    dy_.Download(y_, GpuStream());
    EXPECT_TRUE(SameRows(want_, y_, 0));
    xv_ = dx_.View(), yv_ = dy_.View(), ws_ = {memory_.data(), bytes_};
    GLQ_ASSERT_OK(Call());
    dy_.Download(y_, GpuStream());
    EXPECT_TRUE(SameRows(want_, y_, kTokens));
  }

  const HostLinear linear_;
  const Pair pair_;
  Image x_, y_, want_;
  DeviceImage dx_, dy_;
  size_t bytes_;
  DeviceBuffer memory_;
  glq_view xv_{}, yv_{};
  glq_workspace ws_{};
};

TEST_F(GpuMisuse, HostMemory) {
  xv_ = x_.View();
  ExpectFailure(Call(), GLQ_E_DEVICE_MISMATCH, {"x.device = cpu", "expected cuda:0"});
  xv_ = dx_.View();
  yv_ = y_.View();
  ExpectFailure(Call(), GLQ_E_DEVICE_MISMATCH, {"y.device = cpu", "expected cuda:0"});
  yv_ = dy_.View();
  xv_.device.index = 1;
  ExpectFailure(Call(), GLQ_E_DEVICE_MISMATCH, {"x.device = cuda:1", "expected cuda:0"});
}

TEST_F(GpuMisuse, HostMemoryInTheOtherOperations) {
  const int64_t padded_in = linear_.spec().padded_in;
  Image v(GLQ_DTYPE_F32, kTokens, padded_in);
  const glq_view host_v = v.View(), host_y = y_.View(), host_x = x_.View();
  glq_context* c = GpuContext();
  cudaStream_t s = GpuStream();
  const glq_tensor* w = pair_.gpu.get();
  EXPECT_EQ(glq_rht_input(c, s, w, &host_x, &host_v, &ws_, nullptr), GLQ_E_DEVICE_MISMATCH);
  EXPECT_EQ(glq_rht_input(c, s, w, &xv_, &host_v, &ws_, nullptr), GLQ_E_DEVICE_MISMATCH);
  EXPECT_EQ(glq_matmul_e8p(c, s, w, &host_v, &host_v, &ws_, nullptr), GLQ_E_DEVICE_MISMATCH);
  Image z(GLQ_DTYPE_F32, kTokens, linear_.spec().padded_out);
  const glq_view host_z = z.View();
  EXPECT_EQ(glq_rht_output(c, s, w, &host_z, &host_y, &ws_, nullptr), GLQ_E_DEVICE_MISMATCH);
  EXPECT_EQ(glq_decode_e8p(c, s, w, 0, &host_v, nullptr), GLQ_E_DEVICE_MISMATCH);
  Image all(GLQ_DTYPE_F32, 100, 200);
  const glq_view host_all = all.View();
  EXPECT_EQ(glq_dequantize(c, s, w, &host_all, &ws_, nullptr), GLQ_E_DEVICE_MISMATCH);
  const glq_view packed = linear_.desc().stages[0].indices;
  std::vector<uint16_t> codes(linear_.stages[0].size() * 4);
  const int64_t shape[2] = {linear_.spec().padded_out, padded_in / 8};
  glq_view code_view;
  GLQ_ASSERT_OK(glq_view_init(&code_view, codes.data(), GLQ_DTYPE_U16, nullptr, 2, shape));
  EXPECT_EQ(glq_e8p_unpack(c, s, GLQ_CODEBOOK_E8P, &packed, &code_view), GLQ_E_DEVICE_MISMATCH);
  EXPECT_EQ(glq_e8p_pack(c, s, GLQ_CODEBOOK_E8P, &code_view, &packed), GLQ_E_DEVICE_MISMATCH);
  Image a(GLQ_DTYPE_F16, 2, 2), b(GLQ_DTYPE_F16, 2, 2);
  const glq_view from = a.View(), to = b.View();
  EXPECT_EQ(glq_view_copy(c, s, &from, &to), GLQ_E_DEVICE_MISMATCH);
  glq_tensor* made = nullptr;
  EXPECT_EQ(glq_tensor_borrow(c, &from, nullptr, nullptr, &made), GLQ_E_DEVICE_MISMATCH);
  EXPECT_EQ(made, nullptr);
  // And device memory for the CPU.
  EXPECT_EQ(glq_fused_linear_e8p(CpuContext(), nullptr, pair_.cpu.get(), &xv_, &yv_, &ws_, nullptr),
            GLQ_E_DEVICE_MISMATCH);
}

TEST_F(GpuMisuse, Workspace) {
  const std::string needed = std::to_string(bytes_);
  ws_.bytes = bytes_ - 1;
  ExpectFailure(Call(), GLQ_E_WORKSPACE_TOO_SMALL, {"workspace", needed.c_str(), std::to_string(bytes_ - 1).c_str()});
  ws_.bytes = 0;
  ExpectFailure(Call(), GLQ_E_WORKSPACE_TOO_SMALL, {needed.c_str()});
  ExpectFailure(glq_fused_linear_e8p(GpuContext(), GpuStream(), pair_.gpu.get(), &xv_, &yv_, nullptr, nullptr),
                GLQ_E_WORKSPACE_TOO_SMALL, {"NULL", needed.c_str()});
  ws_ = {memory_.data() + 128, bytes_};
  ExpectFailure(Call(), GLQ_E_ALIGNMENT, {"workspace.data", "256"});
  ws_ = {nullptr, bytes_};
  ExpectFailure(Call(), GLQ_E_INVALID_ARGUMENT, {"workspace.data = NULL"});
}

TEST_F(GpuMisuse, Overlap) {
  const DeviceBuffer shared(1 << 20);
  xv_.data = shared.data();
  yv_.data = shared.data() + 64;
  ExpectFailure(Call(), GLQ_E_ALIASING, {"y", "overlaps x"});
  yv_ = dy_.View();
  ws_ = {shared.data(), shared.bytes()};
  ExpectFailure(Call(), GLQ_E_ALIASING, {"workspace", "overlaps x"});
}

TEST_F(GpuMisuse, HandlesOfAnotherContext) {
  ExpectFailure(Call(pair_.cpu.get()), GLQ_E_DEVICE_MISMATCH, {"weight"});
  const Context other = MakeContext(kGpu);
  const Tensor weight = MakeWeight(other.get(), linear_.desc(), GpuStream());
  ExpectFailure(Call(weight.get()), GLQ_E_DEVICE_MISMATCH, {"weight"});
  ExpectFailure(glq_fused_linear_e8p(CpuContext(), nullptr, pair_.gpu.get(), &xv_, &yv_, &ws_, nullptr),
                GLQ_E_DEVICE_MISMATCH, {"weight"});
  ExpectFailure(Call(nullptr), GLQ_E_INVALID_ARGUMENT, {"weight"});
  ExpectFailure(Call(reinterpret_cast<const glq_tensor*>(GpuContext())), GLQ_E_BAD_HANDLE, {"weight"});
  glq_tensor* dense = nullptr;
  const glq_view spec = dx_.View();
  GLQ_ASSERT_OK(glq_tensor_create(GpuContext(), &spec, &dense));
  const Tensor own(dense);
  ExpectFailure(Call(dense), GLQ_E_UNSUPPORTED, {"weight"});
}

TEST_F(GpuMisuse, StreamsOnTheCpu) {
  Image y(GLQ_DTYPE_F16, kTokens, 100);
  const glq_view x = x_.View(), to = y.View();
  ExpectFailure(glq_fused_linear_e8p(CpuContext(), GpuStream(), pair_.cpu.get(), &x, &to, &ws_, nullptr),
                GLQ_E_INVALID_ARGUMENT, {"stream", "NULL"});
}

TEST_F(GpuMisuse, ViewsOfTheWrongKind) {
  xv_.dtype = GLQ_DTYPE_I16;
  ExpectFailure(Call(), GLQ_E_DTYPE, {"x.dtype"});
  xv_ = dx_.View();
  xv_.shape[1] = 199;
  ExpectFailure(Call(), GLQ_E_SHAPE, {"x.shape[1] = 199", "200"});
  xv_ = dx_.View();
  xv_.strides[1] = 2;
  ExpectFailure(Call(), GLQ_E_LAYOUT, {"x.strides[1] = 2"});
  xv_ = dx_.View();
  xv_.strides[0] = 100;
  ExpectFailure(Call(), GLQ_E_LAYOUT, {"x.strides[0] = 100"});
  xv_ = dx_.View();
  xv_.data = static_cast<std::byte*>(xv_.data) + 1;
  ExpectFailure(Call(), GLQ_E_ALIGNMENT, {"x.data"});
  xv_ = dx_.View();
  yv_.flags = GLQ_VIEW_READ_ONLY;
  ExpectFailure(Call(), GLQ_E_INVALID_ARGUMENT, {"y.flags"});
  yv_ = dy_.View();
  yv_.shape[0] = 2;
  ExpectFailure(Call(), GLQ_E_SHAPE, {"y.shape[0] = 2", "3"});
  yv_ = dy_.View();
  yv_.data = nullptr;
  ExpectFailure(Call(), GLQ_E_INVALID_ARGUMENT, {"y.data = NULL"});
}

TEST_F(GpuMisuse, Groups) {
  const glq_tensor* none[2] = {nullptr, nullptr};
  const HostLinear wide({.out = 100, .in = 300, .bits = 2});
  const Tensor other = MakeWeight(GpuContext(), wide.desc(), GpuStream());
  const glq_tensor* mixed[2] = {pair_.gpu.get(), other.get()};
  const glq_tensor* same[2] = {pair_.gpu.get(), pair_.gpu.get()};
  const glq_view y[2] = {yv_, yv_};
  const auto call = [&](const glq_tensor* const* weights, int32_t count) {
    return glq_fused_linear_e8p_group(GpuContext(), GpuStream(), weights, count, &xv_, y, &ws_, nullptr);
  };
  ExpectFailure(call(none, 2), GLQ_E_INVALID_ARGUMENT, {"weights"});
  ExpectFailure(call(mixed, 0), GLQ_E_INVALID_ARGUMENT, {"count = 0"});
  ExpectFailure(call(mixed, 9), GLQ_E_INVALID_ARGUMENT, {"count = 9"});
  ExpectFailure(call(mixed, 2), GLQ_E_SHAPE, {"weights[1].in_features = 300", "200"});
  ExpectFailure(call(same, 2), GLQ_E_ALIASING, {"y[1]", "y[0]"});
}

TEST_F(GpuMisuse, DeviceMemoryOfWeightsIsAligned) {
  const DeviceBuffer memory(linear_.stages[0].size() * 8 + 8);
  glq_e8p_desc desc = linear_.desc();
  std::vector<glq_e8p_stage> stages(desc.stages, desc.stages + 2);
  stages[1].indices = HostLinear::At(stages[1].indices, memory.data() + 4, kGpu);
  desc.stages = stages.data();
  glq_tensor* made = nullptr;
  ExpectFailure(glq_tensor_create_e8p(GpuContext(), GpuStream(), &desc, &made), GLQ_E_ALIGNMENT,
                {"desc.stages[1].indices"});
  stages[1].indices = HostLinear::At(linear_.desc().stages[1].indices, memory.data(), {GLQ_DEVICE_CUDA, 1});
  ExpectFailure(glq_tensor_create_e8p(GpuContext(), GpuStream(), &desc, &made), GLQ_E_DEVICE_MISMATCH,
                {"desc.stages[1].indices"});
  EXPECT_EQ(made, nullptr);
}

TEST_F(GpuMisuse, NoSuchDevice) {
  int32_t count = 0;
  GLQ_ASSERT_OK(glq_device_count(GLQ_DEVICE_CUDA, &count));
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = {GLQ_DEVICE_CUDA, count};
  glq_context* made = nullptr;
  ExpectFailure(glq_context_create(&desc, &made), GLQ_E_NO_DEVICE, {"device"});
  EXPECT_EQ(made, nullptr);
}

TEST_F(GpuMisuse, MoreMemoryThanThereIs) {
  const int64_t bytes = int64_t{1} << 45;
  glq_view spec = dx_.View();
  spec.dtype = GLQ_DTYPE_U8, spec.ndim = 1, spec.shape[0] = bytes, spec.strides[0] = 1;
  glq_tensor* made = nullptr;
  EXPECT_EQ(glq_tensor_create(GpuContext(), &spec, &made), GLQ_E_OUT_OF_DEVICE_MEMORY);
  EXPECT_EQ(made, nullptr);
}

}  // namespace
}  // namespace glq::gpu
