// glq/dense.h
#include <cinttypes>

#include "api/boundary.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

namespace {

constexpr DtypeSet kBf16 = DtypeBit(GLQ_DTYPE_BF16);

MatrixArg GemvWeight(Call& call, const glq_context& context, const glq_tensor* handle) {
  const glq_view& view = DenseOf(call, context, "weight", handle).view;
  if (view.ndim != 2) Fail(GLQ_E_SHAPE, "weight.ndim = %d, expected 2", view.ndim);
  return CheckMatrix("weight", &view, context.device(), Access::kRead, kBf16, kAnyExtent, kAnyExtent);
}

}  // namespace

glq_status glq_gemv_bf16_workspace(const glq_context* context, const glq_tensor* weight, int64_t max_tokens,
                                   const glq_launch_opts* opts, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const MatrixArg w = GemvWeight(call, c, weight);
    if (max_tokens < 0 || max_tokens > GLQ_GEMV_MAX_TOKENS) {
      Fail(GLQ_E_INVALID_ARGUMENT, "max_tokens = %" PRId64 ", expected 0 to %d", max_tokens, GLQ_GEMV_MAX_TOKENS);
    }
    CheckOpts(opts);
    *bytes = c.backend().GemvBf16Workspace(w.matrix.rows, w.matrix.cols, max_tokens);
  });
}

glq_status glq_gemv_bf16(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* x,
                         const glq_view* y, const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const MatrixArg w = GemvWeight(call, c, weight);
    c.CheckStream(stream);
    CheckOpts(opts);
    const MatrixArg in =
        CheckMatrix("x", x, c.device(), Access::kRead, kBf16, kAnyExtent, {"weight.shape[1]", w.matrix.cols});
    if (in.matrix.rows > GLQ_GEMV_MAX_TOKENS) {
      Fail(GLQ_E_SHAPE, "x.shape[0] = %" PRId64 ", expected at most %d", in.matrix.rows, GLQ_GEMV_MAX_TOKENS);
    }
    const MatrixArg out = CheckMatrix("y", y, c.device(), Access::kWrite, kFloats, {"x.shape[0]", in.matrix.rows},
                                      {"weight.shape[0]", w.matrix.rows});
    CheckDisjoint("y", out.range, "x", in.range);
    CheckDisjoint("y", out.range, "weight", w.range);
    if (in.matrix.rows == 0 || w.matrix.rows == 0) return;
    const WorkspaceArg scratch =
        CheckWorkspace(workspace, c.backend().GemvBf16Workspace(w.matrix.rows, w.matrix.cols, in.matrix.rows));
    CheckDisjoint("workspace", scratch.range, "x", in.range);
    CheckDisjoint("workspace", scratch.range, "y", out.range);
    CheckDisjoint("workspace", scratch.range, "weight", w.range);
    Launch(c, stream,
           [&](Backend& backend) { backend.GemvBf16(stream, w.matrix, in.matrix, out.matrix, scratch.data); });
  });
}
