//! Time of the smallest fused linear, 16 x 64: of 0 tokens (all checks, no work), and of one.
//!
//!     cargo run --release --example call_overhead      # binding, call, tokens, nanoseconds

use std::hint::black_box;
use std::time::Instant;

use glq::{ops, Codebook, Context, Stream, Tensor, View, ViewMut, Workspace};

const CALLS: u32 = 20_000;
const ROUNDS: u32 = 200;

/// Best round.
fn report(name: &str, tokens: &str, mut call: impl FnMut() -> glq::Result<()>) -> glq::Result<()> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        best = best.min(begin.elapsed().as_secs_f64() / f64::from(CALLS));
    }
    println!("Rust\t{name}\t{tokens}\t{:.1}", best * 1e9);
    Ok(())
}

fn main() -> glq::Result<()> {
    let ctx = Context::builder().threads(1).build()?;
    let packed = [0i64; 32];
    let weight = Tensor::e8p()
        .features(64, 16)
        .weight_scale(1.0)
        .stage(Codebook::E8p, 1.0, &View::new(&packed, &[1, 1, 8, 4])?)
        .build(&ctx, Stream::DEFAULT)?;
    let mut workspace = Workspace::new(&ctx, ops::fused_linear_e8p_workspace(&ctx, &weight, 1, None)?)?;
    let api = glq::sys::api()?;
    report("glq_abi_version", "", || {
        // SAFETY: it takes nothing and only answers.
        black_box(unsafe { (api.glq_abi_version)() });
        Ok(())
    })?;
    for tokens in [0, 1] {
        let (x, mut y) = (vec![1f32; tokens * 64], vec![0f32; tokens * 16]);
        let (x, mut y) = (View::new(&x, &[tokens, 64])?, ViewMut::new(&mut y, &[tokens, 16])?);
        report("ops::fused_linear_e8p", &tokens.to_string(), || {
            ops::fused_linear_e8p(&ctx, Stream::DEFAULT, &weight, &x, &mut y, &mut workspace, None)
        })?;
    }
    Ok(())
}
