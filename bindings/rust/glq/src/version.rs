//! What library is loaded, and whether CUDA is usable.

use crate::error::{check, Result};
use crate::sys::{self, StructSize};
use crate::{text, Status};

/// Version of the loaded library, such as `"0.1.0"`.
pub fn version() -> Result<String> {
    let api = sys::api()?;
    // SAFETY: takes nothing.
    let version = unsafe { (api.glq_version)() };
    Ok(format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000))
}

/// One line per fact: version, compilers, CUDA toolkit, GPU architectures, SIMD targets, options.
pub fn build_info() -> Result<&'static str> {
    let api = sys::api()?;
    // SAFETY: returns a static string.
    Ok(unsafe { text::borrowed((api.glq_build_info)()) })
}

/// Opens this libglq and no other; to be called before anything that needs the library.
///
/// Without it, the library is looked for when it is first needed: `GLQ_LIBRARY`, else the system's loader.
#[cfg(feature = "dlopen")]
pub fn load_library(path: impl AsRef<std::path::Path>) -> Result<()> {
    sys::load(path)?;
    Ok(())
}

/// Whether CUDA is usable, and why not.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaInfo {
    /// [`Status::OK`] if at least one device can be used, else the reason.
    pub status: Status,
    /// One sentence.
    pub message: String,
    /// Devices the driver reports.
    pub device_count: i32,
    /// As `cudaDriverGetVersion`; 0 without a driver.
    pub driver_version: i32,
    /// CUDA runtime in the library; 0 in a CPU-only build.
    pub runtime_version: i32,
    /// GPU code in the library, such as `sm_80 sm_90a`.
    pub architectures: String,
}

/// Says whether CUDA is usable and, if not, why.
pub fn cuda_info() -> Result<CudaInfo> {
    let api = sys::api()?;
    let mut raw = sys::glq_cuda_info::init();
    // SAFETY: the struct is initialised; the strings live until this thread's next such call.
    unsafe {
        check(api, (api.glq_get_cuda_info)(&mut raw))?;
        Ok(CudaInfo {
            status: Status(raw.status),
            message: text::borrowed(raw.message).to_owned(),
            device_count: raw.device_count,
            driver_version: raw.driver_version,
            runtime_version: raw.runtime_version,
            architectures: text::borrowed(raw.architectures).to_owned(),
        })
    }
}
