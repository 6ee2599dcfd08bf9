#!/usr/bin/env python3
"""What a call costs through each binding: the smallest fused linear (16 x 64, 2 bits, float32, one thread of the CPU).

usage: run.py --library BUILD/libglq.so.0 [--python PYTHON] [--passes N] [--results FOLDER] [--machine TEXT]

Runs one program per language, each of which prints lines of binding, call, tokens and nanoseconds (the best
round). The best of all passes counts. A language whose tools are missing is left out, and said to be. With --results,
FOLDER gets cpu-overhead.csv and cpu-overhead.md.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RUST, DOTNET = ROOT / "bindings/rust", ROOT / "bindings/dotnet"
EXPLANATION = """Nanoseconds per call of the smallest fused linear (16 x 64, 2 bits, float32, one thread of the CPU), at
best. 0 tokens: every check of the call, and no work; that is what a binding costs. 1 token: with the work, about 110
ns here. `glq_abi_version` is an empty function: what the language asks for any call into C. The host is shared, and
fast or slow by turns (1 to 1.6)."""


def c(library: pathlib.Path, work: pathlib.Path, _: str) -> list[str]:
    program = work / "overhead"
    subprocess.run(["cc", "-O2", f"-I{ROOT / 'include'}", HERE / "overhead.c", library,
                    f"-Wl,-rpath,{library.parent}", "-o", program], check=True)
    return [str(program)]


def rust(library: pathlib.Path, _: pathlib.Path, __: str) -> list[str]:
    os.environ["GLQ_DIR"] = str(library.parent)
    os.environ.setdefault("CARGO_TARGET_DIR", str(ROOT / "build/rust"))
    os.chdir(RUST)
    return ["cargo", "run", "--locked", "--quiet", "--release", "-p", "glq", "--example", "call_overhead"]


def python(_: pathlib.Path, __: pathlib.Path, interpreter: str) -> list[str]:
    os.environ["PYTHONPATH"] = str(ROOT / "bindings/python/src")
    return [interpreter, "-B", str(HERE / "overhead.py")]


def mono(_: pathlib.Path, work: pathlib.Path, __: str) -> list[str]:
    compiler = ["mcs", "-unsafe", "-optimize+", "-langversion:latest"]
    sources = sorted(path for path in (DOTNET / "src/Glq").rglob("*.cs") if "obj" not in path.parts)
    subprocess.run([*compiler, "-target:library", f"-out:{work}/Glq.dll", *sources], check=True)
    subprocess.run([*compiler, f"-r:{work}/Glq.dll", f"-out:{work}/CallOverhead.exe",
                    DOTNET / "bench/CallOverhead/Program.cs"], check=True)
    return ["mono", f"{work}/CallOverhead.exe"]


def dotnet(_: pathlib.Path, work: pathlib.Path, __: str) -> list[str]:
    return ["dotnet", "run", "-c", "Release", "--project", str(DOTNET / "bench/CallOverhead"), "--artifacts-path",
            str(work / "artifacts")]


PROGRAMS = {"C": (c, ["cc"]), "Rust": (rust, ["cargo"]), "Python and PyTorch": (python, []),
            ".NET (Mono)": (mono, ["mcs", "mono"]), ".NET": (dotnet, ["dotnet"])}


def measure(library: pathlib.Path, interpreter: str, passes: int) -> list[list[str]]:
    """Rows of binding, call, tokens and nanoseconds: the best of several passes over all the programs, so that all get
    a share of the moments in which the machine is fast."""
    best: dict[tuple[str, str, str], float] = {}
    with contextlib.ExitStack() as stack:
        commands = {}
        for name, (prepare, tools) in PROGRAMS.items():
            missing = [tool for tool in tools if not shutil.which(tool)]
            if missing:
                print(f"{name}: left out, there is no {' and no '.join(missing)}", file=sys.stderr)
                continue
            work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            commands[name] = prepare(library, work, interpreter)
        for number in range(passes):
            for name, command in commands.items():
                print(f"pass {number + 1} of {passes}: {name}", file=sys.stderr)
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                for line in said.splitlines():
                    binding, call, tokens, nanoseconds = line.split("\t")
                    key = (binding, call, tokens)
                    best[key] = min(best.get(key, float("inf")), float(nanoseconds))
    return [[*key, f"{value:.1f}"] for key, value in best.items()]


def table(rows: list[list[str]]) -> str:
    calls: dict[tuple[str, str], dict[str, float]] = {}
    for binding, call, tokens, nanoseconds in rows:
        calls.setdefault((binding, call), {})[tokens] = float(nanoseconds)
    lines = ["| binding | call | 0 tokens | 1 token |", "|---|---|--:|--:|"]
    for (binding, call), found in calls.items():
        text = call if call.startswith("for comparison") else f"`{call}`"
        for note in (" by cffi", " by cffi, structs prepared", ", structs reused"):
            text = text.replace(f"{note}`", f"`{note}")
        first, second = (f"{found[key]:.0f}" if key in found else "" for key in ("0", "1"))
        lines.append(f"| {binding} | {text} | {found.get('', 0):.0f} | |" if "" in found
                     else f"| {binding} | {text} | {first} | {second} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--machine", default="")
    options = parser.parse_args()
    library, results = options.library.resolve(), options.results and options.results.resolve()
    os.environ["GLQ_LIBRARY"] = str(library)
    rows = measure(library, shutil.which(options.python) or options.python, options.passes)
    print(table(rows))
    if results is None:
        return
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    facts = {"commit": commit, "command": f"tests/bench/overhead/run.py --passes {options.passes}",
             "machine": options.machine, "date": datetime.date.today().isoformat()}
    with (results / "cpu-overhead.csv").open("w", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in facts.items())
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["binding", "call", "tokens", "nanoseconds"])
        writer.writerows(rows)
    head = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    (results / "cpu-overhead.md").write_text(f"# What a call costs through each binding\n\n{head}"
                                             f"- as data: cpu-overhead.csv\n\n{EXPLANATION}\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
