/**
 * @file glq/e8p.h
 * @brief Linear layers whose weights stay in the E8P format: 2 to 8 bits per weight.
 *
 * A weight W[out_features][in_features] is stored as codes of a rotated matrix. With Hadamard
 * transforms B that are block-diagonal with power-of-two blocks,
 *
 *     y = crop( SU * B_out( sum_s sigma_s * Q_s * B_in( SV * pad(x) ) ) ) * weight_scale + bias
 *
 * where each stage Q_s holds one 16-bit (E8P) or 8-bit (E81B) code per eight weights. Formula and
 * codebooks: Tseng et al., "QuIP#: Even Better LLM Quantization with Hadamard Incoherence and
 * Lattice Codebooks", ICML 2024. The arithmetic is exact by definition (ABI.md, "Numerics"): the
 * result is the same bytes on every device, for every batch size, split and thread count.
 */
#ifndef GLQ_E8P_H
#define GLQ_E8P_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup e8p E8P linear layers
 * @brief Create, export and inspect E8P weights; multiply with them, whole or in pieces.
 * @{
 */

/** @brief Codebooks of a stage. */
enum glq_codebook {
  GLQ_CODEBOOK_E8P = 1, /**< 16-bit codes for 8 weights: 2 bits per weight. */
  GLQ_CODEBOOK_E81B = 2 /**< 8-bit codes for 8 weights: 1 bit per weight; only as the last stage. */
};

/** @brief Largest number of stages of a weight. */
#define GLQ_E8P_MAX_STAGES 4
/** @brief Largest padded dimension of a weight. */
#define GLQ_E8P_MAX_DIM 1048576
/** @brief Largest number of weights in a group call. */
#define GLQ_E8P_MAX_GROUP 8

/**
 * @brief One stage of an E8P weight. Frozen: 112 bytes.
 *
 * Index tensors are compact, on the host or on the context's device, in the checkpoint's layout
 * (ABI.md, "Packed layouts"). Host memory may have any alignment, device memory 8 bytes.
 *  - E8P: I64 `[padded_out/16, padded_in/64, 8, 4]` (`Qidxs*_e8p`).
 *  - E81B: I64 `[padded_out, padded_in/64]` or U8 `[padded_out, padded_in/8]` (`Qidxs*_e81b`).
 */
typedef struct glq_e8p_stage {
  int32_t codebook;     /**< `GLQ_CODEBOOK_*`. */
  uint32_t reserved;    /**< Must be 0. */
  double cum_inv_scale; /**< sigma of the stage, cumulative as the checkpoint stores it; 1 for the first stage. Finite, not 0. */
  glq_view indices;     /**< The packed codes. */
} glq_e8p_stage;

/** @brief What glq_tensor_create_e8p() needs. Host memory may have any alignment. Grows by appending. */
typedef struct glq_e8p_desc {
  uint32_t struct_size;        /**< `sizeof(glq_e8p_desc)`. */
  uint32_t flags;              /**< Must be 0. */
  int64_t in_features;         /**< Columns of W before padding. Required. */
  int64_t out_features;        /**< Rows of W before padding. Required. */
  int64_t padded_in;           /**< Multiple of 64, at least `in_features`; 0: taken from the first stage's shape. */
  int64_t padded_out;          /**< Multiple of 16, at least `out_features`; 0: taken from the first stage's shape. */
  int32_t bits;                /**< 2 to 8; 0: follows from the stages. `bits/2` E8P stages, then one E81B stage if odd. */
  int32_t num_stages;          /**< 1 to #GLQ_E8P_MAX_STAGES. Required. */
  double weight_scale;         /**< `Wscale`. Required: 0 is a value like others, and makes the product 0. Finite. */
  const glq_e8p_stage *stages; /**< `num_stages` elements. Required. */
  const int64_t *in_blocks;    /**< Hadamard blocks of the input side: powers of two that add up to `padded_in`.
                                    NULL: the binary expansion of `padded_in`, largest first. */
  const int64_t *out_blocks;   /**< The same for the output side and `padded_out`. */
  int32_t num_in_blocks;       /**< Elements of `in_blocks`. */
  int32_t num_out_blocks;      /**< Elements of `out_blocks`. */
  const glq_view *sv;          /**< F16 `[padded_in]`, any values, or NULL for all ones. */
  const glq_view *su;          /**< F16 `[padded_out]`, any values, or NULL for all ones. */
  const glq_view *bias;        /**< F16, BF16 or F32 `[out_features]`, or NULL. */
} glq_e8p_desc;

/** @brief Initialiser for #glq_e8p_desc. */
#define GLQ_E8P_DESC_INIT { sizeof(glq_e8p_desc), 0, 0, 0, 0, 0, 0, 0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0 }

/**
 * @brief Fills a descriptor with defaults; for languages that cannot use #GLQ_E8P_DESC_INIT.
 * @param[out] desc The descriptor.
 * @param[in] struct_size `sizeof(glq_e8p_desc)` as the caller knows it.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_e8p_desc_init(glq_e8p_desc *desc, uint32_t struct_size) GLQ_NOEXCEPT;

/**
 * @brief Makes an E8P weight on the context's device.
 *
 * The handle keeps its own copy, in a layout of the same number of bits that suits the device's
 * kernels; everything in `desc` may be released when the function returns.
 * @param[in] context A live context.
 * @param[in] stream Ordered after the work queued on it; the weight is complete when the function
 *            returns. NULL on a CPU context.
 * @param[in] desc The parts.
 * @param[out] tensor Set to NULL on failure.
 * @capture Refused: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
 *          glq_tensor_create().
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_NOT_FINITE,
 *         #GLQ_E_UNSUPPORTED_WHILE_CAPTURING, #GLQ_E_OUT_OF_HOST_MEMORY, #GLQ_E_OUT_OF_DEVICE_MEMORY, #GLQ_E_CUDA,
 *         #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_tensor_create_e8p(glq_context *context, glq_stream stream, const glq_e8p_desc *desc,
                                         glq_tensor **tensor) GLQ_NOEXCEPT;

/**
 * @brief What an E8P weight is. Grows by appending.
 *
 * What a tensor-parallel runtime needs to know: cuts are exact only between blocks; a power-of-two
 * dimension is one block. Output features can be cut between two entries of `out_blocks`, input features
 * between two entries of `in_blocks`; inside a block a rotation mixes all features.
 */
typedef struct glq_e8p_info {
  uint32_t struct_size;                      /**< `sizeof(glq_e8p_info)`. */
  int32_t bits;                              /**< 2 to 8. */
  int64_t in_features;                       /**< Columns of W. */
  int64_t out_features;                      /**< Rows of W. */
  int64_t padded_in;                         /**< Columns of the rotated matrix. */
  int64_t padded_out;                        /**< Rows of the rotated matrix. */
  double weight_scale;                       /**< As given. */
  double cum_inv_scale[GLQ_E8P_MAX_STAGES];  /**< As given; 0 from `num_stages` on. */
  int32_t codebook[GLQ_E8P_MAX_STAGES];      /**< `GLQ_CODEBOOK_*`; 0 from `num_stages` on. */
  int32_t num_stages;                        /**< 1 to 4. */
  int32_t has_sv;                            /**< 1 if an SV vector was given. */
  int32_t has_su;                            /**< 1 if an SU vector was given. */
  glq_dtype bias_dtype;                      /**< Type of the bias as given, 0 if none. */
  int32_t num_in_blocks;                     /**< Elements of `in_blocks`. */
  int32_t num_out_blocks;                    /**< Elements of `out_blocks`. */
  const int64_t *in_blocks;                  /**< Host array that lives as long as the tensor. */
  const int64_t *out_blocks;                 /**< Host array that lives as long as the tensor. */
  uint64_t input_transform_id;               /**< Two weights of one context that share the input transform (equal SV,
                                                  blocks and padding) have equal values. */
} glq_e8p_info;

/** @brief Initialiser for #glq_e8p_info. */
#define GLQ_E8P_INFO_INIT \
  { sizeof(glq_e8p_info), 0, 0, 0, 0, 0, 0.0, { 0.0, 0.0, 0.0, 0.0 }, { 0, 0, 0, 0 }, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/**
 * @brief Tells what an E8P weight is.
 * @param[in] tensor An E8P tensor.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_UNSUPPORTED (not E8P).
 */
GLQ_API glq_status glq_e8p_get_info(const glq_tensor *tensor, glq_e8p_info *info) GLQ_NOEXCEPT;

/** @brief Destinations of glq_e8p_export(); a NULL member is not written. Grows by appending. */
typedef struct glq_e8p_parts {
  uint32_t struct_size;                        /**< `sizeof(glq_e8p_parts)`. */
  uint32_t flags;                              /**< Must be 0. */
  const glq_view *indices[GLQ_E8P_MAX_STAGES]; /**< Per stage, shape and type as in #glq_e8p_stage. */
  const glq_view *sv;                          /**< F16 `[padded_in]`. */
  const glq_view *su;                          /**< F16 `[padded_out]`. */
  const glq_view *bias;                        /**< `[out_features]` of the type it was given in. */
} glq_e8p_parts;

/** @brief Initialiser for #glq_e8p_parts. */
#define GLQ_E8P_PARTS_INIT { sizeof(glq_e8p_parts), 0, { 0, 0, 0, 0 }, 0, 0, 0 }

/**
 * @brief Writes an E8P weight back in the checkpoint's layout, bit for bit as it was given.
 * @param[in] context The context of `tensor`.
 * @param[in] stream Ordered after the work queued on it; complete when the function returns.
 * @param[in] tensor An E8P tensor.
 * @param[in] parts Where to: compact views on the host or on the tensor's device. Vectors that the weight
 *            does not have (see #glq_e8p_info) are refused.
 * @capture Refused: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
 *          glq_tensor_create(): stages that go to the host take a device buffer on their way.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_ALIASING (two destinations overlap),
 *         #GLQ_E_NOT_FOUND (a vector or stage it does not have),
 *         #GLQ_E_UNSUPPORTED (not E8P), #GLQ_E_UNSUPPORTED_WHILE_CAPTURING, #GLQ_E_OUT_OF_HOST_MEMORY,
 *         #GLQ_E_OUT_OF_DEVICE_MEMORY, #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_e8p_export(glq_context *context, glq_stream stream, const glq_tensor *tensor,
                                  const glq_e8p_parts *parts) GLQ_NOEXCEPT;

/**
 * @brief Workspace that glq_fused_linear_e8p() needs for up to `max_tokens` rows.
 *
 * Does not decrease with `max_tokens`: what suffices for the largest batch suffices for all. The library
 * processes large batches in slices, so that the workspace stops growing at a token count that depends on
 * the weight.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] max_tokens At least 0.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_DEVICE_MISMATCH,
 *         #GLQ_E_UNSUPPORTED (not E8P).
 */
GLQ_API glq_status glq_fused_linear_e8p_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens,
                                                  const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief y = x W^T + bias with an E8P weight: sign, Hadamard, matrix product, Hadamard, sign, scale and bias in one call.
 *
 * A row of x with NaN or infinity (before or after its transform) gives a row of canonical quiet NaN
 * and does not touch other rows. With 0 tokens it succeeds, queues nothing, and the workspace may be NULL.
 * @param[in] context The context of `weight`.
 * @param[in] stream The work is queued on it; on a CPU context NULL, and the work is done on return.
 * @param[in] weight An E8P tensor.
 * @param[in] x F16, BF16 or F32 `[tokens, in_features]` (or `[in_features]`), unit column stride. 16-byte aligned rows are fastest.
 * @param[out] y F16, BF16 or F32 `[tokens, out_features]` (or `[out_features]`), unit column stride; rounded once
 *             from FP32. Must not overlap x or the workspace.
 * @param[in] workspace At least glq_fused_linear_e8p_workspace() bytes; NULL if that is 0.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing (cuBLASLt, where it is used, on the host), waits for nothing.
 * @determinism #GLQ_MATH_EXACT: the same bytes in every run, for a token alone or in any batch, on every device.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_ALIASING, #GLQ_E_WORKSPACE_TOO_SMALL,
 *         #GLQ_E_UNSUPPORTED (not E8P), #GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with #GLQ_CONTEXT_SYNC_EACH_CALL),
 *         #GLQ_E_CUBLAS, #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_fused_linear_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight,
                                        const glq_view *x, const glq_view *y, const glq_workspace *workspace,
                                        const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Workspace that glq_fused_linear_e8p_group() needs for up to `max_tokens` rows; grows as that of one weight does.
 * @param[in] context A live context.
 * @param[in] weights As for the call.
 * @param[in] count 1 to #GLQ_E8P_MAX_GROUP.
 * @param[in] max_tokens At least 0.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return As glq_fused_linear_e8p_workspace(), and #GLQ_E_SHAPE (weights of unequal `in_features`).
 */
GLQ_API glq_status glq_fused_linear_e8p_group_workspace(const glq_context *context, const glq_tensor *const *weights,
                                                        int32_t count, int64_t max_tokens, const glq_launch_opts *opts,
                                                        size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief Several linears of one input (query/key/value, gate/up), as glq_fused_linear_e8p() of each, byte for byte.
 *
 * (With #GLQ_MATH_FP16_EXPANDED the weights that share the transform take the FP16 product together or not at all, so that one of
 * them may be computed otherwise than alone.)
 * The input is transformed once for weights that share the transform (glq_e8p_info::input_transform_id);
 * widths and output sizes may differ. Two views overlap if they share an element. Column slices of one
 * row-strided buffer (equal row strides) do not overlap, so the outputs of a group may be column ranges of
 * one matrix.
 * @param[in] context The context of the weights.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weights `count` E8P tensors of this context with equal `in_features`. A NULL entry is skipped, and the
 *            entry of `y` is not looked at; at least one must be there.
 * @param[in] count 1 to #GLQ_E8P_MAX_GROUP.
 * @param[in] x As glq_fused_linear_e8p().
 * @param[out] y Array of `count` views, each as in glq_fused_linear_e8p(); no two may overlap.
 * @param[in] workspace At least glq_fused_linear_e8p_group_workspace() bytes.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism As glq_fused_linear_e8p().
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_fused_linear_e8p_group(glq_context *context, glq_stream stream, const glq_tensor *const *weights,
                                              int32_t count, const glq_view *x, const glq_view *y,
                                              const glq_workspace *workspace, const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Prints how glq_fused_linear_e8p() would run: kernels, tiles, splits, grid, shared memory, bytes moved, floor.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] tokens Rows of x.
 * @param[in] opts As for the call, or NULL.
 * @param[out] text Receives a NUL-terminated text of one `key: value` a line; may be NULL if `capacity` is 0.
 * @param[in] capacity Bytes of `text`.
 * @param[out] needed Bytes the text takes, with its NUL.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return #GLQ_OK, also for NULL with capacity 0, which asks for the size; #GLQ_E_BUFFER_TOO_SMALL if `capacity` is
 *         otherwise less than `needed` (which is set, and `text` is cut); as glq_fused_linear_e8p_workspace().
 */
GLQ_API glq_status glq_fused_linear_e8p_plan(const glq_context *context, const glq_tensor *weight, int64_t tokens,
                                             const glq_launch_opts *opts, char *text, size_t capacity,
                                             size_t *needed) GLQ_NOEXCEPT;

/** @} */

/**
 * @defgroup e8p_pieces Pieces of the E8P linear
 * @brief The fused linear in three steps, for runtimes that fuse their own; the same bytes as the whole.
 * @{
 */

/**
 * @brief Workspace that glq_rht_input() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] max_tokens At least 0.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return As glq_fused_linear_e8p_workspace().
 */
GLQ_API glq_status glq_rht_input_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens,
                                           const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief First step: v = B_in( SV * pad(x) ), in FP32.
 * @param[in] context The context of `weight`.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weight An E8P tensor; its SV and input blocks are used.
 * @param[in] x F16, BF16 or F32 `[tokens, in_features]`.
 * @param[out] v F32 `[tokens, padded_in]`; must not overlap x.
 * @param[in] workspace At least glq_rht_input_workspace() bytes; NULL if that is 0.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device and for every batch size.
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_rht_input(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *x,
                                 const glq_view *v, const glq_workspace *workspace,
                                 const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Workspace that glq_matmul_e8p() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] max_tokens At least 0.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return As glq_fused_linear_e8p_workspace().
 */
GLQ_API glq_status glq_matmul_e8p_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens,
                                            const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief Second step: z = weight_scale * sum_s sigma_s Q_s v, with v rounded to 16-bit integers per row first.
 * @param[in] context The context of `weight`.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weight An E8P tensor.
 * @param[in] v F32 `[tokens, padded_in]`.
 * @param[out] z F32 `[tokens, padded_out]`; must not overlap v.
 * @param[in] workspace At least glq_matmul_e8p_workspace() bytes.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism As glq_fused_linear_e8p().
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_matmul_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *v,
                                  const glq_view *z, const glq_workspace *workspace, const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Workspace that glq_rht_output() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] max_tokens At least 0.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return As glq_fused_linear_e8p_workspace().
 */
GLQ_API glq_status glq_rht_output_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens,
                                            const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief Third step: y = crop( SU * B_out(z) ) + bias, rounded once.
 * @param[in] context The context of `weight`.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weight An E8P tensor; its SU, output blocks and bias are used.
 * @param[in] z F32 `[tokens, padded_out]`.
 * @param[out] y F16, BF16 or F32 `[tokens, out_features]`; must not overlap z.
 * @param[in] workspace At least glq_rht_output_workspace() bytes; NULL if that is 0.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device and for every batch size.
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_rht_output(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *z,
                                  const glq_view *y, const glq_workspace *workspace,
                                  const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Decodes rows of the rotated matrix: weight_scale * sum_s sigma_s Q_s.
 *
 * Each element is w_1 * k_1, then a fused multiply-add per further stage in FP32 (w_s the integer of the
 * codebook, k_s as in ABI.md, "Numerics"), rounded once to the type of `w`.
 * @param[in] context The context of `weight`.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weight An E8P tensor.
 * @param[in] row_begin First row, 0 to `padded_out`.
 * @param[out] w F16, BF16 or F32 `[rows, padded_in]` with `row_begin + rows <= padded_out`.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device.
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_decode_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight, int64_t row_begin,
                                  const glq_view *w, const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Workspace that glq_dequantize() needs: one FP32 copy of the rotated matrix.
 * @param[in] context A live context.
 * @param[in] weight An E8P tensor of this context.
 * @param[in] opts As for the call, or NULL.
 * @param[out] bytes The size.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return As glq_fused_linear_e8p_workspace().
 */
GLQ_API glq_status glq_dequantize_workspace(const glq_context *context, const glq_tensor *weight,
                                            const glq_launch_opts *opts, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief The effective weight W, both rotations undone, for inspection and conversion (not needed to run).
 * @param[in] context The context of `weight`.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] weight An E8P tensor.
 * @param[out] w F16, BF16 or F32 `[out_features, in_features]`; FP32 arithmetic, rounded once.
 * @param[in] workspace At least glq_dequantize_workspace() bytes.
 * @param[in] opts NULL for defaults.
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device.
 * @threadsafe
 * @return As glq_fused_linear_e8p().
 */
GLQ_API glq_status glq_dequantize(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *w,
                                  const glq_workspace *workspace, const glq_launch_opts *opts) GLQ_NOEXCEPT;

/**
 * @brief Packs codes into the checkpoint's layout.
 * @param[in] context A live context; both views are on its device.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] codebook `GLQ_CODEBOOK_*`.
 * @param[in] codes Compact U16 (E8P) or U8 (E81B) `[rows, cols/8]`, rows a multiple of 16 (E8P), cols of 64.
 * @param[out] packed Compact I64 `[rows/16, cols/64, 8, 4]` (E8P) or `[rows, cols/64]` (E81B).
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT,
 *         #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_ALIASING,
 *         #GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with #GLQ_CONTEXT_SYNC_EACH_CALL), #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_e8p_pack(glq_context *context, glq_stream stream, int32_t codebook, const glq_view *codes,
                                const glq_view *packed) GLQ_NOEXCEPT;

/**
 * @brief Unpacks the checkpoint's layout into codes; the inverse of glq_e8p_pack().
 * @param[in] context A live context; both views are on its device.
 * @param[in] stream As glq_fused_linear_e8p().
 * @param[in] codebook `GLQ_CODEBOOK_*`.
 * @param[in] packed As in glq_e8p_pack().
 * @param[out] codes As in glq_e8p_pack().
 * @capture Allowed. Allocates nothing, waits for nothing.
 * @determinism The same bytes on every device.
 * @threadsafe
 * @return As glq_e8p_pack().
 */
GLQ_API glq_status glq_e8p_unpack(glq_context *context, glq_stream stream, int32_t codebook, const glq_view *packed,
                                  const glq_view *codes) GLQ_NOEXCEPT;

/**
 * @brief The codebook as data: four times the weights of every E8P code, or twice those of every E81B code.
 * @param[in] codebook `GLQ_CODEBOOK_*`.
 * @param[out] table Compact I8 on the host: `[65536, 8]` for E8P, `[256, 8]` for E81B.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT, #GLQ_E_DEVICE_MISMATCH.
 */
GLQ_API glq_status glq_e8p_codebook(int32_t codebook, const glq_view *table) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_E8P_H */
