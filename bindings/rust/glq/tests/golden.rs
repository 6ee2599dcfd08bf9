//! The golden data through Rust: the bytes that the exact contract prescribes.

mod common;

use common::{layers, linear, load, make, parts, sizes, source, to_bytes};
use glq::{ops, Checkpoint, Codebook, Context, DType, E8pParts, Quantizer, Stream, Tensor, View, ViewMut, Workspace};

fn cpu() -> Context {
    Context::builder().threads(2).build().unwrap()
}

#[test]
fn fused_linear() {
    let ctx = cpu();
    let all = layers();
    assert!(all.len() >= 14, "{}", all.len());
    for layer in all {
        let weight = make(&ctx, &layer, false);
        let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source(&layer, "x").view()).unwrap();
        for (dtype, suffix) in [(DType::F32, "f32"), (DType::F16, "f16"), (DType::BF16, "bf16")] {
            let expected = load(&format!("{layer}/y_exact_{suffix}"));
            assert_eq!(linear(&ctx, &weight, &x.view().unwrap(), dtype), expected.bytes, "{layer} {suffix}");
        }
    }
}

#[test]
fn bias() {
    let ctx = cpu();
    let weight = make(&ctx, "bd_100x200/b4", true);
    let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source("bd_100x200/b4", "x").view()).unwrap();
    let y = linear(&ctx, &weight, &x.view().unwrap(), DType::F32);
    assert_eq!(y, load("bd_100x200/b4/y_exact_bias_f32").bytes);
}

#[test]
fn pieces_equal_the_whole() {
    let ctx = cpu();
    let stream = Stream::DEFAULT;
    for layer in layers() {
        let weight = make(&ctx, &layer, false);
        let info = weight.e8p_info().unwrap();
        let x = Tensor::copy_of(&ctx, stream, &source(&layer, "x").view()).unwrap();
        let x = x.view().unwrap();
        let tokens = x.shape().next().unwrap();
        let mut workspace = Workspace::new(&ctx, 0).unwrap();
        for bytes in [
            ops::rht_input_workspace(&ctx, &weight, tokens, None).unwrap(),
            ops::matmul_e8p_workspace(&ctx, &weight, tokens, None).unwrap(),
            ops::rht_output_workspace(&ctx, &weight, tokens, None).unwrap(),
        ] {
            workspace.reserve(&ctx, bytes).unwrap();
        }
        let mut v = vec![0f32; tokens * info.padded_in];
        let mut z = vec![0f32; tokens * info.padded_out];
        let mut y = vec![0f32; tokens * info.out_features];
        let (v_shape, z_shape) = ([tokens, info.padded_in], [tokens, info.padded_out]);
        let mut v = ViewMut::new(&mut v, &v_shape).unwrap();
        ops::rht_input(&ctx, stream, &weight, &x, &mut v, &mut workspace, None).unwrap();
        let mut z = ViewMut::new(&mut z, &z_shape).unwrap();
        ops::matmul_e8p(&ctx, stream, &weight, &v.as_view(), &mut z, &mut workspace, None).unwrap();
        let mut y = ViewMut::new(&mut y, &[tokens, info.out_features]).unwrap();
        ops::rht_output(&ctx, stream, &weight, &z.as_view(), &mut y, &mut workspace, None).unwrap();
        assert_eq!(to_bytes(&ctx, &y.as_view()), load(&format!("{layer}/y_exact_f32")).bytes, "{layer}");
    }
}

#[test]
fn group_into_columns_of_one_matrix() {
    let ctx = cpu();
    let layers = ["bd_96x192/b2", "bd_96x192/b5"];
    let weights: Vec<Tensor> = layers.iter().map(|layer| make(&ctx, layer, false)).collect();
    let group: Vec<&Tensor> = weights.iter().collect();
    let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source(layers[0], "x").view()).unwrap();
    let x = x.view().unwrap();
    let bytes = ops::fused_linear_e8p_group_workspace(&ctx, &group, 3, None).unwrap();
    let mut workspace = Workspace::new(&ctx, bytes).unwrap();
    let mut y = vec![0f32; 3 * 192];
    let (left, right) = ViewMut::new(&mut y, &[3, 192]).unwrap().split_columns(96).unwrap();
    let mut outputs = [left, right];
    ops::fused_linear_e8p_group(&ctx, Stream::DEFAULT, &group, &x, &mut outputs, &mut workspace, None).unwrap();
    for (output, layer) in outputs.iter().zip(layers) {
        assert_eq!(to_bytes(&ctx, &output.as_view()), load(&format!("{layer}/y_exact_f32")).bytes, "{layer}");
    }
    let both = View::strided(&y, &[3, 96], &[192, 1]).unwrap();
    assert_eq!(to_bytes(&ctx, &both), load("bd_96x192/b2/y_exact_f32").bytes);
}

#[test]
fn export_is_bit_for_bit() {
    let ctx = cpu();
    for layer in layers() {
        let weight = make(&ctx, &layer, false);
        let mut stages: Vec<(Vec<i64>, common::Array)> = parts(&layer, "Qidxs")
            .into_iter()
            .map(|(_, array)| (vec![0i64; array.bytes.len().div_ceil(8)], array))
            .collect();
        let mut words = vec![0u16; weight.e8p_info().unwrap().padded_out];
        let mut targets = E8pParts::default();
        for (target, (memory, array)) in targets.indices.iter_mut().zip(&mut stages) {
            *target = Some(ViewMut::new(memory, &array.shape).unwrap());
        }
        let shape = [words.len()];
        // SAFETY: the same memory as f16, borrowed exclusively for as long.
        let su = unsafe {
            ViewMut::from_raw_parts(words.as_mut_ptr().cast(), DType::F16, glq::Device::CPU, &shape, None).unwrap()
        };
        targets.su = Some(su);
        weight.export_e8p(&ctx, Stream::DEFAULT, &mut targets).unwrap();
        for (memory, array) in &stages {
            let bytes: Vec<u8> = memory.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(bytes, array.bytes, "{layer}");
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, load(&format!("{layer}/SU")).bytes, "{layer}");
    }
}

#[test]
fn codebooks_and_packing() {
    let ctx = cpu();
    let mut table = vec![0i8; 256 * 8];
    ops::codebook(Codebook::E81b, &mut ViewMut::new(&mut table, &[256, 8]).unwrap()).unwrap();
    let bytes: Vec<u8> = table.iter().map(|&value| value as u8).collect();
    assert_eq!(bytes, load("codebook/e81b_times2").bytes);

    let (codes, packed) = (load("pack/e8p_codes"), load("pack/e8p_packed"));
    let codes = Tensor::copy_of(&ctx, Stream::DEFAULT, &codes.view()).unwrap();
    let mut result = Tensor::new(&ctx, DType::I64, &packed.shape).unwrap();
    let codes_view = codes.view().unwrap();
    ops::pack(&ctx, Stream::DEFAULT, Codebook::E8p, &codes_view, &mut result.view_mut().unwrap()).unwrap();
    assert_eq!(to_bytes(&ctx, &result.view().unwrap()), packed.bytes);
    let mut back = vec![0u16; 32 * 16];
    let mut back_view = ViewMut::new(&mut back, &[32, 16]).unwrap();
    ops::unpack(&ctx, Stream::DEFAULT, Codebook::E8p, &result.view().unwrap(), &mut back_view).unwrap();
    assert_eq!(back, codes.as_slice::<u16>().unwrap());
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

#[test]
fn dequantize_and_decode() {
    let ctx = cpu();
    let layer = "bd_96x192/b3";
    let weight = make(&ctx, layer, false);
    let bytes = ops::dequantize_workspace(&ctx, &weight, None).unwrap();
    let mut workspace = Workspace::new(&ctx, bytes).unwrap();
    let mut w = vec![0f32; 96 * 192];
    let mut view = ViewMut::new(&mut w, &[96, 192]).unwrap();
    ops::dequantize(&ctx, Stream::DEFAULT, &weight, &mut view, &mut workspace, None).unwrap();
    let w: Vec<f64> = w.iter().map(|&value| f64::from(value)).collect();
    assert!(distance(&w, &load(&format!("{layer}/W_hat")).f64()) < 1e-5);

    let mut all = vec![0f32; 96 * 192];
    let mut some = vec![0f32; 7 * 192];
    ops::decode_e8p(&ctx, Stream::DEFAULT, &weight, 0, &mut ViewMut::new(&mut all, &[96, 192]).unwrap(), None).unwrap();
    ops::decode_e8p(&ctx, Stream::DEFAULT, &weight, 5, &mut ViewMut::new(&mut some, &[7, 192]).unwrap(), None).unwrap();
    assert_eq!(some, all[5 * 192..12 * 192]);
    assert!(all.iter().any(|&value| value != 0.0));
}

#[test]
fn checkpoints() {
    let ctx = cpu();
    for name in ["ckpt_e8p_blockdiag", "ckpt_e8p_pow2_legacy"] {
        let file = Checkpoint::open(common::folder().join(name)).unwrap();
        let layers = file.layer_names().unwrap();
        assert!(!layers.is_empty());
        assert!(file.tensor_names().unwrap().len() > layers.len());
        for layer in layers {
            let x = load(&format!("{name}/{layer}/x"));
            let expected = load(&format!("{name}/{layer}/y_ref_f64"));
            let weight =
                file.layer(layer).unwrap().features(x.shape[1], expected.shape[1]).unwrap().load(&ctx, Stream::DEFAULT);
            let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &x.view()).unwrap();
            let y = linear(&ctx, &weight.unwrap(), &x.view().unwrap(), DType::F32);
            let y: Vec<f64> =
                y.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect();
            assert!(distance(&y, &expected.f64()) < 1e-4, "{name} {layer}");
        }
    }
}

#[test]
fn quantizer_gives_the_recorded_codes() {
    let ctx = cpu();
    for layer in layers().iter().filter(|layer| layer.starts_with("bd_")) {
        let (rows, columns) = sizes(layer);
        let bits = layer.chars().last().unwrap().to_digit(10).unwrap() as i32;
        let mut quantizer = Quantizer::builder(columns, rows, bits).build(&ctx).unwrap();
        quantizer.set_hessian(&source(layer, "H").view(), 1.0).unwrap();
        let weight = quantizer.run(Stream::DEFAULT, &source(layer, "W").view(), None).unwrap();
        let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source(layer, "x").view()).unwrap();
        let recorded = linear(&ctx, &make(&ctx, layer, false), &x.view().unwrap(), DType::F16);
        let mut codes = vec![0i64; parts(layer, "Qidxs")[0].1.bytes.len() / 8];
        let mut targets = E8pParts::default();
        targets.indices[0] = Some(ViewMut::new(&mut codes, &parts(layer, "Qidxs")[0].1.shape).unwrap());
        weight.export_e8p(&ctx, Stream::DEFAULT, &mut targets).unwrap();
        let bytes: Vec<u8> = codes.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, parts(layer, "Qidxs")[0].1.bytes, "{layer}");
        assert_eq!(recorded.len(), linear(&ctx, &weight, &x.view().unwrap(), DType::F16).len());
    }
}
