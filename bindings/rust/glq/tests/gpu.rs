//! On GPUs, with the streams and the memory of cudarc: the bytes of the CPU, captured graphs, misuse, threads.
//!
//! Ignored unless asked for, since there may be no GPU:
//!
//!     cargo test --features cudarc --test gpu -- --include-ignored                    # two GPUs
//!     cargo test --features cudarc --test gpu -- --include-ignored --skip two_gpus    # one

mod common;

use std::ffi::c_void;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use common::{layers, linear, load, make, sizes, source};
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{result, CudaContext, CudaGraph, CudaSlice, CudaStream, DevicePtr};
use glq::{cuda, ops, Context, DType, Device, Error, Status, Stream, Tensor, View, ViewMut, Workspace};

const LAYER: &str = "bd_100x200/b4";
const OUT: usize = 100;
const IN: usize = 200;

/// Tests run on threads of one process. What makes objects and ends contexts may wait for the device, which invalidates
/// the captures of other threads: a test that captures runs alone.
static CAPTURES: RwLock<()> = RwLock::new(());

fn among_others() -> RwLockReadGuard<'static, ()> {
    CAPTURES.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    CAPTURES.write().unwrap_or_else(PoisonError::into_inner)
}

/// One GPU: a stream of cudarc, and a context of glq.
struct Gpu {
    stream: Arc<CudaStream>,
    ctx: Context,
}

impl Gpu {
    fn new(ordinal: usize) -> Gpu {
        let stream = CudaContext::new(ordinal).unwrap().new_stream().unwrap();
        let ctx = Context::new(cuda::device_of(&stream)).unwrap();
        Gpu { stream, ctx }
    }

    fn linear(&self, tokens: usize) -> Linear<'_> {
        let weight = make(&self.ctx, LAYER, true);
        let bytes = ops::fused_linear_e8p_workspace(&self.ctx, &weight, tokens, None).unwrap();
        Linear {
            gpu: self,
            workspace: Workspace::new(&self.ctx, bytes).unwrap(),
            x: self.stream.alloc_zeros(tokens * IN).unwrap(),
            y: self.stream.alloc_zeros(tokens * OUT).unwrap(),
            tokens,
            weight,
        }
    }
}

/// A weight, and memory for x and y, on one GPU.
struct Linear<'g> {
    gpu: &'g Gpu,
    weight: Tensor<'static>,
    workspace: Workspace<'static>,
    x: CudaSlice<f32>,
    y: CudaSlice<f32>,
    tokens: usize,
}

impl Linear<'_> {
    fn set(&mut self, x: &[f32]) {
        self.gpu.stream.memcpy_htod(x, &mut self.x).unwrap();
    }

    fn queue(&mut self) -> glq::Result<()> {
        let own = self.gpu.stream.context().clone();
        self.queue_with(&own)
    }

    /// With this context current, which stays so. (cudarc makes its own current to order a slice.)
    fn queue_with(&mut self, current: &CudaContext) -> glq::Result<()> {
        let stream = &self.gpu.stream;
        // SAFETY: the slices are of this stream and outlive the work.
        let (x, mut y) = unsafe {
            (
                cuda::view(&self.x, stream, &[self.tokens, IN])?,
                cuda::view_mut(&mut self.y, stream, &[self.tokens, OUT])?,
            )
        };
        let order = Stream::from_cudarc(stream);
        current.bind_to_thread().unwrap();
        let before = result::ctx::get_current().unwrap();
        let queued = ops::fused_linear_e8p(&self.gpu.ctx, order, &self.weight, &x, &mut y, &mut self.workspace, None);
        assert_eq!(result::ctx::get_current().unwrap(), before, "the current device was changed");
        queued
    }

    fn y(&self) -> Vec<f32> {
        self.gpu.stream.memcpy_dtov(&self.y).unwrap()
    }

    /// By bare addresses: the guards of cudarc record events, which a capture must not wait for.
    fn capture(&mut self) -> CudaGraph {
        let stream = &self.gpu.stream;
        let device = cuda::device_of(stream);
        let (x, y) = (self.x.device_ptr(stream).0 as *mut c_void, self.y.device_ptr(stream).0 as *mut c_void);
        // SAFETY: device memory of these sizes that lives as long as the graph, and that nothing else uses.
        let (x, mut y) = unsafe {
            (
                View::from_raw_parts(x, DType::F32, device, &[self.tokens, IN], None).unwrap(),
                ViewMut::from_raw_parts(y, DType::F32, device, &[self.tokens, OUT], None).unwrap(),
            )
        };
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
        let order = Stream::from_cudarc(stream);
        ops::fused_linear_e8p(&self.gpu.ctx, order, &self.weight, &x, &mut y, &mut self.workspace, None).unwrap();
        let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        stream.end_capture(flags).unwrap().unwrap()
    }
}

/// The CPU's answer.
fn expected(x: &[f32]) -> Vec<f32> {
    let ctx = Context::cpu().unwrap();
    let bytes = linear(&ctx, &make(&ctx, LAYER, true), &View::new(x, &[x.len() / IN, IN]).unwrap(), DType::F32);
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn noise(tokens: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..tokens * IN).map(|_| next()).collect()
}

#[track_caller]
fn assert_same(found: &[f32], expected: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected));
}

#[track_caller]
fn assert_error(result: glq::Result<()>, status: Status, words: &[&str]) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.status(), Some(status), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn golden() {
    let _guard = among_others();
    let gpu = Gpu::new(0);
    for layer in layers() {
        let weight = make(&gpu.ctx, &layer, false);
        let x = Tensor::copy_of(&gpu.ctx, Stream::DEFAULT, &source(&layer, "x").view()).unwrap();
        for (dtype, suffix) in [(DType::F32, "f32"), (DType::F16, "f16"), (DType::BF16, "bf16")] {
            let recorded = load(&format!("{layer}/y_exact_{suffix}"));
            assert_eq!(linear(&gpu.ctx, &weight, &x.view().unwrap(), dtype), recorded.bytes, "{layer} {suffix}");
        }
        assert_eq!(weight.e8p_info().unwrap().out_features, sizes(&layer).0);
        assert!(weight.info().unwrap().device_bytes > 0);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn slices_and_streams_of_cudarc() {
    let _guard = among_others();
    let gpu = Gpu::new(0);
    assert!(Device::cuda_count().unwrap() > 0 && !gpu.ctx.device().info().unwrap().name.is_empty());
    for tokens in [1, 3, 70] {
        let mut linear = gpu.linear(tokens);
        for seed in 0..4 {
            let x = noise(tokens, seed);
            linear.set(&x);
            linear.queue().unwrap();
            assert_same(&linear.y(), &expected(&x));
        }
        // SAFETY: nothing is queued with it.
        let wrong = unsafe { cuda::view(&linear.x, &gpu.stream, &[tokens + 1, IN]).map(drop) };
        assert_error(wrong, Status::SHAPE, &["cuda::view"]);
    }
}

#[test]
#[ignore = "needs a GPU"]
fn captured_graph_with_new_inputs() {
    let _guard = alone();
    let gpu = Gpu::new(0);
    let mut linear = gpu.linear(4);
    let graph = linear.capture();
    for seed in 0..5 {
        let x = noise(4, seed);
        linear.set(&x);
        graph.launch().unwrap();
        assert_same(&linear.y(), &expected(&x));
    }
}

#[test]
#[ignore = "needs a GPU"]
fn misuse() {
    let _guard = among_others();
    let gpu = Gpu::new(0);
    let mut linear = gpu.linear(1);
    let order = Stream::from_cudarc(&gpu.stream);
    let (x, mut y) = (noise(1, 1), vec![0f32; OUT]);
    let (host_x, mut host_y) = (View::new(&x, &[1, IN]).unwrap(), ViewMut::new(&mut y, &[1, OUT]).unwrap());
    let result =
        ops::fused_linear_e8p(&gpu.ctx, order, &linear.weight, &host_x, &mut host_y, &mut linear.workspace, None);
    assert_error(result, Status::DEVICE_MISMATCH, &["x.device = cpu", "cuda:0"]);

    let cpu = Context::cpu().unwrap();
    let on_cpu = make(&cpu, LAYER, true);
    let result = ops::fused_linear_e8p(&gpu.ctx, order, &on_cpu, &host_x, &mut host_y, &mut linear.workspace, None);
    assert_error(result, Status::DEVICE_MISMATCH, &["weight"]);
    let mut elsewhere = Workspace::new(&cpu, 1 << 20).unwrap();
    let result = ops::fused_linear_e8p(&cpu, order, &on_cpu, &host_x, &mut host_y, &mut elsewhere, None);
    assert_error(result, Status::DEVICE_MISMATCH, &["stream is on cuda:0", "context on cpu"]);
    let result = ops::fused_linear_e8p(&gpu.ctx, order, &linear.weight, &host_x, &mut host_y, &mut elsewhere, None);
    assert_error(result, Status::DEVICE_MISMATCH, &["workspace is on cpu", "cuda:0"]);

    let tensor = Tensor::new(&gpu.ctx, DType::F32, &[4]).unwrap();
    assert!(tensor.as_slice::<f32>().is_err(), "memory of a GPU is no slice");
    let beyond = Device::cuda(i32::try_from(Device::cuda_count().unwrap()).unwrap());
    assert!(matches!(Context::new(beyond).unwrap_err(), Error::Device(_)));

    linear.set(&x);
    linear.queue().unwrap();
    assert_same(&linear.y(), &expected(&x));
}

#[test]
#[ignore = "needs a GPU"]
fn eight_threads_with_streams_of_their_own() {
    let _guard = among_others();
    let gpu = Gpu::new(0);
    let held = gpu.ctx.info().unwrap().device_bytes;
    let weight = Arc::new(make(&gpu.ctx, LAYER, true));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (ctx, weight) = (gpu.ctx.clone(), weight.clone());
            let stream = gpu.stream.context().new_stream().unwrap();
            scope.spawn(move || {
                let tokens = 1 + thread as usize;
                let bytes = ops::fused_linear_e8p_workspace(&ctx, &weight, tokens, None).unwrap();
                for seed in 0..10 {
                    let x = noise(tokens, 100 * thread + seed);
                    let on_gpu =
                        Tensor::copy_of(&ctx, Stream::DEFAULT, &View::new(&x, &[tokens, IN]).unwrap()).unwrap();
                    let mut y = Tensor::new(&ctx, DType::F32, &[tokens, OUT]).unwrap();
                    let mut workspace = Workspace::new(&ctx, bytes).unwrap();
                    let order = Stream::from_cudarc(&stream);
                    let (from, mut to) = (on_gpu.view().unwrap(), y.view_mut().unwrap());
                    ops::fused_linear_e8p(&ctx, order, &weight, &from, &mut to, &mut workspace, None).unwrap();
                    assert_same(&to.as_view().to_vec::<f32>(&ctx, order).unwrap(), &expected(&x));
                }
            });
        }
        drop(weight);
    });
    gpu.ctx.synchronize(Stream::from_cudarc(&gpu.stream)).unwrap();
    assert_eq!(gpu.ctx.info().unwrap().device_bytes, held);
}

mod two_gpus {
    use super::*;

    fn both() -> [Gpu; 2] {
        let count = Device::cuda_count().unwrap();
        assert!(count >= 2, "there are {count} GPUs: run with --skip two_gpus");
        [Gpu::new(0), Gpu::new(1)]
    }

    #[test]
    #[ignore = "needs two GPUs"]
    fn interleaved_calls_and_graphs() {
        let _guard = alone();
        let gpus = both();
        let mut linears = [gpus[0].linear(3), gpus[1].linear(3)];
        for current in [0, 1] {
            for seed in 0..4 {
                let inputs = [noise(3, seed), noise(3, seed + 50)];
                for (linear, x) in linears.iter_mut().zip(&inputs) {
                    linear.set(x);
                }
                for linear in &mut linears {
                    linear.queue_with(gpus[current].stream.context()).unwrap();
                }
                for (linear, x) in linears.iter().zip(&inputs) {
                    assert_same(&linear.y(), &expected(x));
                }
            }
        }
        let graphs = linears.each_mut().map(Linear::capture);
        for seed in 0..3 {
            let inputs = [noise(3, seed + 7), noise(3, seed + 90)];
            for ((linear, x), graph) in linears.iter_mut().zip(&inputs).zip(&graphs) {
                linear.set(x);
                graph.launch().unwrap();
            }
            for (linear, x) in linears.iter().zip(&inputs) {
                assert_same(&linear.y(), &expected(x));
            }
        }
    }

    #[test]
    #[ignore = "needs two GPUs"]
    fn what_is_of_the_other_device_is_refused() {
        let _guard = among_others();
        let gpus = both();
        let [mut first, mut second] = [gpus[0].linear(1), gpus[1].linear(1)];
        let [ours, theirs] = [&gpus[0].stream, &gpus[1].stream];
        let order = Stream::from_cudarc(ours);
        // SAFETY: refused before anything is queued.
        unsafe {
            let x = cuda::view(&second.x, theirs, &[1, IN]).unwrap();
            let mut y = cuda::view_mut(&mut first.y, ours, &[1, OUT]).unwrap();
            let result =
                ops::fused_linear_e8p(&gpus[0].ctx, order, &first.weight, &x, &mut y, &mut first.workspace, None);
            assert_error(result, Status::DEVICE_MISMATCH, &["x.device = cuda:1", "cuda:0"]);
            let x = cuda::view(&first.x, ours, &[1, IN]).unwrap();
            let result =
                ops::fused_linear_e8p(&gpus[0].ctx, order, &second.weight, &x, &mut y, &mut first.workspace, None);
            assert_error(result, Status::DEVICE_MISMATCH, &["weight"]);
            let result =
                ops::fused_linear_e8p(&gpus[0].ctx, order, &first.weight, &x, &mut y, &mut second.workspace, None);
            assert_error(result, Status::DEVICE_MISMATCH, &["workspace is on cuda:1", "cuda:0"]);
            let wrong = Stream::from_cudarc(theirs);
            let result =
                ops::fused_linear_e8p(&gpus[0].ctx, wrong, &first.weight, &x, &mut y, &mut first.workspace, None);
            assert_error(result, Status::DEVICE_MISMATCH, &["stream is on cuda:1", "context on cuda:0"]);
            let result = gpus[0].ctx.synchronize(wrong);
            assert_error(result, Status::DEVICE_MISMATCH, &["stream is on cuda:1", "context on cuda:0"]);
        }
        let x = noise(1, 5);
        for linear in [&mut first, &mut second] {
            linear.set(&x);
            linear.queue().unwrap();
            assert_same(&linear.y(), &expected(&x));
        }
    }
}
