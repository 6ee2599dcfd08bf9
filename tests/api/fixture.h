// Helpers of the tests of the C interface: arrays with guarded surroundings, golden layers as
// descriptors, and the check that a call failed as it should.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "glq.h"
#include "support/golden.h"

namespace glq::test {

inline constexpr unsigned char kCanary = 0xA5;

inline int64_t SizeOf(glq_dtype dtype) { return (dtype >> 8 & 255) / 8; }

// Host memory for a compact array, 256-byte aligned, between two guards that nobody may touch.
class Array {
 public:
  Array() = default;
  Array(glq_dtype dtype, std::vector<int64_t> shape, const void* values = nullptr)
      : dtype_(dtype), shape_(std::move(shape)) {
    int64_t n = SizeOf(dtype);
    for (const int64_t e : shape_) n *= e;
    bytes_ = static_cast<size_t>(n);
    memory_.assign(bytes_ + 3 * kGuard, kCanary);
    const auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kGuard;
    offset_ = kGuard + (kGuard - address % kGuard) % kGuard;
    if (values) std::memcpy(data(), values, bytes_);
  }
  // A copy has memory of its own.
  Array(const Array& o) : Array(o.dtype_, o.shape_, o.bytes_ ? o.data() : nullptr) {}
  Array& operator=(const Array& o) {
    Array copy(o);
    std::swap(memory_, copy.memory_), std::swap(shape_, copy.shape_);
    dtype_ = copy.dtype_, bytes_ = copy.bytes_, offset_ = copy.offset_;
    return *this;
  }
  Array(Array&&) = default;
  Array& operator=(Array&&) = default;

  void* data() { return memory_.data() + offset_; }
  const void* data() const { return memory_.data() + offset_; }
  template <typename T>
  T* as() {
    return static_cast<T*>(data());
  }
  size_t bytes() const { return bytes_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  std::vector<unsigned char> values() const {
    const auto* p = static_cast<const unsigned char*>(data());
    return {p, p + bytes_};
  }
  glq_view view() const {
    glq_view v;
    EXPECT_EQ(glq_view_init(&v, data(), dtype_, nullptr, static_cast<int32_t>(shape_.size()), shape_.data()), GLQ_OK);
    return v;
  }
  // Nothing but the array itself may have been written.
  bool GuardsIntact() const {
    const auto is_canary = [](unsigned char c) { return c == kCanary; };
    return std::all_of(memory_.begin(), memory_.begin() + static_cast<ptrdiff_t>(offset_), is_canary) &&
           std::all_of(memory_.begin() + static_cast<ptrdiff_t>(offset_ + bytes_), memory_.end(), is_canary);
  }
  bool Untouched() const {
    return std::all_of(memory_.begin(), memory_.end(), [](unsigned char c) { return c == kCanary; });
  }

 private:
  static constexpr size_t kGuard = 256;
  glq_dtype dtype_ = 0;
  std::vector<int64_t> shape_;
  std::vector<unsigned char> memory_;
  size_t bytes_ = 0, offset_ = 0;
};

inline glq_dtype DtypeOf(const std::string& name) {
  if (name == "f16") return GLQ_DTYPE_F16;
  if (name == "bf16") return GLQ_DTYPE_BF16;
  if (name == "f32") return GLQ_DTYPE_F32;
  if (name == "f64") return GLQ_DTYPE_F64;
  if (name == "i64") return GLQ_DTYPE_I64;
  if (name == "u8") return GLQ_DTYPE_U8;
  if (name == "u16") return GLQ_DTYPE_U16;
  throw std::runtime_error("no dtype " + name);
}

inline Array ArrayOf(const Golden& golden, const std::string& name) {
  const GoldenArray a = golden.Load(name);
  return Array(DtypeOf(a.dtype), a.shape, a.bytes.data());
}

// The stored tensors of a golden layer, such as "bd_96x192/b3", as a descriptor.
struct GoldenLayer {
  GoldenLayer(const Golden& golden, const std::string& name) {
    const auto scalar = [&](const char* key) {
      return static_cast<double>(golden.Load<float>(name + "/" + key).at(0));
    };
    const size_t slash = name.find('/');
    const std::string dims = name.substr(name.find('_') + 1, slash - name.find('_') - 1);
    desc.out_features = std::stoll(dims);
    desc.in_features = std::stoll(dims.substr(dims.find('x') + 1));
    sv = ArrayOf(golden, name + "/SV");
    su = ArrayOf(golden, name + "/SU");
    const char* number[] = {"", "2", "3", "4"};
    const char* scale_of[] = {"", "inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3"};
    for (int s = 0; s < 4; ++s) {
      const std::string e8p = name + "/Qidxs" + number[s] + "_e8p", e81b = name + "/Qidxs" + number[s] + "_e81b";
      if (!golden.Has(e8p) && !golden.Has(e81b)) break;
      indices.push_back(ArrayOf(golden, golden.Has(e8p) ? e8p : e81b));
      glq_e8p_stage stage{};
      stage.codebook = golden.Has(e8p) ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B;
      stage.cum_inv_scale = s == 0 ? 1 : scalar(scale_of[s]);
      stages.push_back(stage);
    }
    desc.weight_scale = scalar("Wscale");
  }
  // The descriptor with pointers into this layer.
  const glq_e8p_desc& Desc() {
    for (size_t i = 0; i < stages.size(); ++i) stages[i].indices = indices[i].view();
    sv_view = sv.view(), su_view = su.view();
    desc.num_stages = static_cast<int32_t>(stages.size());
    desc.stages = stages.data();
    desc.sv = &sv_view, desc.su = &su_view;
    return desc;
  }
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
  std::vector<Array> indices;
  std::vector<glq_e8p_stage> stages;
  Array sv, su;
  glq_view sv_view, su_view;
};

inline std::string LastMessage() {
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  EXPECT_EQ(glq_last_error(&info), GLQ_OK);
  return info.message;
}

inline std::string LastFunction() {
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  EXPECT_EQ(glq_last_error(&info), GLQ_OK);
  return info.function;
}

// The call returned `want`, recorded it under its name, and its sentence holds all of `parts`.
inline void ExpectFailure(const char* function, glq_status got, glq_status want, const std::vector<std::string>& parts,
                          int line) {
  SCOPED_TRACE("line " + std::to_string(line));
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  ASSERT_EQ(glq_last_error(&info), GLQ_OK);
  EXPECT_STREQ(glq_status_name(got), glq_status_name(want)) << info.message;
  EXPECT_EQ(info.status, want);
  EXPECT_STREQ(info.function, function);
  for (const std::string& part : parts) EXPECT_THAT(info.message, testing::HasSubstr(part));
  glq_clear_error();
}
// `call` is an expression that calls `function`.
#define EXPECT_FAILS(function, call, status, ...) \
  ::glq::test::ExpectFailure(#function, function call, status, {__VA_ARGS__}, __LINE__)

template <typename T, void (*kDestroy)(T*)>
struct Destroyer {
  void operator()(T* handle) const { kDestroy(handle); }
};
using ContextPtr = std::unique_ptr<glq_context, Destroyer<glq_context, glq_context_destroy>>;
using TensorPtr = std::unique_ptr<glq_tensor, Destroyer<glq_tensor, glq_tensor_destroy>>;
using QuantizerPtr = std::unique_ptr<glq_quantizer, Destroyer<glq_quantizer, glq_quantizer_destroy>>;
using CheckpointPtr = std::unique_ptr<glq_checkpoint, Destroyer<glq_checkpoint, glq_checkpoint_destroy>>;

inline ContextPtr MakeContext(int32_t threads = 2) {
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.num_threads = threads;
  glq_context* context = nullptr;
  EXPECT_EQ(glq_context_create(&desc, &context), GLQ_OK) << LastMessage();
  return ContextPtr(context);
}

inline TensorPtr MakeWeight(glq_context* context, const glq_e8p_desc& desc) {
  glq_tensor* tensor = nullptr;
  EXPECT_EQ(glq_tensor_create_e8p(context, nullptr, &desc, &tensor), GLQ_OK) << LastMessage();
  return TensorPtr(tensor);
}

inline TensorPtr MakeDense(glq_context* context, const Array& array) {
  const glq_view view = array.view();
  glq_tensor* tensor = nullptr;
  EXPECT_EQ(glq_tensor_create_copy(context, nullptr, &view, &tensor), GLQ_OK) << LastMessage();
  return TensorPtr(tensor);
}

// Exactly `bytes` of scratch memory, guarded and poisoned.
struct Scratch {
  explicit Scratch(size_t bytes) : array(GLQ_DTYPE_U8, {static_cast<int64_t>(bytes)}), workspace{array.data(), bytes} {
    std::memset(array.data(), 0xFF, bytes);
  }
  Array array;
  glq_workspace workspace;
};

inline Array FusedLinear(glq_context* context, const glq_tensor* weight, const Array& x, glq_dtype y_dtype,
                         int32_t math_mode = GLQ_MATH_EXACT) {
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  EXPECT_EQ(glq_e8p_get_info(weight, &info), GLQ_OK);
  const int64_t tokens = x.shape().at(0);
  size_t bytes = 0;
  glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
  opts.math_mode = math_mode;
  EXPECT_EQ(glq_fused_linear_e8p_workspace(context, weight, tokens, &opts, &bytes), GLQ_OK);
  Scratch scratch(bytes);
  Array y(y_dtype, {tokens, info.out_features});
  const glq_view xv = x.view(), yv = y.view();
  EXPECT_EQ(glq_fused_linear_e8p(context, nullptr, weight, &xv, &yv, &scratch.workspace, &opts), GLQ_OK)
      << LastMessage();
  EXPECT_TRUE(y.GuardsIntact());
  EXPECT_TRUE(scratch.array.GuardsIntact());
  return y;
}

}  // namespace glq::test
