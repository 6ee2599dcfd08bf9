"""Turns dense weights and calibration activations into E8P weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

from . import _callbacks
from . import _constants as c
from ._errors import ArgumentError
from ._glq_cffi import ffi
from ._loader import check, integer, new_struct
from ._owned import Owned
from .context import Context, stream_pointer
from .dtypes import DType
from .tensor import ArrayLike, Tensor
from ._view import view

ProgressFunction = Callable[[int, int, str], "bool | None"]
"""Called with (done, total, phase); returning False stops the run."""


@dataclass(frozen=True)
class QuantizerReport:
    """How good the last finished run was.

    Attributes:
        proxy_loss: Mean over padded rows of d H d^T, d the error in the rotated space.
        proxy_loss_relative: The same divided by the mean of w H w^T.
        sqnr_db: 10 log10(|W|^2 / |W - What|^2).
        weight_scale: `Wscale`.
        cum_inv_scale: Scale of each stage.
        seconds: Time spent in `run`, cancelled parts included.
        samples: Tokens behind the Hessian.
        damping_retries: Extra damping steps that the factorisation needed.
    """

    proxy_loss: float
    proxy_loss_relative: float
    sqnr_db: float
    weight_scale: float
    cum_inv_scale: tuple[float, ...]
    seconds: float
    samples: float
    damping_retries: int


def _descriptor(
    in_features: int, out_features: int, bits: int, scale_search: bool, refine: int, seed: int | None,
    damping: float | None, damping_rht: float | None, pow2: bool, input_scale: float, rho_e8p: float, rho_e81b: float,
) -> Any:
    def share(value: float | None) -> float:
        # For the library 0 means the default and a negative number none.
        return 0.0 if value is None else -1.0 if value == 0 else value

    return new_struct(
        "glq_quantizer_desc",
        flags=c.GLQ_QUANTIZER_POW2 * pow2 | c.GLQ_QUANTIZER_HAS_SEED * (seed is not None),
        in_features=in_features, out_features=out_features, bits=bits, refine_passes=integer(refine, "refine", 32),
        scale_mode=c.GLQ_QUANTIZER_SCALE_SEARCH if scale_search else c.GLQ_QUANTIZER_SCALE_SPEC,
        seed=seed or 0, damping=share(damping), damping_rht=share(damping_rht),
        input_scale=input_scale, rho_e8p=rho_e8p, rho_e81b=rho_e81b,
    )


class Quantizer:
    """Quantizes the weight of a linear layer, or of several that share their input. For one call at a time.

    A call while another thread's is running, or from its own progress function, is an ArgumentError.

    Args:
        context: Its threads are used, and results are made on its device.
        in_features: Columns of the weight.
        out_features: Rows of the weight.
        bits: Bits per weight, 2 to 8.
        scale_search: Choose the scales that lower the loss (better at 4 bits and more) instead of those of existing
            checkpoints.
        refine: Coordinate-descent passes after the first rounding; each lowers the loss a little.
        seed: Of the random signs; None: 42, as existing checkpoints.
        damping: Share of the mean diagonal added to the Hessian; None: 0.01; 0: none.
        damping_rht: The same after its rotation.
        pow2: Pad both dimensions to powers of two, the layout of old checkpoints.
        input_scale: RMS that the rotated weight is scaled to; 0: chosen.
        rho_e8p: Residual scale before an E8P stage; 0: chosen.
        rho_e81b: Residual scale before an E81B stage; 0: chosen.

    Raises:
        ArgumentError: A value is out of range.
    """

    def __init__(
        self,
        context: Context,
        in_features: int,
        out_features: int,
        bits: int = 2,
        *,
        scale_search: bool = False,
        refine: int = 0,
        seed: int | None = None,
        damping: float | None = None,
        damping_rht: float | None = None,
        pow2: bool = False,
        input_scale: float = 0.0,
        rho_e8p: float = 0.0,
        rho_e81b: float = 0.0,
    ) -> None:
        desc = _descriptor(in_features, out_features, bits, scale_search, refine, seed, damping, damping_rht, pow2,
                           input_scale, rho_e8p, rho_e81b)
        out = ffi.new("glq_quantizer **")
        check(context._lib.glq_quantizer_create(context._handle, desc, out))
        self._adopt(context, out[0])

    def _adopt(self, context: Context, handle: Any) -> None:
        self._lib = context._lib
        self._open: Owned | None = Owned(handle, self._lib.glq_quantizer_destroy)
        self.context = context
        self._busy: dict[str, tuple[str, int]] = {}  # "call": its name and thread, while there is one
        desc = new_struct("glq_quantizer_desc")
        check(self._lib.glq_quantizer_get_desc(handle, desc))
        self.in_features: int = desc.in_features
        self.out_features: int = desc.out_features
        self.bits: int = desc.bits

    @staticmethod
    def memory(in_features: int, out_features: int, bits: int = 2, *, pow2: bool = False, refine: int = 0) -> int:
        """Peak bytes of host memory that a quantizer of these dimensions needs."""
        from ._loader import library

        desc = _descriptor(in_features, out_features, bits, False, refine, None, None, None, pow2, 0.0, 0.0, 0.0)
        size = ffi.new("size_t *")
        check(library().glq_quantizer_memory(desc, size))
        return int(size[0])

    @property
    def _handle(self) -> Any:
        owned = self._open  # once: another thread may close it
        if owned is None:
            raise ArgumentError(c.GLQ_E_BAD_HANDLE, "the quantizer has been closed")
        return owned.pointer

    @contextmanager
    def _alone(self, name: str) -> Iterator[Any]:
        """The handle, for one call; refused while there is another, since the interpreter's lock is not held in it."""
        mine = (name, threading.get_ident())
        try:
            running = self._busy.setdefault("call", mine)  # atomic, and undone wherever Ctrl-C may strike
            if running is not mine:
                where = "this thread" if running[1] == mine[1] else "another thread"
                raise ArgumentError(c.GLQ_E_WRONG_STATE, f"{name}: the quantizer is busy with {running[0]} on {where}; "
                                                         "it takes one call at a time")
            yield self._handle
        finally:
            if self._busy.get("call") is mine:
                del self._busy["call"]

    def add_batch(self, x: ArrayLike, *, dtype: Any = None) -> None:
        """Adds the activations `x` (float16, bfloat16, float32 or float64 [..., in_features], on the host).

        Raises:
            ArgumentError: Wrong shape or dtype, NaN or infinity (nothing is added then), or in the middle of a
                cancelled run.
        """
        from ._view import as_rows

        batch = view(x, dtype)
        with self._alone("add_batch") as handle:
            check(self._lib.glq_quantizer_add_batch(handle, as_rows(batch, "x")))

    @property
    def hessian(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The mean of x^T x per token, float64 [in_features, in_features]. Setting it forgets the batches so far."""
        return self._hessian()[0]

    @hessian.setter
    def hessian(self, hessian: ArrayLike) -> None:
        self.set_hessian(hessian)

    @property
    def samples(self) -> float:
        """Tokens that the Hessian stands for."""
        return self._hessian()[1]

    def _hessian(self) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float]:
        found = np.empty((self.in_features, self.in_features), np.float64)
        samples = ffi.new("double *")
        with self._alone("hessian") as handle:
            check(self._lib.glq_quantizer_get_hessian(handle, view(found)._c, samples))
        return found, float(samples[0])

    def set_hessian(self, hessian: ArrayLike, samples: float = 0.0) -> None:
        """Replaces the Hessian.

        Args:
            hessian: float32 or float64 [in_features, in_features], symmetric, on the host: the mean of x^T x per token.
            samples: Tokens it stands for when batches are added to it.
        """
        matrix = view(hessian)
        with self._alone("set_hessian") as handle:
            check(self._lib.glq_quantizer_set_hessian(handle, matrix._c, samples))

    def run(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        progress: ProgressFunction | None = None,
        dtype: Any = None,
        bias_dtype: Any = None,
        stream: Any = None,
    ) -> Tensor:
        """Quantizes a weight; without a Hessian the identity is used.

        A run that `progress` stopped keeps what it did: call again with the same arguments (also after `save` and
        `load`) to go on, with the same bytes as if it had never stopped.

        Args:
            weight: float16, bfloat16, float32 or float64 [out_features, in_features] on the host, finite.
            bias: float16, bfloat16 or float32 [out_features], stored with the result.
            progress: Called now and then with (done, total, phase). Returning False stops the run; an exception stops
                it too and is raised again. Must not call into glq; a call on this quantizer is refused.
            dtype: ``"bfloat16"`` if `weight` is a uint16 array of such; `bias_dtype` likewise.
            stream: Used to put the result on a CUDA device; complete on return.

        Returns:
            The E8P weight, on the context's device.

        Raises:
            CancelledError: `progress` returned False.
            NumericError: The Hessian cannot be factorised.
            ArgumentError: Wrong shape or dtype, NaN or infinity.
        """
        owned_context = self.context._owned
        pointer = stream_pointer(stream, self.context._device)
        matrix = view(weight, dtype)
        vector = None if bias is None else view(bias, bias_dtype)
        out = ffi.new("glq_tensor **")
        function, user, watcher = ffi.NULL, ffi.NULL, None
        if progress is not None:
            watcher = _callbacks.Progress(progress)
            function, user = _callbacks.report_progress, _callbacks.keep(watcher)
        try:
            with self._alone("run") as handle:
                status = self._lib.glq_quantizer_run(handle, pointer, matrix._c,
                                                     ffi.NULL if vector is None else vector._c, function, user, out)
                if watcher is not None and watcher.error is not None:
                    raise watcher.error  # the run was cancelled by that
                check(status)
        finally:
            if watcher is not None:
                _callbacks.forget(user)
        return Tensor(self.context, out[0], owned_context)

    def abandon(self) -> None:
        """Forgets a run that was cancelled or failed, so that the next may be of another weight. The Hessian stays."""
        with self._alone("abandon") as handle:
            check(self._lib.glq_quantizer_abandon(handle))

    def report(self) -> QuantizerReport:
        """How good the last finished run was. Raises ArgumentError if there is none."""
        report = new_struct("glq_quantizer_report")
        with self._alone("report") as handle:
            check(self._lib.glq_quantizer_get_report(handle, report))
        return QuantizerReport(
            report.proxy_loss, report.proxy_loss_relative, report.sqnr_db, report.weight_scale,
            tuple(report.cum_inv_scale[0:report.num_stages]), report.seconds, report.samples, report.damping_retries,
        )

    def save(self) -> bytes:
        """The whole state: options, Hessian, and what a cancelled or failed run did."""
        needed = ffi.new("size_t *")
        with self._alone("save") as handle:
            check(self._lib.glq_quantizer_save(handle, ffi.NULL, 0, needed))
            buffer = bytearray(needed[0])
            check(self._lib.glq_quantizer_save(handle, ffi.from_buffer(buffer), len(buffer), needed))
        return bytes(buffer)

    @classmethod
    def load(cls, context: Context, state: bytes | bytearray | memoryview) -> Quantizer:
        """A quantizer from a saved state. Raises BadFileError if it is damaged or of another format version."""
        out = ffi.new("glq_quantizer **")
        data = ffi.from_buffer(state)
        check(context._lib.glq_quantizer_load(context._handle, data, len(data), out))
        made = cls.__new__(cls)
        made._adopt(context, out[0])
        return made

    def close(self) -> None:
        """Gives the quantizer up early. Weights that it made live on."""
        self._open = None

    def __repr__(self) -> str:
        if self._open is None:
            return "glq.Quantizer(closed)"
        return f"glq.Quantizer(in_features={self.in_features}, out_features={self.out_features}, bits={self.bits})"
