"""Which functions the public headers declare, and the checked-in list of exported symbols.

Every exported function is marked with GLQ_API, so the standard library is enough to find them: the build and its tests
need no C parser. Shared by update_symbols.py, tests/abi and tests/consumer.
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
