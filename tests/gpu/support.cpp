#include "gpu/support.h"

#include <dlfcn.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>
#include <thread>

extern char** environ;

namespace glq::gpu {
namespace {

std::mutex g_stream_mutex;
cudaStream_t g_stream = nullptr;

std::string LastError() {
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  glq_last_error(&info);
  return std::string(info.function) + ": " + info.message;
}

// Calls f(first, last) for pieces of [0, n) on all processors.
template <typename F>
void InParallel(size_t n, const F& f) {
  constexpr size_t kPiece = size_t{1} << 16;
  const size_t threads = std::min<size_t>(std::max(1u, std::thread::hardware_concurrency()), (n + kPiece - 1) / kPiece);
  if (threads <= 1) return f(0, n);
  std::vector<std::thread> pool;
  for (size_t t = 0; t < threads; ++t)
    pool.emplace_back([&f, n, t, threads] { f(n * t / threads, n * (t + 1) / threads); });
  for (std::thread& t : pool) t.join();
}

bool AllPoison(const std::byte* begin, const std::byte* end) {
  return std::all_of(begin, end, [](std::byte b) { return b == std::byte{0xFF}; });
}

float NormalFrom(uint64_t bits) {
  // Four 16-bit uniforms: mean 2, variance 1/3.
  float sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<float>(bits >> (16 * i) & 0xFFFF) * (1.0f / 65536);
  return (sum - 2) * 1.7320508f;
}

}  // namespace

::testing::AssertionResult Ok(glq_status status) {
  if (status == GLQ_OK) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "status " << status << ", " << LastError() << "; from ";
}

::testing::AssertionResult CudaOk(cudaError_t error) {
  if (error == cudaSuccess) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << cudaGetErrorName(error) << ": " << cudaGetErrorString(error) << "; from ";
}

void Require(glq_status status, const char* what) {
  if (status == GLQ_OK) return;
  std::fprintf(stderr, "%s: status %d, %s\n", what, status, LastError().c_str());
  std::exit(1);
}

void Require(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, cudaGetErrorName(error), cudaGetErrorString(error));
  std::exit(1);
}

Context MakeContext(const glq_device& device, uint32_t flags, const glq_allocator* allocator) {
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = device;
  desc.flags = flags;
  desc.allocator = allocator;
  if (std::getenv("GLQ_TEST_NO_LIBRARY") != nullptr) desc.cublaslt_library = "/nonexistent/libcublasLt.so";
  glq_context* context = nullptr;
  Require(glq_context_create(&desc, &context), "glq_context_create");
  return Context(context);
}

glq_context* CpuContext() {
  static const Context context = MakeContext(kCpu);
  return context.get();
}

glq_context* GpuContext() {
  static const Context context = MakeContext(kGpu, std::getenv("GLQ_TEST_LAZY") != nullptr ? GLQ_CONTEXT_LAZY : 0);
  return context.get();
}

cudaStream_t GpuStream() {
  const std::lock_guard lock(g_stream_mutex);
  if (g_stream == nullptr)
    Require(cudaStreamCreateWithFlags(&g_stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return g_stream;
}

void ResetGpu() {
  const std::lock_guard lock(g_stream_mutex);
  Require(cudaDeviceReset(), "cudaDeviceReset");
  g_stream = nullptr;
}

void Settle() { Require(glq_context_synchronize(GpuContext(), GpuStream()), "glq_context_synchronize"); }

void* FindInDriver(const char* name) {
  void* function = dlsym(RTLD_DEFAULT, name);  // the emulator's
  if (void* driver = function ? nullptr : dlopen("libcuda.so.1", RTLD_NOW)) function = dlsym(driver, name);
  if (function) return function;
  std::fprintf(stderr, "the driver has no %s\n", name);
  std::exit(1);
}

void* CurrentContext() {
  static const auto get = DriverFunction<int(void**)>("cuCtxGetCurrent");
  void* context = nullptr;
  EXPECT_EQ(get(&context), 0);
  return context;
}

bool HasPrimaryContext(int device) {
  unsigned flags = 0;
  int active = -1;
  EXPECT_EQ(DriverFunction<int(int, unsigned*, int*)>("cuDevicePrimaryCtxGetState")(device, &flags, &active), 0);
  return active != 0;
}

pid_t StartAlone(const char* test) {
  char program[] = "/proc/self/exe", disabled[] = "--gtest_also_run_disabled_tests", brief[] = "--gtest_brief=1",
       output[] = "--gtest_output=", quiet[] = "--quiet";
  std::string filter = std::string("--gtest_filter=") + test;
  char* arguments[] = {program, filter.data(), disabled, brief, output, quiet, nullptr};
  pid_t child = -1;
  const int error = posix_spawn(&child, program, nullptr, nullptr, arguments, environ);
  EXPECT_EQ(error, 0) << std::strerror(error);
  return error == 0 ? child : -1;
}

void UseTheLibraryAlone(const glq_device& device, cudaStream_t stream, const std::function<void()>& check) {
  {
    const Context context = MakeContext(device);
    check();
    const LinearSpec spec{.out = 64, .in = 128, .bits = 3};
    const HostLinear linear(spec);
    const Pair pair(MakeWeight(CpuContext(), linear.desc()), MakeWeight(context.get(), linear.desc(), stream));
    check();
    Image x(GLQ_DTYPE_F16, 3, 128), y(GLQ_DTYPE_F16, 3, 64), got(GLQ_DTYPE_F16, 3, 64);
    x.FillNormal(1);
    CpuFused(pair, x, y);
    // Tensors of the library, so that the memory is on the context's device whatever is current.
    const glq_view host = x.View();
    glq_view spec_y = y.View(), dx, dy, to = got.View();
    spec_y.device = device;
    glq_tensor *tx = nullptr, *ty = nullptr, *tw = nullptr;
    GLQ_ASSERT_OK(glq_tensor_create_copy(context.get(), stream, &host, &tx));
    const Tensor own_x(tx);
    GLQ_ASSERT_OK(glq_tensor_create(context.get(), &spec_y, &ty));
    const Tensor own_y(ty);
    const int64_t bytes = static_cast<int64_t>(FusedWorkspace(context.get(), pair.gpu.get(), 3));
    glq_view spec_w, dw;
    GLQ_ASSERT_OK(glq_view_init(&spec_w, x.data(), GLQ_DTYPE_U8, &device, 1, &bytes));
    GLQ_ASSERT_OK(glq_tensor_create(context.get(), &spec_w, &tw));
    const Tensor own_w(tw);
    check();
    GLQ_ASSERT_OK(glq_tensor_view(tx, &dx));
    GLQ_ASSERT_OK(glq_tensor_view(ty, &dy));
    GLQ_ASSERT_OK(glq_tensor_view(tw, &dw));
    const glq_workspace workspace{dw.data, static_cast<size_t>(bytes)};
    GLQ_ASSERT_OK(glq_fused_linear_e8p(context.get(), stream, pair.gpu.get(), &dx, &dy, &workspace, nullptr));
    check();
    GLQ_ASSERT_OK(glq_view_copy(context.get(), stream, &dy, &to));
    GLQ_ASSERT_OK(glq_context_synchronize(context.get(), stream));
    check();
    EXPECT_TRUE(SameRows(y, got, 3));
  }
  check();
}

uint64_t Mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

float Rng::Normal() { return NormalFrom(Next()); }

void FillRandom(std::vector<uint64_t>& words, uint64_t seed) {
  const uint64_t start = Mix(seed);
  InParallel(words.size(), [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) words[i] = Mix(start + i * 0x9E3779B97F4A7C15u);
  });
}

int64_t SizeOf(glq_dtype dtype) { return static_cast<int64_t>(dtype >> 8 & 255) / 8; }

const char* Name(glq_dtype dtype) {
  return dtype == GLQ_DTYPE_F16 ? "f16" : dtype == GLQ_DTYPE_BF16 ? "bf16" : dtype == GLQ_DTYPE_F32 ? "f32" : "other";
}

uint16_t ToHalf(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(v)) return sign | 0x7E00;
  const float a = std::fabs(v);
  if (a >= 65520) return sign | 0x7C00;
  if (a < 0x1p-14f) return sign | static_cast<uint16_t>(std::nearbyint(a * 0x1p24f));
  const uint32_t m = std::bit_cast<uint32_t>(a);
  return static_cast<uint16_t>(sign | (((m + 0xFFF + (m >> 13 & 1)) >> 13) - (112 << 10)));
}

uint16_t ToBf16(float v) {
  const auto bits = std::bit_cast<uint32_t>(v);
  if (std::isnan(v)) return 0x7FC0;
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float FromBf16(uint16_t v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }

float FromHalf(uint16_t v) {
  const int exponent = v >> 10 & 31, mantissa = v & 1023;
  const float a = exponent == 31  ? (mantissa != 0 ? NAN : INFINITY)
                  : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                  : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return v & 0x8000 ? -a : a;
}

std::string LinearSpec::Text() const {
  std::ostringstream text;
  text << out << " x " << in << ", " << bits << " bits, padded " << padded_out << " x " << padded_in << ", "
       << out_blocks.size() << " + " << in_blocks.size() << " blocks given, su " << static_cast<int>(su) << ", sv "
       << static_cast<int>(sv) << ", bias " << (bias ? Name(bias) : "none") << ", scale " << weight_scale << ", seed "
       << seed;
  return text.str();
}

HostLinear::HostLinear(const LinearSpec& spec) : spec_(spec) {
  LinearSpec& s = spec_;
  if (s.padded_out == 0) s.padded_out = (s.out + 15) / 16 * 16;
  if (s.padded_in == 0) s.padded_in = (s.in + 63) / 64 * 64;
  double scale = 1;
  for (int left = s.bits; left > 0; left -= 2) {
    const bool e8p = left >= 2;
    auto& words = stages.emplace_back(static_cast<size_t>(s.padded_out * s.padded_in / (e8p ? 32 : 64)));
    FillRandom(words, s.seed * 16 + static_cast<uint64_t>(left));
    glq_e8p_stage stage{};
    stage.codebook = e8p ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B;
    stage.cum_inv_scale = scale;
    const int64_t shape[4] = {e8p ? s.padded_out / 16 : s.padded_out, s.padded_in / 64, 8, 4};
    Require(glq_view_init(&stage.indices, words.data(), GLQ_DTYPE_I64, nullptr, e8p ? 4 : 2, shape), "stage");
    stage_descs_.push_back(stage);
    scale /= 3.45;
  }
  // NaN for the padding, which nobody may look at.
  const auto vector = [](std::vector<uint16_t>& values, Signs kind, int64_t features, int64_t padded, uint64_t seed) {
    Rng rng(seed);
    for (int64_t i = 0; kind != Signs::kNone && i < padded; ++i) {
      const float sign = rng.Next() & 1 ? 1.0f : -1.0f;
      const float value = kind == Signs::kReal ? sign + 0.25f * rng.Normal() : sign;
      values.push_back(i < features ? ToHalf(value) : uint16_t{0x7E00});
    }
  };
  vector(sv, s.sv, s.in, s.padded_in, s.sv_seed != 0 ? s.sv_seed : s.seed ^ 0x55AA);
  vector(su, s.su, s.out, s.padded_out, s.seed ^ 0xAA55);
  desc_.in_features = s.in;
  desc_.out_features = s.out;
  desc_.padded_in = s.padded_in;
  desc_.padded_out = s.padded_out;
  desc_.num_stages = static_cast<int32_t>(stage_descs_.size());
  desc_.weight_scale = s.weight_scale;
  desc_.stages = stage_descs_.data();
  if (!s.in_blocks.empty())
    desc_.in_blocks = s.in_blocks.data(), desc_.num_in_blocks = static_cast<int32_t>(s.in_blocks.size());
  if (!s.out_blocks.empty())
    desc_.out_blocks = s.out_blocks.data(), desc_.num_out_blocks = static_cast<int32_t>(s.out_blocks.size());
  if (!sv.empty()) {
    Require(glq_view_init(&sv_view_, sv.data(), GLQ_DTYPE_F16, nullptr, 1, &s.padded_in), "sv");
    desc_.sv = &sv_view_;
  }
  if (!su.empty()) {
    Require(glq_view_init(&su_view_, su.data(), GLQ_DTYPE_F16, nullptr, 1, &s.padded_out), "su");
    desc_.su = &su_view_;
  }
  if (s.bias != 0) {
    bias.resize(static_cast<size_t>(s.out * SizeOf(s.bias)));
    Image values(s.bias, 1, s.out);
    values.FillNormal(s.seed ^ 0xB1A5);
    std::memcpy(bias.data(), values.data(), bias.size());
    Require(glq_view_init(&bias_view_, bias.data(), s.bias, nullptr, 1, &s.out), "bias");
    desc_.bias = &bias_view_;
  }
}

glq_view HostLinear::At(const glq_view& view, void* data, const glq_device& device) {
  glq_view v = view;
  v.data = data;
  v.device = device;
  return v;
}

Tensor MakeWeight(glq_context* context, const glq_e8p_desc& desc, cudaStream_t stream) {
  glq_tensor* tensor = nullptr;
  Require(glq_tensor_create_e8p(context, stream, &desc, &tensor), "glq_tensor_create_e8p");
  return Tensor(tensor);
}

Pair::Pair(const HostLinear& linear)
    : cpu(MakeWeight(CpuContext(), linear.desc())), gpu(MakeWeight(GpuContext(), linear.desc(), GpuStream())) {}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  Require(cudaMalloc(reinterpret_cast<void**>(&data_), std::max<size_t>(bytes, 1)), "cudaMalloc");
}

DeviceBuffer::~DeviceBuffer() { static_cast<void>(cudaFree(data_)); }

Image::Image(glq_dtype dtype, int64_t rows, int64_t cols, int64_t stride, int64_t offset)
    : dtype_(dtype),
      rows_(rows),
      cols_(cols),
      stride_(stride == 0 ? cols : stride),
      offset_(offset),
      bytes_(static_cast<size_t>(2 * kGuard + (offset + rows * stride_) * SizeOf(dtype))),
      memory_(std::make_unique_for_overwrite<std::byte[]>(bytes_ + kGuard)) {
  const auto at = reinterpret_cast<uintptr_t>(memory_.get());
  begin_ = memory_.get() + (kGuard - at % kGuard) % kGuard;
  std::memset(begin_, 0xFF, bytes_);
}

glq_view Image::ViewAt(void* data, const glq_device& device, int64_t rows) const {
  const int64_t shape[2] = {rows, cols_};
  glq_view view;
  Require(glq_view_init(&view, data, dtype_, &device, 2, shape), "glq_view_init");
  view.strides[0] = stride_;
  return view;
}

void Image::Set(int64_t row, int64_t col, float v) {
  std::byte* at = const_cast<std::byte*>(Row(row)) + col * SizeOf(dtype_);
  if (dtype_ == GLQ_DTYPE_F32) {
    std::memcpy(at, &v, 4);
  } else {
    const uint16_t h = dtype_ == GLQ_DTYPE_F16 ? ToHalf(v) : ToBf16(v);
    std::memcpy(at, &h, 2);
  }
}

void Image::FillNormal(uint64_t seed, float scale) {
  const uint64_t start = Mix(seed ^ 0xF111);
  InParallel(static_cast<size_t>(rows_ * cols_), [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const auto at = static_cast<int64_t>(i);
      Set(at / cols_, at % cols_, scale * NormalFrom(Mix(start + i * 0x9E3779B97F4A7C15u)));
    }
  });
}

DeviceImage::DeviceImage(const Image& image) : image_(image), buffer_(image.bytes()) {
  Upload(GpuStream());
  Require(cudaStreamSynchronize(GpuStream()), "cudaStreamSynchronize");
}

void DeviceImage::Poison(cudaStream_t stream) {
  Require(cudaMemsetAsync(buffer_.data(), 0xFF, buffer_.bytes(), stream), "cudaMemsetAsync");
}

void DeviceImage::Upload(cudaStream_t stream) {
  Require(cudaMemcpyAsync(buffer_.data(), image_.begin(), image_.bytes(), cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
}

void DeviceImage::Download(Image& to, cudaStream_t stream) const {
  Require(cudaMemcpyAsync(to.begin(), buffer_.data(), buffer_.bytes(), cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync");
  Require(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

::testing::AssertionResult SameRows(const Image& expected, const Image& got, int64_t rows) {
  const int64_t size = SizeOf(got.dtype());
  const auto row_bytes = static_cast<size_t>(got.cols() * size);
  int64_t wrong_rows = 0, wrong_row = -1, wrong_col = -1;
  for (int64_t r = 0; r < rows; ++r) {
    if (std::memcmp(expected.Row(r), got.Row(r), row_bytes) == 0) continue;
    if (wrong_rows++ > 0) continue;
    wrong_row = r;
    for (wrong_col = 0; std::memcmp(expected.Row(r) + wrong_col * size, got.Row(r) + wrong_col * size,
                                    static_cast<size_t>(size)) == 0;)
      ++wrong_col;
  }
  if (wrong_rows > 0) {
    uint32_t e = 0, g = 0;
    std::memcpy(&e, expected.Row(wrong_row) + wrong_col * size, static_cast<size_t>(std::min<int64_t>(size, 4)));
    std::memcpy(&g, got.Row(wrong_row) + wrong_col * size, static_cast<size_t>(std::min<int64_t>(size, 4)));
    char text[256];
    std::snprintf(text, sizeof(text),
                  "%lld of %lld rows differ, first at row %lld, column %lld of %lld: 0x%x, expected 0x%x",
                  static_cast<long long>(wrong_rows), static_cast<long long>(rows), static_cast<long long>(wrong_row),
                  static_cast<long long>(wrong_col), static_cast<long long>(got.cols()), g, e);
    return ::testing::AssertionFailure() << text;
  }
  const std::byte* at = got.begin();
  for (int64_t r = 0; r < rows; ++r) {
    if (!AllPoison(at, got.Row(r))) return ::testing::AssertionFailure() << "bytes before row " << r << " were written";
    at = got.Row(r) + row_bytes;
  }
  if (!AllPoison(at, got.begin() + got.bytes()))
    return ::testing::AssertionFailure() << "bytes behind the last row were written";
  return ::testing::AssertionSuccess();
}

Workspace::Workspace(size_t bytes)
    : buffer_(bytes + 2 * kGuard), workspace_{bytes == 0 ? nullptr : buffer_.data() + kGuard, bytes} {}

const glq_workspace* Workspace::Poisoned(cudaStream_t stream) {
  // Under initcheck the workspace itself must look like what it is, memory that nobody has written.
  static const bool guards_only = std::getenv("GLQ_TEST_SMALL") != nullptr;
  if (guards_only) {
    Require(cudaMemsetAsync(buffer_.data(), 0xFF, kGuard, stream), "cudaMemsetAsync");
    Require(cudaMemsetAsync(buffer_.data() + buffer_.bytes() - kGuard, 0xFF, kGuard, stream), "cudaMemsetAsync");
  } else {
    Require(cudaMemsetAsync(buffer_.data(), 0xFF, buffer_.bytes(), stream), "cudaMemsetAsync");
  }
  return &workspace_;
}

::testing::AssertionResult Workspace::Intact(cudaStream_t stream) const {
  std::vector<std::byte> guards(2 * kGuard);
  const size_t behind = buffer_.bytes() - kGuard;
  Require(cudaMemcpyAsync(guards.data(), buffer_.data(), kGuard, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  Require(cudaMemcpyAsync(guards.data() + kGuard, buffer_.data() + behind, kGuard, cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync");
  Require(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  if (!AllPoison(guards.data(), guards.data() + kGuard))
    return ::testing::AssertionFailure() << "bytes before the workspace were written";
  if (!AllPoison(guards.data() + kGuard, guards.data() + 2 * kGuard)) {
    return ::testing::AssertionFailure() << "bytes behind the workspace of " << workspace_.bytes
                                         << " bytes were written";
  }
  return ::testing::AssertionSuccess();
}

size_t FusedWorkspace(const glq_context* context, const glq_tensor* weight, int64_t tokens) {
  size_t bytes = 0;
  Require(glq_fused_linear_e8p_workspace(context, weight, tokens, nullptr, &bytes), "glq_fused_linear_e8p_workspace");
  return bytes;
}

void CpuFused(const Pair& pair, Image& x, Image& y) {
  Image memory(GLQ_DTYPE_U8, 1, static_cast<int64_t>(FusedWorkspace(CpuContext(), pair.cpu.get(), x.rows())));
  const glq_workspace workspace{memory.data(), static_cast<size_t>(memory.cols())};
  const glq_view xv = x.View(), yv = y.View();
  Require(glq_fused_linear_e8p(CpuContext(), nullptr, pair.cpu.get(), &xv, &yv, &workspace, nullptr),
          "the CPU's glq_fused_linear_e8p");
}

::testing::AssertionResult GpuFusedEquals(const Pair& pair, const DeviceImage& x, const Image& expected,
                                          int64_t tokens) {
  const cudaStream_t stream = GpuStream();
  Image got(expected.dtype(), expected.rows(), expected.cols(), expected.stride(),
            static_cast<int64_t>(expected.data_offset() - 256) / SizeOf(expected.dtype()));
  const DeviceImage y(got);
  Workspace workspace(FusedWorkspace(GpuContext(), pair.gpu.get(), tokens));
  const glq_view xv = x.View(tokens), yv = y.View(tokens);
  const auto status =
      Ok(glq_fused_linear_e8p(GpuContext(), stream, pair.gpu.get(), &xv, &yv, workspace.Poisoned(stream), nullptr));
  if (!status) return status;
  y.Download(got, stream);
  if (const auto intact = workspace.Intact(stream); !intact) return intact;
  return SameRows(expected, got, tokens);
}

void CheckFused(const Pair& pair, const LinearSpec& spec, const std::vector<int64_t>& tokens, const FusedCase& c) {
  SCOPED_TRACE(spec.Text() + ", x " + Name(c.x) + ", y " + Name(c.y));
  const int64_t rows = *std::max_element(tokens.begin(), tokens.end());
  Image x(c.x, rows, spec.in, c.x_stride, c.x_offset);
  x.FillNormal(c.seed, c.x_scale);
  Image y(c.y, rows, spec.out, c.y_stride, c.y_offset);
  CpuFused(pair, x, y);
  const DeviceImage device_x(x);
  for (const int64_t n : tokens) EXPECT_TRUE(GpuFusedEquals(pair, device_x, y, n)) << n << " tokens";
}

void CheckFused(const LinearSpec& spec, const std::vector<int64_t>& tokens, const FusedCase& c) {
  const HostLinear linear(spec);
  CheckFused(Pair(linear), spec, tokens, c);
}

}  // namespace glq::gpu
