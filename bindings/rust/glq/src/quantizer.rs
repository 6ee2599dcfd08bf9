//! The quantizer.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::ops::ControlFlow;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};

use crate::error::{check, Error, Result};
use crate::sys::{self, Api, StructSize};
use crate::{text, Context, Device, Stream, Tensor, View, ViewMut};

/// The quantizer of one linear layer, or of several that share the input. It may move between threads.
pub struct Quantizer {
    api: &'static Api,
    raw: NonNull<sys::glq_quantizer>,
    device: Device,
}

// SAFETY: it is not bound to a thread. Not Sync: it takes one call at a time.
unsafe impl Send for Quantizer {}

/// What to quantize and how; see `glq_quantizer_desc`. 0 means the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantizerOptions {
    /// Columns of W. Required.
    pub in_features: usize,
    /// Rows of W. Required.
    pub out_features: usize,
    /// 2 to 8. Required.
    pub bits: i32,
    /// Pad both dimensions to powers of two, the layout of old checkpoints.
    pub pow2: bool,
    /// Coordinate-descent passes after LDLQ, 0 to 100.
    pub refine_passes: i32,
    /// Choose the scales that lower the proxy loss, not the constants of existing checkpoints.
    pub scale_search: bool,
    /// Seed of the sign vectors; `None`: 42.
    pub seed: Option<u32>,
    /// Share of the mean diagonal added to the Hessian; 0: 0.01; negative: none.
    pub damping: f64,
    /// The same after its rotation.
    pub damping_rht: f64,
    /// RMS that the rotated weight is scaled to.
    pub input_scale: f64,
    /// Residual scale before an E8P stage.
    pub rho_e8p: f64,
    /// Residual scale before an E81B stage.
    pub rho_e81b: f64,
}

impl QuantizerOptions {
    fn raw(&self) -> Result<sys::glq_quantizer_desc> {
        let size = |value: usize| {
            i64::try_from(value).map_err(|_| Error::shape("Quantizer", format!("the size {value} is too large")))
        };
        let mut raw = sys::glq_quantizer_desc::init();
        raw.flags = if self.pow2 { sys::GLQ_QUANTIZER_POW2 } else { 0 }
            | if self.seed.is_some() { sys::GLQ_QUANTIZER_HAS_SEED } else { 0 };
        raw.in_features = size(self.in_features)?;
        raw.out_features = size(self.out_features)?;
        raw.bits = self.bits;
        raw.refine_passes = self.refine_passes;
        raw.scale_mode =
            if self.scale_search { sys::GLQ_QUANTIZER_SCALE_SEARCH } else { sys::GLQ_QUANTIZER_SCALE_SPEC };
        raw.seed = self.seed.unwrap_or(0);
        raw.damping = self.damping;
        raw.damping_rht = self.damping_rht;
        raw.input_scale = self.input_scale;
        raw.rho_e8p = self.rho_e8p;
        raw.rho_e81b = self.rho_e81b;
        Ok(raw)
    }

    /// Peak host memory of such a quantizer, an upper bound.
    pub fn memory(&self) -> Result<usize> {
        let api = sys::api()?;
        let mut bytes = 0;
        // SAFETY: initialised struct; one integer is written.
        check(api, unsafe { (api.glq_quantizer_memory)(&self.raw()?, &mut bytes) })?;
        Ok(bytes)
    }
}

/// Makes a [`Quantizer`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct QuantizerBuilder {
    options: QuantizerOptions,
}

impl QuantizerBuilder {
    /// Coordinate-descent passes after LDLQ, 0 to 100.
    pub fn refine_passes(mut self, passes: i32) -> Self {
        self.options.refine_passes = passes;
        self
    }

    /// Choose the scales that lower the proxy loss; better at 4 bits and more.
    pub fn scale_search(mut self) -> Self {
        self.options.scale_search = true;
        self
    }

    /// Seed of the sign vectors; if not said, 42, the seed of existing checkpoints.
    pub fn seed(mut self, seed: u32) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Pad both dimensions to powers of two, the layout of old checkpoints.
    pub fn pow2(mut self) -> Self {
        self.options.pow2 = true;
        self
    }

    /// Share of the mean diagonal added to the Hessian; negative: none.
    pub fn damping(mut self, damping: f64) -> Self {
        self.options.damping = damping;
        self
    }

    /// All options so far, for those without a function here.
    pub fn options(&mut self) -> &mut QuantizerOptions {
        &mut self.options
    }

    /// Makes the quantizer, with an empty Hessian.
    pub fn build(self, ctx: &Context) -> Result<Quantizer> {
        Quantizer::with_options(ctx, &self.options)
    }
}

/// How far a run is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Work done so far.
    pub done: i64,
    /// All work; equal to `done` at the end.
    pub total: i64,
    /// What is being done, such as `"ldlq"`.
    pub phase: &'a str,
}

/// How good the last finished run was; see `glq_quantizer_report`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizerReport {
    /// Mean over padded rows of d H d^T, d the error in the rotated space.
    pub proxy_loss: f64,
    /// The same divided by the mean of w H w^T.
    pub proxy_loss_relative: f64,
    /// 10 log10(|W|^2 / |W - What|^2).
    pub sqnr_db: f64,
    /// `Wscale`.
    pub weight_scale: f64,
    /// Cumulative sigma of each stage.
    pub cum_inv_scale: Vec<f64>,
    /// Time spent in the run, cancelled parts included.
    pub seconds: f64,
    /// Tokens behind the Hessian.
    pub samples: f64,
    /// Extra damping steps the factorisation needed.
    pub damping_retries: i32,
}

struct Running<F> {
    progress: F,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn on_progress<F: FnMut(Progress<'_>) -> ControlFlow<()>>(
    user: *mut c_void,
    done: i64,
    total: i64,
    phase: *const c_char,
) -> i32 {
    // SAFETY: `user` is what `run_with_progress` lends for the call, used by its thread only; `phase` is static.
    let (running, phase) = unsafe { (&mut *user.cast::<Running<F>>(), text::borrowed(phase)) };
    match catch_unwind(AssertUnwindSafe(|| (running.progress)(Progress { done, total, phase }))) {
        Ok(ControlFlow::Continue(())) => 0,
        Ok(ControlFlow::Break(())) => 1,
        Err(panic) => {
            running.panic = Some(panic);
            1
        }
    }
}

impl Quantizer {
    /// A quantizer of a layer, with options to choose.
    pub fn builder(in_features: usize, out_features: usize, bits: i32) -> QuantizerBuilder {
        QuantizerBuilder { options: QuantizerOptions { in_features, out_features, bits, ..Default::default() } }
    }

    /// A quantizer with these options and an empty Hessian.
    pub fn with_options(ctx: &Context, options: &QuantizerOptions) -> Result<Quantizer> {
        let desc = options.raw()?;
        let mut raw = ptr::null_mut();
        // SAFETY: live handle, initialised struct.
        check(ctx.api, unsafe { (ctx.api.glq_quantizer_create)(ctx.as_raw(), &desc, &mut raw) })?;
        Quantizer::from_raw(ctx, raw)
    }

    /// A quantizer from what [`Quantizer::save`] wrote.
    pub fn load(ctx: &Context, state: &[u8]) -> Result<Quantizer> {
        let mut raw = ptr::null_mut();
        // SAFETY: live handle; the slice is read during the call.
        check(ctx.api, unsafe {
            (ctx.api.glq_quantizer_load)(ctx.as_raw(), state.as_ptr().cast(), state.len(), &mut raw)
        })?;
        Quantizer::from_raw(ctx, raw)
    }

    fn from_raw(ctx: &Context, raw: *mut sys::glq_quantizer) -> Result<Quantizer> {
        let raw = NonNull::new(raw).ok_or_else(|| Error::argument("Quantizer", "no quantizer".to_owned()))?;
        Ok(Quantizer { api: ctx.api, raw, device: ctx.device() })
    }

    /// Adds x^T x of a batch of activations `[tokens, in_features]` on the host to the Hessian.
    pub fn add_batch(&mut self, x: &View<'_>) -> Result<()> {
        // SAFETY: live handle, used by one call at a time; the view is read during the call.
        check(self.api, unsafe { (self.api.glq_quantizer_add_batch)(self.raw.as_ptr(), x.as_raw()) })
    }

    /// Replaces the Hessian: the mean of x^T x per token, and the tokens it stands for.
    pub fn set_hessian(&mut self, hessian: &View<'_>, samples: f64) -> Result<()> {
        // SAFETY: as above.
        check(self.api, unsafe { (self.api.glq_quantizer_set_hessian)(self.raw.as_ptr(), hessian.as_raw(), samples) })
    }

    /// Copies the Hessian out and returns the tokens it stands for.
    pub fn hessian(&self, hessian: &mut ViewMut<'_>) -> Result<f64> {
        let mut samples = 0.0;
        // SAFETY: as above; the view is borrowed exclusively.
        check(self.api, unsafe {
            (self.api.glq_quantizer_get_hessian)(self.raw.as_ptr(), hessian.as_raw(), &mut samples)
        })?;
        Ok(samples)
    }

    /// Quantizes a weight `[out_features, in_features]` on the host. Without a Hessian the identity is used.
    pub fn run(&mut self, stream: Stream<'_>, weight: &View<'_>, bias: Option<&View<'_>>) -> Result<Tensor<'static>> {
        self.run_with_progress(stream, weight, bias, |_| ControlFlow::Continue(()))
    }

    /// As [`Quantizer::run`], telling how far it is.
    ///
    /// `Break` stops it with [`Error::Cancelled`], and a panic stops it and goes on here. A stopped run keeps what it did:
    /// the same call goes on with it, also after [`Quantizer::save`] and [`Quantizer::load`], and gives the same bytes.
    pub fn run_with_progress<F: FnMut(Progress<'_>) -> ControlFlow<()>>(
        &mut self,
        stream: Stream<'_>,
        weight: &View<'_>,
        bias: Option<&View<'_>>,
        progress: F,
    ) -> Result<Tensor<'static>> {
        let stream = stream.raw_for(self.device, "glq_quantizer_run")?;
        let mut running = Running { progress, panic: None };
        let mut raw = ptr::null_mut();
        // SAFETY: live handle, used by one call at a time; views and `running` are borrowed during the call.
        let status = unsafe {
            (self.api.glq_quantizer_run)(
                self.raw.as_ptr(),
                stream,
                weight.as_raw(),
                bias.map_or(ptr::null(), |bias| bias.as_raw()),
                Some(on_progress::<F>),
                ptr::from_mut(&mut running).cast(),
                &mut raw,
            )
        };
        // SAFETY: a reference of its own, if any.
        let result = check(self.api, status).and_then(|()| unsafe { Tensor::from_raw(self.api, raw) });
        match running.panic {
            Some(panic) => resume_unwind(panic),
            None => result,
        }
    }

    /// Forgets a run that was cancelled or failed. The Hessian stays.
    pub fn abandon(&mut self) -> Result<()> {
        // SAFETY: live handle, used by one call at a time.
        check(self.api, unsafe { (self.api.glq_quantizer_abandon)(self.raw.as_ptr()) })
    }

    /// The whole state: options, Hessian, the progress of a cancelled or failed run.
    pub fn save(&self) -> Result<Vec<u8>> {
        let mut needed = 0;
        // SAFETY: live handle; NULL with capacity 0 asks for the size.
        check(self.api, unsafe { (self.api.glq_quantizer_save)(self.raw.as_ptr(), ptr::null_mut(), 0, &mut needed) })?;
        let mut state = vec![0u8; needed];
        // SAFETY: as above; at most the length is written.
        check(self.api, unsafe {
            (self.api.glq_quantizer_save)(self.raw.as_ptr(), state.as_mut_ptr().cast(), state.len(), &mut needed)
        })?;
        state.truncate(needed);
        Ok(state)
    }

    /// What it was made with.
    pub fn options(&self) -> Result<QuantizerOptions> {
        let mut raw = sys::glq_quantizer_desc::init();
        // SAFETY: live handle, initialised struct.
        check(self.api, unsafe { (self.api.glq_quantizer_get_desc)(self.raw.as_ptr(), &mut raw) })?;
        Ok(QuantizerOptions {
            in_features: raw.in_features as usize,
            out_features: raw.out_features as usize,
            bits: raw.bits,
            pow2: raw.flags & sys::GLQ_QUANTIZER_POW2 != 0,
            refine_passes: raw.refine_passes,
            scale_search: raw.scale_mode == sys::GLQ_QUANTIZER_SCALE_SEARCH,
            seed: (raw.flags & sys::GLQ_QUANTIZER_HAS_SEED != 0).then_some(raw.seed),
            damping: raw.damping,
            damping_rht: raw.damping_rht,
            input_scale: raw.input_scale,
            rho_e8p: raw.rho_e8p,
            rho_e81b: raw.rho_e81b,
        })
    }

    /// How good the last finished run was.
    pub fn report(&self) -> Result<QuantizerReport> {
        let mut raw = sys::glq_quantizer_report::init();
        // SAFETY: live handle, initialised struct.
        check(self.api, unsafe { (self.api.glq_quantizer_get_report)(self.raw.as_ptr(), &mut raw) })?;
        Ok(QuantizerReport {
            proxy_loss: raw.proxy_loss,
            proxy_loss_relative: raw.proxy_loss_relative,
            sqnr_db: raw.sqnr_db,
            weight_scale: raw.weight_scale,
            cum_inv_scale: raw.cum_inv_scale.iter().copied().take(raw.num_stages as usize).collect(),
            seconds: raw.seconds,
            samples: raw.samples,
            damping_retries: raw.damping_retries,
        })
    }
}

impl Drop for Quantizer {
    fn drop(&mut self) {
        // SAFETY: the handle is given up once, while no call runs.
        unsafe { (self.api.glq_quantizer_destroy)(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Quantizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.options() {
            Ok(options) => write!(formatter, "Quantizer({options:?})"),
            Err(error) => write!(formatter, "Quantizer({error})"),
        }
    }
}
