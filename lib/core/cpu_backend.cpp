// The CPU as a backend: hands the checked arguments to lib/cpu.
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "core/backend.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/input_transforms.h"
#include "core/strided_copy.h"
#include "cpu/e8p_linear.h"
#include "cpu/gemv_bf16.h"
#include "cpu/targets.h"
#include "e8p/pack.h"
#include "platform/allocator.h"

namespace glq {
namespace {

cpu::Scalar ScalarOf(glq_dtype dtype) {
  return dtype == GLQ_DTYPE_F32 ? cpu::Scalar::kF32 : dtype == GLQ_DTYPE_BF16 ? cpu::Scalar::kBF16 : cpu::Scalar::kF16;
}

cpu::Matrix In(const Matrix& m) { return {m.data, ScalarOf(m.dtype), m.rows, m.cols, m.stride}; }

// The context's memory as lib/cpu sees it.
class ContextAllocator final : public Allocator {
 public:
  explicit ContextAllocator(Memory& memory) : memory_(memory) {}
  void* Allocate(size_t bytes, size_t) override { return memory_.Alloc(bytes, GLQ_MEMORY_HOST); }
  void Free(void* p, size_t bytes, size_t) noexcept override { memory_.Free(p, bytes, GLQ_MEMORY_HOST); }

 private:
  Memory& memory_;
};

class CpuWeight final : public E8pWeight {
 public:
  CpuWeight(const E8pSource& source, std::shared_ptr<const InputTransforms::Entry> transform, Allocator& allocator,
            Parallel& parallel)
      : E8pWeight(source.meta),
        transform_(std::move(transform)),
        weights_(source.meta, Packed(source).data(), static_cast<const uint16_t*>(source.sv.data),
                 static_cast<const uint16_t*>(source.su.data), source.bias, allocator, parallel) {
    input_transform_id_ = transform_->id;
  }
  int64_t host_bytes() const override { return static_cast<int64_t>(weights_.bytes()); }
  int64_t device_bytes() const override { return 0; }
  const cpu::E8pWeights& weights() const { return weights_; }

 private:
  static std::array<const void*, e8p::kMaxStages> Packed(const E8pSource& source) {
    std::array<const void*, e8p::kMaxStages> packed;
    std::transform(source.packed, source.packed + e8p::kMaxStages, packed.begin(),
                   [](const Bytes& b) { return b.data; });
    return packed;
  }
  std::shared_ptr<const InputTransforms::Entry> transform_;
  cpu::E8pWeights weights_;
};

const cpu::E8pWeights& Of(const E8pWeight& weight) { return static_cast<const CpuWeight&>(weight).weights(); }

class CpuBackend final : public Backend {
 public:
  CpuBackend(Memory& memory, Parallel& parallel) : allocator_(memory), parallel_(parallel) {}

  glq_device device() const override { return {GLQ_DEVICE_CPU, 0}; }

  std::unique_ptr<E8pWeight> CreateE8p(glq_stream, const E8pSource& source) override {
    return std::make_unique<CpuWeight>(source, transforms_.Find(source.meta, source.sv.data), allocator_, parallel_);
  }

  void ExportE8p(glq_stream, const E8pWeight& weight, Part part, void* destination, bool) override {
    const cpu::E8pWeights& w = Of(weight);
    if (part == Part::kSv) {
      std::memcpy(destination, w.sv(), static_cast<size_t>(w.meta().padded_in) * sizeof(uint16_t));
    } else if (part == Part::kSu) {
      std::memcpy(destination, w.su(), static_cast<size_t>(w.meta().padded_out) * sizeof(uint16_t));
    } else {
      w.ExportStage(static_cast<int>(part), destination);
    }
  }

  bool IsCapturing(glq_stream) override { return false; }
  void Synchronize(glq_stream) override {}
  bool WaitForDevice() noexcept override { return true; }
  void Copy(glq_stream, const glq_view& source, const glq_view& destination) override {
    CopyOnHost(source, destination);
  }

  size_t FusedLinearWorkspace(WeightList weights, int count, int64_t max_tokens, int32_t) override {
    const e8p::LinearMeta* metas[GLQ_E8P_MAX_GROUP];
    for (int i = 0; i < count; ++i) metas[i] = &weights[i]->meta();
    return cpu::FusedLinearWorkspace(metas, count, max_tokens, parallel_.workers());
  }

  void FusedLinear(glq_stream, WeightList weights, int count, const Matrix& x, const Matrix* y, void* workspace,
                   int32_t) override {
    const cpu::E8pWeights* list[GLQ_E8P_MAX_GROUP];
    cpu::Matrix outputs[GLQ_E8P_MAX_GROUP];
    for (int i = 0; i < count; ++i) {
      list[i] = &Of(*weights[i]);
      outputs[i] = In(y[i]);
    }
    cpu::FusedLinear(list, count, In(x), outputs, workspace, parallel_);
  }

  std::string FusedLinearPlan(const E8pWeight& weight, int64_t tokens, int32_t) override {
    const e8p::LinearMeta& meta = weight.meta();
    const E8pWeight* list[] = {&weight};
    char text[512];
    std::snprintf(text, sizeof(text),
                  "device: cpu\npath: %s\nsimd: %s\nthreads: %d\nstages: %zu\ntokens per pass: %" PRId64
                  "\npasses over the weight: %" PRId64 "\nweight bytes per pass: %" PRId64
                  "\nfloor: not known\nworkspace bytes: %zu\n",
                  kPath, cpu::SimdTargets().c_str(), parallel_.workers(), meta.stages.size(), cpu::kTokenBlock,
                  (tokens + cpu::kTokenBlock - 1) / cpu::kTokenBlock, WeightBytes(meta),
                  FusedLinearWorkspace(list, 1, tokens, GLQ_MATH_EXACT));
    return text;
  }

  size_t RhtInputWorkspace(const E8pWeight&, int64_t) override { return 0; }
  void RhtInput(glq_stream, const E8pWeight& weight, const Matrix& x, const Matrix& v, void*) override {
    cpu::RhtInput(Of(weight), In(x), In(v), parallel_);
  }
  size_t MatmulE8pWorkspace(const E8pWeight& weight, int64_t max_tokens, int32_t) override {
    return cpu::MatmulRhtWorkspace(weight.meta(), max_tokens, parallel_.workers());
  }
  void MatmulE8p(glq_stream, const E8pWeight& weight, const Matrix& v, const Matrix& z, void* workspace,
                 int32_t) override {
    cpu::MatmulRht(Of(weight), In(v), In(z), workspace, parallel_);
  }
  size_t RhtOutputWorkspace(const E8pWeight& weight, int64_t max_tokens) override {
    return cpu::RhtOutputWorkspace(weight.meta(), max_tokens, parallel_.workers());
  }
  void RhtOutput(glq_stream, const E8pWeight& weight, const Matrix& z, const Matrix& y, void* workspace) override {
    cpu::RhtOutput(Of(weight), In(z), In(y), workspace, parallel_);
  }
  void DecodeE8p(glq_stream, const E8pWeight& weight, int64_t row_begin, const Matrix& w) override {
    cpu::DecodeRht(Of(weight), row_begin, w.rows, In(w), parallel_);
  }
  size_t DequantizeWorkspace(const E8pWeight& weight) override { return cpu::DequantizeWorkspace(weight.meta()); }
  void Dequantize(glq_stream, const E8pWeight& weight, const Matrix& w, void* workspace) override {
    cpu::Dequantize(Of(weight), In(w), workspace, parallel_);
  }
  void PackE8p(glq_stream, const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed) override {
    e8p::PackE8p(codes, rows, cols, packed);
  }
  void UnpackE8p(glq_stream, const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes) override {
    e8p::UnpackE8p(packed, rows, cols, codes);
  }

  size_t GemvBf16Workspace(int64_t, int64_t, int64_t) override { return 0; }
  void GemvBf16(glq_stream, const Matrix& weight, const Matrix& x, const Matrix& y, void*) override {
    cpu::GemvBf16(static_cast<const uint16_t*>(weight.data), weight.rows, weight.cols, weight.stride, In(x), In(y),
                  parallel_);
  }

  Support OpSupport(const glq_op_query& query, const e8p::LinearMeta& meta) override {
    const int64_t tokens = query.max_tokens;
    const int workers = parallel_.workers();
    switch (query.op) {
      case GLQ_OP_FUSED_LINEAR_E8P:
        return {cpu::FusedLinearWorkspace(meta, tokens, workers), kPath, 1};
      case GLQ_OP_RHT_INPUT:
        return {0, "cpu hadamard", 1};
      case GLQ_OP_RHT_OUTPUT:
        return {cpu::RhtOutputWorkspace(meta, tokens, workers), "cpu hadamard", 1};
      case GLQ_OP_MATMUL_E8P:
        return {cpu::MatmulRhtWorkspace(meta, tokens, workers), kPath, 1};
      case GLQ_OP_DECODE_E8P:
        return {0, "cpu decode", 1};
      case GLQ_OP_DEQUANTIZE:
        return {cpu::DequantizeWorkspace(meta), "cpu decode and hadamard", 1};
      default:
        return {0, "cpu gemv", 1};
    }
  }

  void FillInfo(glq_context_info* info) const override {
    info->cublaslt_version = 0;
    info->cublaslt_message = "not looked for: a CPU context does not use cuBLASLt";
  }

 private:
  static constexpr char kPath[] = "cpu int8 dot products";

  static int64_t WeightBytes(const e8p::LinearMeta& meta) { return meta.padded_in * meta.padded_out / 8 * meta.bits(); }

  ContextAllocator allocator_;
  Parallel& parallel_;
  InputTransforms transforms_;
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(Memory& memory, Parallel& parallel) {
  return std::make_unique<CpuBackend>(memory, parallel);
}

}  // namespace glq
