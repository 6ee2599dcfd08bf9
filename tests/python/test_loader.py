"""Finding the library: the order, and what is said when it is not there or not the right one."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

import glq


def python(code: str, environment: dict[str, str], **changes: str | None) -> subprocess.CompletedProcess[str]:
    merged = {**environment, **{key: value for key, value in changes.items() if value is not None}}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
    return subprocess.run([sys.executable, "-B", "-c", code], env=merged, capture_output=True, text=True)


TRY = """
import glq
try:
    print("loaded", glq.load_library(*{arguments}))
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def package(tmp_path):
    """The package on its own, away from the source tree."""
    shutil.copytree(ROOT / "bindings/python/src/glq", tmp_path / "site/glq",
                    ignore=shutil.ignore_patterns("__pycache__", "lib"))
    return tmp_path / "site"


def test_environment_variable_and_no_other(environment, tmp_path):
    missing = str(tmp_path / "libglq.so")
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY=missing)
    assert result.stdout.startswith("LibraryLoadError") and f"{missing}: no such file" in result.stdout
    assert "libglq.so.0" not in result.stdout


def test_explicit_path_comes_first(environment, tmp_path):
    result = python(TRY.format(arguments=(glq.library_path(),)), environment, GLQ_LIBRARY=str(tmp_path / "none.so"))
    assert result.stdout.strip() == f"loaded {glq.library_path()}"
    assert glq.load_library() == glq.library_path()
    with pytest.raises(glq.LibraryLoadError, match="already been loaded"):
        glq.load_library("/other.so")


def test_packaged_copy(environment, package):
    (package / "glq/lib").mkdir()
    shutil.copy(glq.library_path(), package / "glq/lib/libglq.so")
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY=None, PYTHONPATH=str(package))
    assert result.stdout.strip() == f"loaded {package}/glq/lib/libglq.so"


def test_every_path_is_listed(environment, package):
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY=None, PYTHONPATH=str(package))
    assert result.stdout.startswith("LibraryLoadError")
    assert f"{package}/glq/lib/libglq.so: no such file" in result.stdout
    assert "libglq.so.0: " in result.stdout and "GLQ_LIBRARY" in result.stdout


def test_a_path_with_a_nul_and_one_of_bytes(environment):
    result = python(TRY.format(arguments=(glq.library_path() + "\0x",)), environment)
    assert result.stdout.startswith("LibraryLoadError") and "NUL" in result.stdout
    result = python(TRY.format(arguments=(glq.library_path().encode(),)), environment)
    assert result.stdout.strip() == f"loaded {glq.library_path()}"


def test_not_a_library_and_another_library(environment, tmp_path):
    text = tmp_path / "libglq.so"
    text.write_text("no library")
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY=str(text))
    assert "LibraryLoadError" in result.stdout and str(text) in result.stdout
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY="libc.so.6")
    assert "libc.so.6: not libglq" in result.stdout


@pytest.mark.parametrize("body, text", [
    ("unsigned glq_abi_version(void){return 77;} unsigned glq_version(void){return 99000000;}", "ABI version 77"),
    ("unsigned glq_abi_version(void){return 0;} unsigned glq_version(void){return 7;}", "0.0.7"),
])
def test_other_versions_are_refused(environment, tmp_path, body, text):
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    source, library = tmp_path / "fake.c", tmp_path / "libglq.so"
    source.write_text(body)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    result = python(TRY.format(arguments=()), environment, GLQ_LIBRARY=str(library))
    assert "LibraryLoadError" in result.stdout and text in result.stdout and str(library) in result.stdout
    assert glq.__version__ in result.stdout


def test_the_error_crosses_processes():
    error = glq.LibraryLoadError("not there:", [("/a", "no such file"), ("/b", "no library")])
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is glq.LibraryLoadError and str(other) == str(error) and other.tried == error.tried
    failure = glq.ArgumentError(101, "x", "f", "errno", 2)
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)


def test_importing_needs_no_library(environment):
    result = python("import glq; print(glq.__version__)", environment, GLQ_LIBRARY="/nowhere/libglq.so")
    assert result.stdout.strip() == glq.__version__


def test_command_line_says_it_in_one_go(environment):
    result = subprocess.run([sys.executable, "-B", "-m", "glq", "info"], capture_output=True, text=True,
                            env={**environment, "GLQ_LIBRARY": "/nowhere/libglq.so"})
    assert result.returncode == 2 and "/nowhere/libglq.so: no such file" in result.stderr
    assert "Traceback" not in result.stderr
