"""glq: multiply activations with weights kept compressed at 2 to 8 bits, on CPU and NVIDIA GPUs.

    import glq, numpy as np

    ctx = glq.Context()                                   # the CPU; or glq.Context("cuda:0")
    quantizer = glq.Quantizer(ctx, in_features=512, out_features=256, bits=3)
    quantizer.add_batch(activations)                      # [tokens, 512], calibration
    weight = quantizer.run(w, bias)                       # w [256, 512]
    y = glq.fused_linear_e8p(weight, x)                   # x [..., 512] -> [..., 256], never expanded
    glq.checkpoint.save("model", {"layer": weight})
    with glq.checkpoint.open("model") as file:
        weight = file.load("layer", ctx)

The library itself (libglq) is loaded when it is first needed; `glq.load_library` names another file. Failures are
`glq.GlqError` and its subclasses, which carry the library's status and message.
"""

from . import checkpoint
from ._constants import GLQ_VERSION as _HEADER_VERSION
from ._errors import (
    ArgumentError,
    BadFileError,
    CancelledError,
    DeviceError,
    GlqError,
    InternalError,
    LibraryLoadError,
    NotFoundError,
    NumericError,
    OutOfMemoryError,
    ResourceError,
    UnsupportedError,
)
from ._loader import library_path, load_library, version_text
from .context import (
    Context,
    ContextInfo,
    CudaInfo,
    DeviceInfo,
    OpSupport,
    Workspace,
    cuda_info,
    device_count,
    device_info,
)
from .dtypes import DType
from .ops import (
    codebook,
    decode_e8p,
    dequantize,
    fused_linear_e8p,
    fused_linear_e8p_group,
    gemv_bf16,
    matmul_e8p,
    pack,
    plan,
    rht_input,
    rht_output,
    unpack,
    workspace_bytes,
)
from .quantizer import Quantizer, QuantizerReport
from .tensor import E8PInfo, Tensor
from ._view import View, view

__version__ = version_text(_HEADER_VERSION)


def version() -> str:
    """Version of the loaded library."""
    from ._loader import library

    return version_text(library().glq_version())


def build_info() -> str:
    """How the loaded library was built: one fact a line."""
    from ._loader import library, text

    return text(library().glq_build_info())


__all__ = [
    "ArgumentError", "BadFileError", "CancelledError", "Context", "ContextInfo", "CudaInfo", "DType", "DeviceError",
    "DeviceInfo", "E8PInfo", "GlqError", "InternalError", "LibraryLoadError", "NotFoundError", "NumericError",
    "OpSupport", "OutOfMemoryError", "Quantizer", "QuantizerReport", "ResourceError", "Tensor", "UnsupportedError",
    "View", "Workspace", "build_info", "checkpoint", "codebook", "cuda_info", "decode_e8p", "dequantize",
    "device_count", "device_info", "fused_linear_e8p", "fused_linear_e8p_group", "gemv_bf16", "library_path",
    "load_library", "matmul_e8p", "pack", "plan", "rht_input", "rht_output", "unpack", "version", "view",
    "workspace_bytes",
]
