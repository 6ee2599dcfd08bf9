# glq.torch with PyTorch and a Llama of transformers: opcheck, torch.compile, the module, the swap of a model. In an
# environment of its own, so that the suite `python` shows that the package needs no PyTorch. What needs a GPU is
# skipped where there is none.
environment=$PWD/build/venv-torch
log=$PWD/build/venv-torch.log
# Inductor compiles C++ that includes Python.h.
headers=$("$GLQ_VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[[ -f $headers/Python.h ]] || apt_install python3-dev || true
options=()
! have_gpu || options+=(--cuda)
if ! "$GLQ_VENV/bin/python" -B tests/python/torch_environment.py "$environment" "${options[@]}" > "$log" 2>&1; then
  tail -n 20 "$log"
  echo "PyTorch could not be installed (build/venv-torch.log): all tests of glq.torch are SKIPPED."
  count 0 0 1
else
  rm -f build/pytest-torch.xml
  GLQ_LIBRARY=$PWD/$GLQ_BUILD/libglq.so.0 PYTHONPATH=$PWD/bindings/python/src \
    "$environment/bin/python" -B -m pytest -q -p no:cacheprovider --junit-xml=build/pytest-torch.xml \
    tests/python/test_torch.py || true
  count_xml junit build/pytest-torch.xml
fi
