// error: E0502

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let mut tensor = Tensor::new(&ctx, DType::F32, &[4]).unwrap();
    let x = tensor.view().unwrap();
    let mut y = tensor.view_mut().unwrap();
    ops::copy(&ctx, Stream::DEFAULT, &x, &mut y).unwrap();
}
