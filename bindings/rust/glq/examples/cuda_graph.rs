//! A product captured in a CUDA graph and replayed with new inputs, by the streams and the memory of cudarc. After each
//! replay the output is compared with the CPU's, byte for byte. Ends with status 77 where there is no GPU.
//!
//!     cargo run --release --features cudarc --example cuda_graph

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaContext, DevicePtr};
use glq::{cuda, ops, Codebook, Context, DType, Status, Stream, Tensor, View, ViewMut, Workspace};

const TOKENS: usize = 4;
const IN: usize = 1024;
const OUT: usize = 768;
const REPLAYS: usize = 8;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 ^ (self.0 >> 32)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let found = glq::cuda_info()?;
    if found.status != Status::OK {
        println!("no GPU to run on: {}", found.message);
        std::process::exit(77);
    }
    let stream = CudaContext::new(0)?.new_stream()?;
    let device = cuda::device_of(&stream);
    let (cpu, gpu) = (Context::cpu()?, Context::new(device)?);
    let order = Stream::from_cudarc(&stream);

    // A weight of 2 bits from random codes; every packed code is a valid one.
    let mut random = Random(1);
    let packed: Vec<i64> = (0..OUT * IN / 32).map(|_| random.next() as i64).collect();
    let shape = [OUT / 16, IN / 64, 8, 4];
    let packed = View::new(&packed, &shape)?;
    let parts = Tensor::e8p().features(IN, OUT).weight_scale(0.02).stage(Codebook::E8p, 1.0, &packed);
    let (on_cpu, weight) = (parts.build(&cpu, Stream::DEFAULT)?, parts.build(&gpu, order)?);

    let mut cpu_workspace = Workspace::new(&cpu, ops::fused_linear_e8p_workspace(&cpu, &on_cpu, TOKENS, None)?)?;
    let mut workspace = Workspace::new(&gpu, ops::fused_linear_e8p_workspace(&gpu, &weight, TOKENS, None)?)?;
    let mut x_slice = stream.alloc_zeros::<f32>(TOKENS * IN)?;
    let y_slice = stream.alloc_zeros::<f32>(TOKENS * OUT)?;

    // By their addresses: cudarc's guards record events, which a capture must not wait for.
    let (x, y) = (x_slice.device_ptr(&stream).0, y_slice.device_ptr(&stream).0);
    // SAFETY: of these sizes, used on this stream alone, and freed after the graph.
    let (x, mut y) = unsafe {
        (
            View::from_raw_parts(x as *mut _, DType::F32, device, &[TOKENS, IN], None)?,
            ViewMut::from_raw_parts(y as *mut _, DType::F32, device, &[TOKENS, OUT], None)?,
        )
    };
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
    ops::fused_linear_e8p(&gpu, order, &weight, &x, &mut y, &mut workspace, None)?;
    let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    let graph = stream.end_capture(flags)?.ok_or("nothing was captured")?;

    let mut different = 0;
    for _ in 0..REPLAYS {
        let x: Vec<f32> = (0..TOKENS * IN).map(|_| (random.next() % 65536) as f32 / 16384.0 - 2.0).collect();
        stream.memcpy_htod(&x, &mut x_slice)?;
        graph.launch()?;
        let mut expected = vec![0f32; TOKENS * OUT]; // meanwhile
        let (x, mut y) = (View::new(&x, &[TOKENS, IN])?, ViewMut::new(&mut expected, &[TOKENS, OUT])?);
        ops::fused_linear_e8p(&cpu, Stream::DEFAULT, &on_cpu, &x, &mut y, &mut cpu_workspace, None)?;
        let found = stream.memcpy_dtov(&y_slice)?;
        different += usize::from(found.iter().map(|v| v.to_bits()).ne(expected.iter().map(|v| v.to_bits())));
    }
    println!("{REPLAYS} replays, {different} differ from the CPU");
    drop(graph); // before the weight: a graph that can be replayed needs it
    if different > 0 {
        return Err("not the bytes of the CPU".into());
    }
    Ok(())
}
