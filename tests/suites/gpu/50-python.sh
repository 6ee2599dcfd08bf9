# The Python package on the GPU, and glq.torch with PyTorch: streams, memory, captured graphs, two GPUs. In the
# environment of the suite `torch`, or with GLQ_PYTHON, which has PyTorch, transformers, pytest, NumPy and cffi.
python=${GLQ_PYTHON-}
mkdir -p build
if [[ -z $python && -z ${GLQ_PREBUILT-} ]]; then
  if python3 -B tests/python/torch_environment.py build/venv-torch --cuda > build/venv-torch.log 2>&1; then
    python=build/venv-torch/bin/python
  else
    tail -n 20 build/venv-torch.log
  fi
fi
if [[ -z $python ]]; then
  echo "There is no Python with PyTorch (GLQ_PYTHON, or see build/venv-torch.log): Python on the GPU is SKIPPED."
  count 0 0 1
else
  rm -f build/pytest-gpu.xml
  GLQ_LIBRARY=$(realpath "$GLQ_BUILD")/libglq.so.0 PYTHONPATH=$PWD/bindings/python/src${PYTHONPATH+:$PYTHONPATH} \
    "$python" -B -m pytest -q -rs -p no:cacheprovider --junit-xml=build/pytest-gpu.xml \
    tests/python/test_cuda.py tests/python/test_torch.py || true
  count_xml junit build/pytest-gpu.xml
fi
