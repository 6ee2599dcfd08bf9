// E8P weights from descriptors, and back into the checkpoint's parts.
#pragma once

#include "core/tensor.h"
#include "glq.h"

namespace glq {

// Checks every field of `desc`, then makes the weight. Waits for `stream`.
std::unique_ptr<glq_tensor> NewE8p(glq_context& context, glq_stream stream, const glq_e8p_desc& desc);

// Checks every destination, then writes them. Waits for `stream`.
void ExportE8p(glq_stream stream, const glq_tensor& tensor, const glq_e8p_parts& parts);

// A weight of these features as checkpoints hold it: dimensions padded to multiples of 64 and 16,
// blocks from the binary expansion, bits / 2 E8P stages and an E81B stage if odd.
e8p::LinearMeta CheckpointMeta(int64_t in_features, int64_t out_features, int32_t bits);

}  // namespace glq
