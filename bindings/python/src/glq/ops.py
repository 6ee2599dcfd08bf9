"""The operations. Each takes arrays of any framework and returns a NumPy array on the CPU, a `Tensor` on CUDA."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from . import _constants as c
from ._errors import ArgumentError
from ._glq_cffi import ffi
from ._loader import check, integer, library, new_struct, text
from .context import Context, Workspace, math_mode, stream_pointer
from .dtypes import DType
from .tensor import ArrayLike, Tensor, codebook_number
from ._view import View, as_rows, dtype_of_array, view

_NULL = ffi.NULL


class _Call:
    """What all operations on a weight share: its context, the stream, views in and out, the workspace."""

    def __init__(self, weight: Tensor, stream: Any, math: str = "exact") -> None:
        if not isinstance(weight, Tensor):
            raise TypeError(f"weight is a {type(weight).__name__}, not a glq.Tensor")
        self.weight = weight
        self.handle = weight._handle
        self.native = weight._native_context
        self.context = weight.context
        self.lib = weight._lib
        self.stream = stream_pointer(stream, self.context._device)
        self.math = math_mode(math)
        self.scratch: Workspace | None = None
        self.opts = _NULL if self.math == 0 else new_struct("glq_launch_opts", math_mode=self.math)

    def input(self, array: ArrayLike, dtype: Any = None) -> View:
        return self.context._view(array, None if dtype is None else DType.of(dtype), self.stream)

    def output(self, out: Any, shape: tuple[int, ...], dtype: DType, like: Any) -> tuple[Any, View]:
        """What to return, and the view to write to."""
        if out is None:
            if self.context.is_cpu and not isinstance(like, Tensor):
                native = dtype is DType.BFLOAT16 and isinstance(like, np.ndarray) and like.dtype.name == "bfloat16"
                out = np.empty(shape, like.dtype if native else dtype.numpy)
            else:
                out = Tensor.empty(self.context, shape, dtype)
        # Only what NumPy cannot say is put in its place; any other dtype is for the library to judge.
        bits = isinstance(out, np.ndarray) and dtype is DType.BFLOAT16 and out.dtype == np.uint16
        made = self.context._view(out, dtype if bits else None, self.stream)
        if isinstance(out, Tensor):
            out._stream = self.stream
        return out, made

    def workspace(self, given: Workspace | None, query: str, tokens: int) -> Any:
        """A glq_workspace: the caller's, or this thread's own, large enough."""
        if given is not None:
            return given._for(self.context)
        known = self.weight._workspace_bytes.get((query, self.math))
        if known is None or known[0] < tokens:
            size = ffi.new("size_t *")
            function = getattr(self.lib, query)
            check(function(self.native, self.handle, tokens, self.opts, size))
            known = self.weight._workspace_bytes[query, self.math] = (tokens, int(size[0]))
        return self.own(known[1])

    def own(self, nbytes: int) -> Any:
        """A glq_workspace of this thread, held until the call is done."""
        self.scratch = self.context._workspace(nbytes, self.stream)
        return _NULL if self.scratch is None else self.scratch._c


def _tokens(rows: Any) -> int:
    return rows.shape[0] if rows.ndim == 2 else 1


def _out_dtype(dtype: Any, x: View) -> DType:
    return x.dtype if dtype is None else DType.of(dtype)


def _result_dtype(out: Any, dtype: Any, x: View) -> DType:
    """Of an `out` that is given: its own, unless `dtype` says that a uint16 array is of bfloat16."""
    if not isinstance(out, np.ndarray):
        return _out_dtype(dtype, x)
    own = dtype_of_array(out)
    wanted = own if dtype is None else DType.of(dtype)
    if own is DType.UINT16 and (wanted if dtype is not None else x._code) == DType.BFLOAT16:
        return DType.BFLOAT16
    if own is not wanted:
        raise ArgumentError(c.GLQ_E_DTYPE, f"out has dtype {own}, but dtype is {wanted}")
    return own


def fused_linear_e8p(
    weight: Tensor,
    x: ArrayLike,
    out: Any = None,
    *,
    dtype: Any = None,
    x_dtype: Any = None,
    workspace: Workspace | None = None,
    stream: Any = None,
    math: str = "exact",
) -> Any:
    """y = x W^T + bias with an E8P weight. The same bytes on every device, for every batch size and thread count.

    Args:
        weight: An E8P tensor.
        x: float16, bfloat16 or float32 [..., in_features] on the weight's device, unit stride in the last dimension.
        out: Where to write y [..., out_features]; None makes a new array.
        dtype: Of the result: float16, bfloat16 (a uint16 array) or float32; None: that of x (or of `out`).
        x_dtype: ``"bfloat16"`` if x is a uint16 array of such.
        workspace: At least `workspace_bytes(weight, tokens)`; None: one kept for this thread and stream.
        stream: CUDA stream (a number, or a stream of PyTorch, CuPy...); None: the default stream.
        math: ``"exact"``, or ``"fp16_expanded"`` for a faster, close result in large batches on CUDA.

    Returns:
        `out`, or a new NumPy array (CPU; of x's own bfloat16 type if ml_dtypes provides one), or a new Tensor (CUDA,
        or if x is a Tensor). A row with NaN or infinity gives a row of NaN.

    Raises:
        ArgumentError: Wrong shape, dtype, device, strides or overlap. ResourceError: the workspace is too small.
    """
    call = _Call(weight, stream, math)
    source = call.input(x, x_dtype)
    rows = as_rows(source, "x")
    kind = _out_dtype(dtype, source) if out is None else _result_dtype(out, dtype, source)
    shape = (*source.shape[:-1], weight.shape[0])
    result, target = call.output(out, shape, kind, x)
    scratch = call.workspace(workspace, "glq_fused_linear_e8p_workspace", _tokens(rows))
    check(call.lib.glq_fused_linear_e8p(call.native, call.stream, call.handle, rows, as_rows(target, "out"), scratch,
                                        call.opts))
    return result


def fused_linear_e8p_group(
    weights: Sequence[Tensor | None],
    x: ArrayLike,
    out: Sequence[Any] | None = None,
    *,
    dtype: Any = None,
    x_dtype: Any = None,
    workspace: Workspace | None = None,
    stream: Any = None,
    math: str = "exact",
) -> list[Any]:
    """Several linears of one input (query/key/value, gate/up): `fused_linear_e8p` of each, byte for byte.

    The input is transformed once for weights that share the transform. Arguments as there, but for `weights` (1 to 8
    of one context, with equal in_features; bits and out_features may differ; None is skipped and gives None) and
    `out` (one per weight).
    """
    first = next((weight for weight in weights if weight is not None), None)
    if first is None:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, "weights names no weight; must have 1 to 8")
    if out is not None and len(out) != len(weights):
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"out has {len(out)} arrays for {len(weights)} weights")
    call = _Call(first, stream, math)
    handles = [ffi.NULL if weight is None else weight._handle for weight in weights]
    source = call.input(x, x_dtype)
    rows = as_rows(source, "x")
    results: list[Any] = []
    targets = ffi.new("glq_view[]", len(weights))
    alive = []
    for index, weight in enumerate(weights):
        if weight is None:
            results.append(None)
            continue
        given = None if out is None else out[index]
        kind = _out_dtype(dtype, source) if given is None else _result_dtype(given, dtype, source)
        result, target = call.output(given, (*source.shape[:-1], weight.shape[0]), kind, x)
        targets[index] = as_rows(target, f"out[{index}]")[0]
        results.append(result)
        alive.append(target)
    array = ffi.new("glq_tensor *[]", handles)
    if workspace is None:
        size = ffi.new("size_t *")
        check(call.lib.glq_fused_linear_e8p_group_workspace(call.native, array, len(handles), _tokens(rows), call.opts, size))
        scratch = call.own(int(size[0]))
    else:
        scratch = workspace._for(call.context)
    check(call.lib.glq_fused_linear_e8p_group(call.native, call.stream, array, len(handles), rows, targets, scratch,
                                              call.opts))
    return results


def workspace_bytes(weights: Tensor | Sequence[Tensor], max_tokens: int, *, math: str = "exact") -> int:
    """Workspace that the linear of one weight, or of a group, needs for up to `max_tokens` rows."""
    group = [weights] if isinstance(weights, Tensor) else list(weights)
    if not group:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, "weights is empty; must have 1 to 8")
    call = _Call(group[0], None, math)
    max_tokens = integer(max_tokens, "max_tokens")
    size = ffi.new("size_t *")
    if isinstance(weights, Tensor):
        query = call.lib.glq_gemv_bf16_workspace if weights.encoding == "dense" else \
            call.lib.glq_fused_linear_e8p_workspace
        check(query(call.native, call.handle, max_tokens, call.opts, size))
    else:
        array = ffi.new("glq_tensor *[]", [weight._handle for weight in group])
        check(call.lib.glq_fused_linear_e8p_group_workspace(call.native, array, len(group), max_tokens, call.opts, size))
    return int(size[0])


def plan(weight: Tensor, tokens: int, *, math: str = "exact") -> str:
    """How `fused_linear_e8p` would run for so many rows: one ``key: value`` a line."""
    call = _Call(weight, None, math)
    tokens = integer(tokens, "tokens")
    needed = ffi.new("size_t *")
    status = call.lib.glq_fused_linear_e8p_plan(call.native, call.handle, tokens, call.opts, _NULL, 0, needed)
    if status != c.GLQ_E_BUFFER_TOO_SMALL:
        check(status)
    buffer = ffi.new("char[]", int(needed[0]) + 1)
    check(call.lib.glq_fused_linear_e8p_plan(call.native, call.handle, tokens, call.opts, buffer, len(buffer), needed))
    return text(buffer)


def rht_input(weight: Tensor, x: ArrayLike, out: Any = None, *, x_dtype: Any = None,
              workspace: Workspace | None = None, stream: Any = None) -> Any:
    """First step of the linear: signs and Hadamard transform of x [..., in_features], float32 [..., padded_in]."""
    call = _Call(weight, stream)
    source = call.input(x, x_dtype)
    rows = as_rows(source, "x")
    result, target = call.output(out, (*source.shape[:-1], weight.info.padded_in), DType.FLOAT32, x)
    scratch = call.workspace(workspace, "glq_rht_input_workspace", _tokens(rows))
    check(call.lib.glq_rht_input(call.native, call.stream, call.handle, rows, as_rows(target, "out"), scratch,
                                 call.opts))
    return result


def matmul_e8p(weight: Tensor, v: ArrayLike, out: Any = None, *, workspace: Workspace | None = None,
               stream: Any = None, math: str = "exact") -> Any:
    """Second step: float32 v [..., padded_in] times the rotated weight, float32 [..., padded_out]."""
    call = _Call(weight, stream, math)
    source = call.input(v)
    rows = as_rows(source, "v")
    result, target = call.output(out, (*source.shape[:-1], weight.info.padded_out), DType.FLOAT32, v)
    scratch = call.workspace(workspace, "glq_matmul_e8p_workspace", _tokens(rows))
    check(call.lib.glq_matmul_e8p(call.native, call.stream, call.handle, rows, as_rows(target, "out"), scratch,
                                  call.opts))
    return result


def rht_output(weight: Tensor, z: ArrayLike, out: Any = None, *, dtype: Any = None, workspace: Workspace | None = None,
               stream: Any = None) -> Any:
    """Third step: Hadamard transform, signs and bias of float32 z [..., padded_out]; y [..., out_features]."""
    call = _Call(weight, stream)
    source = call.input(z)
    rows = as_rows(source, "z")
    kind = _out_dtype(dtype, source) if out is None else _result_dtype(out, dtype, source)
    result, target = call.output(out, (*source.shape[:-1], weight.info.out_features), kind, z)
    scratch = call.workspace(workspace, "glq_rht_output_workspace", _tokens(rows))
    check(call.lib.glq_rht_output(call.native, call.stream, call.handle, rows, as_rows(target, "out"), scratch,
                                  call.opts))
    return result


def decode_e8p(weight: Tensor, out: Any = None, *, row_begin: int = 0, rows: int | None = None, dtype: Any = "float32",
               stream: Any = None) -> Any:
    """Rows of the rotated matrix, [rows, padded_in]: `rows` of them from `row_begin` on, or all that follow."""
    call = _Call(weight, stream)
    row_begin = integer(row_begin, "row_begin")
    count = weight.info.padded_out - row_begin if rows is None else integer(rows, "rows")
    if out is None and not 0 <= count <= weight.info.padded_out:
        raise ArgumentError(c.GLQ_E_SHAPE, f"row_begin {row_begin} with rows {rows} is outside of the weight's "
                                           f"{weight.info.padded_out} rows")
    result, target = call.output(out, (count, weight.info.padded_in), DType.of(dtype), None)
    check(call.lib.glq_decode_e8p(call.native, call.stream, call.handle, row_begin, target._c, call.opts))
    return result


def dequantize(weight: Tensor, out: Any = None, *, dtype: Any = "float32", workspace: Workspace | None = None,
               stream: Any = None) -> Any:
    """The effective weight W [out_features, in_features], both rotations undone. Not needed to run."""
    call = _Call(weight, stream)
    result, target = call.output(out, (weight.out_features, weight.in_features), DType.of(dtype), None)
    if workspace is None:  # as large as the weight expanded, so it is not kept for later calls
        size = ffi.new("size_t *")
        check(call.lib.glq_dequantize_workspace(call.native, call.handle, call.opts, size))
        workspace = Workspace(call.context, int(size[0]))
    scratch = workspace._for(call.context)
    check(call.lib.glq_dequantize(call.native, call.stream, call.handle, target._c, scratch, call.opts))
    return result


def gemv_bf16(
    weight: Tensor,
    x: ArrayLike,
    out: Any = None,
    *,
    dtype: Any = None,
    x_dtype: Any = None,
    workspace: Workspace | None = None,
    stream: Any = None,
) -> Any:
    """y = x W^T with a dense bfloat16 weight [N, K] and 1 to 16 rows of bfloat16 x [..., K]; y [..., N].

    Arguments as `fused_linear_e8p`. Float32 sums in a fixed order: the same bytes in every run on one device.
    """
    call = _Call(weight, stream)
    source = call.input(x, x_dtype)
    rows = as_rows(source, "x")
    kind = _out_dtype(dtype, source) if out is None else _result_dtype(out, dtype, source)
    result, target = call.output(out, (*source.shape[:-1], weight.shape[0]), kind, x)
    scratch = call.workspace(workspace, "glq_gemv_bf16_workspace", _tokens(rows))
    check(call.lib.glq_gemv_bf16(call.native, call.stream, call.handle, rows, as_rows(target, "out"), scratch,
                                 call.opts))
    return result


def _repack(context: Context, name: str, codebook: str, source: View, out: Any, shape: tuple[int, ...], dtype: DType,
            stream: Any, like: Any) -> Any:
    if out is None:
        on_host = context.is_cpu and not isinstance(like, Tensor)
        out = np.empty(shape, dtype.numpy) if on_host else Tensor.empty(context, shape, dtype)
    pointer = stream_pointer(stream, context._device)
    target = context._view(out, None, pointer)
    function = getattr(context._lib, name)
    check(function(context._handle, pointer, codebook_number(codebook), source._c, target._c))
    if isinstance(out, Tensor):
        out._stream = pointer
    return out


def pack(context: Context, codes: ArrayLike, codebook: str = "e8p", out: Any = None, *, stream: Any = None) -> Any:
    """Packs codes into the checkpoint's layout.

    Args:
        context: Whose device all of this is on.
        codes: E8P: uint16 [rows, cols/8], rows a multiple of 16, cols of 64; E81B: uint8 [rows, cols/8].
        codebook: ``"e8p"`` or ``"e81b"``.
        out: int64 [rows/16, cols/64, 8, 4] (E8P) or [rows, cols/64] (E81B); None makes a new array.
        stream: As for `fused_linear_e8p`.
    """
    source = context._view(codes, None, stream_pointer(stream, context._device))
    rows, groups = (*source.shape, 0, 0)[:2]
    shape = (rows // 16, groups // 8, 8, 4) if codebook == "e8p" else (rows, groups // 8)
    return _repack(context, "glq_e8p_pack", codebook, source, out, shape, DType.INT64, stream, codes)


def unpack(context: Context, packed: ArrayLike, codebook: str = "e8p", out: Any = None, *, stream: Any = None) -> Any:
    """The inverse of `pack`: codes [rows, cols/8], uint16 (E8P) or uint8 (E81B)."""
    source = context._view(packed, None, stream_pointer(stream, context._device))
    rows, words = (*source.shape, 0, 0)[:2]
    e8p = codebook == "e8p"
    return _repack(context, "glq_e8p_unpack", codebook, source, out, (rows * 16 if e8p else rows, words * 8),
                   DType.UINT16 if e8p else DType.UINT8, stream, packed)


def codebook(name: str = "e8p") -> np.ndarray[Any, np.dtype[np.int8]]:
    """The codebook as int8: 4 times the weights of every E8P code [65536, 8], or twice those of E81B [256, 8]."""
    number = codebook_number(name)
    table = np.empty((65536 if name == "e8p" else 256, 8), np.int8)
    check(library().glq_e8p_codebook(number, view(table)._c))
    return table
