"""The operators glq::fused_linear_e8p and glq::fused_linear_e8p.out.

They are registered with `torch.library` one by one: the decorator `custom_op` costs more per call than a small product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad
from torch.autograd.graph import increment_version

from .. import _constants as c
from .._errors import ArgumentError
from .._glq_cffi import ffi
from .._loader import check
from .._view import fill_view
from ..dtypes import DType
from ..tensor import Tensor
from ._registry import handle_of, weight_of

_CODES = {torch.float16: int(DType.FLOAT16), torch.bfloat16: int(DType.BFLOAT16), torch.float32: int(DType.FLOAT32)}
_CPU = (c.GLQ_DEVICE_CPU, 0)
_KEPT_TOKENS = 64
_NO_GRADIENT = ("glq::fused_linear_e8p has no gradient: E8P weights are for inference. Run the model under "
                "torch.inference_mode() or torch.no_grad(), or detach its input")
_NO_TANGENT = ("glq::fused_linear_e8p has no forward-mode derivative: E8P weights are for inference. Run the model "
               "under torch.inference_mode(), or without tangents")


def _device(x: torch.Tensor) -> tuple[int, int]:
    return (c.GLQ_DEVICE_CUDA, x.device.index) if x.is_cuda else _CPU


def _code(tensor: torch.Tensor, name: str) -> int:
    code = _CODES.get(tensor.dtype)
    if code is None:
        raise ArgumentError(c.GLQ_E_DTYPE, f"{name} has dtype {tensor.dtype}; must be float16, bfloat16 or float32")
    return code


def _rows(tensor: torch.Tensor, width: int, name: str, device: tuple[int, int], read_only: bool) -> Any:
    """The glq_view of a tensor whose leading dimensions merge into rows of unit stride."""
    code = _code(tensor, name)
    tokens = tensor.shape[0]
    step = tensor.stride(0) if tokens > 1 else width
    return fill_view((tokens, width), (step, 1), tensor.data_ptr(), code, device, read_only)


def _are_rows(tensor: torch.Tensor) -> bool:
    if tensor.is_contiguous():
        return True
    tokens, width = tensor.shape
    row, column = tensor.stride()
    return bool((width == 1 or column == 1) and (tokens <= 1 or row >= width))


def _workspace_bytes(weight: Tensor, tokens: int) -> int:
    known = weight._workspace_bytes.get(("torch", tokens))
    if known is None:
        size = ffi.new("size_t *")
        query = weight._lib.glq_fused_linear_e8p_workspace
        check(query(weight._native_context, weight._handle, tokens, ffi.NULL, size))
        known = (tokens, int(size[0]))
        if tokens <= _KEPT_TOKENS:  # large batches come in all sizes, and the question costs them nothing
            weight._workspace_bytes["torch", tokens] = known
    return known[1]


def _launch(weight: Tensor, x: torch.Tensor, y: torch.Tensor) -> None:
    """y [tokens, out] = x [tokens, in] times the weight, both of them rows of unit stride."""
    device = _device(x)
    native, handle, lib = weight._native_context, weight._handle, weight._lib
    source = _rows(x, x.shape[1], "x", device, True)
    target = _rows(y, y.shape[1], "out", device, False)
    tokens = x.shape[0]
    nbytes = _workspace_bytes(weight, tokens)
    workspace = ffi.NULL
    if nbytes:
        # Of PyTorch's allocator, and given back at once: it reuses memory in the order of the stream, and puts what is
        # allocated during capture into the graph's own pool.
        scratch = torch.empty(nbytes + c.GLQ_WORKSPACE_ALIGNMENT, dtype=torch.uint8, device=x.device)
        start = scratch.data_ptr()
        start += -start % c.GLQ_WORKSPACE_ALIGNMENT
        workspace = ffi.new("glq_workspace *", (ffi.cast("void *", start), nbytes))
    stream = ffi.NULL
    if x.is_cuda:
        stream = ffi.cast("void *", torch._C._cuda_getCurrentRawStream(device[1]))
    check(lib.glq_fused_linear_e8p(native, stream, handle, source, target, workspace, ffi.NULL))


def _prepare(x: torch.Tensor, handle: int, out_features: int) -> tuple[Tensor, torch.Tensor]:
    """The weight, and x as rows."""
    weight = weight_of(handle)
    rows, columns = weight.shape
    if out_features != rows:
        raise ArgumentError(c.GLQ_E_SHAPE, f"out_features is {out_features}; the weight of handle {handle} has {rows}")
    if x.dim() == 0 or x.shape[-1] != columns:
        raise ArgumentError(c.GLQ_E_SHAPE, f"x has shape {tuple(x.shape)}; its last dimension must be in_features "
                                           f"{columns}")
    if _device(x) != weight.context._device:
        raise ArgumentError(c.GLQ_E_DEVICE_MISMATCH, f"x is on {x.device}, the weight on {weight.device}")
    flat = x if x.dim() == 2 else x.reshape(-1, columns)
    return weight, flat if _are_rows(flat) else flat.contiguous()


def _fused_linear_e8p(x: torch.Tensor, handle: int, out_features: int) -> torch.Tensor:
    weight, rows = _prepare(x, handle, out_features)
    y = x.new_empty((*x.shape[:-1], out_features))
    _launch(weight, rows, y if y.dim() == 2 else y.view(-1, out_features))
    return y


def _fused_linear_e8p_out(x: torch.Tensor, handle: int, out_features: int, *, out: torch.Tensor) -> None:
    weight, rows = _prepare(x, handle, out_features)
    shape = (*x.shape[:-1], out_features)
    if out.shape != shape:
        raise ArgumentError(c.GLQ_E_SHAPE, f"out has shape {tuple(out.shape)}; must be {shape}")
    if out.device != x.device:
        raise ArgumentError(c.GLQ_E_DEVICE_MISMATCH, f"out is on {out.device}, x on {x.device}")
    target = out
    if out.dim() != 2:
        try:
            target = out.view(-1, out_features)
        except RuntimeError:  # its leading dimensions do not merge
            target = out.new_empty((rows.shape[0], out_features))
    if not _are_rows(target):
        target = torch.empty_like(target, memory_format=torch.contiguous_format)
    _launch(weight, rows, target)
    if target.data_ptr() != out.data_ptr():
        out.copy_(target.view(shape))
    increment_version(out)  # a backward pass that saved it is to find that it was changed


def _fake(x: torch.Tensor, handle: int, out_features: int) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], out_features))


def _fake_out(x: torch.Tensor, handle: int, out_features: int, *, out: torch.Tensor) -> None:
    return None


def _has_tangent(tensor: torch.Tensor) -> bool:
    return torch._C._is_fwd_grad_enabled() and forward_ad.unpack_dual(tensor).tangent is not None


class _NoGradient(torch.autograd.Function):
    """The product as a node of the graph that cannot be gone through."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, handle: int, out_features: int) -> torch.Tensor:
        with torch._C._AutoDispatchBelowAutograd():
            y: torch.Tensor = torch.ops.glq.fused_linear_e8p.default(x, handle, out_features)
            return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        raise NotImplementedError(_NO_GRADIENT)


def _autograd(x: torch.Tensor, handle: int, out_features: int) -> torch.Tensor:
    if forward_ad._current_level >= 0 and _has_tangent(x):
        raise NotImplementedError(_NO_TANGENT)
    if x.requires_grad and torch.is_grad_enabled():
        if torch._C._are_functorch_transforms_active():  # torch.func has no use for such a node
            raise NotImplementedError(_NO_GRADIENT)
        y: torch.Tensor = _NoGradient.apply(x, handle, out_features)
        return y
    with torch._C._AutoDispatchBelowAutograd():
        y = torch.ops.glq.fused_linear_e8p.default(x, handle, out_features)
        return y


def _autograd_out(x: torch.Tensor, handle: int, out_features: int, *, out: torch.Tensor) -> None:
    if forward_ad._current_level >= 0 and (_has_tangent(x) or _has_tangent(out)):
        raise NotImplementedError(_NO_TANGENT)
    if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
        raise NotImplementedError(_NO_GRADIENT)
    with torch._C._AutoDispatchBelowAutograd():
        torch.ops.glq.fused_linear_e8p.out(x, handle, out_features, out=out)
    increment_version(out)  # of a wrapper, whose inside alone comes to the kernel


_library = torch.library.Library("glq", "FRAGMENT")
_library.define("fused_linear_e8p(Tensor x, int handle, int out_features) -> Tensor",
                tags=(torch.Tag.pt2_compliant_tag,))
_library.define("fused_linear_e8p.out(Tensor x, int handle, int out_features, *, Tensor(a!) out) -> ()",
                tags=(torch.Tag.pt2_compliant_tag,))
for _key in ("CPU", "CUDA"):
    _library.impl("fused_linear_e8p", _fused_linear_e8p, _key)
    _library.impl("fused_linear_e8p.out", _fused_linear_e8p_out, _key)
torch.library.register_fake("glq::fused_linear_e8p", _fake, lib=_library)
torch.library.register_fake("glq::fused_linear_e8p.out", _fake_out, lib=_library)
_library.impl("fused_linear_e8p", _autograd, "Autograd")
_library.impl("fused_linear_e8p.out", _autograd_out, "Autograd")


def fused_linear_e8p(weight: Tensor, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """y = x W^T + bias for a tensor of PyTorch, on its current stream; y [..., out_features] of x's dtype and device.

    Args:
        weight: An E8P weight.
        x: float16, bfloat16 or float32 [..., in_features] on the weight's device; copied if its rows have gaps inside.
        out: Where to write y; any of the three dtypes. None makes a new tensor.

    Raises:
        ArgumentError: Wrong shape, dtype or device; `out` overlaps `x`.
        NotImplementedError: In a backward pass, or if x or `out` has a tangent (forward-mode differentiation).
    """
    if out is None:
        y: torch.Tensor = torch.ops.glq.fused_linear_e8p(x, handle_of(weight), weight.out_features)
        return y
    torch.ops.glq.fused_linear_e8p.out(x, handle_of(weight), weight.out_features, out=out)
    return out
