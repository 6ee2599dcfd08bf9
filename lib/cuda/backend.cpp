// The CUDA backend: device memory, and the sequence of launches that makes an operation.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "build_config.h"
#include "common/launch.h"
#include "common/strided_copy.h"
#include "core/backend.h"
#include "core/cuda_device.h"
#include "core/error.h"
#include "core/input_transforms.h"
#include "cuda/cublaslt.h"
#include "cuda/e8p_weight.h"
#include "cuda/fused_linear.h"
#include "cuda/plan.h"
#include "dense/gemv_bf16.h"
#include "e8p/codebook.h"
#include "e8p/launch.h"
#include "e8p/layout.h"

namespace glq::cuda {
namespace {

cudaStream_t Native(glq_stream s) { return static_cast<cudaStream_t>(s); }

Scalar ScalarOf(glq_dtype t) {
  return t == GLQ_DTYPE_F16 ? Scalar::kF16 : t == GLQ_DTYPE_BF16 ? Scalar::kBF16 : Scalar::kF32;
}

const CudaWeight& Of(const E8pWeight& w) { return static_cast<const CudaWeight&>(w); }

DeviceTraits ReadTraits(int index) {
  DeviceTraits t;
  t.index = index;
  const auto get = [index](cudaDeviceAttr a) {
    int v = 0;
    CheckCuda(cudaDeviceGetAttribute(&v, a, index), "cudaDeviceGetAttribute");
    return v;
  };
  t.compute_capability = get(cudaDevAttrComputeCapabilityMajor) * 10 + get(cudaDevAttrComputeCapabilityMinor);
  t.multiprocessors = get(cudaDevAttrMultiProcessorCount);
  t.max_shared_bytes = get(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  // Two transfers a clock, the clock in kHz, the width in bits. Not every driver says.
  int clock = 0, width = 0;
  if (cudaDeviceGetAttribute(&clock, cudaDevAttrMemoryClockRate, index) == cudaSuccess &&
      cudaDeviceGetAttribute(&width, cudaDevAttrGlobalMemoryBusWidth, index) == cudaSuccess) {
    t.memory_bytes_per_us = 2.0 * clock * width / 8 / 1000;
  }
  static_cast<void>(cudaGetLastError());
  const ScopedDevice device(index);
  // What the kernels were compiled for: older PTX on a newer GPU keeps to the older GPU's ways.
  const int compiled = std::min(t.compute_capability, kernels::CompiledArchitecture());
  t.clusters = compiled >= 90;
  t.all_tables = t.max_shared_bytes >= static_cast<int>(kernels::PlanShared(0, true, true).total) + 32 * 1024;
  if (t.clusters) {
    for (int s = 2; s <= kernels::kGemvMaxMeeting; ++s) {
      t.gemv_room[s - 1] = kernels::GemvRoom(s, t.max_shared_bytes);
    }
  }
  t.wgmma = t.compute_capability == 90 && std::strstr(kBuildCudaArchs, "90a") != nullptr;
  if (t.wgmma) {
    kernels::LoadWgmmaKernels(t.max_shared_bytes);
    for (size_t i = 0; i < std::size(kernels::kWgmmaColumns); ++i) {
      for (int s = 1; s <= kernels::kWgmmaMaxSplits; ++s) {
        t.wgmma_room[i][s - 1] = kernels::WgmmaRoom(kernels::kWgmmaColumns[i], s);
      }
    }
  }
  return t;
}

int ElementBytes(glq_dtype t) { return static_cast<int>((t >> 8 & 255) / 8); }

class CudaBackend final : public Backend {
 public:
  CudaBackend(int index, Memory& memory, uint32_t flags, const char* cublaslt_library)
      : memory_(memory),
        flags_(flags),
        traits_(ReadTraits(index)),
        cublaslt_(std::make_unique<const CublasLt>(index, cublaslt_library)) {
    const ScopedDevice device(index);
    if (traits_.compute_capability < 80) {
      Fail(GLQ_E_UNSUPPORTED_ARCH, "device = cuda:%d has compute capability %d.%d, expected 8.0 or later", index,
           traits_.compute_capability / 10, traits_.compute_capability % 10);
    }
    if (!(flags & GLQ_CONTEXT_LAZY)) LoadAll();
    // The largest opt-in is set in any case: it must not wait for a launch.
    kernels::LoadRhtInputKernels(traits_.max_shared_bytes);
    kernels::LoadRhtOutputKernels(traits_.max_shared_bytes);
    kernels::LoadRhtManyInputKernels(traits_.max_shared_bytes);
    kernels::LoadRhtManyOutputKernels();
    kernels::LoadGemvKernels(traits_.max_shared_bytes);
    kernels::LoadGemmKernels(traits_.max_shared_bytes);
    kernels::LoadExpandHalvesKernels(traits_.max_shared_bytes);
    if (traits_.wgmma) kernels::LoadHalvesKernels(traits_.max_shared_bytes);
    if (kernels::HasGemvBf16Stream(DenseDevice())) kernels::LoadGemvBf16StreamKernels();
    linear_ = std::make_unique<FusedLinearRunner>(traits_, *cublaslt_);
  }

  ~CudaBackend() override {
    // A handle of cuBLASLt whose device memory is gone: left alone.
    if (memory_.IsLost()) static_cast<void>(cublaslt_.release());
  }

  glq_device device() const override { return {GLQ_DEVICE_CUDA, traits_.index}; }

  // --- Objects ---

  std::unique_ptr<E8pWeight> CreateE8p(glq_stream stream, const E8pSource& source) override {
    const ScopedDevice device(UsableDevice());
    const e8p::LinearMeta& m = source.meta;
    cudaStream_t s = Native(stream);
    // The transform is numbered by its bytes, so SV is needed on the host.
    std::vector<uint16_t> sv;
    if (m.has_sv) {
      sv.resize(static_cast<size_t>(m.padded_in));
      Fetch(sv.data(), source.sv, sv.size() * 2, s);
    }
    auto weight = std::make_unique<CudaWeight>(m, transforms_.Find(m, m.has_sv ? sv.data() : nullptr), memory_);
    const e8p::LinearMeta* meta = &m;
    weight->set_few_tokens(linear_->PlanFewTokens(&meta, 1, kernels::kGemvMaxTokens));
    Block staging;
    for (size_t i = 0; i < m.stages.size(); ++i) {
      const bool e8p = m.stages[i].codebook == e8p::Codebook::kE8P;
      const size_t bytes = static_cast<size_t>(m.padded_in * m.padded_out / (e8p ? 4 : 8));
      const void* packed = source.packed[i].data;
      if (!source.packed[i].on_device) {
        if (staging.bytes() < bytes) staging = Block(memory_, bytes, GLQ_MEMORY_CUDA);
        CheckCuda(cudaMemcpyAsync(staging.as<void>(), packed, bytes, cudaMemcpyHostToDevice, s), "cudaMemcpyAsync");
        packed = staging.as<void>();
      }
      void* to = weight->stage(static_cast<int>(i));
      if (e8p) {
        kernels::LaunchRepackE8p(static_cast<const uint64_t*>(packed), m.padded_out, m.padded_in,
                                 static_cast<uint4*>(to), s);
      } else {
        kernels::LaunchRepackE81b(static_cast<const uint8_t*>(packed), m.padded_out, m.padded_in,
                                  static_cast<uint2*>(to), s);
      }
    }
    const auto put = [&](void* to, const void* from, size_t bytes, bool on_device) {
      CheckCuda(cudaMemcpyAsync(to, from, bytes, on_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice, s),
                "cudaMemcpyAsync");
    };
    if (m.has_sv) put(weight->sv(), sv.data(), sv.size() * 2, false);
    if (m.has_su) put(weight->su(), source.su.data, static_cast<size_t>(m.padded_out) * 2, source.su.on_device);
    if (m.has_bias) put(weight->bias(), source.bias, static_cast<size_t>(m.out_features) * 4, false);
    const std::vector<int64_t> in = Starts(m.in_blocks), out = Starts(m.out_blocks);
    put(weight->in_starts(), in.data(), in.size() * 8, false);
    put(weight->out_starts(), out.data(), out.size() * 8, false);
    CheckCuda(cudaStreamSynchronize(s), "cudaStreamSynchronize");
    return weight;
  }

  void ExportE8p(glq_stream stream, const E8pWeight& weight, Part part, void* destination, bool on_device) override {
    const ScopedDevice device(UsableDevice());
    const CudaWeight& w = Of(weight);
    const e8p::LinearMeta& m = w.meta();
    cudaStream_t s = Native(stream);
    const auto copy = [&](const void* from, size_t bytes) {
      CheckCuda(
          cudaMemcpyAsync(destination, from, bytes, on_device ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost, s),
          "cudaMemcpyAsync");
    };
    Block staging;
    if (part == Part::kSv) {
      copy(w.sv(), static_cast<size_t>(m.padded_in) * 2);
    } else if (part == Part::kSu) {
      copy(w.su(), static_cast<size_t>(m.padded_out) * 2);
    } else {
      const int i = static_cast<int>(part);
      const bool e8p = m.stages[static_cast<size_t>(i)].codebook == e8p::Codebook::kE8P;
      const size_t bytes = static_cast<size_t>(m.padded_in * m.padded_out / (e8p ? 4 : 8));
      void* to = destination;
      if (!on_device) {
        staging = Block(memory_, bytes, GLQ_MEMORY_CUDA);
        to = staging.as<void>();
      }
      if (e8p) {
        kernels::LaunchExportE8p(static_cast<const uint4*>(w.stage(i)), m.padded_out, m.padded_in,
                                 static_cast<uint64_t*>(to), s);
      } else {
        kernels::LaunchExportE81b(static_cast<const uint2*>(w.stage(i)), m.padded_out, m.padded_in,
                                  static_cast<uint8_t*>(to), s);
      }
      if (!on_device) copy(to, bytes);
    }
    CheckCuda(cudaStreamSynchronize(s), "cudaStreamSynchronize");
  }

  // --- Stream and memory ---

  bool IsCapturing(glq_stream stream) override {
    const ScopedDevice device(UsableDevice());
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    const cudaError_t e = cudaStreamIsCapturing(Native(stream), &status);
    // The legacy stream while another one captures: the query itself says so.
    if (e == cudaErrorStreamCaptureImplicit) {
      static_cast<void>(cudaGetLastError());
      return true;
    }
    CheckCuda(e, "cudaStreamIsCapturing");
    return status != cudaStreamCaptureStatusNone;
  }

  void Synchronize(glq_stream stream) override {
    const ScopedDevice device(UsableDevice());
    CheckCuda(cudaStreamSynchronize(Native(stream)), "cudaStreamSynchronize");
  }

  bool WaitForDevice() noexcept override {
    if (memory_.IsLost()) return true;  // nothing is left to wait for
    const ScopedDevice device(traits_.index);
    // Waiting for the device would spoil a capture of this thread. A capture of another thread makes the call fail and
    // is spoilt all the same (context.h, "Release of memory"); what waits to be released waits on then.
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    if (cudaThreadExchangeStreamCaptureMode(&mode) != cudaSuccess) return false;
    const cudaError_t e = cudaDeviceSynchronize();
    static_cast<void>(cudaGetLastError());
    static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode));
    return e == cudaSuccess;
  }

  void Copy(glq_stream stream, const glq_view& source, const glq_view& destination) override;

  // --- Operations ---

  size_t FusedLinearWorkspace(WeightList weights, int count, int64_t max_tokens, int32_t math_mode) override {
    const e8p::LinearMeta* metas[GLQ_E8P_MAX_GROUP];
    uint64_t ids[GLQ_E8P_MAX_GROUP];
    for (int i = 0; i < count; ++i) metas[i] = &weights[i]->meta(), ids[i] = weights[i]->input_transform_id();
    return linear_->Workspace(metas, ids, count, max_tokens, math_mode,
                              count == 1 ? &Of(*weights[0]).few_tokens() : nullptr);
  }
  void FusedLinear(glq_stream stream, WeightList weights, int count, const Matrix& x, const Matrix* y, void* workspace,
                   int32_t math_mode) override {
    const ScopedDevice device(UsableDevice());
    const CudaWeight* list[GLQ_E8P_MAX_GROUP];
    for (int i = 0; i < count; ++i) list[i] = &Of(*weights[i]);
    linear_->Run(list, count, x, y, workspace, math_mode, Native(stream));
    Finish(stream);
  }
  std::string FusedLinearPlan(const E8pWeight& weight, int64_t tokens, int32_t math_mode) override {
    return linear_->Describe(Of(weight).meta(), tokens, math_mode);
  }

  size_t RhtInputWorkspace(const E8pWeight& weight, int64_t max_tokens) override {
    return linear_->RhtInputWorkspace(weight.meta(), max_tokens);
  }
  void RhtInput(glq_stream stream, const E8pWeight& weight, const Matrix& x, const Matrix& v,
                void* workspace) override {
    const ScopedDevice device(UsableDevice());
    linear_->RhtInput(Of(weight), x, v, workspace, Native(stream));
    Finish(stream);
  }
  size_t MatmulE8pWorkspace(const E8pWeight& weight, int64_t max_tokens, int32_t math_mode) override {
    const e8p::LinearMeta* meta = &weight.meta();
    const uint64_t id = weight.input_transform_id();
    return linear_->Workspace(&meta, &id, 1, max_tokens, math_mode, &Of(weight).few_tokens());
  }
  void MatmulE8p(glq_stream stream, const E8pWeight& weight, const Matrix& v, const Matrix& z, void* workspace,
                 int32_t math_mode) override {
    const ScopedDevice device(UsableDevice());
    linear_->Matmul(Of(weight), v, z, workspace, math_mode, Native(stream));
    Finish(stream);
  }
  size_t RhtOutputWorkspace(const E8pWeight& weight, int64_t max_tokens) override {
    return linear_->RhtOutputWorkspace(weight.meta(), max_tokens);
  }
  void RhtOutput(glq_stream stream, const E8pWeight& weight, const Matrix& z, const Matrix& y,
                 void* workspace) override {
    const ScopedDevice device(UsableDevice());
    linear_->RhtOutput(Of(weight), z, y, workspace, Native(stream));
    Finish(stream);
  }

  void DecodeE8p(glq_stream stream, const E8pWeight& weight, int64_t row_begin, const Matrix& w) override {
    const ScopedDevice device(UsableDevice());
    Decode(Of(weight), row_begin, w, Native(stream));
    Finish(stream);
  }
  size_t DequantizeWorkspace(const E8pWeight& weight) override {
    return static_cast<size_t>(weight.meta().padded_in * weight.meta().padded_out) * 4;
  }
  void Dequantize(glq_stream stream, const E8pWeight& weight, const Matrix& w, void* workspace) override {
    const ScopedDevice device(UsableDevice());
    const CudaWeight& e = Of(weight);
    const e8p::LinearMeta& m = e.meta();
    cudaStream_t s = Native(stream);
    auto* buffer = static_cast<float*>(workspace);
    Decode(e, 0, Matrix{buffer, GLQ_DTYPE_F32, m.padded_out, m.padded_in, m.padded_in}, s);
    kernels::LaunchFwhtRows(buffer, m.padded_out, m.padded_in, e.in_blocks(), s);
    const kernels::DequantizeParams p{buffer, m.padded_in, m.in_features,     m.out_features, e.sv(),
                                      e.su(), w.data,      ScalarOf(w.dtype), w.stride};
    kernels::LaunchScaleColumns(p, e.in_blocks(), m.padded_out, s);
    kernels::LaunchDequantizeColumns(p, e.out_blocks(), m.padded_out, s);
    Finish(stream);
  }

  void PackE8p(glq_stream stream, const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed) override {
    const ScopedDevice device(UsableDevice());
    kernels::LaunchPack(codes, rows, cols, packed, Native(stream));
    Finish(stream);
  }
  void UnpackE8p(glq_stream stream, const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes) override {
    const ScopedDevice device(UsableDevice());
    kernels::LaunchUnpack(packed, rows, cols, codes, Native(stream));
    Finish(stream);
  }

  size_t GemvBf16Workspace(int64_t, int64_t, int64_t) override { return 0; }
  void GemvBf16(glq_stream stream, const Matrix& weight, const Matrix& x, const Matrix& y, void*) override {
    const ScopedDevice device(UsableDevice());
    if (weight.rows == 0) return;
    const kernels::GemvBf16Params p{static_cast<const uint16_t*>(weight.data),
                                    static_cast<const uint16_t*>(x.data),
                                    y.data,
                                    ScalarOf(y.dtype),
                                    weight.rows,
                                    weight.cols,
                                    weight.stride,
                                    x.stride,
                                    y.stride,
                                    static_cast<int32_t>(x.rows)};
    kernels::LaunchGemvBf16(p, DenseDevice(), Native(stream));
    Finish(stream);
  }

  Support OpSupport(const glq_op_query& q, const e8p::LinearMeta& meta) override {
    switch (q.op) {
      case GLQ_OP_FUSED_LINEAR_E8P:
      case GLQ_OP_MATMUL_E8P: {
        const e8p::LinearMeta* list = &meta;
        const uint64_t id = 0;
        return {linear_->Workspace(&list, &id, 1, q.max_tokens, q.math_mode),
                linear_->PathName(meta, q.max_tokens, q.math_mode), 16};
      }
      case GLQ_OP_RHT_INPUT:
        return {linear_->RhtInputWorkspace(meta, q.max_tokens), "cuda hadamard", 16};
      case GLQ_OP_RHT_OUTPUT:
        return {linear_->RhtOutputWorkspace(meta, q.max_tokens), "cuda hadamard", 16};
      case GLQ_OP_DECODE_E8P:
        return {0, "cuda decode", 16};
      case GLQ_OP_DEQUANTIZE:
        return {static_cast<size_t>(meta.padded_in * meta.padded_out) * 4, "cuda decode and hadamard", 16};
      default:
        return {0, "cuda mma bf16", 16};
    }
  }

  void FillInfo(glq_context_info* info) const override {
    info->num_threads = 0;
    info->cublaslt_version = cublaslt_->version();
    info->cublaslt_message = cublaslt_->message().c_str();
  }

 private:
  // For every call: kernels that were queued after a reset would find other things where the weights were.
  int UsableDevice() const {
    memory_.CheckNotLost();
    return traits_.index;
  }

  kernels::GemvBf16Device DenseDevice() const {
    return {traits_.multiprocessors, traits_.max_shared_bytes, traits_.clusters};
  }

  static void LoadAll() {
    kernels::LoadRhtLargeKernels();
    kernels::LoadRepackKernels();
    kernels::LoadDecodeKernels();
    kernels::LoadGemvBf16Kernels();
    kernels::LoadStridedCopyKernels();
  }

  static std::vector<int64_t> Starts(const std::vector<int64_t>& blocks) {
    std::vector<int64_t> starts(1, 0);
    for (int64_t b : blocks) starts.push_back(starts.back() + b);
    return starts;
  }

  static void Fetch(void* to, const Bytes& from, size_t bytes, cudaStream_t s) {
    if (!from.on_device) {
      std::memcpy(to, from.data, bytes);
      return;
    }
    CheckCuda(cudaMemcpyAsync(to, from.data, bytes, cudaMemcpyDeviceToHost, s), "cudaMemcpyAsync");
    CheckCuda(cudaStreamSynchronize(s), "cudaStreamSynchronize");
  }

  void Decode(const CudaWeight& w, int64_t row_begin, const Matrix& out, cudaStream_t s) const {
    const e8p::LinearMeta& m = w.meta();
    kernels::DecodeParams p{};
    p.stages = static_cast<int32_t>(m.stages.size());
    for (int i = 0; i < p.stages; ++i) {
      const e8p::Stage& stage = m.stages[static_cast<size_t>(i)];
      p.weights[i] = w.stage(i);
      p.k[i] = stage.k;
      if (stage.codebook == e8p::Codebook::kE81B) p.e81b_mask |= 1 << i;
    }
    p.row_begin = row_begin, p.rows = out.rows, p.cols = m.padded_in;
    p.units = (m.padded_in + 127) / 128;
    p.out = out.data, p.out_type = ScalarOf(out.dtype), p.out_stride = out.stride;
    kernels::LaunchDecode(p, s);
  }

  void Finish(glq_stream stream) {
    if (flags_ & GLQ_CONTEXT_SYNC_EACH_CALL) CheckCuda(cudaStreamSynchronize(Native(stream)), "after the operation");
  }

  Memory& memory_;
  const uint32_t flags_;
  const DeviceTraits traits_;
  std::unique_ptr<const CublasLt> cublaslt_;
  InputTransforms transforms_;
  std::unique_ptr<FusedLinearRunner> linear_;
};

void CudaBackend::Copy(glq_stream stream, const glq_view& source, const glq_view& destination) {
  const ScopedDevice device(UsableDevice());
  cudaStream_t s = Native(stream);
  const int bytes = ElementBytes(source.dtype);
  // Both as four dimensions, innermost last.
  int64_t shape[4] = {1, 1, 1, 1}, from[4] = {}, to[4] = {};
  for (int d = 0; d < source.ndim; ++d) {
    const int at = 4 - source.ndim + d;
    shape[at] = source.shape[d], from[at] = source.strides[d], to[at] = destination.strides[d];
  }
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  if (count == 0) return;
  const auto compact = [&](const int64_t(&strides)[4]) {
    int64_t expected = 1;
    for (int d = 3; d >= 0; --d) {
      if (shape[d] != 1 && strides[d] != expected) return false;
      expected *= shape[d];
    }
    return true;
  };
  if (compact(from) && compact(to)) {
    CheckCuda(cudaMemcpyAsync(destination.data, source.data, static_cast<size_t>(count * bytes), cudaMemcpyDefault, s),
              "cudaMemcpyAsync");
    return;
  }
  if (source.device.type == GLQ_DEVICE_CUDA && destination.device.type == GLQ_DEVICE_CUDA) {
    kernels::StridedCopyParams p{source.data, destination.data, {}, {}, {}, count, bytes};
    std::copy(shape, shape + 4, p.shape);
    std::copy(from, from + 4, p.source_strides);
    std::copy(to, to + 4, p.destination_strides);
    kernels::LaunchStridedCopy(p, s);
    return;
  }
  // Host and device: rows of bytes where the innermost dimension is contiguous on both sides, single
  // elements otherwise.
  const bool rows = (shape[3] == 1 || (from[3] == 1 && to[3] == 1));
  const auto width = static_cast<size_t>((rows ? shape[3] : 1) * bytes);
  const int64_t inner = rows ? 1 : shape[3];
  for (int64_t a = 0; a < shape[0]; ++a) {
    for (int64_t b = 0; b < shape[1]; ++b) {
      for (int64_t c = 0; c < shape[2]; ++c) {
        for (int64_t d = 0; d < inner; ++d) {
          const auto* f = static_cast<const std::byte*>(source.data) +
                          (a * from[0] + b * from[1] + c * from[2] + d * from[3]) * bytes;
          auto* t = static_cast<std::byte*>(destination.data) + (a * to[0] + b * to[1] + c * to[2] + d * to[3]) * bytes;
          CheckCuda(cudaMemcpyAsync(t, f, width, cudaMemcpyDefault, s), "cudaMemcpyAsync");
        }
      }
    }
  }
}

}  // namespace

std::unique_ptr<Backend> MakeBackend(int device, Memory& memory, uint32_t flags, const char* cublaslt_library) {
  return std::make_unique<CudaBackend>(device, memory, flags, cublaslt_library);
}

}  // namespace glq::cuda
