"""Native objects that Python owns, and when they are destroyed."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from ._glq_cffi import ffi


class _Life:
    """Keeps a native object; the last reference to this takes it along.

    In garbage with cycles the collector runs all finalizers first, in no order, and that of an `ffi.gc` among them: the
    `__del__` of another object of the same garbage would then use, or bring back, what has been destroyed. So the
    finalizer destroys nothing; it only puts an `ffi.gc` in its place, which goes after them, with this object.

    What that does not save: an object that was brought back and is garbage in a cycle a second time, with new objects
    whose `__del__` uses it; and `close` in another thread during a call on an object that was brought back, as its
    `Owned.pointer` by itself keeps nothing any more.
    """

    __slots__ = ("native", "_destroy")

    def __init__(self, native: Any, destroy: Callable[[Any], Any]) -> None:
        self.native = native
        self._destroy = destroy

    def __del__(self) -> None:
        if self.native is not None:
            self.native = ffi.gc(self.native, self._destroy)


def _nothing(life: _Life, native: Any) -> None:
    pass


class Owned:
    """A native object; it is destroyed when nobody holds this, or the pointer taken from it, any more."""

    __slots__ = ("pointer", "_life")

    def __init__(self, native: Any, destroy: Callable[[Any], Any]) -> None:
        self._life = _Life(native, destroy)
        self.pointer = ffi.gc(native, partial(_nothing, self._life))

    def release(self) -> Any:
        """Gives the native object away: whoever gets it destroys it."""
        native, self._life.native = self._life.native, None
        return native
