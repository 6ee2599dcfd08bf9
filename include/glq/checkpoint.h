/**
 * @file glq/checkpoint.h
 * @brief Reads safetensors checkpoints, memory-mapped, and finds the E8P layers in them.
 */
#ifndef GLQ_CHECKPOINT_H
#define GLQ_CHECKPOINT_H

#include "e8p.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup checkpoint Checkpoints
 * @brief From a file to descriptors and views, without a copy.
 *
 * The files are mapped: they must not be changed or truncated while open. On POSIX that is a fault
 * (SIGBUS), not an error code.
 *
 * Writing checkpoints is the caller's job, with glq_e8p_export(); the Python package has a writer.
 * @{
 */

/** @brief An open checkpoint. Opaque; immutable, so any number of threads may use it. Views into it live as long as it does. */
typedef struct glq_checkpoint glq_checkpoint;

/**
 * @brief Opens a checkpoint and checks it: header, offsets, types, and that the tensors of each E8P layer fit together.
 * @param[in] path A `.safetensors` file, a `.safetensors.index.json` file, or a directory that holds `model.safetensors`
 *            or `model.safetensors.index.json`. UTF-8.
 * @param[out] checkpoint Set to NULL on failure.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_IO, #GLQ_E_BAD_FILE (also if a name is invalid
 *         UTF-8 or holds a NUL), #GLQ_E_OUT_OF_HOST_MEMORY. A data type that this library does not know is no error
 *         here: glq_checkpoint_tensor() says #GLQ_E_DTYPE when it is asked for.
 */
GLQ_API glq_status glq_checkpoint_open(const char *path, glq_checkpoint **checkpoint) GLQ_NOEXCEPT;

/**
 * @brief Number of tensors of any kind, in the order of their names.
 * @param[in] checkpoint An open checkpoint.
 * @param[out] count The number.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE.
 */
GLQ_API glq_status glq_checkpoint_tensor_count(const glq_checkpoint *checkpoint, int64_t *count) GLQ_NOEXCEPT;

/**
 * @brief Name of a tensor.
 * @param[in] checkpoint An open checkpoint.
 * @param[in] index 0 to count - 1.
 * @param[out] name Lives as long as the checkpoint.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_NOT_FOUND.
 */
GLQ_API glq_status glq_checkpoint_tensor_name(const glq_checkpoint *checkpoint, int64_t index, const char **name) GLQ_NOEXCEPT;

/**
 * @brief A tensor of the file as a read-only view. Its memory may be less aligned than its type.
 * @param[in] checkpoint An open checkpoint.
 * @param[in] name Full name.
 * @param[out] view The view.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_NOT_FOUND, #GLQ_E_DTYPE (a type without a #glq_dtype),
 *         #GLQ_E_SHAPE (rank above #GLQ_MAX_NDIM).
 */
GLQ_API glq_status glq_checkpoint_tensor(const glq_checkpoint *checkpoint, const char *name, glq_view *view) GLQ_NOEXCEPT;

/**
 * @brief Number of E8P layers, in the order of their names.
 * @param[in] checkpoint An open checkpoint.
 * @param[out] count The number.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE.
 */
GLQ_API glq_status glq_checkpoint_layer_count(const glq_checkpoint *checkpoint, int64_t *count) GLQ_NOEXCEPT;

/**
 * @brief Name of an E8P layer: the module path, such as `model.layers.0.self_attn.q_proj`.
 * @param[in] checkpoint An open checkpoint.
 * @param[in] index 0 to count - 1.
 * @param[out] name Lives as long as the checkpoint.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_NOT_FOUND.
 */
GLQ_API glq_status glq_checkpoint_layer_name(const glq_checkpoint *checkpoint, int64_t index, const char **name) GLQ_NOEXCEPT;

/**
 * @brief Describes an E8P layer, ready for glq_tensor_create_e8p().
 *
 * Checkpoints do not store the unpadded sizes. They are taken from the file's metadata where this
 * library's tools wrote it, out_features else from the bias, and else the padded sizes stand; a
 * caller that knows better sets them in `desc` before use.
 * @param[in] checkpoint An open checkpoint; the pointers in `desc` live as long as it does.
 * @param[in] name Module path.
 * @param[in,out] desc Set `struct_size`; the rest is filled.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE, #GLQ_E_NOT_FOUND.
 */
GLQ_API glq_status glq_checkpoint_layer(const glq_checkpoint *checkpoint, const char *name, glq_e8p_desc *desc) GLQ_NOEXCEPT;

/**
 * @brief Closes a checkpoint, from any thread, once no other call on it is running. Weights that were made from it live on.
 * @param[in] checkpoint May be NULL.
 */
GLQ_API void glq_checkpoint_destroy(glq_checkpoint *checkpoint) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_CHECKPOINT_H */
