//! Checkpoints: safetensors files, mapped into memory.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::error::{check, Error, Result};
use crate::sys::{self, Api, StructSize};
use crate::{e8p, text, Context, Stream, Tensor, View};

/// An open checkpoint. Views and layers borrow it; weights made from it have their own copy.
///
/// The files are mapped: they must not be changed or truncated while open, which on POSIX is a fault (SIGBUS).
pub struct Checkpoint {
    api: &'static Api,
    raw: NonNull<sys::glq_checkpoint>,
}

// SAFETY: the library says that any number of threads may use a checkpoint; dropping it is exclusive.
unsafe impl Send for Checkpoint {}
// SAFETY: as above.
unsafe impl Sync for Checkpoint {}

type NameFunction = unsafe extern "C" fn(*const sys::glq_checkpoint, i64, *mut *const c_char) -> sys::glq_status;
type CountFunction = unsafe extern "C" fn(*const sys::glq_checkpoint, *mut i64) -> sys::glq_status;

impl Checkpoint {
    /// Opens and checks a `.safetensors` file, a `.safetensors.index.json` file, or a directory that holds
    /// `model.safetensors` or `model.safetensors.index.json`.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let api = sys::api()?;
        let function = "Checkpoint::open";
        let path = path.as_ref().to_str().ok_or_else(|| {
            Error::argument(function, format!("the path {} is not UTF-8", path.as_ref().to_string_lossy()))
        })?;
        let path = text::to_c(function, "the path", path)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the text ends with NUL.
        check(api, unsafe { (api.glq_checkpoint_open)(path.as_ptr(), &mut raw) })?;
        let raw = NonNull::new(raw).ok_or_else(|| Error::argument(function, "no checkpoint".to_owned()))?;
        Ok(Checkpoint { api, raw })
    }

    /// Names of all tensors, in order.
    pub fn tensor_names(&self) -> Result<Vec<&str>> {
        self.names(self.api.glq_checkpoint_tensor_count, self.api.glq_checkpoint_tensor_name)
    }

    /// Names of the E8P layers (module paths), in order.
    pub fn layer_names(&self) -> Result<Vec<&str>> {
        self.names(self.api.glq_checkpoint_layer_count, self.api.glq_checkpoint_layer_name)
    }

    fn names(&self, count_of: CountFunction, name_of: NameFunction) -> Result<Vec<&str>> {
        let mut count = 0;
        // SAFETY: live handle.
        check(self.api, unsafe { count_of(self.raw.as_ptr(), &mut count) })?;
        let name = |index| {
            let mut name = ptr::null();
            // SAFETY: live handle; the name lives as long as the checkpoint.
            unsafe {
                check(self.api, name_of(self.raw.as_ptr(), index, &mut name))?;
                Ok(text::borrowed(name))
            }
        };
        (0..count).map(name).collect()
    }

    /// A tensor of the file. Its memory may be less aligned than its type.
    pub fn tensor(&self, name: &str) -> Result<View<'_>> {
        let name = text::to_c("Checkpoint::tensor", "the name", name)?;
        let mut raw = std::mem::MaybeUninit::<sys::glq_view>::zeroed();
        // SAFETY: live handle; the view is written, and its memory lives as long as the checkpoint. All bytes 0 is a view.
        unsafe {
            check(self.api, (self.api.glq_checkpoint_tensor)(self.raw.as_ptr(), name.as_ptr(), raw.as_mut_ptr()))?;
            Ok(View::from_raw(raw.assume_init()))
        }
    }

    /// An E8P layer, ready to be loaded.
    pub fn layer(&self, name: &str) -> Result<Layer<'_>> {
        let name = text::to_c("Checkpoint::layer", "the name", name)?;
        let mut desc = sys::glq_e8p_desc::init();
        // SAFETY: live handle, initialised struct.
        check(self.api, unsafe { (self.api.glq_checkpoint_layer)(self.raw.as_ptr(), name.as_ptr(), &mut desc) })?;
        Ok(Layer { desc, file: PhantomData })
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // SAFETY: the handle is given up once, while nothing borrows it.
        unsafe { (self.api.glq_checkpoint_destroy)(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.layer_names().map_or(0, |names| names.len());
        write!(formatter, "Checkpoint({layers} E8P layers)")
    }
}

/// An E8P layer of a checkpoint.
///
/// Many checkpoints do not store the sizes before padding, and then the padded ones stand; [`Layer::features`] sets them.
#[derive(Clone, Copy)]
pub struct Layer<'c> {
    desc: sys::glq_e8p_desc,
    file: PhantomData<&'c Checkpoint>,
}

// SAFETY: plain values and pointers into the checkpoint, which is Sync.
unsafe impl Send for Layer<'_> {}
// SAFETY: as above.
unsafe impl Sync for Layer<'_> {}

impl Layer<'_> {
    /// Columns of W.
    pub fn in_features(&self) -> usize {
        self.desc.in_features as usize
    }

    /// Rows of W.
    pub fn out_features(&self) -> usize {
        self.desc.out_features as usize
    }

    /// Bits per weight.
    pub fn bits(&self) -> i32 {
        self.desc.bits
    }

    /// Says the sizes before padding.
    pub fn features(mut self, in_features: usize, out_features: usize) -> Result<Self> {
        let size = |value: usize| {
            i64::try_from(value).map_err(|_| Error::shape("Layer::features", format!("{value} is too large")))
        };
        self.desc.in_features = size(in_features)?;
        self.desc.out_features = size(out_features)?;
        Ok(self)
    }

    /// Makes the weight on the context's device. It is complete on return and keeps its own copy.
    pub fn load(&self, ctx: &Context, stream: Stream<'_>) -> Result<Tensor<'static>> {
        // SAFETY: the pointers live as long as the checkpoint, which is borrowed.
        unsafe { e8p::create(ctx, stream, &self.desc) }
    }
}

impl std::fmt::Debug for Layer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Layer({} bits, {} x {})", self.bits(), self.out_features(), self.in_features())
    }
}
