// error: E0505

use glq::*;

fn main() {
    let data = vec![1f32; 4];
    let view = View::new(&data, &[4]).unwrap();
    drop(data);
    println!("{view:?}");
}
