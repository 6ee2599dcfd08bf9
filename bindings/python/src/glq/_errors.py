"""Exceptions: one class per group of status codes, with the library's own sentence."""

from __future__ import annotations

from typing import Any

from . import _constants as c

_NAMES = {value: name for name, value in vars(c).items() if name == "GLQ_OK" or name.startswith("GLQ_E_")}
_DOMAINS = {c.GLQ_NATIVE_CUDA: "cudaError_t", c.GLQ_NATIVE_CUBLAS: "cublasStatus_t", c.GLQ_NATIVE_OS: "errno"}


class GlqError(Exception):
    """A call failed.

    Attributes:
        status: The number of the C header, such as 101.
        status_name: Its name, such as ``"GLQ_E_SHAPE"``.
        function: The function that failed, or None.
        message: The library's sentence: the argument and both values.
        native_domain: What `native_code` is: ``"cudaError_t"``, ``"cublasStatus_t"``, ``"errno"`` or None.
        native_code: The code of CUDA, cuBLASLt or the operating system, or 0.
    """

    def __init__(
        self,
        status: int,
        message: str,
        function: str | None = None,
        native_domain: str | None = None,
        native_code: int = 0,
    ) -> None:
        self.status = status
        self.status_name = _NAMES.get(status, f"GLQ_E_UNKNOWN ({status})")
        self.message = message
        self.function = function
        self.native_domain = native_domain
        self.native_code = native_code
        super().__init__(status, message, function, native_domain, native_code)

    def __str__(self) -> str:
        where = f"{self.function}: " if self.function else ""
        native = f", {self.native_domain} {self.native_code}" if self.native_domain else ""
        return f"{where}{self.message} [{self.status_name}{native}]"


class ArgumentError(GlqError, ValueError):
    """An argument is wrong (1xx): value, shape, dtype, strides, alignment, device, overlap, a closed object."""


class BadFileError(ArgumentError):
    """A file or a saved state is truncated, malformed or inconsistent."""


class NotFoundError(ArgumentError, LookupError):
    """There is no entry of that name or index."""


class UnsupportedError(GlqError):
    """The call is valid but not supported (2xx): this combination, this GPU, this build, or during graph capture."""


class ResourceError(GlqError):
    """A resource is missing or too small (3xx): workspace, buffer, file access."""


class OutOfMemoryError(ResourceError, MemoryError):
    """The host or the device has no memory left."""


class DeviceError(GlqError, RuntimeError):
    """The device, its driver or an optional library failed (4xx)."""


class InternalError(GlqError, RuntimeError):
    """A defect of the library (5xx). Please report it."""


class CancelledError(GlqError):
    """A callback asked to stop."""


class NumericError(GlqError, ArithmeticError):
    """A matrix cannot be factorised even after damping."""


class LibraryLoadError(ImportError):
    """libglq could not be loaded, or is not the one this package was made for.

    Attributes:
        tried: Each path that was tried, with the reason why it was not used.
    """

    def __init__(self, message: str, tried: list[tuple[str, str]]) -> None:
        self.tried = tried
        self._message = message
        super().__init__("\n  ".join([message, *(f"{path}: {reason}" for path, reason in tried)]))

    def __reduce__(self) -> tuple[Any, ...]:  # an ImportError's own would lack an argument
        return type(self), (self._message, self.tried)


_CLASSES: dict[int, type[GlqError]] = {
    c.GLQ_E_BAD_FILE: BadFileError,
    c.GLQ_E_NOT_FOUND: NotFoundError,
    c.GLQ_E_OUT_OF_HOST_MEMORY: OutOfMemoryError,
    c.GLQ_E_OUT_OF_DEVICE_MEMORY: OutOfMemoryError,
    c.GLQ_E_CANCELLED: CancelledError,
    c.GLQ_E_NUMERIC: NumericError,
}
_GROUPS: dict[int, type[GlqError]] = {
    1: ArgumentError, 2: UnsupportedError, 3: ResourceError, 4: DeviceError, 5: InternalError,
}


def error_class(status: int) -> type[GlqError]:
    """The class for a status; one that is not known is treated by its group."""
    return _CLASSES.get(status) or _GROUPS.get(status // 100, GlqError)


def make_error(status: int, info: Any, text: Any) -> GlqError:
    """The exception for a failed call. `info` is a filled glq_error_info of this thread, `text` reads a C string."""
    if info.status != status:  # the detail is of another call: say what the number alone says
        return error_class(status)(status, "no detail was recorded")
    return error_class(status)(
        status, text(info.message), text(info.function), _DOMAINS.get(info.native_domain), info.native_code
    )
