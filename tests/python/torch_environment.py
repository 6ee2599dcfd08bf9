#!/usr/bin/env python3
"""Makes a virtual environment with PyTorch and transformers for the tests of glq.torch.

usage: torch_environment.py FOLDER [--cuda]

With --cuda it is PyTorch as pip installs it (5 GB). Without, it is for a machine without a GPU: the package index has
only the wheel for CUDA, which is linked with libraries of 2.7 GB that nothing calls on such a machine. They are left
out, and libraries with their names and functions stand in; each of these functions ends the process, so that none can
be called unnoticed (1.6 GB). A finished environment is kept until this file or the wish changes.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TORCH = "torch==2.11.0"
COMMON = ["numpy==2.4.6", "cffi==2.1.1", "safetensors==0.8.0", "pytest==9.2.0", "tokenizers==0.23.3",
          "transformers==5.23.0"]
WITHOUT_CUDA = ["filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec", "setuptools<82"]
# Small, and really called: whether there is a device, and by the profiler when it starts.
REAL = ["nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
# What is linked without versions of symbols, by the beginnings of its functions.
UNVERSIONED = {"cuFile": "libcufile.so.0", "cusparseLt": "libcusparseLt.so.0", "nccl": "libnccl.so.2",
               "curand": "libcurand.so.10"}


def run(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def needed(libraries: list[pathlib.Path]) -> set[str]:
    text = "".join(run("readelf", "-d", "-W", library) for library in libraries)
    return set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", text))


def missing_functions(libraries: list[pathlib.Path], absent: set[str]) -> dict[str, dict[str, set[str]]]:
    """Functions that the libraries take from absent ones: {library: {version: names}}."""
    owners, found = {}, collections.defaultdict(lambda: collections.defaultdict(set))
    for library in libraries:
        owner = ""
        for line in run("readelf", "-V", "-W", library).splitlines():
            if match := re.search(r"File: (\S+)", line):
                owner = match[1]
            elif (match := re.search(r"Name: (\S+)\s+Flags", line)) and owner in absent:
                owners[match[1]] = owner
    for library in libraries:
        for line in run("readelf", "--dyn-syms", "-W", library).splitlines():
            cells = line.split()
            if len(cells) < 8 or cells[6] != "UND":
                continue
            name, _, version = cells[7].partition("@")
            if version in owners:
                found[owners[version]][version].add(name)
            elif not version:
                for start, owner in UNVERSIONED.items():
                    if name.startswith(start):
                        found[owner][""].add(name)
    return found


def stand_in(name: str, versions: dict[str, set[str]], folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        source, script = pathlib.Path(work, "stand_in.c"), pathlib.Path(work, "versions")
        functions = sorted(set().union(*versions.values()))
        source.write_text("".join(f"void {function}(void) {{ __builtin_trap(); }}\n" for function in functions))
        command = ["cc", "-shared", "-fPIC", "-nostdlib", "-w", source, f"-Wl,-soname,{name}", "-o", folder / name]
        if any(versions):
            script.write_text("".join(f"{version} {{ {'; '.join(sorted(names))}; }};\n"
                                      for version, names in versions.items() if version))
            command.append(f"-Wl,--version-script={script}")
        run(*command)


def leave_cuda_out(folder: pathlib.Path, pip: list[object]) -> None:
    run(*pip, *WITHOUT_CUDA)
    run(*pip, "--no-deps", TORCH, *REAL)
    packages = next(folder.glob("lib/python3*/site-packages"))
    # libcaffe2_nvrtc is opened by nobody without a GPU.
    own = [path for path in (packages / "torch/lib").glob("*.so*") if "nvrtc" not in path.name]
    present = {path.name for path in own} | {path.name for path in packages.glob("nvidia/*/lib/*.so*")}
    absent = {name for name in needed(own) - present if re.match(r"lib(cu|nccl|nvshmem)", name)}
    functions = missing_functions(own, absent)
    for name in absent:
        stand_in(name, functions.get(name) or {"": set()}, packages / "torch/lib")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cuda", action="store_true")
    options = parser.parse_args()
    folder, stamp = options.folder, options.folder / "finished"
    wish = f"{hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()} {options.cuda} {sys.version}"
    if stamp.is_file() and stamp.read_text() == wish:
        return
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin/python"
    pip: list[object] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
                         "--progress-bar", "off"]
    run(*pip, *COMMON)
    if options.cuda:
        run(*pip, TORCH)
    else:
        leave_cuda_out(folder, pip)
    run(python, "-c", "import torch, transformers; torch.ones(2, 3) @ torch.ones(3, 2); torch.cuda.is_available()")
    stamp.write_text(wish)


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"torch_environment.py: {error}")
