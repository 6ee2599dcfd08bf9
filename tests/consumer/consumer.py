#!/usr/bin/env python3
"""One step of the consumer test; see CMakeLists.txt.

install          installs into work/installed, then moves the tree to work/moved, so that no absolute path can hold it
tree             the installed files are the promised ones
headers_c99, headers_c11, headers_cxx17
                 every public header compiles alone, pedantically, without padding in any struct
cmake            a CMake project finds glq::glq and runs, in C and in C++
pkgconfig_c99, pkgconfig_cxx17
                 the same programs built with pkg-config alone
every_function   a C99 program that takes the address of every declared function links and runs
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "cmake"))
import glq_headers  # noqa: E402

STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run([str(part) for part in command], check=True, **options)


class Consumer:
    def __init__(self, options):
        self.options = options
        self.work = pathlib.Path(options.work)
        self.prefix = self.work / "moved"

    def only(self, pattern):
        found = sorted(self.prefix.glob(pattern))
        if len(found) != 1:
            sys.exit(f"{pattern}: expected one file under the prefix, found {found}")
        return found[0]

    def install(self):
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        run(self.options.cmake, "--install", self.options.build, "--prefix", self.work / "installed")
        os.rename(self.work / "installed", self.prefix)

    def tree(self):
        library = self.only("lib*/**/libglq.so.0")
        if not (library.parent / "libglq.so").is_symlink():
            sys.exit("libglq.so is not a link")
        installed = {str(path.relative_to(self.prefix / "include")) for path in (self.prefix / "include").rglob("*.h")}
        expected = {str(path.relative_to(glq_headers.INCLUDE)) for path in glq_headers.headers()}
        if installed != expected:
            sys.exit(f"installed headers {sorted(installed)}, expected {sorted(expected)}")
        for pattern in ("**/glqConfig.cmake", "**/glqConfigVersion.cmake", "**/glq.pc", "share/licenses/glq/LICENSE",
                        "share/licenses/glq/THIRD_PARTY_NOTICES"):
            self.only(pattern)
        for path in self.prefix.rglob("*"):
            if path.suffix in (".cmake", ".pc") and str(self.work) in path.read_text(encoding="utf-8"):
                sys.exit(f"{path} holds the path it was installed to")

    def headers(self, compiler, *flags):
        # A file of its own for each header: the macros of one must not help another.
        suffix = ".cpp" if compiler == self.options.cxx else ".c"
        for path in glq_headers.headers():
            name = path.relative_to(glq_headers.INCLUDE)
            source = self.work / ("alone_" + "_".join(name.with_suffix("").parts) + "_" + flags[0].replace("=", "") + suffix)
            source.write_text(f"#include <{name}>\n#include <{name}>\nint glq_header_is_not_empty;\n", encoding="utf-8")
            run(compiler, *flags, *STRICT, "-Wpadded", "-I", self.prefix / "include", "-fsyntax-only", source)

    def headers_c99(self):
        self.headers(self.options.cc, "-std=c99", "-Wstrict-prototypes", "-Wmissing-prototypes")

    def headers_c11(self):
        self.headers(self.options.cc, "-std=c11")

    def headers_cxx17(self):
        self.headers(self.options.cxx, "-std=c++17", "-Wold-style-cast")

    def cmake(self):
        build = self.work / "cmake"
        run(self.options.cmake, "-G", "Ninja", "-S", HERE / "cmake", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_C_COMPILER={self.options.cc}", f"-DCMAKE_CXX_COMPILER={self.options.cxx}")
        run(self.options.cmake, "--build", build)
        run(build / "use_c")
        run(build / "use_cxx")

    def pkgconfig(self, compiler, source, *flags):
        environment = dict(os.environ, PKG_CONFIG_PATH=str(self.only("**/glq.pc").parent))
        words = subprocess.run(["pkg-config", "--cflags", "--libs", "glq"], check=True, capture_output=True, text=True,
                               env=environment).stdout.split()
        program = self.work / ("pkgconfig_" + pathlib.Path(source).stem + flags[0].replace("=", ""))
        run(compiler, *flags, *STRICT, source, *words, "-o", program)
        run(program, env=dict(os.environ, LD_LIBRARY_PATH=str(self.only("lib*/**/libglq.so.0").parent)))

    def pkgconfig_c99(self):
        self.pkgconfig(self.options.cc, HERE / "cmake" / "use.c", "-std=c99")

    def pkgconfig_cxx17(self):
        self.pkgconfig(self.options.cxx, HERE / "cmake" / "use.cpp", "-std=c++17")

    def every_function(self):
        names = list(glq_headers.functions())
        source = self.work / "every_function.c"
        source.write_text(
            "#include <glq.h>\ntypedef void (*any_function)(void);\nstatic const any_function functions[] = {\n"
            + "".join(f"  (any_function){name},\n" for name in names)
            + "};\nint main(void) {\n  size_t i;\n  for (i = 0; i < sizeof functions / sizeof functions[0]; ++i)\n"
              "    if (!functions[i]) return 1;\n  return 0;\n}\n", encoding="utf-8")
        self.pkgconfig(self.options.cc, source, "-std=c99")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step")
    for name in ("build", "work", "cmake", "cc", "cxx"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    try:
        getattr(Consumer(options), options.step)()
    except subprocess.CalledProcessError as error:
        sys.exit(f"exit status {error.returncode}")


if __name__ == "__main__":
    main()
