//! The golden arrays of tests/data/golden, by the names of its manifests.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use glq::{Codebook, Context, DType, Stream, Tensor, View};

/// Of the checkout, or GLQ_GOLDEN_DIR for test programs that were taken to another machine.
pub fn folder() -> PathBuf {
    match std::env::var_os("GLQ_GOLDEN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/data/golden")),
    }
}

pub struct Array {
    pub bytes: Vec<u8>,
    pub dtype: String,
    pub shape: Vec<usize>,
}

impl Array {
    pub fn dtype(&self) -> DType {
        match self.dtype.as_str() {
            "i8" => DType::I8,
            "i16" => DType::I16,
            "i32" => DType::I32,
            "i64" => DType::I64,
            "u8" => DType::U8,
            "u16" => DType::U16,
            "f16" => DType::F16,
            "bf16" => DType::BF16,
            "f32" => DType::F32,
            "f64" => DType::F64,
            other => panic!("no dtype {other}"),
        }
    }

    pub fn view(&self) -> View<'_> {
        View::from_bytes(&self.bytes, self.dtype(), &self.shape).unwrap()
    }

    pub fn f32(&self) -> Vec<f32> {
        self.bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    pub fn f64(&self) -> Vec<f64> {
        match self.dtype.as_str() {
            "f64" => self.bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect(),
            _ => self.f32().iter().map(|&value| f64::from(value)).collect(),
        }
    }
}

type Manifest = BTreeMap<String, (String, usize, usize, String, Vec<usize>)>;

fn manifest() -> &'static Manifest {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let mut found = Manifest::new();
        for name in ["manifest.tsv", "exact.tsv"] {
            let text = std::fs::read_to_string(folder().join(name)).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
                let cells: Vec<&str> = line.split('\t').collect();
                let shape = cells[5].split('x').map(|extent| extent.parse().unwrap()).collect();
                let (offset, bytes) = (cells[2].parse().unwrap(), cells[3].parse().unwrap());
                found.insert(cells[0].into(), (cells[1].into(), offset, bytes, cells[4].into(), shape));
            }
        }
        found
    })
}

pub fn has(name: &str) -> bool {
    manifest().contains_key(name)
}

pub fn load(name: &str) -> Array {
    let (file, offset, bytes, dtype, shape) = &manifest()[name];
    let all = std::fs::read(folder().join(file)).unwrap();
    Array { bytes: all[*offset..offset + bytes].to_vec(), dtype: dtype.clone(), shape: shape.clone() }
}

/// `bd_96x192/b4` and so on: every layer whose exact outputs are recorded.
pub fn layers() -> Vec<String> {
    manifest().keys().filter_map(|name| name.strip_suffix("/y_exact_f32")).map(str::to_owned).collect()
}

/// out_features and in_features.
pub fn sizes(layer: &str) -> (usize, usize) {
    let text = layer.split('/').next().unwrap().split('_').nth(1).unwrap();
    let (rows, columns) = text.split_once('x').unwrap();
    (rows.parse().unwrap(), columns.parse().unwrap())
}

/// W, H or x of a layer; two sets of layers share them.
pub fn source(layer: &str, name: &str) -> Array {
    let base = layer.split('/').next().unwrap();
    let own = format!("{base}/{name}");
    load(&if has(&own) { own } else { format!("{}/{name}", base.replace("pow2", "bd")) })
}

/// Stored arrays of a layer whose last part begins so.
pub fn parts(layer: &str, prefix: &str) -> Vec<(String, Array)> {
    let prefix = format!("{layer}/{prefix}");
    let mut names: Vec<&String> = manifest().keys().filter(|name| name.starts_with(&prefix)).collect();
    names.sort_by_key(|name| name.split("_e8").next().unwrap().to_owned());
    names.into_iter().map(|name| (name.rsplit('/').next().unwrap().to_owned(), load(name))).collect()
}

pub fn make(ctx: &Context, layer: &str, with_bias: bool) -> Tensor<'static> {
    let (rows, columns) = sizes(layer);
    let indices: Vec<(String, Array)> = parts(layer, "Qidxs");
    let scales: Vec<f64> = ["inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3"]
        .iter()
        .map(|name| format!("{layer}/{name}"))
        .filter(|name| has(name))
        .map(|name| load(&name).f64()[0])
        .collect();
    let (su, sv) = (load(&format!("{layer}/SU")), load(&format!("{layer}/SV")));
    let scale = load(&format!("{layer}/Wscale")).f64()[0];
    let bias = with_bias.then(|| load(&format!("{layer}/bias")));
    let (su, sv) = (su.view(), sv.view());
    let mut builder = Tensor::e8p().features(columns, rows).weight_scale(scale).su(&su).sv(&sv);
    for (index, (name, array)) in indices.iter().enumerate() {
        let codebook = if name.contains("e81b") { Codebook::E81b } else { Codebook::E8p };
        let sigma = if index == 0 { 1.0 } else { scales[index - 1] };
        builder = builder.stage(codebook, sigma, &array.view());
    }
    if let Some(bias) = &bias {
        builder = builder.bias(&bias.view());
    }
    builder.build(ctx, Stream::DEFAULT).unwrap()
}

/// y of a layer for its recorded x, in any type, as bytes.
pub fn linear(ctx: &Context, weight: &Tensor<'_>, x: &View<'_>, dtype: DType) -> Vec<u8> {
    let tokens = x.shape().next().unwrap();
    let out = weight.e8p_info().unwrap().out_features;
    let bytes = glq::ops::fused_linear_e8p_workspace(ctx, weight, tokens, None).unwrap();
    let mut workspace = glq::Workspace::new(ctx, bytes).unwrap();
    let mut y = Tensor::new(ctx, dtype, &[tokens, out]).unwrap();
    glq::ops::fused_linear_e8p(ctx, Stream::DEFAULT, weight, x, &mut y.view_mut().unwrap(), &mut workspace, None)
        .unwrap();
    to_bytes(ctx, &y.view().unwrap())
}

/// The elements as bytes, through the library's copy.
pub fn to_bytes(ctx: &Context, view: &View<'_>) -> Vec<u8> {
    let shape: Vec<usize> = view.shape().collect();
    let mut words = vec![0u64; (view.len() * view.dtype().size()).div_ceil(8)];
    // SAFETY: plain data, and the length is at most that of the words.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), view.len() * view.dtype().size()) };
    let mut copy = glq::ViewMut::from_bytes(bytes, view.dtype(), &shape).unwrap();
    glq::ops::copy(ctx, Stream::DEFAULT, view, &mut copy).unwrap();
    bytes.to_vec()
}
