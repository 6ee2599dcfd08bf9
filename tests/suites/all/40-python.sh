# The checked-in bindings follow from the headers, and the Python package works with the optimised library.
if "$GLQ_VENV/bin/python" -B bindings/generate.py --check --except rust; then count 1 0; else count 0 1; fi
folders=()
for folder in bindings/python/tests tests/python; do
  if compgen -G "$folder/test_*.py" > /dev/null; then folders+=("$folder"); fi
done
if ((${#folders[@]})); then
  rm -f build/pytest.xml
  GLQ_LIBRARY=$PWD/$GLQ_BUILD/libglq.so.0 PYTHONPATH=$PWD/bindings/python/src \
    "$GLQ_VENV/bin/python" -B -m pytest -q -p no:cacheprovider --junit-xml=build/pytest.xml "${folders[@]}" || true
  count_xml junit build/pytest.xml
fi
