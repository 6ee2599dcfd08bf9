// The baseline: a bf16 matrix product by cuBLASLt, which is loaded at run time.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <string>

#include "gpu_common.h"

namespace glq::bench {

class CublasLt {
 public:
  // Tries `path` if it is not empty, else GLQ_CUBLASLT_LIBRARY and the usual names. Never fails: see found().
  explicit CublasLt(const std::string& path);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  bool found() const { return handle_ != nullptr; }
  const std::string& message() const { return message_; }

  struct Functions;
  const Functions& functions() const { return *functions_; }
  cublasLtHandle_t handle() const { return handle_; }

 private:
  std::unique_ptr<Functions> functions_;
  cublasLtHandle_t handle_ = nullptr;
  std::string message_;
};

// y[t][n] = sum_k x[t][k] * w[n][k], all bf16, compact and row-major; sums in fp32. For one shape; keeps up to three
// algorithms, in the order of cuBLASLt's heuristic.
class Bf16Product {
 public:
  Bf16Product(const CublasLt& library, int64_t n, int64_t k, int64_t tokens);
  ~Bf16Product();
  Bf16Product(const Bf16Product&) = delete;
  Bf16Product& operator=(const Bf16Product&) = delete;

  int algorithms() const;
  void Choose(int algorithm) { chosen_ = algorithm; }
  void Run(const void* w, const void* x, void* y, cudaStream_t stream) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  int chosen_ = 0;
};

// Times each of the algorithms on weights and activations that rotate, chooses the fastest and times it again.
// `weight`, `x` and `y` give the memory of the i-th operation.
Timing MeasureBf16(const Machine& machine, const TimingOptions& options, Bf16Product& product, int period,
                   const std::function<const void*(int)>& weight, const std::function<const void*(int)>& x,
                   const std::function<void*(int)>& y);

}  // namespace glq::bench
