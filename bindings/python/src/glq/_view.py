"""Views: where an array lies and how. What every operation takes, made from anything that can say so."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from . import _constants as c
from . import _dlpack
from ._errors import ArgumentError
from ._glq_cffi import ffi
from .dtypes import DType, of_code

_CPU = c.GLQ_DEVICE_CPU
_CUDA_HOST = 3  # kDLCUDAHost: pinned host memory


# The fields of glq_view in one go (data, shape, strides, dtype, ndim, device, flags, reserved): filling them one by one
# through cffi takes several times as long as a small product. The layout tests pin the offsets.
_PACK = struct.Struct("<Q8qIiiiII").pack_into


class View:
    """A strided array in somebody's memory, which it keeps alive. Made by `view`.

    A plain value for the library: up to 4 dimensions, strides in elements.
    """

    __slots__ = ("_c", "owner", "shape", "_code")

    def __init__(self, native: Any, owner: Any, shape: tuple[int, ...] | None = None, code: int | None = None) -> None:
        self._c = native
        self.owner = owner
        """The object whose memory this is."""
        self.shape: tuple[int, ...] = tuple(native.shape[0:native.ndim]) if shape is None else shape
        """Extents."""
        self._code: int = native.dtype if code is None else code

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides in elements."""
        return tuple(self._c.strides[0:self._c.ndim])

    @property
    def dtype(self) -> DType:
        """Element type."""
        return of_code(self._code)

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:N"``."""
        return device_text(self._c.device)

    @property
    def data(self) -> int:
        """Address of the first element."""
        return int(ffi.cast("uintptr_t", self._c.data))

    @property
    def read_only(self) -> bool:
        """Whether the memory must not be written."""
        return bool(self._c.flags & c.GLQ_VIEW_READ_ONLY)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, without gaps."""
        count = self.dtype.itemsize
        for extent in self.shape:
            count *= extent
        return count

    def numpy(self) -> np.ndarray[Any, Any]:
        """The same memory as a NumPy array (bfloat16 as uint16). Raises ArgumentError for device memory."""
        if self._c.device.type != _CPU:
            raise ArgumentError(c.GLQ_E_DEVICE_MISMATCH, f"memory of {self.device} is not NumPy's; copy it first")
        if isinstance(self.owner, np.ndarray) and self.owner.shape == self.shape:
            return self.owner.view(self.dtype.numpy)
        return np.asarray(_Array(self))

    def __repr__(self) -> str:
        return f"glq.View(shape={self.shape}, dtype={self.dtype}, device={self.device!r})"


class _Array:
    """Lends a view to NumPy; the array keeps this object, which keeps the view, which keeps the memory."""

    def __init__(self, lent: View) -> None:
        self.view = lent
        dtype = lent.dtype.numpy
        self.__array_interface__ = {
            "shape": lent.shape,
            "typestr": dtype.str,
            "data": (lent.data or 1, lent.read_only),  # NumPy takes address 0 for "no data", even of an empty array
            "strides": tuple(step * dtype.itemsize for step in lent.strides),
            "version": 3,
        }


def device_text(device: Any) -> str:
    """A glq_device as text."""
    return "cpu" if device.type == _CPU else f"cuda:{device.index}"


def _too_many(shape: tuple[int, ...]) -> ArgumentError:
    return ArgumentError(c.GLQ_E_SHAPE, f"the array has {len(shape)} dimensions {shape}; at most {c.GLQ_MAX_NDIM}")


def fill_view(shape: tuple[int, ...], strides: tuple[int, ...], address: int, dtype: int, device: tuple[int, int],
              read_only: bool) -> Any:
    """A glq_view."""
    rank = len(shape)
    if rank > c.GLQ_MAX_NDIM:
        raise _too_many(shape)
    native = ffi.new("glq_view *")
    rest = (0,) * (c.GLQ_MAX_NDIM - rank)
    try:
        _PACK(ffi.buffer(native), 0, address, *shape, *rest, *strides, *rest, dtype, rank, *device,
              c.GLQ_VIEW_READ_ONLY if read_only else 0, 0)
    except struct.error:
        raise ArgumentError(c.GLQ_E_SHAPE, f"shape {shape} with strides {strides} at address {address:#x} does not fit "
                                           "64 bits") from None
    return native


def _steps(strides: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    for step in strides:
        if step % itemsize:
            raise ArgumentError(c.GLQ_E_LAYOUT,
                                f"byte strides {strides} are no multiples of the element's {itemsize} bytes")
    return tuple([step // itemsize for step in strides])


def compact_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    steps, step = [], 1
    for extent in reversed(shape):
        steps.append(step)
        step *= max(extent, 1)
    return tuple(reversed(steps))


_known: dict[np.dtype[Any], tuple[int, int]] = {}  # code and itemsize of dtypes that were seen
_CPU_DEVICE = (_CPU, 0)


def _code_and_size(kind: np.dtype[Any]) -> tuple[int, int]:
    known = _known.get(kind)
    if known is None:
        found = DType.of(kind)
        known = _known[kind] = (int(found), found.itemsize)
    return known


def dtype_of_array(array: np.ndarray[Any, Any]) -> DType:
    """The element type of an array of NumPy. Raises ArgumentError if there is none for it."""
    return of_code(_code_and_size(array.dtype)[0])


def _from_numpy(array: np.ndarray[Any, Any], dtype: DType | None) -> View:
    code, itemsize = _code_and_size(array.dtype)
    if dtype is not None and dtype != code:
        _check_size(of_code(code), dtype)
        code = int(dtype)
    shape = array.shape
    flags = array.flags
    if flags.c_contiguous:
        try:
            memory = ffi.from_buffer(array)
        except (BufferError, ValueError):  # types that buffers do not know, such as those of ml_dtypes
            pass
        else:  # the usual case, in less than half the time: no dictionary, no division of strides
            steps = (shape[1], 1) if len(shape) == 2 else compact_strides(shape)
            native = fill_view(shape, steps, 0, code, _CPU_DEVICE, not flags.writeable)
            native.data = memory
            return View(native, array, shape, code)
    address, read_only = array.__array_interface__["data"]
    return View(fill_view(shape, _steps(array.strides, itemsize), address, code, _CPU_DEVICE, read_only), array, shape,
                code)


def view_of_imported(taken: _dlpack.Imported) -> View:
    """The view of an array that has been taken out of its capsule."""
    tensor = taken.tensor
    if tensor.dtype.lanes != 1:
        raise ArgumentError(c.GLQ_E_DTYPE, f"the DLPack array has {tensor.dtype.lanes} lanes per element; must be 1")
    dtype = tensor.dtype.code | tensor.dtype.bits << 8 | 1 << 16
    rank = tensor.ndim
    shape = tuple(tensor.shape[0:rank]) if rank else ()
    strides = tuple(tensor.strides[0:rank]) if rank and tensor.strides != ffi.NULL else compact_strides(shape)
    device = (int(tensor.device.device_type), int(tensor.device.device_id))
    if device[0] in (_CPU, _CUDA_HOST):
        device = (_CPU, 0)
    address = int(ffi.cast("uintptr_t", tensor.data)) + tensor.byte_offset
    return View(fill_view(shape, strides, address, dtype, device, taken.read_only), taken)


def _from_cuda_interface(producer: Any, interface: dict[str, Any], stream: Any, wait: Any) -> View:
    kind = DType.of(np.dtype(interface["typestr"]))
    shape = tuple(interface["shape"])
    strides = interface.get("strides")
    address, read_only = interface["data"]
    theirs = interface.get("stream")
    if theirs is not None and theirs != _dlpack.stream_number(stream):
        wait(theirs)
    steps = _steps(tuple(strides), kind.itemsize) if strides is not None else compact_strides(shape)
    # The interface does not name the device; CuPy's arrays do.
    index = int(getattr(getattr(producer, "device", None), "id", 0))
    return View(fill_view(shape, steps, address, kind, (c.GLQ_DEVICE_CUDA, index), bool(read_only)), producer)


def _check_size(stored: DType, dtype: DType) -> None:
    if dtype.itemsize != stored.itemsize:
        raise ArgumentError(c.GLQ_E_DTYPE, f"elements of {stored} cannot be read as {dtype}: other size")


def _retype(made: View, dtype: DType | None) -> View:
    if dtype is None or dtype == made._code:
        return made
    _check_size(made.dtype, dtype)
    native = ffi.new("glq_view *", made._c[0])
    native.dtype = dtype
    return View(native, made.owner)


def make_view(thing: Any, dtype: DType | None, stream: Any, wait: Any) -> View:
    """As `view`; `stream` is a glq_stream, `wait` waits for a CUDA stream given by number."""
    if isinstance(thing, np.ndarray):
        return _from_numpy(thing, dtype)
    if isinstance(thing, View):
        return _retype(thing, dtype)
    lend = getattr(thing, "_lend", None)  # our own Tensor
    if lend is not None:
        made: View = lend()
    elif hasattr(thing, "__dlpack__") and hasattr(thing, "__dlpack_device__"):
        made = view_of_imported(_dlpack.take(thing, stream))
    else:
        interface = getattr(thing, "__cuda_array_interface__", None)
        if interface is not None:
            made = _from_cuda_interface(thing, interface, stream, wait)
        elif hasattr(thing, "__array_interface__") or isinstance(thing, (np.generic, bytes, bytearray, memoryview)):
            return _from_numpy(np.asarray(thing), dtype)
        else:
            try:
                array = np.asarray(memoryview(thing))
            except TypeError:
                raise TypeError(f"{type(thing).__name__} is not an array: it has neither __dlpack__, "
                                "__cuda_array_interface__ nor the buffer protocol") from None
            return _from_numpy(array, dtype)
    return _retype(made, dtype)


def _no_wait(stream: int) -> None:
    raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"the array is still being made on CUDA stream {stream:#x}; hand it "
                                                  "to an operation, which can wait, or synchronise first")


def view(array: Any, dtype: Any = None) -> View:
    """A view of an array: NumPy, DLPack, `__cuda_array_interface__`, the buffer protocol, or a `Tensor`.

    Operations do this by themselves. It is needed to say what NumPy cannot: ``glq.view(x, dtype="bfloat16")`` reads a
    `uint16` array as bfloat16.

    Args:
        array: The array; it is kept alive by the view, and not copied.
        dtype: Read the elements as this type of the same size.

    Raises:
        ArgumentError: Unknown dtype, more than 4 dimensions, strides that are no whole elements.
        TypeError: Not an array.
    """
    return make_view(array, None if dtype is None else DType.of(dtype), ffi.NULL, _no_wait)


def as_rows(made: View, what: str) -> Any:
    """The glq_view with all dimensions but the last merged into rows."""
    native = made._c
    if len(made.shape) <= 2:
        return native
    shape, strides = made.shape, made.strides
    rows = 0 if 0 in shape[:-1] else 1
    step: int | None = None
    for extent, stride in zip(reversed(shape[:-1]), reversed(strides[:-1])):
        if extent == 1 or rows == 0:
            continue
        if step is None:
            step = stride
        elif stride != rows * step:
            raise ArgumentError(c.GLQ_E_LAYOUT, f"{what}: the leading dimensions of shape {shape} with strides "
                                                f"{strides} cannot be merged into rows without a copy")
        rows *= extent
    merged = ffi.new("glq_view *", native[0])
    merged.ndim = 2
    merged.shape[0:2] = (rows, shape[-1])
    # A real step of 0 (an array that was broadcast) stays 0: the library refuses it.
    merged.strides[0:2] = (shape[-1] if step is None else step, strides[-1])
    return merged
