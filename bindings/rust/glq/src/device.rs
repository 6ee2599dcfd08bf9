//! Devices.

use std::fmt;
use std::str::FromStr;

use crate::error::{check, Error, Result};
use crate::sys::{self, StructSize};
use crate::text;

/// A device: the CPU, or a CUDA device by its ordinal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    kind: i32,
    index: i32,
}

impl Device {
    /// The CPU.
    pub const CPU: Device = Device { kind: sys::GLQ_DEVICE_CPU, index: 0 };

    /// A CUDA device; the ordinal follows `CUDA_VISIBLE_DEVICES`.
    pub const fn cuda(index: i32) -> Device {
        Device { kind: sys::GLQ_DEVICE_CUDA, index }
    }

    /// Whether it is the CPU.
    pub const fn is_cpu(self) -> bool {
        self.kind == sys::GLQ_DEVICE_CPU
    }

    /// The CUDA ordinal; 0 for the CPU.
    pub const fn index(self) -> i32 {
        self.index
    }

    /// Number of usable CUDA devices: 0 without a driver or GPU.
    pub fn cuda_count() -> Result<usize> {
        let api = sys::api()?;
        let mut count = 0;
        // SAFETY: writes one integer.
        check(api, unsafe { (api.glq_device_count)(sys::GLQ_DEVICE_CUDA, &mut count) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Its properties.
    pub fn info(self) -> Result<DeviceInfo> {
        let api = sys::api()?;
        let mut raw = sys::glq_device_info::init();
        // SAFETY: both structs are initialised.
        check(api, unsafe { (api.glq_device_get_info)(&self.raw(), &mut raw) })?;
        Ok(DeviceInfo {
            device: Device::from_raw(sys::glq_device { type_: raw.type_, index: raw.index }),
            name: text::array(&raw.name),
            detail: text::array(&raw.detail),
            compute_capability: raw.compute_capability,
            multiprocessors: raw.multiprocessors,
            max_shared_memory: raw.max_shared_memory,
            total_memory: raw.total_memory,
            free_memory: raw.free_memory,
            l2_cache: raw.l2_cache,
        })
    }

    pub(crate) const fn raw(self) -> sys::glq_device {
        sys::glq_device { type_: self.kind, index: self.index }
    }

    pub(crate) const fn from_raw(raw: sys::glq_device) -> Device {
        Device { kind: raw.type_, index: raw.index }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            sys::GLQ_DEVICE_CPU => formatter.write_str("cpu"),
            sys::GLQ_DEVICE_CUDA => write!(formatter, "cuda:{}", self.index),
            other => write!(formatter, "device type {other}:{}", self.index),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `"cpu"`, `"cuda"` or `"cuda:N"`.
    fn from_str(name: &str) -> Result<Device> {
        let api = sys::api()?;
        let name = text::to_c("Device::from_str", "the name", name)?;
        let mut raw = Device::CPU.raw();
        // SAFETY: the text ends with NUL, and the device is written.
        check(api, unsafe { (api.glq_device_parse)(name.as_ptr(), &mut raw) })?;
        Ok(Device::from_raw(raw))
    }
}

/// Properties of a device; see `glq_device_info`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which one.
    pub device: Device,
    /// Its name.
    pub name: String,
    /// CUDA: the PCI id. CPU: the SIMD target in use.
    pub detail: String,
    /// CUDA: major * 10 + minor. CPU: 0.
    pub compute_capability: i32,
    /// CUDA: streaming multiprocessors. CPU: logical processors this process may use.
    pub multiprocessors: i32,
    /// CUDA: bytes of shared memory a block can opt in to. CPU: 0.
    pub max_shared_memory: i32,
    /// Bytes.
    pub total_memory: i64,
    /// Bytes free at this moment, an estimate.
    pub free_memory: i64,
    /// CUDA: bytes of L2 cache. CPU: 0.
    pub l2_cache: i64,
}
