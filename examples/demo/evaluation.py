"""Measures one width: agreement with the original encoder, size, time per sentence."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Sequence

import numpy as np

import metrics
from minilm import Encoder, LinearFunction
from progress import Progress

TIMED_SENTENCES = 40


@dataclass(frozen=True)
class Result:
    """The figures of one width, and the similarities behind them for the plot."""

    bits: int
    cosine: float
    spearman: float
    sqnr_db: float
    bytes: int
    milliseconds: float
    similarities: np.ndarray

    def line(self) -> str:
        """The figures in the form that scripts read."""
        return (
            f"bits={self.bits} cosine={self.cosine:.4f} spearman={self.spearman:.4f} bytes={self.bytes} "
            f"ms={self.milliseconds:.2f} sqnr={self.sqnr_db:.2f}"
        )


def evaluate(
    encoder: Encoder,
    linear: LinearFunction,
    sentences: Sequence[str],
    reference: np.ndarray,
    *,
    bits: int,
    stored_bytes: int,
    sqnr_db: float,
) -> Result:
    """Embeds the sentences and compares with `reference`, the original encoder's embeddings."""
    embeddings = encoder.embed(sentences, linear)
    similarities = metrics.pairwise_similarities(embeddings)
    return Result(
        bits,
        metrics.mean_cosine(embeddings, reference),
        metrics.spearman(similarities, metrics.pairwise_similarities(reference)),
        sqnr_db,
        stored_bytes,
        time_per_sentence(encoder, linear, sentences, f"timing {bits} bits"),
        similarities,
    )


def time_per_sentence(encoder: Encoder, linear: LinearFunction, sentences: Sequence[str], title: str) -> float:
    """Mean milliseconds to embed one sentence alone, tokenizer included."""
    chosen = list(sentences[:TIMED_SENTENCES])
    encoder.embed(chosen[:2], linear)  # warm-up: buffers, kernels
    with Progress(title, len(chosen)) as progress:
        started = time.perf_counter()
        for sentence in chosen:
            encoder.embed([sentence], linear)
            progress.step(1)
        return (time.perf_counter() - started) / len(chosen) * 1e3
