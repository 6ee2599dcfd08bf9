//! Operations: they check their arguments, queue their work on a stream and return.
//!
//! Arguments are in the header's order: context, stream, weight, inputs, outputs, workspace, options. With 0 tokens an
//! operation succeeds and queues nothing. See `glq/e8p.h` and `glq/dense.h` for shapes, types and promises.

use std::ptr;

use crate::error::{check, Error, Result};
use crate::sys::{self, StructSize};
use crate::{Codebook, Context, Stream, Tensor, View, ViewMut, Workspace};

/// Arithmetic of a product.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MathMode {
    /// The exact contract: the same bytes on every device and for every batch size.
    #[default]
    Exact,
    /// May use an FP16 product for large batches: the same bytes in every run on one device, close to the exact ones.
    Fp16Expanded,
}

impl MathMode {
    pub(crate) fn raw(self) -> i32 {
        match self {
            MathMode::Exact => sys::GLQ_MATH_EXACT,
            MathMode::Fp16Expanded => sys::GLQ_MATH_FP16_EXPANDED,
        }
    }
}

/// Optional properties of a launch.
#[derive(Clone, Copy, Debug)]
pub struct LaunchOpts {
    raw: sys::glq_launch_opts,
}

impl LaunchOpts {
    /// All defaults.
    pub fn new() -> LaunchOpts {
        LaunchOpts { raw: sys::glq_launch_opts::init() }
    }

    /// Arithmetic of the product.
    #[must_use]
    pub fn math_mode(mut self, mode: MathMode) -> LaunchOpts {
        self.raw.math_mode = mode.raw();
        self
    }
}

impl Default for LaunchOpts {
    fn default() -> LaunchOpts {
        LaunchOpts::new()
    }
}

fn raw_opts(opts: Option<&LaunchOpts>) -> *const sys::glq_launch_opts {
    opts.map_or(ptr::null(), |opts| &opts.raw)
}

fn count(function: &str, name: &str, value: usize) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::argument(function, format!("{name}: {value} is too large")))
}

/// y = x W^T + bias with an E8P weight.
#[inline]
pub fn fused_linear_e8p(
    ctx: &Context,
    stream: Stream<'_>,
    weight: &Tensor<'_>,
    x: &View<'_>,
    y: &mut ViewMut<'_>,
    workspace: &mut Workspace<'_>,
    opts: Option<&LaunchOpts>,
) -> Result<()> {
    let workspace = workspace.raw_for(ctx, "glq_fused_linear_e8p")?;
    let stream = stream.raw_for(ctx.device(), "glq_fused_linear_e8p")?;
    // SAFETY: live handles; the views borrow their memory, and what is queued keeps to the rules of views and tensors.
    check(ctx.api, unsafe {
        (ctx.api.glq_fused_linear_e8p)(
            ctx.as_raw(),
            stream,
            weight.as_raw(),
            x.as_raw(),
            y.as_raw(),
            workspace,
            raw_opts(opts),
        )
    })
}

/// Several linears of one input, byte for byte as [`fused_linear_e8p`] of each. The outputs may be column ranges of one
/// matrix; see [`ViewMut::split_columns`].
pub fn fused_linear_e8p_group(
    ctx: &Context,
    stream: Stream<'_>,
    weights: &[&Tensor<'_>],
    x: &View<'_>,
    y: &mut [ViewMut<'_>],
    workspace: &mut Workspace<'_>,
    opts: Option<&LaunchOpts>,
) -> Result<()> {
    let function = "glq_fused_linear_e8p_group";
    if weights.len() != y.len() {
        return Err(Error::argument(function, format!("{} weights, but {} outputs", weights.len(), y.len())));
    }
    let (handles, count) = group(function, weights)?;
    let workspace = workspace.raw_for(ctx, function)?;
    let stream = stream.raw_for(ctx.device(), function)?;
    // SAFETY: as above; ViewMut is a transparent wrapper of the struct, and there are `count` of them.
    check(ctx.api, unsafe {
        (ctx.api.glq_fused_linear_e8p_group)(
            ctx.as_raw(),
            stream,
            handles.as_ptr(),
            count,
            x.as_raw(),
            y.as_ptr().cast(),
            workspace,
            raw_opts(opts),
        )
    })
}

type Group = [*const sys::glq_tensor; sys::GLQ_E8P_MAX_GROUP as usize];

fn group(function: &str, weights: &[&Tensor<'_>]) -> Result<(Group, i32)> {
    let mut handles = [ptr::null(); sys::GLQ_E8P_MAX_GROUP as usize];
    if weights.len() > handles.len() {
        return Err(Error::argument(function, format!("{} weights, at most {}", weights.len(), handles.len())));
    }
    for (handle, weight) in handles.iter_mut().zip(weights) {
        *handle = weight.as_raw().cast_const();
    }
    Ok((handles, weights.len() as i32))
}

/// Workspace that [`fused_linear_e8p_group`] needs for up to `max_tokens` rows.
pub fn fused_linear_e8p_group_workspace(
    ctx: &Context,
    weights: &[&Tensor<'_>],
    max_tokens: usize,
    opts: Option<&LaunchOpts>,
) -> Result<usize> {
    let function = "glq_fused_linear_e8p_group_workspace";
    let (handles, number) = group(function, weights)?;
    let tokens = count(function, "max_tokens", max_tokens)?;
    let mut bytes = 0;
    // SAFETY: live handles; one integer is written.
    check(ctx.api, unsafe {
        (ctx.api.glq_fused_linear_e8p_group_workspace)(
            ctx.as_raw(),
            handles.as_ptr(),
            number,
            tokens,
            raw_opts(opts),
            &mut bytes,
        )
    })?;
    Ok(bytes)
}

macro_rules! workspace_query {
    ($name:ident, $c_name:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(
            ctx: &Context,
            weight: &Tensor<'_>,
            max_tokens: usize,
            opts: Option<&LaunchOpts>,
        ) -> Result<usize> {
            let tokens = count(stringify!($c_name), "max_tokens", max_tokens)?;
            let mut bytes = 0;
            // SAFETY: live handles; one integer is written.
            check(ctx.api, unsafe {
                (ctx.api.$c_name)(ctx.as_raw(), weight.as_raw(), tokens, raw_opts(opts), &mut bytes)
            })?;
            Ok(bytes)
        }
    };
}

workspace_query!(
    fused_linear_e8p_workspace,
    glq_fused_linear_e8p_workspace,
    "Workspace that [`fused_linear_e8p`] needs for up to `max_tokens` rows."
);
workspace_query!(
    rht_input_workspace,
    glq_rht_input_workspace,
    "Workspace that [`rht_input`] needs for up to `max_tokens` rows."
);
workspace_query!(
    matmul_e8p_workspace,
    glq_matmul_e8p_workspace,
    "Workspace that [`matmul_e8p`] needs for up to `max_tokens` rows."
);
workspace_query!(
    rht_output_workspace,
    glq_rht_output_workspace,
    "Workspace that [`rht_output`] needs for up to `max_tokens` rows."
);
workspace_query!(
    gemv_bf16_workspace,
    glq_gemv_bf16_workspace,
    "Workspace that [`gemv_bf16`] needs for up to `max_tokens` rows."
);

macro_rules! product {
    ($name:ident, $c_name:ident, $input:ident, $output:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(
            ctx: &Context,
            stream: Stream<'_>,
            weight: &Tensor<'_>,
            $input: &View<'_>,
            $output: &mut ViewMut<'_>,
            workspace: &mut Workspace<'_>,
            opts: Option<&LaunchOpts>,
        ) -> Result<()> {
            let workspace = workspace.raw_for(ctx, stringify!($c_name))?;
            let stream = stream.raw_for(ctx.device(), stringify!($c_name))?;
            // SAFETY: as in `fused_linear_e8p`.
            check(ctx.api, unsafe {
                (ctx.api.$c_name)(
                    ctx.as_raw(),
                    stream,
                    weight.as_raw(),
                    $input.as_raw(),
                    $output.as_raw(),
                    workspace,
                    raw_opts(opts),
                )
            })
        }
    };
}

product!(rht_input, glq_rht_input, x, v, "First piece of the linear: v = B_in( SV * pad(x) ), in FP32.");
product!(matmul_e8p, glq_matmul_e8p, v, z, "Second piece: z = weight_scale * sum_s sigma_s Q_s v.");
product!(rht_output, glq_rht_output, z, y, "Third piece: y = crop( SU * B_out(z) ) + bias, rounded once.");
product!(gemv_bf16, glq_gemv_bf16, x, y, "y = x W^T with a dense BF16 weight, for at most 16 rows.");

/// Decodes rows of the rotated matrix, from `row_begin` on, as many as `w` has.
pub fn decode_e8p(
    ctx: &Context,
    stream: Stream<'_>,
    weight: &Tensor<'_>,
    row_begin: usize,
    w: &mut ViewMut<'_>,
    opts: Option<&LaunchOpts>,
) -> Result<()> {
    let row_begin = count("glq_decode_e8p", "row_begin", row_begin)?;
    let stream = stream.raw_for(ctx.device(), "glq_decode_e8p")?;
    // SAFETY: as in `fused_linear_e8p`.
    check(ctx.api, unsafe {
        (ctx.api.glq_decode_e8p)(ctx.as_raw(), stream, weight.as_raw(), row_begin, w.as_raw(), raw_opts(opts))
    })
}

/// Workspace that [`dequantize`] needs.
pub fn dequantize_workspace(ctx: &Context, weight: &Tensor<'_>, opts: Option<&LaunchOpts>) -> Result<usize> {
    let mut bytes = 0;
    // SAFETY: live handles; one integer is written.
    check(ctx.api, unsafe {
        (ctx.api.glq_dequantize_workspace)(ctx.as_raw(), weight.as_raw(), raw_opts(opts), &mut bytes)
    })?;
    Ok(bytes)
}

/// The effective weight W, both rotations undone. Not needed to run.
pub fn dequantize(
    ctx: &Context,
    stream: Stream<'_>,
    weight: &Tensor<'_>,
    w: &mut ViewMut<'_>,
    workspace: &mut Workspace<'_>,
    opts: Option<&LaunchOpts>,
) -> Result<()> {
    let workspace = workspace.raw_for(ctx, "glq_dequantize")?;
    let stream = stream.raw_for(ctx.device(), "glq_dequantize")?;
    // SAFETY: as in `fused_linear_e8p`.
    check(ctx.api, unsafe {
        (ctx.api.glq_dequantize)(ctx.as_raw(), stream, weight.as_raw(), w.as_raw(), workspace, raw_opts(opts))
    })
}

/// Packs codes into the checkpoint's layout.
pub fn pack(
    ctx: &Context,
    stream: Stream<'_>,
    codebook: Codebook,
    codes: &View<'_>,
    packed: &mut ViewMut<'_>,
) -> Result<()> {
    let stream = stream.raw_for(ctx.device(), "glq_e8p_pack")?;
    // SAFETY: as in `fused_linear_e8p`.
    check(ctx.api, unsafe {
        (ctx.api.glq_e8p_pack)(ctx.as_raw(), stream, codebook.raw(), codes.as_raw(), packed.as_raw())
    })
}

/// Unpacks the checkpoint's layout into codes; the inverse of [`pack`].
pub fn unpack(
    ctx: &Context,
    stream: Stream<'_>,
    codebook: Codebook,
    packed: &View<'_>,
    codes: &mut ViewMut<'_>,
) -> Result<()> {
    let stream = stream.raw_for(ctx.device(), "glq_e8p_unpack")?;
    // SAFETY: as in `fused_linear_e8p`.
    check(ctx.api, unsafe {
        (ctx.api.glq_e8p_unpack)(ctx.as_raw(), stream, codebook.raw(), packed.as_raw(), codes.as_raw())
    })
}

/// The codebook as data: I8 `[65536, 8]`, four times the weights, for E8P; `[256, 8]`, twice the weights, for E81B.
pub fn codebook(codebook: Codebook, table: &mut ViewMut<'_>) -> Result<()> {
    let api = sys::api()?;
    // SAFETY: the view is borrowed exclusively.
    check(api, unsafe { (api.glq_e8p_codebook)(codebook.raw(), table.as_raw()) })
}

/// How [`fused_linear_e8p`] would run, one `key: value` a line.
pub fn fused_linear_e8p_plan(
    ctx: &Context,
    weight: &Tensor<'_>,
    tokens: usize,
    opts: Option<&LaunchOpts>,
) -> Result<String> {
    let tokens = count("glq_fused_linear_e8p_plan", "tokens", tokens)?;
    let ask = |text: &mut [u8]| {
        let mut needed = 0;
        let pointer = if text.is_empty() { ptr::null_mut() } else { text.as_mut_ptr().cast() };
        // SAFETY: live handles; at most the length of the slice is written.
        let status = unsafe {
            (ctx.api.glq_fused_linear_e8p_plan)(
                ctx.as_raw(),
                weight.as_raw(),
                tokens,
                raw_opts(opts),
                pointer,
                text.len(),
                &mut needed,
            )
        };
        check(ctx.api, status).map(|()| needed)
    };
    let mut text = vec![0; ask(&mut [])?];
    ask(&mut text)?;
    text.pop(); // the NUL
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Copies elements between two arrays of one shape and type, on any devices, and waits for `stream`.
pub fn copy(ctx: &Context, stream: Stream<'_>, source: &View<'_>, destination: &mut ViewMut<'_>) -> Result<()> {
    let raw = stream.raw_for(ctx.device(), "glq_view_copy")?;
    // SAFETY: live handle; host memory is borrowed until the wait below.
    check(ctx.api, unsafe { (ctx.api.glq_view_copy)(ctx.as_raw(), raw, source.as_raw(), destination.as_raw()) })?;
    if ctx.device().is_cpu() {
        return Ok(());
    }
    ctx.synchronize(stream)
}

/// As [`copy`], without the wait.
///
/// # Safety
/// Host memory of both views stays valid and otherwise unused until the copy has finished on `stream`.
pub unsafe fn copy_async(
    ctx: &Context,
    stream: Stream<'_>,
    source: &View<'_>,
    destination: &mut ViewMut<'_>,
) -> Result<()> {
    let raw = stream.raw_for(ctx.device(), "glq_view_copy")?;
    // SAFETY: live handle; the rest is the caller's promise.
    check(ctx.api, unsafe { (ctx.api.glq_view_copy)(ctx.as_raw(), raw, source.as_raw(), destination.as_raw()) })
}
