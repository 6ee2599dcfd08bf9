/**
 * @file glq/version.h
 * @brief What library is loaded, how it was built, and whether CUDA is usable.
 */
#ifndef GLQ_VERSION_H
#define GLQ_VERSION_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup version Version, build and errors
 * @brief Identification of the loaded library and of the last failure.
 * @{
 */

/**
 * @brief Version of the loaded library, comparable with #GLQ_VERSION.
 * @return major * 1000000 + minor * 1000 + patch.
 */
GLQ_API uint32_t glq_version(void) GLQ_NOEXCEPT;

/**
 * @brief Version of the binary interface of the loaded library; compare with #GLQ_ABI_VERSION.
 * @return The ABI version.
 */
GLQ_API uint32_t glq_abi_version(void) GLQ_NOEXCEPT;

/**
 * @brief One line per fact: version, compilers, CUDA toolkit, GPU architectures, SIMD targets, options.
 * @return A static UTF-8 string, never NULL.
 */
GLQ_API const char *glq_build_info(void) GLQ_NOEXCEPT;

/** @brief Whether CUDA is usable, and why not. Grows by appending. */
typedef struct glq_cuda_info {
  uint32_t struct_size;      /**< `sizeof(glq_cuda_info)`. */
  glq_status status;         /**< #GLQ_OK if at least one device can be used, else the reason. */
  int32_t device_count;      /**< Devices the driver reports; 0 if it cannot be asked. */
  int32_t driver_version;    /**< As `cudaDriverGetVersion`: 13000 is 13.0; 0 without a driver. */
  int32_t runtime_version;   /**< CUDA runtime linked into this library; 0 in a CPU-only build. */
  uint32_t reserved;         /**< 0. */
  const char *message;       /**< One sentence, valid until this thread's next glq_get_cuda_info(). Never NULL. */
  const char *architectures; /**< GPU code in this library, such as `sm_80 sm_90a ptx_120`. Never NULL. */
} glq_cuda_info;

/** @brief Initialiser for #glq_cuda_info. */
#define GLQ_CUDA_INFO_INIT { sizeof(glq_cuda_info), 0, 0, 0, 0, 0, 0, 0 }

/**
 * @brief Says whether CUDA is usable and, if not, why: no driver, driver too old, no device, CPU-only build.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @capture Not checked: it asks the driver.
 * @threadsafe
 * @return #GLQ_OK if `info` was filled, whatever it says; #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_get_cuda_info(glq_cuda_info *info) GLQ_NOEXCEPT;

/**
 * @brief Name of a status, such as `"GLQ_E_SHAPE"`.
 * @param[in] status Any value.
 * @return A static string, never NULL; `"GLQ_E_UNKNOWN"` for a value this library does not know.
 */
GLQ_API const char *glq_status_name(glq_status status) GLQ_NOEXCEPT;

/**
 * @brief One sentence that explains a status.
 * @param[in] status Any value.
 * @return A static string, never NULL.
 */
GLQ_API const char *glq_status_string(glq_status status) GLQ_NOEXCEPT;

/**
 * @brief Detail of the last failure on this thread.
 *
 * Only a failing call changes it; a successful call leaves it alone, so ask only after a failure.
 * @param[in,out] info Set `struct_size`; the rest is filled. Without a failure, status is #GLQ_OK.
 * @return #GLQ_OK; #GLQ_E_INVALID_ARGUMENT if `info` is NULL, #GLQ_E_STRUCT_SIZE. These two do not
 *         change the recorded detail.
 */
GLQ_API glq_status glq_last_error(glq_error_info *info) GLQ_NOEXCEPT;

/** @brief Forgets the recorded failure of this thread. */
GLQ_API void glq_clear_error(void) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_VERSION_H */
