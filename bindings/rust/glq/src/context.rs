//! Contexts.

use std::ffi::CString;
use std::ptr::{self, NonNull};

use crate::callbacks::{self, Callbacks, LogLevel, LogRecord};
use crate::error::{check, Error, Result};
use crate::sys::{self, Api, StructSize};
use crate::{text, DType, Device, MathMode, Status, Stream};

/// One device, its kernels, and the caller's logger and threads.
///
/// Immutable, so any number of threads may use it at once. A clone is another reference to the same context, and what is
/// made from a context keeps it alive: things may be dropped in any order.
pub struct Context {
    pub(crate) api: &'static Api,
    raw: NonNull<sys::glq_context>,
    device: Device,
}

// SAFETY: the library says that any number of threads may use a context at once, and drop it on any.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// A context on the CPU with defaults.
    pub fn cpu() -> Result<Context> {
        Context::builder().build()
    }

    /// A context on a device with defaults.
    pub fn new(device: Device) -> Result<Context> {
        Context::builder().device(device).build()
    }

    /// To choose more than the device.
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// Its device.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What it found and holds.
    pub fn info(&self) -> Result<ContextInfo> {
        let mut raw = sys::glq_context_info::init();
        // SAFETY: the handle is live and the struct initialised; the string lives as long as the context.
        unsafe {
            check(self.api, (self.api.glq_context_get_info)(self.as_raw(), &mut raw))?;
            Ok(ContextInfo {
                device: Device::from_raw(raw.device),
                num_threads: raw.num_threads,
                cublaslt_version: raw.cublaslt_version,
                cublaslt_message: text::borrowed(raw.cublaslt_message).to_owned(),
                host_bytes: raw.host_bytes,
                device_bytes: raw.device_bytes,
            })
        }
    }

    /// Waits until all work queued on `stream` is done, then releases what dropped objects held.
    pub fn synchronize(&self, stream: Stream<'_>) -> Result<()> {
        let stream = stream.raw_for(self.device, "glq_context_synchronize")?;
        // SAFETY: the handle is live.
        check(self.api, unsafe { (self.api.glq_context_synchronize)(self.as_raw(), stream) })
    }

    /// Tells, before any weight is loaded, whether and how an operation would run.
    pub fn op_support(&self, query: &OpQuery) -> Result<OpSupport> {
        let function = "Context::op_support";
        let size =
            |value: usize| i64::try_from(value).map_err(|_| Error::argument(function, format!("{value} is too large")));
        let mut raw = sys::glq_op_query::init();
        raw.op = query.op.raw();
        raw.in_features = size(query.in_features)?;
        raw.out_features = size(query.out_features)?;
        raw.max_tokens = size(query.max_tokens)?;
        raw.bits = query.bits;
        raw.math_mode = query.math_mode.raw();
        raw.x_dtype = query.x_dtype.map_or(0, |dtype| dtype.0);
        raw.y_dtype = query.y_dtype.map_or(0, |dtype| dtype.0);
        let mut info = sys::glq_op_support_info::init();
        // SAFETY: the handle is live and both structs are initialised.
        check(self.api, unsafe { (self.api.glq_op_support)(self.as_raw(), &raw, &mut info) })?;
        Ok(OpSupport {
            status: Status(info.status),
            workspace_bytes: info.workspace_bytes,
            fast_alignment: info.fast_alignment,
            path: text::array(&info.path),
            reason: text::array(&info.reason),
        })
    }

    /// The handle, for calls through [`crate::sys`].
    pub fn as_raw(&self) -> *mut sys::glq_context {
        self.raw.as_ptr()
    }
}

impl Clone for Context {
    fn clone(&self) -> Context {
        // SAFETY: the handle is live, the one reason for which this could fail.
        let status = unsafe { (self.api.glq_context_retain)(self.as_raw()) };
        debug_assert_eq!(status, sys::GLQ_OK);
        Context { api: self.api, raw: self.raw, device: self.device }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: this reference is given up once.
        unsafe { (self.api.glq_context_destroy)(self.as_raw()) }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Context({})", self.device)
    }
}

/// What a context found and holds; see `glq_context_info`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    /// Its device.
    pub device: Device,
    /// Pieces into which CPU work is cut at most.
    pub num_threads: i32,
    /// As `cublasLtGetVersion`; 0 if cuBLASLt was not found.
    pub cublaslt_version: i32,
    /// Where cuBLASLt was found, or each place tried.
    pub cublaslt_message: String,
    /// Host memory held by the context's objects.
    pub host_bytes: i64,
    /// Device memory held by the context's objects.
    pub device_bytes: i64,
}

/// Makes a [`Context`].
#[derive(Default)]
#[must_use]
pub struct ContextBuilder {
    device: Option<Device>,
    num_threads: i32,
    flags: u32,
    cublaslt_library: Option<String>,
    allocator: Option<sys::glq_allocator>,
    log_level: i32,
    max_parallelism: i32,
    callbacks: Callbacks,
}

impl ContextBuilder {
    /// The device; the CPU if not said.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// Size of the library's own pool, 1 to 1024; if not said, `GLQ_NUM_THREADS`, else the processors available.
    pub fn threads(mut self, count: i32) -> Self {
        self.num_threads = count;
        self
    }

    /// Receives log messages up to `level`, on the thread of the call that caused them. It must not call into this crate.
    pub fn logger(mut self, level: LogLevel, logger: impl Fn(LogRecord<'_>) + Send + Sync + 'static) -> Self {
        self.log_level = level.raw();
        self.callbacks.logger = Some(Box::new(logger));
        self
    }

    /// The caller's threads in place of the library's pool. `run(n, piece)` calls `piece(i)` for every i below n, on any
    /// threads; n is at most `max_parallelism`. It may be called from several threads at once.
    ///
    /// What it leaves out, by a panic or a mistake, is run on the calling thread afterwards.
    pub fn parallel_for(
        mut self,
        max_parallelism: i32,
        run: impl Fn(usize, &(dyn Fn(usize) + Sync)) + Send + Sync + 'static,
    ) -> Self {
        self.max_parallelism = max_parallelism;
        self.callbacks.threads = Some(Box::new(run));
        self
    }

    /// CUDA: load fewer kernels now; the first call that needs one of the others loads it, and must not be captured in a
    /// graph. `GLQ_CONTEXT_LAZY` in `glq/context.h` lists them: the fused linear is loaded in any case, but for
    /// transforms of very long or unusual rows.
    pub fn lazy(mut self) -> Self {
        self.flags |= sys::GLQ_CONTEXT_LAZY;
        self
    }

    /// Debugging: every CUDA operation waits for its stream and reports faults at once.
    pub fn sync_each_call(mut self) -> Self {
        self.flags |= sys::GLQ_CONTEXT_SYNC_EACH_CALL;
        self
    }

    /// Path to load cuBLASLt from.
    pub fn cublaslt_library(mut self, path: impl Into<String>) -> Self {
        self.cublaslt_library = Some(path.into());
        self
    }

    /// Where objects get their memory.
    ///
    /// # Safety
    /// The functions do what `glq_allocator` says, from any thread, for as long as the context or an object of it lives.
    pub unsafe fn allocator(mut self, allocator: sys::glq_allocator) -> Self {
        self.allocator = Some(allocator);
        self
    }

    /// Makes the context.
    pub fn build(self) -> Result<Context> {
        let api = sys::api()?;
        let device = self.device.unwrap_or(Device::CPU);
        let library: Option<CString> = match &self.cublaslt_library {
            Some(path) => Some(text::to_c("ContextBuilder::build", "the path of cuBLASLt", path)?),
            None => None,
        };
        let has = (self.callbacks.logger.is_some(), self.callbacks.threads.is_some());
        let user = Box::into_raw(Box::new(self.callbacks));
        let logger =
            sys::glq_logger { user: user.cast(), log: Some(callbacks::log), level: self.log_level, reserved: 0 };
        let threading = sys::glq_threading {
            user: user.cast(),
            parallel_for: Some(callbacks::parallel_for),
            max_parallelism: self.max_parallelism,
            reserved: 0,
        };
        let mut desc = sys::glq_context_desc::init();
        desc.flags = self.flags;
        desc.device = device.raw();
        desc.num_threads = self.num_threads;
        desc.allocator = self.allocator.as_ref().map_or(ptr::null(), ptr::from_ref);
        desc.logger = if has.0 { &logger } else { ptr::null() };
        desc.threading = if has.1 { &threading } else { ptr::null() };
        desc.cublaslt_library = library.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        desc.destroyed = Some(callbacks::destroyed);
        desc.destroyed_user = user.cast();
        let mut raw = ptr::null_mut();
        // SAFETY: everything the struct points to lives during the call, and `user` until `destroyed`.
        let made = check(api, unsafe { (api.glq_context_create)(&desc, &mut raw) });
        match (made, NonNull::new(raw)) {
            (Ok(()), Some(raw)) => Ok(Context { api, raw, device }),
            (made, _) => {
                // SAFETY: a creation that fails ends the use of the callbacks without calling `destroyed`.
                drop(unsafe { Box::from_raw(user) });
                Err(made.err().unwrap_or_else(|| Error::argument("glq_context_create", "no context".to_owned())))
            }
        }
    }
}

/// Operations that [`Context::op_support`] can be asked about.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// [`crate::ops::fused_linear_e8p`] and its group form.
    FusedLinearE8p,
    /// [`crate::ops::rht_input`].
    RhtInput,
    /// [`crate::ops::rht_output`].
    RhtOutput,
    /// [`crate::ops::matmul_e8p`].
    MatmulE8p,
    /// [`crate::ops::decode_e8p`].
    DecodeE8p,
    /// [`crate::ops::dequantize`].
    Dequantize,
    /// [`crate::ops::gemv_bf16`].
    GemvBf16,
}

impl Op {
    fn raw(self) -> i32 {
        match self {
            Op::FusedLinearE8p => sys::GLQ_OP_FUSED_LINEAR_E8P,
            Op::RhtInput => sys::GLQ_OP_RHT_INPUT,
            Op::RhtOutput => sys::GLQ_OP_RHT_OUTPUT,
            Op::MatmulE8p => sys::GLQ_OP_MATMUL_E8P,
            Op::DecodeE8p => sys::GLQ_OP_DECODE_E8P,
            Op::Dequantize => sys::GLQ_OP_DEQUANTIZE,
            Op::GemvBf16 => sys::GLQ_OP_GEMV_BF16,
        }
    }
}

/// A question to [`Context::op_support`].
#[derive(Clone, Copy, Debug)]
pub struct OpQuery {
    /// The operation.
    pub op: Op,
    /// K.
    pub in_features: usize,
    /// N.
    pub out_features: usize,
    /// Largest number of rows of x.
    pub max_tokens: usize,
    /// E8P operations: bits per weight, 2 to 8. Otherwise 0.
    pub bits: i32,
    /// Arithmetic.
    pub math_mode: MathMode,
    /// Activations; `None`: the operation's natural type.
    pub x_dtype: Option<DType>,
    /// Output; `None`: the same.
    pub y_dtype: Option<DType>,
}

/// The answer of [`Context::op_support`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpSupport {
    /// [`Status::OK`] if such a call would be accepted, else what it would return.
    pub status: Status,
    /// Enough for `max_tokens` and fewer.
    pub workspace_bytes: usize,
    /// Alignment of x, y and their rows for the fastest path.
    pub fast_alignment: u32,
    /// Name of the code path.
    pub path: String,
    /// Empty if supported, else one sentence.
    pub reason: String,
}
