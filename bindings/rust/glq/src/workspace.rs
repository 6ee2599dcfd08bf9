//! Scratch memory.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::error::{Error, Result};
use crate::sys;
use crate::{Context, DType, Device, Status, Tensor};

/// Scratch memory for one call at a time, on one device.
///
/// It serves any number of calls on one stream, one after another. Streams whose work runs at the same time need one each:
/// sharing one gives wrong numbers.
pub struct Workspace<'a> {
    memory: Option<Tensor<'static>>,
    raw: sys::glq_workspace,
    device: Device,
    borrowed: PhantomData<&'a mut [u8]>,
}

// SAFETY: it owns its memory, or borrows it exclusively.
unsafe impl Send for Workspace<'_> {}
// SAFETY: nothing can be done through a shared reference.
unsafe impl Sync for Workspace<'_> {}

impl Workspace<'static> {
    /// `bytes` of memory on the context's device; 0 takes none.
    pub fn new(ctx: &Context, bytes: usize) -> Result<Workspace<'static>> {
        let mut workspace = Workspace {
            memory: None,
            raw: sys::glq_workspace { data: std::ptr::null_mut(), bytes: 0 },
            device: ctx.device(),
            borrowed: PhantomData,
        };
        workspace.reserve(ctx, bytes)?;
        Ok(workspace)
    }

    /// Grows to at least `bytes`. Calls queued before keep the memory they were given.
    pub fn reserve(&mut self, ctx: &Context, bytes: usize) -> Result<()> {
        self.check_device(ctx, "Workspace::reserve")?;
        if bytes <= self.raw.bytes {
            return Ok(());
        }
        // The allocator's alignment is its own affair, so there is room to align here.
        let alignment = sys::GLQ_WORKSPACE_ALIGNMENT as usize;
        let memory = Tensor::uninitialised(ctx, DType::U8, &[bytes.saturating_add(alignment)])?;
        let start = memory.view()?.as_raw().data;
        let offset = start.cast::<u8>().align_offset(alignment);
        self.raw = sys::glq_workspace { data: start.wrapping_byte_add(offset), bytes };
        self.memory = Some(memory);
        Ok(())
    }
}

impl<'a> Workspace<'a> {
    /// Memory that the caller keeps, such as from a framework's allocator.
    ///
    /// # Safety
    /// `bytes` of memory on `device`, aligned to 256, that nothing else uses for `'a` and until the work has finished that
    /// was queued with it.
    pub unsafe fn from_raw_parts(data: *mut c_void, bytes: usize, device: Device) -> Workspace<'a> {
        Workspace { memory: None, raw: sys::glq_workspace { data, bytes }, device, borrowed: PhantomData }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.raw.bytes
    }

    /// The struct for a call in this context. The library cannot see where a workspace is, so it is checked here.
    #[inline]
    pub(crate) fn raw_for(&mut self, ctx: &Context, function: &str) -> Result<*const sys::glq_workspace> {
        self.check_device(ctx, function)?;
        Ok(&self.raw)
    }

    #[inline]
    fn check_device(&self, ctx: &Context, function: &str) -> Result<()> {
        if self.device == ctx.device() {
            return Ok(());
        }
        let message = format!("the workspace is on {}, the context on {}", self.device, ctx.device());
        Err(Error::found(Status::DEVICE_MISMATCH, function, message))
    }
}

impl std::fmt::Debug for Workspace<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let owned = if self.memory.is_some() { "owned" } else { "borrowed" };
        write!(formatter, "Workspace({} bytes on {}, {owned})", self.raw.bytes, self.device)
    }
}
