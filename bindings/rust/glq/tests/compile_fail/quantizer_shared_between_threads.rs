// error: E0277

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let quantizer = Quantizer::builder(64, 16, 2).build(&ctx).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| quantizer.report());
    });
}
