"""Tensors: weights in the E8P format, and dense storage that is owned, borrowed or imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from . import _callbacks
from . import _constants as c
from . import _dlpack
from ._errors import ArgumentError
from ._glq_cffi import ffi
from ._loader import check, integer, new_struct
from ._owned import Owned
from .context import Context, stream_pointer
from .dtypes import DType, of_code
from ._view import View, compact_strides, device_text, fill_view, view_of_imported

_CODEBOOKS = {"e8p": c.GLQ_CODEBOOK_E8P, "e81b": c.GLQ_CODEBOOK_E81B}
_CODEBOOK_NAMES = {value: name for name, value in _CODEBOOKS.items()}
ArrayLike = Any
"""A NumPy array, a `View`, a `Tensor`, or anything with `__dlpack__`, `__cuda_array_interface__` or the buffer protocol."""


@dataclass(frozen=True)
class E8PInfo:
    """What an E8P weight is.

    A tensor-parallel runtime may cut the output features between two entries of `out_blocks` and the input features
    between two entries of `in_blocks`. Weights of one context with equal `input_transform_id` share the transform of
    their input.
    """

    bits: int
    in_features: int
    out_features: int
    padded_in: int
    padded_out: int
    weight_scale: float
    cum_inv_scale: tuple[float, ...]
    codebooks: tuple[str, ...]
    has_sv: bool
    has_su: bool
    bias_dtype: DType | None
    in_blocks: tuple[int, ...]
    out_blocks: tuple[int, ...]
    input_transform_id: int

    @property
    def packed_bytes(self) -> int:
        """Bytes of all packed codes."""
        return self.padded_in * self.padded_out * self.bits // 8


def codebook_number(name: str) -> int:
    """The number of a codebook."""
    if name not in _CODEBOOKS:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"codebook {name!r} is none of: {', '.join(_CODEBOOKS)}")
    return _CODEBOOKS[name]


def stage_key(stage: int, codebook: str) -> str:
    """The checkpoint's name of a stage's codes (stages from 0): Qidxs_e8p, Qidxs2_e81b, ..."""
    return f"Qidxs{stage + 1 if stage else ''}_{codebook}"


def scale_key(stage: int) -> str:
    """The checkpoint's name of the scale of a stage from 1 on: inv_resid_scale, inv_resid_scale2, ..."""
    return f"inv_resid_scale{stage if stage > 1 else ''}"


class Tensor:
    """A weight of any encoding, or dense storage. Made by the class methods below, by `Quantizer.run` or a checkpoint.

    Immutable but for the elements of dense storage; any number of threads may use it. Dense tensors speak DLPack,
    `__cuda_array_interface__` (on CUDA) and `__array__` (on the CPU).
    """

    def __init__(self, context: Context, handle: Any, owned_context: Owned) -> None:
        # Not for callers. `handle` is owned; the native context is kept as well, so that Context.close() does no harm.
        self._lib = context._lib
        self._open: Owned | None = Owned(handle, self._lib.glq_tensor_destroy)
        self.context = context
        """The context the tensor was made from."""
        self._owned_context = owned_context
        self._native_context = owned_context.pointer
        info = new_struct("glq_tensor_info")
        check(self._lib.glq_tensor_get_info(handle, info))
        self.encoding: str = "e8p" if info.encoding == c.GLQ_ENCODING_E8P else "dense"
        """``"dense"`` or ``"e8p"``."""
        self.shape: tuple[int, ...] = tuple(info.shape[0:info.ndim])
        """Extents; of an E8P weight (out_features, in_features)."""
        self.device: str = device_text(info.device)
        """``"cpu"`` or ``"cuda:N"``."""
        self._dtype = info.dtype
        self._workspace_bytes: dict[tuple[str, int], tuple[int, int]] = {}  # of (op, math): (tokens, bytes)
        self._e8p: E8PInfo | None = None
        self._stream: Any = ffi.NULL  # on which it was last written

    # Making tensors

    @classmethod
    def empty(cls, context: Context, shape: Sequence[int], dtype: Any) -> Tensor:
        """A dense tensor on the context's device; its elements are not initialised."""
        kind = DType.of(dtype)
        extents = tuple(int(extent) for extent in shape)
        spec = fill_view(extents, compact_strides(extents), 0, kind, (c.GLQ_DEVICE_CPU, 0), False)
        out = ffi.new("glq_tensor **")
        owned = context._owned
        check(context._lib.glq_tensor_create(owned.pointer, spec, out))
        return cls(context, out[0], owned)

    @classmethod
    def copy_of(cls, context: Context, array: ArrayLike, *, dtype: Any = None, stream: Any = None) -> Tensor:
        """A dense tensor on the context's device with a compact copy of `array`, which may be on the host.

        Args:
            context: Where to.
            array: What to copy.
            dtype: How to read the elements (not a conversion), see `view`.
            stream: The copy is ordered after the work queued on it; complete on return.
        """
        pointer = stream_pointer(stream, context._device)
        source = context._view(array, None if dtype is None else DType.of(dtype), pointer)
        out = ffi.new("glq_tensor **")
        owned = context._owned
        check(context._lib.glq_tensor_create_copy(owned.pointer, pointer, source._c, out))
        return cls(context, out[0], owned)

    @classmethod
    def borrow(cls, context: Context, array: ArrayLike, *, dtype: Any = None, stream: Any = None) -> Tensor:
        """A dense tensor over the memory of `array`, which must be on the context's device.

        The array is kept alive until the tensor and everything it was lent to are gone.
        """
        pointer = stream_pointer(stream, context._device)
        lent = context._view(array, None if dtype is None else DType.of(dtype), pointer)
        owned = context._owned
        user = _callbacks.keep(lent)
        out = ffi.new("glq_tensor **")
        try:
            check(context._lib.glq_tensor_borrow(owned.pointer, lent._c, _callbacks.release_kept, user, out))
        except BaseException:
            _callbacks.forget(user)
            raise
        return cls(context, out[0], owned)

    @classmethod
    def from_dlpack(cls, context: Context, array: Any, *, stream: Any = None) -> Tensor:
        """A dense tensor that takes over an array from another framework through DLPack, without a copy."""
        owned = context._owned
        taken = _dlpack.take(array, stream_pointer(stream, context._device))
        if not taken.versioned:
            return cls.borrow(context, _Holder(taken))
        out = ffi.new("glq_tensor **")
        managed = taken.release()
        status = context._lib.glq_tensor_import_dlpack(owned.pointer, managed, out)
        if status != c.GLQ_OK:
            try:
                check(status)
            finally:
                _dlpack._delete(managed)
        return cls(context, out[0], owned)

    @classmethod
    def e8p(
        cls,
        context: Context,
        indices: Sequence[ArrayLike],
        *,
        cum_inv_scale: Sequence[float] | None = None,
        weight_scale: float = 1.0,
        su: ArrayLike | None = None,
        sv: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        bias_dtype: Any = None,
        in_features: int | None = None,
        out_features: int | None = None,
        codebooks: Sequence[str] | None = None,
        in_blocks: Sequence[int] | None = None,
        out_blocks: Sequence[int] | None = None,
        stream: Any = None,
    ) -> Tensor:
        """An E8P weight from its parts, as a checkpoint stores them. Everything is copied.

        Args:
            context: On whose device the weight will be.
            indices: Packed codes per stage, 1 to 4, on the host or the context's device. E8P: int64
                [padded_out/16, padded_in/64, 8, 4]; E81B (last stage only): int64 [padded_out, padded_in/64] or uint8
                [padded_out, padded_in/8].
            cum_inv_scale: Scale per stage, cumulative as stored, the first one 1. None only for a single stage.
            weight_scale: `Wscale`.
            su: float16 [padded_out], or None for all ones.
            sv: float16 [padded_in], or None for all ones.
            bias: float16, bfloat16 or float32 [out_features], or None.
            bias_dtype: ``"bfloat16"`` if `bias` is a uint16 array of such.
            in_features: Columns before padding; None: the padded number.
            out_features: Rows before padding; None: the length of `bias`, else the padded number.
            codebooks: ``"e8p"`` or ``"e81b"`` per stage; None: by the number of dimensions of its indices.
            in_blocks: Hadamard blocks of the input side; None: the binary expansion of padded_in, largest first.
            out_blocks: The same for the output side.
            stream: Ordered after the work queued on it; complete on return.

        Raises:
            ArgumentError: A part has the wrong shape, dtype, device or value; the message names it.
        """
        pointer = stream_pointer(stream, context._device)
        views = [context._view(array, None, pointer) for array in indices]
        if cum_inv_scale is None:
            if len(views) > 1:
                raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT,
                                    f"cum_inv_scale is missing for a weight of {len(views)} stages")
            cum_inv_scale = [1.0]
        if codebooks is None:
            codebooks = ["e8p" if made._c.ndim == 4 else "e81b" for made in views]
        if len(cum_inv_scale) != len(views) or len(codebooks) != len(views):
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"indices, cum_inv_scale and codebooks have {len(views)}, "
                                                          f"{len(cum_inv_scale)} and {len(codebooks)} stages")
        stages = ffi.new("glq_e8p_stage[]", max(len(views), 1))
        for stage, made in enumerate(views):
            stages[stage].codebook = codebook_number(codebooks[stage])
            stages[stage].cum_inv_scale = cum_inv_scale[stage]
            stages[stage].indices = made._c[0]
        desc = new_struct("glq_e8p_desc", num_stages=len(views), weight_scale=weight_scale, stages=stages)
        alive: list[Any] = [stages, views]
        for name, array, dtype in (("sv", sv, None), ("su", su, None), ("bias", bias, bias_dtype)):
            if array is not None:
                part = context._view(array, None if dtype is None else DType.of(dtype), pointer)
                setattr(desc, name, part._c)
                alive.append(part)
        for name, blocks in (("in_blocks", in_blocks), ("out_blocks", out_blocks)):
            if blocks is not None:
                array = ffi.new("int64_t[]", [integer(block, name) for block in blocks] or [0])
                setattr(desc, name, array)
                setattr(desc, "num_" + name, len(blocks))
                alive.append(array)
        first = views[0]._c if views else None
        if first is not None and first.ndim == 4:
            desc.padded_out, desc.padded_in = 16 * first.shape[0], 64 * first.shape[1]
        desc.in_features = desc.padded_in if in_features is None else integer(in_features, "in_features")
        if out_features is None:
            out_features = desc.bias.shape[0] if bias is not None and desc.bias.ndim == 1 else desc.padded_out
        desc.out_features = integer(out_features, "out_features")
        return cls._from_desc(context, pointer, desc)

    @classmethod
    def _from_desc(cls, context: Context, stream: Any, desc: Any) -> Tensor:
        out = ffi.new("glq_tensor **")
        owned = context._owned
        check(context._lib.glq_tensor_create_e8p(owned.pointer, stream, desc, out))
        return cls(context, out[0], owned)

    # What it is

    @property
    def _owned(self) -> Owned:
        owned = self._open  # once: another thread may close it
        if owned is None:
            raise ArgumentError(c.GLQ_E_BAD_HANDLE, "the tensor has been closed")
        return owned

    @property
    def _handle(self) -> Any:
        return self._owned.pointer

    @property
    def dtype(self) -> DType | None:
        """Element type of a dense tensor; None of an E8P weight."""
        return of_code(self._dtype) if self._dtype else None

    @property
    def info(self) -> E8PInfo:
        """What an E8P weight is. Raises UnsupportedError for a dense tensor."""
        if self._e8p is None:
            info = new_struct("glq_e8p_info")
            check(self._lib.glq_e8p_get_info(self._handle, info))
            stages = info.num_stages
            self._e8p = E8PInfo(
                info.bits, info.in_features, info.out_features, info.padded_in, info.padded_out, info.weight_scale,
                tuple(info.cum_inv_scale[0:stages]), tuple(_CODEBOOK_NAMES[book] for book in info.codebook[0:stages]),
                bool(info.has_sv), bool(info.has_su), of_code(info.bias_dtype) if info.bias_dtype else None,
                tuple(info.in_blocks[0:info.num_in_blocks]), tuple(info.out_blocks[0:info.num_out_blocks]),
                info.input_transform_id,
            )
        return self._e8p

    @property
    def bits(self) -> int:
        """Bits per weight of an E8P weight."""
        return self.info.bits

    @property
    def in_features(self) -> int:
        """Columns of the weight."""
        return self.shape[-1] if self.encoding == "dense" else self.info.in_features

    @property
    def out_features(self) -> int:
        """Rows of the weight."""
        return self.shape[0] if self.encoding == "dense" else self.info.out_features

    @property
    def nbytes(self) -> int:
        """Memory this tensor owns, on the host and on the device."""
        info = new_struct("glq_tensor_info")
        check(self._lib.glq_tensor_get_info(self._handle, info))
        return int(info.host_bytes + info.device_bytes)

    def __repr__(self) -> str:
        if self._open is None:
            return "glq.Tensor(closed)"
        if self.encoding == "dense":
            return f"glq.Tensor(shape={self.shape}, dtype={self.dtype}, device={self.device!r})"
        info = self.info
        return (f"glq.Tensor(e8p, {info.bits} bits, out_features={info.out_features}, in_features={info.in_features}, "
                f"bias={'no' if info.bias_dtype is None else info.bias_dtype}, device={self.device!r})")

    def close(self) -> None:
        """Gives the tensor up early: its memory goes when no call and no array still uses it."""
        self._open = None

    def __enter__(self) -> Tensor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Getting at the elements

    def _lend(self) -> View:
        owned = self._owned
        struct = ffi.new("glq_view *")
        check(self._lib.glq_tensor_view(owned.pointer, struct))
        return View(struct, owned, self.shape)

    def view(self) -> View:
        """The elements of a dense tensor as a view, which keeps the memory alive."""
        return self._lend()

    def numpy(self, *, stream: Any = None) -> np.ndarray[Any, Any]:
        """The elements of a dense tensor as a NumPy array (bfloat16 as uint16).

        On the CPU the same memory, kept alive by the array; on CUDA a copy, ordered on `stream` and complete on return.
        """
        lent = self._lend()
        if lent.device == "cpu":
            return lent.numpy()
        copy = np.empty(self.shape, lent.dtype.numpy)
        pointer = stream_pointer(stream, self.context._device)
        target = self.context._view(copy, lent.dtype, pointer)
        check(self._lib.glq_view_copy(self._native_context, pointer, lent._c, target._c))
        check(self._lib.glq_context_synchronize(self._native_context, pointer))
        return copy

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if not self.context.is_cpu:
            check(self._lib.glq_context_synchronize(self._native_context, self._stream))
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a copy is needed to convert {array.dtype} to {dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.context._device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if dl_device is not None and tuple(map(int, dl_device)) != self.context._device:
            raise BufferError(f"the tensor is on {self.device} and cannot be lent to DLPack device {dl_device}")
        if copy:
            raise BufferError("a lent array is never a copy; use Tensor.copy_of")
        if not self.context.is_cpu and stream != -1 and (stream or 1) != _dlpack.stream_number(self._stream):
            check(self._lib.glq_context_synchronize(self._native_context, self._stream))
        out = ffi.new("struct DLManagedTensorVersioned **")
        check(self._lib.glq_tensor_export_dlpack(self._handle, out))
        return _dlpack.give(out[0], max_version)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.encoding != "dense" or self.context.is_cpu or self._dtype == DType.BFLOAT16:
            raise AttributeError("__cuda_array_interface__")
        lent = self._lend()
        itemsize = lent.dtype.itemsize
        return {
            "shape": lent.shape,
            "typestr": lent.dtype.numpy.str,
            "data": (lent.data, lent.read_only),
            "strides": tuple(step * itemsize for step in lent.strides),
            "stream": _dlpack.stream_number(self._stream),
            "version": 3,
        }

    def export(self, *, stream: Any = None) -> dict[str, np.ndarray[Any, Any]]:
        """The parts of an E8P weight in the checkpoint's layout, bit for bit as they were given.

        The keys are the checkpoint's: `Qidxs_e8p`, `Qidxs2_e81b`..., `SU`, `SV`, `Wscale`, `inv_resid_scale`...,
        `bias` (bfloat16 as uint16; see `info.bias_dtype`). Vectors that the weight does not have are left out.
        """
        info = self.info
        found: dict[str, np.ndarray[Any, Any]] = {}
        parts = new_struct("glq_e8p_parts")
        alive: list[View] = []

        def wanted(key: str, shape: tuple[int, ...], dtype: DType) -> Any:
            found[key] = np.empty(shape, dtype.numpy)
            alive.append(self.context._view(found[key], dtype, ffi.NULL))
            return alive[-1]._c

        for stage, codebook in enumerate(info.codebooks):
            tiled = (info.padded_out // 16, info.padded_in // 64, 8, 4)
            shape = tiled if codebook == "e8p" else (info.padded_out, info.padded_in // 64)
            parts.indices[stage] = wanted(stage_key(stage, codebook), shape, DType.INT64)
        if info.has_su:
            parts.su = wanted("SU", (info.padded_out,), DType.FLOAT16)
        if info.has_sv:
            parts.sv = wanted("SV", (info.padded_in,), DType.FLOAT16)
        if info.bias_dtype is not None:
            parts.bias = wanted("bias", (info.out_features,), info.bias_dtype)
        pointer = stream_pointer(stream, self.context._device)
        check(self._lib.glq_e8p_export(self._native_context, pointer, self._handle, parts))
        found["Wscale"] = np.array(info.weight_scale, np.float32)
        for stage, scale in enumerate(info.cum_inv_scale):
            if stage:
                found[scale_key(stage)] = np.array(scale, np.float32)
        return found


class _Holder:
    """An array that DLPack's old kind of capsule brought, for `Tensor.borrow`."""

    def __init__(self, taken: _dlpack.Imported) -> None:
        self.taken = taken

    def _lend(self) -> View:
        return view_of_imported(self.taken)
