"""What is generated agrees with the C compiler and the library, and a change of the headers is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from conftest import ROOT

import glq
from glq import _constants, _loader
from glq._glq_cffi import ffi

LAYOUT = json.loads((ROOT / "bindings" / "layout" / "layout.json").read_text())


def test_struct_layouts():
    assert len(LAYOUT["structs"]) > 15
    for name, struct in LAYOUT["structs"].items():
        assert ffi.sizeof(name) == struct["size"], name
        assert ffi.alignof(name) == struct["alignment"], name
        for field, place in struct["fields"].items():
            assert ffi.offsetof(name, field) == place["offset"], (name, field)
        described = [field for field, _ in ffi.typeof(name).fields]
        assert described == list(struct["fields"]), name


def test_constants():
    lib = _loader.library()
    assert len(LAYOUT["constants"]) > 80
    for name, value in LAYOUT["constants"].items():
        assert getattr(_constants, name) == value, name
        assert getattr(lib, name) == value, name


def test_every_function_is_exported():
    lib = _loader.library()
    assert len(LAYOUT["functions"]) > 60
    missing = [name for name in LAYOUT["functions"] if not hasattr(lib, name)]
    assert not missing


def test_status_names_match_the_library():
    lib = _loader.library()
    for name, value in LAYOUT["constants"].items():
        if name == "GLQ_OK" or name.startswith("GLQ_E_"):
            assert _loader.text(lib.glq_status_name(value)) == name


def test_version_matches():
    assert glq.__version__ == glq.version()


def test_check_notices_a_changed_header(tmp_path):
    for folder in ("include", "bindings/generators", "bindings/layout"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("bindings/generate.py", "bindings/python/dlpack_cdef.h"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    shutil.copytree(ROOT / "bindings/python/src", tmp_path / "bindings/python/src")
    command = [sys.executable, "-B", str(tmp_path / "bindings/generate.py"), "--check", "--only", "layout",
               "--only", "python"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    header = tmp_path / "include/glq/tensor.h"
    header.write_text(header.read_text().replace("int64_t host_bytes;", "int32_t host_bytes;"))
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "layout.json does not follow" in result.stdout and "_cdef.h does not follow" in result.stdout
