// Random E8P weights on the GPU and their twins on the CPU; the comparison that has to pass before anything is timed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gpu_common.h"

namespace glq::bench {

struct Shape {
  int64_t rows = 0;  // N, out_features
  int64_t cols = 0;  // K, in_features

  int64_t elements() const { return rows * cols; }
  std::string Name() const { return std::to_string(rows) + "x" + std::to_string(cols); }
  bool operator==(const Shape&) const = default;
};

// Bytes of the packed codes.
inline int64_t PackedBytes(const Shape& shape, int bits) { return shape.elements() / 8 * bits; }

// Words a RandomPool needs so that MakeWeight can cut any weight of these shapes from it.
size_t PoolWords(const std::vector<Shape>& shapes);

class Weight {
 public:
  Weight() = default;
  explicit Weight(glq_tensor* tensor) : tensor_(tensor) {}
  ~Weight() { glq_tensor_destroy(tensor_); }
  Weight(Weight&& other) noexcept : tensor_(other.tensor_) { other.tensor_ = nullptr; }
  Weight& operator=(Weight&& other) noexcept {
    std::swap(tensor_, other.tensor_);
    return *this;
  }
  glq_tensor* get() const { return tensor_; }

 private:
  glq_tensor* tensor_ = nullptr;
};

// A weight of random codes and random signs. Equal arguments give equal weights on every device, and weights of
// equal `cols` share the input transform.
Weight MakeWeight(const Context& context, glq_device device, cudaStream_t stream, const RandomPool& pool,
                  const Shape& shape, int bits, size_t seed);

// One line of the plan of glq_fused_linear_e8p(): the value after "path: " (or another key).
std::string PlanValue(const Context& context, const Weight& weight, int64_t tokens, const std::string& key,
                      int32_t math_mode = GLQ_MATH_EXACT);

// Workspace on the GPU for a weight or a group, and the calls with it.
class Linear {
 public:
  Linear(const Context& context, cudaStream_t stream, std::vector<const glq_tensor*> weights, int64_t max_tokens,
         int32_t math_mode = GLQ_MATH_EXACT);

  // One weight.
  void Run(const glq_tensor* weight, const glq_view& x, const glq_view& y) const;
  // All weights of a group that is shaped like the one given to the constructor.
  void RunGroup(const glq_tensor* const* weights, const glq_view& x, const glq_view* y, int count) const;

 private:
  const Context& context_;
  cudaStream_t stream_;
  glq_launch_opts opts_;
  DeviceBuffer buffer_;
  glq_workspace workspace_{};
};

// Compares bytes: one token on the GPU with the same token on the CPU, and rows of every batch with the same row
// alone. Throws std::runtime_error at the first difference.
class ReferenceCheck {
 public:
  ReferenceCheck(const Machine& machine, const Context& gpu, const RandomPool& pool, glq_dtype dtype, int threads);

  void Linears(const Shape& shape, int bits, const std::vector<int64_t>& tokens);
  // A group against the separate calls.
  void Group(const std::vector<Shape>& shapes, int bits, const std::vector<int64_t>& tokens);

  int64_t rows_compared() const { return rows_compared_; }
  int64_t cpu_rows_compared() const { return cpu_rows_compared_; }

 private:
  const Machine& machine_;
  const Context& gpu_;
  const RandomPool& pool_;
  glq_dtype dtype_;
  Context cpu_;
  int64_t rows_compared_ = 0, cpu_rows_compared_ = 0;
};

}  // namespace glq::bench
