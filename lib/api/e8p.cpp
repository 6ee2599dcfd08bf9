// glq/e8p.h: weights and the fused linear.
#include <algorithm>
#include <cinttypes>
#include <cstring>

#include "api/boundary.h"
#include "core/e8p_weight.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

namespace {

// The weights of a call: one, or a group that shares its input.
class Weights {
 public:
  Weights(Call& call, const glq_context& context, const glq_tensor* weight) : count_(1) {
    list_[0] = E8pOf(call, context, "weight", weight).weight.get();
    place_[0] = 0;
  }
  // Entries that are NULL are left out.
  Weights(Call& call, const glq_context& context, const glq_tensor* const* weights, int32_t count) : group_(true) {
    if (count < 1 || count > GLQ_E8P_MAX_GROUP) {
      Fail(GLQ_E_INVALID_ARGUMENT, "count = %d, expected 1 to %d", count, GLQ_E8P_MAX_GROUP);
    }
    CheckNotNull("weights", weights);
    for (int i = 0; i < count; ++i) {
      if (!weights[i]) continue;
      const ArgName name("weights", i);
      list_[count_] = E8pOf(call, context, name, weights[i]).weight.get();
      place_[count_] = i;
      const int64_t features = list_[count_]->meta().in_features, first = list_[0]->meta().in_features;
      if (features != first) {
        FailArg(GLQ_E_SHAPE, name, ".in_features = %" PRId64 ", expected weights[%d].in_features = %" PRId64, features,
                place_[0], first);
      }
      ++count_;
    }
    if (count_ == 0) {
      Fail(GLQ_E_INVALID_ARGUMENT, "weights[0] to weights[%d] = NULL, expected at least one glq_tensor", count - 1);
    }
  }
  int count() const { return count_; }
  WeightList list() const { return list_; }
  const e8p::LinearMeta& meta(int i) const { return list_[i]->meta(); }
  // Which of the caller's outputs belongs to the i-th weight, and its name.
  int place(int i) const { return place_[i]; }
  ArgName OutputName(int i) const { return group_ ? ArgName("y", place_[i]) : ArgName("y"); }

 private:
  const E8pWeight* list_[GLQ_E8P_MAX_GROUP];
  int place_[GLQ_E8P_MAX_GROUP];
  int count_ = 0;
  bool group_ = false;
};

void FusedLinear(const glq_context& context, glq_stream stream, const Weights& weights, const glq_view* x,
                 const glq_view* y, const glq_workspace* workspace, const glq_launch_opts* opts) {
  const glq_device& device = context.device();
  context.CheckStream(stream);
  const int32_t math_mode = MathModeOf(opts);
  const MatrixArg in =
      CheckMatrix("x", x, device, Access::kRead, kFloats, kAnyExtent, {"in_features", weights.meta(0).in_features});
  CheckNotNull("y", y);
  Matrix outputs[GLQ_E8P_MAX_GROUP];
  Range ranges[GLQ_E8P_MAX_GROUP];
  for (int i = 0; i < weights.count(); ++i) {
    const ArgName name = weights.OutputName(i);
    const MatrixArg out = CheckMatrix(name, &y[weights.place(i)], device, Access::kWrite, kFloats,
                                      {"x.shape[0]", in.matrix.rows}, {"out_features", weights.meta(i).out_features});
    CheckDisjoint(name, out.range, "x", in.range);
    for (int j = 0; j < i; ++j) CheckDisjoint(name, out.range, weights.OutputName(j), ranges[j]);
    outputs[i] = out.matrix;
    ranges[i] = out.range;
  }
  if (in.matrix.rows == 0) return;
  const WorkspaceArg scratch = CheckWorkspace(
      workspace, context.backend().FusedLinearWorkspace(weights.list(), weights.count(), in.matrix.rows, math_mode));
  CheckDisjoint("workspace", scratch.range, "x", in.range);
  for (int i = 0; i < weights.count(); ++i) CheckDisjoint("workspace", scratch.range, weights.OutputName(i), ranges[i]);
  if (context.Logs(GLQ_LOG_DEBUG)) {
    for (int i = 0; i < weights.count(); ++i) {
      std::string plan = context.backend().FusedLinearPlan(*weights.list()[i], in.matrix.rows, math_mode);
      std::replace(plan.begin(), plan.end(), '\n', ';');
      context.Log(GLQ_LOG_DEBUG, "fused_linear_e8p", plan.c_str());
    }
  }
  Launch(context, stream, [&](Backend& backend) {
    backend.FusedLinear(stream, weights.list(), weights.count(), in.matrix, outputs, scratch.data, math_mode);
  });
}

}  // namespace

glq_status glq_e8p_desc_init(glq_e8p_desc* desc, uint32_t struct_size) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("desc", desc);
    CheckStructSize<glq_e8p_desc>("struct_size", struct_size);
    InitStruct(desc, struct_size);
  });
}

glq_status glq_tensor_create_e8p(glq_context* context, glq_stream stream, const glq_e8p_desc* desc,
                                 glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_context& c = call.ContextOf(context);
    c.CheckStream(stream);
    *tensor = Publish(NewE8p(c, stream, ReadStruct("desc", desc)));
  });
}

glq_status glq_e8p_get_info(const glq_tensor* tensor, glq_e8p_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_tensor& t = call.TensorOf("tensor", tensor);
    CheckStruct("info", info);
    CheckE8p("tensor", t);
    const E8pStorage& e8p = *t.e8p();
    const e8p::LinearMeta& meta = e8p.weight->meta();
    glq_e8p_info found{};
    found.bits = meta.bits();
    found.in_features = meta.in_features;
    found.out_features = meta.out_features;
    found.padded_in = meta.padded_in;
    found.padded_out = meta.padded_out;
    found.weight_scale = meta.weight_scale;
    found.num_stages = static_cast<int32_t>(meta.stages.size());
    for (size_t i = 0; i < meta.stages.size(); ++i) {
      found.cum_inv_scale[i] = meta.stages[i].cum_inv_scale;
      found.codebook[i] = static_cast<int32_t>(meta.stages[i].codebook);
    }
    found.has_sv = meta.has_sv;
    found.has_su = meta.has_su;
    found.bias_dtype = e8p.bias_dtype;
    found.num_in_blocks = static_cast<int32_t>(meta.in_blocks.size());
    found.num_out_blocks = static_cast<int32_t>(meta.out_blocks.size());
    found.in_blocks = meta.in_blocks.data();
    found.out_blocks = meta.out_blocks.data();
    found.input_transform_id = e8p.weight->input_transform_id();
    WriteStruct(info, found);
  });
}

glq_status glq_e8p_export(glq_context* context, glq_stream stream, const glq_tensor* tensor,
                          const glq_e8p_parts* parts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    static_cast<void>(E8pOf(call, c, "tensor", tensor));
    c.CheckStream(stream);
    ExportE8p(stream, *tensor, ReadStruct("parts", parts));
  });
}

glq_status glq_fused_linear_e8p_workspace(const glq_context* context, const glq_tensor* weight, int64_t max_tokens,
                                          const glq_launch_opts* opts, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const Weights weights(call, c, weight);
    CheckMaxTokens(max_tokens);
    const int32_t math_mode = MathModeOf(opts);
    *bytes = c.backend().FusedLinearWorkspace(weights.list(), weights.count(), max_tokens, math_mode);
  });
}

glq_status glq_fused_linear_e8p(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* x,
                                const glq_view* y, const glq_workspace* workspace,
                                const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    FusedLinear(c, stream, Weights(call, c, weight), x, y, workspace, opts);
  });
}

glq_status glq_fused_linear_e8p_group_workspace(const glq_context* context, const glq_tensor* const* weights,
                                                int32_t count, int64_t max_tokens, const glq_launch_opts* opts,
                                                size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const Weights group(call, c, weights, count);
    CheckMaxTokens(max_tokens);
    const int32_t math_mode = MathModeOf(opts);
    *bytes = c.backend().FusedLinearWorkspace(group.list(), group.count(), max_tokens, math_mode);
  });
}

glq_status glq_fused_linear_e8p_group(glq_context* context, glq_stream stream, const glq_tensor* const* weights,
                                      int32_t count, const glq_view* x, const glq_view* y,
                                      const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    FusedLinear(c, stream, Weights(call, c, weights, count), x, y, workspace, opts);
  });
}

glq_status glq_fused_linear_e8p_plan(const glq_context* context, const glq_tensor* weight, int64_t tokens,
                                     const glq_launch_opts* opts, char* text, size_t capacity,
                                     size_t* needed) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("needed", needed);
    const glq_context& c = call.ContextOf(context);
    const E8pStorage& w = E8pOf(call, c, "weight", weight);
    if (tokens < 0 || tokens > kMaxTokens) {
      Fail(GLQ_E_INVALID_ARGUMENT, "tokens = %" PRId64 ", expected 0 to %" PRId64, tokens, kMaxTokens);
    }
    const int32_t math_mode = MathModeOf(opts);
    if (capacity > 0) CheckNotNull("text", text);
    const std::string plan = c.backend().FusedLinearPlan(*w.weight, tokens, math_mode);
    *needed = plan.size() + 1;
    if (capacity > 0) {
      const size_t n = std::min(plan.size(), capacity - 1);
      std::memcpy(text, plan.data(), n);
      text[n] = '\0';
    }
    if (!text) return;  // asked for the size
    if (capacity < *needed) Fail(GLQ_E_BUFFER_TOO_SMALL, "capacity = %zu, needed %zu", capacity, *needed);
  });
}
