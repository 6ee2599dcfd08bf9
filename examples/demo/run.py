#!/usr/bin/env python3
"""Quantizes a real sentence encoder to 2, 3 and 4 bits per weight and shows what it can still do.

The model is all-MiniLM-L6-v2 (6 layers, 36 linears with 10.6 million weights). Every linear layer of the compressed
encoder runs in libglq on weights that are never expanded. Run by `./dev demo`; see --help for shorter runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import glq
import numpy as np

import corpus
import metrics
from calibration import quantize_encoder, total_work
from compressed import CompressedLinears, best_device
from evaluation import Result, evaluate, time_per_sentence
from minilm import Encoder, ModelMissing
from plot import write_plot
from progress import Progress
from search import SearchIndex

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "demo"
HITS = 3


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", default="2,3,4", help="widths to quantize to, from 2 to 8 (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: the first GPU, else the CPU)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of checkpoints and plot (build/demo)")
    parser.add_argument("--sentences", type=int, help="calibrate with the first so many sentences only")
    parser.add_argument("--layers", type=int, help="use the first so many layers of the encoder only")
    arguments = parser.parse_args()
    try:
        arguments.bits = sorted({int(width) for width in arguments.bits.split(",")})
    except ValueError:
        parser.error(f"--bits {arguments.bits!r} is not a list of numbers such as 2,3,4")
    if not arguments.bits or arguments.bits[0] < 2 or arguments.bits[-1] > 8:
        parser.error("--bits: every width must be from 2 to 8")
    if arguments.sentences is not None and arguments.sentences < 2:
        parser.error("--sentences must be at least 2")
    return arguments


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def main() -> int:
    arguments = parse_arguments()
    started = time.perf_counter()
    try:
        encoder = Encoder()
        context = glq.Context(arguments.device or best_device())
    except (ModelMissing, glq.GlqError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.layers is not None:
        layers = min(max(arguments.layers, 1), encoder.config.layers)
        encoder.config = dataclasses.replace(encoder.config, layers=layers)

    heading("The model")
    names = encoder.linear_names()
    weights = sum(encoder.weight(name).size for name in names)
    fp16_bytes = sum(2 * (encoder.weight(name).size + encoder.bias(name).size) for name in names)
    print(f"all-MiniLM-L6-v2, {encoder.config.layers} layers: {len(names)} linear layers, {weights / 1e6:.1f} million "
          f"weights, {fp16_bytes} bytes in fp16")
    print(f"libglq {glq.version()} on {context.device}; {describe_device(context)}")

    held_out = corpus.held_out_sentences()
    reference = encoder.embed(held_out)
    original_ms = time_per_sentence(encoder, encoder.original_linear, held_out, "timing the original")
    print(f"original in fp32 (NumPy): {original_ms:.2f} ms per sentence")

    heading("Quantizing")
    sentences = corpus.calibration_sentences(encoder.common_words())[: arguments.sentences]
    print(f"calibrating with {len(sentences)} sentences, to {', '.join(map(str, arguments.bits))} bits", flush=True)
    with Progress("quantizing", total_work(encoder, arguments.bits)) as progress:
        quantized = quantize_encoder(context, encoder, sentences, arguments.bits, progress.step)

    results: list[Result] = []
    linears: dict[int, CompressedLinears] = {}
    for bits, result in quantized.items():
        path = arguments.output / f"minilm-{bits}bit"
        glq.checkpoint.save(path, result.weights, quantize_config={"nsamples": len(sentences)})
        linears[bits], stored = CompressedLinears.load(context, path)  # what is measured is what a file gives back
        results.append(evaluate(encoder, linears[bits], held_out, reference, bits=bits, stored_bytes=stored,
                                sqnr_db=float(np.mean(list(result.sqnr_db.values())))))  # fmt: skip

    heading(f"Against the original, on {len(held_out)} held-out sentences")
    print_table(results, fp16_bytes, original_ms)
    print()
    for measured in results:
        print(measured.line())

    show_search(encoder, linears, 4 if 4 in linears else arguments.bits[-1])

    picture = arguments.output / "minilm.png"
    write_plot(picture, results, metrics.pairwise_similarities(reference), fp16_bytes)
    heading("Done")
    print(f"checkpoints and plot: {arguments.output}/ ({picture.name})")
    print(f"total time: {time.perf_counter() - started:.0f} s")
    return 0


def describe_device(context: glq.Context) -> str:
    info = glq.device_info(context.device)
    if context.is_cpu:
        return f"{info.name}, {context.info().threads} threads"
    return info.name


def print_table(results: list[Result], fp16_bytes: int, original_ms: float) -> None:
    print(f"{'bits':>5} {'cosine':>8} {'Spearman':>9} {'SQNR dB':>8} {'bytes':>10} {'of fp16':>8} {'ms/sentence':>12}")
    for result in results:
        print(f"{result.bits:5} {result.cosine:8.4f} {result.spearman:9.4f} {result.sqnr_db:8.2f} {result.bytes:10} "
              f"{result.bytes / fp16_bytes:8.1%} {result.milliseconds:12.2f}")
    print(f"{'fp16':>5} {'':8} {'':9} {'':8} {fp16_bytes:10} {1:8.1%} {'':12}")
    print(f"{'fp32':>5} {1:8.4f} {1:9.4f} {'':8} {2 * fp16_bytes:10} {2:8.1%} {original_ms:12.2f}")


def show_search(encoder: Encoder, linears: dict[int, CompressedLinears], bits: int) -> None:
    passages, queries = corpus.read_lines("passages.txt"), corpus.read_lines("queries.txt")
    heading(f"Semantic search among {len(passages)} passages with the {bits}-bit encoder")
    index = SearchIndex(encoder, linears[bits], passages)
    exact = SearchIndex(encoder, encoder.original_linear, passages)
    agreed = 0
    for query in queries:
        hits = index.find(query, HITS)
        agreed += hits[0].passage == exact.find(query, 1)[0].passage
        print(f"\n{query}")
        for hit in hits:
            print(f"  {hit.similarity:5.2f}  {hit.passage}")
    print(f"\nbest hit as with the original encoder: {agreed} of {len(queries)}")


if __name__ == "__main__":
    sys.exit(main())
