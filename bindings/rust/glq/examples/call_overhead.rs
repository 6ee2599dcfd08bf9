//! Time per call of the smallest fused linear (0 tokens: all checks, no work), and of one token through 16 x 64.
//!
//!     cargo run --release --example call_overhead

use std::time::Instant;

use glq::{ops, Codebook, Context, Stream, Tensor, View, ViewMut, Workspace};

fn main() -> glq::Result<()> {
    let ctx = Context::builder().threads(1).build()?;
    let packed = [0i64; 32];
    let weight = Tensor::e8p()
        .features(64, 16)
        .weight_scale(1.0)
        .stage(Codebook::E8p, 1.0, &View::new(&packed, &[1, 1, 8, 4])?)
        .build(&ctx, Stream::DEFAULT)?;
    let mut workspace = Workspace::new(&ctx, ops::fused_linear_e8p_workspace(&ctx, &weight, 1, None)?)?;
    for tokens in [0, 1] {
        let (x, mut y) = (vec![1f32; tokens * 64], vec![0f32; tokens * 16]);
        let (x, mut y) = (View::new(&x, &[tokens, 64])?, ViewMut::new(&mut y, &[tokens, 16])?);
        let (calls, mut best) = (20_000u32, f64::INFINITY);
        for _ in 0..15 {
            let begin = Instant::now();
            for _ in 0..calls {
                ops::fused_linear_e8p(&ctx, Stream::DEFAULT, &weight, &x, &mut y, &mut workspace, None)?;
            }
            best = best.min(begin.elapsed().as_secs_f64() / f64::from(calls));
        }
        println!("rust fused_linear_e8p 16x64 tokens={tokens} ns_per_call={:.0}", best * 1e9);
    }
    Ok(())
}
