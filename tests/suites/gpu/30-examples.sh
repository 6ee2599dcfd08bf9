# The example with streams and a captured graph; skipped where the build was made without the examples.
program=$GLQ_BUILD/examples/example_graph
if [[ ! -x $program ]]; then
  count 0 0 1
elif LD_LIBRARY_PATH=$(realpath "$GLQ_BUILD") "$program"; then
  count 1 0
else
  count 0 1
fi
