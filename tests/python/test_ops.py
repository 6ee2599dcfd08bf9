"""The operations: kinds of arrays in and out, shapes, groups, workspaces."""

from __future__ import annotations

import array

import numpy as np
import pytest

import glq
from glq._cli import random_weight


@pytest.fixture(scope="module")
def weight(ctx):
    return random_weight(ctx, 40, 100, 3)


def test_shapes(weight, rng):
    x = rng.standard_normal((2, 3, 5, 100), np.float32)
    y = glq.fused_linear_e8p(weight, x)
    assert y.shape == (2, 3, 5, 40) and y.dtype == np.float32
    flat = glq.fused_linear_e8p(weight, x.reshape(30, 100))
    assert y.tobytes() == flat.tobytes()
    assert glq.fused_linear_e8p(weight, x[1, 2, 4]).tobytes() == flat[-1].tobytes()
    assert glq.fused_linear_e8p(weight, x[:, :0]).shape == (2, 0, 5, 40)
    assert glq.fused_linear_e8p(weight, x[0, 0, :0]).shape == (0, 40)


def test_strided_rows(weight, rng):
    wide = rng.standard_normal((7, 128), np.float32)
    y = glq.fused_linear_e8p(weight, wide[:, 10:110])
    assert y.tobytes() == glq.fused_linear_e8p(weight, wide[:, 10:110].copy()).tobytes()
    every_other = glq.fused_linear_e8p(weight, wide[::2, 10:110])
    assert every_other.tobytes() == y[::2].tobytes()
    out = np.zeros((7, 64), np.float32)
    assert glq.fused_linear_e8p(weight, wide[:, 10:110], out[:, 3:43]) is not None
    assert out[:, 3:43].tobytes() == y.tobytes()
    assert not out[:, :3].any() and not out[:, 43:].any()


def test_leading_dimensions_that_cannot_be_merged(weight, rng):
    x = rng.standard_normal((4, 6, 100), np.float32)
    with pytest.raises(glq.ArgumentError, match="cannot be merged into rows") as caught:
        glq.fused_linear_e8p(weight, x[:, ::2].transpose(1, 0, 2))
    assert caught.value.status_name == "GLQ_E_LAYOUT"


def test_dtypes(weight, rng):
    x = rng.standard_normal((4, 100)).astype(np.float16)
    exact = glq.fused_linear_e8p(weight, x, dtype="float32")
    assert glq.fused_linear_e8p(weight, x).tobytes() == exact.astype(np.float16).tobytes()
    assert glq.fused_linear_e8p(weight, x, dtype=np.float32).tobytes() == exact.tobytes()
    out = np.empty((4, 40), np.float16)
    assert glq.fused_linear_e8p(weight, x, out) is out
    assert out.tobytes() == exact.astype(np.float16).tobytes()


def test_bfloat16_as_uint16(weight, rng):
    bits = (rng.standard_normal((4, 100), np.float32).view(np.uint32) >> 16).astype(np.uint16)
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    exact = glq.fused_linear_e8p(weight, wide)
    assert glq.fused_linear_e8p(weight, bits, x_dtype="bfloat16", dtype="float32").tobytes() == exact.tobytes()
    y = glq.fused_linear_e8p(weight, glq.view(bits, "bfloat16"))
    assert y.dtype == np.uint16
    rounded = exact.view(np.uint32)
    assert np.array_equal(y, ((rounded + 0x7FFF + (rounded >> 16 & 1)) >> 16).astype(np.uint16))
    out = np.empty((4, 40), np.uint16)
    glq.fused_linear_e8p(weight, glq.view(bits, "bfloat16"), out)
    assert out.tobytes() == y.tobytes()
    with pytest.raises(glq.ArgumentError, match="(?i)dtype|type"):
        glq.fused_linear_e8p(weight, bits)


def test_bfloat16_of_ml_dtypes(weight, rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal((4, 100)).astype(ml_dtypes.bfloat16)
    y = glq.fused_linear_e8p(weight, x)
    assert y.dtype == ml_dtypes.bfloat16
    assert y.tobytes() == glq.fused_linear_e8p(weight, x.view(np.uint16), x_dtype="bfloat16").tobytes()


def test_other_kinds_of_arrays(ctx, weight, rng):
    x = rng.standard_normal((2, 100), np.float32)
    y = glq.fused_linear_e8p(weight, x)
    assert glq.fused_linear_e8p(weight, memoryview(x)).tobytes() == y.tobytes()
    assert glq.fused_linear_e8p(weight, array.array("f", x[1])).tobytes() == y[1].tobytes()
    tensor = glq.Tensor.copy_of(ctx, x)
    result = glq.fused_linear_e8p(weight, tensor)
    assert isinstance(result, glq.Tensor) and result.shape == (2, 40)
    assert result.numpy().tobytes() == y.tobytes()
    with pytest.raises(TypeError, match="list is not an array"):
        glq.fused_linear_e8p(weight, [1.0] * 100)


def test_group(ctx, rng):
    weights = [random_weight(ctx, rows, 100, bits, seed) for seed, (rows, bits) in enumerate([(40, 2), (24, 5), (7, 8)])]
    x = rng.standard_normal((3, 100)).astype(np.float16)
    together = glq.fused_linear_e8p_group(weights, x, dtype="float32")
    for weight, y in zip(weights, together):
        assert y.tobytes() == glq.fused_linear_e8p(weight, x, dtype="float32").tobytes()
    matrix = np.zeros((3, 80), np.float32)
    glq.fused_linear_e8p_group(weights, x, [matrix[:, :40], matrix[:, 40:64], matrix[:, 64:71]])
    assert np.array_equal(matrix[:, :71], np.concatenate(together, axis=1))
    first, nothing = glq.fused_linear_e8p_group([weights[0], None], x, dtype="float32")
    assert nothing is None and first.tobytes() == together[0].tobytes()
    with pytest.raises(glq.ArgumentError, match="names no weight"):
        glq.fused_linear_e8p_group([], x)
    with pytest.raises(glq.ArgumentError, match="1 arrays for 3 weights"):
        glq.fused_linear_e8p_group(weights, x, [matrix])


def test_workspace(ctx, weight, rng):
    x = rng.standard_normal((9, 100), np.float32)
    need = glq.workspace_bytes(weight, 9)
    assert need > 0 and glq.workspace_bytes(weight, 1) <= need
    scratch = glq.Workspace(ctx, need)
    assert scratch.data % 256 == 0
    y = glq.fused_linear_e8p(weight, x, workspace=scratch)
    assert y.tobytes() == glq.fused_linear_e8p(weight, x).tobytes()
    with pytest.raises(glq.ResourceError, match=str(need)) as caught:
        glq.fused_linear_e8p(weight, x, workspace=glq.Workspace(ctx, need - 1))
    assert caught.value.status_name == "GLQ_E_WORKSPACE_TOO_SMALL"
    assert glq.workspace_bytes([weight, weight], 9) > 0


def test_not_finite_rows_stay_alone(weight, rng):
    x = rng.standard_normal((3, 100), np.float32)
    clean = glq.fused_linear_e8p(weight, x)
    x[1, 5] = np.nan
    y = glq.fused_linear_e8p(weight, x)
    assert np.isnan(y[1]).all() and (y[1].view(np.uint32) == 0x7FC00000).all()
    assert y[0].tobytes() == clean[0].tobytes() and y[2].tobytes() == clean[2].tobytes()


def test_plan_and_support(ctx, weight):
    text = glq.plan(weight, 8)
    assert ":" in text and "\n" in text
    support = ctx.op_support("fused_linear_e8p", in_features=100, out_features=40, bits=3, max_tokens=8)
    assert support.supported and support.path and support.workspace_bytes >= glq.workspace_bytes(weight, 8)
    refused = ctx.op_support("fused_linear_e8p", in_features=100, out_features=40, bits=3, x_dtype="float64")
    assert not refused.supported and refused.reason
    with pytest.raises(glq.ArgumentError, match="9, expected 2 to 8"):
        ctx.op_support("fused_linear_e8p", in_features=100, out_features=40, bits=9)
    with pytest.raises(glq.ArgumentError, match="'matmul' is none of"):
        ctx.op_support("matmul")


def test_gemv_bf16(ctx, rng):
    plain = (rng.standard_normal((33, 77), np.float32).view(np.uint32) >> 16).astype(np.uint16)
    x = (rng.standard_normal((5, 77), np.float32).view(np.uint32) >> 16).astype(np.uint16)

    def wide(bits):
        return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)

    weight = glq.Tensor.copy_of(ctx, plain, dtype="bfloat16")
    assert weight.dtype is glq.DType.BFLOAT16 and weight.numpy().tobytes() == plain.tobytes()
    y = glq.gemv_bf16(weight, x, x_dtype="bfloat16", dtype="float32")
    np.testing.assert_allclose(y, wide(x) @ wide(plain).T, rtol=1e-5, atol=1e-4)
    assert glq.gemv_bf16(weight, x[2], x_dtype="bfloat16", dtype="float32").tobytes() == y[2].tobytes()
    with pytest.raises(glq.ArgumentError, match="16"):
        glq.gemv_bf16(weight, np.zeros((17, 77), np.uint16), x_dtype="bfloat16")


def test_threads_do_not_change_a_byte(rng):
    x = rng.standard_normal((5, 192), np.float32)
    results = set()
    for threads in (1, 2, 3):
        context = glq.Context(threads=threads)
        assert context.info().threads == threads
        results.add(glq.fused_linear_e8p(random_weight(context, 96, 192, 4), x).tobytes())
    assert len(results) == 1
