// error: E0597

use glq::*;

fn main() {
    let ctx = Context::cpu().unwrap();
    let mut builder = Tensor::e8p().features(64, 16).weight_scale(1.0);
    {
        let codes = vec![0i64; 32];
        let view = View::new(&codes, &[1, 1, 8, 4]).unwrap();
        builder = builder.stage(Codebook::E8p, 1.0, &view);
    }
    builder.build(&ctx, Stream::DEFAULT).unwrap();
}
