#include "gpu/f16.h"

namespace glq::gpu {

glq_launch_opts F16Options() {
  glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
  opts.math_mode = GLQ_MATH_FP16_EXPANDED;
  return opts;
}

namespace {
bool PlanSays(const char* what, const glq_context* context, const glq_tensor* weight, int64_t tokens) {
  const glq_launch_opts opts = F16Options();
  char text[4096];
  size_t bytes = 0;
  Require(glq_fused_linear_e8p_plan(context, weight, tokens, &opts, text, sizeof(text), &bytes),
          "glq_fused_linear_e8p_plan");
  return std::string(text).find(what) != std::string::npos;
}
}  // namespace

bool TakesF16(const glq_context* context, const glq_tensor* weight, int64_t tokens) {
  return PlanSays("fp16", context, weight, tokens);
}

bool Expands(const glq_context* context, const glq_tensor* weight, int64_t tokens) {
  return PlanSays("fp16 expansion", context, weight, tokens);
}

std::optional<LinearSpec> SmallestF16(glq_context* context, int bits, int64_t tokens) {
  constexpr int64_t kShapes[][2] = {{64, 128}, {128, 512}, {256, 2048}, {2048, 1024}, {4096, 4096}};
  for (const auto& [out, in] : kShapes) {
    const LinearSpec spec{.out = out, .in = in, .bits = bits};
    const HostLinear linear(spec);
    if (TakesF16(context, MakeWeight(context, linear.desc(), GpuStream()).get(), tokens)) return spec;
  }
  return std::nullopt;
}

}  // namespace glq::gpu
