"""The encoder's linear layers on weights that stay compressed: every product goes through libglq."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

import glq
import numpy as np

from minilm import LinearCall


def best_device() -> str:
    """The first GPU if libglq can use it, else the CPU."""
    return "cuda:0" if glq.device_count("cuda") > 0 else "cpu"


def to_host(array: Any) -> np.ndarray:
    """A result of an operation as a NumPy array; on a GPU it is a glq.Tensor."""
    return array.numpy() if isinstance(array, glq.Tensor) else array


class CompressedLinears:
    """E8P weights by layer name; an instance is the `linear` argument of `minilm.Encoder.embed`."""

    def __init__(self, context: glq.Context, weights: Mapping[str, glq.Tensor]):
        self.context = context
        self.weights = dict(weights)

    @classmethod
    def load(cls, context: glq.Context, path: Path) -> tuple[CompressedLinears, int]:
        """The layers of a checkpoint, and the bytes that it stores for them."""
        with glq.checkpoint.open(path) as file:
            weights = {name: file.load(name, context) for name in file.layers}
            return cls(context, weights), sum(file.layer(name).nbytes for name in file.layers)

    def __call__(self, call: LinearCall) -> list[np.ndarray]:
        return run_linears(self.context, [self.weights[name] for name in call.names], call.x)


def run_linears(context: glq.Context, weights: Sequence[glq.Tensor], x: np.ndarray) -> list[np.ndarray]:
    """x [tokens, in_features] times each of the weights, which share the transform of their input."""
    source = x if context.is_cpu else glq.Tensor.copy_of(context, np.ascontiguousarray(x))
    if len(weights) == 1:
        return [to_host(glq.fused_linear_e8p(weights[0], source))]
    return [to_host(y) for y in glq.fused_linear_e8p_group(weights, source)]
