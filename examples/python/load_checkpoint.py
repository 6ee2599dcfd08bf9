"""Opens a checkpoint, lists its layers and runs one token through each.

    python load_checkpoint.py PATH [device]
    python load_checkpoint.py               # makes a small one first, in a temporary folder
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import glq


def make_checkpoint(path: Path) -> None:
    """Two quantized layers and an embedding."""
    rng = np.random.default_rng(2)
    ctx = glq.Context()
    layers = {}
    for name, (rows, columns), bits in [("block.0.up", (256, 100), 3), ("block.0.down", (100, 256), 4)]:
        weight = rng.standard_normal((rows, columns), np.float32)
        layers[name] = glq.Quantizer(ctx, columns, rows, bits).run(weight, np.zeros(rows, np.float16))
    embedding = rng.standard_normal((1000, 100)).astype(np.float16)
    glq.checkpoint.save(path, layers, {"embed.weight": embedding}, config={"model_type": "example"})


def main() -> None:
    ctx = glq.Context(sys.argv[2] if len(sys.argv) > 2 else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        if len(sys.argv) < 2:
            make_checkpoint(path)
        with glq.checkpoint.open(path) as file:
            weights = {name: file.load(name, ctx) for name in file.layers}
            for name, weight in weights.items():
                info = weight.info
                x = np.ones((1, info.in_features), np.float16)
                y = np.asarray(glq.fused_linear_e8p(weight, x if ctx.is_cpu else glq.Tensor.copy_of(ctx, x)))
                assert np.isfinite(y).all()
                print(f"{name}: {info.bits} bits, {info.out_features} x {info.in_features}, |y| = {abs(y).mean():.4f}")
            for name in file.dense:
                print(f"{name}: {file.view(name).dtype} {file.tensors[name].shape}, mapped")


if __name__ == "__main__":
    main()
