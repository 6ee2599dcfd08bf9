"""The demo's picture: quality and size per width."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)
import numpy as np  # noqa: E402

from evaluation import Result  # noqa: E402

_COLOURS = ("#c44e52", "#dd8452", "#4c72b0", "#55a868", "#8172b3", "#937860", "#64b5cd")


def write_plot(path: Path, results: Sequence[Result], reference_similarities: np.ndarray, fp16_bytes: int) -> None:
    """Left: quality; middle: size; right: pairwise similarities against those of the original."""
    figure, (quality, size, pairs) = plt.subplots(1, 3, figsize=(14, 4.4), constrained_layout=True)
    figure.suptitle("all-MiniLM-L6-v2 with compressed linear layers, held-out sentences")
    bits = [result.bits for result in results]

    quality.plot(bits, [result.cosine for result in results], "o-", label="mean cosine with the original")
    quality.plot(bits, [result.spearman for result in results], "s--", label="Spearman of pairwise similarities")
    quality.axhline(1.0, color="grey", linewidth=0.8)
    quality.set(xlabel="bits per weight", title="quality", xticks=bits)
    quality.legend(loc="lower right")

    labels = [*(str(width) for width in bits), "fp16"]
    megabytes = [value / 1e6 for value in (*(result.bytes for result in results), fp16_bytes)]
    bars = size.bar(labels, megabytes, color=[*(_COLOURS[i % len(_COLOURS)] for i in range(len(bits))), "#b0b0b0"])
    size.bar_label(bars, fmt="%.1f")
    size.set(xlabel="bits per weight", ylabel="megabytes", title="size of the linear layers")

    for i, result in enumerate(results):
        pairs.plot(reference_similarities, result.similarities, ".", markersize=1.5, alpha=0.4,
                   color=_COLOURS[i % len(_COLOURS)], label=f"{result.bits} bits", rasterized=True)  # fmt: skip
    ends = [float(reference_similarities.min()), float(reference_similarities.max())]
    pairs.plot(ends, ends, color="black", linewidth=0.8)
    pairs.set(xlabel="original", ylabel="compressed", title="similarity of every two sentences")
    pairs.legend(markerscale=8, loc="upper left")

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
