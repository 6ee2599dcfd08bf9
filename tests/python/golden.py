"""The golden arrays of tests/data/golden, by the names of its manifests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "data" / "golden"
_TYPES = {"bf16": "u2", **{f"{kind}{8 * size}": f"<{kind}{size}" for kind in "fiu" for size in (1, 2, 4, 8)}}


def _read(manifest: str) -> dict[str, tuple[str, int, int, str, tuple[int, ...]]]:
    found = {}
    for line in (FOLDER / manifest).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, file, offset, nbytes, dtype, shape = line.split("\t")
            found[name] = (file, int(offset), int(nbytes), dtype, tuple(map(int, shape.split("x"))))
    return found


ARRAYS = {**_read("manifest.tsv"), **_read("exact.tsv")}


def load(name: str) -> np.ndarray:
    """One array; bfloat16 as uint16."""
    file, offset, nbytes, dtype, shape = ARRAYS[name]
    with (FOLDER / file).open("rb") as handle:
        handle.seek(offset)
        return np.frombuffer(handle.read(nbytes), _TYPES[dtype]).reshape(shape)


def parts(prefix: str) -> dict[str, np.ndarray]:
    """The stored tensors of a layer such as ``bd_96x192/b4``, by the checkpoint's names."""
    wanted = ("Qidxs", "SU", "SV", "Wscale", "inv_resid_scale", "bias")
    return {name.rpartition("/")[2]: load(name) for name in ARRAYS
            if name.startswith(prefix + "/") and name.rpartition("/")[2].startswith(wanted)}


def stages(part: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The packed codes in the order of the stages: Qidxs_*, Qidxs2_*, ..."""
    return [part[key] for key in sorted(part, key=lambda key: key.split("_")[0]) if key.startswith("Qidxs")]


LAYERS = sorted({name.rpartition("/")[0] for name in ARRAYS if name.rpartition("/")[2] == "y_exact_f32"})


def sizes(layer: str) -> tuple[int, int]:
    """out_features and in_features of ``bd_96x192/b4``."""
    rows, columns = layer.split("/")[0].split("_")[1].split("x")
    return int(rows), int(columns)


def source(layer: str, name: str) -> np.ndarray:
    """W, H or x of a layer; two sets of layers share them."""
    base = layer.split("/")[0]
    return load(f"{base}/{name}" if f"{base}/{name}" in ARRAYS else f"{base.replace('pow2', 'bd')}/{name}")
