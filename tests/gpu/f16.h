// GLQ_MATH_FP16_EXPANDED in the GPU's tests: which calls take it.
#pragma once

#include <optional>

#include "gpu/support.h"

namespace glq::gpu {

glq_launch_opts F16Options();
// Whether the mode is another arithmetic than the exact one here, by glq_fused_linear_e8p_plan().
bool TakesF16(const glq_context* context, const glq_tensor* weight, int64_t tokens);
// Whether it then writes the weight as fp16, and multiplies it with a library.
bool Expands(const glq_context* context, const glq_tensor* weight, int64_t tokens);
// The first of some shapes, small ones first, that takes it, if one does.
std::optional<LinearSpec> SmallestF16(glq_context* context, int bits, int64_t tokens);

}  // namespace glq::gpu
