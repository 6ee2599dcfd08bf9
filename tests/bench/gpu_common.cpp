#include "gpu_common.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>

namespace glq::bench {
namespace {

constexpr size_t kNormalCount = size_t{1} << 23;

// SplitMix64 (public domain, Sebastiano Vigna): one 64-bit word per index.
uint64_t Mix(uint64_t index) {
  uint64_t z = (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Sum of four uniform numbers, scaled to variance 1: near enough to normal for timing and for exact comparisons.
float NearNormal(uint64_t word) {
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<int32_t>((word >> (16 * i)) & 0xFFFF) - 32768;
  return static_cast<float>(sum) / 37837.0f;  // 65536 / sqrt(12) * sqrt(4)
}

uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// For magnitudes below 2^15; what would be subnormal becomes zero.
uint16_t ToF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude < 0x38800000) return static_cast<uint16_t>(sign);
  const uint32_t rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

class Event {
 public:
  Event() { Check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Record(cudaStream_t stream) { Check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  double MicrosecondsUntil(const Event& later) const {
    float ms = 0;
    Check(cudaEventElapsedTime(&ms, event_, later.event_), "cudaEventElapsedTime");
    return ms * 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class Graph {
 public:
  Graph(cudaStream_t stream, int ops, const std::function<void(int)>& op) {
    Check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      for (int i = 0; i < ops; ++i) op(i);
    } catch (...) {
      cudaGraph_t broken = nullptr;  // the failure of op() is the one to report, not that of the end of the capture
      cudaStreamEndCapture(stream, &broken);
      if (broken != nullptr) cudaGraphDestroy(broken);
      throw;
    }
    Check(cudaStreamEndCapture(stream, &graph_), "cudaStreamEndCapture");
    Check(cudaGraphInstantiate(&exec_, graph_, 0), "cudaGraphInstantiate");
    Check(cudaGraphUpload(exec_, stream), "cudaGraphUpload");
  }
  ~Graph() {
    if (exec_ != nullptr) cudaGraphExecDestroy(exec_);
    if (graph_ != nullptr) cudaGraphDestroy(graph_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void Launch(cudaStream_t stream) const { Check(cudaGraphLaunch(exec_, stream), "cudaGraphLaunch"); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace

void Check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
}

void Check(glq_status status, const char* what) {
  if (status == GLQ_OK) return;
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  std::string reason = glq_status_name(status);
  if (glq_last_error(&info) == GLQ_OK && info.status == status) reason += std::string(", ") + info.message;
  throw std::runtime_error(std::string(what) + ": " + reason);
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  if (bytes != 0) Check(cudaMalloc(reinterpret_cast<void**>(&data_), bytes), "cudaMalloc");
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) cudaFree(data_);
}

RandomPool::RandomPool(size_t words, cudaStream_t stream)
    : words_(words),
      bf16_(kNormalCount),
      f16_(kNormalCount),
      device_words_(words * 8),
      device_bf16_(kNormalCount * 2),
      device_f16_(kNormalCount * 2) {
  for (size_t i = 0; i < words; ++i) words_[i] = Mix(i);
  for (size_t i = 0; i < kNormalCount; ++i) {
    const float value = NearNormal(Mix(i ^ (uint64_t{1} << 40)));
    bf16_[i] = ToBf16(value);
    f16_[i] = ToF16(value);
  }
  const auto upload = [stream](const DeviceBuffer& to, const void* from) {
    if (to.bytes() == 0) return;
    Check(cudaMemcpyAsync(to.data(), from, to.bytes(), cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  };
  upload(device_words_, words_.data());
  upload(device_bf16_, bf16_.data());
  upload(device_f16_, f16_.data());
  Check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

// A multiple of 64 elements, so that the copies of FillNormal are aligned.
size_t RandomPool::Start(size_t seed) const { return seed * 64 * 4099 % kNormalCount; }

uint16_t RandomPool::Normal(glq_dtype dtype, size_t seed, size_t i) const {
  return (dtype == GLQ_DTYPE_BF16 ? bf16_ : f16_)[(Start(seed) + i) % kNormalCount];
}

void RandomPool::FillNormal(void* destination, size_t count, glq_dtype dtype, size_t seed, cudaStream_t stream) const {
  const std::byte* pool = (dtype == GLQ_DTYPE_BF16 ? device_bf16_ : device_f16_).data();
  auto* to = static_cast<std::byte*>(destination);
  for (size_t done = 0, at = Start(seed); done < count;) {
    const size_t n = std::min(count - done, kNormalCount - at);
    Check(cudaMemcpyAsync(to + done * 2, pool + at * 2, n * 2, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
    done += n;
    at = 0;
  }
}

Machine::Machine(int device) : index_(device) {
  Check(cudaSetDevice(device), "cudaSetDevice");
  cudaDeviceProp properties{};
  Check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  name_ = properties.name;
  multiprocessors_ = properties.multiProcessorCount;
  l2_bytes_ = static_cast<size_t>(properties.l2CacheSize);
  Check(cudaDriverGetVersion(&driver_), "cudaDriverGetVersion");
  Check(cudaRuntimeGetVersion(&runtime_), "cudaRuntimeGetVersion");
  Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  MeasureCopyRate();
}

Machine::~Machine() { cudaStreamDestroy(stream_); }

std::string Machine::description() const {
  char text[256];
  std::snprintf(text, sizeof(text), "%s, %d multiprocessors, L2 %.1f MiB, driver CUDA %d.%d, runtime %d.%d",
                name_.c_str(), multiprocessors_, static_cast<double>(l2_bytes_) / 1048576, driver_ / 1000,
                driver_ % 1000 / 10, runtime_ / 1000, runtime_ % 1000 / 10);
  return text;
}

int Machine::Sets(size_t bytes) const {
  return static_cast<int>(std::clamp<size_t>(4 * l2_bytes_ / bytes + 1, 2, 256));
}

void Machine::Synchronize() const { Check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

void Machine::MeasureCopyRate() {
  constexpr size_t kBytes = size_t{1} << 30;
  const DeviceBuffer from(kBytes), to(kBytes);
  Check(cudaMemsetAsync(from.data(), 0x5A, kBytes, stream_), "cudaMemsetAsync");
  constexpr int kCopies = 8;
  Event before, after;
  for (int round = 0; round < 5; ++round) {
    before.Record(stream_);
    for (int i = 0; i < kCopies; ++i) {
      Check(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream_), "cudaMemcpyAsync");
    }
    after.Record(stream_);
    Synchronize();
    copy_rate_ = std::max(copy_rate_, 2.0 * kBytes * kCopies / (before.MicrosecondsUntil(after) * 1e-6));
  }
}

int Guarded(const char* program, int (*main)(int, char**), int argc, char** argv) {
  try {
    return main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", program, e.what());
    return 1;
  }
}

Timing MeasureGraph(const Machine& machine, const TimingOptions& options, int period,
                    const std::function<void(int)>& op) {
  const cudaStream_t stream = machine.stream();
  // Outside of a capture first: faults show here, and it says how long an operation takes at most.
  constexpr int kTrials = 4;
  op(0);
  machine.Synchronize();
  Event before, after;
  before.Record(stream);
  for (int i = 0; i < kTrials; ++i) op(i);
  after.Record(stream);
  machine.Synchronize();
  const double estimate = before.MicrosecondsUntil(after) / kTrials;
  const int wanted = std::max(options.min_ops, static_cast<int>(std::min(512.0, options.graph_us / estimate)));
  Timing timing;
  timing.ops = (wanted + period - 1) / period * period;
  timing.replays = options.replays;

  const Graph graph(stream, timing.ops, op);
  constexpr int kFewest = 3;
  const auto warmup = static_cast<int>(options.warmup_us / std::max(estimate * timing.ops, 1.0));
  for (int i = 0; i < std::clamp(warmup, kFewest, 1000); ++i) graph.Launch(stream);
  std::vector<Event> marks(static_cast<size_t>(timing.replays) + 1);
  marks[0].Record(stream);
  for (int i = 0; i < timing.replays; ++i) {
    graph.Launch(stream);
    marks[static_cast<size_t>(i) + 1].Record(stream);
  }
  machine.Synchronize();
  std::vector<double> times;
  for (size_t i = 0; i + 1 < marks.size(); ++i) times.push_back(marks[i].MicrosecondsUntil(marks[i + 1]) / timing.ops);
  std::sort(times.begin(), times.end());
  timing.min_us = times.front();
  timing.median_us = times[times.size() / 2];
  return timing;
}

double MeasureHost(const Machine& machine, const std::function<void(int)>& op) {
  constexpr int kCalls = 100, kBursts = 10;
  double best = 0;
  for (int burst = 0; burst < kBursts; ++burst) {
    machine.Synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) op(i);
    const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
    if (burst == 0 || spent.count() / kCalls < best) best = spent.count() / kCalls;
  }
  machine.Synchronize();
  return best;
}

Context::Context(glq_device device, int threads, const std::string& cublaslt) {
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = device;
  desc.num_threads = threads;
  desc.cublaslt_library = cublaslt.empty() ? nullptr : cublaslt.c_str();
  Check(glq_context_create(&desc, &context_), "glq_context_create");
}

std::string Context::CublasLtMessage() const {
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  Check(glq_context_get_info(context_, &info), "glq_context_get_info");
  return info.cublaslt_message != nullptr ? info.cublaslt_message : "";
}

glq_view MatrixView(const void* data, glq_dtype dtype, glq_device device, int64_t rows, int64_t cols, int64_t stride) {
  glq_view view;
  const int64_t shape[2] = {rows, cols};
  Check(glq_view_init(&view, data, dtype, &device, 2, shape), "glq_view_init");
  if (stride != 0) view.strides[0] = stride;
  return view;
}

Rotating::Rotating(int wanted, int64_t rows, int64_t cols, glq_dtype dtype, const Machine& machine)
    : rows_(rows), cols_(cols), dtype_(dtype), device_(machine.device()) {
  constexpr size_t kMostBytes = size_t{1} << 30;
  const size_t bytes = static_cast<size_t>(rows * cols) * 2;
  const size_t sets = std::clamp<size_t>(kMostBytes / bytes, 2, static_cast<size_t>(std::max(wanted, 2)));
  for (size_t i = 0; i < sets; ++i) buffers_.emplace_back(bytes);
}

void Rotating::Fill(const RandomPool& pool, cudaStream_t stream) const {
  for (size_t i = 0; i < buffers_.size(); ++i) {
    pool.FillNormal(buffers_[i].data(), buffers_[i].bytes() / 2, dtype_, 5000 + i, stream);
  }
}

}  // namespace glq::bench
