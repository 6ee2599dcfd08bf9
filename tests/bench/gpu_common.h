// What the GPU benchmarks share: status checks, device memory, random data, timing by graph replay.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "glq.h"

namespace glq::bench {

// Both throw std::runtime_error with the function's name and the reason.
void Check(cudaError_t status, const char* what);
void Check(glq_status status, const char* what);

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(size_t bytes);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Random data on the host and the same on the device. Each weight set and each activation is a window of it at
// an offset of its own, in memory of its own.
class RandomPool {
 public:
  // `words`: size of the pool of uniform 64-bit words. The pool of normal numbers has a fixed size.
  RandomPool(size_t words, cudaStream_t stream);

  const std::vector<uint64_t>& words() const { return words_; }
  const uint64_t* device_words() const { return reinterpret_cast<const uint64_t*>(device_words_.data()); }

  // Standard normal numbers in `dtype` (GLQ_DTYPE_BF16 or GLQ_DTYPE_F16): element i of the array with this `seed`.
  uint16_t Normal(glq_dtype dtype, size_t seed, size_t i) const;
  // Fills device memory with the first `count` elements of that array.
  void FillNormal(void* destination, size_t count, glq_dtype dtype, size_t seed, cudaStream_t stream) const;

 private:
  size_t Start(size_t seed) const;

  std::vector<uint64_t> words_;
  std::vector<uint16_t> bf16_, f16_;
  DeviceBuffer device_words_, device_bf16_, device_f16_;
};

// The device a benchmark runs on, and what was measured of it.
class Machine {
 public:
  explicit Machine(int device);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  cudaStream_t stream() const { return stream_; }
  glq_device device() const { return {GLQ_DEVICE_CUDA, index_}; }
  const std::string& name() const { return name_; }
  std::string description() const;
  size_t l2_bytes() const { return l2_bytes_; }
  // Bytes per second of a device-to-device copy of 1 GiB, read and written bytes counted, the best of several.
  double copy_rate() const { return copy_rate_; }
  double FloorUs(double bytes) const { return bytes / copy_rate_ * 1e6; }
  // How many arrays of this size to rotate through so that none is found in the L2 again.
  int Sets(size_t bytes) const;
  void Synchronize() const;

 private:
  void MeasureCopyRate();

  int index_;
  cudaStream_t stream_ = nullptr;
  std::string name_;
  int multiprocessors_ = 0, driver_ = 0, runtime_ = 0;
  size_t l2_bytes_ = 0;
  double copy_rate_ = 0;
};

struct Timing {
  double min_us = 0;     // per operation
  double median_us = 0;  // per operation
  int ops = 0;           // in a graph
  int replays = 0;
};

struct TimingOptions {
  int replays = 25;
  double warmup_us = 150000;  // of replays before: a GPU that idled comes back to its clocks over tens of milliseconds
  double graph_us = 1500;     // a graph is to take about this long
  int min_ops = 8;
};

// A program's main, which ends with 1 and a line that says why where `main` throws.
int Guarded(const char* program, int (*main)(int, char**), int argc, char** argv);

// Captures op(0), op(1), ... on the machine's stream into one graph and times its replays. The number of operations
// is a multiple of `period`, so that a graph works through whole rounds of the rotating sets.
Timing MeasureGraph(const Machine& machine, const TimingOptions& options, int period,
                    const std::function<void(int)>& op);

// What a call of op costs the host, outside of a graph: microseconds, the best of several bursts. So few calls at a
// time that the queue of launches, which holds about a thousand, never fills.
double MeasureHost(const Machine& machine, const std::function<void(int)>& op);

// A CUDA or CPU context of the library; destroyed with the object.
class Context {
 public:
  // `threads` is for the CPU (0: all processors); `cublaslt` may be empty.
  Context(glq_device device, int threads, const std::string& cublaslt);
  ~Context() { glq_context_destroy(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  glq_context* get() const { return context_; }
  std::string CublasLtMessage() const;

 private:
  glq_context* context_ = nullptr;
};

// A matrix [rows, cols] whose rows are `stride` elements apart (0: compact).
glq_view MatrixView(const void* data, glq_dtype dtype, glq_device device, int64_t rows, int64_t cols,
                    int64_t stride = 0);

// Only the weights of a benchmarked layer rotate: activations are where the kernels around it leave and look for them,
// in the L2. (One row of x from memory costs a small layer half a microsecond.)
inline constexpr int kActivationSets = 1;

// Activations or results of one batch size: one or several sets of them, 1 GiB at most.
class Rotating {
 public:
  Rotating(int wanted, int64_t rows, int64_t cols, glq_dtype dtype, const Machine& machine);

  void Fill(const RandomPool& pool, cudaStream_t stream) const;
  std::byte* data(int i) const { return buffers_[static_cast<size_t>(i) % buffers_.size()].data(); }
  glq_view view(int i) const { return MatrixView(data(i), dtype_, device_, rows_, cols_); }
  // Columns [start, start + count) of set i.
  glq_view columns(int i, int64_t start, int64_t count) const {
    return MatrixView(data(i) + start * 2, dtype_, device_, rows_, count, cols_);
  }

 private:
  int64_t rows_, cols_;
  glq_dtype dtype_;
  glq_device device_;
  std::vector<DeviceBuffer> buffers_;
};

}  // namespace glq::bench
