"""What the public headers declare: functions, structs with their fields, and constants.

The headers follow fixed conventions (one declaration per GLQ_API, `typedef struct glq_x { ... } glq_x;`, anonymous
enums), so a small reader is enough and no C parser is needed. Shared by update_symbols.py and the ABI tests.
"""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"
SYMBOLS = ROOT / "lib" / "symbols" / "glq.sym"


def headers():
    return sorted(INCLUDE.rglob("*.h"))


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def code(path):
    """A header without comments, preprocessor lines and line continuations."""
    text = strip_comments(path.read_text(encoding="utf-8")).replace("\\\n", " ")
    return re.sub(r"^[ \t]*#[^\n]*$", "", text, flags=re.M)


def functions():
    """name -> header, for every GLQ_API declaration, in the order of the headers."""
    found = {}
    for path in headers():
        for match in re.finditer(r"\bGLQ_API\b([^;{]*?)\b(\w+)\s*\(", code(path)):
            name = match.group(2)
            if name in found:
                raise SystemExit(f"{path}: {name} is declared twice (also in {found[name]})")
            found[name] = path
    return found


def structs():
    """name -> list of field names, for every struct with a body."""
    found = {}
    for path in headers():
        for match in re.finditer(r"\bstruct\s+(\w+)\s*\{([^{}]*)\}", code(path)):
            fields = []
            for field in match.group(2).split(";"):
                field = field.strip()
                if not field:
                    continue
                pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", field)  # a function pointer
                if pointer:
                    fields.append(pointer.group(1))
                else:
                    first, *rest = field.split(",")
                    for part in [first, *rest]:
                        fields.append(re.search(r"(\w+)\s*(\[[^\]]*\]\s*)*$", part.strip()).group(1))
            found[match.group(1)] = fields
    return found


def enumerators():
    """Names of all enumerators, in order."""
    found = []
    for path in headers():
        for match in re.finditer(r"\benum\s*\w*\s*\{([^{}]*)\}", code(path)):
            for item in match.group(1).split(","):
                if item.strip():
                    found.append(item.split("=")[0].strip())
    return found


def version():
    text = (INCLUDE / "glq" / "base.h").read_text(encoding="utf-8")
    return tuple(int(re.search(rf"^#define GLQ_VERSION_{part} (\d+)$", text, re.M).group(1))
                 for part in ("MAJOR", "MINOR", "PATCH"))


def symbol_list():
    """name -> version node, as checked in."""
    found = {}
    for line in SYMBOLS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, node = line.split()
            if name in found:
                raise SystemExit(f"{SYMBOLS}: {name} is listed twice")
            found[name] = node
    return found
