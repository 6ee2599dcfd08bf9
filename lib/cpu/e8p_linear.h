// The E8P linear on the CPU: y = x W^T with W compressed, by the exact contract (the same bytes for any
// batch, any number of threads and any instruction set).
//
// Operations do not allocate, do not check their arguments, and take a workspace of the size that the
// query says, aligned to 64 bytes. Sizes are monotone in the number of tokens. Every NaN they store is
// the canonical quiet NaN. The caller's floating-point control does not matter and is left as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/matmul.h"
#include "cpu/matrix.h"
#include "cpu/rht.h"
#include "e8p/linear.h"
#include "platform/allocator.h"
#include "platform/parallel.h"

namespace glq::cpu {

// A copy of the checkpoint's tensors in the order of the kernels, with the same number of bits.
class E8pWeights {
 public:
  // packed[s]: stage s as in the checkpoint, any alignment. sv, su: fp16 bits [padded_in], [padded_out], null for
  // all ones. bias: fp32 [out_features] or null. Throws std::bad_alloc.
  E8pWeights(const e8p::LinearMeta& meta, const void* const packed[], const uint16_t* sv, const uint16_t* su,
             const float* bias, Allocator& alloc, Parallel& par);
  ~E8pWeights();
  E8pWeights(const E8pWeights&) = delete;
  E8pWeights& operator=(const E8pWeights&) = delete;

  // The tensor of a stage, bit for bit as it came; any alignment.
  void ExportStage(int stage, void* packed) const;

  const e8p::LinearMeta& meta() const { return meta_; }
  const uint16_t* sv() const { return sv_; }  // null if absent
  const uint16_t* su() const { return su_; }
  const float* bias() const { return bias_; }
  size_t bytes() const { return bytes_; }  // of the allocation

  // For the operations.
  const StageBlocks* stages() const { return stages_; }
  Transform input() const { return {meta_.in_blocks, sv_, meta_.in_features, meta_.padded_in}; }
  Transform output() const { return {meta_.out_blocks, su_, meta_.out_features, meta_.padded_out}; }
  // Whether both transform their input alike, so that it need be done once.
  bool SharesInput(const E8pWeights& other) const;

 private:
  e8p::LinearMeta meta_;
  Allocator& alloc_;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
  StageBlocks stages_[e8p::kMaxStages] = {};
  const uint16_t* sv_ = nullptr;
  const uint16_t* su_ = nullptr;
  const float* bias_ = nullptr;
};

// All seven steps. With several weights (which take the same x and in_features) the input is transformed
// once for all weights that share it.
size_t FusedLinearWorkspace(const e8p::LinearMeta& meta, int64_t max_tokens, int workers);
size_t FusedLinearWorkspace(const e8p::LinearMeta* const metas[], int count, int64_t max_tokens, int workers);
void FusedLinear(const E8pWeights* const weights[], int count, ConstMatrix x, const Matrix y[], void* workspace,
                 Parallel& par);

// The pieces. Steps 1 and 2: v is fp32 [tokens][padded_in].
void RhtInput(const E8pWeights& weights, ConstMatrix x, Matrix v, Parallel& par);

// Steps 3 to 6: v fp32 [tokens][padded_in], y_rht fp32 [tokens][padded_out].
size_t MatmulRhtWorkspace(const e8p::LinearMeta& meta, int64_t max_tokens, int workers);
void MatmulRht(const E8pWeights& weights, ConstMatrix v, Matrix y_rht, void* workspace, Parallel& par);

// Step 7: y_rht fp32 [tokens][padded_out].
size_t RhtOutputWorkspace(const e8p::LinearMeta& meta, int64_t max_tokens, int workers);
void RhtOutput(const E8pWeights& weights, ConstMatrix y_rht, Matrix y, void* workspace, Parallel& par);

// Rows [row_begin, row_begin + rows) of the scaled weights in the rotated domain, [rows][padded_in]: the first
// stage's integer times k in fp32, later stages by fma, rounded once to the output type.
void DecodeRht(const E8pWeights& weights, int64_t row_begin, int64_t rows, Matrix w, Parallel& par);

// The effective weight [out_features][in_features] of the unrotated domain: decoded in fp32; along each row the
// butterflies, the factor and SV; then along each column the butterflies and the factor; then SU, rounded once.
size_t DequantizeWorkspace(const e8p::LinearMeta& meta);
void Dequantize(const E8pWeights& weights, Matrix w, void* workspace, Parallel& par);

}  // namespace glq::cpu
