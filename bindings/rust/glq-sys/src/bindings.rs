/* Made from include/glq.h by bindings/generate.py. Do not edit. */

pub const GLQ_VERSION_MAJOR: u32 = 0;
pub const GLQ_VERSION_MINOR: u32 = 1;
pub const GLQ_VERSION_PATCH: u32 = 0;
pub const GLQ_VERSION: u32 = 1000;
pub const GLQ_ABI_VERSION: u32 = 0;
pub const GLQ_MAX_NDIM: u32 = 4;
pub const GLQ_WORKSPACE_ALIGNMENT: u32 = 256;
pub const GLQ_E8P_MAX_STAGES: u32 = 4;
pub const GLQ_E8P_MAX_DIM: u32 = 1048576;
pub const GLQ_E8P_MAX_GROUP: u32 = 8;
pub const GLQ_GEMV_MAX_TOKENS: u32 = 16;
/**Result of a call: GLQ_OK (0) or one of the positive `GLQ_E_*` codes.

Codes are grouped: 1xx the caller's arguments, 2xx not supported, 3xx resources, 4xx device and
driver, 5xx internal or numerical. Numbers are never reused. New codes may be added, so a
consumer treats an unknown code by its group.*/
pub type glq_status = i32;
///Success.
pub const GLQ_OK: glq_status_code = 0;
///Null pointer, unknown constant or value out of range.
pub const GLQ_E_INVALID_ARGUMENT: glq_status_code = 100;
///Rank or extent does not fit.
pub const GLQ_E_SHAPE: glq_status_code = 101;
///Data type is not accepted here.
pub const GLQ_E_DTYPE: glq_status_code = 102;
///Strides are not accepted here.
pub const GLQ_E_LAYOUT: glq_status_code = 103;
///Pointer is not aligned to its element (or the stated) size.
pub const GLQ_E_ALIGNMENT: glq_status_code = 104;
///Memory or handle belongs to another device.
pub const GLQ_E_DEVICE_MISMATCH: glq_status_code = 105;
///`struct_size` is too small, or an unknown field is set.
pub const GLQ_E_STRUCT_SIZE: glq_status_code = 106;
/**An output overlaps an input, an output or the workspace. Two views overlap
if they share an element. Column slices of one row-strided buffer (equal
row strides) do not overlap, so the outputs of a group may be column
ranges of one matrix.*/
pub const GLQ_E_ALIASING: glq_status_code = 107;
/**Not a live handle of the expected kind. Detection is best effort; using a
destroyed handle is undefined.*/
pub const GLQ_E_BAD_HANDLE: glq_status_code = 108;
///A scale or matrix holds NaN or infinity.
pub const GLQ_E_NOT_FINITE: glq_status_code = 109;
///A file or saved state is truncated, malformed or inconsistent.
pub const GLQ_E_BAD_FILE: glq_status_code = 110;
///No entry of that name or index.
pub const GLQ_E_NOT_FOUND: glq_status_code = 111;
///The object is not in a state that allows this call.
pub const GLQ_E_WRONG_STATE: glq_status_code = 112;
///Valid, but not implemented for this combination.
pub const GLQ_E_UNSUPPORTED: glq_status_code = 200;
///No kernel image for this GPU.
pub const GLQ_E_UNSUPPORTED_ARCH: glq_status_code = 201;
///This library was built without the needed part.
pub const GLQ_E_UNSUPPORTED_BUILD: glq_status_code = 202;
///Not allowed while the stream captures a graph.
pub const GLQ_E_UNSUPPORTED_WHILE_CAPTURING: glq_status_code = 203;
///A host allocation failed.
pub const GLQ_E_OUT_OF_HOST_MEMORY: glq_status_code = 300;
///A device allocation failed.
pub const GLQ_E_OUT_OF_DEVICE_MEMORY: glq_status_code = 301;
///The workspace is smaller than the workspace query says.
pub const GLQ_E_WORKSPACE_TOO_SMALL: glq_status_code = 302;
///An output buffer is too small; the needed size was written.
pub const GLQ_E_BUFFER_TOO_SMALL: glq_status_code = 303;
///The operating system refused a file operation.
pub const GLQ_E_IO: glq_status_code = 304;
///No such device.
pub const GLQ_E_NO_DEVICE: glq_status_code = 400;
///No NVIDIA driver is present.
pub const GLQ_E_NO_DRIVER: glq_status_code = 401;
///The driver is older than the CUDA runtime needs.
pub const GLQ_E_DRIVER_TOO_OLD: glq_status_code = 402;
/**Reserved: no function returns it. What needs an optional library does
without (glq_context_info::cublaslt_message).*/
pub const GLQ_E_LIBRARY_NOT_FOUND: glq_status_code = 403;
///A CUDA call failed; see glq_error_info::native_code.
pub const GLQ_E_CUDA: glq_status_code = 404;
///A cuBLASLt call failed; see glq_error_info::native_code.
pub const GLQ_E_CUBLAS: glq_status_code = 405;
///The CUDA context is unusable after an earlier fault or a reset.
pub const GLQ_E_DEVICE_LOST: glq_status_code = 406;
///A defect of the library. Please report it.
pub const GLQ_E_INTERNAL: glq_status_code = 500;
///A callback asked to stop.
pub const GLQ_E_CANCELLED: glq_status_code = 501;
///A matrix cannot be factorised even after damping.
pub const GLQ_E_NUMERIC: glq_status_code = 502;
///Values of glq_status.
pub type glq_status_code = glq_status;
/**Element type: the DLPack triple (code, bits, lanes) in one integer.

`code | bits << 8 | lanes << 16`, which on a little-endian machine has the bytes of `DLDataType`.*/
pub type glq_dtype = u32;
///8-bit signed integer.
pub const GLQ_DTYPE_I8: glq_dtype_code = 67584;
///16-bit signed integer.
pub const GLQ_DTYPE_I16: glq_dtype_code = 69632;
///32-bit signed integer.
pub const GLQ_DTYPE_I32: glq_dtype_code = 73728;
///64-bit signed integer.
pub const GLQ_DTYPE_I64: glq_dtype_code = 81920;
///8-bit unsigned integer.
pub const GLQ_DTYPE_U8: glq_dtype_code = 67585;
///16-bit unsigned integer.
pub const GLQ_DTYPE_U16: glq_dtype_code = 69633;
///IEEE binary16.
pub const GLQ_DTYPE_F16: glq_dtype_code = 69634;
///IEEE binary32.
pub const GLQ_DTYPE_F32: glq_dtype_code = 73730;
///IEEE binary64.
pub const GLQ_DTYPE_F64: glq_dtype_code = 81922;
///bfloat16.
pub const GLQ_DTYPE_BF16: glq_dtype_code = 69636;
///Values of glq_dtype that functions of this library accept or return.
pub type glq_dtype_code = glq_dtype;
///Host memory. The index is 0.
pub const GLQ_DEVICE_CPU: glq_device_type = 1;
///Memory of a CUDA device. The index follows `CUDA_VISIBLE_DEVICES`.
pub const GLQ_DEVICE_CUDA: glq_device_type = 2;
///Values of glq_device::type; the same numbers as DLPack.
pub type glq_device_type = i32;
///A device. Frozen: 8 bytes.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_device {
    ///GLQ_DEVICE_CPU or GLQ_DEVICE_CUDA.
    pub type_: i32,
    ///0 for the CPU; the CUDA ordinal otherwise.
    pub index: i32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_device"][::core::mem::size_of::<glq_device>() - 8usize];
    ["Alignment of glq_device"][::core::mem::align_of::<glq_device>() - 4usize];
    [
        "Offset of field: glq_device::type_",
    ][::core::mem::offset_of!(glq_device, type_) - 0usize];
    [
        "Offset of field: glq_device::index",
    ][::core::mem::offset_of!(glq_device, index) - 4usize];
};
/**A CUDA stream: bit-identical to `cudaStream_t` and `CUstream`.

NULL is CUDA's legacy default stream; the values 1 and 2 are CUDA's own constants for the legacy
and the per-thread default stream. On a CPU context every call is synchronous and the stream must
be NULL.

A stream belongs to the context's device. No function changes the calling thread's current CUDA
device; it need not be the context's.*/
pub type glq_stream = *mut ::core::ffi::c_void;
///The memory must not be written; rejected where an output is expected.
pub const GLQ_VIEW_READ_ONLY: glq_view_flag = 1;
///Bits of glq_view::flags.
pub type glq_view_flag = u32;
/**A strided array in memory that the caller owns. Frozen: 96 bytes.

A plain value: fill it with glq_view_init() or by hand, reuse it, copy it. The memory it points to
must stay valid until the work that uses it has finished on the device.

Functions take matrices as `[rows, cols]` with `strides[1] == 1` and any `strides[0] >= cols`; a
one-dimensional view stands for a single row.

Two views overlap if they share an element. Column slices of one row-strided buffer (equal row strides)
do not overlap, so the outputs of a group may be column ranges of one matrix. Views that interleave in
any other way count as overlapping.

`data` is aligned to the element. Host memory may have any alignment where it is only copied or
converted: in glq_view_copy() and glq_tensor_create_copy(), in glq_e8p_desc (stages, `sv`, `su` and
`bias`), and in the inputs of the quantizer (weight, bias, activations, Hessian).*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_view {
    ///First element. Not examined if an extent is 0, and may be NULL then.
    pub data: *mut ::core::ffi::c_void,
    ///Extents; entries from `ndim` on are ignored.
    pub shape: [i64; 4usize],
    /**Strides in elements (not bytes); entries from `ndim` on are ignored, and so is
the stride of an extent of 0 or 1.*/
    pub strides: [i64; 4usize],
    ///Element type.
    pub dtype: glq_dtype,
    ///Rank, 0 to GLQ_MAX_NDIM.
    pub ndim: i32,
    ///Where the memory is.
    pub device: glq_device,
    ///Bits of `GLQ_VIEW_*`.
    pub flags: u32,
    ///Must be 0.
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_view"][::core::mem::size_of::<glq_view>() - 96usize];
    ["Alignment of glq_view"][::core::mem::align_of::<glq_view>() - 8usize];
    [
        "Offset of field: glq_view::data",
    ][::core::mem::offset_of!(glq_view, data) - 0usize];
    [
        "Offset of field: glq_view::shape",
    ][::core::mem::offset_of!(glq_view, shape) - 8usize];
    [
        "Offset of field: glq_view::strides",
    ][::core::mem::offset_of!(glq_view, strides) - 40usize];
    [
        "Offset of field: glq_view::dtype",
    ][::core::mem::offset_of!(glq_view, dtype) - 72usize];
    [
        "Offset of field: glq_view::ndim",
    ][::core::mem::offset_of!(glq_view, ndim) - 76usize];
    [
        "Offset of field: glq_view::device",
    ][::core::mem::offset_of!(glq_view, device) - 80usize];
    [
        "Offset of field: glq_view::flags",
    ][::core::mem::offset_of!(glq_view, flags) - 88usize];
    [
        "Offset of field: glq_view::reserved",
    ][::core::mem::offset_of!(glq_view, reserved) - 92usize];
};
/**Scratch memory for one call. Frozen: 16 bytes.

On the context's device, aligned to GLQ_WORKSPACE_ALIGNMENT. The contents are undefined before
and after a call. One workspace serves any number of calls on one stream, one after another;
concurrent streams need one each. Calls running at the same time on several threads need one each,
even on one stream or on the CPU. Where a workspace query says 0, and in a call with 0 tokens, a NULL
pointer is accepted in place of the struct.*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_workspace {
    ///Start of the memory, or NULL if `bytes` is 0.
    pub data: *mut ::core::ffi::c_void,
    ///Size in bytes.
    pub bytes: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_workspace"][::core::mem::size_of::<glq_workspace>() - 16usize];
    ["Alignment of glq_workspace"][::core::mem::align_of::<glq_workspace>() - 8usize];
    [
        "Offset of field: glq_workspace::data",
    ][::core::mem::offset_of!(glq_workspace, data) - 0usize];
    [
        "Offset of field: glq_workspace::bytes",
    ][::core::mem::offset_of!(glq_workspace, bytes) - 8usize];
};
///`native_code` is meaningless.
pub const GLQ_NATIVE_NONE: glq_native_domain = 0;
///`native_code` is a `cudaError_t`.
pub const GLQ_NATIVE_CUDA: glq_native_domain = 1;
///`native_code` is a `cublasStatus_t`.
pub const GLQ_NATIVE_CUBLAS: glq_native_domain = 2;
///`native_code` is an `errno`.
pub const GLQ_NATIVE_OS: glq_native_domain = 3;
///Values of glq_error_info::native_domain.
pub type glq_native_domain = i32;
/**Detail of the last failure on the calling thread.

Grows by appending: set `struct_size` before the call. The strings belong to the calling thread
and live until its next failing call, glq_clear_error() or the end of the thread.*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_error_info {
    ///`sizeof(glq_error_info)`.
    pub struct_size: u32,
    ///The status that the failing function returned.
    pub status: glq_status,
    ///One of `GLQ_NATIVE_*`.
    pub native_domain: i32,
    ///The code of that domain.
    pub native_code: i32,
    ///Name of the function that failed, never NULL.
    pub function: *const ::core::ffi::c_char,
    ///Sentence that names the argument and both values, never NULL.
    pub message: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_error_info"][::core::mem::size_of::<glq_error_info>() - 32usize];
    ["Alignment of glq_error_info"][::core::mem::align_of::<glq_error_info>() - 8usize];
    [
        "Offset of field: glq_error_info::struct_size",
    ][::core::mem::offset_of!(glq_error_info, struct_size) - 0usize];
    [
        "Offset of field: glq_error_info::status",
    ][::core::mem::offset_of!(glq_error_info, status) - 4usize];
    [
        "Offset of field: glq_error_info::native_domain",
    ][::core::mem::offset_of!(glq_error_info, native_domain) - 8usize];
    [
        "Offset of field: glq_error_info::native_code",
    ][::core::mem::offset_of!(glq_error_info, native_code) - 12usize];
    [
        "Offset of field: glq_error_info::function",
    ][::core::mem::offset_of!(glq_error_info, function) - 16usize];
    [
        "Offset of field: glq_error_info::message",
    ][::core::mem::offset_of!(glq_error_info, message) - 24usize];
};
/**Called once, on any thread, when the library no longer needs something that the caller lent to it.
* `user`: As given with the function.*/
pub type glq_release_fn = ::core::option::Option<
    unsafe extern "C" fn(user: *mut ::core::ffi::c_void),
>;
///The exact contract: same bytes on every device and for every batch size.
pub const GLQ_MATH_EXACT: glq_math_mode = 0;
/**May use an FP16 matrix product for large batches, of the weight decoded or expanded to FP16: same bytes in every run on
one device with one cuBLASLt, close to but not equal to GLQ_MATH_EXACT; a row's may depend on the number of rows. Where
it is not expected to be faster it is GLQ_MATH_EXACT.*/
pub const GLQ_MATH_FP16_EXPANDED: glq_math_mode = 1;
///Arithmetic of a product; glq_launch_opts::math_mode.
pub type glq_math_mode = i32;
///Optional properties of a launch; NULL or all zero means default. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_launch_opts {
    ///`sizeof(glq_launch_opts)`.
    pub struct_size: u32,
    ///Must be 0.
    pub flags: u32,
    ///`GLQ_MATH_*`. Of effect in glq_fused_linear_e8p(), its group form and glq_matmul_e8p() only.
    pub math_mode: i32,
    ///Must be 0.
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_launch_opts"][::core::mem::size_of::<glq_launch_opts>() - 16usize];
    [
        "Alignment of glq_launch_opts",
    ][::core::mem::align_of::<glq_launch_opts>() - 4usize];
    [
        "Offset of field: glq_launch_opts::struct_size",
    ][::core::mem::offset_of!(glq_launch_opts, struct_size) - 0usize];
    [
        "Offset of field: glq_launch_opts::flags",
    ][::core::mem::offset_of!(glq_launch_opts, flags) - 4usize];
    [
        "Offset of field: glq_launch_opts::math_mode",
    ][::core::mem::offset_of!(glq_launch_opts, math_mode) - 8usize];
    [
        "Offset of field: glq_launch_opts::reserved",
    ][::core::mem::offset_of!(glq_launch_opts, reserved) - 12usize];
};
///Whether CUDA is usable, and why not. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_cuda_info {
    ///`sizeof(glq_cuda_info)`.
    pub struct_size: u32,
    ///GLQ_OK if at least one device can be used, else the reason.
    pub status: glq_status,
    ///Devices the driver reports; 0 if it cannot be asked.
    pub device_count: i32,
    ///As `cudaDriverGetVersion`: 13000 is 13.0; 0 without a driver.
    pub driver_version: i32,
    ///CUDA runtime linked into this library; 0 in a CPU-only build.
    pub runtime_version: i32,
    ///0.
    pub reserved: u32,
    ///One sentence, valid until this thread's next glq_get_cuda_info(). Never NULL.
    pub message: *const ::core::ffi::c_char,
    ///GPU code in this library, such as `sm_80 sm_90a ptx_120`. Never NULL.
    pub architectures: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_cuda_info"][::core::mem::size_of::<glq_cuda_info>() - 40usize];
    ["Alignment of glq_cuda_info"][::core::mem::align_of::<glq_cuda_info>() - 8usize];
    [
        "Offset of field: glq_cuda_info::struct_size",
    ][::core::mem::offset_of!(glq_cuda_info, struct_size) - 0usize];
    [
        "Offset of field: glq_cuda_info::status",
    ][::core::mem::offset_of!(glq_cuda_info, status) - 4usize];
    [
        "Offset of field: glq_cuda_info::device_count",
    ][::core::mem::offset_of!(glq_cuda_info, device_count) - 8usize];
    [
        "Offset of field: glq_cuda_info::driver_version",
    ][::core::mem::offset_of!(glq_cuda_info, driver_version) - 12usize];
    [
        "Offset of field: glq_cuda_info::runtime_version",
    ][::core::mem::offset_of!(glq_cuda_info, runtime_version) - 16usize];
    [
        "Offset of field: glq_cuda_info::reserved",
    ][::core::mem::offset_of!(glq_cuda_info, reserved) - 20usize];
    [
        "Offset of field: glq_cuda_info::message",
    ][::core::mem::offset_of!(glq_cuda_info, message) - 24usize];
    [
        "Offset of field: glq_cuda_info::architectures",
    ][::core::mem::offset_of!(glq_cuda_info, architectures) - 32usize];
};
///Properties of a device. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_device_info {
    ///`sizeof(glq_device_info)`.
    pub struct_size: u32,
    ///GLQ_DEVICE_CPU or GLQ_DEVICE_CUDA.
    pub type_: i32,
    ///As in glq_device.
    pub index: i32,
    ///CUDA: major * 10 + minor, such as 90. CPU: 0.
    pub compute_capability: i32,
    ///CUDA: streaming multiprocessors. CPU: logical processors this process may use.
    pub multiprocessors: i32,
    ///CUDA: bytes of shared memory a block can opt in to. CPU: 0.
    pub max_shared_memory: i32,
    ///Bytes.
    pub total_memory: i64,
    ///Bytes free at this moment, an estimate.
    pub free_memory: i64,
    ///CUDA: bytes of L2 cache. CPU: 0.
    pub l2_cache: i64,
    ///Device name, NUL-terminated.
    pub name: [::core::ffi::c_char; 128usize],
    ///CUDA: PCI id. CPU: the SIMD target in use. NUL-terminated.
    pub detail: [::core::ffi::c_char; 128usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_device_info"][::core::mem::size_of::<glq_device_info>() - 304usize];
    [
        "Alignment of glq_device_info",
    ][::core::mem::align_of::<glq_device_info>() - 8usize];
    [
        "Offset of field: glq_device_info::struct_size",
    ][::core::mem::offset_of!(glq_device_info, struct_size) - 0usize];
    [
        "Offset of field: glq_device_info::type_",
    ][::core::mem::offset_of!(glq_device_info, type_) - 4usize];
    [
        "Offset of field: glq_device_info::index",
    ][::core::mem::offset_of!(glq_device_info, index) - 8usize];
    [
        "Offset of field: glq_device_info::compute_capability",
    ][::core::mem::offset_of!(glq_device_info, compute_capability) - 12usize];
    [
        "Offset of field: glq_device_info::multiprocessors",
    ][::core::mem::offset_of!(glq_device_info, multiprocessors) - 16usize];
    [
        "Offset of field: glq_device_info::max_shared_memory",
    ][::core::mem::offset_of!(glq_device_info, max_shared_memory) - 20usize];
    [
        "Offset of field: glq_device_info::total_memory",
    ][::core::mem::offset_of!(glq_device_info, total_memory) - 24usize];
    [
        "Offset of field: glq_device_info::free_memory",
    ][::core::mem::offset_of!(glq_device_info, free_memory) - 32usize];
    [
        "Offset of field: glq_device_info::l2_cache",
    ][::core::mem::offset_of!(glq_device_info, l2_cache) - 40usize];
    [
        "Offset of field: glq_device_info::name",
    ][::core::mem::offset_of!(glq_device_info, name) - 48usize];
    [
        "Offset of field: glq_device_info::detail",
    ][::core::mem::offset_of!(glq_device_info, detail) - 176usize];
};
///Ordinary host memory.
pub const GLQ_MEMORY_HOST: glq_memory_kind = 1;
///Memory of the context's CUDA device.
pub const GLQ_MEMORY_CUDA: glq_memory_kind = 2;
///Kinds of memory that a glq_allocator is asked for.
pub type glq_memory_kind = i32;
/**Allocates memory for an object. Called with the context's device current.
* `user`: The allocator's `user`.
* `bytes`: Greater than 0.
* `alignment`: A power of two, at most 256.
* `memory_kind`: `GLQ_MEMORY_*`.

Returns: The memory, or NULL if there is none.*/
pub type glq_alloc_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        bytes: usize,
        alignment: usize,
        memory_kind: i32,
    ) -> *mut ::core::ffi::c_void,
>;
/**Frees what the matching glq_alloc_fn returned. Called with the context's device current, unless that was reset.
* `user`: The allocator's `user`.
* `ptr`: The memory.
* `bytes`: The size it was allocated with.
* `memory_kind`: `GLQ_MEMORY_*`.*/
pub type glq_free_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        ptr: *mut ::core::ffi::c_void,
        bytes: usize,
        memory_kind: i32,
    ),
>;
/**Where objects get the memory for weights and tensors. Frozen: 24 bytes.

Used only when objects are made and destroyed, never in an operation. The functions may be called
from any thread and must outlive the context and all of its objects; glq_context_desc::destroyed tells
when that is.*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_allocator {
    ///Passed back unchanged.
    pub user: *mut ::core::ffi::c_void,
    ///Not NULL.
    pub alloc: glq_alloc_fn,
    ///Not NULL.
    pub free: glq_free_fn,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_allocator"][::core::mem::size_of::<glq_allocator>() - 24usize];
    ["Alignment of glq_allocator"][::core::mem::align_of::<glq_allocator>() - 8usize];
    [
        "Offset of field: glq_allocator::user",
    ][::core::mem::offset_of!(glq_allocator, user) - 0usize];
    [
        "Offset of field: glq_allocator::alloc",
    ][::core::mem::offset_of!(glq_allocator, alloc) - 8usize];
    [
        "Offset of field: glq_allocator::free",
    ][::core::mem::offset_of!(glq_allocator, free) - 16usize];
};
///A call failed.
pub const GLQ_LOG_ERROR: glq_log_level = 1;
///Something is slower or weaker than it could be.
pub const GLQ_LOG_WARNING: glq_log_level = 2;
///Created and destroyed objects, libraries found.
pub const GLQ_LOG_INFO: glq_log_level = 3;
///The plan of every operation.
pub const GLQ_LOG_DEBUG: glq_log_level = 4;
///Severity of a log message.
pub type glq_log_level = i32;
/**Receives log messages on the thread of the call that caused them.
* `user`: The logger's `user`.
* `level`: `GLQ_LOG_*`.
* `category`: Part of the library, such as `"context"`.
* `message`: One line, valid during the call.*/
pub type glq_log_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        level: i32,
        category: *const ::core::ffi::c_char,
        message: *const ::core::ffi::c_char,
    ),
>;
///Where log messages go; without one, nowhere, unless `GLQ_LOG` is set (ABI.md). Frozen: 24 bytes.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_logger {
    ///Passed back unchanged.
    pub user: *mut ::core::ffi::c_void,
    ///Not NULL.
    pub log: glq_log_fn,
    ///The most detailed `GLQ_LOG_*` wanted.
    pub level: i32,
    ///Must be 0.
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_logger"][::core::mem::size_of::<glq_logger>() - 24usize];
    ["Alignment of glq_logger"][::core::mem::align_of::<glq_logger>() - 8usize];
    [
        "Offset of field: glq_logger::user",
    ][::core::mem::offset_of!(glq_logger, user) - 0usize];
    [
        "Offset of field: glq_logger::log",
    ][::core::mem::offset_of!(glq_logger, log) - 8usize];
    [
        "Offset of field: glq_logger::level",
    ][::core::mem::offset_of!(glq_logger, level) - 16usize];
    [
        "Offset of field: glq_logger::reserved",
    ][::core::mem::offset_of!(glq_logger, reserved) - 20usize];
};
/**One piece of a parallel loop, handed to glq_parallel_for_fn.
* `arg`: The `arg` of the loop.
* `index`: Which piece.*/
pub type glq_task_fn = ::core::option::Option<
    unsafe extern "C" fn(arg: *mut ::core::ffi::c_void, index: i64),
>;
/**Calls `task(arg, i)` for every i in [0, n), on any threads, and returns when all are done.

May itself be called from several threads at once. The pieces never wait for one another, so running them
one after another on the calling thread is correct; all must have been run before it returns.
* `user`: The threading's `user`.
* `n`: Number of pieces, at most glq_threading::max_parallelism.
* `task`: The piece.
* `arg`: Passed on to `task`.*/
pub type glq_parallel_for_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        n: i64,
        task: glq_task_fn,
        arg: *mut ::core::ffi::c_void,
    ),
>;
///The caller's thread pool, used in place of the library's own. Frozen: 24 bytes.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_threading {
    ///Passed back unchanged.
    pub user: *mut ::core::ffi::c_void,
    ///Not NULL.
    pub parallel_for: glq_parallel_for_fn,
    ///Into how many pieces work is cut at most; 1 to 1024.
    pub max_parallelism: i32,
    ///Must be 0.
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_threading"][::core::mem::size_of::<glq_threading>() - 24usize];
    ["Alignment of glq_threading"][::core::mem::align_of::<glq_threading>() - 8usize];
    [
        "Offset of field: glq_threading::user",
    ][::core::mem::offset_of!(glq_threading, user) - 0usize];
    [
        "Offset of field: glq_threading::parallel_for",
    ][::core::mem::offset_of!(glq_threading, parallel_for) - 8usize];
    [
        "Offset of field: glq_threading::max_parallelism",
    ][::core::mem::offset_of!(glq_threading, max_parallelism) - 16usize];
    [
        "Offset of field: glq_threading::reserved",
    ][::core::mem::offset_of!(glq_threading, reserved) - 20usize];
};
/**CUDA: load fewer kernels at creation. The first call that needs one of the others loads it and takes longer by
that; it must not be captured, which is not checked.

Left out are the kernels of glq_matmul_e8p(), glq_decode_e8p(), glq_dequantize(), glq_e8p_pack(), glq_e8p_unpack(),
and of making and exporting E8P weights; of glq_view_copy() between device views of which one is not compact; of
glq_gemv_bf16(), but for rows of whole 16-byte pieces and 512 columns or more on a GPU of compute capability 9.0 or
later whose blocks may have the shared memory for them; of transforms, those of the fused linear too, of padded
sizes above 32768 (before compute capability 9.0: above 4096) or with a block list other than the binary expansion;
and, on GPUs without warpgroup MMAs, where cuBLASLt was found, of the fused linear's large batches. All other
kernels of the fused linear, its group form, glq_rht_input() and glq_rht_output() are loaded in any case.*/
pub const GLQ_CONTEXT_LAZY: glq_context_flag = 1;
///Debugging: every CUDA operation synchronises its stream and reports faults at once. Refused during capture.
pub const GLQ_CONTEXT_SYNC_EACH_CALL: glq_context_flag = 2;
///Bits of glq_context_desc::flags.
pub type glq_context_flag = u32;
///How to make a context. All-zero after `struct_size` means the CPU with defaults. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_context_desc {
    ///`sizeof(glq_context_desc)`.
    pub struct_size: u32,
    ///Bits of `GLQ_CONTEXT_*`.
    pub flags: u32,
    ///The device; a zero type means the CPU.
    pub device: glq_device,
    /**Size of the library's own pool, up to 1024; 0: `GLQ_NUM_THREADS` if set, else the
processors available.*/
    pub num_threads: i32,
    ///Must be 0.
    pub reserved: u32,
    ///NULL: malloc and cudaMalloc. Copied.
    pub allocator: *const glq_allocator,
    ///NULL: none. Copied.
    pub logger: *const glq_logger,
    ///NULL: the library's own pool. Copied.
    pub threading: *const glq_threading,
    ///Path to load cuBLASLt from; NULL: `GLQ_CUBLASLT_LIBRARY`, one already loaded, or the usual names. Copied.
    pub cublaslt_library: *const ::core::ffi::c_char,
    /**Called once, after the last use of allocator, logger and threading; may be NULL. Not
called if the creation fails, which also ends their use.*/
    pub destroyed: glq_release_fn,
    ///Passed to `destroyed`.
    pub destroyed_user: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_context_desc"][::core::mem::size_of::<glq_context_desc>() - 72usize];
    [
        "Alignment of glq_context_desc",
    ][::core::mem::align_of::<glq_context_desc>() - 8usize];
    [
        "Offset of field: glq_context_desc::struct_size",
    ][::core::mem::offset_of!(glq_context_desc, struct_size) - 0usize];
    [
        "Offset of field: glq_context_desc::flags",
    ][::core::mem::offset_of!(glq_context_desc, flags) - 4usize];
    [
        "Offset of field: glq_context_desc::device",
    ][::core::mem::offset_of!(glq_context_desc, device) - 8usize];
    [
        "Offset of field: glq_context_desc::num_threads",
    ][::core::mem::offset_of!(glq_context_desc, num_threads) - 16usize];
    [
        "Offset of field: glq_context_desc::reserved",
    ][::core::mem::offset_of!(glq_context_desc, reserved) - 20usize];
    [
        "Offset of field: glq_context_desc::allocator",
    ][::core::mem::offset_of!(glq_context_desc, allocator) - 24usize];
    [
        "Offset of field: glq_context_desc::logger",
    ][::core::mem::offset_of!(glq_context_desc, logger) - 32usize];
    [
        "Offset of field: glq_context_desc::threading",
    ][::core::mem::offset_of!(glq_context_desc, threading) - 40usize];
    [
        "Offset of field: glq_context_desc::cublaslt_library",
    ][::core::mem::offset_of!(glq_context_desc, cublaslt_library) - 48usize];
    [
        "Offset of field: glq_context_desc::destroyed",
    ][::core::mem::offset_of!(glq_context_desc, destroyed) - 56usize];
    [
        "Offset of field: glq_context_desc::destroyed_user",
    ][::core::mem::offset_of!(glq_context_desc, destroyed_user) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_context {
    _unused: [u8; 0],
}
///What a context found and holds. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_context_info {
    ///`sizeof(glq_context_info)`.
    pub struct_size: u32,
    ///Flags it was created with.
    pub flags: u32,
    ///Its device.
    pub device: glq_device,
    ///Pieces into which CPU work is cut at most.
    pub num_threads: i32,
    ///As `cublasLtGetVersion`; 0 if cuBLASLt was not found.
    pub cublaslt_version: i32,
    ///Host memory held by the context's objects.
    pub host_bytes: i64,
    ///Device memory held by the context's objects, waiting ones included.
    pub device_bytes: i64,
    ///Where cuBLASLt was found, or each place tried. Lives as long as the context.
    pub cublaslt_message: *const ::core::ffi::c_char,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_context_info"][::core::mem::size_of::<glq_context_info>() - 48usize];
    [
        "Alignment of glq_context_info",
    ][::core::mem::align_of::<glq_context_info>() - 8usize];
    [
        "Offset of field: glq_context_info::struct_size",
    ][::core::mem::offset_of!(glq_context_info, struct_size) - 0usize];
    [
        "Offset of field: glq_context_info::flags",
    ][::core::mem::offset_of!(glq_context_info, flags) - 4usize];
    [
        "Offset of field: glq_context_info::device",
    ][::core::mem::offset_of!(glq_context_info, device) - 8usize];
    [
        "Offset of field: glq_context_info::num_threads",
    ][::core::mem::offset_of!(glq_context_info, num_threads) - 16usize];
    [
        "Offset of field: glq_context_info::cublaslt_version",
    ][::core::mem::offset_of!(glq_context_info, cublaslt_version) - 20usize];
    [
        "Offset of field: glq_context_info::host_bytes",
    ][::core::mem::offset_of!(glq_context_info, host_bytes) - 24usize];
    [
        "Offset of field: glq_context_info::device_bytes",
    ][::core::mem::offset_of!(glq_context_info, device_bytes) - 32usize];
    [
        "Offset of field: glq_context_info::cublaslt_message",
    ][::core::mem::offset_of!(glq_context_info, cublaslt_message) - 40usize];
};
///glq_fused_linear_e8p() and its group form.
pub const GLQ_OP_FUSED_LINEAR_E8P: glq_op = 1;
///glq_rht_input().
pub const GLQ_OP_RHT_INPUT: glq_op = 2;
///glq_rht_output().
pub const GLQ_OP_RHT_OUTPUT: glq_op = 3;
///glq_matmul_e8p().
pub const GLQ_OP_MATMUL_E8P: glq_op = 4;
///glq_decode_e8p().
pub const GLQ_OP_DECODE_E8P: glq_op = 5;
///glq_dequantize().
pub const GLQ_OP_DEQUANTIZE: glq_op = 6;
///glq_gemv_bf16().
pub const GLQ_OP_GEMV_BF16: glq_op = 7;
///Operations that glq_op_support() can be asked about.
pub type glq_op = i32;
///A question to glq_op_support(). Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_op_query {
    ///`sizeof(glq_op_query)`.
    pub struct_size: u32,
    ///`GLQ_OP_*`. Required.
    pub op: i32,
    ///K. Required.
    pub in_features: i64,
    ///N. Required.
    pub out_features: i64,
    ///Largest number of rows of x.
    pub max_tokens: i64,
    ///E8P operations: bits per weight, 2 to 8; required. Otherwise 0.
    pub bits: i32,
    ///`GLQ_MATH_*`.
    pub math_mode: i32,
    ///Activations; 0: the operation's natural type, GLQ_DTYPE_F16 or (GEMV) GLQ_DTYPE_BF16.
    pub x_dtype: glq_dtype,
    ///Output; 0: the same. Where an operation takes only GLQ_DTYPE_F32, 0 means that.
    pub y_dtype: glq_dtype,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_op_query"][::core::mem::size_of::<glq_op_query>() - 48usize];
    ["Alignment of glq_op_query"][::core::mem::align_of::<glq_op_query>() - 8usize];
    [
        "Offset of field: glq_op_query::struct_size",
    ][::core::mem::offset_of!(glq_op_query, struct_size) - 0usize];
    [
        "Offset of field: glq_op_query::op",
    ][::core::mem::offset_of!(glq_op_query, op) - 4usize];
    [
        "Offset of field: glq_op_query::in_features",
    ][::core::mem::offset_of!(glq_op_query, in_features) - 8usize];
    [
        "Offset of field: glq_op_query::out_features",
    ][::core::mem::offset_of!(glq_op_query, out_features) - 16usize];
    [
        "Offset of field: glq_op_query::max_tokens",
    ][::core::mem::offset_of!(glq_op_query, max_tokens) - 24usize];
    [
        "Offset of field: glq_op_query::bits",
    ][::core::mem::offset_of!(glq_op_query, bits) - 32usize];
    [
        "Offset of field: glq_op_query::math_mode",
    ][::core::mem::offset_of!(glq_op_query, math_mode) - 36usize];
    [
        "Offset of field: glq_op_query::x_dtype",
    ][::core::mem::offset_of!(glq_op_query, x_dtype) - 40usize];
    [
        "Offset of field: glq_op_query::y_dtype",
    ][::core::mem::offset_of!(glq_op_query, y_dtype) - 44usize];
};
///The answer of glq_op_support(). Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_op_support_info {
    ///`sizeof(glq_op_support_info)`.
    pub struct_size: u32,
    ///GLQ_OK if a call with these properties would be accepted, else what it would return.
    pub status: glq_status,
    ///Enough for `max_tokens` and fewer, for checkpoint-format weights of these features.
    pub workspace_bytes: usize,
    ///Alignment in bytes of x, y and their rows for the fastest path; less is correct, and slower.
    pub fast_alignment: u32,
    ///0.
    pub reserved: u32,
    ///Name of the code path, such as `"cuda mma 16x8x32"`. NUL-terminated.
    pub path: [::core::ffi::c_char; 64usize],
    ///Empty if supported, else one sentence. NUL-terminated.
    pub reason: [::core::ffi::c_char; 192usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of glq_op_support_info",
    ][::core::mem::size_of::<glq_op_support_info>() - 280usize];
    [
        "Alignment of glq_op_support_info",
    ][::core::mem::align_of::<glq_op_support_info>() - 8usize];
    [
        "Offset of field: glq_op_support_info::struct_size",
    ][::core::mem::offset_of!(glq_op_support_info, struct_size) - 0usize];
    [
        "Offset of field: glq_op_support_info::status",
    ][::core::mem::offset_of!(glq_op_support_info, status) - 4usize];
    [
        "Offset of field: glq_op_support_info::workspace_bytes",
    ][::core::mem::offset_of!(glq_op_support_info, workspace_bytes) - 8usize];
    [
        "Offset of field: glq_op_support_info::fast_alignment",
    ][::core::mem::offset_of!(glq_op_support_info, fast_alignment) - 16usize];
    [
        "Offset of field: glq_op_support_info::reserved",
    ][::core::mem::offset_of!(glq_op_support_info, reserved) - 20usize];
    [
        "Offset of field: glq_op_support_info::path",
    ][::core::mem::offset_of!(glq_op_support_info, path) - 24usize];
    [
        "Offset of field: glq_op_support_info::reason",
    ][::core::mem::offset_of!(glq_op_support_info, reason) - 88usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_tensor {
    _unused: [u8; 0],
}
///Plain elements of a glq_dtype.
pub const GLQ_ENCODING_DENSE: glq_encoding = 1;
///E8P codes with residual stages; see e8p.h.
pub const GLQ_ENCODING_E8P: glq_encoding = 2;
///How the elements of a glq_tensor are encoded.
pub type glq_encoding = i32;
///DLPack's struct of that name (dlpack.h, version 1.x), which this header does not define.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct DLManagedTensorVersioned {
    _unused: [u8; 0],
}
///What a tensor is. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_tensor_info {
    ///`sizeof(glq_tensor_info)`.
    pub struct_size: u32,
    ///`GLQ_ENCODING_*`.
    pub encoding: i32,
    ///Dense: element type. E8P: 0.
    pub dtype: glq_dtype,
    ///Rank of `shape`.
    pub ndim: i32,
    ///Dense: extents. E8P: out_features, in_features.
    pub shape: [i64; 4usize],
    ///Where it is.
    pub device: glq_device,
    ///Host memory this handle owns.
    pub host_bytes: i64,
    ///Device memory this handle owns.
    pub device_bytes: i64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_tensor_info"][::core::mem::size_of::<glq_tensor_info>() - 72usize];
    [
        "Alignment of glq_tensor_info",
    ][::core::mem::align_of::<glq_tensor_info>() - 8usize];
    [
        "Offset of field: glq_tensor_info::struct_size",
    ][::core::mem::offset_of!(glq_tensor_info, struct_size) - 0usize];
    [
        "Offset of field: glq_tensor_info::encoding",
    ][::core::mem::offset_of!(glq_tensor_info, encoding) - 4usize];
    [
        "Offset of field: glq_tensor_info::dtype",
    ][::core::mem::offset_of!(glq_tensor_info, dtype) - 8usize];
    [
        "Offset of field: glq_tensor_info::ndim",
    ][::core::mem::offset_of!(glq_tensor_info, ndim) - 12usize];
    [
        "Offset of field: glq_tensor_info::shape",
    ][::core::mem::offset_of!(glq_tensor_info, shape) - 16usize];
    [
        "Offset of field: glq_tensor_info::device",
    ][::core::mem::offset_of!(glq_tensor_info, device) - 48usize];
    [
        "Offset of field: glq_tensor_info::host_bytes",
    ][::core::mem::offset_of!(glq_tensor_info, host_bytes) - 56usize];
    [
        "Offset of field: glq_tensor_info::device_bytes",
    ][::core::mem::offset_of!(glq_tensor_info, device_bytes) - 64usize];
};
///16-bit codes for 8 weights: 2 bits per weight.
pub const GLQ_CODEBOOK_E8P: glq_codebook = 1;
///8-bit codes for 8 weights: 1 bit per weight; only as the last stage.
pub const GLQ_CODEBOOK_E81B: glq_codebook = 2;
///Codebooks of a stage.
pub type glq_codebook = i32;
/**One stage of an E8P weight. Frozen: 112 bytes.

Index tensors are compact, on the host or on the context's device, in the checkpoint's layout
(ABI.md, "Packed layouts"). Host memory may have any alignment, device memory 8 bytes.
- E8P: I64 `[padded_out/16, padded_in/64, 8, 4]` (`Qidxs*_e8p`).
- E81B: I64 `[padded_out, padded_in/64]` or U8 `[padded_out, padded_in/8]` (`Qidxs*_e81b`).*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_e8p_stage {
    ///`GLQ_CODEBOOK_*`.
    pub codebook: i32,
    ///Must be 0.
    pub reserved: u32,
    ///sigma of the stage, cumulative as the checkpoint stores it; 1 for the first stage. Finite, not 0.
    pub cum_inv_scale: f64,
    ///The packed codes.
    pub indices: glq_view,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_e8p_stage"][::core::mem::size_of::<glq_e8p_stage>() - 112usize];
    ["Alignment of glq_e8p_stage"][::core::mem::align_of::<glq_e8p_stage>() - 8usize];
    [
        "Offset of field: glq_e8p_stage::codebook",
    ][::core::mem::offset_of!(glq_e8p_stage, codebook) - 0usize];
    [
        "Offset of field: glq_e8p_stage::reserved",
    ][::core::mem::offset_of!(glq_e8p_stage, reserved) - 4usize];
    [
        "Offset of field: glq_e8p_stage::cum_inv_scale",
    ][::core::mem::offset_of!(glq_e8p_stage, cum_inv_scale) - 8usize];
    [
        "Offset of field: glq_e8p_stage::indices",
    ][::core::mem::offset_of!(glq_e8p_stage, indices) - 16usize];
};
///What glq_tensor_create_e8p() needs. Host memory may have any alignment. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_e8p_desc {
    ///`sizeof(glq_e8p_desc)`.
    pub struct_size: u32,
    ///Must be 0.
    pub flags: u32,
    ///Columns of W before padding. Required.
    pub in_features: i64,
    ///Rows of W before padding. Required.
    pub out_features: i64,
    ///Multiple of 64, at least `in_features`; 0: taken from the first stage's shape.
    pub padded_in: i64,
    ///Multiple of 16, at least `out_features`; 0: taken from the first stage's shape.
    pub padded_out: i64,
    ///2 to 8; 0: follows from the stages. `bits/2` E8P stages, then one E81B stage if odd.
    pub bits: i32,
    ///1 to GLQ_E8P_MAX_STAGES. Required.
    pub num_stages: i32,
    ///`Wscale`. Required: 0 is a value like others, and makes the product 0. Finite.
    pub weight_scale: f64,
    ///`num_stages` elements. Required.
    pub stages: *const glq_e8p_stage,
    /**Hadamard blocks of the input side: powers of two that add up to `padded_in`.
NULL: the binary expansion of `padded_in`, largest first.*/
    pub in_blocks: *const i64,
    ///The same for the output side and `padded_out`.
    pub out_blocks: *const i64,
    ///Elements of `in_blocks`.
    pub num_in_blocks: i32,
    ///Elements of `out_blocks`.
    pub num_out_blocks: i32,
    ///F16 `[padded_in]`, any values, or NULL for all ones.
    pub sv: *const glq_view,
    ///F16 `[padded_out]`, any values, or NULL for all ones.
    pub su: *const glq_view,
    ///F16, BF16 or F32 `[out_features]`, or NULL.
    pub bias: *const glq_view,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_e8p_desc"][::core::mem::size_of::<glq_e8p_desc>() - 112usize];
    ["Alignment of glq_e8p_desc"][::core::mem::align_of::<glq_e8p_desc>() - 8usize];
    [
        "Offset of field: glq_e8p_desc::struct_size",
    ][::core::mem::offset_of!(glq_e8p_desc, struct_size) - 0usize];
    [
        "Offset of field: glq_e8p_desc::flags",
    ][::core::mem::offset_of!(glq_e8p_desc, flags) - 4usize];
    [
        "Offset of field: glq_e8p_desc::in_features",
    ][::core::mem::offset_of!(glq_e8p_desc, in_features) - 8usize];
    [
        "Offset of field: glq_e8p_desc::out_features",
    ][::core::mem::offset_of!(glq_e8p_desc, out_features) - 16usize];
    [
        "Offset of field: glq_e8p_desc::padded_in",
    ][::core::mem::offset_of!(glq_e8p_desc, padded_in) - 24usize];
    [
        "Offset of field: glq_e8p_desc::padded_out",
    ][::core::mem::offset_of!(glq_e8p_desc, padded_out) - 32usize];
    [
        "Offset of field: glq_e8p_desc::bits",
    ][::core::mem::offset_of!(glq_e8p_desc, bits) - 40usize];
    [
        "Offset of field: glq_e8p_desc::num_stages",
    ][::core::mem::offset_of!(glq_e8p_desc, num_stages) - 44usize];
    [
        "Offset of field: glq_e8p_desc::weight_scale",
    ][::core::mem::offset_of!(glq_e8p_desc, weight_scale) - 48usize];
    [
        "Offset of field: glq_e8p_desc::stages",
    ][::core::mem::offset_of!(glq_e8p_desc, stages) - 56usize];
    [
        "Offset of field: glq_e8p_desc::in_blocks",
    ][::core::mem::offset_of!(glq_e8p_desc, in_blocks) - 64usize];
    [
        "Offset of field: glq_e8p_desc::out_blocks",
    ][::core::mem::offset_of!(glq_e8p_desc, out_blocks) - 72usize];
    [
        "Offset of field: glq_e8p_desc::num_in_blocks",
    ][::core::mem::offset_of!(glq_e8p_desc, num_in_blocks) - 80usize];
    [
        "Offset of field: glq_e8p_desc::num_out_blocks",
    ][::core::mem::offset_of!(glq_e8p_desc, num_out_blocks) - 84usize];
    [
        "Offset of field: glq_e8p_desc::sv",
    ][::core::mem::offset_of!(glq_e8p_desc, sv) - 88usize];
    [
        "Offset of field: glq_e8p_desc::su",
    ][::core::mem::offset_of!(glq_e8p_desc, su) - 96usize];
    [
        "Offset of field: glq_e8p_desc::bias",
    ][::core::mem::offset_of!(glq_e8p_desc, bias) - 104usize];
};
/**What an E8P weight is. Grows by appending.

What a tensor-parallel runtime needs to know: cuts are exact only between blocks; a power-of-two
dimension is one block. Output features can be cut between two entries of `out_blocks`, input features
between two entries of `in_blocks`; inside a block a rotation mixes all features.*/
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_e8p_info {
    ///`sizeof(glq_e8p_info)`.
    pub struct_size: u32,
    ///2 to 8.
    pub bits: i32,
    ///Columns of W.
    pub in_features: i64,
    ///Rows of W.
    pub out_features: i64,
    ///Columns of the rotated matrix.
    pub padded_in: i64,
    ///Rows of the rotated matrix.
    pub padded_out: i64,
    ///As given.
    pub weight_scale: f64,
    ///As given; 0 from `num_stages` on.
    pub cum_inv_scale: [f64; 4usize],
    ///`GLQ_CODEBOOK_*`; 0 from `num_stages` on.
    pub codebook: [i32; 4usize],
    ///1 to 4.
    pub num_stages: i32,
    ///1 if an SV vector was given.
    pub has_sv: i32,
    ///1 if an SU vector was given.
    pub has_su: i32,
    ///Type of the bias as given, 0 if none.
    pub bias_dtype: glq_dtype,
    ///Elements of `in_blocks`.
    pub num_in_blocks: i32,
    ///Elements of `out_blocks`.
    pub num_out_blocks: i32,
    ///Host array that lives as long as the tensor.
    pub in_blocks: *const i64,
    ///Host array that lives as long as the tensor.
    pub out_blocks: *const i64,
    /**Two weights of one context that share the input transform (equal SV,
blocks and padding) have equal values.*/
    pub input_transform_id: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_e8p_info"][::core::mem::size_of::<glq_e8p_info>() - 144usize];
    ["Alignment of glq_e8p_info"][::core::mem::align_of::<glq_e8p_info>() - 8usize];
    [
        "Offset of field: glq_e8p_info::struct_size",
    ][::core::mem::offset_of!(glq_e8p_info, struct_size) - 0usize];
    [
        "Offset of field: glq_e8p_info::bits",
    ][::core::mem::offset_of!(glq_e8p_info, bits) - 4usize];
    [
        "Offset of field: glq_e8p_info::in_features",
    ][::core::mem::offset_of!(glq_e8p_info, in_features) - 8usize];
    [
        "Offset of field: glq_e8p_info::out_features",
    ][::core::mem::offset_of!(glq_e8p_info, out_features) - 16usize];
    [
        "Offset of field: glq_e8p_info::padded_in",
    ][::core::mem::offset_of!(glq_e8p_info, padded_in) - 24usize];
    [
        "Offset of field: glq_e8p_info::padded_out",
    ][::core::mem::offset_of!(glq_e8p_info, padded_out) - 32usize];
    [
        "Offset of field: glq_e8p_info::weight_scale",
    ][::core::mem::offset_of!(glq_e8p_info, weight_scale) - 40usize];
    [
        "Offset of field: glq_e8p_info::cum_inv_scale",
    ][::core::mem::offset_of!(glq_e8p_info, cum_inv_scale) - 48usize];
    [
        "Offset of field: glq_e8p_info::codebook",
    ][::core::mem::offset_of!(glq_e8p_info, codebook) - 80usize];
    [
        "Offset of field: glq_e8p_info::num_stages",
    ][::core::mem::offset_of!(glq_e8p_info, num_stages) - 96usize];
    [
        "Offset of field: glq_e8p_info::has_sv",
    ][::core::mem::offset_of!(glq_e8p_info, has_sv) - 100usize];
    [
        "Offset of field: glq_e8p_info::has_su",
    ][::core::mem::offset_of!(glq_e8p_info, has_su) - 104usize];
    [
        "Offset of field: glq_e8p_info::bias_dtype",
    ][::core::mem::offset_of!(glq_e8p_info, bias_dtype) - 108usize];
    [
        "Offset of field: glq_e8p_info::num_in_blocks",
    ][::core::mem::offset_of!(glq_e8p_info, num_in_blocks) - 112usize];
    [
        "Offset of field: glq_e8p_info::num_out_blocks",
    ][::core::mem::offset_of!(glq_e8p_info, num_out_blocks) - 116usize];
    [
        "Offset of field: glq_e8p_info::in_blocks",
    ][::core::mem::offset_of!(glq_e8p_info, in_blocks) - 120usize];
    [
        "Offset of field: glq_e8p_info::out_blocks",
    ][::core::mem::offset_of!(glq_e8p_info, out_blocks) - 128usize];
    [
        "Offset of field: glq_e8p_info::input_transform_id",
    ][::core::mem::offset_of!(glq_e8p_info, input_transform_id) - 136usize];
};
///Destinations of glq_e8p_export(); a NULL member is not written. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_e8p_parts {
    ///`sizeof(glq_e8p_parts)`.
    pub struct_size: u32,
    ///Must be 0.
    pub flags: u32,
    ///Per stage, shape and type as in glq_e8p_stage.
    pub indices: [*const glq_view; 4usize],
    ///F16 `[padded_in]`.
    pub sv: *const glq_view,
    ///F16 `[padded_out]`.
    pub su: *const glq_view,
    ///`[out_features]` of the type it was given in.
    pub bias: *const glq_view,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of glq_e8p_parts"][::core::mem::size_of::<glq_e8p_parts>() - 64usize];
    ["Alignment of glq_e8p_parts"][::core::mem::align_of::<glq_e8p_parts>() - 8usize];
    [
        "Offset of field: glq_e8p_parts::struct_size",
    ][::core::mem::offset_of!(glq_e8p_parts, struct_size) - 0usize];
    [
        "Offset of field: glq_e8p_parts::flags",
    ][::core::mem::offset_of!(glq_e8p_parts, flags) - 4usize];
    [
        "Offset of field: glq_e8p_parts::indices",
    ][::core::mem::offset_of!(glq_e8p_parts, indices) - 8usize];
    [
        "Offset of field: glq_e8p_parts::sv",
    ][::core::mem::offset_of!(glq_e8p_parts, sv) - 40usize];
    [
        "Offset of field: glq_e8p_parts::su",
    ][::core::mem::offset_of!(glq_e8p_parts, su) - 48usize];
    [
        "Offset of field: glq_e8p_parts::bias",
    ][::core::mem::offset_of!(glq_e8p_parts, bias) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_quantizer {
    _unused: [u8; 0],
}
/**Pad both dimensions to powers of two, the layout of old checkpoints. At least 16 rows
and 64 columns have to come of it: out_features from 9, in_features from 33.*/
pub const GLQ_QUANTIZER_POW2: glq_quantizer_flag = 1;
///Use `seed`; otherwise 42, the seed of existing checkpoints.
pub const GLQ_QUANTIZER_HAS_SEED: glq_quantizer_flag = 2;
///Bits of glq_quantizer_desc::flags.
pub type glq_quantizer_flag = u32;
///The constants of existing checkpoints: 1.03, 3.45, 2.04.
pub const GLQ_QUANTIZER_SCALE_SPEC: glq_quantizer_scale = 0;
///Choose the scales that lower the proxy loss; better at 4 bits and more.
pub const GLQ_QUANTIZER_SCALE_SEARCH: glq_quantizer_scale = 1;
///How scales are chosen; glq_quantizer_desc::scale_mode.
pub type glq_quantizer_scale = i32;
///What to quantize and how. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_quantizer_desc {
    ///`sizeof(glq_quantizer_desc)`.
    pub struct_size: u32,
    ///Bits of `GLQ_QUANTIZER_*`.
    pub flags: u32,
    ///Columns of W, 1 to 1048576. Required.
    pub in_features: i64,
    ///Rows of W, 1 to 1048576. Required.
    pub out_features: i64,
    ///2 to 8. Required.
    pub bits: i32,
    ///Coordinate-descent passes after LDLQ, 0 to 100.
    pub refine_passes: i32,
    ///`GLQ_QUANTIZER_SCALE_*`.
    pub scale_mode: i32,
    ///Seed of the sign vectors (MT19937), with GLQ_QUANTIZER_HAS_SEED.
    pub seed: u32,
    ///Share of the mean diagonal added to the Hessian; 0: 0.01; negative: none. -1e6 to 1e6.
    pub damping: f64,
    ///The same after its rotation.
    pub damping_rht: f64,
    ///RMS that the rotated weight is scaled to, 1e-6 to 1e6; 0: by `scale_mode`.
    pub input_scale: f64,
    ///Residual scale before an E8P stage, 1e-6 to 1e6; 0: by `scale_mode`.
    pub rho_e8p: f64,
    ///Residual scale before an E81B stage, 1e-6 to 1e6; 0: by `scale_mode`.
    pub rho_e81b: f64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of glq_quantizer_desc",
    ][::core::mem::size_of::<glq_quantizer_desc>() - 80usize];
    [
        "Alignment of glq_quantizer_desc",
    ][::core::mem::align_of::<glq_quantizer_desc>() - 8usize];
    [
        "Offset of field: glq_quantizer_desc::struct_size",
    ][::core::mem::offset_of!(glq_quantizer_desc, struct_size) - 0usize];
    [
        "Offset of field: glq_quantizer_desc::flags",
    ][::core::mem::offset_of!(glq_quantizer_desc, flags) - 4usize];
    [
        "Offset of field: glq_quantizer_desc::in_features",
    ][::core::mem::offset_of!(glq_quantizer_desc, in_features) - 8usize];
    [
        "Offset of field: glq_quantizer_desc::out_features",
    ][::core::mem::offset_of!(glq_quantizer_desc, out_features) - 16usize];
    [
        "Offset of field: glq_quantizer_desc::bits",
    ][::core::mem::offset_of!(glq_quantizer_desc, bits) - 24usize];
    [
        "Offset of field: glq_quantizer_desc::refine_passes",
    ][::core::mem::offset_of!(glq_quantizer_desc, refine_passes) - 28usize];
    [
        "Offset of field: glq_quantizer_desc::scale_mode",
    ][::core::mem::offset_of!(glq_quantizer_desc, scale_mode) - 32usize];
    [
        "Offset of field: glq_quantizer_desc::seed",
    ][::core::mem::offset_of!(glq_quantizer_desc, seed) - 36usize];
    [
        "Offset of field: glq_quantizer_desc::damping",
    ][::core::mem::offset_of!(glq_quantizer_desc, damping) - 40usize];
    [
        "Offset of field: glq_quantizer_desc::damping_rht",
    ][::core::mem::offset_of!(glq_quantizer_desc, damping_rht) - 48usize];
    [
        "Offset of field: glq_quantizer_desc::input_scale",
    ][::core::mem::offset_of!(glq_quantizer_desc, input_scale) - 56usize];
    [
        "Offset of field: glq_quantizer_desc::rho_e8p",
    ][::core::mem::offset_of!(glq_quantizer_desc, rho_e8p) - 64usize];
    [
        "Offset of field: glq_quantizer_desc::rho_e81b",
    ][::core::mem::offset_of!(glq_quantizer_desc, rho_e81b) - 72usize];
};
/**Told about the progress of a run, on the thread that called glq_quantizer_run().
* `user`: As given to glq_quantizer_run().
* `done`: Work done so far.
* `total`: All work; `done == total` in the last call, just before the weight is made.
* `phase`: Static name of what comes next: `"hessian"`, `"weight"`, `"scales"`, `"ldlq"` or `"finish"`.

Returns: 0 to go on, anything else to stop with GLQ_E_CANCELLED, in the last call, too.*/
pub type glq_progress_fn = ::core::option::Option<
    unsafe extern "C" fn(
        user: *mut ::core::ffi::c_void,
        done: i64,
        total: i64,
        phase: *const ::core::ffi::c_char,
    ) -> i32,
>;
///How good the last finished run was. Grows by appending.
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_quantizer_report {
    ///`sizeof(glq_quantizer_report)`.
    pub struct_size: u32,
    ///1 to 4.
    pub num_stages: i32,
    ///Mean over padded rows of d H d^T, d the error in the rotated space, H undamped.
    pub proxy_loss: f64,
    ///The same divided by the mean of w H w^T.
    pub proxy_loss_relative: f64,
    ///10 log10(|W|^2 / |W - What|^2) in the original space.
    pub sqnr_db: f64,
    ///`Wscale`.
    pub weight_scale: f64,
    ///sigma of each stage; 0 from `num_stages` on.
    pub cum_inv_scale: [f64; 4usize],
    ///Time spent in glq_quantizer_run(), the parts of a kept run included.
    pub seconds: f64,
    ///Tokens behind the Hessian.
    pub samples: f64,
    ///Extra damping steps the factorisation needed.
    pub damping_retries: i32,
    ///0.
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of glq_quantizer_report",
    ][::core::mem::size_of::<glq_quantizer_report>() - 96usize];
    [
        "Alignment of glq_quantizer_report",
    ][::core::mem::align_of::<glq_quantizer_report>() - 8usize];
    [
        "Offset of field: glq_quantizer_report::struct_size",
    ][::core::mem::offset_of!(glq_quantizer_report, struct_size) - 0usize];
    [
        "Offset of field: glq_quantizer_report::num_stages",
    ][::core::mem::offset_of!(glq_quantizer_report, num_stages) - 4usize];
    [
        "Offset of field: glq_quantizer_report::proxy_loss",
    ][::core::mem::offset_of!(glq_quantizer_report, proxy_loss) - 8usize];
    [
        "Offset of field: glq_quantizer_report::proxy_loss_relative",
    ][::core::mem::offset_of!(glq_quantizer_report, proxy_loss_relative) - 16usize];
    [
        "Offset of field: glq_quantizer_report::sqnr_db",
    ][::core::mem::offset_of!(glq_quantizer_report, sqnr_db) - 24usize];
    [
        "Offset of field: glq_quantizer_report::weight_scale",
    ][::core::mem::offset_of!(glq_quantizer_report, weight_scale) - 32usize];
    [
        "Offset of field: glq_quantizer_report::cum_inv_scale",
    ][::core::mem::offset_of!(glq_quantizer_report, cum_inv_scale) - 40usize];
    [
        "Offset of field: glq_quantizer_report::seconds",
    ][::core::mem::offset_of!(glq_quantizer_report, seconds) - 72usize];
    [
        "Offset of field: glq_quantizer_report::samples",
    ][::core::mem::offset_of!(glq_quantizer_report, samples) - 80usize];
    [
        "Offset of field: glq_quantizer_report::damping_retries",
    ][::core::mem::offset_of!(glq_quantizer_report, damping_retries) - 88usize];
    [
        "Offset of field: glq_quantizer_report::reserved",
    ][::core::mem::offset_of!(glq_quantizer_report, reserved) - 92usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct glq_checkpoint {
    _unused: [u8; 0],
}
functions! {
    /**Version of the loaded library, comparable with GLQ_VERSION.

Returns: major * 1000000 + minor * 1000 + patch.*/
    pub fn glq_version() -> u32;
    /**Version of the binary interface of the loaded library; compare with GLQ_ABI_VERSION.

Returns: The ABI version.*/
    pub fn glq_abi_version() -> u32;
    /**One line per fact: version, compilers, CUDA toolkit, GPU architectures, SIMD targets, options.

Returns: A static UTF-8 string, never NULL.*/
    pub fn glq_build_info() -> *const ::core::ffi::c_char;
    /**Says whether CUDA is usable and, if not, why: no driver, driver too old, no device, CPU-only build.
* `info`: Set `struct_size`; the rest is filled.

Capture: Not checked: it asks the driver.

May be called from any thread at any time.

Returns: GLQ_OK if `info` was filled, whatever it says; GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_get_cuda_info(info: *mut glq_cuda_info) -> glq_status;
    /**Name of a status, such as `"GLQ_E_SHAPE"`.
* `status`: Any value.

Returns: A static string, never NULL; `"GLQ_E_UNKNOWN"` for a value this library does not know.*/
    pub fn glq_status_name(status: glq_status) -> *const ::core::ffi::c_char;
    /**One sentence that explains a status.
* `status`: Any value.

Returns: A static string, never NULL.*/
    pub fn glq_status_string(status: glq_status) -> *const ::core::ffi::c_char;
    /**Detail of the last failure on this thread.

Only a failing call changes it; a successful call leaves it alone, so ask only after a failure.
* `info`: Set `struct_size`; the rest is filled. Without a failure, status is GLQ_OK.

Returns: GLQ_OK; GLQ_E_INVALID_ARGUMENT if `info` is NULL, GLQ_E_STRUCT_SIZE. These two do not
change the recorded detail.*/
    pub fn glq_last_error(info: *mut glq_error_info) -> glq_status;
    ///Forgets the recorded failure of this thread.
    pub fn glq_clear_error();
    /**Number of usable devices of one type.
* `type`: GLQ_DEVICE_CPU (always 1) or GLQ_DEVICE_CUDA (0 without driver or GPU; never an error).
* `count`: The number.

Capture: Not checked: for GLQ_DEVICE_CUDA it asks the driver.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT.*/
    pub fn glq_device_count(type_: i32, count: *mut i32) -> glq_status;
    /**Reads `"cpu"`, `"cuda"` (device 0) or `"cuda:N"`. The device need not exist.
* `text`: NUL-terminated.
* `device`: The device.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT.*/
    pub fn glq_device_parse(
        text: *const ::core::ffi::c_char,
        device: *mut glq_device,
    ) -> glq_status;
    /**Fills in the properties of one device.
* `device`: Which one.
* `info`: Set `struct_size`; the rest is filled.

Capture: Not checked: for a CUDA device it asks the driver, which makes the device's primary context if there is
none.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE, GLQ_E_NO_DEVICE, GLQ_E_NO_DRIVER,
GLQ_E_DRIVER_TOO_OLD, GLQ_E_UNSUPPORTED_BUILD, GLQ_E_CUDA.*/
    pub fn glq_device_get_info(
        device: *const glq_device,
        info: *mut glq_device_info,
    ) -> glq_status;
    /**Fills a descriptor with defaults; for languages that cannot use GLQ_CONTEXT_DESC_INIT.
* `desc`: The descriptor.
* `struct_size`: `sizeof(glq_context_desc)` as the caller knows it.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_context_desc_init(
        desc: *mut glq_context_desc,
        struct_size: u32,
    ) -> glq_status;
    /**Makes a context.

On CUDA it uses the device's primary context and, unless GLQ_CONTEXT_LAZY is set, loads all of the
library's kernels for this GPU so that the first call of every operation may already be captured.

Environment variables (ABI.md) stand in for what `desc` leaves open. A value that is not one of theirs, such as
`GLQ_LOG=verbose`, is GLQ_E_INVALID_ARGUMENT.
* `desc`: NULL: the CPU with defaults.
* `context`: Set to NULL on failure.

Capture: Not checked: on CUDA it loads kernels and makes a cuBLASLt handle.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE, GLQ_E_NO_DEVICE, GLQ_E_NO_DRIVER,
GLQ_E_DRIVER_TOO_OLD, GLQ_E_UNSUPPORTED_ARCH, GLQ_E_UNSUPPORTED_BUILD,
GLQ_E_OUT_OF_HOST_MEMORY, GLQ_E_OUT_OF_DEVICE_MEMORY, GLQ_E_CUDA.*/
    pub fn glq_context_create(
        desc: *const glq_context_desc,
        context: *mut *mut glq_context,
    ) -> glq_status;
    /**Adds a reference; each needs one glq_context_destroy().
* `context`: A live context.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE.*/
    pub fn glq_context_retain(context: *mut glq_context) -> glq_status;
    /**Gives up one reference. The context goes when its last reference and its last object are gone.

Does not wait, except the call that ends the context (last reference and last object, so possibly the
`_destroy` of an object): it may wait for the device, joins the library's threads, and calls the
allocator's and release functions on the calling thread. What other destroyed objects hold is released
by the next object creation or by glq_context_synchronize(); see "Release of memory" above.
* `context`: May be NULL.

Capture: Allowed. Only the call that ends a CUDA context must not be made meanwhile (not checked): it waits for the
device and frees memory.

May be called from any thread at any time.*/
    pub fn glq_context_destroy(context: *mut glq_context);
    /**Tells what a context found and holds.
* `context`: A live context.
* `info`: Set `struct_size`; the rest is filled.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_context_get_info(
        context: *const glq_context,
        info: *mut glq_context_info,
    ) -> glq_status;
    /**Waits until all work queued on `stream` is done, then releases what destroyed objects hold.

For that release it may wait for other work of the device too. Apart from functions that make or export
objects, and the call that ends the context, no function waits for the device.
* `context`: A live context.
* `stream`: The stream; NULL on a CPU context.

Capture: Refused: GLQ_E_UNSUPPORTED_WHILE_CAPTURING. While another stream of the calling thread captures, it waits
for `stream` and releases nothing.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_UNSUPPORTED_WHILE_CAPTURING,
GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_context_synchronize(
        context: *mut glq_context,
        stream: glq_stream,
    ) -> glq_status;
    /**Tells, before any weight is loaded, whether and how an operation would run.
* `context`: A live context.
* `query`: The question.
* `info`: Set `struct_size`; the rest is filled.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: GLQ_OK if the question could be answered, whatever the answer; GLQ_E_INVALID_ARGUMENT,
GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_op_support(
        context: *const glq_context,
        query: *const glq_op_query,
        info: *mut glq_op_support_info,
    ) -> glq_status;
    /**Fills a view of a compact row-major array.
* `view`: The view.
* `data`: First element; not examined if an extent is 0. The view may be written through: set
GLQ_VIEW_READ_ONLY in its flags if the memory must not be.
* `dtype`: `GLQ_DTYPE_*`.
* `device`: Where the memory is; NULL: the CPU.
* `ndim`: 0 to GLQ_MAX_NDIM.
* `shape`: `ndim` extents; may be NULL if `ndim` is 0.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_SHAPE, GLQ_E_DTYPE.*/
    pub fn glq_view_init(
        view: *mut glq_view,
        data: *const ::core::ffi::c_void,
        dtype: glq_dtype,
        device: *const glq_device,
        ndim: i32,
        shape: *const i64,
    ) -> glq_status;
    /**Checks that a view is well formed: rank, extents, strides, type, alignment to the element, reserved fields.

Less aligned host memory, refused here, is accepted where glq_view says so.
* `view`: The view; its memory is not touched.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT, GLQ_E_ALIGNMENT.*/
    pub fn glq_view_check(view: *const glq_view) -> glq_status;
    /**Copies elements between two views of one shape and type, on any pair of devices of this context.

Whatever the kind of host memory, it must stay valid, in place and (as a destination) unread until
glq_context_synchronize() on that stream or an equivalent wait. On a CPU context the copy is done on return.
* `context`: A live context.
* `stream`: The copy is ordered on it; NULL on a CPU context.
* `source`: Any strides; host memory of any alignment. Pageable host memory makes CUDA wait for it.
* `destination`: Any strides under which no two elements share memory; host memory of any alignment; not
read-only; must not overlap `source`.

Capture: Allowed between device views. Refused between host and device: GLQ_E_UNSUPPORTED_WHILE_CAPTURING.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT,
GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_ALIASING, GLQ_E_UNSUPPORTED_WHILE_CAPTURING, GLQ_E_CUDA,
GLQ_E_DEVICE_LOST.*/
    pub fn glq_view_copy(
        context: *mut glq_context,
        stream: glq_stream,
        source: *const glq_view,
        destination: *const glq_view,
    ) -> glq_status;
    /**Makes a dense tensor with memory from the context's allocator. The elements are not initialised.
* `context`: A live context; the memory is on its device.
* `spec`: `dtype`, `ndim` and `shape` are used; `data`, `strides` and `device` are ignored.
* `tensor`: Set to NULL on failure.

Capture: Not checked, since there is no stream. It asks the allocator for device memory: cudaMalloc then fails (but in
CUDA's relaxed mode), which is GLQ_E_OUT_OF_DEVICE_MEMORY, and may invalidate the capture.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_ALIGNMENT (the allocator's memory is less aligned than it was asked for), GLQ_E_OUT_OF_HOST_MEMORY,
GLQ_E_OUT_OF_DEVICE_MEMORY.*/
    pub fn glq_tensor_create(
        context: *mut glq_context,
        spec: *const glq_view,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Makes a dense tensor that owns a compact copy of `source`, from any device of this context.
* `context`: A live context.
* `stream`: Ordered after the work queued on it. The copy is complete when the function returns.
* `source`: What to copy; host memory of any alignment.
* `tensor`: Set to NULL on failure.

Capture: Refused: GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
glq_tensor_create().

May be called from any thread at any time.

Returns: As glq_tensor_create() and glq_view_copy().*/
    pub fn glq_tensor_create_copy(
        context: *mut glq_context,
        stream: glq_stream,
        source: *const glq_view,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Makes a dense tensor over memory that the caller keeps.
* `context`: A live context; `view` must be on its device.
* `view`: The memory; it stays valid until the last reference, DLPack exports included, is gone and its
queued work is done (with `release`: until that is called).
* `release`: Called when the tensor goes; may be NULL. Not called if this function fails.
* `user`: Passed to `release`.
* `tensor`: Set to NULL on failure.

Capture: Not checked, since there is no stream. It allocates no device memory, and releases nothing while a stream of
the calling thread captures.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_DEVICE_MISMATCH, GLQ_E_OUT_OF_HOST_MEMORY,
and those of glq_view_check().*/
    pub fn glq_tensor_borrow(
        context: *mut glq_context,
        view: *const glq_view,
        release: glq_release_fn,
        user: *mut ::core::ffi::c_void,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Takes over an array from another framework.

No stream is involved: the caller orders the producer's work before the first use.
* `context`: A live context; the array must be on its device.
* `managed`: Owned by the tensor if the call succeeds, untouched if it fails. `version.major` must be 1.
* `tensor`: Set to NULL on failure.

Capture: Not checked, since there is no stream. It allocates no device memory, and releases nothing while a stream of
the calling thread captures.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_DEVICE_MISMATCH, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_ALIGNMENT, GLQ_E_UNSUPPORTED (DLPack version), GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_tensor_import_dlpack(
        context: *mut glq_context,
        managed: *mut DLManagedTensorVersioned,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Lends a dense tensor to another framework.

No stream is involved: the caller orders the consumer's work and the work queued here.
* `tensor`: Dense. The export keeps a reference to it.
* `managed`: Call its `deleter` when done. Set to NULL on failure.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_UNSUPPORTED (not dense), GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_tensor_export_dlpack(
        tensor: *mut glq_tensor,
        managed: *mut *mut DLManagedTensorVersioned,
    ) -> glq_status;
    /**Tells what a tensor is.
* `tensor`: A live tensor.
* `info`: Set `struct_size`; the rest is filled.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_tensor_get_info(
        tensor: *const glq_tensor,
        info: *mut glq_tensor_info,
    ) -> glq_status;
    /**The elements of a dense tensor as a view, valid while the tensor lives.
* `tensor`: Dense.
* `view`: The view; carries GLQ_VIEW_READ_ONLY if the memory may not be written.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_UNSUPPORTED (not dense).*/
    pub fn glq_tensor_view(tensor: *const glq_tensor, view: *mut glq_view) -> glq_status;
    /**Adds a reference; each needs one glq_tensor_destroy().
* `tensor`: A live tensor.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE.*/
    pub fn glq_tensor_retain(tensor: *mut glq_tensor) -> glq_status;
    /**Gives up one reference. With the last one the memory is freed or released once nothing uses it any more.

Does not wait, unless it ends the context (see glq_context_destroy()): the memory goes, and a release
function or DLPack deleter is called, only after all work queued on the device before has finished. The
library sees to that where it releases, at an object creation or glq_context_synchronize(). Not covered
are later replays of a graph captured with the tensor: keep it alive until the graph is destroyed. On a
CPU context everything is released at once.
* `tensor`: May be NULL.

Capture: Allowed, unless it ends the context: see glq_context_destroy().

May be called from any thread at any time.*/
    pub fn glq_tensor_destroy(tensor: *mut glq_tensor);
    /**Fills a descriptor with defaults; for languages that cannot use GLQ_E8P_DESC_INIT.
* `desc`: The descriptor.
* `struct_size`: `sizeof(glq_e8p_desc)` as the caller knows it.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_e8p_desc_init(desc: *mut glq_e8p_desc, struct_size: u32) -> glq_status;
    /**Makes an E8P weight on the context's device.

The handle keeps its own copy, in a layout of the same number of bits that suits the device's
kernels; everything in `desc` may be released when the function returns.
* `context`: A live context.
* `stream`: Ordered after the work queued on it; the weight is complete when the function
returns. NULL on a CPU context.
* `desc`: The parts.
* `tensor`: Set to NULL on failure.

Capture: Refused: GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
glq_tensor_create().

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_NOT_FINITE,
GLQ_E_UNSUPPORTED_WHILE_CAPTURING, GLQ_E_OUT_OF_HOST_MEMORY, GLQ_E_OUT_OF_DEVICE_MEMORY, GLQ_E_CUDA,
GLQ_E_DEVICE_LOST.*/
    pub fn glq_tensor_create_e8p(
        context: *mut glq_context,
        stream: glq_stream,
        desc: *const glq_e8p_desc,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Tells what an E8P weight is.
* `tensor`: An E8P tensor.
* `info`: Set `struct_size`; the rest is filled.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_UNSUPPORTED (not E8P).*/
    pub fn glq_e8p_get_info(
        tensor: *const glq_tensor,
        info: *mut glq_e8p_info,
    ) -> glq_status;
    /**Writes an E8P weight back in the checkpoint's layout, bit for bit as it was given.
* `context`: The context of `tensor`.
* `stream`: Ordered after the work queued on it; complete when the function returns.
* `tensor`: An E8P tensor.
* `parts`: Where to: compact views on the host or on the tensor's device. Vectors that the weight
does not have (see glq_e8p_info) are refused.

Capture: Refused: GLQ_E_UNSUPPORTED_WHILE_CAPTURING. Captures of other streams are not checked, as in
glq_tensor_create(): stages that go to the host take a device buffer on their way.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_ALIASING (two destinations overlap),
GLQ_E_NOT_FOUND (a vector or stage it does not have),
GLQ_E_UNSUPPORTED (not E8P), GLQ_E_UNSUPPORTED_WHILE_CAPTURING, GLQ_E_OUT_OF_HOST_MEMORY,
GLQ_E_OUT_OF_DEVICE_MEMORY, GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_e8p_export(
        context: *mut glq_context,
        stream: glq_stream,
        tensor: *const glq_tensor,
        parts: *const glq_e8p_parts,
    ) -> glq_status;
    /**Workspace that glq_fused_linear_e8p() needs for up to `max_tokens` rows.

Does not decrease with `max_tokens`: what suffices for the largest batch suffices for all. The library
processes large batches in slices, so that the workspace stops growing at a token count that depends on
the weight.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `max_tokens`: At least 0.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_DEVICE_MISMATCH,
GLQ_E_UNSUPPORTED (not E8P).*/
    pub fn glq_fused_linear_e8p_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**y = x W^T + bias with an E8P weight: sign, Hadamard, matrix product, Hadamard, sign, scale and bias in one call.

A row of x with NaN or infinity (before or after its transform) gives a row of canonical quiet NaN
and does not touch other rows. With 0 tokens it succeeds, queues nothing, and the workspace may be NULL.
* `context`: The context of `weight`.
* `stream`: The work is queued on it; on a CPU context NULL, and the work is done on return.
* `weight`: An E8P tensor.
* `x`: F16, BF16 or F32 `[tokens, in_features]` (or `[in_features]`), unit column stride. 16-byte aligned rows are fastest.
* `y`: F16, BF16 or F32 `[tokens, out_features]` (or `[out_features]`), unit column stride; rounded once
from FP32. Must not overlap x or the workspace.
* `workspace`: At least glq_fused_linear_e8p_workspace() bytes; NULL if that is 0.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing (cuBLASLt, where it is used, on the host), waits for nothing.

Determinism: GLQ_MATH_EXACT: the same bytes in every run, for a token alone or in any batch, on every device.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_ALIASING, GLQ_E_WORKSPACE_TOO_SMALL,
GLQ_E_UNSUPPORTED (not E8P), GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with GLQ_CONTEXT_SYNC_EACH_CALL),
GLQ_E_CUBLAS, GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_fused_linear_e8p(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        x: *const glq_view,
        y: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Workspace that glq_fused_linear_e8p_group() needs for up to `max_tokens` rows; grows as that of one weight does.
* `context`: A live context.
* `weights`: As for the call.
* `count`: 1 to GLQ_E8P_MAX_GROUP.
* `max_tokens`: At least 0.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p_workspace(), and GLQ_E_SHAPE (weights of unequal `in_features`).*/
    pub fn glq_fused_linear_e8p_group_workspace(
        context: *const glq_context,
        weights: *const *const glq_tensor,
        count: i32,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**Several linears of one input (query/key/value, gate/up), as glq_fused_linear_e8p() of each, byte for byte.

(With GLQ_MATH_FP16_EXPANDED the weights that share the transform take the FP16 product together or not at all, so that one of
them may be computed otherwise than alone.)
The input is transformed once for weights that share the transform (glq_e8p_info::input_transform_id);
widths and output sizes may differ. Two views overlap if they share an element. Column slices of one
row-strided buffer (equal row strides) do not overlap, so the outputs of a group may be column ranges of
one matrix.
* `context`: The context of the weights.
* `stream`: As glq_fused_linear_e8p().
* `weights`: `count` E8P tensors of this context with equal `in_features`. A NULL entry is skipped, and the
entry of `y` is not looked at; at least one must be there.
* `count`: 1 to GLQ_E8P_MAX_GROUP.
* `x`: As glq_fused_linear_e8p().
* `y`: Array of `count` views, each as in glq_fused_linear_e8p(); no two may overlap.
* `workspace`: At least glq_fused_linear_e8p_group_workspace() bytes.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: As glq_fused_linear_e8p().

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_fused_linear_e8p_group(
        context: *mut glq_context,
        stream: glq_stream,
        weights: *const *const glq_tensor,
        count: i32,
        x: *const glq_view,
        y: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Prints how glq_fused_linear_e8p() would run: kernels, tiles, splits, grid, shared memory, bytes moved, floor.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `tokens`: Rows of x.
* `opts`: As for the call, or NULL.
* `text`: Receives a NUL-terminated text of one `key: value` a line; may be NULL if `capacity` is 0.
* `capacity`: Bytes of `text`.
* `needed`: Bytes the text takes, with its NUL.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: GLQ_OK, also for NULL with capacity 0, which asks for the size; GLQ_E_BUFFER_TOO_SMALL if `capacity` is
otherwise less than `needed` (which is set, and `text` is cut); as glq_fused_linear_e8p_workspace().*/
    pub fn glq_fused_linear_e8p_plan(
        context: *const glq_context,
        weight: *const glq_tensor,
        tokens: i64,
        opts: *const glq_launch_opts,
        text: *mut ::core::ffi::c_char,
        capacity: usize,
        needed: *mut usize,
    ) -> glq_status;
    /**Workspace that glq_rht_input() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `max_tokens`: At least 0.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p_workspace().*/
    pub fn glq_rht_input_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**First step: v = B_in( SV * pad(x) ), in FP32.
* `context`: The context of `weight`.
* `stream`: As glq_fused_linear_e8p().
* `weight`: An E8P tensor; its SV and input blocks are used.
* `x`: F16, BF16 or F32 `[tokens, in_features]`.
* `v`: F32 `[tokens, padded_in]`; must not overlap x.
* `workspace`: At least glq_rht_input_workspace() bytes; NULL if that is 0.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device and for every batch size.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_rht_input(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        x: *const glq_view,
        v: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Workspace that glq_matmul_e8p() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `max_tokens`: At least 0.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p_workspace().*/
    pub fn glq_matmul_e8p_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**Second step: z = weight_scale * sum_s sigma_s Q_s v, with v rounded to 16-bit integers per row first.
* `context`: The context of `weight`.
* `stream`: As glq_fused_linear_e8p().
* `weight`: An E8P tensor.
* `v`: F32 `[tokens, padded_in]`.
* `z`: F32 `[tokens, padded_out]`; must not overlap v.
* `workspace`: At least glq_matmul_e8p_workspace() bytes.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: As glq_fused_linear_e8p().

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_matmul_e8p(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        v: *const glq_view,
        z: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Workspace that glq_rht_output() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `max_tokens`: At least 0.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p_workspace().*/
    pub fn glq_rht_output_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**Third step: y = crop( SU * B_out(z) ) + bias, rounded once.
* `context`: The context of `weight`.
* `stream`: As glq_fused_linear_e8p().
* `weight`: An E8P tensor; its SU, output blocks and bias are used.
* `z`: F32 `[tokens, padded_out]`.
* `y`: F16, BF16 or F32 `[tokens, out_features]`; must not overlap z.
* `workspace`: At least glq_rht_output_workspace() bytes; NULL if that is 0.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device and for every batch size.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_rht_output(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        z: *const glq_view,
        y: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Decodes rows of the rotated matrix: weight_scale * sum_s sigma_s Q_s.

Each element is w_1 * k_1, then a fused multiply-add per further stage in FP32 (w_s the integer of the
codebook, k_s as in ABI.md, "Numerics"), rounded once to the type of `w`.
* `context`: The context of `weight`.
* `stream`: As glq_fused_linear_e8p().
* `weight`: An E8P tensor.
* `row_begin`: First row, 0 to `padded_out`.
* `w`: F16, BF16 or F32 `[rows, padded_in]` with `row_begin + rows <= padded_out`.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_decode_e8p(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        row_begin: i64,
        w: *const glq_view,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Workspace that glq_dequantize() needs: one FP32 copy of the rotated matrix.
* `context`: A live context.
* `weight`: An E8P tensor of this context.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p_workspace().*/
    pub fn glq_dequantize_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**The effective weight W, both rotations undone, for inspection and conversion (not needed to run).
* `context`: The context of `weight`.
* `stream`: As glq_fused_linear_e8p().
* `weight`: An E8P tensor.
* `w`: F16, BF16 or F32 `[out_features, in_features]`; FP32 arithmetic, rounded once.
* `workspace`: At least glq_dequantize_workspace() bytes.
* `opts`: NULL for defaults.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device.

May be called from any thread at any time.

Returns: As glq_fused_linear_e8p().*/
    pub fn glq_dequantize(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        w: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Packs codes into the checkpoint's layout.
* `context`: A live context; both views are on its device.
* `stream`: As glq_fused_linear_e8p().
* `codebook`: `GLQ_CODEBOOK_*`.
* `codes`: Compact U16 (E8P) or U8 (E81B) `[rows, cols/8]`, rows a multiple of 16 (E8P), cols of 64.
* `packed`: Compact I64 `[rows/16, cols/64, 8, 4]` (E8P) or `[rows, cols/64]` (E81B).

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT,
GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_ALIASING,
GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with GLQ_CONTEXT_SYNC_EACH_CALL), GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_e8p_pack(
        context: *mut glq_context,
        stream: glq_stream,
        codebook: i32,
        codes: *const glq_view,
        packed: *const glq_view,
    ) -> glq_status;
    /**Unpacks the checkpoint's layout into codes; the inverse of glq_e8p_pack().
* `context`: A live context; both views are on its device.
* `stream`: As glq_fused_linear_e8p().
* `codebook`: `GLQ_CODEBOOK_*`.
* `packed`: As in glq_e8p_pack().
* `codes`: As in glq_e8p_pack().

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes on every device.

May be called from any thread at any time.

Returns: As glq_e8p_pack().*/
    pub fn glq_e8p_unpack(
        context: *mut glq_context,
        stream: glq_stream,
        codebook: i32,
        packed: *const glq_view,
        codes: *const glq_view,
    ) -> glq_status;
    /**The codebook as data: four times the weights of every E8P code, or twice those of every E81B code.
* `codebook`: `GLQ_CODEBOOK_*`.
* `table`: Compact I8 on the host: `[65536, 8]` for E8P, `[256, 8]` for E81B.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT, GLQ_E_DEVICE_MISMATCH.*/
    pub fn glq_e8p_codebook(codebook: i32, table: *const glq_view) -> glq_status;
    /**Workspace that glq_gemv_bf16() needs for up to `max_tokens` rows. Does not decrease with `max_tokens`.
* `context`: A live context.
* `weight`: As for the call.
* `max_tokens`: 0 to GLQ_GEMV_MAX_TOKENS.
* `opts`: As for the call, or NULL.
* `bytes`: The size.

Capture: Allowed; touches no device.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_DEVICE_MISMATCH, GLQ_E_UNSUPPORTED (not dense).*/
    pub fn glq_gemv_bf16_workspace(
        context: *const glq_context,
        weight: *const glq_tensor,
        max_tokens: i64,
        opts: *const glq_launch_opts,
        bytes: *mut usize,
    ) -> glq_status;
    /**y = x W^T with a BF16 weight, FP32 products and sums in a fixed order; each weight is read once.

With 0 tokens it succeeds, queues nothing, and the workspace may be NULL.
* `context`: The context of `weight`.
* `stream`: The work is queued on it; NULL on a CPU context, where the work is done on return.
* `weight`: A dense BF16 tensor `[N, K]` with unit column stride; N and K are free. 16-byte aligned rows are fastest.
* `x`: BF16 `[tokens, K]` (or `[K]`), tokens at most GLQ_GEMV_MAX_TOKENS, unit column stride.
* `y`: BF16, F16 or F32 `[tokens, N]` (or `[N]`), rounded once. Must not overlap the inputs. K = 0 gives zeros.
* `workspace`: At least glq_gemv_bf16_workspace() bytes; NULL if that is 0.
* `opts`: NULL for defaults. glq_launch_opts::math_mode has no effect.

Capture: Allowed. Allocates nothing, waits for nothing.

Determinism: The same bytes in every run on one device; a row does not depend on the other rows of the batch.
Devices may differ in the last bits.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH, GLQ_E_ALIASING, GLQ_E_WORKSPACE_TOO_SMALL,
GLQ_E_UNSUPPORTED (not dense), GLQ_E_UNSUPPORTED_WHILE_CAPTURING (with GLQ_CONTEXT_SYNC_EACH_CALL),
GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_gemv_bf16(
        context: *mut glq_context,
        stream: glq_stream,
        weight: *const glq_tensor,
        x: *const glq_view,
        y: *const glq_view,
        workspace: *const glq_workspace,
        opts: *const glq_launch_opts,
    ) -> glq_status;
    /**Fills a descriptor with defaults; for languages that cannot use GLQ_QUANTIZER_DESC_INIT.
* `desc`: The descriptor.
* `struct_size`: `sizeof(glq_quantizer_desc)` as the caller knows it.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_quantizer_desc_init(
        desc: *mut glq_quantizer_desc,
        struct_size: u32,
    ) -> glq_status;
    /**Peak host memory of a quantizer of these dimensions, from creation to the end of a run.
* `desc`: The layer.
* `bytes`: The estimate, an upper bound.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_STRUCT_SIZE, GLQ_E_SHAPE (see GLQ_QUANTIZER_POW2),
GLQ_E_NOT_FINITE.*/
    pub fn glq_quantizer_memory(
        desc: *const glq_quantizer_desc,
        bytes: *mut usize,
    ) -> glq_status;
    /**Makes a quantizer with an empty Hessian.
* `context`: Its threads are used, and results are made on its device.
* `desc`: The layer.
* `quantizer`: Set to NULL on failure.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE,
GLQ_E_SHAPE (see GLQ_QUANTIZER_POW2), GLQ_E_NOT_FINITE, GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_quantizer_create(
        context: *mut glq_context,
        desc: *const glq_quantizer_desc,
        quantizer: *mut *mut glq_quantizer,
    ) -> glq_status;
    /**Adds x^T x of a batch of activations to the Hessian. The report of the last run is lost.
* `quantizer`: A live quantizer that keeps no run (see glq_quantizer_run()).
* `x`: F16, BF16, F32 or F64 `[tokens, in_features]` on the host, finite. The largest magnitude of
each token, squared and summed over all tokens so far, may reach 1e100, which only F64 can exceed.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT,
GLQ_E_DEVICE_MISMATCH, GLQ_E_NOT_FINITE (or too large; the Hessian is unchanged),
GLQ_E_WRONG_STATE (a run is kept), GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_quantizer_add_batch(
        quantizer: *mut glq_quantizer,
        x: *const glq_view,
    ) -> glq_status;
    /**Replaces the Hessian. The report of the last run is lost.
* `quantizer`: A live quantizer that keeps no run (see glq_quantizer_run()).
* `hessian`: F32 or F64 `[in_features, in_features]` on the host: symmetric, finite; the mean of x^T x per token.
No element times `samples` (unless that is 0) may be beyond 1e100 in magnitude.
* `samples`: Tokens it stands for when batches are added to it; at least 0, finite. With 0 they replace it.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT,
GLQ_E_DEVICE_MISMATCH, GLQ_E_NOT_FINITE (or too large; the Hessian is unchanged),
GLQ_E_WRONG_STATE (a run is kept), GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_quantizer_set_hessian(
        quantizer: *mut glq_quantizer,
        hessian: *const glq_view,
        samples: f64,
    ) -> glq_status;
    /**Copies the Hessian out, to merge shards or to keep it.
* `quantizer`: A live quantizer.
* `hessian`: F32 or F64 `[in_features, in_features]` on the host: the mean of x^T x per token.
* `samples`: Tokens it stands for; may be NULL.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE, GLQ_E_LAYOUT,
GLQ_E_ALIGNMENT, GLQ_E_DEVICE_MISMATCH.*/
    pub fn glq_quantizer_get_hessian(
        quantizer: *const glq_quantizer,
        hessian: *const glq_view,
        samples: *mut f64,
    ) -> glq_status;
    /**Quantizes a weight. Without a Hessian the identity is used.

A run that is cancelled or fails from `"ldlq"` on is kept, also where it is only the memory of the finished weight
that cannot be had. Call again with the same arguments (also after save and load) to go on, with the same bytes as if
it had never stopped; or forget it with glq_quantizer_abandon(). Cancelled or failed before `"ldlq"`, a new run
leaves nothing behind: the next may be of another weight or Hessian. One that goes on stays kept whenever it is
cancelled. After success the quantizer can be run again on another weight with the same Hessian.
* `quantizer`: A live quantizer.
* `stream`: Used to put the result on a CUDA context's device; complete on return.
* `weight`: F16, BF16, F32 or F64 `[out_features, in_features]` on the host, finite.
* `bias`: F16, BF16 or F32 `[out_features]` on the host, stored with the result; may be NULL.
* `progress`: May be NULL.
* `user`: Passed to `progress`.
* `tensor`: The E8P weight; set to NULL on failure.

Capture: Refused: GLQ_E_UNSUPPORTED_WHILE_CAPTURING.

Returns: GLQ_OK, GLQ_E_CANCELLED, GLQ_E_NUMERIC, GLQ_E_NOT_FINITE, GLQ_E_WRONG_STATE (the run that is kept is
of another weight), GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_SHAPE, GLQ_E_DTYPE,
GLQ_E_LAYOUT, GLQ_E_DEVICE_MISMATCH, GLQ_E_UNSUPPORTED_WHILE_CAPTURING,
GLQ_E_OUT_OF_HOST_MEMORY, GLQ_E_OUT_OF_DEVICE_MEMORY, GLQ_E_CUDA, GLQ_E_DEVICE_LOST.*/
    pub fn glq_quantizer_run(
        quantizer: *mut glq_quantizer,
        stream: glq_stream,
        weight: *const glq_view,
        bias: *const glq_view,
        progress: glq_progress_fn,
        user: *mut ::core::ffi::c_void,
        tensor: *mut *mut glq_tensor,
    ) -> glq_status;
    /**Forgets a run that is kept (see glq_quantizer_run()), so that the next may be of another weight. The Hessian
stays.
* `quantizer`: A live quantizer.

Returns: GLQ_OK, also if there is no such run; GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE.*/
    pub fn glq_quantizer_abandon(quantizer: *mut glq_quantizer) -> glq_status;
    /**Writes the whole state (options, Hessian, the progress of a run that is kept) into a buffer.
* `quantizer`: A live quantizer.
* `buffer`: May be NULL if `capacity` is 0.
* `capacity`: Bytes of `buffer`.
* `needed`: Bytes the state takes.

Returns: GLQ_OK, also for NULL with capacity 0, which asks for the size; GLQ_E_BUFFER_TOO_SMALL if `capacity` is
otherwise less than `needed` (which is set; nothing is written);
GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_quantizer_save(
        quantizer: *const glq_quantizer,
        buffer: *mut ::core::ffi::c_void,
        capacity: usize,
        needed: *mut usize,
    ) -> glq_status;
    /**Makes a quantizer from a saved state.
* `context`: As glq_quantizer_create().
* `buffer`: What glq_quantizer_save() wrote, any alignment.
* `bytes`: Its size.
* `quantizer`: Set to NULL on failure.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_BAD_FILE (not a state, damaged, or of another format
version), GLQ_E_OUT_OF_HOST_MEMORY.*/
    pub fn glq_quantizer_load(
        context: *mut glq_context,
        buffer: *const ::core::ffi::c_void,
        bytes: usize,
        quantizer: *mut *mut glq_quantizer,
    ) -> glq_status;
    /**Tells what a quantizer was made with, in particular one from glq_quantizer_load().
* `quantizer`: A live quantizer.
* `desc`: Set `struct_size`; the rest is filled.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE.*/
    pub fn glq_quantizer_get_desc(
        quantizer: *const glq_quantizer,
        desc: *mut glq_quantizer_desc,
    ) -> glq_status;
    /**Tells how good the last finished run was.
* `quantizer`: A live quantizer.
* `report`: Set `struct_size`; the rest is filled.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_WRONG_STATE (no run has
finished since the quantizer was made or loaded, its Hessian was changed, or another run was begun).*/
    pub fn glq_quantizer_get_report(
        quantizer: *const glq_quantizer,
        report: *mut glq_quantizer_report,
    ) -> glq_status;
    /**Destroys a quantizer, from any thread, once no other call on it is running. Tensors it made live on.
* `quantizer`: May be NULL.*/
    pub fn glq_quantizer_destroy(quantizer: *mut glq_quantizer);
    /**Opens a checkpoint and checks it: header, offsets, types, and that the tensors of each E8P layer fit together.
* `path`: A `.safetensors` file, a `.safetensors.index.json` file, or a directory that holds `model.safetensors`
or `model.safetensors.index.json`. UTF-8.
* `checkpoint`: Set to NULL on failure.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_IO, GLQ_E_BAD_FILE (also if a name is invalid
UTF-8 or holds a NUL), GLQ_E_OUT_OF_HOST_MEMORY. A data type that this library does not know is no error
here: glq_checkpoint_tensor() says GLQ_E_DTYPE when it is asked for.*/
    pub fn glq_checkpoint_open(
        path: *const ::core::ffi::c_char,
        checkpoint: *mut *mut glq_checkpoint,
    ) -> glq_status;
    /**Number of tensors of any kind, in the order of their names.
* `checkpoint`: An open checkpoint.
* `count`: The number.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE.*/
    pub fn glq_checkpoint_tensor_count(
        checkpoint: *const glq_checkpoint,
        count: *mut i64,
    ) -> glq_status;
    /**Name of a tensor.
* `checkpoint`: An open checkpoint.
* `index`: 0 to count - 1.
* `name`: Lives as long as the checkpoint.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_NOT_FOUND.*/
    pub fn glq_checkpoint_tensor_name(
        checkpoint: *const glq_checkpoint,
        index: i64,
        name: *mut *const ::core::ffi::c_char,
    ) -> glq_status;
    /**A tensor of the file as a read-only view. Its memory may be less aligned than its type.
* `checkpoint`: An open checkpoint.
* `name`: Full name.
* `view`: The view.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_NOT_FOUND, GLQ_E_DTYPE (a type without a glq_dtype),
GLQ_E_SHAPE (rank above GLQ_MAX_NDIM).*/
    pub fn glq_checkpoint_tensor(
        checkpoint: *const glq_checkpoint,
        name: *const ::core::ffi::c_char,
        view: *mut glq_view,
    ) -> glq_status;
    /**Number of E8P layers, in the order of their names.
* `checkpoint`: An open checkpoint.
* `count`: The number.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE.*/
    pub fn glq_checkpoint_layer_count(
        checkpoint: *const glq_checkpoint,
        count: *mut i64,
    ) -> glq_status;
    /**Name of an E8P layer: the module path, such as `model.layers.0.self_attn.q_proj`.
* `checkpoint`: An open checkpoint.
* `index`: 0 to count - 1.
* `name`: Lives as long as the checkpoint.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_NOT_FOUND.*/
    pub fn glq_checkpoint_layer_name(
        checkpoint: *const glq_checkpoint,
        index: i64,
        name: *mut *const ::core::ffi::c_char,
    ) -> glq_status;
    /**Describes an E8P layer, ready for glq_tensor_create_e8p().

Checkpoints do not store the unpadded sizes. They are taken from the file's metadata where this
library's tools wrote it, out_features else from the bias, and else the padded sizes stand; a
caller that knows better sets them in `desc` before use.
* `checkpoint`: An open checkpoint; the pointers in `desc` live as long as it does.
* `name`: Module path.
* `desc`: Set `struct_size`; the rest is filled.

May be called from any thread at any time.

Returns: GLQ_OK, GLQ_E_INVALID_ARGUMENT, GLQ_E_BAD_HANDLE, GLQ_E_STRUCT_SIZE, GLQ_E_NOT_FOUND.*/
    pub fn glq_checkpoint_layer(
        checkpoint: *const glq_checkpoint,
        name: *const ::core::ffi::c_char,
        desc: *mut glq_e8p_desc,
    ) -> glq_status;
    /**Closes a checkpoint, from any thread, once no other call on it is running. Weights that were made from it live on.
* `checkpoint`: May be NULL.*/
    pub fn glq_checkpoint_destroy(checkpoint: *mut glq_checkpoint);
}
