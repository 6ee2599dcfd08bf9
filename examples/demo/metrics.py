"""How close the embeddings of a compressed encoder are to those of the original."""

from __future__ import annotations

import numpy as np


def mean_cosine(embeddings: np.ndarray, reference: np.ndarray) -> float:
    """Mean cosine similarity of unit vectors with their counterparts."""
    return float(np.mean(np.sum(embeddings * reference, axis=1)))


def pairwise_similarities(embeddings: np.ndarray) -> np.ndarray:
    """Cosine similarity of every two different rows, as one vector."""
    return (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; tied values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def sqnr_db(original: np.ndarray, approximation: np.ndarray) -> float:
    """Signal to quantization noise ratio of a weight matrix."""
    noise = np.sum((original - approximation) ** 2, dtype=np.float64)
    return float(10 * np.log10(np.sum(original**2, dtype=np.float64) / noise))
