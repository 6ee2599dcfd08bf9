//! What is installed, and a first product with a compressed weight.
//!
//!     cargo run --example hello [device]        # cpu (default), cuda, cuda:1...

use glq::{ops, Codebook, Context, Device, Stream, Tensor, View, ViewMut, Workspace};

const OUT: usize = 256;
const IN: usize = 512;
const TOKENS: usize = 3;

/// Numbers that look random.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device: Device = std::env::args().nth(1).as_deref().unwrap_or("cpu").parse()?;
    let ctx = Context::new(device)?;
    let stream = Stream::DEFAULT;
    println!("glq {}, from {}", glq::version()?, glq::library_path().unwrap_or("the linked library"));
    println!("CUDA: {}", glq::cuda_info()?.message);
    println!("using {device}: {}", device.info()?.name);

    // A weight at 2 bits, from codes: each 16-bit code stands for eight weights.
    let host = Context::cpu()?;
    let codes: Vec<u16> = noise(OUT * IN / 8).iter().map(|value| (value * 32767.0) as i16 as u16).collect();
    let mut packed = vec![0i64; OUT * IN / 32];
    let shape = [OUT / 16, IN / 64, 8, 4];
    let codes = View::new(&codes, &[OUT, IN / 8])?;
    ops::pack(&host, stream, Codebook::E8p, &codes, &mut ViewMut::new(&mut packed, &shape)?)?;
    let weight = Tensor::e8p()
        .features(IN, OUT)
        .weight_scale(0.02)
        .stage(Codebook::E8p, 1.0, &View::new(&packed, &shape)?)
        .build(&ctx, stream)?;
    println!("{weight:?}, {} bytes", weight.info()?.host_bytes + weight.info()?.device_bytes);

    // Inputs and outputs are tensors here, so that it is the same on every device; on the CPU, slices do as well.
    let x = noise(TOKENS * IN);
    let x_tensor = Tensor::copy_of(&ctx, stream, &View::new(&x, &[TOKENS, IN])?)?;
    let mut y_tensor = Tensor::new(&ctx, glq::DType::F32, &[TOKENS, OUT])?;
    let mut w_tensor = Tensor::new(&ctx, glq::DType::F32, &[OUT, IN])?;
    let mut workspace = Workspace::new(&ctx, ops::fused_linear_e8p_workspace(&ctx, &weight, TOKENS, None)?)?;
    let (x_view, mut y_view) = (x_tensor.view()?, y_tensor.view_mut()?);
    ops::fused_linear_e8p(&ctx, stream, &weight, &x_view, &mut y_view, &mut workspace, None)?;

    // The same by hand: the effective weight, expanded (which the library never needs to do).
    workspace.reserve(&ctx, ops::dequantize_workspace(&ctx, &weight, None)?)?;
    ops::dequantize(&ctx, stream, &weight, &mut w_tensor.view_mut()?, &mut workspace, None)?;
    let y: Vec<f32> = y_tensor.view()?.to_vec(&ctx, stream)?;
    let w: Vec<f32> = w_tensor.view()?.to_vec(&ctx, stream)?;
    let (mut difference, mut size) = (0f64, 0f64);
    for token in 0..TOKENS {
        for row in 0..OUT {
            let products = w[row * IN..][..IN].iter().zip(&x[token * IN..][..IN]);
            let expected: f64 = products.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            difference += (f64::from(y[token * OUT + row]) - expected).powi(2);
            size += expected.powi(2);
        }
    }
    let error = (difference / size).sqrt();
    println!("y [{TOKENS}, {OUT}], relative difference to a plain product with the expanded weight: {error:.1e}");
    if error < 1e-4 {
        Ok(())
    } else {
        Err("the difference is too large".into())
    }
}
