"""Command line: python -m glq info | quantize | inspect | bench."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

from . import _cli
from ._errors import GlqError, LibraryLoadError

EXIT_FAILED, EXIT_INTERRUPTED = 2, 130


def _pattern_bits(text: str) -> tuple[str, int]:
    pattern, sign, bits = text.rpartition("=")
    if not sign or not bits.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=BITS")
    return pattern, int(bits)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 1,8,64") from None


def _size(text: str) -> tuple[int, int]:
    rows, sign, columns = text.partition("x")
    if not sign or not rows.isdigit() or not columns.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not OUTxIN, such as 4096x4096")
    return int(rows), int(columns)


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="python -m glq", description="Weights kept compressed at 2 to 8 bits.")
    commands = top.add_subparsers(dest="command", required=True)

    info = commands.add_parser("info", help="versions, devices, and what is supported")
    info.set_defaults(run=_cli.info)

    quantize = commands.add_parser("quantize", help="a safetensors model to a compressed checkpoint",
                                   description="Interrupted work goes on where it stopped when the same command is "
                                               "given again.")
    quantize.add_argument("model", help="safetensors file, its index, or a folder with one")
    quantize.add_argument("output", help="folder to write to")
    quantize.add_argument("--bits", type=int, default=4, choices=range(2, 9), metavar="N", help="2 to 8 (default: 4)")
    quantize.add_argument("--layer-bits", type=_pattern_bits, action="append", default=[], metavar="PATTERN=N",
                          help="other bits for module paths that match; the last match counts; may be repeated")
    quantize.add_argument("--include", action="append", metavar="PATTERN",
                          help="quantize only module paths that match; may be repeated")
    quantize.add_argument("--exclude", action="append", metavar="PATTERN",
                          help="leave module paths that match alone; may be repeated (default: embeddings, output "
                               "heads, norms, routers, vision and audio towers)")
    quantize.add_argument("--calibration", metavar="FILE",
                          help=".npz or .safetensors with PATH.activations [tokens, in] or PATH.hessian [in, in]")
    quantize.add_argument("--scale-search", action="store_true",
                          help="choose the scales by the loss; better at 4 bits and more")
    quantize.add_argument("--refine", type=int, default=0, metavar="N", help="passes after the first rounding")
    quantize.add_argument("--damping", type=float, metavar="SHARE",
                          help="of the mean diagonal added to the Hessian (default: 0.01; 0: none)")
    quantize.add_argument("--seed", type=int, help="of the random signs (default: 42, as other tools)")
    quantize.add_argument("--pow2", action="store_true", help="pad to powers of two, for old readers")
    quantize.add_argument("--threads", type=int, metavar="N", help="default: all processors")
    quantize.add_argument("--quiet", action="store_true", help="print nothing but errors")
    quantize.set_defaults(run=_cli.quantize)

    inspect = commands.add_parser("inspect", help="the layers of a checkpoint, and whether it is sound")
    inspect.add_argument("checkpoint", help="safetensors file, its index, or a folder with one")
    inspect.add_argument("--check", action="store_true", help="load every layer and run it once")
    inspect.set_defaults(run=_cli.inspect)

    bench = commands.add_parser("bench", help="time the compressed linear and the bfloat16 product")
    bench.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    bench.add_argument("--threads", type=int, metavar="N", help="default: all processors")
    bench.add_argument("--size", type=_size, default=(4096, 4096), metavar="OUTxIN", help="default: 4096x4096")
    bench.add_argument("--bits", type=_numbers, default=[2, 3, 4, 8], metavar="LIST", help="default: 2,3,4,8")
    bench.add_argument("--tokens", type=_numbers, default=[1, 8, 64], metavar="LIST", help="default: 1,8,64")
    bench.add_argument("--seconds", type=float, default=0.5, help="per figure, about (default: 0.5)")
    bench.set_defaults(run=_cli.bench)
    return top


def _terminate(*_: Any) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0, 2 for a failure (one line on stderr), 130 if interrupted."""
    options = parser().parse_args(arguments)
    try:
        previous = signal.signal(signal.SIGTERM, _terminate)
    except ValueError:  # not in the main thread
        previous = None
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here" if options.command == "quantize" else "\nstopped",
              file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_FAILED
    except (GlqError, LibraryLoadError, OSError) as error:
        print(f"glq {options.command}: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    sys.exit(main())
