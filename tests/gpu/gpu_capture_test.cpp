// How operations are queued: captured and replayed, on the stream they were given, without allocating or waiting,
// from several threads, in workspaces of exactly the size asked for.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "gpu/operations.h"

namespace glq::gpu {
namespace {

const std::vector<std::unique_ptr<Operation>>& Operations() {
  static const auto operations = MakeOperations(GpuContext());
  return operations;
}

class Stream {
 public:
  Stream() { Require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }  // NOLINT: it is one

 private:
  cudaStream_t stream_ = nullptr;
};

class Graph {
 public:
  // Captures one run; check status() and nodes().
  Graph(glq_context* context, Buffers& buffers, cudaStream_t stream, cudaStreamCaptureMode mode) {
    Require(cudaStreamBeginCapture(stream, mode), "cudaStreamBeginCapture");
    status_ = buffers.Run(context, stream);
    error_ = cudaStreamEndCapture(stream, &graph_);
    if (error_ != cudaSuccess) return;
    Require(cudaGraphGetNodes(graph_, nullptr, &nodes_), "cudaGraphGetNodes");
    error_ = cudaGraphInstantiate(&executable_, graph_, 0);
  }
  ~Graph() {
    if (executable_) static_cast<void>(cudaGraphExecDestroy(executable_));
    if (graph_) static_cast<void>(cudaGraphDestroy(graph_));
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  glq_status status() const { return status_; }
  cudaError_t error() const { return error_; }
  size_t nodes() const { return nodes_; }
  cudaError_t Launch(cudaStream_t stream) const { return cudaGraphLaunch(executable_, stream); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  size_t nodes_ = 0;
  glq_status status_ = GLQ_OK;
  cudaError_t error_ = cudaSuccess;
};

void CaptureAndReplay(glq_context* context, const Operation& operation, cudaStreamCaptureMode mode) {
  SCOPED_TRACE(operation.name + ", capture mode " + std::to_string(mode));
  const Stream stream;
  Buffers buffers(operation);
  buffers.Reset(1, stream);
  const Graph graph(context, buffers, stream, mode);
  GLQ_ASSERT_OK(graph.status());
  GLQ_ASSERT_CUDA(graph.error());
  EXPECT_GE(graph.nodes(), 1u);
  for (uint64_t replay = 2; replay < 5; ++replay) {
    const Image expected = Eager(context, buffers, replay, stream);
    buffers.Reset(replay, stream);
    GLQ_ASSERT_CUDA(graph.Launch(stream));
    EXPECT_TRUE(SameImages(expected, buffers.Output(stream))) << "replay " << replay;
    EXPECT_TRUE(buffers.WorkspaceIntact(stream));
  }
}

// In a process of its own (see below): the first thing ever launched is launched into a capture.
TEST(FirstCall, DISABLED_InProcess) {
  const Context context = MakeContext(kGpu);
  const auto operations = MakeOperations(context.get());
  const char* index = std::getenv("GLQ_FIRST_CALL");
  ASSERT_NE(index, nullptr);
  CaptureAndReplay(context.get(), *operations.at(static_cast<size_t>(std::stoi(index))), cudaStreamCaptureModeGlobal);
}

TEST(FirstCall, IsCaptured) {
  std::vector<pid_t> children;
  const size_t count = Operations().size();
  constexpr size_t kAtOnce = 14;
  // A few at a time: each loads CUDA anew.
  for (size_t first = 0; first < count; first += kAtOnce) {
    const size_t last = std::min(count, first + kAtOnce);
    children.clear();
    for (size_t i = first; i < last; ++i) {
      setenv("GLQ_FIRST_CALL", std::to_string(i).c_str(), 1);
      const pid_t child = StartAlone("FirstCall.DISABLED_InProcess");
      ASSERT_GT(child, 0);
      children.push_back(child);
    }
    for (size_t i = first; i < last; ++i) {
      int status = -1;
      ASSERT_EQ(waitpid(children[i - first], &status, 0), children[i - first]);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << Operations()[i]->name << ": status " << status;
    }
  }
  unsetenv("GLQ_FIRST_CALL");
}

class Mode : public ::testing::TestWithParam<cudaStreamCaptureMode> {};

TEST_P(Mode, EveryOperation) {
  for (const auto& operation : Operations()) CaptureAndReplay(GpuContext(), *operation, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Capture, Mode,
                         ::testing::Values(cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeGlobal,
                                           cudaStreamCaptureModeRelaxed));

TEST(Capture, FewNodes) {
  const Stream stream;
  for (const auto& operation : Operations()) {
    Buffers buffers(*operation);
    buffers.Reset(1, stream);
    const Graph graph(GpuContext(), buffers, stream, cudaStreamCaptureModeThreadLocal);
    GLQ_ASSERT_OK(graph.status());
    GLQ_ASSERT_CUDA(graph.error());
    std::printf("  %2zu nodes  %s\n", graph.nodes(), operation->name.c_str());
    // Slices of large batches and stages that are expanded one after the other need more. Block lists other than the
    // binary expansion take a launch a stage.
    if (operation->in.rows() < 384) {
      EXPECT_LE(graph.nodes(), 24u) << operation->name;
    }
    if (operation->name == "fused " + LinearSpec{.out = 96, .in = 192, .bits = 2}.Text() + ", 1 tokens") {
      EXPECT_LE(graph.nodes(), 3u);
    }
  }
}

// Several operations in one graph, one feeding the next, and two branches that share a workspace each.
TEST(Capture, ChainOfOperations) {
  const LinearSpec spec{.out = 192, .in = 192, .bits = 3};
  const HostLinear linear(spec);
  const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
  const Stream stream;
  Image a(GLQ_DTYPE_F16, 3, 192), want(GLQ_DTYPE_F16, 3, 192), got(GLQ_DTYPE_F16, 3, 192);
  DeviceImage da(a), db(want);
  Workspace workspace(FusedWorkspace(GpuContext(), weight.get(), 3));
  const glq_view av = da.View(), bv = db.View();
  const auto chain = [&] {
    for (int i = 0; i < 6; ++i)
      GLQ_ASSERT_OK(glq_fused_linear_e8p(GpuContext(), stream, weight.get(), i % 2 ? &bv : &av, i % 2 ? &av : &bv,
                                         workspace.get(), nullptr));
  };
  GLQ_ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  chain();
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  GLQ_ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  GLQ_ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  for (uint64_t seed = 1; seed < 4; ++seed) {
    a.FillNormal(seed);
    da.Upload(stream);
    chain();
    da.Download(want, stream);
    da.Upload(stream);
    workspace.Poisoned(stream);
    GLQ_ASSERT_CUDA(cudaGraphLaunch(executable, stream));
    da.Download(got, stream);
    EXPECT_TRUE(SameRows(want, got, 3));
    EXPECT_TRUE(workspace.Intact(stream));
  }
  GLQ_ASSERT_CUDA(cudaGraphExecDestroy(executable));
  GLQ_ASSERT_CUDA(cudaGraphDestroy(graph));
}

TEST(Capture, CreationIsRefusedAndTheCaptureLivesOn) {
  const LinearSpec spec{.out = 100, .in = 200, .bits = 3, .bias = GLQ_DTYPE_F16};
  const HostLinear linear(spec);
  const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
  Image host(GLQ_DTYPE_F16, 1, 200);
  const DeviceImage device(host);
  const glq_view host_view = host.View(), device_view = device.View();
  std::vector<uint16_t> sv(linear.sv.size());
  const glq_view sv_view = HostLinear::At(*linear.desc().sv, sv.data(), kCpu);
  glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
  parts.sv = &sv_view;
  for (const auto mode : {cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeGlobal}) {
    const Stream stream;
    Buffers buffers(*Operations().front());
    const Image expected = Eager(GpuContext(), buffers, 1, stream);
    buffers.Reset(1, stream);
    Tensor dying = MakeWeight(GpuContext(), linear.desc(), GpuStream());
    GLQ_ASSERT_CUDA(cudaStreamBeginCapture(stream, mode));
    glq_tensor* made = nullptr;
    EXPECT_EQ(glq_tensor_create_e8p(GpuContext(), stream, &linear.desc(), &made), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    EXPECT_EQ(glq_tensor_create_copy(GpuContext(), stream, &host_view, &made), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    EXPECT_EQ(glq_e8p_export(GpuContext(), stream, weight.get(), &parts), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    EXPECT_EQ(glq_view_copy(GpuContext(), stream, &host_view, &device_view), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    EXPECT_EQ(glq_context_synchronize(GpuContext(), stream), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    EXPECT_EQ(made, nullptr);
    dying.reset();
    // Queries and questions are allowed.
    EXPECT_GT(FusedWorkspace(GpuContext(), weight.get(), 3), 0u);
    GLQ_EXPECT_OK(buffers.Run(GpuContext(), stream));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    GLQ_ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
    GLQ_ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    GLQ_ASSERT_CUDA(cudaGraphLaunch(executable, stream));
    EXPECT_TRUE(SameImages(expected, buffers.Output(stream)));
    GLQ_ASSERT_CUDA(cudaGraphExecDestroy(executable));
    GLQ_ASSERT_CUDA(cudaGraphDestroy(graph));
  }
}

TEST(Capture, RefusedWhereEveryCallWaits) {
  const Context context = MakeContext(kGpu, GLQ_CONTEXT_SYNC_EACH_CALL);
  const auto operations = MakeOperations(context.get());
  const Stream stream;
  for (const auto& operation : operations) {
    SCOPED_TRACE(operation->name);
    Buffers buffers(*operation);
    const Image expected = Eager(context.get(), buffers, 1, stream);
    GLQ_ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    EXPECT_EQ(buffers.Run(context.get(), stream), GLQ_E_UNSUPPORTED_WHILE_CAPTURING);
    cudaGraph_t graph = nullptr;
    GLQ_ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
    size_t nodes = 9;
    GLQ_ASSERT_CUDA(cudaGraphGetNodes(graph, nullptr, &nodes));
    EXPECT_EQ(nodes, 0u);
    GLQ_ASSERT_CUDA(cudaGraphDestroy(graph));
  }
}

// --- Streams ---

struct Delay {
  std::atomic<bool> over{false};
  static void Sleep(void* self) {
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    static_cast<Delay*>(self)->over = true;
  }
};

// Pinned memory, so that a copy does not wait.
class Pinned {
 public:
  explicit Pinned(const Image& image) : bytes_(image.bytes()) {
    Require(cudaMallocHost(&data_, bytes_), "cudaMallocHost");
    std::memcpy(data_, image.begin(), bytes_);
  }
  ~Pinned() { static_cast<void>(cudaFreeHost(data_)); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

// The input arrives late on the stream: work on another stream would read the old one. And the call does not wait.
TEST(Streams, WorkFollowsItsStream) {
  const Stream stream;
  for (const auto& operation : Operations()) {
    SCOPED_TRACE(operation->name);
    Buffers buffers(*operation);
    const Image expected = Eager(GpuContext(), buffers, 1, stream);
    buffers.Reset(1, stream);
    const Pinned late(buffers.host_in());
    buffers.Reset(2, stream);
    Delay delay;
    std::byte* begin = static_cast<std::byte*>(buffers.in().View().data) - buffers.host_in().data_offset();
    GLQ_ASSERT_CUDA(cudaLaunchHostFunc(stream, Delay::Sleep, &delay));
    GLQ_ASSERT_CUDA(cudaMemcpyAsync(begin, late.data(), late.bytes(), cudaMemcpyHostToDevice, stream));
    GLQ_ASSERT_OK(buffers.Run(GpuContext(), stream));
    EXPECT_FALSE(delay.over) << "the call waited for its stream";
    EXPECT_TRUE(SameImages(expected, buffers.Output(stream)));
    EXPECT_TRUE(delay.over);
  }
}

// A weight made of parts that arrive late on the stream, and an export that is ordered on it.
TEST(Streams, CreationFollowsItsStream) {
  const LinearSpec spec{.out = 100, .in = 200, .bits = 3, .sv = Signs::kReal, .bias = GLQ_DTYPE_BF16};
  const HostLinear linear(spec);
  const Stream stream;
  glq_e8p_desc desc = linear.desc();
  std::vector<DeviceBuffer> memory;
  std::vector<std::unique_ptr<Pinned>> pinned;
  memory.reserve(8);
  std::vector<glq_e8p_stage> stages(desc.stages, desc.stages + desc.num_stages);
  Delay delay;
  GLQ_ASSERT_CUDA(cudaDeviceSynchronize());
  const auto late = [&](const glq_view& view, size_t bytes) {
    memory.emplace_back(bytes);
    Image image(GLQ_DTYPE_U8, 1, static_cast<int64_t>(bytes));
    std::memcpy(image.data(), view.data, bytes);
    pinned.push_back(std::make_unique<Pinned>(image));
    return HostLinear::At(view, memory.back().data(), kGpu);
  };
  glq_view sv, su, bias;
  for (size_t s = 0; s < stages.size(); ++s) stages[s].indices = late(stages[s].indices, linear.stages[s].size() * 8);
  sv = late(*desc.sv, linear.sv.size() * 2), su = late(*desc.su, linear.su.size() * 2),
  bias = late(*desc.bias, linear.bias.size());
  desc.stages = stages.data(), desc.sv = &sv, desc.su = &su, desc.bias = &bias;
  for (const DeviceBuffer& m : memory) GLQ_ASSERT_CUDA(cudaMemset(m.data(), 0, m.bytes()));
  GLQ_ASSERT_CUDA(cudaDeviceSynchronize());
  GLQ_ASSERT_CUDA(cudaLaunchHostFunc(stream, Delay::Sleep, &delay));
  for (size_t i = 0; i < memory.size(); ++i) {
    GLQ_ASSERT_CUDA(cudaMemcpyAsync(memory[i].data(), static_cast<std::byte*>(pinned[i]->data()) + 256,
                                    memory[i].bytes(), cudaMemcpyHostToDevice, stream));
  }
  Pair pair(MakeWeight(CpuContext(), linear.desc()), MakeWeight(GpuContext(), desc, stream));
  EXPECT_TRUE(delay.over);
  CheckFused(pair, spec, {1, 9});
}

// Destroyed while its work waits on a stream: the memory stays until the work is done.
TEST(Streams, DestroyedWeightsWorkToTheEnd) {
  const Stream stream;
  const LinearSpec spec{.out = 100, .in = 200, .bits = 4};
  const HostLinear linear(spec), other({.out = 100, .in = 200, .bits = 4, .seed = 9});
  Pair pair(linear);
  Image x(GLQ_DTYPE_F16, 5, 200), want(GLQ_DTYPE_F16, 5, 100), got(GLQ_DTYPE_F16, 5, 100);
  x.FillNormal(1);
  CpuFused(pair, x, want);
  const DeviceImage dx(x), dy(got);
  Workspace workspace(FusedWorkspace(GpuContext(), pair.gpu.get(), 5));
  const glq_view xv = dx.View(), yv = dy.View();
  Delay delay;
  const glq_workspace* ws = workspace.Poisoned(stream);
  GLQ_ASSERT_CUDA(cudaLaunchHostFunc(stream, Delay::Sleep, &delay));
  GLQ_ASSERT_OK(glq_fused_linear_e8p(GpuContext(), stream, pair.gpu.get(), &xv, &yv, ws, nullptr));
  pair.gpu.reset();
  EXPECT_FALSE(delay.over) << "destroying waited";
  const Tensor in_its_place = MakeWeight(GpuContext(), other.desc(), GpuStream());
  dy.Download(got, stream);
  EXPECT_TRUE(SameRows(want, got, 5));
}

// --- Allocation ---

struct Counter {
  std::atomic<int> allocations{0}, frees{0};
  static void* Allocate(void* self, size_t bytes, size_t alignment, int32_t kind) {
    ++static_cast<Counter*>(self)->allocations;
    if (kind == GLQ_MEMORY_HOST) return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    void* p = nullptr;
    return cudaMalloc(&p, bytes) == cudaSuccess ? p : nullptr;
  }
  static void Free(void* self, void* p, size_t, int32_t kind) {
    ++static_cast<Counter*>(self)->frees;
    if (kind == GLQ_MEMORY_HOST) {
      std::free(p);
    } else {
      static_cast<void>(cudaFree(p));
    }
  }
};

TEST(Allocation, NoneInAThousandCalls) {
  static Counter counter;
  counter.allocations = counter.frees = 0;
  {
    const glq_allocator allocator{&counter, Counter::Allocate, Counter::Free};
    const Context context = MakeContext(kGpu, 0, &allocator);
    const auto operations = MakeOperations(context.get());
    EXPECT_GT(counter.allocations, 0);
    const Stream stream;
    std::vector<std::unique_ptr<Buffers>> buffers;
    for (const auto& o : operations) {
      buffers.push_back(std::make_unique<Buffers>(*o));
      static_cast<void>(Eager(context.get(), *buffers.back(), 1, stream));
    }
    Settle();
    const int before = counter.allocations, freed = counter.frees;
    size_t free_before = 0, free_after = 0, total = 0;
    GLQ_ASSERT_CUDA(cudaMemGetInfo(&free_before, &total));
    Rng rng(3);
    for (int i = 0; i < 1000; ++i) {
      GLQ_ASSERT_OK(buffers[static_cast<size_t>(rng.Uniform(0, static_cast<int64_t>(buffers.size()) - 1))]->Run(
          context.get(), stream));
    }
    GLQ_ASSERT_CUDA(cudaStreamSynchronize(stream));
    GLQ_ASSERT_CUDA(cudaMemGetInfo(&free_after, &total));
    EXPECT_EQ(free_before, free_after);
    EXPECT_EQ(counter.allocations, before);
    EXPECT_EQ(counter.frees, freed);
  }
  EXPECT_EQ(counter.allocations, counter.frees);  // everything was given back
}

// --- Threads, contexts, devices ---

void RunOnThreads(const std::vector<glq_context*>& contexts,
                  const std::vector<const std::vector<std::unique_ptr<Operation>>*>& operations, int rounds) {
  const Stream stream;
  std::vector<std::vector<Image>> expected(operations.size());
  for (size_t c = 0; c < operations.size(); ++c) {
    for (const auto& o : *operations[c]) {
      Buffers buffers(*o);
      expected[c].push_back(Eager(contexts[c], buffers, 6, stream));
    }
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const size_t c = t % contexts.size();
      const Stream own;
      std::vector<std::unique_ptr<Buffers>> buffers;
      for (const auto& o : *operations[c]) buffers.push_back(std::make_unique<Buffers>(*o));
      Rng rng(t);
      for (int r = 0; r < rounds; ++r) {
        std::vector<size_t> order(buffers.size());
        std::iota(order.begin(), order.end(), size_t{0});
        for (size_t i = order.size() - 1; i > 0; --i) {
          std::swap(order[i], order[static_cast<size_t>(rng.Uniform(0, static_cast<int64_t>(i)))]);
        }
        for (const auto& b : buffers) b->Reset(6, own);
        for (const size_t i : order) {
          if (const auto ok = Ok(buffers[i]->Run(contexts[c], own)); !ok) {
            ++wrong;
            std::fprintf(stderr, "%s: %s\n", buffers[i]->operation().name.c_str(), ok.message());
          }
        }
        for (size_t i = 0; i < buffers.size(); ++i) {
          const bool same = SameImages(expected[c][i], buffers[i]->Output(own)) && buffers[i]->WorkspaceIntact(own);
          if (!same) ++wrong, std::fprintf(stderr, "thread %zu: %s differs\n", t, buffers[i]->operation().name.c_str());
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, EightOnOneContext) { RunOnThreads({GpuContext()}, {&Operations()}, 4); }

TEST(Threads, TwoContextsOnOneDevice) {
  const Context other = MakeContext(kGpu);
  const auto operations = MakeOperations(other.get());
  RunOnThreads({GpuContext(), other.get()}, {&Operations(), &operations}, 2);
}

TEST(Threads, WeightsComeAndGoWhileOthersRun) {
  std::atomic<bool> stop{false};
  std::atomic<int> made{0};
  std::thread maker([&] {
    const Stream own;
    const HostLinear linear({.out = 200, .in = 300, .bits = 5});
    while (!stop) {
      const Tensor weight = MakeWeight(GpuContext(), linear.desc(), own);
      ++made;
    }
  });
  RunOnThreads({GpuContext()}, {&Operations()}, 1);
  stop = true;
  maker.join();
  EXPECT_GT(made, 0);
  Settle();
}

TEST(Devices, CurrentDeviceStays) {
  int count = 0;
  GLQ_ASSERT_CUDA(cudaGetDeviceCount(&count));
  for (int current = 0; current < count; ++current) {
    GLQ_ASSERT_CUDA(cudaSetDevice(current));
    GLQ_ASSERT_CUDA(cudaFree(nullptr));  // makes its context
    void* const current_context = CurrentContext();
    for (int index = 0; index < count; ++index) {
      SCOPED_TRACE("current " + std::to_string(current) + ", context on " + std::to_string(index));
      UseTheLibraryAlone({GLQ_DEVICE_CUDA, index}, nullptr, [&] {
        int now = -1;
        static_cast<void>(cudaGetDevice(&now));
        EXPECT_EQ(now, current);
        EXPECT_EQ(CurrentContext(), current_context);
      });
    }
  }
  GLQ_ASSERT_CUDA(cudaSetDevice(0));
}

// The sanitizers see every operation once.
TEST(Operations, EachOnceSmoke) {
  const Stream stream;
  for (const auto& operation : Operations()) {
    // What is large in memory is left to the other tests.
    if (operation->name.find("33000") != std::string::npos || operation->in.rows() > 400) continue;
    Buffers buffers(*operation);
    static_cast<void>(Eager(GpuContext(), buffers, 1, stream));
    EXPECT_TRUE(buffers.WorkspaceIntact(stream)) << operation->name;
  }
}

}  // namespace
}  // namespace glq::gpu
