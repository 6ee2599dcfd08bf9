"""Checkpoints: round trips bit for bit, what is written, broken files, lifetimes."""

from __future__ import annotations

import gc
import json
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import glq
import golden

NAMES = ["ckpt_e8p_blockdiag", "ckpt_e8p_pow2_legacy"]


def raw(path) -> tuple[dict, dict[str, tuple[str, list[int], bytes]]]:
    """Metadata and tensors of a safetensors file, read without the library."""
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    start = 8 + length
    return metadata, {
        name: (entry["dtype"], entry["shape"], data[start + entry["data_offsets"][0]:start + entry["data_offsets"][1]])
        for name, entry in header.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(ctx, tmp_path, name):
    source = golden.FOLDER / name
    with glq.checkpoint.open(source) as file:
        layers = {layer: file.load(layer, ctx) for layer in file.layers}
        glq.checkpoint.save(tmp_path, layers, {key: file.view(key) for key in file.dense}, file.config)
    assert raw(tmp_path / "model.safetensors")[1] == raw(source / "model.safetensors")[1]
    written = json.loads((tmp_path / "config.json").read_text())
    original = json.loads((source / "config.json").read_text())
    original["quantization_config"].setdefault("block_diagonal", True)  # older files do not say
    assert written == original


def test_true_sizes_and_bias_survive(ctx, tmp_path, make):
    bits = (np.linspace(-1, 1, 48, dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16)
    layers = {"a.b": make(ctx, "bd_100x200/b4", with_bias=True), "c": make(ctx, "bd_48x80/b3")}
    layers["d"] = glq.Quantizer(ctx, 80, 48, 2).run(np.ones((48, 80), np.float32), bits, bias_dtype="bfloat16")
    dense = {"e.weight": np.arange(6, dtype=np.float16).reshape(2, 3), "f": glq.view(bits, "bfloat16"),
             "g": np.float32(3), "h": np.zeros((0, 4), np.int32), "i": glq.Tensor.copy_of(ctx, np.arange(4.0))}
    dense["g"] = np.array(3, np.float32)
    path = tmp_path / "own.safetensors"
    glq.checkpoint.save(path, layers, dense)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["own.safetensors"]
    metadata, _ = raw(path)
    assert json.loads(metadata["glq.layers"]) == {"a.b": [100, 200], "c": [48, 80], "d": [48, 80]}
    with glq.checkpoint.open(path) as file:
        assert file.layers == ("a.b", "c", "d") and file.config == {}
        assert sorted(file.dense) == ["e.weight", "f", "g", "h", "i"]
        assert file.layer("a.b").has_bias and not file.layer("c").has_bias
        for name, weight in layers.items():
            loaded = file.load(name, ctx)
            assert loaded.shape == weight.shape and loaded.info.bias_dtype == weight.info.bias_dtype
            first, second = weight.export(), loaded.export()
            assert {key: part.tobytes() for key, part in first.items()} == \
                {key: part.tobytes() for key, part in second.items()}
        assert file.view("f").dtype is glq.DType.BFLOAT16 and file.tensors["f"].tobytes() == bits.tobytes()
        assert file.tensors["g"].shape == () and float(file.tensors["g"]) == 3
        assert file.tensors["h"].shape == (0, 4)
        assert "f" in file.tensors and "zzz" not in file.tensors and len(file.tensors) == len(list(file.tensors))
        assert not file.tensors["e.weight"].flags.writeable


def test_what_other_libraries_read(ctx, tmp_path, make):
    safetensors = pytest.importorskip("safetensors.numpy")
    glq.checkpoint.save(tmp_path, {"layer": make(ctx, "bd_96x192/b5")}, {"x": np.arange(3)}, {"model_type": "own"},
                        {"source_model": "mine"})
    tensors = safetensors.load_file(tmp_path / "model.safetensors")
    part = golden.parts("bd_96x192/b5")
    for key, array in part.items():
        assert tensors[f"layer.{key}"].tobytes() == array.tobytes()
    assert tensors["layer.Wscale"].shape == () and tensors["layer.inv_resid_scale2"].dtype == np.float32
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == {"model_type": "own", "quantization_config": {
        "quant_method": "glq", "codebook": "e8p", "block_diagonal": True, "codesz": 8, "bpw": 5,
        "layer_bpw": {"layer": 5}}}
    summary = json.loads((tmp_path / "quantize_config.json").read_text())
    assert summary["source_model"] == "mine" and summary["n_quantized_layers"] == 1 and summary["bpw"] == 5


def test_arrays_outlive_the_checkpoint(tmp_path, ctx, make):
    shutil.copytree(golden.FOLDER / NAMES[0], tmp_path / "copy")
    file = glq.checkpoint.open(tmp_path / "copy")
    name = file.dense[0]
    array, expected = file.tensors[name], file.tensors[name].tobytes()
    weight = file.load(file.layers[0], ctx)
    file.close()
    del file
    gc.collect()
    shutil.rmtree(tmp_path / "copy")
    assert array.tobytes() == expected
    assert np.isfinite(glq.dequantize(weight)).all()


def test_closing_while_a_layer_is_loaded(environment):
    code = f"""
import faulthandler, glq
faulthandler.enable()
context, file = glq.Context(threads=1), glq.checkpoint.open({str(golden.FOLDER / NAMES[0])!r})
name = file.layers[0]
expected = file.load(name, context).export()
class Stream:
    @property
    def cuda_stream(self):  # asked for in the middle of the call, as another thread would
        file.close()
        return 0
loaded = file.load(name, context, stream=Stream()).export()
assert all(loaded[key].tobytes() == part.tobytes() for key, part in expected.items())
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_misuse(ctx, tmp_path, make):
    weight = make(ctx, "bd_96x192/b2")
    with glq.checkpoint.open(golden.FOLDER / NAMES[0]) as file:
        with pytest.raises(glq.NotFoundError, match="nothing"):
            file.load("nothing", ctx)
        with pytest.raises(glq.NotFoundError):
            file.view("nothing.weight")
        with pytest.raises(LookupError):
            file.tensors["nothing"]
        with pytest.raises(glq.ArgumentError):
            file.load(file.layers[0], ctx, in_features=10**6)
    with pytest.raises(glq.ArgumentError, match="closed"):
        file.layers
    with pytest.raises(glq.ArgumentError, match="belongs to the layer 'a' already"):
        glq.checkpoint.save(tmp_path, {"a": weight}, {"a.weight": np.zeros(3)})
    with pytest.raises(glq.ArgumentError, match="dense tensor"):
        glq.checkpoint.save(tmp_path, {"a": glq.Tensor.empty(ctx, (3, 3), "float32")})
    assert not list(tmp_path.iterdir())


def broken(data: bytes):
    """Files that are wrong in one way each."""
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    body = data[8 + length:]

    def file(changed: dict) -> bytes:
        text = json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + body

    def changed(name: str, **entry) -> dict:
        return {**header, name: {**header[name], **entry}}

    codes = next(name for name in header if name.endswith("Qidxs_e8p"))
    prefix = codes.rpartition(".")[0]
    begin, end = header[codes]["data_offsets"]
    yield "empty", b""
    yield "four bytes", data[:4]
    yield "cut in the header", data[:8 + length // 2]
    yield "cut in the data", data[:-5]
    yield "huge header", struct.pack("<Q", 1 << 62) + data[8:]
    yield "not JSON", data[:8] + b"x" * length + body
    yield "a list", file([1, 2])  # type: ignore[arg-type]
    yield "offsets beyond the file", file(changed(codes, data_offsets=[begin, end + 10**9]))
    yield "negative offsets", file(changed(codes, data_offsets=[-8, end - begin - 8]))
    yield "backward offsets", file(changed(codes, data_offsets=[end, begin]))
    yield "size that does not fit", file(changed(codes, shape=[header[codes]["shape"][0] + 1, 3, 8, 4]))
    yield "negative extent", file(changed(codes, shape=[-1, -1, 8, 4]))
    yield "overflowing extents", file(changed(codes, shape=[1 << 40, 1 << 40, 8, 4]))
    yield "no SU", file({name: entry for name, entry in header.items() if name != prefix + ".SU"})
    yield "no Wscale", file({name: entry for name, entry in header.items() if name != prefix + ".Wscale"})


BROKEN = list(broken((golden.FOLDER / NAMES[0] / "model.safetensors").read_bytes()))


@pytest.mark.parametrize("data", [data for _, data in BROKEN], ids=[name.replace(" ", "_") for name, _ in BROKEN])
def test_broken_files(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(glq.BadFileError) as caught:
        glq.checkpoint.open(tmp_path)
    assert "model.safetensors" in caught.value.message


def test_missing_files(tmp_path):
    with pytest.raises((glq.ResourceError, glq.NotFoundError)):
        glq.checkpoint.open(tmp_path)
    with pytest.raises(glq.ResourceError) as caught:
        glq.checkpoint.open(tmp_path / "none.safetensors")
    assert caught.value.native_domain == "errno" and caught.value.native_code == 2


def test_the_same_tensors_give_the_same_bytes(tmp_path, environment):
    code = """
import glq, numpy as np, sys
glq.checkpoint.write_tensors(sys.argv[1], {"b": np.zeros(3, np.uint8), "a": np.ones((2, 2), np.float32),
                             "c": np.ones(3, bool)}, {"z": "1", "y": "2", "x": "3", "w": "4"})
"""
    for index in range(4):  # hashes of strings differ from process to process
        subprocess.run([sys.executable, "-c", code, str(tmp_path / f"{index}")], env=environment, check=True)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    metadata, tensors = raw(tmp_path / "0")
    assert metadata == {"z": "1", "y": "2", "x": "3", "w": "4"} and list(tensors) == ["a", "b", "c"]


def test_a_failed_write_leaves_nothing(ctx, tmp_path):
    with pytest.raises(glq.ArgumentError, match="complex128"):
        glq.checkpoint.save(tmp_path / "x.safetensors", {}, {"bad": np.zeros(3, np.complex128)})
    assert not list(tmp_path.iterdir())
