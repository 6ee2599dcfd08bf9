"""Rust: the bindings by bindgen, and the table that the test holds against layout.json.

Needs cargo and libclang (Debian: cargo-web, rustc-web and libclang-dev).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .model import INCLUDE, ROOT, Model

WORKSPACE = ROOT / "bindings" / "rust"
SYS = WORKSPACE / "glq-sys"

RESERVED = {"type": "type_"}  # bindgen's way with Rust's keywords


def _bindings() -> str:
    if shutil.which("cargo") is None:
        raise SystemExit("the Rust bindings need cargo (Debian: cargo-web and rustc-web); --except rust leaves them out")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "bindings.rs"
        command = ["cargo", "run", "--quiet", "--locked", "--package", "glq-bindgen", "--", str(INCLUDE), str(output)]
        result = subprocess.run(command, cwd=WORKSPACE, capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"the Rust bindings could not be made (--except rust leaves them out):\n{result.stderr}")
        return output.read_text(encoding="utf-8")


def _layout_table(model: Model) -> str:
    lines = [
        "// Made from include/glq.h by bindings/generate.py. Do not edit.",
        "",
        "pub(super) const STRUCTS: &[Struct] = &[",
    ]
    for struct in model.structs:
        lines.append(f"    layout_of!({struct.name} {{")
        lines += [f"        {RESERVED.get(item.name, item.name)}," for item in struct.fields]
        lines.append("    }),")
    lines += ["];", "", "pub(super) const CONSTANTS: &[(&str, i64)] = &["]
    lines += [f'    ("{item.name}", {item.name} as i64),' for item in model.constants()]
    return "\n".join([*lines, "];", ""])


def emit(model: Model, cc: str) -> dict[Path, str]:
    return {
        SYS / "src" / "bindings.rs": _bindings(),
        SYS / "tests" / "layout_table" / "mod.rs": _layout_table(model),
    }
