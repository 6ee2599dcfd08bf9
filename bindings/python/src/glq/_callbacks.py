"""C callbacks into Python that stay valid for as long as the process lives.

Native objects may outlive every Python object (an exported DLPack array, say), so the callbacks themselves are never
freed and find their Python side by a key; a key that is gone is ignored.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from typing import Any, Callable

from ._glq_cffi import ffi

_keys = itertools.count(1)  # next() on it is atomic
_kept: dict[int, Any] = {}
_lock = threading.Lock()


def immortal(thing: Any) -> Any:
    """`thing`, never to be freed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


def keep(thing: Any) -> Any:
    """Keeps `thing` alive until `forget`; returns its key as a pointer for native code."""
    key = next(_keys)
    with _lock:
        _kept[key] = thing
    return ffi.cast("void *", key)


def kept(pointer: Any) -> Any:
    """What was kept under this key, or None."""
    return _kept.get(int(ffi.cast("uintptr_t", pointer)))


def forget(pointer: Any) -> Any:
    """Lets go of what was kept; returns it."""
    with _lock:
        return _kept.pop(int(ffi.cast("uintptr_t", pointer)), None)


@immortal
@ffi.callback("void(void *)")
def release_kept(user: Any) -> None:
    """A glq_release_fn: native code no longer needs what was kept."""
    forget(user)


@immortal
@ffi.callback("void(void *, int32_t, const char *, const char *)")
def log_message(user: Any, level: int, category: Any, message: Any) -> None:
    """A glq_log_fn: hands the message to the Python function kept under `user`. Its exceptions end here, on stderr."""
    function: Callable[[int, str, str], None] | None = kept(user)
    if function is not None:
        function(level, ffi.string(category).decode("utf-8", "replace"), ffi.string(message).decode("utf-8", "replace"))


class Progress:
    """The Python side of one quantizer run: the caller's function and what it raised."""

    def __init__(self, function: Callable[[int, int, str], bool | None]) -> None:
        self.function = function
        self.error: BaseException | None = None

    def __call__(self, done: int, total: int, phase: str) -> int:
        try:
            return 1 if self.function(done, total, phase) is False else 0
        except BaseException as error:  # KeyboardInterrupt too: it stops the run and is raised again after it
            self.error = error
            return 1


@immortal
@ffi.callback("int32_t(void *, int64_t, int64_t, const char *)")
def report_progress(user: Any, done: int, total: int, phase: Any) -> int:
    """A glq_progress_fn; `user` is the key of a Progress."""
    progress: Progress | None = kept(user)
    return 0 if progress is None else progress(done, total, ffi.string(phase).decode("utf-8", "replace"))
