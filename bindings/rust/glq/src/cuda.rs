//! Streams and device memory of cudarc.
//!
//! A [`CudaView`] holds cudarc's guard, which orders the work with that of cudarc's other streams: keep it until the
//! operation was called, then drop it.

use std::ops::{Deref, DerefMut};

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DevicePtrMut, SyncOnDrop};

use crate::error::{Error, Result};
use crate::{Device, Element, Stream, View, ViewMut};

impl<'s> Stream<'s> {
    /// The stream of cudarc. With a context of another device it is [`Status::DEVICE_MISMATCH`](crate::Status).
    pub fn from_cudarc(stream: &'s CudaStream) -> Stream<'s> {
        // SAFETY: the stream is borrowed, and of this device.
        unsafe { Stream::of_device(stream.cu_stream().cast(), device_of(stream)) }
    }
}

/// The device that a context of glq needs for this stream.
pub fn device_of(stream: &CudaStream) -> Device {
    Device::cuda(i32::try_from(stream.context().ordinal()).unwrap_or(i32::MAX))
}

/// A slice of cudarc as a [`View`].
pub struct CudaView<'a> {
    view: View<'a>,
    _order: SyncOnDrop<'a>,
}

/// A slice of cudarc as a [`ViewMut`].
pub struct CudaViewMut<'a> {
    view: ViewMut<'a>,
    _order: SyncOnDrop<'a>,
}

impl<'a> Deref for CudaView<'a> {
    type Target = View<'a>;
    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Deref for CudaViewMut<'a> {
    type Target = ViewMut<'a>;
    fn deref(&self) -> &ViewMut<'a> {
        &self.view
    }
}

impl DerefMut for CudaViewMut<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.view
    }
}

fn check_len(function: &str, len: usize, shape: &[usize]) -> Result<()> {
    match shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)) {
        Some(needed) if needed == len => Ok(()),
        _ => Err(Error::shape(
            function,
            format!("an array of shape {shape:?} does not fill the slice of {len} elements"),
        )),
    }
}

/// A slice to be read on `stream`, compact.
///
/// # Safety
/// The slice is not freed before the work queued with the view has finished: cudarc frees on the stream it allocated with,
/// which must be `stream` or one that waits for it.
pub unsafe fn view<'a, T: Element>(
    slice: &'a CudaSlice<T>,
    stream: &'a CudaStream,
    shape: &[usize],
) -> Result<CudaView<'a>> {
    check_len("cuda::view", slice.len(), shape)?;
    let (pointer, order) = slice.device_ptr(stream);
    // SAFETY: the slice is borrowed, and the caller promises the rest.
    let view = unsafe { View::from_raw_parts(pointer as *mut _, T::DTYPE, device_of(stream), shape, None)? };
    Ok(CudaView { view, _order: order })
}

/// A slice to be written on `stream`, compact.
///
/// # Safety
/// As [`view`].
pub unsafe fn view_mut<'a, T: Element>(
    slice: &'a mut CudaSlice<T>,
    stream: &'a CudaStream,
    shape: &[usize],
) -> Result<CudaViewMut<'a>> {
    check_len("cuda::view_mut", slice.len(), shape)?;
    let (pointer, order) = slice.device_ptr_mut(stream);
    // SAFETY: the slice is borrowed exclusively, and the caller promises the rest.
    let view = unsafe { ViewMut::from_raw_parts(pointer as *mut _, T::DTYPE, device_of(stream), shape, None)? };
    Ok(CudaViewMut { view, _order: order })
}
