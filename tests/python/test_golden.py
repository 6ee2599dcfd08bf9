"""The golden data through Python: the bytes that the exact contract prescribes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import glq
import golden


def test_codebooks():
    table = glq.codebook("e8p")
    assert table.dtype == np.int8 and table.shape == (65536, 8)
    assert hashlib.sha256(table.tobytes()).hexdigest() == \
        "ea3883a85a627590ca74626320a2a691943386a8c89ac72cdb6388bfe7da5cc0"
    assert glq.codebook("e81b").tobytes() == golden.load("codebook/e81b_times2").tobytes()


@pytest.mark.parametrize("book, codes, packed", [
    ("e8p", "pack/e8p_codes", "pack/e8p_packed"), ("e81b", "pack/e81b_codes", "pack/e81b_packed"),
])
def test_packing(ctx, book, codes, packed):
    loose, tight = golden.load(codes), golden.load(packed)
    assert glq.pack(ctx, loose, book).tobytes() == tight.tobytes()
    assert glq.unpack(ctx, tight, book).tobytes() == loose.tobytes()


@pytest.mark.parametrize("layer", golden.LAYERS)
@pytest.mark.parametrize("dtype, suffix", [("float32", "f32"), ("float16", "f16"), ("bfloat16", "bf16")])
def test_fused_linear(ctx, make, layer, dtype, suffix):
    weight = make(ctx, layer)
    x = golden.source(layer, "x")
    y = glq.fused_linear_e8p(weight, x, dtype=dtype)
    expected = golden.load(f"{layer}/y_exact_{suffix}")
    assert y.dtype == expected.dtype and y.shape == expected.shape
    assert y.tobytes() == expected.tobytes()
    for row in range(len(x)):  # the same bytes one by one
        assert glq.fused_linear_e8p(weight, x[row], dtype=dtype).tobytes() == expected[row].tobytes()


def test_bias(ctx, make):
    weight = make(ctx, "bd_100x200/b4", with_bias=True)
    y = glq.fused_linear_e8p(weight, golden.source("bd_100x200/b4", "x"), dtype="float32")
    assert y.tobytes() == golden.load("bd_100x200/b4/y_exact_bias_f32").tobytes()


@pytest.mark.parametrize("layer", golden.LAYERS)
def test_pieces_equal_the_whole(ctx, make, layer):
    weight = make(ctx, layer)
    v = glq.rht_input(weight, golden.source(layer, "x"))
    z = glq.matmul_e8p(weight, v)
    y = glq.rht_output(weight, z)
    assert v.shape == (3, weight.info.padded_in) and z.shape == (3, weight.info.padded_out)
    assert y.tobytes() == golden.load(f"{layer}/y_exact_f32").tobytes()


@pytest.mark.parametrize("layer", golden.LAYERS)
def test_export_is_bit_for_bit(ctx, make, layer):
    part = golden.parts(layer)
    exported = make(ctx, layer, with_bias="bias" in part).export()
    assert set(exported) == set(part)
    for key, array in part.items():
        assert exported[key].tobytes() == array.tobytes(), key
        assert exported[key].dtype == array.dtype, key


@pytest.mark.parametrize("layer", [layer for layer in golden.LAYERS if f"{layer}/W_hat" in golden.ARRAYS])
def test_dequantize(ctx, make, layer):
    expected = golden.load(f"{layer}/W_hat")
    w = glq.dequantize(make(ctx, layer))
    assert np.linalg.norm(w - expected) / np.linalg.norm(expected) < 1e-5


def test_decode(ctx, make):
    layer = "bd_96x192/b3"
    weight = make(ctx, layer)
    books = [glq.codebook("e8p").astype(np.float64) / 4, glq.codebook("e81b").astype(np.float64) / 2]
    expected = sum(scale * book[golden.load(f"{layer}/code{stage}")].reshape(96, 192)
                   for stage, (scale, book) in enumerate(zip(weight.info.cum_inv_scale, books)))
    decoded = glq.decode_e8p(weight)
    np.testing.assert_allclose(decoded, weight.info.weight_scale * expected, rtol=1e-6, atol=1e-7)
    assert glq.decode_e8p(weight, row_begin=5, rows=7).tobytes() == decoded[5:12].tobytes()


@pytest.mark.parametrize("name", ["ckpt_e8p_blockdiag", "ckpt_e8p_pow2_legacy"])
def test_checkpoints(ctx, name):
    with glq.checkpoint.open(golden.FOLDER / name) as file:
        assert file.layers
        assert {layer: file.layer(layer).bits for layer in file.layers} == \
            file.config["quantization_config"]["layer_bpw"]
        for layer in file.layers:
            x = golden.load(f"{name}/{layer}/x")
            y = golden.load(f"{name}/{layer}/y_ref_f64")
            weight = file.load(layer, ctx, out_features=y.shape[1], in_features=x.shape[1])
            error = np.linalg.norm(glq.fused_linear_e8p(weight, x, dtype="float32") - y) / np.linalg.norm(y)
            assert error < 1e-4, layer


@pytest.mark.parametrize("layer", [layer for layer in golden.LAYERS if not layer.startswith("pow2")])
def test_quantizer_gives_the_recorded_codes(ctx, layer):
    rows, columns = golden.sizes(layer)
    quantizer = glq.Quantizer(ctx, columns, rows, int(layer[-1]))
    quantizer.hessian = golden.source(layer, "H")
    weight = quantizer.run(golden.source(layer, "W"))
    exported, part = weight.export(), golden.parts(layer)
    for key in part:
        if key.startswith(("Qidxs", "SU", "SV")):
            assert exported[key].tobytes() == part[key].tobytes(), key
    assert abs(exported["Wscale"] - part["Wscale"][0]) <= 1e-6 * part["Wscale"][0]
