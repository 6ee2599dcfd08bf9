//! CUDA streams.

use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::{sys, Device, Status};

/// A CUDA stream that someone else owns, borrowed for `'s`. A CPU context takes [`Stream::DEFAULT`] only.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'s> {
    raw: sys::glq_stream,
    device: Option<Device>, // of whoever knows it
    owner: PhantomData<&'s ()>,
}

// SAFETY: a stream may be used from any thread.
unsafe impl Send for Stream<'_> {}
// SAFETY: as above; CUDA locks for itself.
unsafe impl Sync for Stream<'_> {}

impl Stream<'_> {
    /// CUDA's legacy default stream; on the CPU the only one.
    pub const DEFAULT: Stream<'static> = Stream { raw: std::ptr::null_mut(), device: None, owner: PhantomData };
    /// CUDA's per-thread default stream.
    pub const PER_THREAD: Stream<'static> =
        Stream { raw: std::ptr::without_provenance_mut(2), device: None, owner: PhantomData };

    /// A `cudaStream_t` or `CUstream`.
    ///
    /// # Safety
    /// The stream belongs to the device of every context it is used with, and lives for `'s`.
    pub const unsafe fn from_raw<'s>(raw: sys::glq_stream) -> Stream<'s> {
        Stream { raw, device: None, owner: PhantomData }
    }

    /// As [`Stream::from_raw`], with the device that the stream belongs to.
    ///
    /// # Safety
    /// The stream belongs to this device, and lives for `'s`.
    #[cfg(feature = "cudarc")]
    pub(crate) unsafe fn of_device<'s>(raw: sys::glq_stream, device: Device) -> Stream<'s> {
        Stream { raw, device: Some(device), owner: PhantomData }
    }

    /// The `cudaStream_t` for a call on a device. CUDA would run the work on the stream's own device, where the memory of
    /// another is not to be found, so what is known to be wrong is refused here.
    #[inline]
    pub(crate) fn raw_for(self, device: Device, function: &str) -> Result<sys::glq_stream> {
        match self.device {
            Some(own) if own != device => {
                let message = format!("the stream is on {own}, the context on {device}");
                Err(Error::found(Status::DEVICE_MISMATCH, function, message))
            }
            _ => Ok(self.raw),
        }
    }

    /// The `cudaStream_t`.
    pub const fn as_raw(self) -> sys::glq_stream {
        self.raw
    }
}
