//! Tensors: weights of any encoding, or dense storage.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use crate::error::{check, Error, Result};
use crate::sys::{self, Api, StructSize};
use crate::view::{check_view, raw_view};
use crate::{Context, DType, Device, E8pBuilder, Element, Status, Stream, View, ViewMut};

/// Weights of any encoding, or dense storage that is owned, or borrowed for `'a`.
///
/// Apart from the elements of dense storage it is immutable, so any number of threads may use it at once. It keeps its
/// context alive.
pub struct Tensor<'a> {
    pub(crate) api: &'static Api,
    raw: NonNull<sys::glq_tensor>,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: the library says that any number of threads may use a tensor at once and drop it on any; elements are written
// through `&mut` only.
unsafe impl Send for Tensor<'_> {}
// SAFETY: as above.
unsafe impl Sync for Tensor<'_> {}

/// How the elements of a tensor are encoded.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Plain elements.
    Dense,
    /// E8P codes with residual stages.
    E8p,
    /// One that these bindings do not know.
    Other(i32),
}

/// What a tensor is; see `glq_tensor_info`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// How the elements are encoded.
    pub encoding: Encoding,
    /// Dense: the element type.
    pub dtype: Option<DType>,
    /// Dense: extents. E8P: out_features, in_features.
    pub shape: Vec<usize>,
    /// Where it is.
    pub device: Device,
    /// Host memory it owns.
    pub host_bytes: i64,
    /// Device memory it owns.
    pub device_bytes: i64,
}

impl Tensor<'static> {
    /// An E8P weight, from its parts.
    pub fn e8p<'p>() -> E8pBuilder<'p> {
        E8pBuilder::default()
    }

    /// A dense tensor with memory of the context. The elements are 0 on the CPU and unspecified on a CUDA device.
    pub fn new(ctx: &Context, dtype: DType, shape: &[usize]) -> Result<Tensor<'static>> {
        let tensor = Tensor::uninitialised(ctx, dtype, shape)?;
        if ctx.device().is_cpu() {
            let view = tensor.view()?;
            if !view.is_empty() {
                // SAFETY: a compact array of the library's, that nothing else knows yet.
                unsafe { ptr::write_bytes(view.as_raw().data.cast::<u8>(), 0, view.len() * view.dtype().size()) };
            }
        }
        Ok(tensor)
    }

    /// As [`Tensor::new`], with unspecified elements that must not be looked at.
    pub(crate) fn uninitialised(ctx: &Context, dtype: DType, shape: &[usize]) -> Result<Tensor<'static>> {
        let spec = raw_view("Tensor::new", ptr::null_mut(), dtype, ctx.device(), shape, None)?;
        let mut raw = ptr::null_mut();
        // SAFETY: live handle, and the spec's data is not looked at.
        unsafe {
            check(ctx.api, (ctx.api.glq_tensor_create)(ctx.as_raw(), &spec, &mut raw))?;
            Tensor::from_raw(ctx.api, raw)
        }
    }

    /// A dense tensor with a compact copy of `source`, from any device.
    pub fn copy_of(ctx: &Context, stream: Stream<'_>, source: &View<'_>) -> Result<Tensor<'static>> {
        let stream = stream.raw_for(ctx.device(), "glq_tensor_create_copy")?;
        let mut raw = ptr::null_mut();
        // SAFETY: live handle; the copy is complete on return.
        unsafe {
            let status = (ctx.api.glq_tensor_create_copy)(ctx.as_raw(), stream, source.as_raw(), &mut raw);
            check(ctx.api, status)?;
            Tensor::from_raw(ctx.api, raw)
        }
    }

    /// A dense tensor on the CPU that takes over a vector. CPU contexts only.
    pub fn from_vec<T: Element>(ctx: &Context, mut data: Vec<T>, shape: &[usize]) -> Result<Tensor<'static>> {
        let view = *ViewMut::new(&mut data, shape)?.as_raw();
        // SAFETY: the elements stay where they are while the vector is moved.
        unsafe { Tensor::owning(ctx, &view, data) }
    }

    /// A dense tensor on the CPU that shares a slice, which it only reads. CPU contexts only.
    pub fn from_arc<T: Element>(ctx: &Context, data: Arc<[T]>, shape: &[usize]) -> Result<Tensor<'static>> {
        let view = *View::new(&data, shape)?.as_raw();
        // SAFETY: the elements stay where they are while the reference is moved; the view is read-only.
        unsafe { Tensor::owning(ctx, &view, data) }
    }

    /// # Safety
    /// The memory of `view` is valid for as long as `owner` is not dropped.
    unsafe fn owning<O: Send + 'static>(ctx: &Context, view: &sys::glq_view, owner: O) -> Result<Tensor<'static>> {
        unsafe extern "C" fn release<O>(user: *mut c_void) {
            // SAFETY: from Box::into_raw below, called once.
            drop(unsafe { Box::from_raw(user.cast::<O>()) });
        }
        let user = Box::into_raw(Box::new(owner));
        let mut raw = ptr::null_mut();
        // SAFETY: live handle; the memory lives until `release`, as the caller says.
        let status =
            unsafe { (ctx.api.glq_tensor_borrow)(ctx.as_raw(), view, Some(release::<O>), user.cast(), &mut raw) };
        if let Err(error) = check(ctx.api, status) {
            // SAFETY: `release` is not called if the creation fails.
            drop(unsafe { Box::from_raw(user) });
            return Err(error);
        }
        // SAFETY: a new reference.
        unsafe { Tensor::from_raw(ctx.api, raw) }
    }

    /// Takes over an array of DLPack.
    ///
    /// # Safety
    /// `managed` is such an array, which nothing else writes; it belongs to the tensor if this succeeds.
    pub unsafe fn import_dlpack(ctx: &Context, managed: *mut sys::DLManagedTensorVersioned) -> Result<Tensor<'static>> {
        let mut raw = ptr::null_mut();
        // SAFETY: live handle; the rest is the caller's promise.
        unsafe {
            check(ctx.api, (ctx.api.glq_tensor_import_dlpack)(ctx.as_raw(), managed, &mut raw))?;
            Tensor::from_raw(ctx.api, raw)
        }
    }

    /// Lends a dense tensor as an array of DLPack, which keeps a reference to it. Its deleter is to be called when done.
    ///
    /// Whoever reads it sees to it that this tensor is not written meanwhile.
    pub fn export_dlpack(&self) -> Result<NonNull<sys::DLManagedTensorVersioned>> {
        let mut managed = ptr::null_mut();
        // SAFETY: live handle.
        check(self.api, unsafe { (self.api.glq_tensor_export_dlpack)(self.as_raw(), &mut managed) })?;
        NonNull::new(managed).ok_or_else(|| Error::argument("glq_tensor_export_dlpack", "gave nothing".to_owned()))
    }
}

impl<'a> Tensor<'a> {
    /// A dense tensor over memory that the caller keeps, to be read. The view must be on the context's device.
    pub fn borrow(ctx: &Context, view: &View<'a>) -> Result<Tensor<'a>> {
        let mut raw_view = *view.as_raw();
        raw_view.flags |= sys::GLQ_VIEW_READ_ONLY;
        Tensor::borrow_raw(ctx, &raw_view)
    }

    /// A dense tensor over memory that the caller keeps, to be written too.
    pub fn borrow_mut(ctx: &Context, view: ViewMut<'a>) -> Result<Tensor<'a>> {
        Tensor::borrow_raw(ctx, view.as_raw())
    }

    fn borrow_raw(ctx: &Context, view: &sys::glq_view) -> Result<Tensor<'a>> {
        let mut raw = ptr::null_mut();
        // SAFETY: live handle; the memory is borrowed for 'a, which the tensor does not outlive.
        unsafe {
            check(ctx.api, (ctx.api.glq_tensor_borrow)(ctx.as_raw(), view, None, ptr::null_mut(), &mut raw))?;
            Tensor::from_raw(ctx.api, raw)
        }
    }

    /// # Safety
    /// `raw` is NULL or a reference of its own, to a tensor whose memory lives for `'a`.
    pub(crate) unsafe fn from_raw(api: &'static Api, raw: *mut sys::glq_tensor) -> Result<Tensor<'a>> {
        let raw =
            NonNull::new(raw).ok_or_else(|| Error::argument("Tensor", "the library gave no tensor".to_owned()))?;
        Ok(Tensor { api, raw, memory: PhantomData })
    }

    /// What it is.
    pub fn info(&self) -> Result<TensorInfo> {
        let mut raw = sys::glq_tensor_info::init();
        // SAFETY: live handle, initialised struct.
        check(self.api, unsafe { (self.api.glq_tensor_get_info)(self.as_raw(), &mut raw) })?;
        Ok(TensorInfo {
            encoding: match raw.encoding {
                sys::GLQ_ENCODING_DENSE => Encoding::Dense,
                sys::GLQ_ENCODING_E8P => Encoding::E8p,
                other => Encoding::Other(other),
            },
            dtype: (raw.dtype != 0).then_some(DType(raw.dtype)),
            shape: raw.shape.iter().take(raw.ndim as usize).map(|&extent| extent as usize).collect(),
            device: Device::from_raw(raw.device),
            host_bytes: raw.host_bytes,
            device_bytes: raw.device_bytes,
        })
    }

    fn raw_view(&self) -> Result<sys::glq_view> {
        let mut raw = sys::glq_view {
            data: ptr::null_mut(),
            shape: [0; 4],
            strides: [0; 4],
            dtype: 0,
            ndim: 0,
            device: Device::CPU.raw(),
            flags: 0,
            reserved: 0,
        };
        // SAFETY: live handle; the view is written.
        check(self.api, unsafe { (self.api.glq_tensor_view)(self.as_raw(), &mut raw) })?;
        Ok(raw)
    }

    /// The elements of a dense tensor, to be read.
    pub fn view(&self) -> Result<View<'_>> {
        // SAFETY: the memory lives as long as the tensor, and is written through `&mut` only.
        Ok(unsafe { View::from_raw(self.raw_view()?) })
    }

    /// The elements of a dense tensor, to be written. Operations refuse it if the memory is read-only.
    pub fn view_mut(&mut self) -> Result<ViewMut<'_>> {
        // SAFETY: the memory lives as long as the tensor, which is borrowed exclusively.
        Ok(unsafe { ViewMut::from_raw(self.raw_view()?) })
    }

    /// The elements of a compact dense tensor on the CPU.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        let (data, len) = self.host_elements::<T>("Tensor::as_slice", false)?;
        // SAFETY: checked to be that many aligned elements in host memory; they live as long as the tensor.
        Ok(unsafe { std::slice::from_raw_parts(data, len) })
    }

    /// The elements of a compact, writable dense tensor on the CPU.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T]> {
        let (data, len) = self.host_elements::<T>("Tensor::as_mut_slice", true)?;
        // SAFETY: as in `as_slice`; not read-only, and the tensor is borrowed exclusively.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
    }

    fn host_elements<T: Element>(&self, function: &str, write: bool) -> Result<(*mut T, usize)> {
        let raw = self.raw_view()?;
        // SAFETY: looked at only here, while the tensor lives.
        let view = unsafe { View::from_raw(raw) };
        let refuse = |status, message: String| Err(Error::found(status, function, message));
        if !view.device().is_cpu() {
            return refuse(Status::DEVICE_MISMATCH, format!("the tensor is on {}", view.device()));
        }
        if view.dtype() != T::DTYPE {
            return refuse(Status::DTYPE, format!("the tensor holds {}, asked for was {}", view.dtype(), T::DTYPE));
        }
        if write && raw.flags & sys::GLQ_VIEW_READ_ONLY != 0 {
            return refuse(Status::INVALID_ARGUMENT, "the memory is read-only".to_owned());
        }
        if view.is_empty() {
            return Ok((NonNull::dangling().as_ptr(), 0));
        }
        check_view(&raw)?; // the alignment, too
        let mut expected = 1;
        let shape: Vec<usize> = view.shape().collect();
        for (extent, stride) in shape.iter().rev().zip(view.strides().collect::<Vec<_>>().iter().rev()) {
            if *extent != 1 && *stride != expected {
                return refuse(Status::LAYOUT, "the tensor is not compact".to_owned());
            }
            expected *= extent;
        }
        Ok((raw.data.cast(), view.len()))
    }

    /// The handle, for calls through [`crate::sys`].
    pub fn as_raw(&self) -> *mut sys::glq_tensor {
        self.raw.as_ptr()
    }
}

impl Drop for Tensor<'_> {
    fn drop(&mut self) {
        // SAFETY: this reference is given up once.
        unsafe { (self.api.glq_tensor_destroy)(self.as_raw()) }
    }
}

impl std::fmt::Debug for Tensor<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.info() {
            Ok(info) => write!(formatter, "Tensor({:?} {:?} on {})", info.encoding, info.shape, info.device),
            Err(error) => write!(formatter, "Tensor({error})"),
        }
    }
}
