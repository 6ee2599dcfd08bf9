//! Quantizes a layer with calibration data and runs it: 2, 3 and 4 bits.
//!
//!     cargo run --release --example quantize_and_run

use std::io::IsTerminal;
use std::ops::ControlFlow;

use glq::{ops, Context, Quantizer, Stream, View, ViewMut, Workspace};

const OUT: usize = 192;
const IN: usize = 256;
const TOKENS: usize = 1024;

/// About normally distributed numbers.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum()).collect()
}

/// Inputs that are correlated, as those of real networks are: each feature continues the one before.
fn activations(tokens: usize, seed: u64) -> Vec<f32> {
    let mut x = noise(tokens * IN, seed);
    for row in x.chunks_exact_mut(IN) {
        for column in 1..IN {
            row[column] = 0.9 * row[column - 1] + 0.4 * row[column];
        }
    }
    x
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ctx = Context::cpu()?;
    let stream = Stream::DEFAULT;
    let w: Vec<f32> = noise(OUT * IN, 1).iter().map(|value| value / (IN as f32).sqrt()).collect();
    let bias = noise(OUT, 2);
    let calibration = activations(TOKENS, 3);
    let x = activations(16, 4);
    let (w_view, bias_view) = (View::new(&w, &[OUT, IN])?, View::new(&bias, &[OUT])?);

    for bits in [2, 3, 4] {
        let mut quantizer = Quantizer::builder(IN, OUT, bits).refine_passes(2).scale_search().build(&ctx)?;
        for batch in calibration.chunks_exact(TOKENS / 4 * IN) {
            quantizer.add_batch(&View::new(batch, &[TOKENS / 4, IN])?)?; // as many batches as you like
        }
        let show = std::io::stderr().is_terminal();
        let weight = quantizer.run_with_progress(stream, &w_view, Some(&bias_view), |progress| {
            if show {
                eprint!("\r{:12} {:3}% ", progress.phase, 100 * progress.done / progress.total.max(1));
            }
            ControlFlow::Continue(())
        })?;

        let mut workspace = Workspace::new(&ctx, ops::fused_linear_e8p_workspace(&ctx, &weight, 16, None)?)?;
        let mut y = vec![0f32; 16 * OUT];
        let (x_view, mut y_view) = (View::new(&x, &[16, IN])?, ViewMut::new(&mut y, &[16, OUT])?);
        ops::fused_linear_e8p(&ctx, stream, &weight, &x_view, &mut y_view, &mut workspace, None)?;

        let (mut difference, mut size) = (0f64, 0f64);
        for (x, y) in x.chunks_exact(IN).zip(y.chunks_exact(OUT)) {
            for row in 0..OUT {
                let product: f32 = w[row * IN..][..IN].iter().zip(x).map(|(w, x)| w * x).sum();
                difference += f64::from(product + bias[row] - y[row]).powi(2);
                size += f64::from(product).powi(2);
            }
        }
        let error = (difference / size).sqrt();
        let (report, bytes) = (quantizer.report()?, weight.info()?.host_bytes);
        println!("bits={bits} bytes={bytes} sqnr_db={:.2} output_error={error:.4}", report.sqnr_db);
        if error.is_nan() || error > 0.3 {
            return Err("the error is too large".into());
        }

        // A token alone gives the same bytes as in any batch.
        let mut one = vec![0f32; OUT];
        let (x_view, mut y_view) = (View::new(&x[3 * IN..4 * IN], &[IN])?, ViewMut::new(&mut one, &[OUT])?);
        ops::fused_linear_e8p(&ctx, stream, &weight, &x_view, &mut y_view, &mut workspace, None)?;
        assert_eq!(one, y[3 * OUT..4 * OUT]);
    }
    Ok(())
}
