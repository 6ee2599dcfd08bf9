//! Misuse gives an error with the library's message, and what is lent is given back in any order.

mod common;

use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::make;
use glq::{
    ops, sys, Checkpoint, Codebook, Context, DType, Device, Error, LogLevel, NativeCode, Quantizer, Status, Stream,
    Tensor, View, ViewMut, Workspace,
};

fn workspace(ctx: &Context, weight: &Tensor<'_>) -> Workspace<'static> {
    Workspace::new(ctx, ops::fused_linear_e8p_workspace(ctx, weight, 8, None).unwrap()).unwrap()
}

/// The error of a linear with such views over these numbers.
fn linear_error(x: &View<'_>, y: &mut ViewMut<'_>) -> Error {
    let ctx = Context::cpu().unwrap();
    let weight = make(&ctx, "bd_96x192/b2", false);
    let mut workspace = workspace(&ctx, &weight);
    ops::fused_linear_e8p(&ctx, Stream::DEFAULT, &weight, x, y, &mut workspace, None).unwrap_err()
}

#[track_caller]
fn assert_error(error: &Error, status: Status, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.status(), Some(status), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
}

#[test]
fn shapes_and_types() {
    let x = vec![0f32; 384];
    let mut y = vec![0f32; 192];
    let mut wrong_y = vec![0i32; 192];
    let error = linear_error(&View::new(&x, &[1, 384]).unwrap(), &mut ViewMut::new(&mut y, &[2, 96]).unwrap());
    assert_error(&error, Status::SHAPE, &["glq_fused_linear_e8p", "384", "192"]);
    assert!(matches!(error, Error::Argument(_)));
    let x_view = View::new(&x, &[2, 192]).unwrap();
    let error = linear_error(&x_view, &mut ViewMut::new(&mut wrong_y, &[2, 96]).unwrap());
    assert_error(&error, Status::DTYPE, &["y"]);
    let column_major = View::strided(&x, &[2, 192], &[1, 2]).unwrap();
    let error = linear_error(&column_major, &mut ViewMut::new(&mut y, &[2, 96]).unwrap());
    assert_error(&error, Status::LAYOUT, &["x"]);
    let x = vec![0u8; 2 * 192 * 4 + 1];
    let odd = &x[usize::from(x.as_ptr() as usize % 4 == 0)..][..2 * 192 * 4];
    let odd = View::from_bytes(odd, DType::F32, &[2, 192]).unwrap();
    let error = linear_error(&odd, &mut ViewMut::new(&mut y, &[2, 96]).unwrap());
    assert_error(&error, Status::ALIGNMENT, &["x"]);
}

#[test]
fn views_that_do_not_fit_their_slice() {
    let mut x = vec![0f32; 12];
    for shape in [&[3, 5][..], &[13], &[usize::MAX, usize::MAX], &[1, 2, 3, 2, 1]] {
        assert_error(&View::new(&x, shape).unwrap_err(), Status::SHAPE, &["View::new"]);
        assert_error(&ViewMut::new(&mut x, shape).unwrap_err(), Status::SHAPE, &["ViewMut::new"]);
    }
    assert!(View::strided(&x, &[3, 4], &[4, 1]).is_ok());
    assert!(View::strided(&x, &[2, 4], &[8, 1]).is_ok());
    assert_error(&View::strided(&x, &[3, 4], &[5, 1]).unwrap_err(), Status::SHAPE, &["56 bytes", "48"]);
    assert_error(&View::strided(&x, &[2, 2], &[usize::MAX, 1]).unwrap_err(), Status::SHAPE, &[]);
    assert_error(&View::strided(&x, &[2, 2], &[1]).unwrap_err(), Status::SHAPE, &[]);
    assert_error(&ViewMut::new(&mut x, &[3, 4]).unwrap().split_columns(5).unwrap_err(), Status::SHAPE, &["5", "4"]);
}

#[test]
fn halves_of_a_matrix_do_not_overlap() {
    let mut x: Vec<f32> = (0..12).map(|number| number as f32).collect();
    // Overlapping rows, one row many times, one column many times; in either order of the strides.
    let overlapping = [([11, 2], [1, 1]), ([2, 4], [3, 1]), ([4, 2], [1, 3]), ([4, 3], [0, 1]), ([4, 3], [3, 0])];
    let overlapping = overlapping.into_iter().chain([([3, 1], [0, 1]), ([1, 3], [1, 0])]);
    for (shape, strides) in overlapping {
        for at in [0, 1, shape[1]] {
            let error = ViewMut::strided(&mut x, &shape, &strides).unwrap().split_columns(at).unwrap_err();
            assert_error(&error, Status::LAYOUT, &["ViewMut::split_columns", "overlap"]);
        }
    }
    // A tensor has the strides of what it borrowed.
    let ctx = Context::cpu().unwrap();
    let view = ViewMut::strided(&mut x, &[11, 2], &[1, 1]).unwrap();
    let mut borrowed = Tensor::borrow_mut(&ctx, view).unwrap();
    assert_error(&borrowed.view_mut().unwrap().split_columns(1).unwrap_err(), Status::LAYOUT, &["overlap"]);
    drop(borrowed);
    // Strides that no slice has, but an array of DLPack may have.
    let split = |strides: [i64; 2]| {
        let mut memory = vec![0f32; 12];
        let mut raw = *ViewMut::new(&mut memory, &[3, 4]).unwrap().as_raw();
        raw.strides[..2].copy_from_slice(&strides);
        let first = 2 * (-strides[0]).max(0) + 3 * (-strides[1]).max(0);
        // SAFETY: all elements are in the vector, which lives longer than the tensors.
        unsafe {
            raw.data = raw.data.cast::<f32>().offset(first as isize).cast();
            let (api, mut handle, mut managed) = (sys::api().unwrap(), std::ptr::null_mut(), std::ptr::null_mut());
            let borrow = api.glq_tensor_borrow;
            assert_eq!(borrow(ctx.as_raw(), &raw, None, std::ptr::null_mut(), &mut handle), sys::GLQ_OK);
            assert_eq!((api.glq_tensor_export_dlpack)(handle, &mut managed), sys::GLQ_OK);
            (api.glq_tensor_destroy)(handle);
            let mut tensor = Tensor::import_dlpack(&ctx, managed).unwrap();
            let halves = tensor.view_mut().unwrap().split_columns(1);
            halves.map(|(left, right)| right.as_raw().data as i64 - left.as_raw().data as i64)
        }
    };
    for strides in [[-4, 1], [4, -1], [-4, -1], [-1, -3], [1, -3]] {
        assert_eq!(split(strides).unwrap(), 4 * strides[1]);
    }
    for strides in [[-3, 1], [3, -1], [-3, -1], [-1, -2], [-1, 1], [0, -1]] {
        assert_error(&split(strides).unwrap_err(), Status::LAYOUT, &["overlap"]);
    }

    let accepted = [
        ([3, 4], [4, 1]),
        ([2, 4], [5, 1]),
        ([3, 4], [1, 3]),
        ([3, 2], [4, 2]),
        ([1, 4], [0, 1]),
        ([1, 4], [1, 3]),
        ([4, 1], [1, 0]),
        ([0, 4], [0, 0]),
        ([4, 0], [0, 0]),
    ];
    for (shape, strides) in accepted {
        for at in 0..=shape[1] {
            let (left, right) = ViewMut::strided(&mut x, &shape, &strides).unwrap().split_columns(at).unwrap();
            assert_eq!((left.len(), right.len()), (shape[0] * at, shape[0] * (shape[1] - at)));
        }
    }
}

#[test]
fn wrong_device_and_workspace() {
    let ctx = Context::cpu().unwrap();
    let weight = make(&ctx, "bd_96x192/b2", false);
    let (x, mut y) = (vec![0f32; 192], vec![0f32; 96]);
    let mut y = ViewMut::new(&mut y, &[1, 96]).unwrap();
    let (data, device) = (x.as_ptr() as *mut _, Device::cuda(0));
    // SAFETY: never looked at, being of another device.
    let elsewhere = unsafe { View::from_raw_parts(data, DType::F32, device, &[1, 192], None) }.unwrap();
    let mut enough = workspace(&ctx, &weight);
    let stream = Stream::DEFAULT;
    let error = ops::fused_linear_e8p(&ctx, stream, &weight, &elsewhere, &mut y, &mut enough, None).unwrap_err();
    assert_error(&error, Status::DEVICE_MISMATCH, &["x", "cuda"]);

    let x = View::new(&x, &[1, 192]).unwrap();
    // SAFETY: never looked at either.
    let mut elsewhere = unsafe { Workspace::from_raw_parts(256 as *mut _, 1 << 20, Device::cuda(0)) };
    let error = ops::fused_linear_e8p(&ctx, stream, &weight, &x, &mut y, &mut elsewhere, None).unwrap_err();
    assert_error(&error, Status::DEVICE_MISMATCH, &["workspace", "cuda:0", "cpu"]);

    let mut none = Workspace::new(&ctx, 0).unwrap();
    let error = ops::fused_linear_e8p(&ctx, stream, &weight, &x, &mut y, &mut none, None).unwrap_err();
    assert_error(&error, Status::WORKSPACE_TOO_SMALL, &["workspace"]);
    assert!(matches!(error, Error::Resource(_)));

    // SAFETY: a CPU context takes no stream; the library says so without looking at it.
    let stream = unsafe { Stream::from_raw(64 as *mut _) };
    let error = ops::fused_linear_e8p(&ctx, stream, &weight, &x, &mut y, &mut enough, None).unwrap_err();
    assert_error(&error, Status::INVALID_ARGUMENT, &["stream"]);

    let error = Context::new(Device::cuda(1000)).unwrap_err();
    assert!(matches!(error, Error::Device(_) | Error::Unsupported(_)), "{error:?}");
    assert!("gpu".parse::<Device>().is_err() && "cpu\0".parse::<Device>().is_err());
    assert_eq!("cuda:3".parse::<Device>().unwrap(), Device::cuda(3));
}

#[test]
fn weights() {
    let ctx = Context::cpu().unwrap();
    let packed = [0i64; 32];
    let indices = View::new(&packed, &[1, 1, 8, 4]).unwrap();
    let good = Tensor::e8p().features(64, 16).weight_scale(1.0).stage(Codebook::E8p, 1.0, &indices);
    let weight = good.build(&ctx, Stream::DEFAULT).unwrap();
    assert_error(&weight.view().unwrap_err(), Status::UNSUPPORTED, &["glq_tensor_view"]);
    let build = |builder: glq::E8pBuilder<'_>| builder.build(&ctx, Stream::DEFAULT).unwrap_err();
    assert_error(&build(Tensor::e8p().features(64, 16)), Status::INVALID_ARGUMENT, &["weight_scale"]);
    assert_error(&build(good.clone().weight_scale(f64::NAN)), Status::NOT_FINITE, &["weight_scale"]);
    assert_error(&build(good.clone().features(65, 16)), Status::SHAPE, &["65"]);
    assert_error(&build(good.clone().bits(7)), Status::INVALID_ARGUMENT, &["bits"]);
    let dense = Tensor::new(&ctx, DType::F32, &[2, 3]).unwrap();
    assert_error(&dense.e8p_info().unwrap_err(), Status::UNSUPPORTED, &[]);
    assert_error(&dense.as_slice::<f64>().unwrap_err(), Status::DTYPE, &["f32", "f64"]);
    assert_eq!(dense.as_slice::<f32>().unwrap(), [0.0; 6]);
}

#[test]
fn files() {
    let error = Checkpoint::open("/nonexistent/model.safetensors").unwrap_err();
    assert_error(&error, Status::IO, &["/nonexistent/model.safetensors"]);
    assert_eq!(error.detail().unwrap().native, Some(NativeCode::Os(2)));
    let file = Checkpoint::open(common::folder().join("ckpt_e8p_blockdiag")).unwrap();
    assert_error(&file.layer("none").unwrap_err(), Status::NOT_FOUND, &["none"]);
    assert_error(&file.tensor("a\0b").unwrap_err(), Status::INVALID_ARGUMENT, &["NUL"]);
    let ctx = Context::cpu().unwrap();
    assert_error(&Quantizer::load(&ctx, b"not a state").unwrap_err(), Status::BAD_FILE, &[]);
}

#[test]
fn dropped_in_any_order() {
    let file = Checkpoint::open(common::folder().join("ckpt_e8p_blockdiag")).unwrap();
    let ctx = Context::cpu().unwrap();
    let name = file.layer_names().unwrap()[0];
    let weight = file.layer(name).unwrap().load(&ctx, Stream::DEFAULT).unwrap();
    drop(file);
    let second = ctx.clone();
    drop(ctx);
    let mut workspace = workspace(&second, &weight);
    let info = weight.e8p_info().unwrap();
    let (x, mut y) = (vec![1f32; info.in_features], vec![0f32; info.out_features]);
    let x = View::new(&x, &[info.in_features]).unwrap();
    let shape = [info.out_features];
    let mut y = ViewMut::new(&mut y, &shape).unwrap();
    ops::fused_linear_e8p(&second, Stream::DEFAULT, &weight, &x, &mut y, &mut workspace, None).unwrap();
    drop(second);
    assert_eq!(weight.e8p_info().unwrap(), info);
    drop(weight);
    drop(workspace);
}

#[test]
fn shared_and_taken_over_memory() {
    let ctx = Context::cpu().unwrap();
    let shared: Arc<[f32]> = Arc::from([1.0, 2.0, 3.0, 4.0]);
    let mut tensor = Tensor::from_arc(&ctx, shared.clone(), &[2, 2]).unwrap();
    assert_eq!(Arc::strong_count(&shared), 2);
    assert_eq!(tensor.as_slice::<f32>().unwrap(), &*shared);
    assert_error(&tensor.as_mut_slice::<f32>().unwrap_err(), Status::INVALID_ARGUMENT, &["read-only"]);
    let source = [0f32; 4];
    let source = View::new(&source, &[2, 2]).unwrap();
    assert!(ops::copy(&ctx, Stream::DEFAULT, &source, &mut tensor.view_mut().unwrap()).is_err());
    drop(tensor);
    assert_eq!(Arc::strong_count(&shared), 1);
    assert!(Tensor::from_arc(&ctx, shared.clone(), &[5]).is_err());
    assert_eq!(Arc::strong_count(&shared), 1);

    let mut tensor = Tensor::from_vec(&ctx, vec![5i64, 6], &[2]).unwrap();
    tensor.as_mut_slice::<i64>().unwrap()[0] = 7;
    assert_eq!(tensor.view().unwrap().to_vec::<i64>(&ctx, Stream::DEFAULT).unwrap(), [7, 6]);
    let mut numbers = [1u8, 2, 3];
    let mut borrowed = Tensor::borrow_mut(&ctx, ViewMut::new(&mut numbers, &[3]).unwrap()).unwrap();
    borrowed.as_mut_slice::<u8>().unwrap()[2] = 9;
    drop(borrowed);
    assert_eq!(numbers, [1, 2, 9]);
}

#[test]
fn dlpack_there_and_back() {
    let ctx = Context::cpu().unwrap();
    let managed = Tensor::from_vec(&ctx, vec![1f32, 2.0], &[2]).unwrap().export_dlpack().unwrap();
    // SAFETY: just exported, and written by nobody.
    let back = unsafe { Tensor::import_dlpack(&ctx, managed.as_ptr()) }.unwrap();
    assert_eq!(back.as_slice::<f32>().unwrap(), [1.0, 2.0]);
}

struct CountsDrop(Arc<AtomicUsize>);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn logger_and_its_end() {
    let (dropped, lines) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (guard, kept) = (CountsDrop(dropped.clone()), lines.clone());
    let ctx = Context::builder()
        .logger(LogLevel::Debug, move |record| {
            let _ = &guard;
            kept.lock().unwrap().push(format!("{:?} {}: {}", record.level, record.category, record.message));
            panic!("a panic in a logger goes nowhere");
        })
        .build()
        .unwrap();
    let tensor = Tensor::new(&ctx, DType::F32, &[2]).unwrap();
    drop(ctx);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(tensor);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert!(!lines.lock().unwrap().is_empty());

    let guard = CountsDrop(dropped.clone());
    let failed = Context::builder()
        .threads(-5)
        .logger(LogLevel::Error, move |_| assert!(guard.0.load(Ordering::SeqCst) < 9))
        .build();
    assert!(failed.is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn panic_and_cancellation_in_a_run() {
    let ctx = Context::cpu().unwrap();
    let w: Vec<f32> = (0..48 * 80).map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let w = View::new(&w, &[48, 80]).unwrap();
    let mut quantizer = Quantizer::builder(80, 48, 3).build(&ctx).unwrap();
    assert_error(&quantizer.report().unwrap_err(), Status::WRONG_STATE, &[]);
    let error = quantizer.run_with_progress(Stream::DEFAULT, &w, None, |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error:?}");
    let panic = catch_unwind(AssertUnwindSafe(|| {
        quantizer.run_with_progress(Stream::DEFAULT, &w, None, |_| panic!("in the progress function"))
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"in the progress function"));

    let mut resumed = Quantizer::load(&ctx, &quantizer.save().unwrap()).unwrap();
    assert_eq!(resumed.options().unwrap().bits, 3);
    let (mut seen, mut phases) = ((0, 0), 0);
    let weight = resumed
        .run_with_progress(Stream::DEFAULT, &w, None, |progress| {
            (seen, phases) = ((progress.done, progress.total), phases + usize::from(!progress.phase.is_empty()));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(seen.0 == seen.1 && phases > 0);
    let fresh = Quantizer::builder(80, 48, 3).build(&ctx).unwrap().run(Stream::DEFAULT, &w, None).unwrap();
    let x = [0.5f32; 80];
    let x = View::new(&x, &[1, 80]).unwrap();
    assert_eq!(common::linear(&ctx, &weight, &x, DType::F32), common::linear(&ctx, &fresh, &x, DType::F32));
    assert!(resumed.report().unwrap().sqnr_db > 5.0);
}

#[test]
fn panic_in_the_last_report_leaves_nothing_behind() {
    let ctx = Context::builder().threads(1).build().unwrap();
    let held = || ctx.info().unwrap().host_bytes;
    let before = held();
    let w: Vec<f32> = (0..16 * 64).map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let w = View::new(&w, &[16, 64]).unwrap();
    let mut quantizer = Quantizer::builder(64, 16, 2).build(&ctx).unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    for round in 1..=3 {
        let payload = catch_unwind(AssertUnwindSafe(|| {
            quantizer.run_with_progress(Stream::DEFAULT, &w, None, |progress| {
                if progress.done == progress.total {
                    std::panic::panic_any(CountsDrop(dropped.clone()));
                }
                ControlFlow::Continue(())
            })
        }));
        let payload = payload.unwrap_err();
        assert!(payload.is::<CountsDrop>());
        assert_eq!(dropped.load(Ordering::SeqCst), round - 1);
        drop(payload);
        assert_eq!(dropped.load(Ordering::SeqCst), round);
    }
    let made = quantizer.run(Stream::DEFAULT, &w, None).unwrap();
    assert_eq!(made.e8p_info().unwrap().bits, 2);
    drop(quantizer);
    assert!(held() > before);
    drop(made);
    assert_eq!(held(), before);
}
