"""What is installed, and a first product with a compressed weight.

    python hello.py [device]        # cpu (default), cuda, cuda:1...
"""

import sys

import numpy as np

import glq

ctx = glq.Context(sys.argv[1] if len(sys.argv) > 1 else "cpu")
print(f"glq {glq.version()} from {glq.library_path()}")
print(f"CUDA: {glq.cuda_info().reason}")
print(f"using {ctx.device}: {glq.device_info(ctx.device).name}")

# A weight of 256 x 512 at 2 bits, from codes: each 16-bit code stands for eight weights.
rng = np.random.default_rng(0)
host = glq.Context()
codes = rng.integers(0, 65536, (256, 512 // 8), np.uint16)
weight = glq.Tensor.e8p(ctx, [glq.pack(host, codes)], weight_scale=0.02)
print(weight)

x = rng.standard_normal((3, 512), np.float32)
on_device = x if ctx.is_cpu else glq.Tensor.copy_of(ctx, x)
y = np.asarray(glq.fused_linear_e8p(weight, on_device))

# The same in NumPy: the effective weight, expanded (which the library never needs to do).
w = np.asarray(glq.dequantize(weight))
error = np.linalg.norm(y - x @ w.T) / np.linalg.norm(y)
print(f"y {y.shape} {y.dtype}, relative difference to NumPy with the expanded weight: {error:.1e}")
assert error < 1e-4
