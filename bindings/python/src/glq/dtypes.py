"""Element types and their many spellings."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from . import _constants as c
from ._errors import ArgumentError


class DType(enum.IntEnum):
    """Element type of an array; the values are those of the C header.

    Wherever a function takes a `dtype`, it takes a member of this class, its name in lower case (``"bfloat16"``), the
    short forms ``"f16"``, ``"bf16"``, ``"f32"``..., a NumPy type or dtype (also `ml_dtypes.bfloat16`), or a dtype of
    PyTorch.
    """

    INT8 = c.GLQ_DTYPE_I8
    INT16 = c.GLQ_DTYPE_I16
    INT32 = c.GLQ_DTYPE_I32
    INT64 = c.GLQ_DTYPE_I64
    UINT8 = c.GLQ_DTYPE_U8
    UINT16 = c.GLQ_DTYPE_U16
    FLOAT16 = c.GLQ_DTYPE_F16
    FLOAT32 = c.GLQ_DTYPE_F32
    FLOAT64 = c.GLQ_DTYPE_F64
    BFLOAT16 = c.GLQ_DTYPE_BF16

    def __str__(self) -> str:
        return self.name.lower()

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return (self.value >> 8 & 255) // 8

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of the same bytes: `uint16` for BFLOAT16, which NumPy does not have."""
        return _NUMPY[self.value]

    @classmethod
    def of(cls, spelling: Any) -> DType:
        """The member that `spelling` means. Raises ArgumentError if there is none."""
        if isinstance(spelling, cls):
            return spelling
        found = _SPELLINGS.get(spelling) if isinstance(spelling, (str, type, np.dtype)) else None
        if found is None:
            found = _SPELLINGS.get(_name(spelling))
        if found is None:
            raise ArgumentError(c.GLQ_E_DTYPE, f"dtype {spelling!r} is none of: {', '.join(map(str, cls))}")
        return found


def _name(spelling: Any) -> str:
    if isinstance(spelling, str):
        return spelling.lower()
    text = str(spelling)
    if text.startswith("torch."):
        return text.removeprefix("torch.")
    try:
        dtype = np.dtype(spelling)
    except TypeError:
        return text
    return dtype.name if dtype.isnative else text


_NUMPY: dict[int, np.dtype[Any]] = {
    member.value: np.dtype("uint16" if member is DType.BFLOAT16 else str(member)) for member in DType
}
_CODES: dict[int, DType] = {member.value: member for member in DType}
_SPELLINGS: dict[Any, DType] = {str(member): member for member in DType}
_SPELLINGS.update({member.numpy: member for member in DType if member is not DType.BFLOAT16})
_SPELLINGS.update({member.numpy.type: member for member in DType if member is not DType.BFLOAT16})
_SPELLINGS.update({"f16": DType.FLOAT16, "bf16": DType.BFLOAT16, "f32": DType.FLOAT32, "f64": DType.FLOAT64})
_SPELLINGS.update({"half": DType.FLOAT16, "float": DType.FLOAT32, "double": DType.FLOAT64})
_SPELLINGS.update({"i8": DType.INT8, "i16": DType.INT16, "i32": DType.INT32, "i64": DType.INT64})
_SPELLINGS.update({"u8": DType.UINT8, "u16": DType.UINT16})


def of_code(code: int) -> DType:
    """The member with this number. Raises ArgumentError for one this version does not know."""
    found = _CODES.get(code)
    if found is None:
        raise ArgumentError(c.GLQ_E_DTYPE, f"data type 0x{code:08X} is none of: {', '.join(map(str, DType))}")
    return found
