"""The same through a GPU, where there is one: the CPU's bytes, memory of the device in and out."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import glq
import golden
from glq._cli import random_weight

pytestmark = pytest.mark.skipif(not glq.cuda_info().usable, reason=f"CUDA: {glq.cuda_info().reason}")


@pytest.fixture(scope="module")
def gpu() -> glq.Context:
    return glq.Context("cuda:0")


def test_device(gpu):
    assert gpu.device == "cuda:0" and not gpu.is_cpu
    info = glq.device_info("cuda:0")
    assert info.compute_capability >= 80 and info.total_memory > 0
    with pytest.raises(glq.DeviceError):
        glq.Context("cuda:99")


@pytest.mark.parametrize("layer", golden.LAYERS)
def test_golden_bytes(gpu, make, layer):
    weight = make(gpu, layer)
    x = glq.Tensor.copy_of(gpu, golden.source(layer, "x"))
    for dtype, suffix in (("float32", "f32"), ("float16", "f16"), ("bfloat16", "bf16")):
        y = glq.fused_linear_e8p(weight, x, dtype=dtype)
        assert isinstance(y, glq.Tensor) and y.device == "cuda:0"
        assert y.numpy().tobytes() == golden.load(f"{layer}/y_exact_{suffix}").tobytes()
    part = golden.parts(layer)
    exported = weight.export()
    assert all(exported[key].tobytes() == part[key].tobytes() for key in part if key != "bias")


def test_pieces_and_group_equal_the_cpu(gpu, ctx, rng):
    x = rng.standard_normal((5, 192), np.float32)
    on_gpu = glq.Tensor.copy_of(gpu, x)
    pairs = [(random_weight(gpu, rows, 192, bits), random_weight(ctx, rows, 192, bits)) for rows, bits in ((96, 3), (40, 8))]
    for first, second in zip(glq.fused_linear_e8p_group([pair[0] for pair in pairs], on_gpu), pairs):
        assert first.numpy().tobytes() == glq.fused_linear_e8p(second[1], x).tobytes()
    theirs, ours = pairs[0]
    v = glq.rht_input(theirs, on_gpu)
    assert v.numpy().tobytes() == glq.rht_input(ours, x).tobytes()
    z = glq.matmul_e8p(theirs, v)
    assert glq.rht_output(theirs, z).numpy().tobytes() == glq.fused_linear_e8p(ours, x).tobytes()
    assert glq.decode_e8p(theirs).numpy().tobytes() == glq.decode_e8p(ours).tobytes()
    assert glq.dequantize(theirs).numpy().tobytes() == glq.dequantize(ours).tobytes()


def test_memory_of_the_device_comes_in_and_goes_out(gpu, rng):
    weight = random_weight(gpu, 96, 192, 4)
    x = glq.Tensor.copy_of(gpu, rng.standard_normal((3, 192), np.float32))
    expected = glq.fused_linear_e8p(weight, x).numpy().tobytes()

    class Interface:
        __cuda_array_interface__ = x.__cuda_array_interface__

    class Capsule:
        __dlpack_device__ = x.__dlpack_device__
        __dlpack__ = x.__dlpack__

    for producer in (Interface(), Capsule(), glq.Tensor.from_dlpack(gpu, x), glq.Tensor.borrow(gpu, x)):
        assert glq.view(producer).device == "cuda:0"
        assert glq.fused_linear_e8p(weight, producer).numpy().tobytes() == expected
    out = glq.Tensor.empty(gpu, (3, 96), "float32")
    assert glq.fused_linear_e8p(weight, x, out) is out and out.numpy().tobytes() == expected


def test_host_arrays_are_refused(gpu, rng):
    with pytest.raises(glq.ArgumentError) as caught:
        glq.fused_linear_e8p(random_weight(gpu, 96, 192, 4), np.zeros((3, 192), np.float32))
    assert caught.value.status_name == "GLQ_E_DEVICE_MISMATCH"


def test_streams_and_workspaces(gpu, rng):
    weight = random_weight(gpu, 96, 192, 4)
    x = glq.Tensor.copy_of(gpu, rng.standard_normal((70, 192), np.float32))
    expected = glq.fused_linear_e8p(weight, x).numpy().tobytes()
    scratch = glq.Workspace(gpu, glq.workspace_bytes(weight, 70))
    for stream in (None, 1, 2):  # CUDA's own constants: legacy and per-thread default
        y = glq.fused_linear_e8p(weight, x, stream=stream, workspace=scratch)
        gpu.synchronize(stream)
        assert y.numpy(stream=stream).tobytes() == expected
        assert glq.fused_linear_e8p(weight, x, stream=stream).numpy(stream=stream).tobytes() == expected


def test_device_memory_is_given_back(gpu):
    gc.collect()
    gpu.synchronize()
    held = gpu.info().device_bytes
    tensors = [glq.Tensor.empty(gpu, (1 << 20,), "float32") for _ in range(4)]
    assert gpu.info().device_bytes >= held + (16 << 20)
    del tensors
    gc.collect()
    gpu.synchronize()
    assert gpu.info().device_bytes == held


def test_quantizer_puts_its_result_on_the_device(gpu, ctx, rng):
    w = rng.standard_normal((48, 128), np.float32)
    theirs, ours = (glq.Quantizer(context, 128, 48, 3).run(w) for context in (gpu, ctx))
    assert theirs.device == "cuda:0"
    first, second = theirs.export(), ours.export()
    assert all(first[key].tobytes() == second[key].tobytes() for key in second)


# Two GPUs in one process


@pytest.fixture(scope="module")
def gpus(gpu) -> list[glq.Context]:
    if glq.cuda_info().device_count < 2:
        pytest.skip("there is one GPU; two are needed")
    return [gpu, glq.Context("cuda:1")]


def test_two_gpus_in_turns(gpus, ctx, rng):
    weights = [random_weight(gpu, 96, 192, 3) for gpu in gpus]
    reference = random_weight(ctx, 96, 192, 3)
    scratch = [glq.Workspace(gpu, glq.workspace_bytes(weight, 5)) for gpu, weight in zip(gpus, weights)]
    for _ in range(5):
        inputs = [rng.standard_normal((5, 192), np.float32) for _ in gpus]
        on_gpus = [glq.Tensor.copy_of(gpu, x) for gpu, x in zip(gpus, inputs)]
        found = [glq.fused_linear_e8p(weight, x, workspace=space)
                 for weight, x, space in zip(weights, on_gpus, scratch)]
        for y, x, gpu in zip(found, inputs, gpus):
            assert y.device == gpu.device and y.numpy().tobytes() == glq.fused_linear_e8p(reference, x).tobytes()


def test_the_other_gpu_is_refused(gpus, rng):
    weights = [random_weight(gpu, 96, 192, 3) for gpu in gpus]
    x = rng.standard_normal((2, 192), np.float32)
    inputs = [glq.Tensor.copy_of(gpu, x) for gpu in gpus]
    outputs = [glq.Tensor.empty(gpu, (2, 96), "float32") for gpu in gpus]
    for own, other in ((0, 1), (1, 0)):
        scratch = glq.Workspace(gpus[other], glq.workspace_bytes(weights[other], 2))
        for text, call in (
            (f"x.device = cuda:{other}", lambda: glq.fused_linear_e8p(weights[own], inputs[other])),
            (f"y.device = cuda:{other}", lambda: glq.fused_linear_e8p(weights[own], inputs[own], outputs[other])),
            ("workspace", lambda: glq.fused_linear_e8p(weights[own], inputs[own], workspace=scratch)),
            ("weights", lambda: glq.fused_linear_e8p_group(weights, inputs[own])),
        ):
            with pytest.raises(glq.ArgumentError) as caught:
                call()
            assert caught.value.status_name == "GLQ_E_DEVICE_MISMATCH" and text in caught.value.message
        expected = glq.fused_linear_e8p(weights[other], inputs[other]).numpy().tobytes()
        assert glq.fused_linear_e8p(weights[own], inputs[own]).numpy().tobytes() == expected


def test_threads_on_two_gpus(gpus, ctx, rng):
    weights = [random_weight(gpu, 96, 192, 3) for gpu in gpus]
    reference = random_weight(ctx, 96, 192, 3)
    inputs = [rng.standard_normal((1 + index, 192), np.float32) for index in range(8)]
    wanted = [glq.fused_linear_e8p(reference, x).tobytes() for x in inputs]
    wrong: list[object] = []

    def run(index: int) -> None:
        try:
            for turn in range(20):
                side = (index + turn) % 2
                y = glq.fused_linear_e8p(weights[side], glq.Tensor.copy_of(gpus[side], inputs[index]))
                if y.numpy().tobytes() != wanted[index]:
                    wrong.append((index, turn))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
