"""Quantizes a layer with calibration data and runs it: 2, 3 and 4 bits."""

import sys

import numpy as np

import glq

OUT, IN, TOKENS = 384, 512, 2048
rng = np.random.default_rng(1)

# A layer, and inputs that are correlated, as those of real networks are.
w = rng.standard_normal((OUT, IN), np.float32) / IN**0.5
bias = rng.standard_normal(OUT, np.float32)
mixing = rng.standard_normal((IN, IN), np.float32) * np.exp(-np.arange(IN) / 64).astype(np.float32)[:, None]
calibration = rng.standard_normal((TOKENS, IN), np.float32) @ mixing
x = rng.standard_normal((16, IN), np.float32) @ mixing
y = x @ w.T + bias

ctx = glq.Context()


def progress(done: int, total: int, phase: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{phase:12} {done / max(total, 1):4.0%} ", end="\n" if done == total else "", file=sys.stderr)


for bits in (2, 3, 4):
    quantizer = glq.Quantizer(ctx, IN, OUT, bits, refine=2, scale_search=True)
    for batch in np.array_split(calibration, 4):  # as many batches as you like
        quantizer.add_batch(batch)
    weight = quantizer.run(w, bias, progress=progress)

    compressed = glq.fused_linear_e8p(weight, x)
    error = np.linalg.norm(compressed - y) / np.linalg.norm(y - bias)
    report = quantizer.report()
    print(f"bits={bits} bytes={weight.info.packed_bytes} sqnr_db={report.sqnr_db:.2f} output_error={error:.4f}")

    one = glq.fused_linear_e8p(weight, x[3])  # a token alone gives the same bytes as in any batch
    assert one.tobytes() == compressed[3].tobytes()
