"""Quantizes the encoder layer by layer, each time with the activations that the layers before it really produce.

The original network and one compressed network per width walk through the calibration text side by side. At a linear
layer the compressed network's input x and the original network's output y are known, so the layer is asked for more
than to imitate its own weights: it gets the weights that turn x into y (the error that the layers before it made is
corrected as far as a linear map can, and where the output joins a residual connection the error of that one as well).
Four things happen to a layer:

1. x is centred; its covariance is the quantizer's Hessian. The mean needs no care from the weights, because the bias,
   which is stored with the layer, can take it.
2. The weights are moved towards the least-squares solution for y. `RIDGE` keeps them near the original ones, for there
   are too few calibration tokens to trust every direction.
3. libglq quantizes them.
4. The bias is set so that the mean output is that of the original network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Generator, Mapping, Sequence

import glq
import numpy as np

from compressed import run_linears, to_host
from metrics import sqnr_db
from minilm import Encoder, LinearCall

# Share of the mean variance of the inputs that is added to every input's variance in step 2.
RIDGE = 0.1
# Coordinate-descent passes of the quantizer after the first rounding.
REFINE_PASSES = 0

# Called with (work finished since the last call, note) where `work` counts weights.
WorkFunction = Callable[[float, str], None]


@dataclass
class QuantizedEncoder:
    """The result for one width."""

    bits: int
    weights: dict[str, glq.Tensor]
    sqnr_db: dict[str, float]  # of each layer, against the original weights


class _Walk:
    """One compressed network on its way through the calibration text."""

    def __init__(self, encoder: Encoder, tokens: Sequence[np.ndarray], bits: int):
        self.result = QuantizedEncoder(bits, {}, {})
        self.forward: Generator[LinearCall, Sequence[np.ndarray], np.ndarray] = encoder.forward(tokens)
        self.call = next(self.forward)


def quantize_encoder(
    context: glq.Context, encoder: Encoder, sentences: Sequence[str], widths: Sequence[int], worked: WorkFunction
) -> Mapping[int, QuantizedEncoder]:
    """Quantizes all linear layers to each of `widths` bits. The work is that of `total_work`."""
    tokens = encoder.tokenize(sentences)
    original = encoder.forward(tokens)
    call = next(original)
    walks = [_Walk(encoder, tokens, bits) for bits in widths]
    while True:
        wanted = encoder.original_linear(call)
        outputs = [_quantize_call(context, encoder, call, wanted, walk, worked) for walk in walks]
        try:
            call = original.send(wanted)
        except StopIteration:
            return {walk.result.bits: walk.result for walk in walks}
        for walk, output in zip(walks, outputs):
            walk.call = walk.forward.send(output)


def total_work(encoder: Encoder, widths: Sequence[int]) -> int:
    return len(widths) * sum(encoder.weight(name).size for name in encoder.linear_names())


def _quantize_call(
    context: glq.Context,
    encoder: Encoder,
    original: LinearCall,
    wanted: Sequence[np.ndarray],
    walk: _Walk,
    worked: WorkFunction,
) -> list[np.ndarray]:
    """Quantizes the layers of one call and computes their outputs."""
    x = walk.call.x
    mean = x.mean(axis=0)
    centred = x - mean
    covariance = centred.T @ centred / np.float32(len(x))
    made = []
    for name, target in zip(original.names, wanted):
        if original.residual is not None:
            target = target + (original.residual - walk.call.residual)
        weight = encoder.weight(name)
        adjusted = weight + _correction(weight, centred, covariance, target)
        note = f"{walk.result.bits} bits, {name}"
        compressed = _quantize(context, adjusted, covariance, walk.result.bits, note, worked)
        reconstructed = to_host(glq.dequantize(compressed))
        compressed = with_bias(context, compressed, target.mean(axis=0) - reconstructed @ mean)
        walk.result.weights[name] = compressed
        walk.result.sqnr_db[name] = sqnr_db(weight, reconstructed)
        made.append(compressed)
    return run_linears(context, made, x)


def _correction(weight: np.ndarray, centred: np.ndarray, covariance: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What to add to `weight` so that it maps the inputs to `target`: ridge regression on what it leaves."""
    left = target - centred @ weight.T
    left -= left.mean(axis=0)
    damped = covariance.astype(np.float64)
    damped[np.diag_indices_from(damped)] += RIDGE * np.mean(np.diag(covariance))
    cross = (centred.T @ left).astype(np.float64) / len(centred)
    return np.linalg.solve(damped, cross).T.astype(np.float32)


def _quantize(
    context: glq.Context, weight: np.ndarray, hessian: np.ndarray, bits: int, note: str, worked: WorkFunction
) -> glq.Tensor:
    rows, columns = weight.shape
    quantizer = glq.Quantizer(context, columns, rows, bits, refine=REFINE_PASSES, scale_search=bits >= 4)
    quantizer.set_hessian(hessian)
    reported = 0.0

    def progress(done: int, total: int, _phase: str) -> None:
        nonlocal reported
        share = done / max(total, 1)
        worked((share - reported) * weight.size, note)
        reported = share

    compressed = quantizer.run(weight, progress=progress)
    worked((1.0 - reported) * weight.size, note)
    return compressed


def with_bias(context: glq.Context, weight: glq.Tensor, bias: np.ndarray) -> glq.Tensor:
    """The same compressed weight with a bias, rounded to fp16 as a checkpoint stores it."""
    parts = weight.export()
    info = weight.info
    return glq.Tensor.e8p(
        context,
        [part for key, part in parts.items() if key.startswith("Qidxs")],
        cum_inv_scale=info.cum_inv_scale,
        weight_scale=info.weight_scale,
        su=parts.get("SU"),
        sv=parts.get("SV"),
        bias=bias.astype(np.float16),
        in_features=info.in_features,
        out_features=info.out_features,
    )
