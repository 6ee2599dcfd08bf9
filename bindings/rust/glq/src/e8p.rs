//! E8P weights: their parts, what they are, and back to their parts.

use std::ptr;

use crate::error::{check, Error, Result};
use crate::sys::{self, StructSize};
use crate::{Context, DType, Stream, Tensor, View, ViewMut};

const MAX_STAGES: usize = sys::GLQ_E8P_MAX_STAGES as usize;

/// The codebook of a stage.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codebook {
    /// 16-bit codes for 8 weights: 2 bits per weight.
    E8p,
    /// 8-bit codes for 8 weights: 1 bit per weight; only as the last stage.
    E81b,
}

impl Codebook {
    pub(crate) fn raw(self) -> i32 {
        match self {
            Codebook::E8p => sys::GLQ_CODEBOOK_E8P,
            Codebook::E81b => sys::GLQ_CODEBOOK_E81B,
        }
    }

    fn from_raw(raw: i32) -> Option<Codebook> {
        match raw {
            sys::GLQ_CODEBOOK_E8P => Some(Codebook::E8p),
            sys::GLQ_CODEBOOK_E81B => Some(Codebook::E81b),
            _ => None,
        }
    }
}

/// Makes an E8P weight from its parts, which are only needed until it is made.
///
/// `in_features`, `out_features`, `weight_scale` and at least one stage are required.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct E8pBuilder<'p> {
    in_features: usize,
    out_features: usize,
    padded_in: usize,
    padded_out: usize,
    bits: i32,
    weight_scale: Option<f64>,
    stages: Vec<(Codebook, f64, View<'p>)>,
    in_blocks: Option<&'p [i64]>,
    out_blocks: Option<&'p [i64]>,
    sv: Option<View<'p>>,
    su: Option<View<'p>>,
    bias: Option<View<'p>>,
}

impl<'p> E8pBuilder<'p> {
    /// Columns and rows of W before padding.
    pub fn features(mut self, in_features: usize, out_features: usize) -> Self {
        (self.in_features, self.out_features) = (in_features, out_features);
        self
    }

    /// Columns and rows of the rotated matrix; if not said, taken from the first stage.
    pub fn padded(mut self, padded_in: usize, padded_out: usize) -> Self {
        (self.padded_in, self.padded_out) = (padded_in, padded_out);
        self
    }

    /// Bits per weight, 2 to 8; if not said, it follows from the stages.
    pub fn bits(mut self, bits: i32) -> Self {
        self.bits = bits;
        self
    }

    /// `Wscale`. 0 is a value like others.
    pub fn weight_scale(mut self, scale: f64) -> Self {
        self.weight_scale = Some(scale);
        self
    }

    /// The next stage: packed codes in the checkpoint's layout, and its cumulative sigma (1 for the first stage).
    pub fn stage(mut self, codebook: Codebook, cum_inv_scale: f64, indices: &View<'p>) -> Self {
        self.stages.push((codebook, cum_inv_scale, *indices));
        self
    }

    /// Hadamard blocks of the input side; if not said, the binary expansion of the padded size.
    pub fn in_blocks(mut self, blocks: &'p [i64]) -> Self {
        self.in_blocks = Some(blocks);
        self
    }

    /// Hadamard blocks of the output side; if not said, the binary expansion of the padded size.
    pub fn out_blocks(mut self, blocks: &'p [i64]) -> Self {
        self.out_blocks = Some(blocks);
        self
    }

    /// F16 `[padded_in]`; if not said, all ones.
    pub fn sv(mut self, sv: &View<'p>) -> Self {
        self.sv = Some(*sv);
        self
    }

    /// F16 `[padded_out]`; if not said, all ones.
    pub fn su(mut self, su: &View<'p>) -> Self {
        self.su = Some(*su);
        self
    }

    /// F16, BF16 or F32 `[out_features]`.
    pub fn bias(mut self, bias: &View<'p>) -> Self {
        self.bias = Some(*bias);
        self
    }

    /// Makes the weight on the context's device. It is complete on return and keeps its own copy of everything.
    pub fn build(&self, ctx: &Context, stream: Stream<'_>) -> Result<Tensor<'static>> {
        let function = "E8pBuilder::build";
        let Some(weight_scale) = self.weight_scale else {
            return Err(Error::argument(function, "weight_scale is required".to_owned()));
        };
        let size = |value: usize| {
            i64::try_from(value).map_err(|_| Error::shape(function, format!("the size {value} is too large")))
        };
        let number = |length: usize| {
            i32::try_from(length).map_err(|_| Error::argument(function, format!("{length} entries are too many")))
        };
        let stages: Vec<sys::glq_e8p_stage> = self
            .stages
            .iter()
            .map(|(codebook, cum_inv_scale, indices)| sys::glq_e8p_stage {
                codebook: codebook.raw(),
                reserved: 0,
                cum_inv_scale: *cum_inv_scale,
                indices: *indices.as_raw(),
            })
            .collect();
        let blocks = |blocks: Option<&'p [i64]>| blocks.map_or(ptr::null(), <[i64]>::as_ptr);
        let mut desc = sys::glq_e8p_desc::init();
        desc.in_features = size(self.in_features)?;
        desc.out_features = size(self.out_features)?;
        desc.padded_in = size(self.padded_in)?;
        desc.padded_out = size(self.padded_out)?;
        desc.bits = self.bits;
        desc.num_stages = number(stages.len())?;
        desc.weight_scale = weight_scale;
        desc.stages = stages.as_ptr();
        desc.in_blocks = blocks(self.in_blocks);
        desc.out_blocks = blocks(self.out_blocks);
        desc.num_in_blocks = number(self.in_blocks.map_or(0, <[i64]>::len))?;
        desc.num_out_blocks = number(self.out_blocks.map_or(0, <[i64]>::len))?;
        desc.sv = raw_view(&self.sv);
        desc.su = raw_view(&self.su);
        desc.bias = raw_view(&self.bias);
        // SAFETY: everything the struct points to is borrowed during the call.
        unsafe { create(ctx, stream, &desc) }
    }
}

fn raw_view(view: &Option<View<'_>>) -> *const sys::glq_view {
    view.as_ref().map_or(ptr::null(), |view| view.as_raw())
}

/// # Safety
/// What `desc` points to is valid during the call.
pub(crate) unsafe fn create(ctx: &Context, stream: Stream<'_>, desc: &sys::glq_e8p_desc) -> Result<Tensor<'static>> {
    let stream = stream.raw_for(ctx.device(), "glq_tensor_create_e8p")?;
    let mut raw = ptr::null_mut();
    // SAFETY: live handle; the rest is the caller's promise.
    unsafe {
        check(ctx.api, (ctx.api.glq_tensor_create_e8p)(ctx.as_raw(), stream, desc, &mut raw))?;
        Tensor::from_raw(ctx.api, raw)
    }
}

/// What an E8P weight is; see `glq_e8p_info`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct E8pInfo {
    /// Bits per weight, 2 to 8.
    pub bits: i32,
    /// Columns of W.
    pub in_features: usize,
    /// Rows of W.
    pub out_features: usize,
    /// Columns of the rotated matrix.
    pub padded_in: usize,
    /// Rows of the rotated matrix.
    pub padded_out: usize,
    /// `Wscale`.
    pub weight_scale: f64,
    /// Codebook and cumulative sigma of each stage.
    pub stages: Vec<(Codebook, f64)>,
    /// Whether an SV vector was given.
    pub has_sv: bool,
    /// Whether an SU vector was given.
    pub has_su: bool,
    /// Type of the bias as given.
    pub bias_dtype: Option<DType>,
    /// Hadamard blocks of the input side; a tensor-parallel cut of the input is exact only between them.
    pub in_blocks: Vec<i64>,
    /// The same for the output side.
    pub out_blocks: Vec<i64>,
    /// Two weights of one context that share the input transform have equal values.
    pub input_transform_id: u64,
}

/// Destinations of [`Tensor::export_e8p`]; what is `None` is not written.
#[derive(Debug, Default)]
pub struct E8pParts<'a> {
    /// Per stage, the packed codes.
    pub indices: [Option<ViewMut<'a>>; MAX_STAGES],
    /// F16 `[padded_in]`.
    pub sv: Option<ViewMut<'a>>,
    /// F16 `[padded_out]`.
    pub su: Option<ViewMut<'a>>,
    /// `[out_features]` of the type it was given in.
    pub bias: Option<ViewMut<'a>>,
}

impl Tensor<'_> {
    /// What an E8P weight is.
    pub fn e8p_info(&self) -> Result<E8pInfo> {
        let mut raw = sys::glq_e8p_info::init();
        // SAFETY: live handle, initialised struct.
        check(self.api, unsafe { (self.api.glq_e8p_get_info)(self.as_raw(), &mut raw) })?;
        let stages = raw.codebook.iter().zip(raw.cum_inv_scale).take(raw.num_stages as usize);
        // SAFETY: arrays of these lengths, which live as long as the tensor.
        let (in_blocks, out_blocks) =
            unsafe { (blocks(raw.in_blocks, raw.num_in_blocks), blocks(raw.out_blocks, raw.num_out_blocks)) };
        Ok(E8pInfo {
            bits: raw.bits,
            in_features: raw.in_features as usize,
            out_features: raw.out_features as usize,
            padded_in: raw.padded_in as usize,
            padded_out: raw.padded_out as usize,
            weight_scale: raw.weight_scale,
            stages: stages.filter_map(|(&book, sigma)| Some((Codebook::from_raw(book)?, sigma))).collect(),
            has_sv: raw.has_sv != 0,
            has_su: raw.has_su != 0,
            bias_dtype: (raw.bias_dtype != 0).then_some(DType(raw.bias_dtype)),
            in_blocks,
            out_blocks,
            input_transform_id: raw.input_transform_id,
        })
    }

    /// Writes an E8P weight back in the checkpoint's layout, bit for bit as it was given. Complete on return.
    pub fn export_e8p(&self, ctx: &Context, stream: Stream<'_>, parts: &mut E8pParts<'_>) -> Result<()> {
        let pointer =
            |view: &Option<ViewMut<'_>>| view.as_ref().map_or(ptr::null(), |view| ptr::from_ref(view.as_raw()));
        let mut raw = sys::glq_e8p_parts::init();
        for (to, from) in raw.indices.iter_mut().zip(&parts.indices) {
            *to = pointer(from);
        }
        raw.sv = pointer(&parts.sv);
        raw.su = pointer(&parts.su);
        raw.bias = pointer(&parts.bias);
        let stream = stream.raw_for(ctx.device(), "glq_e8p_export")?;
        // SAFETY: live handles; the destinations are borrowed exclusively, and complete on return.
        check(self.api, unsafe { (self.api.glq_e8p_export)(ctx.as_raw(), stream, self.as_raw(), &raw) })
    }
}

/// # Safety
/// `data` is NULL or an array of `length`.
unsafe fn blocks(data: *const i64, length: i32) -> Vec<i64> {
    if data.is_null() || length <= 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(data, length as usize) }.to_vec()
}
