"""Quantizes the encoder layer by layer, each time with the activations that the layers before it really produce.

The original network and one compressed network per width walk through the calibration text side by side. At a linear
layer the compressed network's input x and the original network's output y are known, so the layer is asked for more
than to imitate its own weights: it gets the weights that turn x into y (the error that the layers before it made is
corrected as far as a linear map can, and where the output joins a residual connection the error of that one as well).
Four things happen to a layer:

1. x is centred; its covariance is the quantizer's Hessian. The mean needs no care from the weights, because the bias,
   which is stored with the layer, can take it. The tokens of a long text count for less than those of a short one, as
   they do in the mean that becomes its embedding.
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

# Share of the mean variance of the inputs that is added to every input's variance in step 2, and in step 3.
RIDGE = 0.25
DAMPING = 0.07
# A token of a text of n tokens has the weight n ** -LENGTH_EXPONENT.
LENGTH_EXPONENT = 0.5
# Coordinate-descent passes of the quantizer after the first rounding.
REFINE_PASSES = 2

# Called with (work finished since the last call, note) where `work` counts weights.
WorkFunction = Callable[[float, str], None]


@dataclass
class QuantizedEncoder:
    """The result for one width."""

    bits: int
    weights: dict[str, glq.Tensor]
    sqnr_db: dict[str, float]  # of each layer, against the original weights


class _Tokens:
    """The calibration text's tokens, with weights whose mean is 1."""

    def __init__(self, encoder: Encoder, sentences: Sequence[str]):
        self.ids = encoder.tokenize(sentences)
        lengths = np.array([len(ids) for ids in self.ids])
        weights = np.repeat(lengths.astype(np.float32) ** -LENGTH_EXPONENT, lengths)
        self.weights = weights / weights.mean()
        self._roots = np.sqrt(self.weights)[:, None]

    def mean(self, x: np.ndarray) -> np.ndarray:
        return self.weights @ x / np.float32(len(x))

    def centred(self, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Such that centred(x).T @ centred(y) is a weighted sum of products of deviations."""
        return (x - mean) * self._roots


class _Walk:
    """One compressed network on its way through the calibration text."""

    def __init__(self, encoder: Encoder, tokens: _Tokens, bits: int):
        self.result = QuantizedEncoder(bits, {}, {})
        self.forward: Generator[LinearCall, Sequence[np.ndarray], np.ndarray] = encoder.forward(tokens.ids)
        self.call = next(self.forward)


def quantize_encoder(
    context: glq.Context, encoder: Encoder, sentences: Sequence[str], widths: Sequence[int], worked: WorkFunction
) -> Mapping[int, QuantizedEncoder]:
    """Quantizes all linear layers to each of `widths` bits. The work is that of `total_work`."""
    tokens = _Tokens(encoder, sentences)
    original = encoder.forward(tokens.ids)
    call = next(original)
    walks = [_Walk(encoder, tokens, bits) for bits in widths]
    while True:
        wanted = encoder.original_linear(call)
        outputs = [_quantize_call(context, encoder, tokens, call, wanted, walk, worked) for walk in walks]
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
    tokens: _Tokens,
    original: LinearCall,
    wanted: Sequence[np.ndarray],
    walk: _Walk,
    worked: WorkFunction,
) -> list[np.ndarray]:
    """Quantizes the layers of one call and computes their outputs."""
    x = walk.call.x
    mean = tokens.mean(x)
    centred = tokens.centred(x, mean)
    covariance = centred.T @ centred / np.float32(len(x))
    made = []
    for name, target in zip(original.names, wanted):
        if original.residual is not None:
            target = target + (original.residual - walk.call.residual)
        weight = encoder.weight(name)
        target_mean = tokens.mean(target)
        cross = centred.T @ tokens.centred(target, target_mean) / np.float32(len(x))
        adjusted = weight + _correction(weight, covariance, cross)
        note = f"{walk.result.bits} bits, {name}"
        compressed = _quantize(context, adjusted, covariance, walk.result.bits, note, worked)
        reconstructed = to_host(glq.dequantize(compressed))
        compressed = with_bias(context, compressed, target_mean - reconstructed @ mean)
        walk.result.weights[name] = compressed
        walk.result.sqnr_db[name] = sqnr_db(weight, reconstructed)
        made.append(compressed)
    return run_linears(context, made, x)


def _correction(weight: np.ndarray, covariance: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """What to add to `weight` for the wanted outputs, whose covariance with the inputs is `cross` [inputs, outputs].

    Ridge regression on what the weight itself leaves to be explained.
    """
    damped = covariance.astype(np.float64)
    left = cross - damped @ weight.T
    damped[np.diag_indices_from(damped)] += RIDGE * np.mean(np.diag(covariance))
    return np.ascontiguousarray(np.linalg.solve(damped, left).T, dtype=np.float32)


def _quantize(
    context: glq.Context, weight: np.ndarray, hessian: np.ndarray, bits: int, note: str, worked: WorkFunction
) -> glq.Tensor:
    rows, columns = weight.shape
    quantizer = glq.Quantizer(context, columns, rows, bits, refine=REFINE_PASSES, scale_search=bits >= 4,
                              damping=DAMPING, damping_rht=0.0)
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
