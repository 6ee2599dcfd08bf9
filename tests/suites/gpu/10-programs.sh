# Every test program on the GPU. Started directly, not by ctest: the build may have been made on another machine.
export LD_LIBRARY_PATH=$(realpath "$GLQ_BUILD") GLQ_GOLDEN_DIR=$PWD/tests/data/golden
mkdir -p "$GLQ_BUILD/results"
for program in "$GLQ_BUILD"/bin/{unit_*,gpu_*_test}; do
  name=$(basename "$program")
  results=$GLQ_BUILD/results/$name.xml
  rm -f "$results"
  echo "-- $name"
  status=0
  "$program" --gtest_brief=1 "--gtest_output=xml:$results" || status=$?
  if [[ -f $results ]]; then count_xml junit "$results"; else count 0 1; fi
  # GoogleTest ends with 1 when a case failed, which the file says; anything else is a failure of its own.
  ((status <= 1)) || count 0 1
done
