/**
 * @file glq/dense.h
 * @brief Products with dense weights.
 */
#ifndef GLQ_DENSE_H
#define GLQ_DENSE_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup dense Dense products
 * @brief Matrix-vector products with BF16 weights, for the layers that stay unquantized.
 * @{
 */

/** @brief Largest number of rows of x in glq_gemv_bf16(). */
#define GLQ_GEMV_MAX_TOKENS 16

/**
 * @brief Workspace that glq_gemv_bf16() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
 * @param[in] context A live context.
 * @param[in] weight As for the call.
 * @param[in] max_tokens 0 to #GLQ_GEMV_MAX_TOKENS.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_UNSUPPORTED (not dense).
 */
GLQ_API glq_status glq_gemv_bf16_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens,
                                           const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief y = x W^T with a BF16 weight, FP32 products and sums in a fixed order; each weight is read once.
 *
 * With 0 tokens it succeeds, queues nothing, and the workspace may be NULL.
 * @param[in] context The context of `weight`.
 * @param[in] stream The work is queued on it; NULL on a CPU context, where the work is done on return.
 * @param[in] weight A dense BF16 tensor `[N, K]` with unit column stride; N and K are free. 16-byte aligned rows are fastest.
 * @param[in] x BF16 `[tokens, K]` (or `[K]`), tokens at most #GLQ_GEMV_MAX_TOKENS, unit column stride.
 * @param[out] y BF16, F16 or F32 `[tokens, N]` (or `[N]`), rounded once. Must not overlap the inputs. K = 0 gives zeros.
 * @param[in] workspace At least glq_gemv_bf16_workspace() bytes; NULL if that is 0.
 * @param[in] opts NULL for defaults. glq_launch_opts::math_mode has no effect.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes in every run on one device; a row does not depend on the other rows of the batch.
 *              Devices may differ in the last bits.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_ALIASING, #GLQ_E_WORKSPACE_TOO_SMALL,
 *         #GLQ_E_UNSUPPORTED (not dense), #GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with #GLQ_CONTEXT_SYNC_EACH_CALL),
 *         #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_gemv_bf16(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *x,
                                 const glq_view *y, const glq_workspace *workspace, const glq_launch_opts *opts) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_DENSE_H */
