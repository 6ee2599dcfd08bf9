// error: E0308

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let (x, y) = (vec![1f32; 4], vec![0f32; 4]);
    let (x, mut y) = (View::new(&x, &[4]).unwrap(), View::new(&y, &[4]).unwrap());
    ops::copy(&ctx, Stream::DEFAULT, &x, &mut y).unwrap();
}
