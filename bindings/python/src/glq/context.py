"""Contexts: one device with its threads; and what is there to be used."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Callable, Literal

from . import _callbacks
from . import _constants as c
from ._dlpack import sweep
from ._errors import ArgumentError, error_class
from ._glq_cffi import ffi
from ._loader import c_path, c_text, check, integer, library, new_struct, text
from ._owned import Owned
from .dtypes import DType
from ._view import View, device_text, make_view

LogFunction = Callable[[int, str, str], None]
Device = Any
"""``"cpu"``, ``"cuda"``, ``"cuda:N"``, or anything whose `str()` is one of these (a `torch.device`)."""

_LOG_LEVELS = {"error": c.GLQ_LOG_ERROR, "warning": c.GLQ_LOG_WARNING, "info": c.GLQ_LOG_INFO, "debug": c.GLQ_LOG_DEBUG}
_MATH_MODES = {"exact": c.GLQ_MATH_EXACT, "fp16_expanded": c.GLQ_MATH_FP16_EXPANDED}
_OPS = {
    "fused_linear_e8p": c.GLQ_OP_FUSED_LINEAR_E8P,
    "rht_input": c.GLQ_OP_RHT_INPUT,
    "rht_output": c.GLQ_OP_RHT_OUTPUT,
    "matmul_e8p": c.GLQ_OP_MATMUL_E8P,
    "decode_e8p": c.GLQ_OP_DECODE_E8P,
    "dequantize": c.GLQ_OP_DEQUANTIZE,
    "gemv_bf16": c.GLQ_OP_GEMV_BF16,
}


@dataclass(frozen=True)
class DeviceInfo:
    """Properties of a device, as in the C header's glq_device_info."""

    device: str
    name: str
    detail: str
    compute_capability: int
    multiprocessors: int
    max_shared_memory: int
    total_memory: int
    free_memory: int
    l2_cache: int


@dataclass(frozen=True)
class CudaInfo:
    """Whether CUDA is usable, and if not, why."""

    usable: bool
    reason: str
    device_count: int
    driver_version: int
    runtime_version: int
    architectures: str


@dataclass(frozen=True)
class ContextInfo:
    """What a context found and holds."""

    device: str
    threads: int
    host_bytes: int
    device_bytes: int
    cublaslt_version: int
    cublaslt_message: str


@dataclass(frozen=True)
class OpSupport:
    """Whether and how an operation would run."""

    supported: bool
    path: str
    reason: str
    workspace_bytes: int
    fast_alignment: int


def parse_device(device: Device) -> Any:
    """A glq_device from its text."""
    struct = ffi.new("glq_device *")
    check(library().glq_device_parse(c_text(str(device), "device"), struct))
    return struct


def device_count(type: Literal["cpu", "cuda"] = "cuda") -> int:
    """Number of usable devices of a type; 0 without driver or GPU, never an error."""
    count = ffi.new("int32_t *")
    check(library().glq_device_count({"cpu": c.GLQ_DEVICE_CPU, "cuda": c.GLQ_DEVICE_CUDA}[type], count))
    return int(count[0])


def device_info(device: Device = "cpu") -> DeviceInfo:
    """Properties of a device. Raises DeviceError if there is none."""
    info = new_struct("glq_device_info")
    check(library().glq_device_get_info(parse_device(device), info))
    return DeviceInfo(
        "cpu" if info.type == c.GLQ_DEVICE_CPU else f"cuda:{info.index}", text(info.name), text(info.detail),
        info.compute_capability, info.multiprocessors, info.max_shared_memory, info.total_memory, info.free_memory,
        info.l2_cache,
    )


def cuda_info() -> CudaInfo:
    """Whether CUDA is usable and, if not, why: no driver, driver too old, no device, CPU-only build."""
    info = new_struct("glq_cuda_info")
    check(library().glq_get_cuda_info(info))
    return CudaInfo(info.status == c.GLQ_OK, text(info.message), info.device_count, info.driver_version,
                    info.runtime_version, text(info.architectures))


def stream_pointer(stream: Any, device: tuple[int, int] | None = None) -> Any:
    """A glq_stream from None (the default stream), a number, or a stream of PyTorch, CuPy, Numba or cuda.core.

    CUDA would run the work on the stream's own device, where the memory of another is not to be found, so a stream that
    says which one that is must be of `device`.
    """
    if stream is None:
        return ffi.NULL
    if device is not None:
        for name in ("device_index", "device_id"):  # of PyTorch, of CuPy
            index = getattr(stream, name, -1)
            if isinstance(index, int) and index >= 0 and device != (c.GLQ_DEVICE_CUDA, index):
                own = "cpu" if device[0] == c.GLQ_DEVICE_CPU else f"cuda:{device[1]}"
                raise ArgumentError(c.GLQ_E_DEVICE_MISMATCH,
                                    f"the stream is on cuda:{index}, the context on {own}")
    for name in ("cuda_stream", "ptr"):
        number = getattr(stream, name, None)
        if isinstance(number, int):
            return _stream(number)
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        return _stream(int((protocol() if callable(protocol) else protocol)[1]))
    handle = getattr(stream, "handle", stream)
    return _stream(int(getattr(handle, "value", handle) or 0))


def _stream(number: int) -> Any:
    if not 0 <= number < 1 << 64:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"stream is {number}, which is no address")
    return ffi.cast("void *", number)


def math_mode(name: str) -> int:
    """The number of a math mode."""
    if name not in _MATH_MODES:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"math {name!r} is none of: {', '.join(_MATH_MODES)}")
    return _MATH_MODES[name]


class Workspace:
    """Scratch memory for operations, on a context's device.

    One workspace serves any number of calls on one stream, one after another; concurrent threads or streams need one
    each. Operations that get none use one that the context keeps for the calling thread and stream, and grows.

    Args:
        context: On whose device.
        nbytes: Size; see `workspace_bytes` of the operations.
    """

    def __init__(self, context: Context, nbytes: int) -> None:
        alignment = c.GLQ_WORKSPACE_ALIGNMENT
        if nbytes < 0:
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"nbytes is {nbytes}; must be at least 0")
        integer(nbytes + alignment, "nbytes (with what aligns it)")
        spec = ffi.new("glq_view *", {"dtype": DType.UINT8, "ndim": 1, "shape": [nbytes + alignment]})
        lib = context._lib
        out = ffi.new("glq_tensor **")
        check(lib.glq_tensor_create(context._handle, spec, out))
        self._memory = Owned(out[0], lib.glq_tensor_destroy)
        self.device = context.device
        self.nbytes = nbytes
        lent = ffi.new("glq_view *")
        check(lib.glq_tensor_view(self._memory.pointer, lent))
        start = int(ffi.cast("uintptr_t", lent.data))
        start += -start % alignment
        self._c = ffi.new("glq_workspace *", {"data": ffi.cast("void *", start), "bytes": nbytes})

    @property
    def data(self) -> int:
        """Address of the memory."""
        return int(ffi.cast("uintptr_t", self._c.data))

    def _for(self, context: Context) -> Any:
        """The struct for a call in this context. The library cannot see where a workspace is."""
        if self.device != context.device:
            raise ArgumentError(c.GLQ_E_DEVICE_MISMATCH,
                                f"the workspace is on {self.device}, the context on {context.device}")
        return self._c

    def __repr__(self) -> str:
        return f"glq.Workspace({self.nbytes} bytes, {self.device!r})"


class Context:
    """A device and its threads. Everything else is made from one; any number of Python threads may share it.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        threads: Threads for CPU work, 1 to 1024; None: the environment variable ``GLQ_NUM_THREADS``, else all processors
            that the process may use.
        log: Called with (level, category, message) on the thread of the call it is about; must not call into glq.
        log_level: The most detailed messages wanted: ``"error"``, ``"warning"``, ``"info"`` or ``"debug"``.
        lazy: CUDA: do not load all kernels now. Those of the fused linear are loaded in any case, but for transforms of
            very long or unusual rows; ``GLQ_CONTEXT_LAZY`` in ``glq/context.h`` lists the others. The first call that
            needs one of these loads it, and must not be captured in a graph.
        sync_each_call: CUDA, for debugging: wait after every operation and report faults at once.
        cublaslt_library: Where to load cuBLASLt from, if not from the usual places.

    Raises:
        ArgumentError: Not a device's name, or a bad number of threads.
        DeviceError: No such device, no driver, or one that is too old.
        UnsupportedError: The library was built without CUDA, or has no code for this GPU.
    """

    def __init__(
        self,
        device: Device = "cpu",
        *,
        threads: int | None = None,
        log: LogFunction | None = None,
        log_level: Literal["error", "warning", "info", "debug"] = "warning",
        lazy: bool = False,
        sync_each_call: bool = False,
        cublaslt_library: str | None = None,
    ) -> None:
        self._lib = library()
        if threads is not None and integer(threads, "threads", 32) < 1:
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"threads is {threads}; must be at least 1")
        desc = new_struct("glq_context_desc")
        desc.flags = c.GLQ_CONTEXT_LAZY * lazy | c.GLQ_CONTEXT_SYNC_EACH_CALL * sync_each_call
        desc.device = parse_device(device)[0]
        desc.num_threads = threads or 0
        if cublaslt_library is not None:
            name = ffi.new("char[]", c_path(cublaslt_library, "cublaslt_library"))
            desc.cublaslt_library = name
        if log is not None:
            if log_level not in _LOG_LEVELS:
                raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT,
                                    f"log_level {log_level!r} is none of: {', '.join(_LOG_LEVELS)}")
            user = _callbacks.keep(log)
            desc.destroyed, desc.destroyed_user = _callbacks.release_kept, user
            logger = ffi.new("glq_logger *",
                             {"user": user, "log": _callbacks.log_message, "level": _LOG_LEVELS[log_level]})
            desc.logger = logger
        out = ffi.new("glq_context **")
        status = self._lib.glq_context_create(desc, out)
        if status != c.GLQ_OK and log is not None:
            _callbacks.forget(desc.destroyed_user)
        check(status)
        self._open: Owned | None = Owned(out[0], self._lib.glq_context_destroy)
        self._scratch = threading.local()
        info = self._info()
        self._device = (int(info.device.type), int(info.device.index))
        self.device: str = device_text(info.device)
        """``"cpu"`` or ``"cuda:N"``."""

    @property
    def _owned(self) -> Owned:
        owned = self._open  # once: another thread may close it
        if owned is None:
            raise ArgumentError(c.GLQ_E_BAD_HANDLE, "the context has been closed")
        return owned

    @property
    def _handle(self) -> Any:
        return self._owned.pointer

    @property
    def is_cpu(self) -> bool:
        """Whether this is a CPU context, where every call is done when it returns."""
        return self._device[0] == c.GLQ_DEVICE_CPU

    def _info(self) -> Any:
        info = new_struct("glq_context_info")
        check(self._lib.glq_context_get_info(self._handle, info))
        return info

    def info(self) -> ContextInfo:
        """What the context found and holds now."""
        sweep()
        info = self._info()
        return ContextInfo(device_text(info.device), info.num_threads, info.host_bytes, info.device_bytes,
                           info.cublaslt_version, text(info.cublaslt_message))

    def synchronize(self, stream: Any = None) -> None:
        """Waits until all work queued on `stream` is done, and releases memory of objects that are gone.

        Among these are DLPack capsules that nobody took an array out of; the next `__dlpack__` releases them, too.
        """
        sweep()
        check(self._lib.glq_context_synchronize(self._handle, stream_pointer(stream, self._device)))

    def op_support(
        self,
        op: str,
        *,
        in_features: int = 0,
        out_features: int = 0,
        max_tokens: int = 1,
        bits: int = 0,
        x_dtype: Any = None,
        y_dtype: Any = None,
        math: str = "exact",
    ) -> OpSupport:
        """Whether and how an operation (named like its function) would run, before any weight is loaded.

        A dtype of None is the operation's natural one: float16, or bfloat16 for `gemv_bf16`.
        """
        if op not in _OPS:
            raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"op {op!r} is none of: {', '.join(_OPS)}")
        query = new_struct("glq_op_query", op=_OPS[op], in_features=in_features, out_features=out_features,
                           max_tokens=max_tokens, bits=bits, math_mode=math_mode(math), x_dtype=0 if x_dtype is None else DType.of(x_dtype),
                           y_dtype=0 if y_dtype is None else DType.of(y_dtype))
        info = new_struct("glq_op_support_info")
        check(self._lib.glq_op_support(self._handle, query, info))
        reason = text(info.reason)
        if info.status != c.GLQ_OK and not reason:
            reason = error_class(info.status).__name__
        return OpSupport(info.status == c.GLQ_OK, text(info.path), reason, info.workspace_bytes, info.fast_alignment)

    def close(self) -> None:
        """Gives the context up early. Tensors made from it stay usable."""
        self._open = None

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"glq.Context({self.device!r})"

    def _view(self, thing: Any, dtype: DType | None, stream: Any) -> View:
        return make_view(thing, dtype, stream, self._wait)

    def _wait(self, stream: int) -> None:
        check(self._lib.glq_context_synchronize(self._handle, ffi.cast("void *", stream)))

    def _workspace(self, nbytes: int, stream: Any) -> Workspace | None:
        """A workspace of at least `nbytes` for this thread and stream.

        To be held until the call is done: a finalizer that needs a larger one may put that in its place meanwhile.
        """
        if nbytes == 0:
            return None
        kept: dict[int, Workspace] | None = getattr(self._scratch, "by_stream", None)
        if kept is None:
            kept = self._scratch.by_stream = {}
        key = int(ffi.cast("uintptr_t", stream))
        found = kept.get(key)
        if found is None or found.nbytes < nbytes:
            if found is not None and not self.is_cpu:  # queued work may still use the old one
                check(self._lib.glq_context_synchronize(self._handle, stream))
            found = kept[key] = Workspace(self, nbytes)
        return found
