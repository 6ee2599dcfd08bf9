// The public functions on a GPU and on the CPU, side by side: contexts, random weights, matrices amid guard bytes.
// The CPU backend is the oracle: what the contract calls exact must have the same bytes on both.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "glq.h"

namespace glq::gpu {

// Success, or the status with the sentence of the failed call.
::testing::AssertionResult Ok(glq_status status);
::testing::AssertionResult CudaOk(cudaError_t error);
#define GLQ_ASSERT_OK(call) ASSERT_TRUE(::glq::gpu::Ok(call)) << #call
#define GLQ_EXPECT_OK(call) EXPECT_TRUE(::glq::gpu::Ok(call)) << #call
#define GLQ_ASSERT_CUDA(call) ASSERT_TRUE(::glq::gpu::CudaOk(call)) << #call

// For helpers that return a value: ends the test program with the sentence. A test cannot go on without them.
void Require(glq_status status, const char* what);
void Require(cudaError_t error, const char* what);

struct ContextDeleter {
  void operator()(glq_context* c) const { glq_context_destroy(c); }
};
struct TensorDeleter {
  void operator()(glq_tensor* t) const { glq_tensor_destroy(t); }
};
using Context = std::unique_ptr<glq_context, ContextDeleter>;
using Tensor = std::unique_ptr<glq_tensor, TensorDeleter>;

inline constexpr glq_device kCpu{GLQ_DEVICE_CPU, 0};
inline constexpr glq_device kGpu{GLQ_DEVICE_CUDA, 0};

Context MakeContext(const glq_device& device, uint32_t flags = 0, const glq_allocator* allocator = nullptr);
// Made once for the program. The stream of the GPU does not synchronise with the legacy default stream.
glq_context* CpuContext();
glq_context* GpuContext();
cudaStream_t GpuStream();

// cudaDeviceReset(): ends what the program has on the GPU. GpuStream() is a new one afterwards; GpuContext() stays
// lost.
void ResetGpu();

// Waits for the stream, and lets the library free what destroyed tensors held.
void Settle();

// --- Around the library ---

// A function of the driver, by its name in libcuda. The library's CUDA runtime is its own: what it has in common with
// that of the tests is the driver.
void* FindInDriver(const char* name);
template <typename Function>
Function* DriverFunction(const char* name) {
  return reinterpret_cast<Function*>(FindInDriver(name));
}
void* CurrentContext();  // the driver's, of this thread
bool HasPrimaryContext(int device);

// Starts a disabled case of this program in a process of its own, to be waited for.
pid_t StartAlone(const char* test);

// A context on the device, a weight, memory, a product (checked), and all of it destroyed: without a call of the CUDA
// runtime but the library's. `check` is called after each step.
void UseTheLibraryAlone(const glq_device& device, cudaStream_t stream, const std::function<void()>& check);

// --- Random data ---

uint64_t Mix(uint64_t x);  // SplitMix64: a good hash of a counter

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t Next() { return Mix(state_ += 0x9E3779B97F4A7C15u); }
  int64_t Uniform(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  float Normal();  // near enough: bounded, unit variance
  template <typename T>
  T Pick(std::initializer_list<T> list) {
    return list.begin()[Uniform(0, static_cast<int64_t>(list.size()) - 1)];
  }

 private:
  uint64_t state_;
};

// Fills with random words on all processors.
void FillRandom(std::vector<uint64_t>& words, uint64_t seed);

int64_t SizeOf(glq_dtype dtype);
uint16_t ToHalf(float v);
uint16_t ToBf16(float v);
float FromBf16(uint16_t v);
float FromHalf(uint16_t v);

inline constexpr glq_dtype kFloatTypes[] = {GLQ_DTYPE_F16, GLQ_DTYPE_BF16, GLQ_DTYPE_F32};
const char* Name(glq_dtype dtype);

// --- Weights ---

enum class Signs { kNone, kSigns, kReal };

struct LinearSpec {
  int64_t out = 0, in = 0;
  int bits = 2;
  int64_t padded_out = 0, padded_in = 0;       // 0: the next multiple of 16 and 64
  std::vector<int64_t> out_blocks, in_blocks;  // empty: the binary expansion
  Signs su = Signs::kSigns, sv = Signs::kSigns;
  glq_dtype bias = 0;  // 0: none
  double weight_scale = 0.0123;
  uint64_t seed = 1;
  uint64_t sv_seed = 0;  // 0: from `seed`; equal values give equal SV

  std::string Text() const;
};

// The parts of a linear in the checkpoint's layout, on the host.
class HostLinear {
 public:
  explicit HostLinear(const LinearSpec& spec);
  HostLinear(const HostLinear&) = delete;
  HostLinear& operator=(const HostLinear&) = delete;

  const LinearSpec& spec() const { return spec_; }
  // Points into this object.
  const glq_e8p_desc& desc() const { return desc_; }
  // View of a part in other memory: the same shape and type.
  static glq_view At(const glq_view& view, void* data, const glq_device& device);

  std::vector<std::vector<uint64_t>> stages;
  std::vector<uint16_t> sv, su;
  std::vector<std::byte> bias;

 private:
  LinearSpec spec_;
  std::vector<glq_e8p_stage> stage_descs_;
  glq_view sv_view_{}, su_view_{}, bias_view_{};
  glq_e8p_desc desc_ = GLQ_E8P_DESC_INIT;
};

Tensor MakeWeight(glq_context* context, const glq_e8p_desc& desc, cudaStream_t stream = nullptr);

// One linear on both devices.
struct Pair {
  Pair(Tensor on_cpu, Tensor on_gpu) : cpu(std::move(on_cpu)), gpu(std::move(on_gpu)) {}
  explicit Pair(const HostLinear& linear);
  Tensor cpu, gpu;
};

// --- Memory ---

class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  ~DeviceBuffer();
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_;
};

// A matrix in host memory with guards around it. Every byte that is not an element is 0xFF.
class Image {
 public:
  // `stride` 0: compact. The first element lies `offset` elements behind a multiple of 256 bytes.
  Image(glq_dtype dtype, int64_t rows, int64_t cols, int64_t stride = 0, int64_t offset = 0);

  glq_view View() { return ViewAt(data(), kCpu, rows_); }
  glq_view ViewAt(void* data, const glq_device& device, int64_t rows) const;

  void Set(int64_t row, int64_t col, float v);
  void FillNormal(uint64_t seed, float scale = 1);
  template <typename T>
  T Get(int64_t row, int64_t col) const {
    T v;
    std::memcpy(&v, Row(row) + col * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return v;
  }

  glq_dtype dtype() const { return dtype_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t stride() const { return stride_; }
  std::byte* data() { return begin_ + data_offset(); }
  const std::byte* Row(int64_t row) const { return begin_ + data_offset() + row * stride_ * SizeOf(dtype_); }
  // The whole allocation.
  std::byte* begin() const { return begin_; }
  size_t bytes() const { return bytes_; }
  size_t data_offset() const { return static_cast<size_t>(kGuard + offset_ * SizeOf(dtype_)); }

 private:
  static constexpr int64_t kGuard = 256;
  glq_dtype dtype_;
  int64_t rows_, cols_, stride_, offset_;
  size_t bytes_;
  std::unique_ptr<std::byte[]> memory_;
  std::byte* begin_;
};

// An image's copy in device memory.
class DeviceImage {
 public:
  explicit DeviceImage(const Image& image);  // uploads it, poison included
  glq_view View() const { return View(image_.rows()); }
  glq_view View(int64_t rows) const { return image_.ViewAt(buffer_.data() + image_.data_offset(), kGpu, rows); }
  // Ordered on the stream.
  void Poison(cudaStream_t stream);
  void Upload(cudaStream_t stream);
  // Waits for the stream.
  void Download(Image& to, cudaStream_t stream) const;

 private:
  const Image& image_;
  DeviceBuffer buffer_;
};

// The first `rows` rows have the bytes of `expected`, and nothing else was written.
::testing::AssertionResult SameRows(const Image& expected, const Image& got, int64_t rows);

// Device memory of exactly this size between guards, poisoned before each call.
class Workspace {
 public:
  explicit Workspace(size_t bytes);
  // Fills it with 0xFF (guards only with --smoke) and gives the struct of the call.
  const glq_workspace* Poisoned(cudaStream_t stream);
  const glq_workspace* get() const { return &workspace_; }
  // Waits for the stream.
  ::testing::AssertionResult Intact(cudaStream_t stream) const;

 private:
  static constexpr size_t kGuard = 4096;
  DeviceBuffer buffer_;
  glq_workspace workspace_;
};

// --- The fused linear ---

size_t FusedWorkspace(const glq_context* context, const glq_tensor* weight, int64_t tokens);

// The oracle: y of all rows of x.
void CpuFused(const Pair& pair, Image& x, Image& y);

// Runs the first `tokens` rows of `x` on the GPU, into memory of the layout of `expected`, and compares.
::testing::AssertionResult GpuFusedEquals(const Pair& pair, const DeviceImage& x, const Image& expected,
                                          int64_t tokens);

// One linear, x of max(tokens) rows: the oracle once, then the GPU for each number of tokens.
struct FusedCase {
  glq_dtype x = GLQ_DTYPE_F16, y = GLQ_DTYPE_F32;
  int64_t x_stride = 0, y_stride = 0, x_offset = 0, y_offset = 0;
  float x_scale = 1;
  uint64_t seed = 7;
};
void CheckFused(const Pair& pair, const LinearSpec& spec, const std::vector<int64_t>& tokens, const FusedCase& c = {});
void CheckFused(const LinearSpec& spec, const std::vector<int64_t>& tokens, const FusedCase& c = {});

}  // namespace glq::gpu
