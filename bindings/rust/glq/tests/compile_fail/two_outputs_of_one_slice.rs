// error: E0499

use glq::*;

fn main() {
    let mut data = vec![1f32; 4];
    let a = ViewMut::new(&mut data, &[4]).unwrap();
    let b = ViewMut::new(&mut data, &[4]).unwrap();
    println!("{a:?} {b:?}");
}
