"""DLPack capsules: reading those of other frameworks, making our own. Both the versioned and the old kind."""

from __future__ import annotations

import ctypes
import itertools
import sys
from typing import Any

from . import _callbacks
from . import _constants as c
from ._errors import ArgumentError
from ._glq_cffi import ffi
from ._owned import Owned

_VERSIONED, _OLD = b"dltensor_versioned", b"dltensor"
_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY
# The interpreter keeps pointers to these names, so they must not move or go.
_names = {name: _callbacks.immortal(ctypes.create_string_buffer(name))
          for name in (_VERSIONED, _OLD, b"used_" + _VERSIONED, b"used_" + _OLD)}

_api = ctypes.pythonapi


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    function = ctypes.PYFUNCTYPE(result, *arguments)((name, _api))
    return function


_is_valid = _bind("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
_get_pointer = _bind("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_set_name = _bind("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
_new = _bind("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def _delete(managed: Any) -> None:
    if managed.deleter != ffi.NULL:
        managed.deleter(managed)


class Imported:
    """A DLPack array that has been taken out of its capsule; the producer's memory lives as long as this object."""

    def __init__(self, managed: Any, versioned: bool) -> None:
        self._owned = Owned(managed, _delete)
        self.managed = managed
        self.versioned = versioned
        self.tensor = managed.dl_tensor
        self.read_only = bool(versioned and managed.flags & _READ_ONLY)

    def release(self) -> Any:
        """Gives the managed struct away: whoever gets it calls its deleter."""
        return self._owned.release()


def stream_number(stream: Any) -> int:
    """A CUDA stream as DLPack and the CUDA array interface number it: 1 is the legacy default stream."""
    return int(ffi.cast("uintptr_t", stream)) or 1


def take(producer: Any, stream: Any) -> Imported:
    """Asks `producer` for its array, ready to be used on `stream` (a glq_stream; ignored for host memory)."""
    device_type = int(producer.__dlpack_device__()[0])
    arguments = {"stream": stream_number(stream)} if device_type == c.GLQ_DEVICE_CUDA else {}
    try:
        capsule = producer.__dlpack__(max_version=(1, 0), **arguments)
    except TypeError:  # older producers do not know the argument
        capsule = producer.__dlpack__(**arguments)
    for name, kind in ((_VERSIONED, "struct DLManagedTensorVersioned *"), (_OLD, "DLManagedTensor *")):
        if _is_valid(id(capsule), name):
            managed = ffi.cast(kind, _get_pointer(id(capsule), name))
            if name == _VERSIONED and managed.version.major != 1:  # the capsule keeps what we cannot read
                raise ArgumentError(c.GLQ_E_UNSUPPORTED, f"DLPack version {managed.version.major}."
                                                         f"{managed.version.minor} is not 1.x")
            _set_name(capsule, ctypes.addressof(_names[b"used_" + name]))
            return Imported(managed, name == _VERSIONED)
    raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"__dlpack__ of {type(producer).__name__} returned no DLPack capsule")


# Capsules that were handed out, each in a list with its name and its array. A capsule that a consumer refuses goes while
# the consumer's exception is on its way, and a destructor written in Python would swallow that: so there is none.
_given: dict[int, list[Any]] = {}
_keys = itertools.count()


def _references(box: list[Any]) -> int:
    return sys.getrefcount(box[0])


_NOBODY_ELSE = _references([object()])


def sweep() -> None:
    """Lets go of the capsules that nobody else holds any more, and deletes the arrays that nobody took out of them."""
    for key in list(_given):
        box = _given.pop(key, None)  # atomic: another thread may sweep, too
        if box is None:
            continue
        if _references(box) > _NOBODY_ELSE:
            _given[key] = box
        elif _is_valid(id(box[0]), box[1]):
            _delete(box[2])


def _capsule(managed: Any, name: bytes) -> Any:
    sweep()
    capsule = _new(int(ffi.cast("uintptr_t", managed)), ctypes.addressof(_names[name]), None)
    _given[next(_keys)] = [capsule, name, managed]
    return capsule


@_callbacks.immortal
@ffi.callback("void(DLManagedTensor *)")
def _delete_old(managed: Any) -> None:
    kept = _callbacks.forget(managed.manager_ctx)
    if kept is not None:
        _delete(kept[1])


def give(managed: Any, max_version: tuple[int, int] | None) -> Any:
    """A capsule for a DLManagedTensorVersioned that the library made; the old kind if the consumer wants no better."""
    if max_version is not None and max_version[0] >= 1:
        return _capsule(managed, _VERSIONED)
    if managed.flags & _READ_ONLY:
        _delete(managed)
        raise BufferError("the array is read-only, which the old kind of DLPack capsule cannot say; "
                          "ask for max_version=(1, 0)")
    old = ffi.new("DLManagedTensor *")
    old.dl_tensor = managed.dl_tensor
    old.manager_ctx = _callbacks.keep((old, managed))
    old.deleter = _delete_old
    return _capsule(old, _OLD)
