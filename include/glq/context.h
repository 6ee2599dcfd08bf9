/**
 * @file glq/context.h
 * @brief Devices, contexts, and what an operation needs before any weight is loaded.
 */
#ifndef GLQ_CONTEXT_H
#define GLQ_CONTEXT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @defgroup context Devices and contexts
 * @brief A context binds the library to one device and holds the caller's allocator, logger and threads.
 *
 * No function changes the calling thread's current CUDA device; it need not be the context's.
 *
 * @par Release of memory
 * Memory is freed, and release functions and DLPack deleters are called, only after all work queued on
 * the device before the last `_destroy` has finished. The library sees to that where it releases: when
 * objects are created, in glq_e8p_export() and in glq_context_synchronize(), which may therefore wait for the
 * device. What a release function destroys waits for the next of these calls. None of them
 * releases anything while a stream of the calling thread captures a graph. A capture of another thread on the
 * same device is invalidated by such a wait, whatever its mode, since that is how CUDA treats a wait for a
 * device with a capturing stream: while a thread captures, no other should make one of these calls, or end a
 * context, for the same device. Not covered are later replays of a graph that was captured with a tensor: keep
 * the tensor alive until the graph is destroyed. On a CPU context everything is released at once.
 *
 * @par Reset of a device
 * `cudaDeviceReset()` and `cuDevicePrimaryCtxReset()` end the device memory of all contexts and tensors on the device,
 * and with it their use. No thread may be inside a function of the library for that device meanwhile. A function that
 * touches the device (base.h, "Device errors") then returns #GLQ_E_DEVICE_LOST for them and does nothing; the others,
 * such as glq_context_get_info(), go on as before. What is left to do is to destroy them, in any order, at any time:
 * device memory that the library allocated itself is not freed again; a caller's glq_allocator::free is called for each
 * block as ever, and so are release functions, but without the device being current. That makes no use of the device. A
 * context that is made after the reset is like any other, also while those of before are there.
 * @{
 */

/**
 * @brief Number of usable devices of one type.
 * @param[in] type #GLQ_DEVICE_CPU (always 1) or #GLQ_DEVICE_CUDA (0 without driver or GPU; never an error).
 * @param[out] count The number.
 * @capture Not checked: for #GLQ_DEVICE_CUDA it asks the driver.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT.
 */
GLQ_API glq_status glq_device_count(int32_t type, int32_t *count) GLQ_NOEXCEPT;

/**
 * @brief Reads `"cpu"`, `"cuda"` (device 0) or `"cuda:N"`. The device need not exist.
 * @param[in] text NUL-terminated.
 * @param[out] device The device.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT.
 */
GLQ_API glq_status glq_device_parse(const char *text, glq_device *device) GLQ_NOEXCEPT;

/** @brief Properties of a device. Grows by appending. */
typedef struct glq_device_info {
  uint32_t struct_size;           /**< `sizeof(glq_device_info)`. */
  int32_t type;                   /**< #GLQ_DEVICE_CPU or #GLQ_DEVICE_CUDA. */
  int32_t index;                  /**< As in #glq_device. */
  int32_t compute_capability;     /**< CUDA: major * 10 + minor, such as 90. CPU: 0. */
  int32_t multiprocessors;        /**< CUDA: streaming multiprocessors. CPU: logical processors this process may use. */
  int32_t max_shared_memory;      /**< CUDA: bytes of shared memory a block can opt in to. CPU: 0. */
  int64_t total_memory;           /**< Bytes. */
  int64_t free_memory;            /**< Bytes free at this moment, an estimate. */
  int64_t l2_cache;               /**< CUDA: bytes of L2 cache. CPU: 0. */
  char name[128];                 /**< Device name, NUL-terminated. */
  char detail[128];               /**< CUDA: PCI id. CPU: the SIMD target in use. NUL-terminated. */
} glq_device_info;

/** @brief Initialiser for #glq_device_info. */
#define GLQ_DEVICE_INFO_INIT { sizeof(glq_device_info), 0, 0, 0, 0, 0, 0, 0, 0, "", "" }

/**
 * @brief Fills in the properties of one device.
 * @param[in] device Which one.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @capture Not checked: for a CUDA device it asks the driver, which makes the device's primary context if there is
 *          none.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE, #GLQ_E_NO_DEVICE, #GLQ_E_NO_DRIVER,
 *         #GLQ_E_DRIVER_TOO_OLD, #GLQ_E_UNSUPPORTED_BUILD, #GLQ_E_CUDA.
 */
GLQ_API glq_status glq_device_get_info(const glq_device *device, glq_device_info *info) GLQ_NOEXCEPT;

/** @brief Kinds of memory that a #glq_allocator is asked for. */
enum glq_memory_kind {
  GLQ_MEMORY_HOST = 1, /**< Ordinary host memory. */
  GLQ_MEMORY_CUDA = 2  /**< Memory of the context's CUDA device. */
};

/**
 * @brief Allocates memory for an object. Called with the context's device current.
 * @param user The allocator's `user`.
 * @param bytes Greater than 0.
 * @param alignment A power of two, at most 256.
 * @param memory_kind `GLQ_MEMORY_*`.
 * @return The memory, or NULL if there is none.
 */
typedef void *(*glq_alloc_fn)(void *user, size_t bytes, size_t alignment, int32_t memory_kind);

/**
 * @brief Frees what the matching #glq_alloc_fn returned. Called with the context's device current, unless that was reset.
 * @param user The allocator's `user`.
 * @param ptr The memory.
 * @param bytes The size it was allocated with.
 * @param memory_kind `GLQ_MEMORY_*`.
 */
typedef void (*glq_free_fn)(void *user, void *ptr, size_t bytes, int32_t memory_kind);

/**
 * @brief Where objects get the memory for weights and tensors. Frozen: 24 bytes.
 *
 * Used only when objects are made and destroyed, never in an operation. The functions may be called
 * from any thread and must outlive the context and all of its objects; glq_context_desc::destroyed tells
 * when that is.
 */
typedef struct glq_allocator {
  void *user;         /**< Passed back unchanged. */
  glq_alloc_fn alloc; /**< Not NULL. */
  glq_free_fn free;   /**< Not NULL. */
} glq_allocator;

/** @brief Severity of a log message. */
enum glq_log_level {
  GLQ_LOG_ERROR = 1,   /**< A call failed. */
  GLQ_LOG_WARNING = 2, /**< Something is slower or weaker than it could be. */
  GLQ_LOG_INFO = 3,    /**< Created and destroyed objects, libraries found. */
  GLQ_LOG_DEBUG = 4    /**< The plan of every operation. */
};

/**
 * @brief Receives log messages on the thread of the call that caused them.
 * @param user The logger's `user`.
 * @param level `GLQ_LOG_*`.
 * @param category Part of the library, such as `"context"`.
 * @param message One line, valid during the call.
 */
typedef void (*glq_log_fn)(void *user, int32_t level, const char *category, const char *message);

/** @brief Where log messages go; without one, nowhere, unless `GLQ_LOG` is set (ABI.md). Frozen: 24 bytes. */
typedef struct glq_logger {
  void *user;        /**< Passed back unchanged. */
  glq_log_fn log;    /**< Not NULL. */
  int32_t level;     /**< The most detailed `GLQ_LOG_*` wanted. */
  uint32_t reserved; /**< Must be 0. */
} glq_logger;

/**
 * @brief One piece of a parallel loop, handed to #glq_parallel_for_fn.
 * @param arg The `arg` of the loop.
 * @param index Which piece.
 */
typedef void (*glq_task_fn)(void *arg, int64_t index);

/**
 * @brief Calls `task(arg, i)` for every i in [0, n), on any threads, and returns when all are done.
 *
 * May itself be called from several threads at once. The pieces never wait for one another, so running them
 * one after another on the calling thread is correct; all must have been run before it returns.
 * @param user The threading's `user`.
 * @param n Number of pieces, at most glq_threading::max_parallelism.
 * @param task The piece.
 * @param arg Passed on to `task`.
 */
typedef void (*glq_parallel_for_fn)(void *user, int64_t n, glq_task_fn task, void *arg);

/** @brief The caller's thread pool, used in place of the library's own. Frozen: 24 bytes. */
typedef struct glq_threading {
  void *user;                       /**< Passed back unchanged. */
  glq_parallel_for_fn parallel_for; /**< Not NULL. */
  int32_t max_parallelism;          /**< Into how many pieces work is cut at most; 1 to 1024. */
  uint32_t reserved;                /**< Must be 0. */
} glq_threading;

/** @brief Bits of glq_context_desc::flags. */
enum glq_context_flag {
  /**
   * CUDA: load fewer kernels at creation. The first call that needs one of the others loads it and takes longer by
   * that; it must not be captured, which is not checked.
   *
   * Left out are the kernels of glq_matmul_e8p(), glq_decode_e8p(), glq_dequantize(), glq_e8p_pack(), glq_e8p_unpack(),
   * and of making and exporting E8P weights; of glq_view_copy() between device views of which one is not compact; of
   * glq_gemv_bf16(), but for rows of whole 16-byte pieces and 512 columns or more on a GPU of compute capability 9.0 or
   * later whose blocks may have the shared memory for them; of transforms, those of the fused linear too, of padded
   * sizes above 32768 (before compute capability 9.0: above 4096) or with a block list other than the binary expansion;
   * and, on GPUs without warpgroup MMAs, where cuBLASLt was found, of the fused linear's large batches. All other
   * kernels of the fused linear, its group form, glq_rht_input() and glq_rht_output() are loaded in any case.
   */
  GLQ_CONTEXT_LAZY = 1,
  /** Debugging: every CUDA operation synchronises its stream and reports faults at once. Refused during capture. */
  GLQ_CONTEXT_SYNC_EACH_CALL = 2
};

/** @brief How to make a context. All-zero after `struct_size` means the CPU with defaults. Grows by appending. */
typedef struct glq_context_desc {
  uint32_t struct_size;           /**< `sizeof(glq_context_desc)`. */
  uint32_t flags;                 /**< Bits of `GLQ_CONTEXT_*`. */
  glq_device device;              /**< The device; a zero type means the CPU. */
  int32_t num_threads;            /**< Size of the library's own pool, up to 1024; 0: `GLQ_NUM_THREADS` if set, else the
                                       processors available. */
  uint32_t reserved;              /**< Must be 0. */
  const glq_allocator *allocator; /**< NULL: malloc and cudaMalloc. Copied. */
  const glq_logger *logger;       /**< NULL: none. Copied. */
  const glq_threading *threading; /**< NULL: the library's own pool. Copied. */
  const char *cublaslt_library;   /**< Path to load cuBLASLt from; NULL: `GLQ_CUBLASLT_LIBRARY`, one already loaded, or the usual names. Copied. */
  glq_release_fn destroyed;       /**< Called once, after the last use of allocator, logger and threading; may be NULL. Not
                                       called if the creation fails, which also ends their use. */
  void *destroyed_user;           /**< Passed to `destroyed`. */
} glq_context_desc;

/** @brief Initialiser for #glq_context_desc: the CPU, all defaults. */
#define GLQ_CONTEXT_DESC_INIT { sizeof(glq_context_desc), 0, { GLQ_DEVICE_CPU, 0 }, 0, 0, 0, 0, 0, 0, 0, 0 }

/**
 * @brief A context: one device, its kernels, the caller's allocator, logger and threads. Opaque.
 *
 * Immutable after creation, so any number of threads may use it at once. Objects made from a context
 * keep it alive: handles may be destroyed in any order, on any thread.
 */
typedef struct glq_context glq_context;

/**
 * @brief Fills a descriptor with defaults; for languages that cannot use #GLQ_CONTEXT_DESC_INIT.
 * @param[out] desc The descriptor.
 * @param[in] struct_size `sizeof(glq_context_desc)` as the caller knows it.
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_context_desc_init(glq_context_desc *desc, uint32_t struct_size) GLQ_NOEXCEPT;

/**
 * @brief Makes a context.
 *
 * On CUDA it uses the device's primary context and, unless #GLQ_CONTEXT_LAZY is set, loads all of the
 * library's kernels for this GPU so that the first call of every operation may already be captured.
 *
 * Environment variables (ABI.md) stand in for what `desc` leaves open. A value that is not one of theirs, such as
 * `GLQ_LOG=verbose`, is #GLQ_E_INVALID_ARGUMENT.
 * @param[in] desc NULL: the CPU with defaults.
 * @param[out] context Set to NULL on failure.
 * @capture Not checked: on CUDA it loads kernels and makes a cuBLASLt handle.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_STRUCT_SIZE, #GLQ_E_NO_DEVICE, #GLQ_E_NO_DRIVER,
 *         #GLQ_E_DRIVER_TOO_OLD, #GLQ_E_UNSUPPORTED_ARCH, #GLQ_E_UNSUPPORTED_BUILD,
 *         #GLQ_E_OUT_OF_HOST_MEMORY, #GLQ_E_OUT_OF_DEVICE_MEMORY, #GLQ_E_CUDA.
 */
GLQ_API glq_status glq_context_create(const glq_context_desc *desc, glq_context **context) GLQ_NOEXCEPT;

/**
 * @brief Adds a reference; each needs one glq_context_destroy().
 * @param[in] context A live context.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE.
 */
GLQ_API glq_status glq_context_retain(glq_context *context) GLQ_NOEXCEPT;

/**
 * @brief Gives up one reference. The context goes when its last reference and its last object are gone.
 *
 * Does not wait, except the call that ends the context (last reference and last object, so possibly the
 * `_destroy` of an object): it may wait for the device, joins the library's threads, and calls the
 * allocator's and release functions on the calling thread. What other destroyed objects hold is released
 * by the next object creation or by glq_context_synchronize(); see "Release of memory" above.
 * @param[in] context May be NULL.
 * @capture Allowed. Only the call that ends a CUDA context must not be made meanwhile (not checked): it waits for the
 *          device and frees memory.
 * @threadsafe
 */
GLQ_API void glq_context_destroy(glq_context *context) GLQ_NOEXCEPT;

/** @brief What a context found and holds. Grows by appending. */
typedef struct glq_context_info {
  uint32_t struct_size;         /**< `sizeof(glq_context_info)`. */
  uint32_t flags;               /**< Flags it was created with. */
  glq_device device;            /**< Its device. */
  int32_t num_threads;          /**< Pieces into which CPU work is cut at most. */
  int32_t cublaslt_version;     /**< As `cublasLtGetVersion`; 0 if cuBLASLt was not found. */
  int64_t host_bytes;           /**< Host memory held by the context's objects. */
  int64_t device_bytes;         /**< Device memory held by the context's objects, waiting ones included. */
  const char *cublaslt_message; /**< Where cuBLASLt was found, or each place tried. Lives as long as the context. */
} glq_context_info;

/** @brief Initialiser for #glq_context_info. */
#define GLQ_CONTEXT_INFO_INIT { sizeof(glq_context_info), 0, { 0, 0 }, 0, 0, 0, 0, 0 }

/**
 * @brief Tells what a context found and holds.
 * @param[in] context A live context.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_context_get_info(const glq_context *context, glq_context_info *info) GLQ_NOEXCEPT;

/**
 * @brief Waits until all work queued on `stream` is done, then releases what destroyed objects hold.
 *
 * For that release it may wait for other work of the device too. Apart from functions that make or export
 * objects, and the call that ends the context, no function waits for the device.
 * @param[in] context A live context.
 * @param[in] stream The stream; NULL on a CPU context.
 * @capture Refused: #GLQ_E_UNSUPPORTED_WHILE_CAPTURING. While another stream of the calling thread captures, it waits
 *          for `stream` and releases nothing.
 * @threadsafe
 * @return #GLQ_OK, #GLQ_E_INVALID_ARGUMENT, #GLQ_E_BAD_HANDLE, #GLQ_E_UNSUPPORTED_WHILE_CAPTURING,
 *         #GLQ_E_CUDA, #GLQ_E_DEVICE_LOST.
 */
GLQ_API glq_status glq_context_synchronize(glq_context *context, glq_stream stream) GLQ_NOEXCEPT;

/** @brief Operations that glq_op_support() can be asked about. */
enum glq_op {
  GLQ_OP_FUSED_LINEAR_E8P = 1, /**< glq_fused_linear_e8p() and its group form. */
  GLQ_OP_RHT_INPUT = 2,        /**< glq_rht_input(). */
  GLQ_OP_RHT_OUTPUT = 3,       /**< glq_rht_output(). */
  GLQ_OP_MATMUL_E8P = 4,       /**< glq_matmul_e8p(). */
  GLQ_OP_DECODE_E8P = 5,       /**< glq_decode_e8p(). */
  GLQ_OP_DEQUANTIZE = 6,       /**< glq_dequantize(). */
  GLQ_OP_GEMV_BF16 = 7         /**< glq_gemv_bf16(). */
};

/** @brief A question to glq_op_support(). Grows by appending. */
typedef struct glq_op_query {
  uint32_t struct_size;  /**< `sizeof(glq_op_query)`. */
  int32_t op;            /**< `GLQ_OP_*`. Required. */
  int64_t in_features;   /**< K. Required. */
  int64_t out_features;  /**< N. Required. */
  int64_t max_tokens;    /**< Largest number of rows of x. */
  int32_t bits;          /**< E8P operations: bits per weight, 2 to 8; required. Otherwise 0. */
  int32_t math_mode;     /**< `GLQ_MATH_*`. */
  glq_dtype x_dtype;     /**< Activations; 0: the operation's natural type, #GLQ_DTYPE_F16 or (GEMV) #GLQ_DTYPE_BF16. */
  glq_dtype y_dtype;     /**< Output; 0: the same. Where an operation takes only #GLQ_DTYPE_F32, 0 means that. */
} glq_op_query;

/** @brief Initialiser for #glq_op_query. */
#define GLQ_OP_QUERY_INIT { sizeof(glq_op_query), 0, 0, 0, 0, 0, 0, 0, 0 }

/** @brief The answer of glq_op_support(). Grows by appending. */
typedef struct glq_op_support_info {
  uint32_t struct_size;    /**< `sizeof(glq_op_support_info)`. */
  glq_status status;       /**< #GLQ_OK if a call with these properties would be accepted, else what it would return. */
  size_t workspace_bytes;  /**< Enough for `max_tokens` and fewer, for checkpoint-format weights of these features. */
  uint32_t fast_alignment; /**< Alignment in bytes of x, y and their rows for the fastest path; less is correct, and slower. */
  uint32_t reserved;       /**< 0. */
  char path[64];           /**< Name of the code path, such as `"cuda mma 16x8x32"`. NUL-terminated. */
  char reason[192];        /**< Empty if supported, else one sentence. NUL-terminated. */
} glq_op_support_info;

/** @brief Initialiser for #glq_op_support_info. */
#define GLQ_OP_SUPPORT_INFO_INIT { sizeof(glq_op_support_info), 0, 0, 0, 0, "", "" }

/**
 * @brief Tells, before any weight is loaded, whether and how an operation would run.
 * @param[in] context A live context.
 * @param[in] query The question.
 * @param[in,out] info Set `struct_size`; the rest is filled.
 * @capture Allowed; touches no device.
 * @threadsafe
 * @return #GLQ_OK if the question could be answered, whatever the answer; #GLQ_E_INVALID_ARGUMENT,
 *         #GLQ_E_BAD_HANDLE, #GLQ_E_STRUCT_SIZE.
 */
GLQ_API glq_status glq_op_support(const glq_context *context, const glq_op_query *query,
                                  glq_op_support_info *info) GLQ_NOEXCEPT;

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* GLQ_CONTEXT_H */
