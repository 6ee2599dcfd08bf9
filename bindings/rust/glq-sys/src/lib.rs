//! Raw bindings of libglq, which multiplies activations with weights kept compressed at 2 to 8 bits.
//!
//! Types, constants and functions have the names of the C header; what they promise is said there. The crate `glq` is
//! the safe interface on top.
//!
//! [`api`] gives the functions as a table of pointers, in the same way whether the library is linked (features `link`
//! and `vendored`) or opened at run time (feature `dlopen`). It checks once that the library fits these bindings.
//!
//! | feature | effect |
//! | --- | --- |
//! | `link` (default) | links with the library found by `GLQ_DIR` or pkg-config |
//! | `vendored` | builds the library with CMake from the repository's sources, with CUDA where there is an nvcc |
//! | `dlopen` | opens the library at run time: the path given to `load`, else `GLQ_LIBRARY`, else the system's loader |
//! | `doc-only` | does not look for the library, for building the documentation |
//! | `generate-bindings` | makes the bindings anew while building; needs libclang |
//!
//! `dlopen` and `doc-only` win over `link` and `vendored`.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod load;

#[cfg(feature = "dlopen")]
pub use load::load;
pub use load::{api, library_path, LoadError};

/// Makes of bindgen's extern block the table [`Api`], and the extern block itself where the library is linked.
macro_rules! functions {
    ($($(#[$doc:meta])* pub fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// Every function of the library, as a pointer.
        #[derive(Clone, Copy, Debug)]
        pub struct Api {
            $($(#[$doc])* pub $name: unsafe extern "C" fn($($argument: $kind),*) $(-> $result)?,)*
        }

        #[cfg(not(feature = "dlopen"))]
        unsafe extern "C" {
            $($(#[$doc])* pub fn $name($($argument: $kind),*) $(-> $result)?;)*
        }

        #[cfg(not(feature = "dlopen"))]
        pub(crate) static LINKED: Api = Api { $($name),* };

        #[cfg(feature = "dlopen")]
        impl Api {
            /// Looks every function up; the error names the first that is missing.
            ///
            /// # Safety
            /// `library` must be libglq of the ABI version of these bindings.
            pub(crate) unsafe fn from_library(library: &libloading::Library) -> Result<Api, libloading::Error> {
                Ok(Api {
                    // SAFETY: the caller says that it is libglq, whose functions have these types.
                    $($name: *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }

        /// Names of all functions, in the order of the header.
        pub const FUNCTION_NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

#[allow(missing_docs, non_camel_case_types)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags, rustdoc::bare_urls)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks)]
#[rustfmt::skip]
mod bindings {
    #[cfg(feature = "generate-bindings")]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
    #[cfg(not(feature = "generate-bindings"))]
    include!("bindings.rs");
}
pub use bindings::*;

/// A struct that begins with `struct_size`; see the header on structs that grow.
///
/// # Safety
/// The first field is a `u32` of that meaning, and all bytes 0 after it is a valid value.
pub unsafe trait StructSize: Copy {
    /// The default: `struct_size` is set, all else is 0.
    fn init() -> Self {
        let mut value = core::mem::MaybeUninit::<Self>::zeroed();
        // SAFETY: the trait promises a u32 at the start, and that zero is a valid value of the rest.
        unsafe {
            value.as_mut_ptr().cast::<u32>().write(core::mem::size_of::<Self>() as u32);
            value.assume_init()
        }
    }
}

macro_rules! struct_size {
    ($($name:ident),* $(,)?) => {
        $(
            const _: () = assert!(core::mem::offset_of!($name, struct_size) == 0);
            // SAFETY: checked above; the fields are integers, floats, pointers and optional function pointers.
            unsafe impl StructSize for $name {}
        )*
    };
}

struct_size! {
    glq_context_desc, glq_context_info, glq_cuda_info, glq_device_info, glq_e8p_desc, glq_e8p_info, glq_e8p_parts,
    glq_error_info, glq_launch_opts, glq_op_query, glq_op_support_info, glq_quantizer_desc, glq_quantizer_report,
    glq_tensor_info,
}
