//! What may be shared is, and eight threads at once get the same bytes as one.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use common::{layers, linear, load, make, source};
use glq::{Checkpoint, Context, DType, Error, Quantizer, Stream, Tensor, View, ViewMut, Workspace};

fn send<T: Send>() {}
fn sync<T: Sync>() {}

#[test]
fn what_may_be_sent_and_shared() {
    send::<Context>();
    sync::<Context>();
    send::<Tensor<'static>>();
    sync::<Tensor<'static>>();
    send::<Checkpoint>();
    sync::<Checkpoint>();
    send::<Quantizer>();
    send::<Workspace<'static>>();
    send::<View<'static>>();
    sync::<View<'static>>();
    send::<ViewMut<'static>>();
    send::<Stream<'static>>();
    send::<Error>();
    sync::<Error>();
}

trait IsNotSync<Which> {
    fn holds() {}
}
impl<T: ?Sized> IsNotSync<()> for T {}
struct BecauseItIsSync;
impl<T: ?Sized + Sync> IsNotSync<BecauseItIsSync> for T {}

#[test]
fn a_quantizer_is_not_sync() {
    <Quantizer as IsNotSync<_>>::holds(); // ambiguous, so an error, if it were
}

#[test]
fn eight_threads_share_weights_and_drop_them() {
    let ctx = Context::builder().threads(2).build().unwrap();
    let all: Vec<(String, Arc<Tensor>)> =
        layers().into_iter().map(|layer| (layer.clone(), Arc::new(make(&ctx, &layer, false)))).collect();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (ctx, mine, done) = (ctx.clone(), all.clone(), &done);
            scope.spawn(move || {
                for (index, (layer, weight)) in mine.into_iter().enumerate() {
                    let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source(&layer, "x").view()).unwrap();
                    let y = linear(&ctx, &weight, &x.view().unwrap(), DType::F32);
                    assert_eq!(y, load(&format!("{layer}/y_exact_f32")).bytes, "{layer}");
                    // Each thread's failures are its own.
                    let extent = 1 << (thread + 4);
                    let numbers = vec![0f32; extent];
                    let x = View::new(&numbers, &[1, extent]).unwrap();
                    let mut y = vec![0f32; 1];
                    let mut y = ViewMut::new(&mut y, &[1, 1]).unwrap();
                    let mut none = Workspace::new(&ctx, 0).unwrap();
                    let error = glq::ops::fused_linear_e8p(&ctx, Stream::DEFAULT, &weight, &x, &mut y, &mut none, None);
                    let text = error.unwrap_err().to_string();
                    assert!(text.contains(&extent.to_string()), "{text}");
                    drop(weight);
                    done.fetch_add(index + 1, Ordering::Relaxed);
                }
            });
        }
        drop(all);
    });
    assert!(done.load(Ordering::Relaxed) > 0);
    assert!(ctx.info().unwrap().host_bytes < 1 << 20);
}

#[test]
fn quantizers_move_between_threads() {
    let ctx = Context::cpu().unwrap();
    let w: Vec<f32> = (0..16 * 64).map(|index| (index % 13) as f32 - 6.0).collect();
    let quantizer = Quantizer::builder(64, 16, 2).build(&ctx).unwrap();
    drop(ctx);
    let (quantizer, weight) = std::thread::spawn(move || {
        let mut quantizer = quantizer;
        let weight = quantizer.run(Stream::DEFAULT, &View::new(&w, &[16, 64]).unwrap(), None).unwrap();
        (quantizer, weight)
    })
    .join()
    .unwrap();
    assert_eq!(quantizer.report().unwrap().cum_inv_scale.len(), 1);
    drop(quantizer);
    assert_eq!(weight.e8p_info().unwrap().bits, 2);
}

#[test]
fn own_threads_in_place_of_the_pool() {
    let pieces = Arc::new(AtomicUsize::new(0));
    let counted = pieces.clone();
    // Runs pieces in the wrong order, twice, out of range, on other threads, leaves the last out, and panics.
    let ctx = Context::builder()
        .parallel_for(6, move |n, piece| {
            counted.fetch_add(n, Ordering::Relaxed);
            std::thread::scope(|scope| {
                for index in (0..n.saturating_sub(1)).rev() {
                    scope.spawn(move || {
                        piece(index);
                        piece(index);
                    });
                }
            });
            piece(n + 5);
            panic!("a panic in a parallel loop leaves nothing undone");
        })
        .build()
        .unwrap();
    assert_eq!(ctx.info().unwrap().num_threads, 6);
    for layer in layers() {
        let x = Tensor::copy_of(&ctx, Stream::DEFAULT, &source(&layer, "x").view()).unwrap();
        let y = linear(&ctx, &make(&ctx, &layer, false), &x.view().unwrap(), DType::F32);
        assert_eq!(y, load(&format!("{layer}/y_exact_f32")).bytes, "{layer}");
    }
    let w: Vec<f32> = (0..96 * 192).map(|index| (index % 29) as f32 - 14.0).collect();
    let mut quantizer = Quantizer::builder(192, 96, 2).build(&ctx).unwrap();
    quantizer.run(Stream::DEFAULT, &View::new(&w, &[96, 192]).unwrap(), None).unwrap();
    assert!(pieces.load(Ordering::Relaxed) > 0);
}
