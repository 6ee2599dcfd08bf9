#!/usr/bin/env python3
"""Makes everything in the bindings that follows from the C headers. The results are checked in.

    python3 bindings/generate.py            write what differs
    python3 bindings/generate.py --check    write nothing; exit 1 and name the files that differ

Needs a C compiler and cffi (which brings pycparser); some outputs need more, see their module in generators/.
A further output is a module with `emit(model, cc) -> {path: text}` and a line in EMITTERS.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from generators import cffi_module, csharp, layout, rust  # noqa: E402
from generators.model import ROOT, read_headers  # noqa: E402

EMITTERS = {
    "layout": layout.emit,
    "python": cffi_module.emit,
    "rust": rust.emit,
    "dotnet": csharp.emit,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is checked in, write nothing")
    parser.add_argument("--only", action="append", choices=sorted(EMITTERS), help="this output only; may be repeated")
    parser.add_argument("--except", dest="left_out", action="append", default=[], choices=sorted(EMITTERS),
                        help="all but this output; may be repeated")
    parser.add_argument("--cc", default="cc", help="C compiler (default: cc)")
    arguments = parser.parse_args()

    model = read_headers(arguments.cc)
    different = 0
    for name in arguments.only or EMITTERS:
        if name in arguments.left_out:
            continue
        for path, text in EMITTERS[name](model, arguments.cc).items():
            old = path.read_text(encoding="utf-8") if path.exists() else ""
            if old == text:
                continue
            different += 1
            shown = path.relative_to(ROOT)
            if not arguments.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"wrote {shown}")
                continue
            print(f"{shown} does not follow from the headers any more; run bindings/generate.py")
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), "checked in", "generated", lineterm="", n=1)
            for number, line in enumerate(lines):
                if number == 20:
                    print("  ...")
                    break
                print("  " + line[:200])
    return 1 if arguments.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
