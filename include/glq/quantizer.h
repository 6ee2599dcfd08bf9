/**
 * @file glq/quantizer.h
 * @brief Turns a dense weight and calibration activations into an E8P weight.
 *
 * LDLQ with a block LDL decomposition of the Hessian and nearest-codeword search in E8P and E81B
 * (Tseng et al., QuIP#, ICML 2024; Chee et al., QuIP, NeurIPS 2023). Runs on the host, on the
 * context's threads; the bytes of the result do not depend on the number of threads.
 */
#ifndef GLQ_QUANTIZER_H
#define GLQ_QUANTIZER_H

#include "e8p.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup quantizer Quantizer
 * @brief Hessian accumulation, LDLQ, progress, cancellation, save and resume, report.
 * @{
 */

/**
 * @brief The quantizer of one linear layer, or of several that share the input. Opaque.
 *
 * One call at a time, but not bound to a thread: it may move between threads. Inputs are host memory of
 * any alignment.
 */
typedef struct glq_quantizer glq_quantizer;

/** @brief Bits of glq_quantizer_desc::flags. */
enum glq_quantizer_flag {
  GLQ_QUANTIZER_POW2 = 1,    /**< Pad both dimensions to powers of two, the layout of old checkpoints. At least 16 rows
                                  and 64 columns have to come of it: out_features from 9, in_features from 33. */
  GLQ_QUANTIZER_HAS_SEED = 2 /**< Use `seed`; otherwise 42, the seed of existing checkpoints. */
};

/** @brief How scales are chosen; glq_quantizer_desc::scale_mode. */
enum glq_quantizer_scale {
  GLQ_QUANTIZER_SCALE_SPEC = 0,  /**< The constants of existing checkpoints: 1.03, 3.45, 2.04. */
  GLQ_QUANTIZER_SCALE_SEARCH = 1 /**< Choose the scales that lower the proxy loss; better at 4 bits and more. */
};

/** @brief What to quantize and how. Grows by appending. */
typedef struct glq_quantizer_desc {
  uint32_t struct_size;  /**< `sizeof(glq_quantizer_desc)`. */
  uint32_t flags;        /**< Bits of `GLQ_QUANTIZER_*`. */
  int64_t in_features;   /**< Columns of W, 1 to 1048576. Required. */
  int64_t out_features;  /**< Rows of W, 1 to 1048576. Required. */
  int32_t bits;          /**< 2 to 8. Required. */
  int32_t refine_passes; /**< Coordinate-descent passes after LDLQ, 0 to 100. */
  int32_t scale_mode;    /**< `GLQ_QUANTIZER_SCALE_*`. */
  uint32_t seed;         /**< Seed of the sign vectors (MT19937), with #GLQ_QUANTIZER_HAS_SEED. */
  double damping;        /**< Share of the mean diagonal added to the Hessian; 0: 0.01; negative: none. -1e6 to 1e6. */
  double damping_rht;    /**< The same after its rotation. */
  double input_scale;    /**< RMS that the rotated weight is scaled to, 1e-6 to 1e6; 0: by `scale_mode`. */
  double rho_e8p;        /**< Residual scale before an E8P stage, 1e-6 to 1e6; 0: by `scale_mode`. */
  double rho_e81b;       /**< Residual scale before an E81B stage, 1e-6 to 1e6; 0: by `scale_mode`. */
} glq_quantizer_desc;

/** @brief Initialiser for #glq_quantizer_desc. */
#define GLQ_QUANTIZER_DESC_INIT { sizeof(glq_quantizer_desc), 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/**
 * @brief Fills a descriptor with defaults; for languages that cannot use #GLQ_QUANTIZER_DESC_INIT.
 * @param[out] desc The descriptor.
 * @param[in] struct_size `sizeof(glq_quantizer_desc)` as the caller knows it.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_quantizer_desc_init(glq_quantizer_desc *desc, uint32_t struct_size) GLQ_NOEXCEPT;

/**
 * @brief Peak host memory of a quantizer of these dimensions, from creation to the end of a run.
 * @param[in] desc The layer.
 * @param[out] bytes The estimate, an upper bound.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE, #GLQ_E_SHAPE (see #GLQ_QUANTIZER_POW2),
 *         #GLQ_E_NOT_FINITE.
 */
GLQ_API glq_status glq_quantizer_memory(const glq_quantizer_desc *desc, size_t *bytes) GLQ_NOEXCEPT;

/**
 * @brief Makes a quantizer with an empty Hessian.
 * @param[in] context Its threads are used, and results are made on its device.
 * @param[in] desc The layer.
 * @param[out] quantizer Set to NULL on failure.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE,
 *         #GLQ_E_SHAPE (see #GLQ_QUANTIZER_POW2), #GLQ_E_NOT_FINITE, #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_quantizer_create(glq_context *context, const glq_quantizer_desc *desc,
                                        glq_quantizer **quantizer) GLQ_NOEXCEPT;

/**
 * @brief Adds x^T x of a batch of activations to the Hessian. The report of the last run is lost.
 * @param[in] quantizer A live quantizer that keeps no run (see glq_quantizer_run()).
 * @param[in] x F16, BF16, F32 or F64 `[tokens, in_features]` on the host, finite. The largest magnitude of
 *            each token, squared and summed over all tokens so far, may reach 1e100, which only F64 can exceed.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT,
 *         #GLQ_E_DEVICE_MISMATCH, #GLQ_E_NOT_FINITE (or too large; the Hessian is unchanged),
 *         #GLQ_E_WRONG_STATE (a run is kept), #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_quantizer_add_batch(glq_quantizer *quantizer, const glq_view *x) GLQ_NOEXCEPT;

/**
 * @brief Replaces the Hessian. The report of the last run is lost.
 * @param[in] quantizer A live quantizer that keeps no run (see glq_quantizer_run()).
 * @param[in] hessian F32 or F64 `[in_features, in_features]` on the host: symmetric, finite; the mean of x^T x per token.
 *            No element times `samples` (unless that is 0) may be beyond 1e100 in magnitude.
 * @param[in] samples Tokens it stands for when batches are added to it; at least 0, finite. With 0 they replace it.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT,
 *         #GLQ_E_DEVICE_MISMATCH, #GLQ_E_NOT_FINITE (or too large; the Hessian is unchanged),
 *         #GLQ_E_WRONG_STATE (a run is kept), #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_quantizer_set_hessian(glq_quantizer *quantizer, const glq_view *hessian, double samples) GLQ_NOEXCEPT;

/**
 * @brief Copies the Hessian out, to merge shards or to keep it.
 * @param[in] quantizer A live quantizer.
 * @param[out] hessian F32 or F64 `[in_features, in_features]` on the host: the mean of x^T x per token.
 * @param[out] samples Tokens it stands for; may be NULL.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT,
 *         #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH.
 */
GLQ_API glq_status glq_quantizer_get_hessian(const glq_quantizer *quantizer, const glq_view *hessian,
                                             double *samples) GLQ_NOEXCEPT;

/**
 * @brief Told about the progress of a run, on the thread that called glq_quantizer_run().
 * @param user As given to glq_quantizer_run().
 * @param done Work done so far.
 * @param total All work; `done == total` in the last call, just before the weight is made.
 * @param phase Static name of what comes next: `"hessian"`, `"weight"`, `"scales"`, `"ldlq"` or `"finish"`.
 * @return 0 to go on, anything else to stop with #GLQ_E_CANCELLED, in the last call, too.
 */
typedef int32_t (*glq_progress_fn)(void *user, int64_t done, int64_t total, const char *phase);

/**
 * @brief Quantizes a weight. Without a Hessian the identity is used.
 *
 * A run that is cancelled or fails from `"ldlq"` on is kept, also where it is only the memory of the finished weight
 * that cannot be had. Call again with the same arguments (also after save and load) to go on, with the same bytes as if
 * it had never stopped; or forget it with glq_quantizer_abandon(). Cancelled or failed before `"ldlq"`, a new run
 * leaves nothing behind: the next may be of another weight or Hessian. One that goes on stays kept whenever it is
 * cancelled. After success the quantizer can be run again on another weight with the same Hessian.
 * @param[in] quantizer A live quantizer.
 * @param[in] stream Used to put the result on a CUDA context's device; complete on return.
 * @param[in] weight F16, BF16, F32 or F64 `[out_features, in_features]` on the host, finite.
 * @param[in] bias F16, BF16 or F32 `[out_features]` on the host, stored with the result; may be NULL.
 * @param[in] progress May be NULL.
 * @param[in] user Passed to `progress`.
 * @param[out] tensor The E8P weight; set to NULL on failure.
 * @capture Refused: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING.
 * @return #GLQ_OK, #GLQ_E_CANCELLED, #GLQ_E_NUMERIC, #GLQ_E_NOT_FINITE, #GLQ_E_WRONG_STATE (the run that is kept is
 *         of another weight), #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_UNSUPPORTED_WHILE_CAPTURING,
 *         #GLQ_E_OUT_OF_HOST_MEMORY, #GLQ_E_OUT_OF_DEVICE_MEMORY, #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_quantizer_run(glq_quantizer *quantizer, glq_stream stream, const glq_view *weight, const glq_view *bias,
                                     glq_progress_fn progress, void *user, glq_tensor **tensor) GLQ_NOEXCEPT;

/**
 * @brief Forgets a run that is kept (see glq_quantizer_run()), so that the next may be of another weight. The Hessian
 *        stays.
 * @param[in] quantizer A live quantizer.
 * @return #GLQ_OK, also if there is no such run; #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE.
 */
GLQ_API glq_status glq_quantizer_abandon(glq_quantizer *quantizer) GLQ_NOEXCEPT;

/**
 * @brief Writes the whole state (options, Hessian, the progress of a run that is kept) into a buffer.
 * @param[in] quantizer A live quantizer.
 * @param[out] buffer May be NULL if `capacity` is 0.
 * @param[in] capacity Bytes of `buffer`.
 * @param[out] needed Bytes the state takes.
 * @return #GLQ_OK, also for NULL with capacity 0, which asks for the size; #GLQ_E_BUFFER_TOO_SMALL if `capacity` is
 *         otherwise less than `needed` (which is set; nothing is written);
 *         #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_quantizer_save(const glq_quantizer *quantizer, void *buffer, size_t capacity, size_t *needed) GLQ_NOEXCEPT;

/**
 * @brief Makes a quantizer from a saved state.
 * @param[in] context As glq_quantizer_create().
 * @param[in] buffer What glq_quantizer_save() wrote, any alignment.
 * @param[in] bytes Its size.
 * @param[out] quantizer Set to NULL on failure.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_BAD_FILE (not a state, damaged, or of another format
 *         version), #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_quantizer_load(glq_context *context, const void *buffer, size_t bytes,
                                      glq_quantizer **quantizer) GLQ_NOEXCEPT;

/**
 * @brief Tells what a quantizer was made with, in particular one from glq_quantizer_load().
 * @param[in] quantizer A live quantizer.
 * @param[in,out] desc Set `struct_size`; the rest is filled.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_quantizer_get_desc(const glq_quantizer *quantizer, glq_quantizer_desc *desc) GLQ_NOEXCEPT;

/** @brief How good the last finished run was. Grows by appending. */
typedef struct glq_quantizer_report {
  uint32_t struct_size;                     /**< `sizeof(glq_quantizer_report)`. */
  int32_t num_stages;                       /**< 1 to 4. */
  double proxy_loss;                        /**< Mean over padded rows of d H d^T, d the error in the rotated space, H undamped. */
  double proxy_loss_relative;               /**< The same divided by the mean of w H w^T. */
  double sqnr_db;                           /**< 10 log10(|W|^2 / |W - What|^2) in the original space. */
  double weight_scale;                      /**< `Wscale`. */
  double cum_inv_scale[GLQ_E8P_MAX_STAGES]; /**< sigma of each stage; 0 from `num_stages` on. */
  double seconds;                           /**< Time spent in glq_quantizer_run(), the parts of a kept run included. */
  double samples;                           /**< Tokens behind the Hessian. */
  int32_t damping_retries;                  /**< Extra damping steps the factorisation needed. */
  uint32_t reserved;                        /**< 0. */
} glq_quantizer_report;

/** @brief Initialiser for #glq_quantizer_report. */
#define GLQ_QUANTIZER_REPORT_INIT \
  { sizeof(glq_quantizer_report), 0, 0.0, 0.0, 0.0, 0.0, { 0.0, 0.0, 0.0, 0.0 }, 0.0, 0.0, 0, 0 }

/**
 * @brief Tells how good the last finished run was.
 * @param[in] quantizer A live quantizer.
 * @param[in,out] report Set `struct_size`; the rest is filled.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_WRONG_STATE (no run has
 *         finished since the quantizer was made or loaded, its Hessian was changed, or another run was begun).
 */
GLQ_API glq_status glq_quantizer_get_report(const glq_quantizer *quantizer, glq_quantizer_report *report) GLQ_NOEXCEPT;

/**
 * @brief Destroys a quantizer, from any thread, once no other call on it is running. Tensors it made live on.
 * @param[in] quantizer May be NULL.
 */
GLQ_API void glq_quantizer_destroy(glq_quantizer *quantizer) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_QUANTIZER_H */
