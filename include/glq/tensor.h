/**
 * @file glq/tensor.h
 * @brief Views of the caller's memory, and the opaque tensor that holds weights or dense storage.
 */
#ifndef GLQ_TENSOR_H
#define GLQ_TENSOR_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup tensor Views and tensors
 * @brief Activations travel as #glq_view, a plain value; weights live in #glq_tensor, a handle.
 * @{
 */

/**
 * @brief A tensor: weights of any encoding, or dense storage that is owned, borrowed or imported. Opaque.
 *
 * Immutable after creation apart from the elements of dense storage, so any number of threads may
 * use it at once. It keeps its context alive.
 */
typedef struct glq_tensor glq_tensor;

/** @brief How the elements of a #glq_tensor are encoded. */
enum glq_encoding {
  GLQ_ENCODING_DENSE = 1, /**< Plain elements of a #glq_dtype. */
  GLQ_ENCODING_E8P = 2    /**< E8P codes with residual stages; see e8p.h. */
};

/**
 * @brief Fills a view of a compact row-major array.
 * @param[out] view The view.
 * @param[in] data First element; not examined if an extent is 0. The view may be written through: set
 *            #GLQ_VIEW_READ_ONLY in its flags if the memory must not be.
 * @param[in] dtype `GLQ_DTYPE_*`.
 * @param[in] device Where the memory is; NULL: the CPU.
 * @param[in] ndim 0 to #GLQ_MAX_NDIM.
 * @param[in] shape `ndim` extents; may be NULL if `ndim` is 0.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_SHAPE, #GLQ_E_DTYPE.
 */
GLQ_API glq_status glq_view_init(glq_view *view, const void *data, glq_dtype dtype, const glq_device *device,
                                 int32_t ndim, const int64_t *shape) GLQ_NOEXCEPT;

/**
 * @brief Checks that a view is well formed: rank, extents, strides, type, alignment to the element, reserved fields.
 *
 * Less aligned host memory, refused here, is accepted where #glq_view says so.
 * @param[in] view The view; its memory is not touched.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT.
 */
GLQ_API glq_status glq_view_check(const glq_view *view) GLQ_NOEXCEPT;

/**
 * @brief Copies elements between two views of one shape and type, on any pair of devices of this context.
 *
 * Whatever the kind of host memory, it must stay valid, in place and (as a destination) unread until
 * glq_context_synchronize() on that stream or an equivalent wait. On a CPU context the copy is done on return.
 * @param[in] context A live context.
 * @param[in] stream The copy is ordered on it; NULL on a CPU context.
 * @param[in] source Any strides; host memory of any alignment. Pageable host memory makes CUDA wait for it.
 * @param[out] destination Any strides under which no two elements share memory; host memory of any alignment; not
 *             read-only; must not overlap `source`.
 * @capture Allowed between device views. Refused between host and device: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE, #GLQ_E_LAYOUT,
 *         #GLQ_E_ALIGNMENT, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_ALIASING, #GLQ_E_UNSUPPORTED_WHILE_CAPTURING, #GLQ_E_CUDA,
 *         #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_view_copy(glq_context *context, glq_stream stream, const glq_view *source,
                                 const glq_view *destination) GLQ_NOEXCEPT;

/**
 * @brief Makes a dense tensor with memory from the context's allocator. The elements are not initialised.
 * @param[in] context A live context; the memory is on its device.
 * @param[in] spec `dtype`, `ndim` and `shape` are used; `data`, `strides` and `device` are ignored.
 * @param[out] tensor Set to NULL on failure.
 * @capture Not checked, since there is no stream. It asks the allocator for device memory: cudaMalloc then fails (but in
 *          CUDA's relaxed mode), which is #GLQ_E_OUT_OF_DEVICE_MEMORY, and may invalidate the capture.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_ALIGNMENT (the allocator's memory is less aligned than it was asked for), #GLQ_E_OUT_OF_HOST_MEMORY,
 *         #GLQ_E_OUT_OF_DEVICE_MEMORY.
 */
GLQ_API glq_status glq_tensor_create(glq_context *context, const glq_view *spec, glq_tensor **tensor) GLQ_NOEXCEPT;

/**
 * @brief Makes a dense tensor that owns a compact copy of `source`, from any device of this context.
 * @param[in] context A live context.
 * @param[in] stream Ordered after the work queued on it. The copy is complete when the function returns.
 * @param[in] source What to copy; host memory of any alignment.
 * @param[out] tensor Set to NULL on failure.
 * @capture Refused: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
 *          glq_tensor_create().
 * @threadsafe
 * @return As glq_tensor_create() and glq_view_copy().
 */
GLQ_API glq_status glq_tensor_create_copy(glq_context *context, glq_stream stream, const glq_view *source,
                                          glq_tensor **tensor) GLQ_NOEXCEPT;

/**
 * @brief Makes a dense tensor over memory that the caller keeps.
 * @param[in] context A live context; `view` must be on its device.
 * @param[in] view The memory; it stays valid until the last reference, DLPack exports included, is gone and its
 *            queued work is done (with `release`: until that is called).
 * @param[in] release Called when the tensor goes; may be NULL. Not called if this function fails.
 * @param[in] user Passed to `release`.
 * @param[out] tensor Set to NULL on failure.
 * @capture Not checked, since there is no stream. It allocates no device memory, and releases nothing while a stream of
 *          the calling thread captures.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_OUT_OF_HOST_MEMORY,
 *         and those of glq_view_check().
 */
GLQ_API glq_status glq_tensor_borrow(glq_context *context, const glq_view *view, glq_release_fn release, void *user,
                                     glq_tensor **tensor) GLQ_NOEXCEPT;

/** @brief DLPack's struct of that name (dlpack.h, version 1.x), which this header does not define. */
struct DLManagedTensorVersioned;

/**
 * @brief Takes over an array from another framework.
 *
 * No stream is involved: the caller orders the producer's work before the first use.
 * @param[in] context A live context; the array must be on its device.
 * @param[in] managed Owned by the tensor if the call succeeds, untouched if it fails. `version.major` must be 1.
 * @param[out] tensor Set to NULL on failure.
 * @capture Not checked, since there is no stream. It allocates no device memory, and releases nothing while a stream of
 *          the calling thread captures.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_DEVICE_MISMATCH, #GLQ_E_SHAPE, #GLQ_E_DTYPE,
 *         #GLQ_E_LAYOUT, #GLQ_E_ALIGNMENT, #GLQ_E_UNSUPPORTED (DLPack version), #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_tensor_import_dlpack(glq_context *context, struct DLManagedTensorVersioned *managed,
                                            glq_tensor **tensor) GLQ_NOEXCEPT;

/**
 * @brief Lends a dense tensor to another framework.
 *
 * No stream is involved: the caller orders the consumer's work and the work queued here.
 * @param[in] tensor Dense. The export keeps a reference to it.
 * @param[out] managed Call its `deleter` when done. Set to NULL on failure.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_UNSUPPORTED (not dense), #GLQ_E_OUT_OF_HOST_MEMORY.
 */
GLQ_API glq_status glq_tensor_export_dlpack(glq_tensor *tensor, struct DLManagedTensorVersioned **managed) GLQ_NOEXCEPT;

/** @brief What a tensor is. Grows by appending. */
typedef struct glq_tensor_info {
  uint32_t struct_size;        /**< `sizeof(glq_tensor_info)`. */
  int32_t encoding;            /**< `GLQ_ENCODING_*`. */
  glq_dtype dtype;             /**< Dense: element type. E8P: 0. */
  int32_t ndim;                /**< Rank of `shape`. */
  int64_t shape[GLQ_MAX_NDIM]; /**< Dense: extents. E8P: out_features, in_features. */
  glq_device device;           /**< Where it is. */
  int64_t host_bytes;          /**< Host memory this handle owns. */
  int64_t device_bytes;        /**< Device memory this handle owns. */
} glq_tensor_info;

/** @brief Initialiser for #glq_tensor_info. */
#define GLQ_TENSOR_INFO_INIT { sizeof(glq_tensor_info), 0, 0, 0, { 0, 0, 0, 0 }, { 0, 0 }, 0, 0 }

/**
 * @brief Tells what a tensor is.
 * @param[in] tensor A live tensor.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_tensor_get_info(const glq_tensor *tensor, glq_tensor_info *info) GLQ_NOEXCEPT;

/**
 * @brief The elements of a dense tensor as a view, valid while the tensor lives.
 * @param[in] tensor Dense.
 * @param[out] view The view; carries #GLQ_VIEW_READ_ONLY if the memory may not be written.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_UNSUPPORTED (not dense).
 */
GLQ_API glq_status glq_tensor_view(const glq_tensor *tensor, glq_view *view) GLQ_NOEXCEPT;

/**
 * @brief Adds a reference; each needs one glq_tensor_destroy().
 * @param[in] tensor A live tensor.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE.
 */
GLQ_API glq_status glq_tensor_retain(glq_tensor *tensor) GLQ_NOEXCEPT;

/**
 * @brief Gives up one reference. With the last one the memory is freed or released once nothing uses it any more.
 *
 * Does not wait, unless it ends the context (see glq_context_destroy()): the memory goes, and a release
 * function or DLPack deleter is called, only after all work queued on the device before has finished. The
 * library sees to that where it releases, at an object creation or glq_context_synchronize(). Not covered
 * are later replays of a graph captured with the tensor: keep it alive until the graph is destroyed. On a
 * CPU context everything is released at once.
 * @param[in] tensor May be NULL.
 * @capture Allowed, unless it ends the context: see glq_context_destroy().
 * @threadsafe
 */
GLQ_API void glq_tensor_destroy(glq_tensor *tensor) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_TENSOR_H */
