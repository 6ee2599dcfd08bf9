//! Opens a checkpoint, lists its layers and runs one token through each.
//!
//!     cargo run --example load_checkpoint -- PATH [device]

use glq::{ops, Checkpoint, Context, DType, Device, Stream, Tensor, View, Workspace};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: load_checkpoint PATH [device]")?;
    let device: Device = arguments.next().as_deref().unwrap_or("cpu").parse()?;
    let ctx = Context::new(device)?;
    let stream = Stream::DEFAULT;

    let file = Checkpoint::open(&path)?; // mapped into memory, checked, nothing copied
    let mut workspace = Workspace::new(&ctx, 0)?;
    for name in file.layer_names()? {
        let weight = file.layer(name)?.load(&ctx, stream)?; // keeps its own copy
        let info = weight.e8p_info()?;
        let x = Tensor::copy_of(&ctx, stream, &View::new(&vec![1f32; info.in_features], &[1, info.in_features])?)?;
        let mut y = Tensor::new(&ctx, DType::F32, &[1, info.out_features])?;
        workspace.reserve(&ctx, ops::fused_linear_e8p_workspace(&ctx, &weight, 1, None)?)?;
        ops::fused_linear_e8p(&ctx, stream, &weight, &x.view()?, &mut y.view_mut()?, &mut workspace, None)?;
        let y: Vec<f32> = y.view()?.to_vec(&ctx, stream)?;
        let mean = y.iter().map(|value| value.abs()).sum::<f32>() / y.len() as f32;
        if !mean.is_finite() {
            return Err(format!("{name}: the output is not finite").into());
        }
        println!("{name}: {} bits, {} x {}, |y| = {mean:.4}", info.bits, info.out_features, info.in_features);
    }
    for name in file.tensor_names()?.into_iter().filter(|name| name.ends_with(".weight")) {
        println!("{name}: {:?}, mapped", file.tensor(name)?);
    }
    Ok(())
}
