// cuBLASLt, found at run time. Optional: without it large batches use the library's own kernels.
#pragma once

#include <cublasLt.h>

#include <memory>
#include <string>

namespace glq::cuda {

class CublasLt {
 public:
  // For one device. Tries `path` if given, else a copy the process has loaded already, else the usual names. Never
  // fails: see found().
  CublasLt(int device, const char* path);
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  bool found() const { return handle_ != nullptr; }
  int version() const { return version_; }
  const std::string& message() const { return message_; }

  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;

  // out[t][n] (s32) = sum_k x[t][k] * w[n][k] (s8), all compact row-major; k a multiple of 64, n of 16. Exact.
  void MultiplyInt8(const int8_t* w, const int8_t* x, int32_t* out, int64_t n, int64_t k, int64_t t, void* workspace,
                    cudaStream_t stream) const;
  // The same in fp16 with fp32 sums: out[t][n] (f32) = factor * sum_k x[t][k] * w[n][k].
  void MultiplyF16(const uint16_t* w, const uint16_t* x, float factor, float* out, int64_t n, int64_t k, int64_t t,
                   void* workspace, cudaStream_t stream) const;

 private:
  struct Functions;
  struct Product {
    cublasComputeType_t compute;
    cudaDataType_t scale, input, output;
    const void *factor, *zero;  // of type `scale`
  };
  void Multiply(const Product& product, const void* w, const void* x, void* out, int64_t n, int64_t k, int64_t t,
                void* workspace, cudaStream_t stream) const;
  const int device_;
  std::unique_ptr<Functions> functions_;
  cublasLtHandle_t handle_ = nullptr;
  int version_ = 0;
  std::string message_;
};

}  // namespace glq::cuda
