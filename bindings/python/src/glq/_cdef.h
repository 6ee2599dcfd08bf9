/* Made from include/glq.h by bindings/generate.py. Do not edit. */
#define GLQ_VERSION_MAJOR 0
#define GLQ_VERSION_MINOR 1
#define GLQ_VERSION_PATCH 0
#define GLQ_VERSION 1000
#define GLQ_ABI_VERSION 0
#define GLQ_MAX_NDIM 4
#define GLQ_WORKSPACE_ALIGNMENT 256
#define GLQ_E8P_MAX_STAGES 4
#define GLQ_E8P_MAX_DIM 1048576
#define GLQ_E8P_MAX_GROUP 8
#define GLQ_GEMV_MAX_TOKENS 16
/* The part of DLPack 1.x that crosses between frameworks: public, frozen layout. */
typedef struct { int32_t device_type; int32_t device_id; } DLDevice;
typedef struct { uint8_t code; uint8_t bits; uint16_t lanes; } DLDataType;
typedef struct {
  void *data; DLDevice device; int32_t ndim; DLDataType dtype; int64_t *shape; int64_t *strides; uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensor {
  DLTensor dl_tensor; void *manager_ctx; void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;
typedef struct { uint32_t major; uint32_t minor; } DLPackVersion;
struct DLManagedTensorVersioned {
  DLPackVersion version; void *manager_ctx; void (*deleter)(struct DLManagedTensorVersioned *self); uint64_t flags;
  DLTensor dl_tensor;
};
typedef int32_t glq_status;
enum glq_status_code
{
  GLQ_OK = 0,
  GLQ_E_INVALID_ARGUMENT = 100,
  GLQ_E_SHAPE = 101,
  GLQ_E_DTYPE = 102,
  GLQ_E_LAYOUT = 103,
  GLQ_E_ALIGNMENT = 104,
  GLQ_E_DEVICE_MISMATCH = 105,
  GLQ_E_STRUCT_SIZE = 106,
  GLQ_E_ALIASING = 107,
  GLQ_E_BAD_HANDLE = 108,
  GLQ_E_NOT_FINITE = 109,
  GLQ_E_BAD_FILE = 110,
  GLQ_E_NOT_FOUND = 111,
  GLQ_E_WRONG_STATE = 112,
  GLQ_E_UNSUPPORTED = 200,
  GLQ_E_UNSUPPORTED_ARCH = 201,
  GLQ_E_UNSUPPORTED_BUILD = 202,
  GLQ_E_UNSUPPORTED_WHILE_CAPTURING = 203,
  GLQ_E_OUT_OF_HOST_MEMORY = 300,
  GLQ_E_OUT_OF_DEVICE_MEMORY = 301,
  GLQ_E_WORKSPACE_TOO_SMALL = 302,
  GLQ_E_BUFFER_TOO_SMALL = 303,
  GLQ_E_IO = 304,
  GLQ_E_NO_DEVICE = 400,
  GLQ_E_NO_DRIVER = 401,
  GLQ_E_DRIVER_TOO_OLD = 402,
  GLQ_E_LIBRARY_NOT_FOUND = 403,
  GLQ_E_CUDA = 404,
  GLQ_E_CUBLAS = 405,
  GLQ_E_DEVICE_LOST = 406,
  GLQ_E_INTERNAL = 500,
  GLQ_E_CANCELLED = 501,
  GLQ_E_NUMERIC = 502
};
typedef uint32_t glq_dtype;
enum glq_dtype_code
{
  GLQ_DTYPE_I8 = 0x00010800,
  GLQ_DTYPE_I16 = 0x00011000,
  GLQ_DTYPE_I32 = 0x00012000,
  GLQ_DTYPE_I64 = 0x00014000,
  GLQ_DTYPE_U8 = 0x00010801,
  GLQ_DTYPE_U16 = 0x00011001,
  GLQ_DTYPE_F16 = 0x00011002,
  GLQ_DTYPE_F32 = 0x00012002,
  GLQ_DTYPE_F64 = 0x00014002,
  GLQ_DTYPE_BF16 = 0x00011004
};
enum glq_device_type
{
  GLQ_DEVICE_CPU = 1,
  GLQ_DEVICE_CUDA = 2
};
typedef struct glq_device
{
  int32_t type;
  int32_t index;
} glq_device;
typedef void *glq_stream;
enum glq_view_flag
{
  GLQ_VIEW_READ_ONLY = 1
};
typedef struct glq_view
{
  void *data;
  int64_t shape[4];
  int64_t strides[4];
  glq_dtype dtype;
  int32_t ndim;
  glq_device device;
  uint32_t flags;
  uint32_t reserved;
} glq_view;
typedef struct glq_workspace
{
  void *data;
  size_t bytes;
} glq_workspace;
enum glq_native_domain
{
  GLQ_NATIVE_NONE = 0,
  GLQ_NATIVE_CUDA = 1,
  GLQ_NATIVE_CUBLAS = 2,
  GLQ_NATIVE_OS = 3
};
typedef struct glq_error_info
{
  uint32_t struct_size;
  glq_status status;
  int32_t native_domain;
  int32_t native_code;
  const char *function;
  const char *message;
} glq_error_info;
typedef void (*glq_release_fn)(void *user);
enum glq_math_mode
{
  GLQ_MATH_EXACT = 0,
  GLQ_MATH_FP16_EXPANDED = 1
};
typedef struct glq_launch_opts
{
  uint32_t struct_size;
  uint32_t flags;
  int32_t math_mode;
  uint32_t reserved;
} glq_launch_opts;
uint32_t glq_version(void);
uint32_t glq_abi_version(void);
const char *glq_build_info(void);
typedef struct glq_cuda_info
{
  uint32_t struct_size;
  glq_status status;
  int32_t device_count;
  int32_t driver_version;
  int32_t runtime_version;
  uint32_t reserved;
  const char *message;
  const char *architectures;
} glq_cuda_info;
glq_status glq_get_cuda_info(glq_cuda_info *info);
const char *glq_status_name(glq_status status);
const char *glq_status_string(glq_status status);
glq_status glq_last_error(glq_error_info *info);
void glq_clear_error(void);
glq_status glq_device_count(int32_t type, int32_t *count);
glq_status glq_device_parse(const char *text, glq_device *device);
typedef struct glq_device_info
{
  uint32_t struct_size;
  int32_t type;
  int32_t index;
  int32_t compute_capability;
  int32_t multiprocessors;
  int32_t max_shared_memory;
  int64_t total_memory;
  int64_t free_memory;
  int64_t l2_cache;
  char name[128];
  char detail[128];
} glq_device_info;
glq_status glq_device_get_info(const glq_device *device, glq_device_info *info);
enum glq_memory_kind
{
  GLQ_MEMORY_HOST = 1,
  GLQ_MEMORY_CUDA = 2
};
typedef void *(*glq_alloc_fn)(void *user, size_t bytes, size_t alignment, int32_t memory_kind);
typedef void (*glq_free_fn)(void *user, void *ptr, size_t bytes, int32_t memory_kind);
typedef struct glq_allocator
{
  void *user;
  glq_alloc_fn alloc;
  glq_free_fn free;
} glq_allocator;
enum glq_log_level
{
  GLQ_LOG_ERROR = 1,
  GLQ_LOG_WARNING = 2,
  GLQ_LOG_INFO = 3,
  GLQ_LOG_DEBUG = 4
};
typedef void (*glq_log_fn)(void *user, int32_t level, const char *category, const char *message);
typedef struct glq_logger
{
  void *user;
  glq_log_fn log;
  int32_t level;
  uint32_t reserved;
} glq_logger;
typedef void (*glq_task_fn)(void *arg, int64_t index);
typedef void (*glq_parallel_for_fn)(void *user, int64_t n, glq_task_fn task, void *arg);
typedef struct glq_threading
{
  void *user;
  glq_parallel_for_fn parallel_for;
  int32_t max_parallelism;
  uint32_t reserved;
} glq_threading;
enum glq_context_flag
{
  GLQ_CONTEXT_LAZY = 1,
  GLQ_CONTEXT_SYNC_EACH_CALL = 2
};
typedef struct glq_context_desc
{
  uint32_t struct_size;
  uint32_t flags;
  glq_device device;
  int32_t num_threads;
  uint32_t reserved;
  const glq_allocator *allocator;
  const glq_logger *logger;
  const glq_threading *threading;
  const char *cublaslt_library;
  glq_release_fn destroyed;
  void *destroyed_user;
} glq_context_desc;
typedef struct glq_context glq_context;
glq_status glq_context_desc_init(glq_context_desc *desc, uint32_t struct_size);
glq_status glq_context_create(const glq_context_desc *desc, glq_context **context);
glq_status glq_context_retain(glq_context *context);
void glq_context_destroy(glq_context *context);
typedef struct glq_context_info
{
  uint32_t struct_size;
  uint32_t flags;
  glq_device device;
  int32_t num_threads;
  int32_t cublaslt_version;
  int64_t host_bytes;
  int64_t device_bytes;
  const char *cublaslt_message;
} glq_context_info;
glq_status glq_context_get_info(const glq_context *context, glq_context_info *info);
glq_status glq_context_synchronize(glq_context *context, glq_stream stream);
enum glq_op
{
  GLQ_OP_FUSED_LINEAR_E8P = 1,
  GLQ_OP_RHT_INPUT = 2,
  GLQ_OP_RHT_OUTPUT = 3,
  GLQ_OP_MATMUL_E8P = 4,
  GLQ_OP_DECODE_E8P = 5,
  GLQ_OP_DEQUANTIZE = 6,
  GLQ_OP_GEMV_BF16 = 7
};
typedef struct glq_op_query
{
  uint32_t struct_size;
  int32_t op;
  int64_t in_features;
  int64_t out_features;
  int64_t max_tokens;
  int32_t bits;
  int32_t math_mode;
  glq_dtype x_dtype;
  glq_dtype y_dtype;
} glq_op_query;
typedef struct glq_op_support_info
{
  uint32_t struct_size;
  glq_status status;
  size_t workspace_bytes;
  uint32_t fast_alignment;
  uint32_t reserved;
  char path[64];
  char reason[192];
} glq_op_support_info;
glq_status glq_op_support(const glq_context *context, const glq_op_query *query, glq_op_support_info *info);
typedef struct glq_tensor glq_tensor;
enum glq_encoding
{
  GLQ_ENCODING_DENSE = 1,
  GLQ_ENCODING_E8P = 2
};
glq_status glq_view_init(glq_view *view, const void *data, glq_dtype dtype, const glq_device *device, int32_t ndim, const int64_t *shape);
glq_status glq_view_check(const glq_view *view);
glq_status glq_view_copy(glq_context *context, glq_stream stream, const glq_view *source, const glq_view *destination);
glq_status glq_tensor_create(glq_context *context, const glq_view *spec, glq_tensor **tensor);
glq_status glq_tensor_create_copy(glq_context *context, glq_stream stream, const glq_view *source, glq_tensor **tensor);
glq_status glq_tensor_borrow(glq_context *context, const glq_view *view, glq_release_fn release, void *user, glq_tensor **tensor);
struct DLManagedTensorVersioned;
glq_status glq_tensor_import_dlpack(glq_context *context, struct DLManagedTensorVersioned *managed, glq_tensor **tensor);
glq_status glq_tensor_export_dlpack(glq_tensor *tensor, struct DLManagedTensorVersioned **managed);
typedef struct glq_tensor_info
{
  uint32_t struct_size;
  int32_t encoding;
  glq_dtype dtype;
  int32_t ndim;
  int64_t shape[4];
  glq_device device;
  int64_t host_bytes;
  int64_t device_bytes;
} glq_tensor_info;
glq_status glq_tensor_get_info(const glq_tensor *tensor, glq_tensor_info *info);
glq_status glq_tensor_view(const glq_tensor *tensor, glq_view *view);
glq_status glq_tensor_retain(glq_tensor *tensor);
void glq_tensor_destroy(glq_tensor *tensor);
enum glq_codebook
{
  GLQ_CODEBOOK_E8P = 1,
  GLQ_CODEBOOK_E81B = 2
};
typedef struct glq_e8p_stage
{
  int32_t codebook;
  uint32_t reserved;
  double cum_inv_scale;
  glq_view indices;
} glq_e8p_stage;
typedef struct glq_e8p_desc
{
  uint32_t struct_size;
  uint32_t flags;
  int64_t in_features;
  int64_t out_features;
  int64_t padded_in;
  int64_t padded_out;
  int32_t bits;
  int32_t num_stages;
  double weight_scale;
  const glq_e8p_stage *stages;
  const int64_t *in_blocks;
  const int64_t *out_blocks;
  int32_t num_in_blocks;
  int32_t num_out_blocks;
  const glq_view *sv;
  const glq_view *su;
  const glq_view *bias;
} glq_e8p_desc;
glq_status glq_e8p_desc_init(glq_e8p_desc *desc, uint32_t struct_size);
glq_status glq_tensor_create_e8p(glq_context *context, glq_stream stream, const glq_e8p_desc *desc, glq_tensor **tensor);
typedef struct glq_e8p_info
{
  uint32_t struct_size;
  int32_t bits;
  int64_t in_features;
  int64_t out_features;
  int64_t padded_in;
  int64_t padded_out;
  double weight_scale;
  double cum_inv_scale[4];
  int32_t codebook[4];
  int32_t num_stages;
  int32_t has_sv;
  int32_t has_su;
  glq_dtype bias_dtype;
  int32_t num_in_blocks;
  int32_t num_out_blocks;
  const int64_t *in_blocks;
  const int64_t *out_blocks;
  uint64_t input_transform_id;
} glq_e8p_info;
glq_status glq_e8p_get_info(const glq_tensor *tensor, glq_e8p_info *info);
typedef struct glq_e8p_parts
{
  uint32_t struct_size;
  uint32_t flags;
  const glq_view *indices[4];
  const glq_view *sv;
  const glq_view *su;
  const glq_view *bias;
} glq_e8p_parts;
glq_status glq_e8p_export(glq_context *context, glq_stream stream, const glq_tensor *tensor, const glq_e8p_parts *parts);
glq_status glq_fused_linear_e8p_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_fused_linear_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *x, const glq_view *y, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_fused_linear_e8p_group_workspace(const glq_context *context, const glq_tensor * const *weights, int32_t count, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_fused_linear_e8p_group(glq_context *context, glq_stream stream, const glq_tensor * const *weights, int32_t count, const glq_view *x, const glq_view *y, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_fused_linear_e8p_plan(const glq_context *context, const glq_tensor *weight, int64_t tokens, const glq_launch_opts *opts, char *text, size_t capacity, size_t *needed);
glq_status glq_rht_input_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_rht_input(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *x, const glq_view *v, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_matmul_e8p_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_matmul_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *v, const glq_view *z, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_rht_output_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_rht_output(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *z, const glq_view *y, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_decode_e8p(glq_context *context, glq_stream stream, const glq_tensor *weight, int64_t row_begin, const glq_view *w, const glq_launch_opts *opts);
glq_status glq_dequantize_workspace(const glq_context *context, const glq_tensor *weight, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_dequantize(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *w, const glq_workspace *workspace, const glq_launch_opts *opts);
glq_status glq_e8p_pack(glq_context *context, glq_stream stream, int32_t codebook, const glq_view *codes, const glq_view *packed);
glq_status glq_e8p_unpack(glq_context *context, glq_stream stream, int32_t codebook, const glq_view *packed, const glq_view *codes);
glq_status glq_e8p_codebook(int32_t codebook, const glq_view *table);
glq_status glq_gemv_bf16_workspace(const glq_context *context, const glq_tensor *weight, int64_t max_tokens, const glq_launch_opts *opts, size_t *bytes);
glq_status glq_gemv_bf16(glq_context *context, glq_stream stream, const glq_tensor *weight, const glq_view *x, const glq_view *y, const glq_workspace *workspace, const glq_launch_opts *opts);
typedef struct glq_quantizer glq_quantizer;
enum glq_quantizer_flag
{
  GLQ_QUANTIZER_POW2 = 1,
  GLQ_QUANTIZER_HAS_SEED = 2
};
enum glq_quantizer_scale
{
  GLQ_QUANTIZER_SCALE_SPEC = 0,
  GLQ_QUANTIZER_SCALE_SEARCH = 1
};
typedef struct glq_quantizer_desc
{
  uint32_t struct_size;
  uint32_t flags;
  int64_t in_features;
  int64_t out_features;
  int32_t bits;
  int32_t refine_passes;
  int32_t scale_mode;
  uint32_t seed;
  double damping;
  double damping_rht;
  double input_scale;
  double rho_e8p;
  double rho_e81b;
} glq_quantizer_desc;
glq_status glq_quantizer_desc_init(glq_quantizer_desc *desc, uint32_t struct_size);
glq_status glq_quantizer_memory(const glq_quantizer_desc *desc, size_t *bytes);
glq_status glq_quantizer_create(glq_context *context, const glq_quantizer_desc *desc, glq_quantizer **quantizer);
glq_status glq_quantizer_add_batch(glq_quantizer *quantizer, const glq_view *x);
glq_status glq_quantizer_set_hessian(glq_quantizer *quantizer, const glq_view *hessian, double samples);
glq_status glq_quantizer_get_hessian(const glq_quantizer *quantizer, const glq_view *hessian, double *samples);
typedef int32_t (*glq_progress_fn)(void *user, int64_t done, int64_t total, const char *phase);
glq_status glq_quantizer_run(glq_quantizer *quantizer, glq_stream stream, const glq_view *weight, const glq_view *bias, glq_progress_fn progress, void *user, glq_tensor **tensor);
glq_status glq_quantizer_abandon(glq_quantizer *quantizer);
glq_status glq_quantizer_save(const glq_quantizer *quantizer, void *buffer, size_t capacity, size_t *needed);
glq_status glq_quantizer_load(glq_context *context, const void *buffer, size_t bytes, glq_quantizer **quantizer);
glq_status glq_quantizer_get_desc(const glq_quantizer *quantizer, glq_quantizer_desc *desc);
typedef struct glq_quantizer_report
{
  uint32_t struct_size;
  int32_t num_stages;
  double proxy_loss;
  double proxy_loss_relative;
  double sqnr_db;
  double weight_scale;
  double cum_inv_scale[4];
  double seconds;
  double samples;
  int32_t damping_retries;
  uint32_t reserved;
} glq_quantizer_report;
glq_status glq_quantizer_get_report(const glq_quantizer *quantizer, glq_quantizer_report *report);
void glq_quantizer_destroy(glq_quantizer *quantizer);
typedef struct glq_checkpoint glq_checkpoint;
glq_status glq_checkpoint_open(const char *path, glq_checkpoint **checkpoint);
glq_status glq_checkpoint_tensor_count(const glq_checkpoint *checkpoint, int64_t *count);
glq_status glq_checkpoint_tensor_name(const glq_checkpoint *checkpoint, int64_t index, const char **name);
glq_status glq_checkpoint_tensor(const glq_checkpoint *checkpoint, const char *name, glq_view *view);
glq_status glq_checkpoint_layer_count(const glq_checkpoint *checkpoint, int64_t *count);
glq_status glq_checkpoint_layer_name(const glq_checkpoint *checkpoint, int64_t index, const char **name);
glq_status glq_checkpoint_layer(const glq_checkpoint *checkpoint, const char *name, glq_e8p_desc *desc);
void glq_checkpoint_destroy(glq_checkpoint *checkpoint);
