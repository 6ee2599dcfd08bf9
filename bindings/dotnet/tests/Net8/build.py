#!/usr/bin/env python3
"""Compiles the sources and the tests as .NET 8 sees them, with Mono's compiler, where there is no SDK.

usage: build.py FOLDER      makes FOLDER/Glq.Net8.Tests.exe; to be run with libglq in LD_PRELOAD

Mono has spans, so what differs is little, and is rewritten: a generated LibraryImport becomes a DllImport of what the
process has loaded, a span is pinned by its reference, and what Mono's class library lacks is in Net8.cs. This is not
the SDK's build: it says nothing of the code that LibraryImport generates, of analyzers, packages or NativeAOT.
"""

import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOTNET = HERE.parents[1]
REWRITE = [
    (r"\[LibraryImport\(Library\)\]", r'[DllImport("__Internal")]'),
    (r"public static partial (?!class)", "public static extern "),
    (r"fixed \(byte\* (\w+) = ([\w.]+)\.Bytes\)",
     r"fixed (byte* \1 = &System.Runtime.InteropServices.MemoryMarshal.GetReference(\2.Bytes))"),
    (r"stackalloc float\[(\d+)\]", r"new float[\1]"),
    (r"\(nint\)", "(IntPtr)"),
    (r"MemoryMarshal\.GetArrayDataReference\(", "Net8.DataOf("),
    # Mono's marshaller does not let go of the handles before a disposed one, so that context stays open.
    (r"\[Fact\]\s+(?=public void DisposedObjects\(\))", ""),
    (r"^#if !NET8_0_OR_GREATER\n(?=using System;\nusing System.Globalization)", "#if true\n"),
]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = []
    for part in ("src/Glq", "tests/Glq.Tests", "tests/Mono", "tests/Net8"):
        for path in sorted((DOTNET / part).rglob("*.cs")):
            if {"obj", "bin"} & set(path.parts):
                continue
            text = path.read_text(encoding="utf-8")
            for pattern, replacement in REWRITE:
                text = re.sub(pattern, replacement, text)
            target = folder / str(path.relative_to(DOTNET)).replace("/", ".")
            target.write_text(text, encoding="utf-8")
            written.append(target)
    command = ["mcs", "-unsafe", "-langversion:latest", "-define:NET8_0_OR_GREATER", "-r:System.Core.dll", "-warnaserror",
               "-nowarn:626,649,169,414", f"-out:{folder / 'Glq.Net8.Tests.exe'}", *written]
    sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
