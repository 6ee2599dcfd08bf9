"""Reads the CSV files of the GPU benchmarks: comment lines with facts, then a header, then rows."""

import csv


def number(text):
    """A float, or None for an empty cell, which stands for "not measured"."""
    return float(text) if text else None


def read(path):
    """Returns (facts, rows): the facts in order as a dict, the rows as dicts of strings."""
    facts = {}
    body = []
    with open(path, newline="", encoding="utf-8") as file:
        for line in file:
            if line.startswith("# "):
                key, _, value = line[2:].rstrip("\n").partition(": ")
                facts[key] = value
            else:
                body.append(line)
    rows = list(csv.DictReader(body))
    if not rows:
        raise SystemExit(f"{path}: no rows")
    return facts, rows


def math(row):
    """The arithmetic of a row of gpu_linear_bench: files from before the column have exact ones only."""
    return row.get("math", "exact")


def ordered(values):
    """The distinct values in the order of their first appearance."""
    return list(dict.fromkeys(values))
