// What a device must be able to do. The C layer checks every argument, then calls one of these; a
// backend trusts its arguments. Failures are thrown as glq::Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/memory.h"
#include "e8p/linear.h"
#include "glq.h"
#include "platform/parallel.h"

namespace glq {

// A matrix in the backend's memory: [rows][stride], `cols` of them used. Pointers are aligned to the
// element only. `data` is not written where the operation takes an input.
struct Matrix {
  void* data;
  glq_dtype dtype;
  int64_t rows, cols, stride;
};

// A block of bytes on the host or on the backend's device.
struct Bytes {
  const void* data = nullptr;
  bool on_device = false;  // always false for the CPU backend
};

// The parts of an E8P weight as the caller handed them over.
struct E8pSource {
  e8p::LinearMeta meta;
  Bytes packed[e8p::kMaxStages];  // E81B stages: u8 [padded_out][padded_in / 8], the same bytes as the I64 tensor
  Bytes sv, su;                   // fp16, null if absent
  const float* bias = nullptr;    // host, fp32 [out_features], null if absent
};

// An E8P weight in a backend's own layout.
class E8pWeight {
 public:
  virtual ~E8pWeight() = default;
  virtual int64_t host_bytes() const = 0;
  virtual int64_t device_bytes() const = 0;
  const e8p::LinearMeta& meta() const { return meta_; }
  // Equal for weights that share the input transform: a hash of SV's bytes, in_blocks and padded_in,
  // disambiguated by comparing the bytes at creation.
  uint64_t input_transform_id() const { return input_transform_id_; }

 protected:
  explicit E8pWeight(const e8p::LinearMeta& meta) : meta_(meta) {}
  e8p::LinearMeta meta_;
  uint64_t input_transform_id_ = 0;
};

using WeightList = const E8pWeight* const*;

class Backend {
 public:
  virtual ~Backend() = default;

  virtual glq_device device() const = 0;

  // --- Objects (not on the launch path; may wait) ---
  virtual std::unique_ptr<E8pWeight> CreateE8p(glq_stream stream, const E8pSource& source) = 0;
  // Stage tensors, SV and SU, bit for bit as given. `destination` on the host or the device.
  enum class Part { kStage0 = 0, kStage1, kStage2, kStage3, kSv, kSu };
  virtual void ExportE8p(glq_stream stream, const E8pWeight& weight, Part part, void* destination, bool on_device) = 0;

  // --- Stream and memory ---
  virtual bool IsCapturing(glq_stream stream) = 0;  // CPU: false
  virtual void Synchronize(glq_stream stream) = 0;
  // Waits for all work queued on the device, before memory is freed or given back to its owner. False, and
  // nothing done, while a stream of the calling thread captures a graph. CPU: true.
  virtual bool WaitForDevice() noexcept = 0;
  // Strided copy of up to 4 dimensions; both views have the same shape and dtype. At least one is on this device.
  virtual void Copy(glq_stream stream, const glq_view& source, const glq_view& destination) = 0;

  // --- Operations: no allocation, no waiting. Workspace sizes are monotone in max_tokens. ---
  virtual size_t FusedLinearWorkspace(WeightList weights, int count, int64_t max_tokens, int32_t math_mode) = 0;
  virtual void FusedLinear(glq_stream stream, WeightList weights, int count, const Matrix& x, const Matrix* y,
                           void* workspace, int32_t math_mode) = 0;
  // One `key: value` a line.
  virtual std::string FusedLinearPlan(const E8pWeight& weight, int64_t tokens, int32_t math_mode) = 0;

  virtual size_t RhtInputWorkspace(const E8pWeight& weight, int64_t max_tokens) = 0;
  virtual void RhtInput(glq_stream stream, const E8pWeight& weight, const Matrix& x, const Matrix& v,
                        void* workspace) = 0;
  virtual size_t MatmulE8pWorkspace(const E8pWeight& weight, int64_t max_tokens, int32_t math_mode) = 0;
  virtual void MatmulE8p(glq_stream stream, const E8pWeight& weight, const Matrix& v, const Matrix& z, void* workspace,
                         int32_t math_mode) = 0;
  virtual size_t RhtOutputWorkspace(const E8pWeight& weight, int64_t max_tokens) = 0;
  virtual void RhtOutput(glq_stream stream, const E8pWeight& weight, const Matrix& z, const Matrix& y,
                         void* workspace) = 0;
  virtual void DecodeE8p(glq_stream stream, const E8pWeight& weight, int64_t row_begin, const Matrix& w) = 0;
  virtual size_t DequantizeWorkspace(const E8pWeight& weight) = 0;
  virtual void Dequantize(glq_stream stream, const E8pWeight& weight, const Matrix& w, void* workspace) = 0;
  virtual void PackE8p(glq_stream stream, const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed) = 0;
  virtual void UnpackE8p(glq_stream stream, const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes) = 0;

  virtual size_t GemvBf16Workspace(int64_t n, int64_t k, int64_t max_tokens) = 0;
  virtual void GemvBf16(glq_stream stream, const Matrix& weight, const Matrix& x, const Matrix& y, void* workspace) = 0;

  // Workspace of `query` for a weight with checkpoint-format padding, and the name of the path. The
  // C layer has checked the query's values; `meta` is a weight of these features (E8P operations).
  struct Support {
    size_t workspace_bytes;
    std::string path;
    uint32_t fast_alignment;
  };
  virtual Support OpSupport(const glq_op_query& query, const e8p::LinearMeta& meta) = 0;

  virtual void FillInfo(glq_context_info* info) const = 0;  // cublaslt_*
};

// `memory` and `parallel` outlive the backend.
std::unique_ptr<Backend> MakeCpuBackend(Memory& memory, Parallel& parallel);

// The CUDA side of version.h and context.h. In a CPU-only build these say so (lib/core/no_cuda.cpp).
namespace cuda {
void FillCudaInfo(glq_cuda_info* info);                 // all but struct_size
int DeviceCount();                                      // 0 if CUDA is not usable
void FillDeviceInfo(int index, glq_device_info* info);  // throws GLQ_E_NO_DEVICE, ...
glq_allocator DefaultAllocator(int device);             // malloc and cudaMalloc on that device
std::unique_ptr<Backend> MakeBackend(int device, Memory& memory, uint32_t flags, const char* cublaslt_library);
std::string BuildDescription();  // toolkit and architectures, for glq_build_info
}  // namespace cuda

}  // namespace glq
