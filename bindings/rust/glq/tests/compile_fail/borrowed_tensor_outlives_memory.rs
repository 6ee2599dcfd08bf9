// error: E0597

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let tensor;
    {
        let data = vec![1f32; 4];
        let view = View::new(&data, &[4]).unwrap();
        tensor = Tensor::borrow(&ctx, &view).unwrap();
    }
    println!("{tensor:?}");
}
