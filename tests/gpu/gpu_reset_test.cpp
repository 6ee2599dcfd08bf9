// cudaDeviceReset() while contexts and tensors are there: they are lost, and say so; destroying them touches nothing;
// and a context that is made afterwards works. A program of its own: a reset ends what all cases of one have on the
// GPU.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

#include "gpu/operations.h"
#include "gpu/support.h"

namespace glq::gpu {
namespace {

constexpr uint64_t kSeed = 5;

using Operations = std::vector<std::unique_ptr<Operation>>;

// The call said that the device was reset.
::testing::AssertionResult SaysLost(glq_status status) {
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  glq_last_error(&info);
  const std::string message = info.message;
  if (status != GLQ_E_DEVICE_LOST) return ::testing::AssertionFailure() << "status " << status << ", " << message;
  if (message.find("cuda:0 was reset") == std::string::npos) return ::testing::AssertionFailure() << message;
  return ::testing::AssertionSuccess();
}

// What each operation gives. Leaves nothing of its own on the GPU.
std::vector<Image> Results(glq_context* context, const Operations& operations) {
  std::vector<Image> results;
  for (const auto& operation : operations) {
    Buffers buffers(*operation);
    results.push_back(Eager(context, buffers, kSeed, GpuStream()));
  }
  return results;
}
void ExpectResults(const std::vector<Image>& expected, glq_context* context, const Operations& operations) {
  const std::vector<Image> got = Results(context, operations);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(SameImages(expected[i], got[i])) << operations[i]->name;
}

int64_t DeviceBytes(const glq_context* context) {
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  Require(glq_context_get_info(context, &info), "glq_context_get_info");
  return info.device_bytes;
}

void ExpectLost(glq_context* context, const Operations& operations) {
  for (const auto& operation : operations) {
    Buffers buffers(*operation);
    buffers.Reset(kSeed, GpuStream());
    EXPECT_TRUE(SaysLost(buffers.Run(context, GpuStream()))) << operation->name;
    EXPECT_TRUE(SameRows(operation->out, buffers.Output(GpuStream()), 0)) << operation->name << " wrote something";
    EXPECT_TRUE(buffers.WorkspaceIntact(GpuStream())) << operation->name;
  }
}

TEST(GpuReset, OperationsSayWhatHappened) {
  const Context context = MakeContext(kGpu);
  const Operations operations = MakeOperations(context.get());
  ResetGpu();
  ExpectLost(context.get(), operations);
}

TEST(GpuReset, ANewContextWorks) {
  Context lost = MakeContext(kGpu);
  Operations of_lost = MakeOperations(lost.get());
  const std::vector<Image> expected = Results(lost.get(), of_lost);
  ResetGpu();
  // Beside the lost one, and when that is gone.
  const Context fresh = MakeContext(kGpu);
  const Operations of_fresh = MakeOperations(fresh.get());
  ExpectResults(expected, fresh.get(), of_fresh);
  ExpectLost(lost.get(), of_lost);
  of_lost.clear();
  lost.reset();
  ExpectResults(expected, fresh.get(), of_fresh);
}

TEST(GpuReset, ObjectsSayWhatHappened) {
  const LinearSpec spec{.out = 100, .in = 200, .bits = 3};
  const HostLinear linear(spec);
  const Context context = MakeContext(kGpu);
  const Tensor weight = MakeWeight(context.get(), linear.desc());
  GLQ_ASSERT_OK(glq_context_synchronize(context.get(), GpuStream()));  // nothing waits to be freed
  const int64_t bytes = DeviceBytes(context.get());
  EXPECT_GT(bytes, 0);
  ResetGpu();

  glq_tensor* made = nullptr;
  Image image(GLQ_DTYPE_F32, 4, 8);
  image.FillNormal(kSeed);
  const DeviceImage on_device(image);
  const glq_view host = image.View(), device = on_device.View();
  EXPECT_TRUE(SaysLost(glq_tensor_create(context.get(), &device, &made)));
  EXPECT_TRUE(SaysLost(glq_tensor_create_copy(context.get(), GpuStream(), &host, &made)));
  EXPECT_TRUE(SaysLost(glq_tensor_create_e8p(context.get(), GpuStream(), &linear.desc(), &made)));
  EXPECT_TRUE(SaysLost(glq_tensor_borrow(context.get(), &device, nullptr, nullptr, &made)));
  EXPECT_EQ(made, nullptr);
  EXPECT_TRUE(SaysLost(glq_view_copy(context.get(), GpuStream(), &device, &host)));
  EXPECT_TRUE(SaysLost(glq_context_synchronize(context.get(), GpuStream())));
  std::vector<uint16_t> su(linear.su.size());
  const int64_t shape[1] = {static_cast<int64_t>(su.size())};
  glq_view su_view;
  GLQ_ASSERT_OK(glq_view_init(&su_view, su.data(), GLQ_DTYPE_F16, nullptr, 1, shape));
  glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
  parts.su = &su_view;
  EXPECT_TRUE(SaysLost(glq_e8p_export(context.get(), GpuStream(), weight.get(), &parts)));

  // What touches no device goes on.
  EXPECT_EQ(DeviceBytes(context.get()), bytes);
  EXPECT_GT(FusedWorkspace(context.get(), weight.get(), 3), 0u);
  glq_tensor_info info = GLQ_TENSOR_INFO_INIT;
  GLQ_EXPECT_OK(glq_tensor_get_info(weight.get(), &info));
  EXPECT_EQ(info.shape[0], spec.out);
}

TEST(GpuReset, DestroyingMakesNoUseOfTheDevice) {
  const HostLinear linear({.out = 100, .in = 200, .bits = 3});
  std::vector<Context> contexts;
  std::vector<Tensor> weights;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(MakeContext(kGpu));
    weights.push_back(MakeWeight(contexts.back().get(), linear.desc()));
  }
  weights[2].reset();  // waits to be freed
  ResetGpu();
  ASSERT_FALSE(HasPrimaryContext(0));
  weights[0].reset();
  contexts[0].reset();
  std::thread([&] {  // has not used the device before
    contexts[1].reset();
    weights[1].reset();  // ends its context
    contexts[2].reset();
  })
      .join();
  EXPECT_FALSE(HasPrimaryContext(0));
}

// What is allocated after a reset may have the addresses of before.
TEST(GpuReset, MemoryOfOthersStays) {
  constexpr size_t kBytes = size_t{8} << 20;
  const int64_t shape[1] = {static_cast<int64_t>(kBytes)};
  glq_view spec;
  GLQ_ASSERT_OK(glq_view_init(&spec, &spec, GLQ_DTYPE_U8, &kGpu, 1, shape));
  Context context = MakeContext(kGpu);
  std::vector<Tensor> tensors;
  std::vector<void*> before;
  for (int i = 0; i < 8; ++i) {
    glq_tensor* made = nullptr;
    GLQ_ASSERT_OK(glq_tensor_create(context.get(), &spec, &made));
    tensors.emplace_back(made);
    glq_view view;
    GLQ_ASSERT_OK(glq_tensor_view(made, &view));
    before.push_back(view.data);
  }
  ResetGpu();
  std::vector<void*> others(16);
  int same = 0;
  for (size_t i = 0; i < others.size(); ++i) {
    GLQ_ASSERT_CUDA(cudaMalloc(&others[i], kBytes));
    GLQ_ASSERT_CUDA(cudaMemset(others[i], static_cast<int>(i), kBytes));
    same += std::find(before.begin(), before.end(), others[i]) != before.end() ? 1 : 0;
  }
  RecordProperty("same_addresses", same);
  tensors.clear();
  context.reset();
  std::vector<uint8_t> bytes(kBytes);
  for (size_t i = 0; i < others.size(); ++i) {
    GLQ_ASSERT_CUDA(cudaMemcpy(bytes.data(), others[i], kBytes, cudaMemcpyDeviceToHost)) << i;
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [&](uint8_t b) { return b == i; })) << i;
    GLQ_ASSERT_CUDA(cudaFree(others[i])) << i;
  }
}

TEST(GpuReset, CallbacksAreCalled) {
  struct Counts {
    std::atomic<int> blocks{0}, releases{0};
    std::atomic<bool> lost{false};
  } counts;
  const glq_allocator allocator{&counts,
                                [](void* user, size_t bytes, size_t, int32_t kind) -> void* {
                                  void* p = nullptr;
                                  if (kind == GLQ_MEMORY_HOST) {
                                    p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
                                  } else if (cudaMalloc(&p, bytes) != cudaSuccess) {
                                    return nullptr;
                                  }
                                  ++static_cast<Counts*>(user)->blocks;
                                  return p;
                                },
                                [](void* user, void* p, size_t, int32_t kind) {
                                  auto& own = *static_cast<Counts*>(user);
                                  --own.blocks;
                                  if (kind == GLQ_MEMORY_HOST) {
                                    std::free(p);
                                  } else if (!own.lost) {
                                    static_cast<void>(cudaFree(p));
                                  }
                                }};
  Context context = MakeContext(kGpu, 0, &allocator);
  const HostLinear linear({.out = 100, .in = 200, .bits = 3});
  Tensor weight = MakeWeight(context.get(), linear.desc());
  auto memory = std::make_unique<DeviceBuffer>(1024);
  const int64_t shape[1] = {1024};
  glq_view view;
  GLQ_ASSERT_OK(glq_view_init(&view, memory->data(), GLQ_DTYPE_U8, &kGpu, 1, shape));
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_borrow(
      context.get(), &view, [](void* user) { ++static_cast<Counts*>(user)->releases; }, &counts, &made));
  Tensor borrowed(made);
  EXPECT_GT(counts.blocks, 0);
  memory.reset();
  ResetGpu();
  counts.lost = true;
  borrowed.reset();
  weight.reset();
  context.reset();
  EXPECT_EQ(counts.blocks, 0);
  EXPECT_EQ(counts.releases, 1);
  EXPECT_FALSE(HasPrimaryContext(0));
}

// Resets one after the other, and a lazy context.
TEST(GpuReset, ManyTimes) {
  const HostLinear linear({.out = 100, .in = 200, .bits = 5});
  for (int round = 0; round < 4; ++round) {
    const Context context = MakeContext(kGpu, round % 2 == 0 ? 0 : GLQ_CONTEXT_LAZY);
    GLQ_ASSERT_OK(glq_context_synchronize(context.get(), GpuStream()));
    UseTheLibraryAlone(kGpu, GpuStream(), [] {});
    const Tensor weight = MakeWeight(context.get(), linear.desc());
    ResetGpu();
    EXPECT_TRUE(SaysLost(glq_context_synchronize(context.get(), nullptr)));
  }
}

// In a process of its own (see below): a reset at the end of main(), as leak checkers ask for, and objects that an exit
// handler destroys.
TEST(AtTheEnd, DISABLED_InProcess) {
  static const HostLinear linear({.out = 100, .in = 200, .bits = 3});
  static const Context context = MakeContext(kGpu);
  static const Tensor weight = MakeWeight(context.get(), linear.desc());
  GLQ_ASSERT_OK(glq_context_synchronize(context.get(), GpuStream()));
  ResetGpu();
}

TEST(AtTheEnd, ObjectsAreDestroyed) {
  const pid_t child = StartAlone("AtTheEnd.DISABLED_InProcess");
  ASSERT_GT(child, 0);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace
}  // namespace glq::gpu
