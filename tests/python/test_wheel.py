"""The wheel: carries the library, fits every Python 3, works in an empty virtual environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

import glq


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    for module in ("scikit_build_core", "pip"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder),
         "--config-settings", f"build-dir={folder}/build",
         "--config-settings", f"cmake.define.GLQ_PYTHON_LIBRARY={os.path.abspath(glq.library_path())}",
         str(ROOT / "bindings" / "python")],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_contents(wheel):
    assert wheel.name.startswith(f"glq-{glq.__version__}-py3-none-linux_")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.getinfo("glq/lib/libglq.so").file_size == os.path.getsize(glq.library_path())
    assert {"glq/py.typed", "glq/_glq_cffi.py", "glq/LICENSE", "glq/THIRD_PARTY_NOTICES"} <= set(names)
    assert [name for name in names if ".so" in name or name.endswith(".h")] == ["glq/lib/libglq.so"]


def test_empty_virtual_environment(wheel, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "GLQ_LIBRARY")}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], check=True,
                   env=environment)
    code = "import glq; print(glq.library_path())"
    path = subprocess.run([python, "-c", code], check=True, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert path.stdout.strip().endswith("site-packages/glq/lib/libglq.so")
    for example in sorted((ROOT / "examples" / "python").glob("*.py")):
        subprocess.run([python, str(example)], check=True, env=environment, capture_output=True, cwd=tmp_path)
    command = subprocess.run([tmp_path / "venv" / "bin" / "glq", "info"], env=environment, capture_output=True, text=True)
    assert command.returncode == 0 and str(tmp_path) in command.stdout
