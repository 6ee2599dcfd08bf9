"""Writes a Markdown page of tables for a CSV file of a GPU benchmark to standard output.

usage: plot_tables.py CSV
"""

import os
import sys

import plot_data
from plot_data import math, number, ordered


def table(header, rows):
    """Markdown table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines)


def show(value, decimals):
    return "" if value is None else f"{value:.{decimals}f}"


def linear_cell(row):
    if row is None:
        return ""
    cell = f"{number(row['us_median']):.1f} · {100 * number(row['share_of_floor']):.0f} %"
    ratio = number(row["ratio_to_bf16"])
    return cell if ratio is None else f"{cell} · {ratio:.2f}"


def linear_table(rows, label, labels):
    bits = ordered(row["bits"] for row in rows)
    cells = {(label(row), row["tokens"], row["bits"]): row for row in rows}
    lines = []
    for name in labels:
        for tokens in ordered(row["tokens"] for row in rows if label(row) == name):
            found = [cells.get((name, tokens, width)) for width in bits]
            bf16 = next((number(row["bf16_us"]) for row in found if row is not None), None)
            lines.append([name, tokens, show(bf16, 1)] + [linear_cell(row) for row in found])
    return table(["N x K", "B", "bf16"] + [f"{width} bits" for width in bits], lines)


def linear(rows):
    single = [row for row in rows if row["call"] == "single" and math(row) == "exact"]
    f16 = [row for row in rows if row["call"] == "single" and math(row) == "fp16"]
    group = [row for row in rows if row["call"] != "single"]
    parts = [
        "Microseconds per call (both transforms included), share of the floor, and time over that of cuBLASLt's bf16\n"
        "product in the same run; medians over the replays of a CUDA graph, weights rotating through more than four\n"
        "times the L2. The floor is the time that the packed weights, x and y take at the rate of the device copy.",
        linear_table(single, lambda row: row["shape"], ordered(row["shape"] for row in single)),
    ]
    if f16:
        parts += [
            "## GLQ_MATH_FP16_EXPANDED",
            "The same calls with this mode, where it is another way than the exact one.",
            linear_table(f16, lambda row: row["shape"], ordered(row["shape"] for row in f16)),
        ]
    if group:
        parts += [
            "## Group calls",
            "qkv is 4096 + 1024 + 1024 rows of 4096, gate-up twice 14336 rows of 4096; bf16 is one product of all rows.",
            linear_table(group, lambda row: row["call"], ordered(row["call"] for row in group)),
        ]
    host = [row for row in single if number(row.get("host_us", "")) is not None]
    if host:
        tokens = ordered(row["tokens"] for row in host)
        spent = [[number(row["host_us"]) for row in host if row["tokens"] == count] for count in tokens]
        parts += [
            "## On the host",
            "Microseconds that the thread spends in a call outside of a graph, least and most over shapes and widths; best of ten\n"
            "bursts of 100 calls.",
            table(["B"] + tokens, [["us"] + [f"{min(times):.1f} to {max(times):.1f}" for times in spent]]),
        ]
    batches = {}
    for row in single + f16:
        batches.setdefault((row["path"], row["bits"]), set()).add(int(row["tokens"]))
    widths = {}
    for (path, bits), tokens in batches.items():
        widths.setdefault((path, tuple(sorted(tokens))), []).append(bits)
    parts += [
        "## Paths",
        table(
            ["path", "bits", "B"],
            [[path, ", ".join(bits), ", ".join(map(str, tokens))] for (path, tokens), bits in widths.items()],
        ),
    ]
    return "The E8P linear", parts


def gemv(rows):
    columns = ["us", "us min", "GB/s", "share of copy rate", "cuBLASLt us", "ratio"]
    lines = [
        [
            row["shape"],
            row["tokens"],
            show(number(row["us_median"]), 2),
            show(number(row["us_min"]), 2),
            show(number(row["gb_per_s"]), 0),
            show(number(row["share_of_copy_rate"]), 3),
            show(number(row["bf16_us"]), 2),
            show(number(row["ratio_to_bf16"]), 3),
        ]
        for row in rows
    ]
    return "glq_gemv_bf16", [
        "Medians over the replays of a CUDA graph, weights rotating through more than four times the L2; cuBLASLt on the\n"
        "same memory in the same run.",
        table(["N x K", "B"] + columns, lines),
    ]


def model(rows):
    columns = ["ms", "tokens/s", "GB of weights", "share of floor", "bf16 ms", "bf16 tokens/s", "ratio"]
    lines = [
        [
            row["model"],
            row["bits"],
            row["tokens"],
            show(number(row["ms_median"]), 3),
            show(number(row["tokens_per_s"]), 0),
            show(number(row["weight_gb_per_step"]), 2),
            show(number(row["share_of_floor"]), 3),
            show(number(row["bf16_ms"]), 3),
            show(number(row["bf16_tokens_per_s"]), 0),
            show(number(row["ratio_to_bf16"]), 3),
        ]
        for row in rows
    ]
    return "Linears of a decoder step", [
        "All linears of one decoder step in one CUDA graph: qkv as a group, o, gate and up as a group, down. Attention,\n"
        "norms, activation functions, embedding and head are not included. The layers of a step take the weights of a few\n"
        "distinct layers in turn (more than four times the L2; the same for bf16), so that 70B in bf16 fits.",
        table(["model", "bits", "B"] + columns, lines),
    ]


def linear_parts(rows):
    lines = [
        [row["shape"], row["bits"], row["tokens"]]
        + [show(number(row[column]), 2) for column in ("rht_input_us", "rht_output_us", "matmul_us", "fused_us")]
        for row in rows
    ]
    return "The E8P linear and its parts", [
        "Microseconds per call in CUDA graphs, each part in a graph of its own, weights rotating through more than four times\n"
        "the L2. matmul takes transformed activations and gives y_rht; in the fused call parts overlap.",
        table(["N x K", "bits", "B", "rht_input", "rht_output", "matmul", "fused"], lines),
    ]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    facts, rows = plot_data.read(sys.argv[1])
    kind = linear if "call" in rows[0] else model if "model" in rows[0] else linear_parts if "fused_us" in rows[0] else gemv
    title, parts = kind(rows)
    print(f"# {title}\n")
    print("\n".join(f"- {key}: {value}" for key, value in facts.items()))
    print(f"- all columns: {os.path.basename(sys.argv[1])}\n")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
