"""Draws a CSV file of gpu_linear_bench: how near the calls come to the memory's floor, and the time against bf16.

usage: plot_roofline.py CSV PNG
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import plot_data
from plot_data import math, number, ordered


def rate_axis(axis, rows, shapes, colors, copy_rate):
    """GB/s of compulsory bytes over the batch, below the roof of the device copy."""
    for shape in shapes:
        points = [row for row in rows if row["shape"] == shape and math(row) == "exact"]
        axis.plot(
            [int(row["tokens"]) for row in points],
            [number(row["gb_per_s"]) for row in points],
            marker="o",
            markersize=3,
            color=colors[shape],
            label=shape,
        )
    axis.axhline(copy_rate, color="black", linewidth=1, linestyle="--")
    axis.set_yscale("log")
    axis.set_ylim(top=copy_rate * 1.6)


def ratio_axis(axis, rows, shapes, colors):
    """Time over that of the bf16 product; dotted in the fp16 mode."""
    for shape in shapes:
        for mode, style in (("exact", "-"), ("fp16", ":")):
            points = [row for row in rows if row["shape"] == shape and math(row) == mode and row["ratio_to_bf16"]]
            axis.plot(
                [int(row["tokens"]) for row in points],
                [number(row["ratio_to_bf16"]) for row in points],
                marker="o",
                markersize=3,
                linestyle=style,
                color=colors[shape],
            )
    axis.axhline(1, color="black", linewidth=1, linestyle="--")
    axis.set_yscale("log")


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    facts, rows = plot_data.read(sys.argv[1])
    rows = [row for row in rows if row.get("call") == "single"]
    if not rows:
        raise SystemExit(f"{sys.argv[1]}: not of gpu_linear_bench")
    copy_rate = float(facts["device copy"].split()[0])
    shapes = ordered(row["shape"] for row in rows)
    widths = ordered(row["bits"] for row in rows)
    tokens = sorted({int(row["tokens"]) for row in rows})
    colors = {shape: plt.get_cmap("tab10")(i % 10) for i, shape in enumerate(shapes)}

    figure, axes = plt.subplots(2, len(widths), figsize=(3.6 * len(widths) + 0.6, 7), sharex=True, sharey="row", squeeze=False)
    for column, width in enumerate(widths):
        chosen = [row for row in rows if row["bits"] == width]
        rate_axis(axes[0][column], chosen, shapes, colors, copy_rate)
        ratio_axis(axes[1][column], chosen, shapes, colors)
        axes[0][column].set_title(f"{width} bits")
        axes[0][column].text(1, copy_rate * 1.08, f"device copy, {copy_rate:.0f} GB/s", fontsize=7)
        axes[1][column].set_xlabel("tokens")
        axes[1][column].set_xscale("log", base=2)
        axes[1][column].set_xticks(tokens, [str(t) for t in tokens], rotation=90, fontsize=7)
        for axis in axes[:, column]:
            axis.grid(True, which="major", alpha=0.3)
    axes[0][0].set_ylabel("GB/s (weights, x, y)")
    axes[1][0].set_ylabel("time / that of cuBLASLt bf16")
    figure.legend(*axes[0][0].get_legend_handles_labels(), title="N x K", loc="lower center", ncol=len(shapes), fontsize=8)
    figure.suptitle(f"{facts.get('machine', '')}\ncommit {facts.get('commit', '')}, {facts.get('date', '')}", fontsize=9)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(sys.argv[2], dpi=130)


if __name__ == "__main__":
    main()
