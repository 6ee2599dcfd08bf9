"""The quantizer through Python: statistics, progress, cancelling, saving, reports."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import glq


@pytest.fixture
def layer(rng):
    weight = rng.standard_normal((48, 128), np.float32)
    mixing = rng.standard_normal((128, 128), np.float32) / 8
    return weight, rng.standard_normal((500, 128), np.float32) @ mixing


def stored(weight: glq.Tensor) -> dict[str, bytes]:
    return {key: part.tobytes() for key, part in weight.export().items()}


def test_batches_add_up(ctx, layer):
    _, x = layer
    one, many = glq.Quantizer(ctx, 128, 48), glq.Quantizer(ctx, 128, 48)
    one.add_batch(x)
    for part in np.array_split(x, 7):
        many.add_batch(part)
    many.add_batch(x[:0])
    assert one.samples == many.samples == 500
    assert one.hessian.tobytes() == many.hessian.tobytes()
    wide = x.astype(np.float64)
    np.testing.assert_allclose(one.hessian, wide.T @ wide / 500, rtol=1e-9, atol=1e-9)
    other = glq.Quantizer(ctx, 128, 48)
    other.set_hessian(one.hessian, samples=500)
    assert other.samples == 500 and other.hessian.tobytes() == one.hessian.tobytes()
    other.hessian = np.eye(128)
    assert np.array_equal(other.hessian, np.eye(128)) and other.samples == 0
    batched = glq.Quantizer(ctx, 128, 48)
    batched.add_batch(x.reshape(5, 100, 128))
    assert batched.hessian.tobytes() == one.hessian.tobytes()


def test_statistics_help(ctx, layer):
    weight, x = layer

    def output_error(quantizer: glq.Quantizer) -> float:
        return float(np.linalg.norm(glq.fused_linear_e8p(quantizer.run(weight), x) - x @ weight.T))

    blind, informed = glq.Quantizer(ctx, 128, 48, 2), glq.Quantizer(ctx, 128, 48, 2, refine=2)
    informed.add_batch(x)
    assert output_error(informed) < 0.8 * output_error(blind)


def test_more_bits_are_better(ctx, layer):
    weight, x = layer
    ratios = []
    for bits in range(2, 9):
        quantizer = glq.Quantizer(ctx, 128, 48, bits, scale_search=True)
        result = quantizer.run(weight)
        report = quantizer.report()
        assert result.bits == bits and len(report.cum_inv_scale) == (bits + 1) // 2
        assert report.weight_scale == pytest.approx(result.info.weight_scale)
        error = np.linalg.norm(glq.dequantize(result) - weight)
        assert report.sqnr_db == pytest.approx(20 * np.log10(np.linalg.norm(weight) / error), abs=0.05)
        ratios.append(report.sqnr_db)
    assert ratios == sorted(ratios) and ratios[0] > 8 and ratios[-1] > 30


def test_dtypes_and_bias(ctx, layer):
    weight, _ = layer
    bits = (weight.view(np.uint32) >> 16).astype(np.uint16)
    rounded = (bits.astype(np.uint32) << 16).view(np.float32)
    quantizer = glq.Quantizer(ctx, 128, 48, 3)
    expected = stored(quantizer.run(rounded))
    assert stored(quantizer.run(bits, dtype="bfloat16")) == expected
    assert stored(quantizer.run(rounded.astype(np.float64))) == expected
    bias = np.arange(48, dtype=np.float32)
    with_bias = quantizer.run(rounded, bias)
    assert with_bias.info.bias_dtype is glq.DType.FLOAT32
    x = np.zeros((1, 128), np.float32)
    assert np.array_equal(glq.fused_linear_e8p(with_bias, x)[0], bias)


def test_seed_and_layout(ctx, layer):
    weight, _ = layer
    plain = glq.Quantizer(ctx, 128, 48).run(weight).export()
    assert set(np.unique(plain["SU"])) == {-1.0, 1.0}
    same = glq.Quantizer(ctx, 128, 48, seed=42).run(weight).export()
    assert plain["SV"].tobytes() == same["SV"].tobytes()
    other = glq.Quantizer(ctx, 128, 48, seed=0).run(weight).export()
    assert plain["SV"].tobytes() != other["SV"].tobytes()
    padded = glq.Quantizer(ctx, 128, 48, pow2=True).run(weight).info
    assert (padded.padded_out, padded.padded_in) == (64, 128)


def test_progress(ctx, layer):
    weight, _ = layer
    calls: list[tuple[int, int, str]] = []
    glq.Quantizer(ctx, 128, 48, 4, refine=1).run(weight, progress=lambda *call: calls.append(call))
    done, total, phases = zip(*calls)
    assert list(done) == sorted(done) and set(total) == {total[0]} and done[-1] == total[0]
    assert all(isinstance(phase, str) and phase for phase in phases)


@pytest.mark.parametrize("stop_in", ["hessian", "scales", "ldlq"])
def test_cancelled_saved_and_resumed_gives_the_same_bytes(ctx, layer, stop_in):
    weight, x = layer

    def fresh() -> glq.Quantizer:
        made = glq.Quantizer(ctx, 128, 48, 3, refine=1, scale_search=True, seed=5)
        made.add_batch(x)
        return made

    expected = stored(fresh().run(weight))

    def stop(done: int, total: int, phase: str) -> bool:
        return phase != stop_in

    quantizer = fresh()
    with pytest.raises(glq.CancelledError):
        quantizer.run(weight, progress=stop)
    if stop_in == "ldlq":  # before that there is nothing to go on with
        for mistake in (lambda: quantizer.add_batch(x), lambda: quantizer.run(weight + 1)):
            with pytest.raises(glq.ArgumentError) as caught:
                mistake()
            assert caught.value.status_name == "GLQ_E_WRONG_STATE"
    resumed = glq.Quantizer.load(ctx, quantizer.save())
    assert (resumed.in_features, resumed.out_features, resumed.bits) == (128, 48, 3)
    assert stored(resumed.run(weight)) == expected
    assert stored(quantizer.run(weight)) == expected
    abandoned = fresh()
    with pytest.raises(glq.CancelledError):
        abandoned.run(weight, progress=stop)
    abandoned.abandon()
    abandoned.run(weight + 1)
    assert stored(abandoned.run(weight)) == expected


def test_exceptions_in_callbacks_come_out(ctx, layer):
    weight, _ = layer
    quantizer = glq.Quantizer(ctx, 128, 48)
    for error in (KeyError("own"), KeyboardInterrupt()):
        def raises(*_, error=error):
            raise error

        with pytest.raises(type(error)) as caught:
            quantizer.run(weight, progress=raises)
        assert caught.value is error
    assert quantizer.run(weight).bits == 2


def test_one_call_at_a_time(environment):
    code = """
import faulthandler, glq, numpy as np, threading
faulthandler.enable()
quantizer = glq.Quantizer(glq.Context(threads=1), 512, 512)
weight = np.random.default_rng(0).standard_normal((512, 512), np.float32)
expected = quantizer.run(weight).export()
running, refused = threading.Event(), []
calls = {"add_batch": lambda: quantizer.add_batch(weight), "hessian": lambda: quantizer.hessian,
         "set_hessian": lambda: quantizer.set_hessian(np.eye(512)), "run": lambda: quantizer.run(weight),
         "abandon": lambda: quantizer.abandon(), "report": lambda: quantizer.report(), "save": lambda: quantizer.save()}
def try_all(where):
    for name, call in calls.items():
        try:
            call()
        except glq.ArgumentError as error:
            assert error.status_name == "GLQ_E_WRONG_STATE" and where in error.message, error
            assert error.message.startswith(name + ": the quantizer is busy with run on "), error
            refused.append(name)
def progress(done, total, phase):
    if not refused:
        try_all("this thread")
        thread = threading.Thread(target=try_all, args=("another thread",))
        thread.start()
        thread.join()
result = quantizer.run(weight, progress=progress).export()
assert sorted(refused) == sorted(list(calls) * 2), refused
assert all(result[key].tobytes() == part.tobytes() for key, part in expected.items())
quantizer.abandon()  # free again, also after an error
try: quantizer.add_batch(weight[:, 1:])
except glq.ArgumentError as error: assert error.status_name == "GLQ_E_SHAPE"
quantizer.add_batch(weight)
assert quantizer.samples == 512
def work(call):
    for _ in range(5):
        try: call()
        except glq.ArgumentError as error: assert error.status_name == "GLQ_E_WRONG_STATE", error
threads = [threading.Thread(target=work, args=(calls[name],)) for name in ("run", "run", "set_hessian", "abandon")]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_broken_states(ctx):
    state = glq.Quantizer(ctx, 64, 16).save()
    glq.Quantizer.load(ctx, state)
    for broken in (b"", b"nonsense" * 10, state[:-1], state + b"x", state[:40] + bytes([state[40] ^ 1]) + state[41:]):
        with pytest.raises(glq.BadFileError):
            glq.Quantizer.load(ctx, broken)


def test_a_hessian_that_nobody_else_holds(environment):
    code = """
import faulthandler, glq, numpy as np
faulthandler.enable()
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **arguments): return np.eye(1024).__dlpack__(**arguments)
quantizer = glq.Quantizer(glq.Context(threads=1), 1024, 16)
quantizer.set_hessian(Producer())
assert np.array_equal(quantizer.hessian, np.eye(1024))
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_misuse(ctx, layer):
    weight, x = layer
    for arguments in (dict(bits=1), dict(bits=9), dict(refine=-1), dict(rho_e8p=float("nan"))):
        with pytest.raises(glq.ArgumentError):
            glq.Quantizer(ctx, 128, 48, **{"bits": 2, **arguments})
    with pytest.raises(glq.ArgumentError):
        glq.Quantizer(ctx, 0, 48)
    quantizer = glq.Quantizer(ctx, 128, 48)
    with pytest.raises(glq.ArgumentError, match="no finished run|finished"):
        quantizer.report()
    bad = x.copy()
    bad[3, 4] = np.inf
    before = quantizer.hessian
    with pytest.raises(glq.ArgumentError) as caught:
        quantizer.add_batch(bad)
    assert caught.value.status_name == "GLQ_E_NOT_FINITE" and np.array_equal(quantizer.hessian, before)
    with pytest.raises(glq.ArgumentError, match="127"):
        quantizer.add_batch(x[:, :127])
    with pytest.raises(glq.ArgumentError):
        quantizer.run(weight.T)
    with pytest.raises(glq.ArgumentError):
        quantizer.hessian = np.eye(127)
    with pytest.raises(glq.ArgumentError, match="bias"):
        quantizer.run(weight, np.zeros(47, np.float32))
    assert glq.Quantizer.memory(4096, 4096) > 4096 * 4096 * 8
