// error: E0505

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let tensor = Tensor::new(&ctx, DType::F32, &[4]).unwrap();
    let view = tensor.view().unwrap();
    drop(tensor);
    println!("{view:?}");
}
