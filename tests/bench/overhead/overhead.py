"""Time of a call from Python, and from PyTorch where it is installed. Output as run.py wants it."""

from __future__ import annotations

import time
from typing import Any, Callable

import numpy as np

import glq
from glq._cli import random_weight
from glq._glq_cffi import ffi

IN, OUT = 64, 16
ROUNDS, CALLS = 60, 2000


def nanoseconds(call: Callable[[], Any]) -> float:
    """Best round; the loop itself is taken off."""
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for which, function in enumerate((call, lambda: None)):
            start = time.perf_counter()
            for _ in range(CALLS):
                function()
            best[which] = min(best[which], (time.perf_counter() - start) / CALLS)
    return 1e9 * (best[0] - best[1])


def report(binding: str, name: str, tokens: int | str, call: Callable[[], Any]) -> None:
    print(f"{binding}\t{name}\t{tokens}\t{nanoseconds(call):.1f}", flush=True)


def main() -> None:
    context = glq.Context(threads=1)
    weight = random_weight(context, OUT, IN, 2)
    scratch = glq.Workspace(context, glq.workspace_bytes(weight, 1))
    lib, native, handle = context._lib, context._handle, weight._handle
    report("Python", "glq_abi_version by cffi", "", lambda: lib.glq_abi_version())
    for tokens in (0, 1):
        x, out = np.zeros((tokens, IN), np.float32), np.zeros((tokens, OUT), np.float32)
        x_view, out_view = glq.view(x), glq.view(out)
        raw = lib.glq_fused_linear_e8p
        null, x_raw, out_raw, scratch_raw = ffi.NULL, x_view._c, out_view._c, scratch._c
        report("Python", "glq_fused_linear_e8p by cffi, structs prepared", tokens,
               lambda: raw(native, null, handle, x_raw, out_raw, scratch_raw, null))
        report("Python", "fused_linear_e8p(weight, view, view, workspace=)", tokens,
               lambda: glq.fused_linear_e8p(weight, x_view, out_view, workspace=scratch))
        report("Python", "fused_linear_e8p(weight, array, array)", tokens, lambda: glq.fused_linear_e8p(weight, x, out))
        report("Python", "fused_linear_e8p(weight, array)", tokens, lambda: glq.fused_linear_e8p(weight, x))
    try:
        import torch
    except ImportError:
        return
    import glq.torch as glt

    torch.set_num_threads(1)
    weight = random_weight(glt.context("cpu"), OUT, IN, 2)
    number, layer = glt.handle_of(weight), glt.E8PLinear(weight)
    dense = torch.nn.Linear(IN, OUT, bias=False)
    operator = torch.ops.glq.fused_linear_e8p
    with torch.inference_mode():
        for tokens in (0, 1):
            x_torch, out_torch = torch.zeros(tokens, IN), torch.zeros(tokens, OUT)
            report("PyTorch", "ops.glq.fused_linear_e8p.out", tokens,
                   lambda: operator.out(x_torch, number, OUT, out=out_torch))
            report("PyTorch", "ops.glq.fused_linear_e8p", tokens, lambda: operator(x_torch, number, OUT))
            report("PyTorch", "E8PLinear", tokens, lambda: layer(x_torch))
            report("PyTorch", "for comparison: torch.nn.Linear, dense", tokens, lambda: dense(x_torch))


if __name__ == "__main__":
    main()
