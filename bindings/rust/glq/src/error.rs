//! Errors: what the library reports, sorted by the groups of its status codes.

use std::fmt;

use crate::sys::{self, Api, LoadError, StructSize};
use crate::text;

/// The result of most functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A status code of the library. New codes may come; the group (hundreds) says what kind they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub sys::glq_status);

macro_rules! statuses {
    ($($name:ident = $value:ident,)*) => {
        impl Status {
            $(#[doc = concat!("`", stringify!($value), "`")] pub const $name: Status = Status(sys::$value);)*

            /// The name in the C header, such as `"GLQ_E_SHAPE"`.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $(sys::$value => stringify!($value),)*
                    _ => "GLQ_E_UNKNOWN",
                }
            }
        }
    };
}

statuses! {
    OK = GLQ_OK,
    INVALID_ARGUMENT = GLQ_E_INVALID_ARGUMENT,
    SHAPE = GLQ_E_SHAPE,
    DTYPE = GLQ_E_DTYPE,
    LAYOUT = GLQ_E_LAYOUT,
    ALIGNMENT = GLQ_E_ALIGNMENT,
    DEVICE_MISMATCH = GLQ_E_DEVICE_MISMATCH,
    STRUCT_SIZE = GLQ_E_STRUCT_SIZE,
    ALIASING = GLQ_E_ALIASING,
    BAD_HANDLE = GLQ_E_BAD_HANDLE,
    NOT_FINITE = GLQ_E_NOT_FINITE,
    BAD_FILE = GLQ_E_BAD_FILE,
    NOT_FOUND = GLQ_E_NOT_FOUND,
    WRONG_STATE = GLQ_E_WRONG_STATE,
    UNSUPPORTED = GLQ_E_UNSUPPORTED,
    UNSUPPORTED_ARCH = GLQ_E_UNSUPPORTED_ARCH,
    UNSUPPORTED_BUILD = GLQ_E_UNSUPPORTED_BUILD,
    UNSUPPORTED_WHILE_CAPTURING = GLQ_E_UNSUPPORTED_WHILE_CAPTURING,
    OUT_OF_HOST_MEMORY = GLQ_E_OUT_OF_HOST_MEMORY,
    OUT_OF_DEVICE_MEMORY = GLQ_E_OUT_OF_DEVICE_MEMORY,
    WORKSPACE_TOO_SMALL = GLQ_E_WORKSPACE_TOO_SMALL,
    BUFFER_TOO_SMALL = GLQ_E_BUFFER_TOO_SMALL,
    IO = GLQ_E_IO,
    NO_DEVICE = GLQ_E_NO_DEVICE,
    NO_DRIVER = GLQ_E_NO_DRIVER,
    DRIVER_TOO_OLD = GLQ_E_DRIVER_TOO_OLD,
    LIBRARY_NOT_FOUND = GLQ_E_LIBRARY_NOT_FOUND,
    CUDA = GLQ_E_CUDA,
    CUBLAS = GLQ_E_CUBLAS,
    DEVICE_LOST = GLQ_E_DEVICE_LOST,
    INTERNAL = GLQ_E_INTERNAL,
    CANCELLED = GLQ_E_CANCELLED,
    NUMERIC = GLQ_E_NUMERIC,
}

impl fmt::Debug for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A code of what the library stands on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeCode {
    /// A `cudaError_t`.
    Cuda(i32),
    /// A `cublasStatus_t`.
    Cublas(i32),
    /// An `errno`.
    Os(i32),
}

/// What the library said about a failure.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The status code.
    pub status: Status,
    /// The code of CUDA, cuBLASLt or the operating system, if one of them failed.
    pub native: Option<NativeCode>,
    /// The function that failed.
    pub function: String,
    /// A sentence that names the argument and both values.
    pub message: String,
}

impl fmt::Display for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.function, self.message, self.status)
    }
}

/// A failure, by the group of its status code.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The caller's arguments (1xx).
    Argument(Box<Detail>),
    /// Not supported here (2xx).
    Unsupported(Box<Detail>),
    /// Memory, workspace, files (3xx).
    Resource(Box<Detail>),
    /// Device and driver (4xx).
    Device(Box<Detail>),
    /// A callback asked to stop.
    Cancelled(Box<Detail>),
    /// A defect, a numerical failure, or a group these bindings do not know.
    Internal(Box<Detail>),
    /// The library could not be loaded, or does not fit these bindings.
    Load(LoadError),
}

impl Error {
    /// What the library said; none if it is not loaded.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Error::Argument(detail)
            | Error::Unsupported(detail)
            | Error::Resource(detail)
            | Error::Device(detail)
            | Error::Cancelled(detail)
            | Error::Internal(detail) => Some(detail),
            Error::Load(_) => None,
        }
    }

    /// The status code; none if the library is not loaded.
    pub fn status(&self) -> Option<Status> {
        self.detail().map(|detail| detail.status)
    }

    pub(crate) fn new(detail: Detail) -> Error {
        let detail = Box::new(detail);
        match detail.status.0 {
            sys::GLQ_E_CANCELLED => Error::Cancelled(detail),
            100..=199 => Error::Argument(detail),
            200..=299 => Error::Unsupported(detail),
            300..=399 => Error::Resource(detail),
            400..=499 => Error::Device(detail),
            _ => Error::Internal(detail),
        }
    }

    /// A mistake that these bindings find before they call the library.
    pub(crate) fn found(status: Status, function: &str, message: String) -> Error {
        Error::new(Detail { status, native: None, function: function.to_owned(), message })
    }

    pub(crate) fn argument(function: &str, message: String) -> Error {
        Error::found(Status::INVALID_ARGUMENT, function, message)
    }

    pub(crate) fn shape(function: &str, message: String) -> Error {
        Error::found(Status::SHAPE, function, message)
    }

    /// The failure of the call that this thread just made.
    #[cold]
    fn last(api: &Api, status: sys::glq_status) -> Error {
        let mut info = sys::glq_error_info::init();
        // SAFETY: the struct is initialised; the strings live until this thread's next failing call.
        let (function, message) = unsafe {
            (api.glq_last_error)(&mut info);
            (text::borrowed(info.function).to_owned(), text::borrowed(info.message).to_owned())
        };
        let native = match info.native_domain {
            sys::GLQ_NATIVE_CUDA => Some(NativeCode::Cuda(info.native_code)),
            sys::GLQ_NATIVE_CUBLAS => Some(NativeCode::Cublas(info.native_code)),
            sys::GLQ_NATIVE_OS => Some(NativeCode::Os(info.native_code)),
            _ => None,
        };
        Error::new(Detail { status: Status(status), native, function, message })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.detail()) {
            (Error::Load(error), _) => error.fmt(formatter),
            (_, Some(detail)) => detail.fmt(formatter),
            (_, None) => formatter.write_str("unknown failure"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Load(error) => Some(error),
            _ => None,
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Error {
        Error::Load(error)
    }
}

/// The status of a call as a result. To be called right after it, on its thread.
#[inline]
pub(crate) fn check(api: &Api, status: sys::glq_status) -> Result<()> {
    if status == sys::GLQ_OK {
        Ok(())
    } else {
        Err(Error::last(api, status))
    }
}
