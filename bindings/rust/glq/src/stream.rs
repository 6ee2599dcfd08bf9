//! CUDA streams.

use std::marker::PhantomData;

use crate::sys;

/// A CUDA stream that someone else owns, borrowed for `'s`. A CPU context takes [`Stream::DEFAULT`] only.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'s> {
    raw: sys::glq_stream,
    owner: PhantomData<&'s ()>,
}

// SAFETY: a stream may be used from any thread.
unsafe impl Send for Stream<'_> {}
// SAFETY: as above; CUDA locks for itself.
unsafe impl Sync for Stream<'_> {}

impl Stream<'_> {
    /// CUDA's legacy default stream; on the CPU the only one.
    pub const DEFAULT: Stream<'static> = Stream { raw: std::ptr::null_mut(), owner: PhantomData };
    /// CUDA's per-thread default stream.
    pub const PER_THREAD: Stream<'static> = Stream { raw: std::ptr::without_provenance_mut(2), owner: PhantomData };

    /// A `cudaStream_t` or `CUstream`.
    ///
    /// # Safety
    /// The stream belongs to the device of every context it is used with, and lives for `'s`.
    pub const unsafe fn from_raw<'s>(raw: sys::glq_stream) -> Stream<'s> {
        Stream { raw, owner: PhantomData }
    }

    /// The `cudaStream_t`.
    pub const fn as_raw(self) -> sys::glq_stream {
        self.raw
    }
}
