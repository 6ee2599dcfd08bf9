from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))

import glq  # noqa: E402
import golden  # noqa: E402


@pytest.fixture(scope="session")
def ctx() -> glq.Context:
    return glq.Context(threads=2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """For child processes: the package of this tree and the library in use."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "bindings" / "python" / "src"), "GLQ_LIBRARY": glq.library_path()}


@pytest.fixture(scope="session")
def make():
    """make(ctx, layer, with_bias=False): a golden weight."""

    def build(context: glq.Context, layer: str, with_bias: bool = False) -> glq.Tensor:
        part = golden.parts(layer)
        rows, columns = golden.sizes(layer)
        scales = [1.0] + [float(part[key][0]) for key in
                          ("inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3") if key in part]
        return glq.Tensor.e8p(
            context, golden.stages(part), cum_inv_scale=scales,
            weight_scale=float(part["Wscale"][0]), su=part["SU"], sv=part["SV"],
            bias=part["bias"] if with_bias else None, out_features=rows, in_features=columns,
        )

    return build
