"""A small semantic search: the passages whose embeddings are nearest to that of a query."""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from minilm import Encoder, LinearFunction


class Hit(NamedTuple):
    similarity: float
    passage: str


class SearchIndex:
    """Passages with their embeddings."""

    def __init__(self, encoder: Encoder, linear: LinearFunction, passages: Sequence[str]):
        self._encoder = encoder
        self._linear = linear
        self._passages = list(passages)
        self._embeddings = encoder.embed(self._passages, linear)

    def find(self, query: str, count: int) -> list[Hit]:
        similarity = self._embeddings @ self._encoder.embed([query], self._linear)[0]
        best = np.argsort(-similarity)[:count]
        return [Hit(float(similarity[i]), self._passages[i]) for i in best]
