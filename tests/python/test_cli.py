"""The command line on a small made-up model: quantize, interrupt, resume, inspect; broken input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import glq
import golden
from glq import convert
from glq.__main__ import main


def bfloat16(array):
    return glq.view((array.view(np.uint32) >> 16).astype(np.uint16), "bfloat16")


@pytest.fixture
def model(tmp_path, rng):
    """Two blocks, an embedding, a tensor of a type that only safetensors knows, a tokenizer."""
    folder = tmp_path / "model"
    folder.mkdir()
    tensors = {"embed_tokens.weight": bfloat16(rng.standard_normal((50, 96), np.float32)),
               "final.flag": convert.StoredTensor("BOOL", (3,), np.array([1, 0, 1], np.uint8)),
               "final.scale": convert.StoredTensor("F8_E4M3", (4,), np.arange(4, dtype=np.uint8))}
    for block in range(2):
        prefix = f"layers.{block}"
        tensors[f"{prefix}.norm.weight"] = np.ones(96, np.float32)
        tensors[f"{prefix}.up.weight"] = rng.standard_normal((160, 96), np.float32)
        tensors[f"{prefix}.up.bias"] = rng.standard_normal(160, np.float32)
        tensors[f"{prefix}.down.weight"] = bfloat16(rng.standard_normal((96, 160), np.float32))
    glq.checkpoint.write_tensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({"model_type": "made-up", "hidden_size": 96}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    return folder


@pytest.fixture
def calibration(tmp_path, rng):
    path = tmp_path / "statistics.npz"
    x = rng.standard_normal((300, 96), np.float32)
    np.savez(path, **{"layers.0.up.activations.0": x[:100], "layers.0.up.activations.1": x[100:],
                      "layers.1.up.hessian": x.T.astype(np.float64) @ x / 300})
    return path


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_round_trip(model, calibration, tmp_path, capsys, ctx):
    output = tmp_path / "out"
    command = ["quantize", str(model), str(output), "--bits", "3", "--layer-bits", "*.down=5", "--refine", "1",
               "--calibration", str(calibration), "--threads", "2"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "4 layers (2 of 4 with statistics)" in captured.out
    assert [line.split()[1] for line in captured.err.splitlines()] == \
        ["layers.0.down", "layers.0.up", "layers.1.down", "layers.1.up"]
    assert sorted(files(output)) == ["config.json", "model.safetensors", "quantize_config.json", "tokenizer.json"]
    config = json.loads((output / "config.json").read_text())
    assert config["model_type"] == "made-up" and config["quantization_config"]["layer_bpw"]["layers.0.down"] == 5
    summary = json.loads((output / "quantize_config.json").read_text())
    assert summary["n_quantized_layers"] == 4 and summary["nsamples"] == 300 and summary["source_model"] == "model"
    assert 12 < summary["avg_sqnr_db"] < 25
    before = convert.stored_tensors(model / "model.safetensors")
    after = convert.stored_tensors(output / "model.safetensors")
    for name in ("embed_tokens.weight", "final.flag", "final.scale", "layers.0.norm.weight"):
        assert (after[name].dtype, after[name].shape) == (before[name].dtype, before[name].shape)
        assert after[name].data.tobytes() == before[name].data.tobytes()
    assert not {"layers.0.up.weight", "layers.0.down.weight"} & set(after)
    assert after["layers.0.up.bias"].data.tobytes() == before["layers.0.up.bias"].data.tobytes()
    with glq.checkpoint.open(output) as file, glq.checkpoint.open(model) as original:
        weight = file.load("layers.1.up", ctx)
        assert weight.shape == (160, 96) and weight.bits == 3
        w = original.tensors["layers.1.up.weight"]
        assert np.linalg.norm(glq.dequantize(weight) - w) < 0.3 * np.linalg.norm(w)
    assert main(["inspect", str(output), "--check"]) == 0
    report = capsys.readouterr().out
    assert re.search(r"^layers\.0\.down +5 +96 x 160 +96 x 192 ", report, re.M) and report.rstrip().endswith("ok")
    assert "160 x 96" in report and "4 E8P layers" in report


def test_a_calibration_file_of_safetensors_and_patterns(model, tmp_path, rng, capsys):
    x = rng.standard_normal((64, 160)).astype(np.float16)
    path = tmp_path / "statistics.safetensors"
    glq.checkpoint.write_tensors(path, {"layers.0.down.activations": x})
    output = tmp_path / "out"
    assert main(["quantize", str(model / "model.safetensors"), str(output), "--include", "*.down", "--exclude",
                 "layers.1.*", "--calibration", str(path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    with glq.checkpoint.open(output) as file:
        assert file.layers == ("layers.0.down",)
    assert sorted(files(output)) == ["config.json", "model.safetensors", "quantize_config.json"]


@pytest.mark.parametrize("stop_layer, stop_phase", [(0, "hessian"), (1, "ldlq"), (2, "scales"), (3, "done")])
def test_interrupted_and_resumed_gives_the_same_bytes(model, calibration, tmp_path, stop_layer, stop_phase):
    options = convert.Options(bits=4, scale_search=True, refine=1)
    convert.quantize_model(model, tmp_path / "straight", options, calibration=calibration)

    def stop(step: convert.Step) -> None:
        if step.index == stop_layer and step.phase == stop_phase:
            raise KeyboardInterrupt

    output = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        convert.quantize_model(model, output, options, calibration=calibration, progress=stop)
    assert (output / ".glq-quantize").is_dir() and not (output / "model.safetensors").exists()
    seen: list[convert.Step] = []
    summary = convert.quantize_model(model, output, options, calibration=calibration, progress=seen.append)
    assert summary.calibrated == 2 and len(summary.layers) == 4
    worked = {step.index for step in seen if step.report is None}
    assert worked == set(range(stop_layer + (stop_phase == "done"), 4))
    straight, resumed = files(tmp_path / "straight"), files(output)
    assert set(straight) == set(resumed)
    assert straight["model.safetensors"] == resumed["model.safetensors"]
    assert straight["config.json"] == resumed["config.json"]


def test_signals(model, tmp_path, environment, rng):
    big = tmp_path / "big.safetensors"
    glq.checkpoint.write_tensors(big, {f"l{index}.weight": rng.standard_normal((768, 768), np.float32)
                                       for index in range(12)})
    command = [sys.executable, "-B", "-m", "glq", "quantize", str(big), str(tmp_path / "out"), "--threads", "1",
               "--refine", "2"]
    for name in ("SIGINT", "SIGTERM"):
        # A parent that ignores SIGINT (a job in the background of a script) would hand that down.
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        assert process.stderr.readline().startswith("[1/12]")  # it is at work now
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "the same command goes on from here" in errors and "Traceback" not in errors
    assert main([*command[4:5], str(big), str(tmp_path / "out"), "--threads", "2", "--refine", "2", "--quiet"]) == 0
    with glq.checkpoint.open(tmp_path / "out") as file:
        assert len(file.layers) == 12


def one_line(capsys, *texts: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1, captured
    for text in texts:
        assert text in captured.err, captured.err


def test_broken_input(model, tmp_path, capsys):
    good = (model / "model.safetensors").read_bytes()
    bad = tmp_path / "bad.safetensors"
    for data in (good[:-1], b"", b"{}" * 20, good[:100]):
        bad.write_bytes(data)
        for command in (["quantize", str(bad), str(tmp_path / "out"), "--quiet"], ["inspect", str(bad)]):
            assert main(command) == 2
            one_line(capsys, "bad.safetensors", "GLQ_E_BAD_FILE")
    assert not (tmp_path / "out").exists()
    assert main(["quantize", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    one_line(capsys, "none")
    statistics = tmp_path / "bad.npz"
    statistics.write_bytes(b"PK\x03\x04 no archive")
    assert main(["quantize", str(model), str(tmp_path / "out"), "--calibration", str(statistics), "--quiet"]) == 2
    one_line(capsys, "bad.npz")
    assert main(["quantize", str(golden.FOLDER / "ckpt_e8p_blockdiag"), str(tmp_path / "out")]) == 2
    one_line(capsys, "quantized already")
    assert main(["quantize", str(model), str(tmp_path / "out"), "--include", "nothing*"]) == 2
    one_line(capsys, "no layer")


def test_other_options_do_not_mix(model, tmp_path, capsys):
    def stop(step: convert.Step) -> None:
        if step.index == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert.quantize_model(model, tmp_path / "out", progress=stop)
    assert main(["quantize", str(model), str(tmp_path / "out"), "--bits", "2", "--quiet"]) == 2
    one_line(capsys, "unfinished work", ".glq-quantize")
    assert main(["quantize", str(model), str(tmp_path / "out"), "--quiet"]) == 0


def test_not_finite_weights_are_named(tmp_path, capsys):
    weight = np.ones((32, 64), np.float32)
    weight[3, 5] = np.nan
    glq.checkpoint.write_tensors(tmp_path / "m.safetensors", {"a.weight": weight})
    assert main(["quantize", str(tmp_path / "m.safetensors"), str(tmp_path / "out"), "--quiet"]) == 2
    one_line(capsys, "GLQ_E_NOT_FINITE")


def test_inspect_finds_what_is_wrong(tmp_path, capsys, ctx):
    with glq.checkpoint.open(golden.FOLDER / "ckpt_e8p_blockdiag") as file:
        glq.checkpoint.save(tmp_path, {name: file.load(name, ctx) for name in file.layers})
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"]["layer_bpw"]["model.layers.0.mlp.up_proj"] = 7
    config["quantization_config"]["layer_bpw"]["gone"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["inspect", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "wrong: model.layers.0.mlp.up_proj: config.json says 7 bits, the tensors say 2" in text
    assert "wrong: gone: in config.json" in text


def test_info_and_bench(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert glq.library_path() in text and "CUDA" in text and "fused_linear_e8p" in text
    assert main(["bench", "--size", "64x128", "--bits", "2,5", "--tokens", "1,20", "--seconds", "0.001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == ["weight", "e8p 2 bits", "e8p 5 bits", "bfloat16"]
    assert lines[-1].rstrip().endswith("-")


@pytest.mark.parametrize("arguments", [["quantize", "a", "b", "--bits", "9"], ["bench", "--tokens", "x"], [],
                                       ["quantize", "a", "b", "--layer-bits", "x"]])
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hello.py", "quantize_and_run.py", "load_checkpoint.py"])
def test_examples(name, environment):
    path = ROOT / "examples" / "python" / name
    assert len(path.read_text().splitlines()) < 100
    result = subprocess.run([sys.executable, "-B", str(path)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout and os.path.basename(result.stderr) == ""
