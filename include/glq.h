/**
 * @file glq.h
 * @brief libglq: multiply activations with weights kept compressed at 2 to 8 bits.
 *
 * An operation names everything it touches: context, stream, weight, input, output, workspace, options.
 * It checks its arguments, queues its work and returns a status; it allocates nothing, waits for
 * nothing and can be captured in a CUDA graph.
 *
 *     glq_context_desc cd = GLQ_CONTEXT_DESC_INIT;          // the CPU; or: glq_device_parse("cuda:0", &cd.device);
 *     glq_context *ctx = NULL;
 *     glq_context_create(&cd, &ctx);
 *
 *     glq_checkpoint *file = NULL;                          // weights from a checkpoint
 *     glq_e8p_desc ed = GLQ_E8P_DESC_INIT;
 *     glq_tensor *weight = NULL;
 *     glq_checkpoint_open("model.safetensors", &file);
 *     glq_checkpoint_layer(file, "model.layers.0.mlp.down_proj", &ed);
 *     glq_tensor_create_e8p(ctx, stream, &ed, &weight);
 *     glq_checkpoint_destroy(file);                         // the weight has its own copy
 *
 *     glq_workspace ws = { NULL, 0 };                       // once, for at most 64 tokens
 *     glq_fused_linear_e8p_workspace(ctx, weight, 64, NULL, &ws.bytes);
 *     ws.data = arena;                                      // 256-byte aligned, on the context's device
 *
 *     glq_view x, y;                                        // per call: plain values
 *     int64_t xs[2] = { tokens, in_features }, ys[2] = { tokens, out_features };
 *     glq_view_init(&x, x_data, GLQ_DTYPE_BF16, &cd.device, 2, xs);
 *     glq_view_init(&y, y_data, GLQ_DTYPE_BF16, &cd.device, 2, ys);
 *     glq_fused_linear_e8p(ctx, stream, weight, &x, &y, &ws, NULL);
 *
 * Every function but the `_destroy` ones and the plain look-ups returns a #glq_status; on failure glq_last_error() has the sentence.
 * The promises (what is stable, determinism, ownership, layouts) are in ABI.md.
 */
#ifndef GLQ_H
#define GLQ_H

#include "glq/base.h"
#include "glq/version.h"
#include "glq/context.h"
#include "glq/tensor.h"
#include "glq/e8p.h"
#include "glq/dense.h"
#include "glq/quantizer.h"
#include "glq/checkpoint.h"

#endif /* GLQ_H */
