"""Every mistake gets the right exception, with a message that says what is wrong; nothing crashes."""

from __future__ import annotations

import numpy as np
import pytest

import glq
import golden
from glq._cli import random_weight


@pytest.fixture(scope="module")
def weight(ctx):
    return random_weight(ctx, 40, 100, 3)


def fails(kind: type[glq.GlqError], status: str, *texts: str):
    """Expects an error of this class and status whose message has all texts."""

    class Expect:
        def __enter__(self):
            return self

        def __exit__(self, what, error, _):
            assert what is not None, f"no {status}"
            assert isinstance(error, glq.GlqError), repr(error)
            assert error.status_name == status and isinstance(error, kind), repr(error)
            for text in texts:
                assert text in error.message, error.message
            assert error.status_name in str(error)
            return True

    return Expect()


def test_wrong_shape(weight):
    with fails(glq.ArgumentError, "GLQ_E_SHAPE", "99", "100") as _:
        glq.fused_linear_e8p(weight, np.zeros((2, 99), np.float32))
    with fails(glq.ArgumentError, "GLQ_E_SHAPE", "41", "40"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float32), np.zeros((2, 41), np.float32))
    with fails(glq.ArgumentError, "GLQ_E_SHAPE"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float32), np.zeros((3, 40), np.float32))
    with fails(glq.ArgumentError, "GLQ_E_SHAPE", "5 dimensions"):
        glq.fused_linear_e8p(weight, np.zeros((1, 1, 1, 2, 100), np.float32))


def test_wrong_dtype(weight):
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "x"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float64))
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "complex64"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.complex64))
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", ">f4"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), ">f4"))
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "'float8'"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float32), dtype="float8")
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "other size"):
        glq.view(np.zeros(4, np.float32), "bfloat16")
    with fails(glq.ArgumentError, "GLQ_E_DTYPE"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float32), dtype="int32")


def test_wrong_dtype_of_out(weight):
    x, padded = np.zeros((2, 100), np.float32), (2, weight.info.padded_in)
    for call in (lambda out: glq.rht_input(weight, x, out(padded)),
                 lambda out: glq.matmul_e8p(weight, np.zeros(padded, np.float32), out((2, weight.info.padded_out))),
                 lambda out: glq.rht_output(weight, np.zeros((2, weight.info.padded_out), np.float32), out((2, 40))),
                 lambda out: glq.decode_e8p(weight, out((weight.info.padded_out, weight.info.padded_in))),
                 lambda out: glq.dequantize(weight, out((40, 100))), lambda out: glq.fused_linear_e8p(weight, x, out((2, 40))),
                 lambda out: glq.fused_linear_e8p(weight, x, out((2, 40)), dtype="float32")):
        with fails(glq.ArgumentError, "GLQ_E_DTYPE", "32"):
            call(lambda shape: np.zeros(shape, np.int32))
    half = np.zeros((2, 40), np.float16)
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "float16", "bfloat16"):
        glq.fused_linear_e8p(weight, x, half, dtype="bfloat16")
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "float16", "float32"):
        glq.fused_linear_e8p(weight, x, half, dtype="float32")
    with fails(glq.ArgumentError, "GLQ_E_DTYPE", "U16"):
        glq.fused_linear_e8p(weight, x, half.view(np.uint16))
    glq.fused_linear_e8p(weight, x, half.view(np.uint16), dtype="bfloat16")


def test_wrong_layout(weight):
    with fails(glq.ArgumentError, "GLQ_E_LAYOUT"):
        glq.fused_linear_e8p(weight, np.zeros((100, 2), np.float32).T)
    packed = np.zeros(8, np.dtype([("pad", np.uint8), ("value", np.float32)]))
    with fails(glq.ArgumentError, "GLQ_E_LAYOUT", "no multiples"):
        glq.view(packed["value"])


def test_rows_that_share_memory(ctx, weight):
    row = np.zeros((7, 100), np.float32)[0]
    x = np.zeros((2, 3, 100), np.float32)
    shared = np.broadcast_to(row, (2, 3, 100))
    buffer = np.full(240, 7, np.float32)
    out = np.lib.stride_tricks.as_strided(buffer, (2, 3, 40), (0, 0, 4))
    for call in (lambda: glq.fused_linear_e8p(weight, shared), lambda: glq.fused_linear_e8p_group([weight], shared),
                 lambda: glq.rht_input(weight, shared), lambda: glq.fused_linear_e8p(weight, x, out),
                 lambda: glq.fused_linear_e8p_group([weight], x, [out]),
                 lambda: glq.Quantizer(ctx, 100, 40).add_batch(shared)):
        with fails(glq.ArgumentError, "GLQ_E_LAYOUT"):
            call()
    assert (buffer == 7).all()
    part = np.broadcast_to(row, (3, 100))
    for shape in ((1, 3, 100), (3, 1, 100)):
        with fails(glq.ArgumentError, "GLQ_E_LAYOUT"):
            glq.fused_linear_e8p(weight, np.broadcast_to(part[0], shape))
    single = np.broadcast_to(row, (1, 1, 100))  # the stride of one row is ignored
    assert glq.fused_linear_e8p(weight, single).shape == (1, 1, 40)


def test_misaligned(weight):
    raw = np.zeros(401, np.uint8)[1:].view(np.float32).reshape(1, 100)
    assert raw.ctypes.data % 4
    with fails(glq.ArgumentError, "GLQ_E_ALIGNMENT", "x"):
        glq.fused_linear_e8p(weight, raw)


def test_overlap_and_read_only(weight):
    buffer = np.zeros((2, 140), np.float32)
    glq.fused_linear_e8p(weight, buffer[:, :100], buffer[:, 100:])  # columns of one matrix do not overlap
    with fails(glq.ArgumentError, "GLQ_E_ALIASING"):
        glq.fused_linear_e8p(weight, buffer[:, :100], buffer[:, 60:100])
    out = np.zeros((2, 40), np.float32)
    out.flags.writeable = False
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "READ_ONLY"):
        glq.fused_linear_e8p(weight, np.zeros((2, 100), np.float32), out)


def test_closed_objects(ctx):
    weight = random_weight(ctx, 40, 100, 3)
    weight.close()
    x = np.zeros((1, 100), np.float32)
    with fails(glq.ArgumentError, "GLQ_E_BAD_HANDLE", "closed"):
        glq.fused_linear_e8p(weight, x)
    quantizer = glq.Quantizer(ctx, 64, 16)
    quantizer.close()
    with fails(glq.ArgumentError, "GLQ_E_BAD_HANDLE", "closed"):
        quantizer.add_batch(np.zeros((1, 64), np.float32))
    closed = glq.Context()
    closed.close()
    with fails(glq.ArgumentError, "GLQ_E_BAD_HANDLE", "closed"):
        glq.Tensor.empty(closed, (3,), "float32")


def test_wrong_kind_of_tensor(ctx, weight):
    dense = glq.Tensor.copy_of(ctx, np.zeros((40, 100), np.float32))
    with pytest.raises(glq.GlqError):
        glq.fused_linear_e8p(dense, np.zeros((1, 100), np.float32))
    with pytest.raises(glq.UnsupportedError):
        dense.info
    with pytest.raises(glq.UnsupportedError):
        weight.numpy()
    with pytest.raises(TypeError, match="ndarray, not a glq.Tensor"):
        glq.fused_linear_e8p(np.zeros(3), np.zeros((1, 100), np.float32))


def test_weight_parts(ctx):
    part = golden.parts("bd_96x192/b3")
    indices, scales = [part["Qidxs_e8p"], part["Qidxs2_e81b"]], [1.0, 0.5]

    def make(**changes):
        arguments = dict(cum_inv_scale=scales, su=part["SU"], sv=part["SV"], out_features=96, in_features=192)
        arguments.update(changes)
        return glq.Tensor.e8p(ctx, arguments.pop("indices", indices), **arguments)

    make()
    with fails(glq.ArgumentError, "GLQ_E_SHAPE", "96"):
        make(su=part["SU"][:-1])
    with fails(glq.ArgumentError, "GLQ_E_DTYPE"):
        make(sv=part["SV"].astype(np.float32))
    with fails(glq.ArgumentError, "GLQ_E_SHAPE"):
        make(indices=[part["Qidxs_e8p"], part["Qidxs2_e81b"][:90]])
    with fails(glq.ArgumentError, "GLQ_E_NOT_FINITE"):
        make(cum_inv_scale=[1.0, float("nan")])
    with fails(glq.ArgumentError, "GLQ_E_NOT_FINITE"):
        make(weight_scale=float("inf"))
    with pytest.raises(glq.ArgumentError):
        make(cum_inv_scale=[1.0, 0.0])
    with pytest.raises(glq.ArgumentError):
        make(in_blocks=[128, 32])
    with pytest.raises(glq.ArgumentError):
        make(out_features=97)
    with fails(glq.ArgumentError, "GLQ_E_SHAPE", "bias"):
        make(bias=np.zeros(95, np.float16))
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "cum_inv_scale is missing"):
        make(cum_inv_scale=None)
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "2, 1 and 2 stages"):
        make(cum_inv_scale=[1.0])
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "'e9'"):
        make(codebooks=["e8p", "e9"])
    with pytest.raises(glq.ArgumentError):
        make(indices=[])


def test_contexts(ctx):
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "tpu"):
        glq.Context("tpu")
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "0"):
        glq.Context(threads=0)
    if not glq.cuda_info().usable:
        with pytest.raises((glq.DeviceError, glq.UnsupportedError)) as caught:
            glq.Context("cuda:0")
        assert caught.value.message
        assert glq.device_count("cuda") == 0 and glq.cuda_info().reason
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "exactly"):
        glq.fused_linear_e8p(random_weight(ctx, 16, 64, 2), np.zeros((1, 64), np.float32), math="exactly")
    with pytest.raises(glq.ArgumentError, match="(?i)stream"):
        glq.fused_linear_e8p(random_weight(ctx, 16, 64, 2), np.zeros((1, 64), np.float32), stream=1)


def test_text_that_C_would_cut(ctx, tmp_path):
    with glq.checkpoint.open(golden.FOLDER / "ckpt_e8p_blockdiag") as file:
        name = file.layers[0]
        for call in (lambda name: file.view(name), lambda name: file.tensors[name], lambda name: file.layer(name),
                     lambda name: file.load(name, ctx)):
            for wrong in (name + "\0x", f"{name}.SU\0x", "\udc80"):
                with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "name"):
                    call(wrong)
    path = str(golden.FOLDER / "ckpt_e8p_blockdiag")
    for wrong in (path + "\0x", path.encode() + b"\0x"):
        with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "path", "NUL"):
            glq.checkpoint.open(wrong)
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "device", "NUL"):
        glq.Context("cpu\0x")
    with fails(glq.ArgumentError, "GLQ_E_INVALID_ARGUMENT", "cublaslt_library", "NUL"):
        glq.Context(cublaslt_library="x\0y")
    with glq.checkpoint.open(path.encode()) as file:
        assert str(file.path) == path and file.config
    for folder in (tmp_path / "\udcff", bytes(tmp_path / "b\udcfe")):  # names that are not UTF-8
        glq.checkpoint.save(folder, {"a": random_weight(ctx, 16, 64, 2)})
        with glq.checkpoint.open(folder) as file:
            assert file.layers == ("a",)


def test_integers_that_do_not_fit(ctx, weight):
    big = 1 << 70
    indices = [np.zeros((1, 1, 8, 4), np.int64)]
    with glq.checkpoint.open(golden.FOLDER / "ckpt_e8p_blockdiag") as file:
        for name, call in (
            ("shape", lambda: glq.Tensor.empty(ctx, (big,), "float32")),
            ("in_features", lambda: glq.Tensor.e8p(ctx, indices, in_features=big)),
            ("out_features", lambda: glq.Tensor.e8p(ctx, indices, out_features=big)),
            ("in_blocks", lambda: glq.Tensor.e8p(ctx, indices, in_blocks=[big])),
            ("nbytes", lambda: glq.Workspace(ctx, big)),
            ("nbytes", lambda: glq.Workspace(ctx, (1 << 63) - 1)),
            ("nbytes", lambda: glq.Workspace(ctx, -1)),
            ("max_tokens", lambda: glq.workspace_bytes(weight, big)),
            ("max_tokens", lambda: glq.workspace_bytes([weight], -big)),
            ("tokens", lambda: glq.plan(weight, big)),
            ("row_begin", lambda: glq.decode_e8p(weight, row_begin=big)),
            ("rows", lambda: glq.decode_e8p(weight, rows=big)),
            ("threads", lambda: glq.Context(threads=1 << 40)),
            ("stream", lambda: ctx.synchronize(big)),
            ("max_tokens", lambda: ctx.op_support("dequantize", max_tokens=big)),
            ("bits", lambda: ctx.op_support("dequantize", bits=1 << 40)),
            ("in_features", lambda: glq.Quantizer(ctx, big, 16)),
            ("out_features", lambda: glq.Quantizer.memory(64, big)),
            ("bits", lambda: glq.Quantizer(ctx, 64, 16, 1 << 40)),
            ("refine", lambda: glq.Quantizer(ctx, 64, 16, refine=big)),
            ("seed", lambda: glq.Quantizer(ctx, 64, 16, seed=-1)),
            ("in_features", lambda: file.load(file.layers[0], ctx, in_features=big)),
            ("out_features", lambda: file.load(file.layers[0], ctx, out_features=-big)),
        ):
            with fails(glq.ArgumentError, "GLQ_E_SHAPE" if name == "shape" else "GLQ_E_INVALID_ARGUMENT", name):
                call()
        with fails(glq.ArgumentError, "GLQ_E_SHAPE", "rows"):
            glq.decode_e8p(weight, rows=1 << 62)


def test_workspace_of_another_device(ctx, weight):
    scratch = glq.Workspace(ctx, 1 << 16)
    scratch.device = "cuda:3"  # as one made there would say; the memory must not be looked at
    x = np.zeros((1, 100), np.float32)
    for call in (lambda: glq.fused_linear_e8p(weight, x, workspace=scratch),
                 lambda: glq.fused_linear_e8p_group([weight], x, workspace=scratch),
                 lambda: glq.dequantize(weight, workspace=scratch)):
        with fails(glq.ArgumentError, "GLQ_E_DEVICE_MISMATCH", "workspace is on cuda:3", "cpu"):
            call()


def test_stream_of_another_device(ctx, weight):
    class Stream:
        cuda_stream = 0
        device_index = 3

    x = np.zeros((1, 100), np.float32)
    for call in (lambda: glq.fused_linear_e8p(weight, x, stream=Stream()), lambda: ctx.synchronize(Stream()),
                 lambda: glq.Tensor.copy_of(ctx, x, stream=Stream()), lambda: weight.export(stream=Stream()),
                 lambda: glq.unpack(ctx, np.zeros((1, 1, 8, 4), np.int64), stream=Stream()),
                 lambda: glq.Quantizer(ctx, 64, 16).run(np.zeros((16, 64), np.float32), stream=Stream())):
        with fails(glq.ArgumentError, "GLQ_E_DEVICE_MISMATCH", "stream is on cuda:3", "cpu"):
            call()


def test_weight_of_another_context():
    first, second = glq.Context(threads=1), glq.Context(threads=1)
    weights = [random_weight(first, 16, 64, 2), random_weight(second, 16, 64, 2)]
    with fails(glq.ArgumentError, "GLQ_E_DEVICE_MISMATCH"):
        glq.fused_linear_e8p_group(weights, np.zeros((1, 64), np.float32))


def test_an_unknown_status_is_treated_by_its_group():
    from glq._errors import error_class

    assert error_class(199) is glq.ArgumentError and error_class(299) is glq.UnsupportedError
    assert error_class(399) is glq.ResourceError and error_class(499) is glq.DeviceError
    assert error_class(599) is glq.InternalError and error_class(999) is glq.GlqError


def test_exceptions_carry_everything(weight):
    with pytest.raises(glq.GlqError) as caught:
        glq.fused_linear_e8p(weight, np.zeros((2, 99), np.float32))
    error = caught.value
    assert (error.status, error.status_name, error.function) == (101, "GLQ_E_SHAPE", "glq_fused_linear_e8p")
    assert error.native_domain is None and isinstance(error, ValueError)
    assert str(error) == f"glq_fused_linear_e8p: {error.message} [GLQ_E_SHAPE]"
