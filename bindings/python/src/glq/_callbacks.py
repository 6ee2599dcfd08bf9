"""C callbacks into Python that stay valid for as long as the process lives.

Native objects may outlive every Python object (an exported DLPack array, say), so the callbacks themselves are never
freed and find their Python side by a key; a key that is gone is ignored.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any, Callable

from ._glq_cffi import ffi

# No lock: the collector or a signal handler may come here on the very thread that would hold it. next() on a count, and
# setting and popping an entry of a dictionary, are atomic.
_keys = itertools.count(1)
_kept: dict[int, Any] = {}


def immortal(thing: Any) -> Any:
    """`thing`, never to be freed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


def keep(thing: Any) -> Any:
    """Keeps `thing` alive until `forget`; returns its key as a pointer for native code."""
    key = next(_keys)
    _kept[key] = thing
    return ffi.cast("void *", key)


def kept(pointer: Any) -> Any:
    """What was kept under this key, or None."""
    return _kept.get(int(ffi.cast("uintptr_t", pointer)))


def forget(pointer: Any) -> Any:
    """Lets go of what was kept; returns it."""
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


def _progress_failed(kind: Any, error: BaseException, trace: Any) -> None:
    """Notes what a progress function raised (or Ctrl-C, at any point in here), for the run to raise again."""
    progress: Progress | None = kept(trace.tb_frame.f_locals["user"])
    if progress is not None:
        progress.error = error


@immortal
@ffi.callback("int32_t(void *, int64_t, int64_t, const char *)", error=1, onerror=_progress_failed)
def report_progress(user: Any, done: int, total: int, phase: Any) -> int:
    """A glq_progress_fn; `user` is the key of a Progress. An exception stops the run."""
    progress: Progress | None = kept(user)
    if progress is None:
        return 0
    return 1 if progress.function(done, total, ffi.string(phase).decode("utf-8", "replace")) is False else 0
