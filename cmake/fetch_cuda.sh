#!/usr/bin/env bash
# Installs the pinned CUDA toolkit from the Python package index into DEPS/cuda-venv and links it as DEPS/cuda, where
# `GLQ_CUDA=ON` finds it. For machines without nvcc. Needs python3 with venv.
#
# usage: fetch_cuda.sh [DEPS]        (default: build/deps of this tree; a complete installation is left alone)
set -euo pipefail

readonly requirement='cuda-toolkit[nvcc,cudart,cccl,nvvm,crt,cublas]==13.0.2'
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${1:-$root/build/deps}
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)
stamp=$deps/cuda-venv/requirement

if [[ -x $deps/cuda/bin/nvcc && -f $stamp && $(<"$stamp") == "$requirement" ]]; then
  exit 0
fi
echo "fetch_cuda: installing $requirement into $deps/cuda-venv"
rm -rf "$deps/cuda-venv" "$deps/cuda"
python3 -m venv "$deps/cuda-venv"
"$deps/cuda-venv/bin/python" -m pip install --quiet --disable-pip-version-check "$requirement"
toolkit=$(echo "$deps"/cuda-venv/lib/python3*/site-packages/nvidia/cu13)
[[ -x $toolkit/bin/nvcc ]] || { echo "fetch_cuda: no nvcc in $toolkit" >&2; exit 1; }
# CMake's FindCUDAToolkit looks for these two names, which the packages leave out.
ln -sfn lib "$toolkit/lib64"
ln -sfn libcudart.so.13 "$toolkit/lib/libcudart.so"
ln -sfn "$toolkit" "$deps/cuda"
echo "$requirement" > "$stamp"
"$deps/cuda/bin/nvcc" --version | sed -n 's/^Cuda compilation tools/fetch_cuda: nvcc/p'
