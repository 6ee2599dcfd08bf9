// error: E0505

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let file = Checkpoint::open("model").unwrap();
    let layer = file.layer("up").unwrap();
    drop(file);
    layer.load(&ctx, Stream::DEFAULT).unwrap();
}
