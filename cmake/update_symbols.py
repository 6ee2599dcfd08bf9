#!/usr/bin/env python3
"""Brings lib/symbols/glq.sym up to date with the public headers.

New functions are appended under the node of the current version. A function that is gone from the headers is an
error, because a released symbol never goes; --prune removes it all the same, which is right only before its release.
With --check nothing is written and a difference is an error.
"""
import argparse
import sys

import glq_headers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--prune", action="store_true", help="remove names that the headers no longer declare")
    options = parser.parse_args()

    declared = glq_headers.functions()
    listed = glq_headers.symbol_list()
    major, minor, _ = glq_headers.version()
    added = [name for name in declared if name not in listed]
    gone = [name for name in listed if name not in declared]
    if gone and not options.prune:
        sys.exit(f"{glq_headers.SYMBOLS.name}: listed but not declared in any public header: {', '.join(gone)}")
    if options.check:
        if added:
            sys.exit(f"{glq_headers.SYMBOLS.name}: declared but not listed: {', '.join(added)} "
                     "(cmake/update_symbols.py adds them)")
        print(f"{len(listed)} symbols, all declared")
        return
    lines = [line for line in glq_headers.SYMBOLS.read_text(encoding="utf-8").splitlines()
             if line.startswith("#") or line and line.split()[0] not in gone]
    for name in added:
        prefix = "GLQX" if name.startswith("glqx_") else "GLQ"
        lines.append(f"{name} {prefix}_{major}.{minor}")
    glq_headers.SYMBOLS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"added {len(added)}, removed {len(gone)}, {len(listed) + len(added) - len(gone)} listed")


if __name__ == "__main__":
    main()
