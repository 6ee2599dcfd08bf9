# The checked-in bindings follow from the headers, and the Python package works with the optimised library; glq.torch
# has a suite of its own.
if "$GLQ_VENV/bin/python" -B bindings/generate.py --check --except rust; then count 1 0; else count 0 1; fi
rm -f build/pytest.xml
GLQ_LIBRARY=$PWD/$GLQ_BUILD/libglq.so.0 PYTHONPATH=$PWD/bindings/python/src \
  "$GLQ_VENV/bin/python" -B -m pytest -q -p no:cacheprovider --junit-xml=build/pytest.xml \
  --ignore=tests/python/test_torch.py tests/python || true
count_xml junit build/pytest.xml
