// One context used by many threads, the caller's thread pool, and forks.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "api/fixture.h"

namespace glq::test {
namespace {

TEST(Threads, EightOnOneContext) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_96x192/b5");
  const ContextPtr context = MakeContext(3);
  const TensorPtr weight = MakeWeight(context.get(), layer.Desc());
  const Array x = ArrayOf(golden, "bd_96x192/x");
  const auto want = ArrayOf(Golden("exact.tsv"), "bd_96x192/b5/y_exact_f32").values();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        wrong += FusedLinear(context.get(), weight.get(), x, GLQ_DTYPE_F32).values() != want;
        // Each thread has its own error detail.
        wrong += glq_fused_linear_e8p_workspace(context.get(), weight.get(), -1 - t, nullptr, nullptr) !=
                 GLQ_E_INVALID_ARGUMENT;
        size_t bytes;
        wrong += glq_fused_linear_e8p_workspace(context.get(), weight.get(), -1 - t, nullptr, &bytes) !=
                 GLQ_E_INVALID_ARGUMENT;
        wrong += LastMessage().find("max_tokens = " + std::to_string(-1 - t)) == std::string::npos;
        // Objects come and go meanwhile.
        const TensorPtr other = MakeDense(context.get(), x);
        wrong += glq_tensor_retain(weight.get()) != GLQ_OK;
        glq_tensor_destroy(weight.get());
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, TheLastReferenceMayGoAnywhere) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_48x80/b3");
  for (int round = 0; round < 20; ++round) {
    ContextPtr context = MakeContext(2);
    std::vector<glq_tensor*> tensors;
    for (int i = 0; i < 4; ++i) tensors.push_back(MakeWeight(context.get(), layer.Desc()).release());
    std::vector<std::thread> threads;
    for (glq_tensor* t : tensors) threads.emplace_back([t] { glq_tensor_destroy(t); });
    context.reset();
    for (std::thread& t : threads) t.join();
  }
}

struct CallersPool {
  std::atomic<int> loops{0};
  std::atomic<int64_t> most{0};
  bool parallel = true;
  glq_threading threading(int32_t pieces) {
    return {this,
            [](void* user, int64_t n, glq_task_fn task, void* arg) {
              auto& p = *static_cast<CallersPool*>(user);
              ++p.loops;
              p.most = std::max(p.most.load(), n);
              if (!p.parallel) {
                for (int64_t i = n - 1; i >= 0; --i) task(arg, i);
                return;
              }
              std::vector<std::thread> threads;
              for (int64_t i = 0; i < n; ++i) threads.emplace_back([=] { task(arg, i); });
              for (std::thread& t : threads) t.join();
            },
            pieces, 0};
  }
};

TEST(Threads, TheCallersPoolDoesTheWork) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_96x192/b7");
  const Array x = ArrayOf(golden, "bd_96x192/x");
  const auto want = ArrayOf(Golden("exact.tsv"), "bd_96x192/b7/y_exact_f16").values();
  for (const bool parallel : {true, false}) {
    CallersPool pool;
    pool.parallel = parallel;
    const glq_threading threading = pool.threading(5);
    glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
    desc.threading = &threading;
    glq_context* made = nullptr;
    ASSERT_EQ(glq_context_create(&desc, &made), GLQ_OK) << LastMessage();
    const ContextPtr context(made);
    glq_context_info info = GLQ_CONTEXT_INFO_INIT;
    ASSERT_EQ(glq_context_get_info(context.get(), &info), GLQ_OK);
    EXPECT_EQ(info.num_threads, 5);
    const TensorPtr weight = MakeWeight(context.get(), layer.Desc());
    EXPECT_EQ(FusedLinear(context.get(), weight.get(), x, GLQ_DTYPE_F16).values(), want);
    EXPECT_GT(pool.loops, 0);
    EXPECT_LE(pool.most, 5);
  }
}

#if !defined(__SANITIZE_THREAD__)
TEST(Threads, AForkedChildGoesOnByItself) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_96x192/b3");
  const ContextPtr context = MakeContext(3);
  const TensorPtr weight = MakeWeight(context.get(), layer.Desc());
  const Array x = ArrayOf(golden, "bd_96x192/x");
  const auto want = FusedLinear(context.get(), weight.get(), x, GLQ_DTYPE_F32).values();  // the pool runs now
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool good = FusedLinear(context.get(), weight.get(), x, GLQ_DTYPE_F32).values() == want;
    const ContextPtr another = MakeContext(2);
    const TensorPtr w = MakeWeight(another.get(), layer.Desc());
    good = good && FusedLinear(another.get(), w.get(), x, GLQ_DTYPE_F32).values() == want;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(FusedLinear(context.get(), weight.get(), x, GLQ_DTYPE_F32).values(), want);
}

// Not under AddressSanitizer: a thread of the parent may hold a lock of its allocator.
#if !defined(__SANITIZE_ADDRESS__)
TEST(Threads, AForkWhileAnotherThreadMakesWeights) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_96x192/b3");
  const ContextPtr context = MakeContext(1);
  // Weights of long rows, which differ in the last sign only: to number a transform is to compare it with all of them.
  constexpr int64_t kRow = 65536;
  std::vector<std::vector<uint16_t>> signs(100, std::vector<uint16_t>(kRow, 0x3C00));
  std::vector<uint64_t> codes(kRow / 64 * 32);
  const auto make = [&](std::vector<uint16_t>& sv) {
    const glq_device cpu{GLQ_DEVICE_CPU, 0};
    const int64_t packed_shape[] = {1, kRow / 64, 8, 4}, sv_shape[] = {kRow};
    glq_view sv_view;
    glq_view_init(&sv_view, sv.data(), GLQ_DTYPE_F16, &cpu, 1, sv_shape);
    glq_e8p_stage stage{GLQ_CODEBOOK_E8P, 0, 1, {}};
    glq_view_init(&stage.indices, codes.data(), GLQ_DTYPE_I64, &cpu, 4, packed_shape);
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    desc.in_features = kRow, desc.out_features = 16;
    desc.weight_scale = 1;
    desc.num_stages = 1, desc.stages = &stage;
    desc.sv = &sv_view;
    glq_tensor* weight = nullptr;
    const glq_status status = glq_tensor_create_e8p(context.get(), nullptr, &desc, &weight);
    return std::make_pair(status, TensorPtr(weight));
  };
  std::vector<TensorPtr> kept;
  for (size_t i = 0; i < signs.size(); ++i) {
    signs[i][kRow - 1 - i] = 0xBC00;
    auto made = make(signs[i]);
    ASSERT_EQ(made.first, GLQ_OK) << LastMessage();
    kept.push_back(std::move(made.second));
  }
  std::atomic<bool> end{false};
  std::vector<uint16_t> others(kRow, 0x3C00), own = others;
  std::thread maker([&] {
    while (!end) make(others);
  });
  int good = 0;
  constexpr int kChildren = 12;
  for (int i = 0; i < kChildren; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      _exit(make(own).first == GLQ_OK ? 0 : 1);
    }
    int status = -1;
    good += waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (good != i + 1) break;
  }
  end = true;
  maker.join();
  EXPECT_EQ(good, kChildren);
}
#endif
#endif

}  // namespace
}  // namespace glq::test
