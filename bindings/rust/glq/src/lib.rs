//! Linear layers whose weights stay compressed at 2 to 8 bits (the E8P format), on the CPU and on NVIDIA GPUs.
//!
//! The safe interface of libglq. Names are those of its C header, whose documentation has the details; [`sys`] is the
//! raw interface.
//!
//! ```no_run
//! use glq::{ops, Checkpoint, Context, Stream, Tensor, View, ViewMut, Workspace};
//!
//! # fn main() -> glq::Result<()> {
//! let ctx = Context::cpu()?;
//! let file = Checkpoint::open("model.safetensors")?;
//! let weight = file.layer("model.layers.0.mlp.down_proj")?.load(&ctx, Stream::DEFAULT)?;
//! drop(file); // the weight has its own copy
//!
//! let info = weight.e8p_info()?;
//! let bytes = ops::fused_linear_e8p_workspace(&ctx, &weight, 64, None)?; // once, for at most 64 tokens
//! let mut workspace = Workspace::new(&ctx, bytes)?;
//!
//! let x = vec![0.0f32; 3 * info.in_features];
//! let mut y = vec![0.0f32; 3 * info.out_features];
//! let xv = View::new(&x, &[3, info.in_features])?;
//! let mut yv = ViewMut::new(&mut y, &[3, info.out_features])?;
//! ops::fused_linear_e8p(&ctx, Stream::DEFAULT, &weight, &xv, &mut yv, &mut workspace, None)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Lifetimes and devices
//! A [`View`] borrows memory for as long as it is used; an output is a [`ViewMut`], so it cannot overlap what is read.
//! On a CPU context the work of an operation is done when it returns.
//!
//! On a CUDA context work is queued. Memory of a [`Tensor`] and of a [`Workspace`] stays until the work queued before
//! it was dropped has finished. Device memory from elsewhere comes in through [`View::from_raw_parts`], which is unsafe
//! because its caller promises the same. Work on one stream is in order; between streams the caller orders it (a missing
//! wait gives wrong numbers, not invalid memory).
//!
//! # Threads
//! [`Context`], [`Tensor`] and [`Checkpoint`] are `Send` and `Sync`; [`Quantizer`] is `Send`. A [`Workspace`] serves one
//! call at a time, which `&mut` sees to.
//!
//! # Callbacks
//! A panic in a logger is dropped; one in a progress function stops the run and goes on in the caller. Callbacks must not
//! call into this crate.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod callbacks;
mod checkpoint;
mod context;
#[cfg(feature = "cudarc")]
pub mod cuda;
mod device;
mod dtype;
mod e8p;
mod error;
pub mod ops;
mod quantizer;
mod stream;
mod tensor;
mod text;
mod version;
mod view;
mod workspace;

pub use glq_sys as sys;

pub use callbacks::{LogLevel, LogRecord};
pub use checkpoint::{Checkpoint, Layer};
pub use context::{Context, ContextBuilder, ContextInfo, Op, OpQuery, OpSupport};
pub use device::{Device, DeviceInfo};
pub use dtype::{DType, Element};
pub use e8p::{Codebook, E8pBuilder, E8pInfo, E8pParts};
pub use error::{Detail, Error, NativeCode, Result, Status};
pub use ops::{LaunchOpts, MathMode};
pub use quantizer::{Progress, Quantizer, QuantizerBuilder, QuantizerOptions, QuantizerReport};
pub use stream::Stream;
pub use sys::{library_path, LoadError};
pub use tensor::{Encoding, Tensor, TensorInfo};
#[cfg(feature = "dlopen")]
pub use version::load_library;
pub use version::{build_info, cuda_info, version, CudaInfo};
pub use view::{View, ViewMut};
pub use workspace::Workspace;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
