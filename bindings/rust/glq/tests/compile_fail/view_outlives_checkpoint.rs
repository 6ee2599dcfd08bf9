// error: E0505

use glq::*;

fn main() {
    let file = Checkpoint::open("model").unwrap();
    let view = file.tensor("embed.weight").unwrap();
    drop(file);
    println!("{view:?}");
}
