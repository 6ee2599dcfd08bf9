"""glq for PyTorch: a registered operator, a module in the place of `nn.Linear`, and a swap of a whole model.

    import glq, glq.torch, torch

    report = glq.torch.replace_linears(model, "checkpoint", device="cuda")   # by module path
    with torch.inference_mode():
        y = torch.compile(model, fullgraph=True)(x)

The operator is ``torch.ops.glq.fused_linear_e8p(x, handle, out_features)`` with an ``.out`` overload. It runs on
PyTorch's current stream, takes its scratch memory from PyTorch's allocator (so that it may be captured in a CUDA graph
on any stream) and gives the bytes of `glq.fused_linear_e8p`. It is for inference: a backward pass raises, and so does
forward-mode differentiation.
"""

from ._linear import E8PLinear
from ._ops import fused_linear_e8p
from ._registry import context, handle_of, weight_of
from ._swap import Replacement, load_dense, replace_linears

__all__ = [
    "E8PLinear", "Replacement", "context", "fused_linear_e8p", "handle_of", "load_dense", "replace_linears",
    "weight_of",
]
