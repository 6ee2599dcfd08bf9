"""The commands of the command line."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import glq

from . import checkpoint, convert
from ._constants import GLQ_ABI_VERSION, GLQ_GEMV_MAX_TOKENS
from .tensor import Tensor


def _table(rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Prints rows in columns; the first `left` columns are flush left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) if index < left else cell.rjust(width)
                 for index, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


# info


def info(_: argparse.Namespace) -> int:
    """python -m glq info"""
    print(f"glq           {glq.__version__} (Python {platform.python_version()}, NumPy {np.__version__})")
    print(f"library       {glq.version()}, ABI {GLQ_ABI_VERSION}, {glq.library_path()}")
    for line in glq.build_info().splitlines():
        print(f"              {line}")
    cuda = glq.cuda_info()
    print(f"CUDA          {'usable' if cuda.usable else 'off'}: {cuda.reason}")
    if cuda.architectures:
        print(f"              code for {cuda.architectures}")
    devices = ["cpu", *(f"cuda:{index}" for index in range(glq.device_count("cuda")))]
    for name in devices:
        device = glq.device_info(name)
        print(f"{name:13} {device.name}; {device.detail}; {device.multiprocessors} "
              f"{'processors' if name == 'cpu' else 'multiprocessors'}; {_size(device.total_memory)}, "
              f"{_size(device.free_memory)} free")
    for name in devices:
        try:
            context = glq.Context(name)
        except glq.GlqError as error:
            print(f"\n{name}: {error}")
            continue
        print(f"\nOperations on {name} (4096 x 4096, up to 64 tokens; GEMV up to {GLQ_GEMV_MAX_TOKENS})")
        rows = [("operation", "bits", "path", "workspace")]
        for op, bits in [("fused_linear_e8p", bits) for bits in range(2, 9)] + [
            ("rht_input", 2), ("matmul_e8p", 2), ("rht_output", 2), ("decode_e8p", 2), ("dequantize", 2),
            ("gemv_bf16", 0),
        ]:
            gemv = op == "gemv_bf16"
            support = context.op_support(op, in_features=4096, out_features=4096, bits=bits,
                                         max_tokens=GLQ_GEMV_MAX_TOKENS if gemv else 64)
            rows.append((op, str(bits or "-"), support.path if support.supported else f"no: {support.reason}",
                         _size(support.workspace_bytes) if support.supported else "-"))
        _table(rows, left=3)
    return 0


# quantize


class _Bar:
    """Progress on stderr: a line that is redrawn on a terminal, a line per finished layer elsewhere."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.drawn = 0.0

    def __call__(self, step: convert.Step) -> None:
        if step.report is not None:
            self._clear()
            print(f"[{step.index + 1}/{step.count}] {step.name}  {step.bits} bits  SQNR {step.report.sqnr_db:.2f} dB  "
                  f"loss {step.report.proxy_loss_relative:.3e}  {step.report.seconds:.1f} s",
                  file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        if not self.live or now - self.drawn < 0.1:
            return
        self.drawn = now
        part = step.done / max(step.total, 1)
        filled = round(24 * part)
        print(f"\r\x1b[K[{step.index + 1}/{step.count}] [{'#' * filled}{'.' * (24 - filled)}] {part:4.0%} "
              f"{step.phase}  {step.name}"[:120], end="", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr)


def quantize(options: argparse.Namespace) -> int:
    """python -m glq quantize"""
    chosen = convert.Options(
        bits=options.bits, rules=tuple(options.layer_bits), include=tuple(options.include or ["*"]),
        exclude=convert.DEFAULT_EXCLUDE if options.exclude is None else tuple(options.exclude),
        scale_search=options.scale_search, refine=options.refine, seed=options.seed, damping=options.damping,
        pow2=options.pow2,
    )
    start = time.monotonic()
    summary = convert.quantize_model(
        options.model, options.output, chosen, context=glq.Context(threads=options.threads),
        calibration=options.calibration, progress=None if options.quiet else _Bar(),
    )
    if not options.quiet:
        count = len(summary.layers)
        statistics = f"{summary.calibrated} of {count} with statistics"
        print(f"{count} layers ({statistics}) in {time.monotonic() - start:.1f} s: {options.output}, "
              f"{_size(summary.source_bytes)} -> {_size(summary.output_bytes)}")
    return 0


# inspect


def _findings(opened: checkpoint.Checkpoint, layers: Sequence[checkpoint.LayerInfo], run: bool) -> list[str]:
    """What is wrong with a checkpoint that could be opened."""
    found = []
    config = opened.config.get("quantization_config", {})
    stated = config.get("layer_bpw", {})
    if config and config.get("quant_method") != "glq":
        found.append(f"config.json: quant_method is {config.get('quant_method')!r}, not 'glq'")
    for layer in layers:
        if layer.name in stated and stated[layer.name] != layer.bits:
            found.append(f"{layer.name}: config.json says {stated[layer.name]} bits, the tensors say {layer.bits}")
    found += [f"{name}: in config.json, but not among the tensors" for name in stated
              if name not in opened.layers]
    if run:
        context = glq.Context()
        for layer in layers:
            try:
                with opened.load(layer.name, context) as weight:
                    y = glq.fused_linear_e8p(weight, np.ones((1, weight.in_features), np.float32))
            except glq.GlqError as error:
                found.append(f"{layer.name}: {error}")
                continue
            if not np.isfinite(y).all():
                found.append(f"{layer.name}: its product with ones is not finite")
    return found


def inspect(options: argparse.Namespace) -> int:
    """python -m glq inspect"""
    with checkpoint.open(options.checkpoint) as opened:
        layers = [opened.layer(name) for name in opened.layers]
        rows = [("layer", "bits", "out x in", "padded", "bytes", "bits/w", "Wscale", "scales", "bias")]
        for layer in layers:
            rows.append((
                layer.name, str(layer.bits), f"{layer.out_features} x {layer.in_features}",
                f"{layer.padded_out} x {layer.padded_in}", str(layer.nbytes), f"{layer.bits_per_weight:.2f}",
                f"{layer.weight_scale:.6g}", " ".join(f"{scale:.6g}" for scale in layer.cum_inv_scale[1:]) or "-",
                "yes" if layer.has_bias else "no",
            ))
        _table(rows)
        files = convert.source_files(Path(options.checkpoint))
        sizes = {name: len(part.data) for file in files for name, part in convert.stored_tensors(file).items()}
        dense = opened.dense
        weights = sum(layer.out_features * layer.in_features for layer in layers)
        packed = sum(layer.nbytes for layer in layers)
        print(f"\n{len(layers)} E8P layers: {weights} weights in {_size(packed)}"
              + (f", {8 * packed / weights:.2f} bits each" if weights else ""))
        print(f"{len(dense)} other tensors: {_size(sum(sizes[name] for name in dense))}")
        found = _findings(opened, layers, options.check)
    for line in found:
        print(f"wrong: {line}")
    done = "header, shapes, scales and config" + (", every layer run once" if options.check else "")
    print(f"checked: {done}: {'ok' if not found else f'{len(found)} found'}")
    return 1 if found else 0


# bench


def random_weight(context: glq.Context, out_features: int, in_features: int, bits: int, seed: int = 0) -> Tensor:
    """A weight of random codes: as fast to run as a real one."""
    generator = np.random.default_rng(seed)
    rows, columns = -(-out_features // 16) * 16, -(-in_features // 64) * 64
    indices = [generator.integers(-2**63, 2**63, (rows // 16, columns // 64, 8, 4), np.int64, endpoint=False)
               for _ in range(bits // 2)]
    if bits % 2:
        indices.append(generator.integers(-2**63, 2**63, (rows, columns // 64), np.int64, endpoint=False))
    signs = [generator.choice(np.array([-1, 1], np.float16), count) for count in (rows, columns)]
    return Tensor.e8p(context, indices, cum_inv_scale=[0.3**stage for stage in range(len(indices))],
                      weight_scale=1 / 64, su=signs[0], sv=signs[1], out_features=out_features, in_features=in_features)


def seconds_per_call(call: Callable[[], Any], wait: Callable[[], Any], budget: float) -> float:
    """Best of several batches of calls."""
    call()
    wait()
    start = time.perf_counter()
    call()
    wait()
    once = max(time.perf_counter() - start, 1e-7)
    repeats = max(1, int(budget / 5 / once))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        wait()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def bench(options: argparse.Namespace) -> int:
    """python -m glq bench"""
    context = glq.Context(options.device, threads=options.threads)
    rows, columns = options.size
    generator = np.random.default_rng(1)
    x = generator.standard_normal((max(options.tokens), columns), np.float32)
    print(f"{rows} x {columns} on {context.device}: {glq.device_info(context.device).name}, "
          f"{context.info().threads} threads; milliseconds per call, and GB/s of packed weights")
    table = [("weight", *(f"{tokens} tok" for tokens in options.tokens))]

    def timed(name: str, nbytes: int, inputs: Any, call: Callable[[Any], Any], most: int) -> None:
        cells = []
        for tokens in options.tokens:
            if tokens > most:
                cells.append("-")
                continue
            batch = inputs(tokens)
            taken = seconds_per_call(lambda: call(batch), context.synchronize, options.seconds)
            cells.append(f"{taken * 1e3:.3f} ({nbytes / taken / 1e9:.1f})")
        table.append((name, *cells))

    def placed(array: Any, dtype: str) -> Any:
        return array if context.is_cpu else Tensor.copy_of(context, array, dtype=dtype)

    for bits in options.bits:
        weight = random_weight(context, rows, columns, bits)
        half = x.astype(np.float16)
        timed(f"e8p {bits} bits", weight.info.packed_bytes, lambda tokens: placed(half[:tokens], "float16"),
              lambda batch: glq.fused_linear_e8p(weight, batch), 1 << 30)
    plain = (generator.standard_normal((rows, columns), np.float32).view(np.uint32) >> 16).astype(np.uint16)
    dense = Tensor.copy_of(context, plain, dtype="bfloat16")
    short = (x.view(np.uint32) >> 16).astype(np.uint16)
    timed("bfloat16", 2 * rows * columns,
          lambda tokens: placed(glq.view(short[:tokens], "bfloat16"), "bfloat16"),
          lambda batch: glq.gemv_bf16(dense, batch), GLQ_GEMV_MAX_TOKENS)
    _table(table)
    return 0
