"""Lifetimes: borrowed memory, DLPack both ways, garbage in any order, threads, callbacks."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import glq
from glq import _callbacks, ops
from glq._cli import random_weight


class Array(np.ndarray):
    """An array that can be watched."""


def watched(rng, shape=(4, 100)):
    array = rng.standard_normal(shape, np.float32).view(Array)
    return array, weakref.ref(array)


def test_a_borrowed_tensor_keeps_the_memory(ctx, rng):
    array, alive = watched(rng)
    expected = array.tobytes()
    tensor = glq.Tensor.borrow(ctx, array)
    assert tensor.view().data == array.__array_interface__["data"][0]
    del array
    gc.collect()
    assert alive() is not None and tensor.numpy().tobytes() == expected
    lent = tensor.numpy()
    del tensor
    gc.collect()
    assert alive() is not None and lent.tobytes() == expected
    del lent
    gc.collect()
    assert alive() is None


def test_a_dlpack_export_keeps_the_memory(ctx, rng):
    array, alive = watched(rng)
    expected = array.tobytes()
    lent = np.from_dlpack(glq.Tensor.borrow(ctx, array))
    del array
    gc.collect()
    assert alive() is not None and lent.tobytes() == expected
    del lent
    gc.collect()
    assert alive() is None


def test_nothing_is_kept_after_a_failure(ctx, rng):
    array, alive = watched(rng, (2, 2, 2))
    kept = len(_callbacks._kept)
    with pytest.raises(glq.ArgumentError):
        glq.Tensor.borrow(ctx, array.astype(np.uint32).view(np.float32)[::-1], dtype="float16")
    assert len(_callbacks._kept) == kept
    del array
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_capsules_that_nobody_takes_free_their_memory(ctx, version):
    held = ctx.info().host_bytes
    for _ in range(3):
        capsule = glq.Tensor.empty(ctx, (1000,), "float64").__dlpack__(max_version=version)
        assert ctx.info().host_bytes > held
        name = ctypes.pythonapi.PyCapsule_GetName
        name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
        assert name(capsule) == (b"dltensor_versioned" if version else b"dltensor")
        del capsule
        assert ctx.info().host_bytes == held


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_that_goes_with_an_exception(environment, version):
    code = f"""
import faulthandler, glq, numpy as np
faulthandler.enable()
context = glq.Context(threads=1)
held = context.info().host_bytes
def consume(*parts): pass
for _ in range(3):
    try:
        consume(glq.Tensor.empty(context, (1000,), "float64").__dlpack__(max_version={version}), 1 / 0)
    except ZeroDivisionError:
        pass
    try:
        np.from_dlpack(glq.Tensor.empty(context, (1000,), "bfloat16"))  # NumPy does not have it, and refuses the capsule
    except (BufferError, RuntimeError):
        pass
assert context.info().host_bytes == held
capsule = glq.Tensor.empty(context, (1000,), "float64").__dlpack__(max_version={version})
lent = np.from_dlpack(glq.Tensor.copy_of(context, np.arange(3.0)))
context.synchronize()
assert lent.tolist() == [0, 1, 2] and context.info().host_bytes > held  # the capsule is still held
del capsule, lent
context.synchronize()
assert context.info().host_bytes == held and not glq._dlpack._given and not glq._callbacks._kept
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


class OldProducer:
    """Speaks DLPack as it was before versions."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self):
        return self.tensor.__dlpack__()


@pytest.mark.parametrize("wrap", [lambda tensor: tensor, OldProducer])
def test_dlpack_in(ctx, rng, wrap):
    x = rng.standard_normal((3, 64), np.float32)
    weight = random_weight(ctx, 16, 64, 2)
    expected = glq.fused_linear_e8p(weight, x).tobytes()
    producer = wrap(glq.Tensor.copy_of(ctx, x))
    assert np.asarray(glq.fused_linear_e8p(weight, producer)).tobytes() == expected
    imported = glq.Tensor.from_dlpack(ctx, producer)
    del producer
    gc.collect()
    assert imported.shape == (3, 64) and imported.numpy().tobytes() == x.tobytes()
    made = glq.view(imported)
    del imported
    gc.collect()
    assert made.numpy().tobytes() == x.tobytes()


def test_dlpack_of_numpy_keeps_read_only(ctx, rng):
    x = rng.standard_normal((3, 64), np.float32)

    class Producer:
        __dlpack_device__ = x.__dlpack_device__

        def __dlpack__(self, **arguments):
            return x.__dlpack__(**arguments)

    tensor = glq.Tensor.from_dlpack(ctx, Producer())
    assert tensor.view().data == x.__array_interface__["data"][0] and not tensor.view().read_only
    x.flags.writeable = False
    frozen = glq.Tensor.from_dlpack(ctx, Producer())
    assert frozen.view().read_only and not frozen.numpy().flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        frozen.__dlpack__()


def test_dlpack_refusals(ctx):
    weight = random_weight(ctx, 16, 64, 2)
    with pytest.raises(glq.UnsupportedError):
        weight.__dlpack__()
    dense = glq.Tensor.empty(ctx, (3,), "float32")
    with pytest.raises(BufferError, match="device"):
        dense.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="copy"):
        dense.__dlpack__(copy=True)
    assert not hasattr(dense, "__cuda_array_interface__")


def test_views_of_device_memory_are_checked_not_read(ctx):
    class Device:
        __cuda_array_interface__ = {"shape": (2, 64), "typestr": "<f4", "data": (0x7F0000000000, False), "version": 3,
                                    "strides": None, "stream": None}

    made = glq.view(Device())
    assert made.device == "cuda:0" and made.shape == (2, 64) and made.strides == (64, 1)
    with pytest.raises(glq.ArgumentError) as caught:
        glq.fused_linear_e8p(random_weight(ctx, 16, 64, 2), Device())
    assert caught.value.status_name == "GLQ_E_DEVICE_MISMATCH"
    with pytest.raises(glq.ArgumentError, match="not NumPy's"):
        made.numpy()


def test_torch(ctx, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((3, 64), np.float32)
    weight = random_weight(ctx, 16, 64, 2)
    expected = glq.fused_linear_e8p(weight, x)
    assert glq.fused_linear_e8p(weight, torch.from_numpy(x)).tobytes() == expected.tobytes()
    out = torch.empty(3, 16)
    glq.fused_linear_e8p(weight, torch.from_numpy(x), out)
    assert out.numpy().tobytes() == expected.tobytes()
    assert torch.from_dlpack(glq.Tensor.copy_of(ctx, x)).numpy().tobytes() == x.tobytes()
    assert glq.DType.of(torch.bfloat16) is glq.DType.BFLOAT16


def test_what_a_finalizer_uses_is_still_there(environment, tmp_path):
    """In garbage with a cycle the finalizers of cffi's pointers run before or after this __del__, in no order."""
    code = """
import faulthandler, gc, glq, numpy as np, sys
faulthandler.enable()
gc.disable()
context = glq.Context(threads=1)
glq.checkpoint.write_tensors(sys.argv[1], {"a": np.arange(1 << 20, dtype=np.float32)})
saved, sums = [], []
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **arguments): return np.arange(1 << 20, dtype=np.float32).__dlpack__(**arguments)
class Layer:
    def __init__(self):
        own = glq.Context(threads=1)
        self.tensor = glq.Tensor.copy_of(own, np.arange(1 << 20, dtype=np.float32))
        self.lent, self.produced = self.tensor.view(), glq.view(Producer())
        self.file = glq.checkpoint.open(sys.argv[1])
        self.array = self.file.tensors["a"]
        self.quantizer = glq.Quantizer(own, 64, 16)
        self.me = self
    def use(self):
        self.quantizer.add_batch(np.ones((1, 64), np.float32))
        again = glq.Tensor.copy_of(self.tensor.context, np.ones(4, np.float32))
        return [int(part[-1]) for part in (self.tensor.numpy(), self.lent.numpy(), self.produced.numpy(), self.array,
                                           self.file.tensors["a"])] + [int(again.numpy().sum())]
    def __del__(self):
        sums.append(self.use())
        saved.append(self)
Layer()
held = context.info().host_bytes
gc.collect()
expected = [(1 << 20) - 1] * 5 + [4]
assert sums == [expected] and saved[0].use() == expected
layer = saved.pop()
own = layer.tensor.context
del layer.me
size = own.info().host_bytes
del layer
gc.collect()
assert size - own.info().host_bytes >= 4 << 20  # and in the end it goes
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.safetensors")], env=environment,
                            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_a_closed_context_takes_nothing(ctx, rng):
    closed = glq.Context(threads=1)
    closed.close()
    array, alive = watched(rng)
    with pytest.raises(glq.ArgumentError, match="closed"):
        glq.Tensor.from_dlpack(closed, array)
    with pytest.raises(glq.ArgumentError, match="closed"):
        glq.Tensor.borrow(closed, array)
    del array
    gc.collect()
    assert alive() is None


def test_scratch_is_held_until_the_call_is_done(rng, monkeypatch):
    """A finalizer that needs more scratch, between taking it and using it."""
    context = glq.Context(threads=1)
    weight = random_weight(context, 48, 128, 4)
    x, wide = rng.standard_normal((1, 128), np.float32), rng.standard_normal((64, 128), np.float32)
    expected = glq.fused_linear_e8p(weight, x).tobytes()
    as_rows, seen = ops.as_rows, []

    def between(made, what):
        if what.startswith("out") and not seen:
            old = weakref.ref(next(iter(context._scratch.by_stream.values())))
            seen.append(old)
            glq.fused_linear_e8p(weight, wide)
            assert old() is not next(iter(context._scratch.by_stream.values())) and old() is not None
        return as_rows(made, what)

    monkeypatch.setattr(ops, "as_rows", between)
    assert glq.fused_linear_e8p(weight, x).tobytes() == expected and seen and seen[0]() is None


def test_an_array_is_read_when_its_stream_is_done(monkeypatch):
    context = glq.Context(threads=1)
    tensor = glq.Tensor.copy_of(context, np.arange(3, dtype=np.float32))
    waited = []

    class Library:
        def glq_context_synchronize(self, native, stream):
            waited.append(stream)
            return 0

        def __getattr__(self, name):
            return getattr(context._lib, name)

    monkeypatch.setattr(glq.Context, "is_cpu", False)
    tensor._lib, tensor._stream = Library(), "the stream"
    assert np.asarray(tensor).tolist() == [0, 1, 2] and waited == ["the stream"]


def test_objects_may_go_in_any_order(rng):
    x = rng.standard_normal((3, 64), np.float32)
    for order in range(6):
        context = glq.Context(threads=1)
        weight = random_weight(context, 16, 64, 2)
        dense = glq.Tensor.copy_of(context, x)
        y = glq.fused_linear_e8p(weight, dense)
        things = [context, weight, dense]
        del context, weight, dense
        for index in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))[order]:
            things[index] = None
            gc.collect()
        assert np.isfinite(y.numpy()).all()


def test_a_closed_context_leaves_its_tensors_usable(rng):
    context = glq.Context(threads=1)
    weight = random_weight(context, 16, 64, 2)
    x = rng.standard_normal((1, 64), np.float32)
    expected = glq.fused_linear_e8p(weight, x).tobytes()
    scratch = glq.Workspace(context, glq.workspace_bytes(weight, 1))
    context.close()
    assert glq.fused_linear_e8p(weight, x, workspace=scratch).tobytes() == expected
    assert glq.fused_linear_e8p(weight, x).tobytes() == expected


def test_eight_threads_with_collections(ctx, rng):
    x = rng.standard_normal((3, 128), np.float32)
    shared = random_weight(ctx, 48, 128, 4)
    expected = glq.fused_linear_e8p(shared, x).tobytes()
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            for _ in range(40):
                if glq.fused_linear_e8p(shared, x).tobytes() != expected:
                    wrong.append(seed)
                weight = random_weight(ctx, 48, 128, 4)
                borrowed = glq.Tensor.borrow(ctx, x)
                if np.asarray(glq.fused_linear_e8p(weight, borrowed)).tobytes() != expected:
                    wrong.append(seed)
                with pytest.raises(glq.ArgumentError, match=str(seed + 1)):  # messages belong to their thread
                    glq.fused_linear_e8p(weight, np.zeros((1, seed + 1), np.float32))
                del weight, borrowed
                gc.collect(0)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    gc.collect()


def test_closing_while_another_thread_computes(ctx, rng):
    x = rng.standard_normal((64, 512), np.float32)
    for _ in range(10):
        weight = random_weight(ctx, 512, 512, 8)
        started = threading.Event()
        results: list[object] = []

        def work() -> None:
            started.set()
            try:
                results.append(glq.fused_linear_e8p(weight, x))
            except glq.ArgumentError as error:
                results.append(error.status_name)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        weight.close()
        thread.join()
        assert isinstance(results[0], np.ndarray) or results == ["GLQ_E_BAD_HANDLE"]


def test_release_in_the_middle_of_a_release(environment):
    """A signal handler that borrows and lets go, at any point of the same on the main thread; the collector likewise."""
    code = """
import gc, glq, numpy as np, signal, time
context, array = glq.Context(threads=1), np.zeros(4, np.float32)
count = 0
def handler(*_):
    global count
    count += 1
    tensor = glq.Tensor.borrow(context, array)
class Node: pass
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0003)
end = time.monotonic() + 2
while time.monotonic() < end:
    node = Node()
    node.me, node.tensor = node, glq.Tensor.borrow(context, array)
    del node
    tensor = glq.Tensor.borrow(context, array)
    del tensor
signal.setitimer(signal.ITIMER_REAL, 0)
gc.collect()
assert count > 100 and not glq._callbacks._kept
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_logging():
    lines: list[tuple[int, str, str]] = []
    context = glq.Context(threads=1, log=lambda *line: lines.append(line), log_level="debug")
    kept = len(_callbacks._kept)
    weight = random_weight(context, 16, 64, 2)
    glq.fused_linear_e8p(weight, np.zeros((1, 64), np.float32))
    assert lines and all(isinstance(message, str) and category for _, category, message in lines)
    del context, weight
    gc.collect()
    assert len(_callbacks._kept) == kept - 1
    with pytest.raises(glq.ArgumentError, match="'loud' is none of"):
        glq.Context(log=print, log_level="loud")


def test_a_log_function_that_raises_does_no_harm(environment):
    code = """
import glq
def log(*line): raise KeyError("from the log function")
context = glq.Context(threads=1, log=log, log_level="debug")
print(glq.Tensor.empty(context, (3,), "float32").shape)
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.strip() == "(3,)"
    assert "from the log function" in result.stderr


def test_exit_with_everything_alive(environment):
    code = """
import glq, numpy as np
context = glq.Context(threads=2, log=lambda *line: None, log_level="debug")
array = np.zeros((3, 64), np.float32)
tensor = glq.Tensor.borrow(context, array)
capsules = [tensor.__dlpack__(), tensor.__dlpack__(max_version=(1, 0))]
cycle = [tensor, context, capsules]
cycle.append(cycle)
quantizer = glq.Quantizer(context, 64, 16)
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_memory_does_not_grow(ctx, rng):
    x = rng.standard_normal((3, 256), np.float32)
    held = ctx.info().host_bytes

    def resident() -> int:
        with open(f"/proc/{os.getpid()}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def round_trip() -> None:
        weight = random_weight(ctx, 256, 256, 4)
        np.from_dlpack(glq.Tensor.borrow(ctx, np.zeros(100000, np.float32)))
        glq.fused_linear_e8p(weight, x)
        with pytest.raises(glq.ArgumentError):
            glq.fused_linear_e8p(weight, x[:, 1:])

    for _ in range(20):
        round_trip()
    before = resident()
    for _ in range(200):
        round_trip()
    gc.collect()
    assert resident() - before < 8 << 20
    assert ctx.info().host_bytes <= held + (1 << 20)
