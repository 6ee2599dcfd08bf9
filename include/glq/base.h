/**
 * @file glq/base.h
 * @brief Types shared by every header: status codes, data types, devices, views, workspaces, errors.
 *
 * The header set is C99, includes no CUDA header and compiles as C++17. All integers have a fixed
 * width. No struct is passed or returned by value, and no struct has implicit padding. 64-bit
 * little-endian targets only; the platform's C calling convention.
 */
#ifndef GLQ_BASE_H
#define GLQ_BASE_H

#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != 0xFFFFFFFFFFFFFFFFu
#  error "libglq supports 64-bit targets only"
#endif

#if defined(GLQ_STATIC)
#  define GLQ_API
#elif defined(_WIN32)
#  if defined(GLQ_BUILDING_LIBRARY)
#    define GLQ_API __declspec(dllexport)
#  else
#    define GLQ_API __declspec(dllimport)
#  endif
#else
/** @brief Marks every exported function. */
#  define GLQ_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
/** @brief No exported function lets an exception through. */
#  define GLQ_NOEXCEPT noexcept
extern "C" {
#else
/** @brief No exported function lets an exception through. */
#  define GLQ_NOEXCEPT
#endif

/**
 * @defgroup base Base types
 * @brief Status codes, data types, devices, streams, views, workspaces and error details.
 *
 * **Structs that grow.** A struct that begins with `struct_size` may get further fields at its end. The
 * caller sets `struct_size` to the size it was compiled with; the library never changes it.
 *  - Smaller than this library's struct, but at least the size of its first release: accepted. Missing
 *    fields of an input are defaults; missing fields of an output are not written.
 *  - Larger: in an input the bytes that this library does not know must be 0, else #GLQ_E_STRUCT_SIZE;
 *    in an output they are set to 0.
 *
 * All bytes 0 after `struct_size` is the default of every input struct, except for fields marked as required.
 *
 * **Text** is UTF-8 and NUL-terminated, in both directions. What does not fit an array of fixed size is
 * cut at a character boundary.
 *
 * **Callbacks** (allocator, logger, threading, progress, release functions and the deleters of imported
 * DLPack arrays) are called with no lock of the library held. A #glq_release_fn, a DLPack deleter and a
 * #glq_free_fn may call every `_destroy` and `_retain` function; apart from that a callback must not call
 * into the library. It must not throw, unwind or `longjmp` through it.
 *
 * **Device errors.** A function that touches a CUDA device may return, besides the codes it lists, #GLQ_E_CUDA,
 * #GLQ_E_DEVICE_LOST, #GLQ_E_UNSUPPORTED_ARCH and #GLQ_E_OUT_OF_DEVICE_MEMORY; the cause may be work that was queued
 * before. Functions that touch a device are those with a stream, those that make objects on a CUDA context, and
 * glq_device_get_info().
 *
 * **Other errors.** A function that allocates (ABI.md, "Function table") may return #GLQ_E_OUT_OF_HOST_MEMORY, and
 * every function that returns a status #GLQ_E_INTERNAL, also where it does not list them.
 *
 * **Graph capture.** "Refused" means that the call returns #GLQ_E_UNSUPPORTED_WHILE_CAPTURING if its stream captures a
 * graph, and that the capture goes on. "Not checked" means that the call does not look for captures: CUDA may make it
 * fail and may invalidate a capture of the calling thread, and one of another thread if that was begun in CUDA's global
 * mode. A wait for the whole device invalidates all captures on it, of any thread and mode: when the library waits
 * so is said in context.h, "Release of memory". Functions whose comment has no such paragraph touch no device and
 * may be called at any time; a `_destroy` that ends a context is an exception, see glq_context_destroy(). On a CPU
 * context capture does not matter.
 *
 * **Cancellation.** A thread must not be cancelled (`pthread_cancel`) while it is inside a function of the library: the
 * library is C++, which lets nothing unwind through its functions, so that the process would end.
 *
 * **Unloading.** The library cannot be unloaded: `dlclose` leaves it in place.
 *
 * Functions and structs are there since version 0.1 unless they say `@since`.
 * @{
 */

/** @brief Version of this header: major. */
#define GLQ_VERSION_MAJOR 0
/** @brief Version of this header: minor. */
#define GLQ_VERSION_MINOR 1
/** @brief Version of this header: patch. */
#define GLQ_VERSION_PATCH 0
/** @brief Version of this header as one number: major * 1000000 + minor * 1000 + patch. */
#define GLQ_VERSION 1000
/**
 * @brief Version of the binary interface.
 *
 * A binding compares this with glq_abi_version() once, when it loads the library. Changes only when
 * something existing breaks; must be equal. `glq_version() >= GLQ_VERSION` then means that every function
 * and struct of this header is present.
 */
#define GLQ_ABI_VERSION 0

/**
 * @brief Result of a call: #GLQ_OK (0) or one of the positive `GLQ_E_*` codes.
 *
 * Codes are grouped: 1xx the caller's arguments, 2xx not supported, 3xx resources, 4xx device and
 * driver, 5xx internal or numerical. Numbers are never reused. New codes may be added, so a
 * consumer treats an unknown code by its group.
 */
typedef int32_t glq_status;

/** @brief Values of #glq_status. */
enum glq_status_code {
  GLQ_OK = 0,                              /**< Success. */
  GLQ_E_INVALID_ARGUMENT = 100,            /**< Null pointer, unknown constant or value out of range. */
  GLQ_E_SHAPE = 101,                       /**< Rank or extent does not fit. */
  GLQ_E_DTYPE = 102,                       /**< Data type is not accepted here. */
  GLQ_E_LAYOUT = 103,                      /**< Strides are not accepted here. */
  GLQ_E_ALIGNMENT = 104,                   /**< Pointer is not aligned to its element (or the stated) size. */
  GLQ_E_DEVICE_MISMATCH = 105,             /**< Memory or handle belongs to another device. */
  GLQ_E_STRUCT_SIZE = 106,                 /**< `struct_size` is too small, or an unknown field is set. */
  GLQ_E_ALIASING = 107,                    /**< An output overlaps an input, an output or the workspace. Two views overlap
                                                if they share an element. Column slices of one row-strided buffer (equal
                                                row strides) do not overlap, so the outputs of a group may be column
                                                ranges of one matrix. */
  GLQ_E_BAD_HANDLE = 108,                  /**< Not a live handle of the expected kind. Detection is best effort; using a
                                                destroyed handle is undefined. */
  GLQ_E_NOT_FINITE = 109,                  /**< A scale or matrix holds NaN or infinity. */
  GLQ_E_BAD_FILE = 110,                    /**< A file or saved state is truncated, malformed or inconsistent. */
  GLQ_E_NOT_FOUND = 111,                   /**< No entry of that name or index. */
  GLQ_E_WRONG_STATE = 112,                 /**< The object is not in a state that allows this call. */
  GLQ_E_UNSUPPORTED = 200,                 /**< Valid, but not implemented for this combination. */
  GLQ_E_UNSUPPORTED_ARCH = 201,            /**< No kernel image for this GPU. */
  GLQ_E_UNSUPPORTED_BUILD = 202,           /**< This library was built without the needed part. */
  GLQ_E_UNSUPPORTED_WHILE_CAPTURING = 203, /**< Not allowed while the stream captures a graph. */
  GLQ_E_OUT_OF_HOST_MEMORY = 300,          /**< A host allocation failed. */
  GLQ_E_OUT_OF_DEVICE_MEMORY = 301,        /**< A device allocation failed. */
  GLQ_E_WORKSPACE_TOO_SMALL = 302,         /**< The workspace is smaller than the workspace query says. */
  GLQ_E_BUFFER_TOO_SMALL = 303,            /**< An output buffer is too small; the needed size was written. */
  GLQ_E_IO = 304,                          /**< The operating system refused a file operation. */
  GLQ_E_NO_DEVICE = 400,                   /**< No such device. */
  GLQ_E_NO_DRIVER = 401,                   /**< No NVIDIA driver is present. */
  GLQ_E_DRIVER_TOO_OLD = 402,              /**< The driver is older than the CUDA runtime needs. */
  GLQ_E_LIBRARY_NOT_FOUND = 403,           /**< Reserved: no function returns it. What needs an optional library does
                                                without (glq_context_info::cublaslt_message). */
  GLQ_E_CUDA = 404,                        /**< A CUDA call failed; see glq_error_info::native_code. */
  GLQ_E_CUBLAS = 405,                      /**< A cuBLASLt call failed; see glq_error_info::native_code. */
  GLQ_E_DEVICE_LOST = 406,                 /**< The CUDA context is unusable after an earlier fault or a reset. */
  GLQ_E_INTERNAL = 500,                    /**< A defect of the library. Please report it. */
  GLQ_E_CANCELLED = 501,                   /**< A callback asked to stop. */
  GLQ_E_NUMERIC = 502                      /**< A matrix cannot be factorised even after damping. */
};

/**
 * @brief Element type: the DLPack triple (code, bits, lanes) in one integer.
 *
 * `code | bits << 8 | lanes << 16`, which on a little-endian machine has the bytes of `DLDataType`.
 */
typedef uint32_t glq_dtype;

/** @brief Values of #glq_dtype that functions of this library accept or return. */
enum glq_dtype_code {
  GLQ_DTYPE_I8 = 0x00010800,  /**< 8-bit signed integer. */
  GLQ_DTYPE_I16 = 0x00011000, /**< 16-bit signed integer. */
  GLQ_DTYPE_I32 = 0x00012000, /**< 32-bit signed integer. */
  GLQ_DTYPE_I64 = 0x00014000, /**< 64-bit signed integer. */
  GLQ_DTYPE_U8 = 0x00010801,  /**< 8-bit unsigned integer. */
  GLQ_DTYPE_U16 = 0x00011001, /**< 16-bit unsigned integer. */
  GLQ_DTYPE_F16 = 0x00011002, /**< IEEE binary16. */
  GLQ_DTYPE_F32 = 0x00012002, /**< IEEE binary32. */
  GLQ_DTYPE_F64 = 0x00014002, /**< IEEE binary64. */
  GLQ_DTYPE_BF16 = 0x00011004 /**< bfloat16. */
};

/** @brief Values of glq_device::type; the same numbers as DLPack. */
enum glq_device_type {
  GLQ_DEVICE_CPU = 1, /**< Host memory. The index is 0. */
  GLQ_DEVICE_CUDA = 2 /**< Memory of a CUDA device. The index follows `CUDA_VISIBLE_DEVICES`. */
};

/** @brief A device. Frozen: 8 bytes. */
typedef struct glq_device {
  int32_t type;  /**< #GLQ_DEVICE_CPU or #GLQ_DEVICE_CUDA. */
  int32_t index; /**< 0 for the CPU; the CUDA ordinal otherwise. */
} glq_device;

/**
 * @brief A CUDA stream: bit-identical to `cudaStream_t` and `CUstream`.
 *
 * NULL is CUDA's legacy default stream; the values 1 and 2 are CUDA's own constants for the legacy
 * and the per-thread default stream. On a CPU context every call is synchronous and the stream must
 * be NULL.
 *
 * A stream belongs to the context's device. No function changes the calling thread's current CUDA
 * device; it need not be the context's.
 */
typedef void *glq_stream;

/** @brief Largest rank of a #glq_view. */
#define GLQ_MAX_NDIM 4

/** @brief Bits of glq_view::flags. */
enum glq_view_flag {
  GLQ_VIEW_READ_ONLY = 1 /**< The memory must not be written; rejected where an output is expected. */
};

/**
 * @brief A strided array in memory that the caller owns. Frozen: 96 bytes.
 *
 * A plain value: fill it with glq_view_init() or by hand, reuse it, copy it. The memory it points to
 * must stay valid until the work that uses it has finished on the device.
 *
 * Functions take matrices as `[rows, cols]` with `strides[1] == 1` and any `strides[0] >= cols`; a
 * one-dimensional view stands for a single row.
 *
 * Two views overlap if they share an element. Column slices of one row-strided buffer (equal row strides)
 * do not overlap, so the outputs of a group may be column ranges of one matrix. Views that interleave in
 * any other way count as overlapping.
 *
 * `data` is aligned to the element. Host memory may have any alignment where it is only copied or
 * converted: in glq_view_copy() and glq_tensor_create_copy(), in #glq_e8p_desc (stages, `sv`, `su` and
 * `bias`), and in the inputs of the quantizer (weight, bias, activations, Hessian).
 */
typedef struct glq_view {
  void *data;                    /**< First element. Not examined if an extent is 0, and may be NULL then. */
  int64_t shape[GLQ_MAX_NDIM];   /**< Extents; entries from `ndim` on are ignored. */
  int64_t strides[GLQ_MAX_NDIM]; /**< Strides in elements (not bytes); entries from `ndim` on are ignored, and so is
                                      the stride of an extent of 0 or 1. */
  glq_dtype dtype;               /**< Element type. */
  int32_t ndim;                  /**< Rank, 0 to #GLQ_MAX_NDIM. */
  glq_device device;             /**< Where the memory is. */
  uint32_t flags;                /**< Bits of `GLQ_VIEW_*`. */
  uint32_t reserved;             /**< Must be 0. */
} glq_view;

/**
 * @brief Scratch memory for one call. Frozen: 16 bytes.
 *
 * On the context's device, aligned to #GLQ_WORKSPACE_ALIGNMENT. The contents are undefined before
 * and after a call. One workspace serves any number of calls on one stream, one after another;
 * concurrent streams need one each. Calls running at the same time on several threads need one each,
 * even on one stream or on the CPU. Where a workspace query says 0, and in a call with 0 tokens, a NULL
 * pointer is accepted in place of the struct.
 */
typedef struct glq_workspace {
  void *data;   /**< Start of the memory, or NULL if `bytes` is 0. */
  size_t bytes; /**< Size in bytes. */
} glq_workspace;

/** @brief Alignment in bytes that glq_workspace::data must have. */
#define GLQ_WORKSPACE_ALIGNMENT 256

/** @brief Values of glq_error_info::native_domain. */
enum glq_native_domain {
  GLQ_NATIVE_NONE = 0,   /**< `native_code` is meaningless. */
  GLQ_NATIVE_CUDA = 1,   /**< `native_code` is a `cudaError_t`. */
  GLQ_NATIVE_CUBLAS = 2, /**< `native_code` is a `cublasStatus_t`. */
  GLQ_NATIVE_OS = 3      /**< `native_code` is an `errno`. */
};

/**
 * @brief Detail of the last failure on the calling thread.
 *
 * Grows by appending: set `struct_size` before the call. The strings belong to the calling thread
 * and live until its next failing call, glq_clear_error() or the end of the thread.
 */
typedef struct glq_error_info {
  uint32_t struct_size;  /**< `sizeof(glq_error_info)`. */
  glq_status status;     /**< The status that the failing function returned. */
  int32_t native_domain; /**< One of `GLQ_NATIVE_*`. */
  int32_t native_code;   /**< The code of that domain. */
  const char *function;  /**< Name of the function that failed, never NULL. */
  const char *message;   /**< Sentence that names the argument and both values, never NULL. */
} glq_error_info;

/** @brief Initialiser: all defaults. */
#define GLQ_ERROR_INFO_INIT { sizeof(glq_error_info), 0, 0, 0, 0, 0 }

/**
 * @brief Called once, on any thread, when the library no longer needs something that the caller lent to it.
 * @param user As given with the function.
 */
typedef void (*glq_release_fn)(void *user);

/** @} */

/**
 * @defgroup launch Operations
 * @brief What all operations on activations and weights have in common, and the options of a launch.
 *
 * An operation takes context, stream, weight, inputs, outputs, workspace and options, in this order. It
 * checks its arguments, queues its work on the stream and returns. The workspace query beside it takes
 * the same options; its answer does not decrease with the number of tokens. Large batches are processed
 * in slices, so that the workspace stops growing at a token count that depends on the weight.
 *
 * The stream may capture a graph, from the first call on, with two exceptions: what #GLQ_CONTEXT_LAZY has left out must
 * have run once before (not checked), and with #GLQ_CONTEXT_SYNC_EACH_CALL every operation is refused while its stream
 * captures.
 *
 * A call with 0 tokens (rows) succeeds and queues nothing; its workspace may be NULL. A call takes at most
 * 2147483647 rows.
 * @{
 */

/** @brief Arithmetic of a product; glq_launch_opts::math_mode. */
enum glq_math_mode {
  /** The exact contract: same bytes on every device and for every batch size. */
  GLQ_MATH_EXACT = 0,
  /** May use an FP16 matrix product for large batches, of the weight decoded or expanded to FP16: same bytes in every run on
      one device with one cuBLASLt, close to but not equal to #GLQ_MATH_EXACT; a row's may depend on the number of rows. Where
      it is not expected to be faster it is #GLQ_MATH_EXACT. */
  GLQ_MATH_FP16_EXPANDED = 1
};

/** @brief Optional properties of a launch; NULL or all zero means default. Grows by appending. */
typedef struct glq_launch_opts {
  uint32_t struct_size; /**< `sizeof(glq_launch_opts)`. */
  uint32_t flags;       /**< Must be 0. */
  int32_t math_mode;    /**< `GLQ_MATH_*`. Of effect in glq_fused_linear_e8p(), its group form and glq_matmul_e8p() only. */
  uint32_t reserved;    /**< Must be 0. */
} glq_launch_opts;

/** @brief Initialiser for #glq_launch_opts. */
#define GLQ_LAUNCH_OPTS_INIT { sizeof(glq_launch_opts), 0, 0, 0 }

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_BASE_H */
