//! Views: borrowed, strided arrays.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use crate::error::{check, Error, Result};
use crate::sys;
use crate::{Context, DType, Device, Element, Status, Stream};

const MAX_NDIM: usize = sys::GLQ_MAX_NDIM as usize;

/// An array that is read: memory borrowed for `'a`, with a shape and strides in elements.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct View<'a> {
    raw: sys::glq_view,
    memory: PhantomData<&'a [u8]>,
}

/// An array that is written: memory borrowed for `'a`, exclusively.
#[repr(transparent)]
pub struct ViewMut<'a> {
    raw: sys::glq_view,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a view is a shared borrow of plain data.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}
// SAFETY: an exclusive borrow of plain data.
unsafe impl Send for ViewMut<'_> {}
// SAFETY: nothing can be done through a shared reference to it but reading.
unsafe impl Sync for ViewMut<'_> {}

fn extents(function: &str, shape: &[usize]) -> Result<[i64; MAX_NDIM]> {
    let mut found = [0; MAX_NDIM];
    if shape.len() > MAX_NDIM {
        return Err(Error::shape(function, format!("the shape has {} extents, at most {MAX_NDIM}", shape.len())));
    }
    for (to, &from) in found.iter_mut().zip(shape) {
        *to = i64::try_from(from).map_err(|_| Error::shape(function, format!("the extent {from} is too large")))?;
    }
    Ok(found)
}

fn compact(shape: &[usize]) -> [usize; MAX_NDIM] {
    let mut strides = [1usize; MAX_NDIM];
    for index in (0..shape.len().min(MAX_NDIM).saturating_sub(1)).rev() {
        strides[index] = strides[index + 1].saturating_mul(shape[index + 1].max(1));
    }
    strides
}

/// Elements from the first to the last of a strided array, both included; none if it overflows.
fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1usize, |sum, (extent, stride)| sum.checked_add((extent - 1).checked_mul(*stride)?))
}

/// Whether no two elements of a matrix share memory, as the library asks it of an output.
fn is_injective(raw: &sys::glq_view) -> bool {
    let (rows, columns) = ((raw.shape[0], raw.strides[0]), (raw.shape[1], raw.strides[1]));
    if rows.0 == 0 || columns.0 == 0 {
        return true;
    }
    // The stride of an extent of 1 may be anything. The larger of two must step over all that the smaller one reaches.
    let step = |(extent, stride): (i64, i64)| (extent > 1).then(|| (stride.unsigned_abs(), extent as u64));
    match (step(rows), step(columns)) {
        (Some(a), Some(b)) => {
            let ((small, extent), (large, _)) = (a.min(b), a.max(b));
            small > 0 && (extent - 1).checked_mul(small).is_some_and(|reach| large > reach)
        }
        (Some((stride, _)), None) | (None, Some((stride, _))) => stride > 0,
        (None, None) => true,
    }
}

pub(crate) fn raw_view(
    function: &str,
    data: *mut c_void,
    dtype: DType,
    device: Device,
    shape: &[usize],
    strides: Option<&[usize]>,
) -> Result<sys::glq_view> {
    let by_default = compact(shape);
    let strides = strides.unwrap_or(&by_default[..shape.len().min(MAX_NDIM)]);
    Ok(sys::glq_view {
        data,
        shape: extents(function, shape)?,
        strides: extents(function, strides)?,
        dtype: dtype.0,
        ndim: shape.len() as i32,
        device: device.raw(),
        flags: 0,
        reserved: 0,
    })
}

fn over(
    function: &str,
    data: *mut c_void,
    bytes: usize,
    dtype: DType,
    shape: &[usize],
    strides: Option<&[usize]>,
) -> Result<sys::glq_view> {
    let raw = raw_view(function, data, dtype, Device::CPU, shape, strides)?;
    let by_default = compact(shape);
    let needed = match strides {
        Some(strides) if strides.len() != shape.len() => {
            let message = format!("the shape has {} extents, the strides {}", shape.len(), strides.len());
            return Err(Error::shape(function, message));
        }
        Some(strides) => span(shape, strides),
        None => span(shape, &by_default),
    };
    let needed = needed.and_then(|elements| elements.checked_mul(dtype.size()));
    let fits = match (needed, strides) {
        (Some(needed), None) => needed == bytes,
        (Some(needed), Some(_)) => needed <= bytes,
        (None, _) => false,
    };
    if fits {
        return Ok(raw);
    }
    let needed = needed.map_or("more than memory has".to_owned(), |needed| format!("{needed}"));
    Err(Error::shape(
        function,
        format!("a {dtype} array of shape {shape:?} takes {needed} bytes, the slice has {bytes}"),
    ))
}

macro_rules! common {
    ($name:ident) => {
        impl<'a> $name<'a> {
            /// Element type.
            pub fn dtype(&self) -> DType {
                DType(self.raw.dtype)
            }

            /// Where the memory is.
            pub fn device(&self) -> Device {
                Device::from_raw(self.raw.device)
            }

            /// Extents.
            pub fn shape(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
                self.raw.shape.iter().take(self.ndim()).map(|&extent| extent as usize)
            }

            /// Strides in elements.
            pub fn strides(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
                self.raw.strides.iter().take(self.ndim()).map(|&stride| stride as usize)
            }

            /// Rank.
            pub fn ndim(&self) -> usize {
                (self.raw.ndim as usize).min(MAX_NDIM)
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                self.shape().product()
            }

            /// Whether it has no elements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The struct, for calls through [`crate::sys`].
            pub fn as_raw(&self) -> &sys::glq_view {
                &self.raw
            }

            /// Device memory, or any memory that no slice stands for. `strides` in elements; `None`: compact.
            ///
            /// # Safety
            /// The memory is that of such an array on `device`. It stays valid, and is not written (for a [`ViewMut`]:
            /// not used) by anything else, for `'a` and until all work has finished that was queued with the view or with
            /// a tensor that borrows it.
            pub unsafe fn from_raw_parts(
                data: *mut c_void,
                dtype: DType,
                device: Device,
                shape: &[usize],
                strides: Option<&[usize]>,
            ) -> Result<$name<'a>> {
                let function = concat!(stringify!($name), "::from_raw_parts");
                if strides.is_some_and(|strides| strides.len() != shape.len()) {
                    return Err(Error::shape(function, "shape and strides differ in length".to_owned()));
                }
                let raw = raw_view(function, data, dtype, device, shape, strides)?;
                Ok($name { raw, memory: PhantomData })
            }

            /// # Safety
            /// As `from_raw_parts`, for what the struct says.
            pub(crate) unsafe fn from_raw(raw: sys::glq_view) -> $name<'a> {
                $name { raw, memory: PhantomData }
            }
        }

        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let shape: Vec<usize> = self.shape().collect();
                write!(formatter, concat!(stringify!($name), "({} {:?} on {})"), self.dtype(), shape, self.device())
            }
        }
    };
}

common!(View);
common!(ViewMut);

impl<'a> View<'a> {
    /// A compact row-major array over a slice, which it fills.
    pub fn new<T: Element>(data: &'a [T], shape: &[usize]) -> Result<View<'a>> {
        let pointer = data.as_ptr().cast_mut().cast();
        let raw = over("View::new", pointer, size_of_val(data), T::DTYPE, shape, None)?;
        Ok(View::read_only(raw))
    }

    /// An array over part of a slice, with strides in elements.
    pub fn strided<T: Element>(data: &'a [T], shape: &[usize], strides: &[usize]) -> Result<View<'a>> {
        let pointer = data.as_ptr().cast_mut().cast();
        let raw = over("View::strided", pointer, size_of_val(data), T::DTYPE, shape, Some(strides))?;
        Ok(View::read_only(raw))
    }

    /// A compact array of any type over its bytes.
    pub fn from_bytes(data: &'a [u8], dtype: DType, shape: &[usize]) -> Result<View<'a>> {
        let raw = over("View::from_bytes", data.as_ptr().cast_mut().cast(), data.len(), dtype, shape, None)?;
        Ok(View::read_only(raw))
    }

    fn read_only(mut raw: sys::glq_view) -> View<'a> {
        raw.flags = sys::GLQ_VIEW_READ_ONLY;
        View { raw, memory: PhantomData }
    }

    /// A copy of the elements, from any device; waits for `stream`.
    pub fn to_vec<T: Element>(&self, ctx: &Context, stream: Stream<'_>) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            let message = format!("the array holds {}, asked for was {}", self.dtype(), T::DTYPE);
            return Err(Error::found(Status::DTYPE, "View::to_vec", message));
        }
        let shape: Vec<usize> = self.shape().collect();
        // SAFETY: an Element may have any bit pattern, zero too.
        let mut copy = vec![unsafe { std::mem::zeroed::<T>() }; self.len()];
        crate::ops::copy(ctx, stream, self, &mut ViewMut::new(&mut copy, &shape)?)?;
        Ok(copy)
    }
}

impl<'a> ViewMut<'a> {
    /// A compact row-major array over a slice, which it fills.
    pub fn new<T: Element>(data: &'a mut [T], shape: &[usize]) -> Result<ViewMut<'a>> {
        let bytes = size_of_val(data);
        let raw = over("ViewMut::new", data.as_mut_ptr().cast(), bytes, T::DTYPE, shape, None)?;
        Ok(ViewMut { raw, memory: PhantomData })
    }

    /// An array over part of a slice, with strides in elements.
    pub fn strided<T: Element>(data: &'a mut [T], shape: &[usize], strides: &[usize]) -> Result<ViewMut<'a>> {
        let bytes = size_of_val(data);
        let raw = over("ViewMut::strided", data.as_mut_ptr().cast(), bytes, T::DTYPE, shape, Some(strides))?;
        Ok(ViewMut { raw, memory: PhantomData })
    }

    /// A compact array of any type over its bytes.
    pub fn from_bytes(data: &'a mut [u8], dtype: DType, shape: &[usize]) -> Result<ViewMut<'a>> {
        let raw = over("ViewMut::from_bytes", data.as_mut_ptr().cast(), data.len(), dtype, shape, None)?;
        Ok(ViewMut { raw, memory: PhantomData })
    }

    /// The same array, to be read.
    pub fn as_view(&self) -> View<'_> {
        View { raw: self.raw, memory: PhantomData }
    }

    /// Splits a matrix after `at` columns, such as for the outputs of a group. No two elements may share memory.
    pub fn split_columns(self, at: usize) -> Result<(ViewMut<'a>, ViewMut<'a>)> {
        let function = "ViewMut::split_columns";
        if self.ndim() != 2 {
            return Err(Error::shape(function, format!("a matrix is needed, this has rank {}", self.ndim())));
        }
        let columns = self.raw.shape[1];
        let at = i64::try_from(at)
            .ok()
            .filter(|&at| at <= columns)
            .ok_or_else(|| Error::shape(function, format!("{at} is not within the {columns} columns")))?;
        // Else an element of one half could be one of the other.
        if !is_injective(&self.raw) {
            let message = format!("the elements overlap: strides {:?} of {self:?}", &self.raw.strides[..2]);
            return Err(Error::found(Status::LAYOUT, function, message));
        }
        let (mut left, mut right) = (self.raw, self.raw);
        left.shape[1] = at;
        right.shape[1] = columns - at;
        if at < columns && self.raw.shape[0] > 0 {
            let offset = at as isize * self.raw.strides[1] as isize * self.dtype().size() as isize;
            right.data = self.raw.data.wrapping_byte_offset(offset);
        } else {
            right.data = ptr::null_mut();
        }
        Ok((ViewMut { raw: left, memory: PhantomData }, ViewMut { raw: right, memory: PhantomData }))
    }
}

/// Checks that a view is well formed.
pub(crate) fn check_view(raw: &sys::glq_view) -> Result<()> {
    let api = sys::api()?;
    // SAFETY: the memory is not touched.
    check(api, unsafe { (api.glq_view_check)(raw) })
}
