// The E8P linear on a GPU as a sequence of launches: input transform, product, output transform. Weights of a
// group that share the input transform share all three.
#pragma once

#include <cuda_runtime_api.h>

#include <optional>
#include <string>

#include "core/backend.h"
#include "core/workspace_cursor.h"
#include "cuda/cublaslt.h"
#include "cuda/e8p_weight.h"
#include "cuda/plan.h"

namespace glq::cuda {

class FusedLinearRunner {
 public:
  FusedLinearRunner(const DeviceTraits& device, const CublasLt& library) : device_(device), library_(library) {}

  // `few`: of the only weight, where it is known; every call asks for the workspace, and planning takes time.
  size_t Workspace(const e8p::LinearMeta* const* metas, const uint64_t* transform_ids, int count, int64_t max_tokens,
                   int32_t math_mode, const FewTokens* few = nullptr) const;
  FewTokens PlanFewTokens(const e8p::LinearMeta* const* metas, int count, int64_t tokens) const;
  void Run(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y, void* workspace,
           int32_t math_mode, cudaStream_t stream) const;

  // v is fp32 and transformed already; z receives y_rht. Needs what Run needs.
  void Matmul(const CudaWeight& weight, const Matrix& v, const Matrix& z, void* workspace, int32_t math_mode,
              cudaStream_t stream) const;

  size_t RhtInputWorkspace(const e8p::LinearMeta& meta, int64_t max_tokens) const;
  void RhtInput(const CudaWeight& weight, const Matrix& x, const Matrix& v, void* workspace, cudaStream_t stream) const;
  size_t RhtOutputWorkspace(const e8p::LinearMeta& meta, int64_t max_tokens) const;
  void RhtOutput(const CudaWeight& weight, const Matrix& z, const Matrix& y, void* workspace,
                 cudaStream_t stream) const;

  std::string PathName(const e8p::LinearMeta& meta, int64_t tokens, int32_t math_mode) const;
  std::string Describe(const e8p::LinearMeta& meta, int64_t tokens, int32_t math_mode) const;

 private:
  static constexpr int kMaxGroup = GLQ_E8P_MAX_GROUP;

  // What a slice of `tokens` rows needs, for weights that share the input transform.
  struct Layout {
    kernels::TokenHeader* headers;
    uint8_t* digits;
    int32_t* z;  // all stages of all weights, one after another
    int64_t z_count;
    float* input_buffer;   // null if the rows fit a cluster
    float* output_buffer;  // the same for any of the outputs
    float* rows;           // y_rht of all weights, one after another; null unless the product ends with it
    std::byte* expanded;   // one stage in int8, one weight in fp16; null unless the path expands
    void* library_workspace;
    size_t bytes;
  };
  Layout LayOut(void* base, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                const ProductPlan& plan) const;
  ProductPlan Plan(const e8p::LinearMeta* const* metas, int count, int64_t tokens, bool plain_rows,
                   int32_t math_mode) const;
  // Whether the mode and the number of tokens ask for the fp16 product.
  bool TakesF16(const e8p::LinearMeta* const* metas, int count, int64_t tokens, int32_t math_mode) const;

  // One slice of weights that share the transform. `transform`: false for Matmul. `expanded`: the path by which the
  // workspace has the only weight expanded, before and after; slices differ in their paths.
  void RunSlice(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y, void* workspace,
                int32_t math_mode, bool transform, std::optional<Path>& expanded, cudaStream_t stream) const;
  void RunSlices(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y, void* workspace,
                 int32_t math_mode, bool transform, cudaStream_t stream) const;
  void MultiplyWgmma(const ProductPlan& plan, const CudaWeight* const* weights, int count, const Layout& layout,
                     int64_t tokens, cudaStream_t stream) const;
  void MultiplyGemv(const ProductPlan& plan, const CudaWeight* const* weights, int count, const Layout& layout,
                    const Matrix& x, bool hinted, bool watched, cudaStream_t stream) const;
  void MultiplyHalves(const CudaWeight* const* weights, int count, const Layout& layout, int64_t tokens,
                      cudaStream_t stream) const;
  // `expand`: the weight is not there from the slice before.
  void MultiplyF16(const CudaWeight* const* weights, int count, const Layout& layout, int64_t tokens, bool expand,
                   cudaStream_t stream) const;
  void Multiply(const ProductPlan& plan, const CudaWeight* const* weights, int count, const Layout& layout,
                int64_t tokens, bool expand, cudaStream_t stream) const;

  const DeviceTraits device_;
  const CublasLt& library_;
};

}  // namespace glq::cuda
