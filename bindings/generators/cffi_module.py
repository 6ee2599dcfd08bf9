"""Python: the cffi declarations, the out-of-line ABI-mode module made from them, and the constants as plain integers."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import cffi

from .model import ROOT, Constant, Model

PACKAGE = ROOT / "bindings" / "python" / "src" / "glq"
DLPACK = ROOT / "bindings" / "python" / "dlpack_cdef.h"


def _cdef(model: Model) -> str:
    macros = "".join(f"#define {macro.name} {macro.value}\n" for macro in model.macros)
    return (
        "/* Made from include/glq.h by bindings/generate.py. Do not edit. */\n"
        + macros
        + DLPACK.read_text(encoding="utf-8")
        + model.declarations
    )


def _module(cdef: str) -> str:
    ffi = cffi.FFI()
    ffi.set_source("glq._glq_cffi", None)
    ffi.cdef(cdef)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "_glq_cffi.py"
        with contextlib.redirect_stdout(io.StringIO()):  # cffi says what it writes
            ffi.emit_python_code(str(target))
        return target.read_text(encoding="utf-8")


def _summary(constant: Constant) -> str:
    text = constant.doc.removeprefix("@brief").strip()
    return " ".join(text.split("\n\n")[0].replace("#", "").split())


def _constants(model: Model) -> str:
    lines = ['"""The constants of the C header. Made from include/glq.h by bindings/generate.py; do not edit."""', ""]
    lines += ["from typing import Final", ""]
    for constant in model.constants():
        lines.append(f"{constant.name}: Final = {constant.value}")
        if _summary(constant):
            lines.append('"""' + _summary(constant).replace("\\", "\\\\") + '"""')
    return "\n".join(lines) + "\n"


def emit(model: Model, cc: str) -> dict[Path, str]:
    cdef = _cdef(model)
    return {
        PACKAGE / "_cdef.h": cdef,
        PACKAGE / "_glq_cffi.py": _module(cdef),
        PACKAGE / "_constants.py": _constants(model),
    }
