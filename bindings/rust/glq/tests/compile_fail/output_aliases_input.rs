// error: E0502

use glq::*;

fn main() {
    let mut data = vec![1f32; 4];
    let x = View::new(&data, &[4]).unwrap();
    let y = ViewMut::new(&mut data, &[4]).unwrap();
    println!("{x:?} {y:?}");
}
