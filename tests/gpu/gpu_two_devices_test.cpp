// Two GPUs in one process: each context does its work on its own device, whatever device is current, and leaves the
// current device as it was; what lies on the other device is refused.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <functional>
#include <thread>

#include "gpu/support.h"

namespace glq::gpu {
namespace {

constexpr int64_t kOut = 100, kIn = 200, kTokens = 5;

// Makes a device current for a scope.
class Current {
 public:
  explicit Current(int device) {
    Require(cudaGetDevice(&before_), "cudaGetDevice");
    Require(cudaSetDevice(device), "cudaSetDevice");
  }
  Current(const Current&) = delete;
  ~Current() { cudaSetDevice(before_); }

 private:
  int before_ = 0;
};

int CurrentDevice() {
  int device = -1;
  Require(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

// Success, and the same device is current as before.
::testing::AssertionResult Kept(const std::function<glq_status()>& call, glq_status expected = GLQ_OK) {
  const int before = CurrentDevice();
  const glq_status status = call();
  if (status != expected) return Ok(status) << "; expected status " << expected;
  if (const int after = CurrentDevice(); after != before)
    return ::testing::AssertionFailure() << "device " << before << " was current, now " << after << " is; ";
  return ::testing::AssertionSuccess();
}

// One device: a context, a stream, a weight, and memory for one product.
struct Side {
  explicit Side(int index, const glq_e8p_desc& desc) : device{GLQ_DEVICE_CUDA, index} {
    {
      const Current scope(index);
      Require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
      x_memory = std::make_unique<DeviceBuffer>(x.bytes());
      y_memory = std::make_unique<DeviceBuffer>(y.bytes());
    }
    // Outside of the scope: whatever device is current.
    context = MakeContext(device);
    own_bytes = DeviceBytes();
    weight = MakeWeight(context.get(), desc, stream);
    const Current scope(index);
    workspace_memory = std::make_unique<DeviceBuffer>(FusedWorkspace(context.get(), weight.get(), kTokens));
    workspace = {workspace_memory->data(), workspace_memory->bytes()};
  }
  Side(const Side&) = delete;
  ~Side() { cudaStreamDestroy(stream); }

  glq_view X() const { return x.ViewAt(x_memory->data() + x.data_offset(), device, kTokens); }
  glq_view Y() const { return y.ViewAt(y_memory->data() + y.data_offset(), device, kTokens); }

  glq_status Call() const { return Call(weight.get(), X(), Y()); }
  glq_status Call(const glq_tensor* w, const glq_view& from, const glq_view& to) const {
    return glq_fused_linear_e8p(context.get(), stream, w, &from, &to, &workspace, nullptr);
  }

  int64_t DeviceBytes() const {
    glq_context_info info = GLQ_CONTEXT_INFO_INIT;
    Require(glq_context_get_info(context.get(), &info), "glq_context_get_info");
    return info.device_bytes;
  }

  // New inputs, and an output that must be written.
  void Reset(uint64_t seed) {
    x.FillNormal(seed);
    Require(cudaMemcpyAsync(x_memory->data(), x.begin(), x.bytes(), cudaMemcpyHostToDevice, stream), "upload");
    Require(cudaMemsetAsync(y_memory->data(), 0xFF, y.bytes(), stream), "poison");
    Require(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
  const Image& Output() {
    Require(cudaMemcpyAsync(y.begin(), y_memory->data(), y.bytes(), cudaMemcpyDeviceToHost, stream), "download");
    Require(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return y;
  }

  glq_device device;
  Image x{GLQ_DTYPE_F16, kTokens, kIn}, y{GLQ_DTYPE_F32, kTokens, kOut};
  cudaStream_t stream = nullptr;
  Context context;
  int64_t own_bytes = 0;  // what the context holds without objects
  Tensor weight;
  std::unique_ptr<DeviceBuffer> x_memory, y_memory, workspace_memory;
  glq_workspace workspace{};
};

class GpuTwoDevices : public ::testing::Test {
 protected:
  void SetUp() override {
    int32_t count = 0;
    GLQ_ASSERT_OK(glq_device_count(GLQ_DEVICE_CUDA, &count));
    if (count < 2) GTEST_SKIP() << "there is one GPU; two are needed";
    for (int i = 0; i < 2; ++i) sides_[i] = std::make_unique<Side>(i, linear_.desc());
    on_cpu_ = MakeWeight(CpuContext(), linear_.desc());
  }
  void TearDown() override { EXPECT_EQ(cudaSetDevice(0), cudaSuccess); }

  // What the CPU says for the inputs of this side.
  ::testing::AssertionResult Right(Side& side) {
    Image want(GLQ_DTYPE_F32, kTokens, kOut);
    Image memory(GLQ_DTYPE_U8, 1, static_cast<int64_t>(FusedWorkspace(CpuContext(), on_cpu_.get(), kTokens)));
    const glq_workspace workspace{memory.data(), static_cast<size_t>(memory.cols())};
    const glq_view x = side.x.View(), y = want.View();
    Require(glq_fused_linear_e8p(CpuContext(), nullptr, on_cpu_.get(), &x, &y, &workspace, nullptr), "the CPU");
    return SameRows(want, side.Output(), kTokens);
  }

  const HostLinear linear_{{.out = kOut, .in = kIn, .bits = 3, .bias = GLQ_DTYPE_F16}};
  std::array<std::unique_ptr<Side>, 2> sides_;
  Tensor on_cpu_;
};

TEST_F(GpuTwoDevices, InterleavedCallsSmoke) {
  for (const int current : {0, 1}) {
    const Current scope(current);
    for (uint64_t round = 0; round < 4; ++round) {
      for (auto& side : sides_) side->Reset(10 * round + static_cast<uint64_t>(side->device.index));
      for (auto& side : sides_) ASSERT_TRUE(Kept([&] { return side->Call(); }));
      for (auto& side : sides_) EXPECT_TRUE(Right(*side)) << "device " << side->device.index << ", current " << current;
    }
  }
}

// Everything that allocates, copies, waits or frees, with the other device current.
TEST_F(GpuTwoDevices, CurrentDeviceStays) {
  for (auto& side : sides_) {
    const Current scope(1 - side->device.index);
    glq_context* const context = side->context.get();
    const cudaStream_t stream = side->stream;
    glq_context* made = nullptr;
    glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
    desc.device = side->device;
    ASSERT_TRUE(Kept([&] { return glq_context_create(&desc, &made); }));
    ASSERT_TRUE(Kept([&] { return glq_context_destroy(made), GLQ_OK; }));

    glq_tensor *weight = nullptr, *copy = nullptr, *empty = nullptr, *borrowed = nullptr;
    const glq_view host = side->x.View(), x = side->X();
    ASSERT_TRUE(Kept([&] { return glq_tensor_create_e8p(context, stream, &linear_.desc(), &weight); }));
    ASSERT_TRUE(Kept([&] { return glq_tensor_create_copy(context, stream, &host, &copy); }));
    ASSERT_TRUE(Kept([&] { return glq_tensor_create(context, &x, &empty); }));
    ASSERT_TRUE(Kept([&] { return glq_tensor_borrow(context, &x, nullptr, nullptr, &borrowed); }));
    glq_view to{};
    GLQ_ASSERT_OK(glq_tensor_view(empty, &to));
    ASSERT_TRUE(Kept([&] { return glq_view_copy(context, stream, &x, &to); }));

    std::vector<uint16_t> su(static_cast<size_t>(linear_.desc().padded_out > 0 ? linear_.desc().padded_out : 112));
    const int64_t shape[1] = {static_cast<int64_t>(su.size())};
    glq_view su_view;
    GLQ_ASSERT_OK(glq_view_init(&su_view, su.data(), GLQ_DTYPE_F16, nullptr, 1, shape));
    glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
    parts.su = &su_view;
    ASSERT_TRUE(Kept([&] { return glq_e8p_export(context, stream, weight, &parts); }));
    EXPECT_EQ(su, std::vector<uint16_t>(linear_.su.begin(), linear_.su.end()));

    for (glq_tensor* tensor : {weight, copy, empty, borrowed})
      EXPECT_TRUE(Kept([&] { return glq_tensor_destroy(tensor), GLQ_OK; }));
    EXPECT_TRUE(Kept([&] { return glq_context_synchronize(context, stream); }));
    side->Reset(3);
    ASSERT_TRUE(Kept([&] { return side->Call(); }));
    EXPECT_TRUE(Right(*side));
  }
}

TEST_F(GpuTwoDevices, TheOtherDeviceIsRefused) {
  for (auto& side : sides_) {
    Side& other = *sides_[static_cast<size_t>(1 - side->device.index)];
    const std::string mine = "cuda:" + std::to_string(side->device.index);
    const std::string theirs = "cuda:" + std::to_string(other.device.index);
    const auto says = [](std::initializer_list<std::string> words) {
      glq_error_info info = GLQ_ERROR_INFO_INIT;
      glq_last_error(&info);
      for (const std::string& word : words)
        if (std::string(info.message).find(word) == std::string::npos)
          return ::testing::AssertionFailure() << '"' << info.message << "\" has no \"" << word << '"';
      return ::testing::AssertionSuccess();
    };
    side->Reset(4);
    const glq_tensor* const weight = side->weight.get();
    EXPECT_TRUE(Kept([&] { return side->Call(weight, other.X(), side->Y()); }, GLQ_E_DEVICE_MISMATCH));
    EXPECT_TRUE(says({"x.device = " + theirs, "expected " + mine}));
    EXPECT_TRUE(Kept([&] { return side->Call(weight, side->X(), other.Y()); }, GLQ_E_DEVICE_MISMATCH));
    EXPECT_TRUE(says({"y.device = " + theirs, "expected " + mine}));
    EXPECT_TRUE(Kept([&] { return side->Call(other.weight.get(), side->X(), side->Y()); }, GLQ_E_DEVICE_MISMATCH));
    EXPECT_TRUE(says({"weight"}));

    const glq_view x = other.X(), y = side->X();
    EXPECT_TRUE(Kept([&] { return glq_view_copy(side->context.get(), side->stream, &x, &y); }, GLQ_E_DEVICE_MISMATCH));
    glq_tensor* made = nullptr;
    EXPECT_TRUE(Kept([&] { return glq_tensor_borrow(side->context.get(), &x, nullptr, nullptr, &made); },
                     GLQ_E_DEVICE_MISMATCH));
    EXPECT_EQ(made, nullptr);

    EXPECT_TRUE(SameRows(side->y, side->Output(), 0)) << "something was written";
    GLQ_ASSERT_OK(side->Call());
    EXPECT_TRUE(Right(*side));
  }
}

TEST_F(GpuTwoDevices, AGraphOnEach) {
  std::array<cudaGraphExec_t, 2> replays{};
  for (auto& side : sides_) {
    const Current scope(1 - side->device.index);
    cudaGraph_t graph = nullptr;
    GLQ_ASSERT_CUDA(cudaStreamBeginCapture(side->stream, cudaStreamCaptureModeThreadLocal));
    const auto queued = Kept([&] { return side->Call(); });
    GLQ_ASSERT_CUDA(cudaStreamEndCapture(side->stream, &graph));
    ASSERT_TRUE(queued);
    GLQ_ASSERT_CUDA(cudaGraphInstantiate(&replays[static_cast<size_t>(side->device.index)], graph, 0));
    GLQ_ASSERT_CUDA(cudaGraphDestroy(graph));
  }
  for (uint64_t round = 0; round < 4; ++round) {
    const Current scope(static_cast<int>(round % 2));
    for (auto& side : sides_) side->Reset(30 * round + static_cast<uint64_t>(side->device.index));
    for (size_t i = 0; i < 2; ++i) GLQ_ASSERT_CUDA(cudaGraphLaunch(replays[i], sides_[i]->stream));
    for (auto& side : sides_) EXPECT_TRUE(Right(*side)) << "device " << side->device.index << ", round " << round;
  }
  for (cudaGraphExec_t replay : replays) EXPECT_EQ(cudaGraphExecDestroy(replay), cudaSuccess);
}

// Each thread works on one device and has the other one current; the memory of both is given back.
TEST_F(GpuTwoDevices, Threads) {
  std::vector<std::thread> threads;
  std::array<std::string, 4> wrong;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Require(cudaSetDevice(t % 2), "cudaSetDevice");
      Side own(1 - t % 2, linear_.desc());
      for (uint64_t round = 0; round < 8; ++round) {
        own.Reset(round + 100 * static_cast<uint64_t>(t));
        const auto queued = Kept([&] { return own.Call(); });
        const auto right = queued ? Right(own) : queued;
        if (!right) wrong[static_cast<size_t>(t)] = right.message();
      }
      own.weight.reset();
      Require(glq_context_synchronize(own.context.get(), own.stream), "glq_context_synchronize");
      if (own.DeviceBytes() != own.own_bytes) wrong[static_cast<size_t>(t)] += "memory is held";
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : wrong) EXPECT_EQ(text, "");
}

// In a process of its own (see below). The thread that calls the library has nothing current, which to the CUDA runtime
// is device 0: going back to that with cudaSetDevice would make a context on it. So would any call of the runtime on
// this thread, hence the other thread for the stream.
TEST(OnlyTheSecondDevice, DISABLED_InProcess) {
  cudaStream_t stream = nullptr;
  std::thread([&stream] {
    Require(cudaSetDevice(1), "cudaSetDevice");
    Require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }).join();
  ASSERT_EQ(CurrentContext(), nullptr);
  ASSERT_FALSE(HasPrimaryContext(0)) << "before the library was called";
  ASSERT_TRUE(HasPrimaryContext(1));
  const glq_device device{GLQ_DEVICE_CUDA, 1};
  glq_device_info info = GLQ_DEVICE_INFO_INIT;
  GLQ_ASSERT_OK(glq_device_get_info(&device, &info));
  EXPECT_FALSE(HasPrimaryContext(0)) << "glq_device_get_info";
  int step = 0;
  UseTheLibraryAlone(device, stream, [&step] {
    EXPECT_EQ(CurrentContext(), nullptr) << "step " << step;
    EXPECT_FALSE(HasPrimaryContext(0)) << "step " << step;
    ++step;
  });
  EXPECT_TRUE(HasPrimaryContext(1));
}

TEST(OnlyTheSecondDevice, HasAContext) {
  int32_t count = 0;
  GLQ_ASSERT_OK(glq_device_count(GLQ_DEVICE_CUDA, &count));
  if (count < 2) GTEST_SKIP() << "there is one GPU; two are needed";
  const pid_t child = StartAlone("OnlyTheSecondDevice.DISABLED_InProcess");
  ASSERT_GT(child, 0);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace
}  // namespace glq::gpu
