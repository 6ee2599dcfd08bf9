#!/usr/bin/env python3
"""One promise of the binary interface per call: abi_checks.py CHECK --library libglq.so --archive libglq_internal.a

listed      lib/symbols/glq.sym and the public headers name the same functions
exported    the library exports exactly the functions of the list, with their version nodes
nodes       a version node belongs to a release up to this one
soname      the soname is libglq.so.0
needed      only the C library is needed: no CUDA, no driver, no OpenMP runtime
glibc       nothing newer than the oldest supported glibc is needed
hardened    no executable stack, no text relocations
quiet       the library's own code neither prints nor ends the process
documented  ABI.md names every function
"""
import argparse
import re
import subprocess
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "cmake"))
import glq_headers  # noqa: E402

SONAME = "libglq.so.0"
OLDEST_GLIBC = (2, 36)  # Debian 12
SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
CXX_RUNTIME = {"libstdc++.so.6", "libgcc_s.so.1"}
# Functions and streams that print or end the process. Highway's own abort is among them: our code must not reach it.
# std::terminate is not: the destructor of std::thread refers to it.
FORBIDDEN = re.compile(r"^(abort|exit|_exit|_Exit|quick_exit|__assert_fail|printf|__printf_chk|vprintf|puts|putchar|"
                       r"perror|stdout|stderr|_ZSt4cout|_ZSt4cerr|_ZSt4clog|_ZN3hwy5AbortE.*)$")
# GLQ_LOG, where its user sets it, sends log messages to the standard error stream.
ALLOWED = {("context.cpp.o", "stderr")}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compare(what, expected, actual):
    missing = sorted(set(expected) - set(actual))
    extra = sorted(set(actual) - set(expected))
    if missing or extra:
        sys.exit(f"{what}: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}")
    print(f"{what}: {len(set(actual))} as expected")


def check_listed(_):
    compare("functions of the headers in glq.sym", glq_headers.functions(), glq_headers.symbol_list())


def check_exported(options):
    exported = set()
    for line in output("nm", "-D", "--defined-only", options.library).splitlines():
        _, kind, name = line.split()
        if kind != "A":  # the version nodes themselves
            exported.add(name)
    compare("exported symbols", {f"{name}@@{node}" for name, node in glq_headers.symbol_list().items()}, exported)


def check_nodes(_):
    current = glq_headers.version()[:2]
    for name, node in glq_headers.symbol_list().items():
        release = tuple(int(part) for part in node.split("_")[1].split("."))
        if release > current:
            sys.exit(f"{name}: node {node} is newer than version {current}")
        if name.startswith("glqx_") != node.startswith("GLQX_"):
            sys.exit(f"{name}: experimental functions and no others have a GLQX_ node, not {node}")


def dynamic(options, tag):
    return re.findall(rf"\({tag}\).*\[(.*)\]", output("readelf", "-dW", options.library))


def check_soname(options):
    compare("soname", [SONAME], dynamic(options, "SONAME"))


def check_needed(options):
    allowed = set(SYSTEM_LIBRARIES) if options.static_runtime == "1" else SYSTEM_LIBRARIES | CXX_RUNTIME
    needed = dynamic(options, "NEEDED")
    extra = [name for name in needed if name not in allowed and not name.startswith("ld-linux")]
    if extra or "libc.so.6" not in needed:
        sys.exit(f"needed libraries: {needed}, not allowed: {extra}")
    print(f"needed libraries: {needed}")


def check_glibc(options):
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output("readelf", "-VW", options.library))
    newest = max(tuple(int(part) for part in version) for version in versions)
    if newest > OLDEST_GLIBC:
        sys.exit(f"glibc {newest} is needed, {OLDEST_GLIBC} must be enough")
    print(f"newest glibc needed: {newest}")


def check_hardened(options):
    if "TEXTREL" in output("readelf", "-dW", options.library):
        sys.exit("text relocations")
    stack = re.search(r"GNU_STACK.*\s([RWE ]+)\s+0x\w+$", output("readelf", "-lW", options.library), re.M)
    if not stack or "E" in stack.group(1):
        sys.exit("executable stack")


def check_quiet(options):
    # Inline functions of Highway's and the C++ library's headers are part of our objects, so they are covered too.
    found = set()
    member = "?"
    for line in output("nm", "--undefined-only", options.archive).splitlines():
        if line.endswith(":"):
            member = line[:-1]
            continue
        name = line.split()[-1].split("@")[0] if line.strip() else ""
        if FORBIDDEN.match(name) and (member, name) not in ALLOWED:
            found.add(f"{member}: {name}")
    if found:
        sys.exit("the library's code refers to functions that print or end the process:\n  " + "\n  ".join(sorted(found)))


def check_documented(_):
    page = glq_headers.ROOT / "ABI.md"
    if not page.is_file():
        sys.exit("there is no ABI.md")
    text = page.read_text(encoding="utf-8")
    missing = [name for name in glq_headers.functions() if not re.search(rf"\b{name}\b", text)]
    if missing:
        sys.exit(f"ABI.md does not mention: {', '.join(missing)}")


def main():
    checks = {name[len("check_"):]: function for name, function in globals().items() if name.startswith("check_")}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=sorted(checks))
    parser.add_argument("--library")
    parser.add_argument("--archive")
    parser.add_argument("--static-runtime", default="1")
    options = parser.parse_args()
    checks[options.check](options)


if __name__ == "__main__":
    main()
