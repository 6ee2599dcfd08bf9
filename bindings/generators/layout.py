"""layout.json: size and offset of every struct and value of every constant, as the C compiler sees them.

The numbers come from a compiled program, not from the parser, so they can be held against each language's own idea.
The same program declares every function a second time from the model: a difference is a compile error.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from .model import INCLUDE, ROOT, Function, Model, Type

OUTPUT = ROOT / "bindings" / "layout" / "layout.json"


def c_declarator(type_: Type, name: str) -> str:
    """`type_ name` in C."""
    text = ("const " if type_.pointers[:1] == (True,) else "") + type_.name + " "
    for level in range(len(type_.pointers)):
        text += "*" + ("const " if type_.pointers[level + 1:level + 2] == (True,) else "")
    if type_.name == "DLManagedTensorVersioned":
        text = text.replace(type_.name, "struct " + type_.name)
    return text + name + "".join(f"[{extent}]" for extent in type_.array)


def c_prototype(function: Function) -> str:
    parameters = ", ".join(c_declarator(item.type, item.name) for item in function.parameters) or "void"
    return c_declarator(function.result, f"{function.name}({parameters});")


def _program(model: Model) -> str:
    lines = ['#include "glq.h"', "#include <stddef.h>", "#include <stdio.h>", ""]
    lines += [c_prototype(function) for function in model.functions]
    lines += ["", "#define ALIGNMENT(type) offsetof(struct { char first; type second; }, second)", "int main(void) {"]
    for struct in model.structs:
        lines.append(f'  printf("s {struct.name} %zu %zu\\n", sizeof({struct.name}), ALIGNMENT({struct.name}));')
        for item in struct.fields:
            lines.append(
                f'  printf("f {item.name} %zu %zu\\n", offsetof({struct.name}, {item.name}), '
                f"sizeof((({struct.name} *)0)->{item.name}));"
            )
    for constant in model.constants():
        lines.append(f'  printf("c {constant.name} %lld\\n", (long long){constant.name});')
    return "\n".join([*lines, "  return 0;", "}", ""])


def emit(model: Model, cc: str) -> dict[Path, str]:
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "layout.c", Path(folder) / "layout"
        source.write_text(_program(model), encoding="utf-8")
        subprocess.run([cc, "-std=c99", f"-I{INCLUDE}", "-o", str(binary), str(source)], check=True)
        rows = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout.splitlines()
    structs: dict[str, dict] = {}
    constants: dict[str, int] = {}
    current: dict = {}
    for row in rows:
        kind, name, *numbers = row.split()
        if kind == "s":
            current = structs[name] = {"size": int(numbers[0]), "alignment": int(numbers[1]), "fields": {}}
        elif kind == "f":
            current["fields"][name] = {"offset": int(numbers[0]), "size": int(numbers[1])}
        else:
            constants[name] = int(numbers[0])
    content = {"constants": constants, "structs": structs, "functions": [item.name for item in model.functions]}
    return {OUTPUT: json.dumps(content, indent=1) + "\n"}
