"""Reads the public headers into a small model that every emitter works from.

The headers are preprocessed by the C compiler and parsed by pycparser (which cffi brings along); the documentation
comments, which a C parser drops, are found by the line of the declaration they belong to.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pycparser import c_ast, c_generator, c_parser

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
HEADER = INCLUDE / "glq.h"

# pycparser reads standard C only, so the system's headers are replaced by the few types that ours use.
STANDARD_HEADERS = {
    "stddef.h": "typedef unsigned long size_t;\n#define NULL ((void*)0)\n",
    "stdint.h": "#define UINTPTR_MAX 0xFFFFFFFFFFFFFFFFu\n" + "".join(
        f"typedef {base} {name};\n"
        for base, name in [
            ("signed char", "int8_t"), ("short", "int16_t"), ("int", "int32_t"), ("long", "int64_t"),
            ("unsigned char", "uint8_t"), ("unsigned short", "uint16_t"), ("unsigned int", "uint32_t"),
            ("unsigned long", "uint64_t"), ("long", "intptr_t"), ("unsigned long", "uintptr_t"),
        ]
    ),
}


@dataclass(frozen=True)
class Type:
    """A C type: `name`, then one flag per pointer level (innermost first: is what it points to const?), then extents."""

    name: str
    pointers: tuple[bool, ...] = ()
    array: tuple[int, ...] = ()


@dataclass(frozen=True)
class Variable:
    """A parameter, or a field of a struct."""

    name: str
    type: Type
    doc: str = ""


@dataclass(frozen=True)
class Constant:
    name: str
    value: int
    doc: str = ""


@dataclass(frozen=True)
class Enum:
    """A documented group of constants; the values travel as plain integers, never as this type."""

    name: str
    constants: tuple[Constant, ...]
    doc: str = ""


@dataclass(frozen=True)
class Typedef:
    """A plain alias, such as glq_status."""

    name: str
    type: Type
    doc: str = ""


@dataclass(frozen=True)
class Struct:
    name: str
    fields: tuple[Variable, ...]
    doc: str = ""


@dataclass(frozen=True)
class Opaque:
    name: str
    doc: str = ""


@dataclass(frozen=True)
class Function:
    """An exported function, or (in Model.callbacks) the type of a function pointer."""

    name: str
    result: Type
    parameters: tuple[Variable, ...]
    doc: str = ""


@dataclass
class Model:
    """Everything the headers declare, each list in the order of the headers."""

    macros: list[Constant] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)
    typedefs: list[Typedef] = field(default_factory=list)
    opaques: list[Opaque] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    callbacks: list[Function] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    declarations: str = ""  # the same as plain C, without preprocessor lines and attributes

    def constants(self) -> list[Constant]:
        return self.macros + [constant for enum in self.enums for constant in enum.constants]


class _Comments:
    """Finds the documentation comment of a declaration."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def _file(self, name: str) -> list[str]:
        if name not in self.lines:
            self.lines[name] = Path(name).read_text(encoding="utf-8").splitlines()
        return self.lines[name]

    @staticmethod
    def _clean(text: str) -> str:
        text = re.sub(r"^\s*/\*\*<?|\*/\s*$", "", text.strip())
        lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in text.splitlines()]
        return "\n".join(lines).strip()

    def before(self, coord) -> str:
        """The comment block that ends on a line just above."""
        lines, end = self._file(coord.file), coord.line - 2
        if end < 0 or not lines[end].rstrip().endswith("*/"):
            return ""
        start = end
        while start > 0 and "/**" not in lines[start]:
            start -= 1
        text = "\n".join(lines[start:end + 1])
        return "" if text.lstrip().startswith("/**<") or not text.lstrip().startswith("/**") else self._clean(text)

    def after(self, coord) -> str:
        """The `/**<` comment that begins on the same line, else the block above."""
        lines, index = self._file(coord.file), coord.line - 1
        at = lines[index].find("/**<")
        if at < 0:
            return self.before(coord)
        text = lines[index][at:]
        while "*/" not in text:
            index += 1
            text += "\n" + lines[index]
        return self._clean(text[:text.index("*/") + 2])


def _preprocess(cc: str) -> tuple[str, list[Constant]]:
    """The headers as pycparser likes them, and the macros that are plain integers."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in STANDARD_HEADERS.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [cc, "-E", "-std=c99", "-nostdinc", "-isystem", folder, f"-I{INCLUDE}", "-D__attribute__(x)="]
        text = subprocess.run([*command, str(HEADER)], check=True, capture_output=True, text=True).stdout
        defines = subprocess.run([*command, "-dD", str(HEADER)], check=True, capture_output=True, text=True).stdout
    macros, where, line = [], "", 0
    comments = _Comments()
    for row in defines.splitlines():
        marker = re.match(r'# (\d+) "([^"]*)"', row)
        if marker:
            line, where = int(marker.group(1)), marker.group(2)
            continue
        macro = re.match(r"#define (GLQ_\w+) (0x[0-9a-fA-F]+|\d+)[uU]?$", row)
        if macro:
            coord = type("Coord", (), {"file": where, "line": line})
            macros.append(Constant(macro.group(1), int(macro.group(2), 0), comments.before(coord)))
        line += 1
    return text, macros


class _Reader:
    def __init__(self, macros: list[Constant]) -> None:
        self.model = Model(macros=macros)
        self.comments = _Comments()
        self.values = {macro.name: macro.value for macro in macros}

    def value(self, node) -> int:
        if isinstance(node, c_ast.Constant):
            return int(node.value.rstrip("uUlL"), 0)
        if isinstance(node, c_ast.ID):
            return self.values[node.name]
        if isinstance(node, c_ast.UnaryOp) and node.op == "-":
            return -self.value(node.expr)
        if isinstance(node, c_ast.BinaryOp) and node.op == "<<":
            return self.value(node.left) << self.value(node.right)
        raise SystemExit(f"{node.coord}: the value of a constant is not a plain number")

    def type(self, node) -> Type:
        array: list[int] = []
        while isinstance(node, c_ast.ArrayDecl):
            array.append(self.value(node.dim))
            node = node.type
        pointers: list[bool] = []
        while isinstance(node, c_ast.PtrDecl):
            pointers.insert(0, "const" in (node.type.quals or []))
            node = node.type
        if not isinstance(node, c_ast.TypeDecl):
            raise SystemExit(f"{node.coord}: declare a typedef for this type")
        inner = node.type
        name = inner.name if isinstance(inner, c_ast.Struct) else " ".join(inner.names)
        return Type(name, tuple(pointers), tuple(array))

    def parameters(self, node: c_ast.FuncDecl) -> tuple[Variable, ...]:
        found = [Variable(item.name or "", self.type(item.type)) for item in (node.args.params if node.args else [])]
        return () if found == [Variable("", Type("void"))] else tuple(found)

    def function(self, node, name: str, doc: str) -> Function:
        return Function(name, self.type(node.type), self.parameters(node), doc)

    def struct(self, node: c_ast.Struct, doc: str) -> None:
        fields = tuple(Variable(item.name, self.type(item.type), self.comments.after(item.coord)) for item in node.decls)
        self.model.structs.append(Struct(node.name, fields, doc))

    def typedef(self, node: c_ast.Typedef) -> None:
        inner = node.type
        if isinstance(inner, c_ast.PtrDecl) and isinstance(inner.type, c_ast.FuncDecl):
            self.model.callbacks.append(self.function(inner.type, node.name, self.comments.before(node.coord)))
            return
        if isinstance(inner, c_ast.TypeDecl) and isinstance(inner.type, c_ast.Struct):
            if inner.type.decls is None:
                self.model.opaques.append(Opaque(node.name, self.comments.before(node.coord)))
            else:
                # The coordinates of the typedef are those of its name; the struct's are those of its first line.
                self.struct(inner.type, self.comments.before(inner.type.coord))
            return
        self.model.typedefs.append(Typedef(node.name, self.type(inner), self.comments.before(node.coord)))

    def enum(self, node: c_ast.Enum) -> None:
        constants, following = [], 0
        for item in node.values.enumerators:
            value = self.value(item.value) if item.value is not None else following
            following = value + 1
            self.values[item.name] = value
            constants.append(Constant(item.name, value, self.comments.after(item.coord)))
        self.model.enums.append(Enum(node.name or "", tuple(constants), self.comments.before(node.coord)))

    def read(self, node) -> None:
        if isinstance(node, c_ast.Typedef):
            self.typedef(node)
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
            self.model.functions.append(self.function(node.type, node.name, self.comments.before(node.coord)))
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.Enum):
            self.enum(node.type)
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.Struct) and node.type.decls is None:
            self.model.opaques.append(Opaque(node.type.name, self.comments.before(node.coord)))
        else:
            raise SystemExit(f"{node.coord}: do not know what to do with this declaration")


def read_headers(cc: str = "cc") -> Model:
    """The model of include/glq.h and all it includes."""
    text, macros = _preprocess(cc)
    tree = c_parser.CParser().parse(text, filename=str(HEADER))
    reader, printer, printed = _Reader(macros), c_generator.CGenerator(), []
    for node in tree.ext:
        if not str(node.coord.file).startswith(str(INCLUDE)):
            continue
        reader.read(node)
        printed.append(printer.visit(node).rstrip().rstrip(";") + ";")
    reader.model.declarations = "\n".join(printed) + "\n"
    return reader.model
