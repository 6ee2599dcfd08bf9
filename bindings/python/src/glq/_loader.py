"""Finds and opens libglq, once, when it is first needed."""

from __future__ import annotations

import operator
import os
import sys
import threading
from pathlib import Path
from typing import Any

from . import _constants as c
from ._errors import ArgumentError, LibraryLoadError, make_error
from ._glq_cffi import ffi

_NAME = {"win32": "glq.dll", "darwin": "libglq.dylib"}.get(sys.platform, "libglq.so")
_SONAME = _NAME + ".0" if sys.platform.startswith("linux") else _NAME

_lock = threading.Lock()
_lib: Any = None
_path: str | None = None


def version_text(version: int) -> str:
    """1002003 as "1.2.3"."""
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


def _candidates() -> list[str]:
    """The packaged copy, the builds of the source tree this package lies in (if it does), the system's loader."""
    package = Path(__file__).resolve().parent
    found = [str(package / "lib" / _NAME)]
    root = package.parents[3] if len(package.parents) > 3 else package
    if (root / "include" / "glq.h").is_file():
        builds = [path for pattern in ("build/*/", "build/", "build-*/") for path in root.glob(pattern + _NAME)]
        found += sorted(map(str, builds), key=os.path.getmtime, reverse=True)
    return [*found, _SONAME]


def _open(path: str) -> Any:
    """The opened library. Raises OSError if it cannot be, or is not the right one."""
    if "\0" in path:
        raise OSError("the path has a NUL character")
    if os.sep in path and not os.path.exists(path):
        raise OSError("no such file")
    try:
        lib = ffi.dlopen(path)
        abi, version = lib.glq_abi_version(), lib.glq_version()
    except ffi.error as error:  # a symbol that is not there
        raise OSError(f"not libglq: {error}") from None
    needed = version_text(c.GLQ_VERSION)
    if abi != c.GLQ_ABI_VERSION:
        raise OSError(f"has ABI version {abi} (release {version_text(version)}); this package needs ABI version "
                      f"{c.GLQ_ABI_VERSION} (release {needed})")
    if version < c.GLQ_VERSION:
        raise OSError(f"is release {version_text(version)}; this package needs {needed} or later")
    return lib


def _load(paths: list[str]) -> None:
    global _lib, _path
    tried: list[tuple[str, str]] = []
    for path in paths:
        try:
            lib = _open(path)
        except OSError as error:
            tried.append((path, str(error)))
            continue
        _lib, _path = lib, path
        return
    raise LibraryLoadError("libglq could not be loaded (set GLQ_LIBRARY to its path, or call glq.load_library). Tried:",
                           tried)


def load_library(path: str | bytes | os.PathLike[str] | None = None) -> str:
    """Loads libglq and returns the path it was loaded from.

    Called by itself when the library is first needed. With `path`, that file and no other is used; it must come before
    anything that needs the library. Without, the order is: the environment variable ``GLQ_LIBRARY`` (that file and no
    other), the copy inside this package, builds in the source tree the package lies in, the system's loader.

    Raises:
        LibraryLoadError: It cannot be loaded or has another ABI version; lists every path tried and the reason.
            Or another file has been loaded already.
    """
    wanted = os.fsdecode(path) if path is not None else os.environ.get("GLQ_LIBRARY")
    with _lock:
        if _lib is None:
            _load([wanted] if wanted else _candidates())
        elif path is not None and wanted != _path:
            raise LibraryLoadError(f"libglq has already been loaded from {_path}; it cannot be replaced by:",
                                   [(str(wanted), "came too late")])
        assert _path is not None
        return _path


def library() -> Any:
    """The cffi library object; loads it if need be."""
    if _lib is None:
        load_library()
    return _lib


def library_path() -> str:
    """The path libglq was loaded from."""
    library()
    assert _path is not None
    return _path


def text(pointer: Any) -> str:
    """A C string as str."""
    raw: bytes = ffi.string(pointer)
    return raw.decode("utf-8", "replace")


def check(status: int) -> None:
    """Raises the exception for a status other than GLQ_OK. To be called right after the call, on its thread."""
    if status != c.GLQ_OK:
        info = ffi.new("glq_error_info *", {"struct_size": ffi.sizeof("glq_error_info")})
        _lib.glq_last_error(info)
        raise make_error(status, info, text)


def c_text(value: str, name: str) -> bytes:
    """The argument `name` as the bytes of a C string, which would end at a NUL."""
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{name} {value!r} is not Unicode: {error.reason}") from None
    if b"\0" in raw:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{name} {value!r} has a NUL character")
    return raw


def c_path(value: str | bytes | os.PathLike[str], name: str) -> bytes:
    """A path likewise."""
    raw = os.fsencode(value)
    if b"\0" in raw:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{name} {value!r} has a NUL character")
    return raw


def integer(value: Any, name: str, bits: int = 64) -> int:
    """The argument `name` as an integer that fits so many bits, with its sign."""
    number = operator.index(value)
    if not -1 << bits - 1 <= number < 1 << bits - 1:
        raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{name} is {number}, which does not fit {bits} bits")
    return number


def new_struct(name: str, **fields: Any) -> Any:
    """A zeroed struct whose `struct_size` is set. The fields are named like the arguments they come from."""
    try:
        return ffi.new(f"{name} *", {"struct_size": ffi.sizeof(name), **fields})
    except OverflowError:
        struct = ffi.new(f"{name} *")
        for field, value in fields.items():
            try:
                setattr(struct, field, value)
            except OverflowError as error:
                raise ArgumentError(c.GLQ_E_INVALID_ARGUMENT, f"{field} is {value}: {error}") from None
        raise
