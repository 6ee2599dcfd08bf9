# Every test program on the GPU. Started directly, not by ctest: the build may have been made on another machine.
export LD_LIBRARY_PATH=$(realpath "$GLQ_BUILD") GLQ_GOLDEN_DIR=$PWD/tests/data/golden
mkdir -p "$GLQ_BUILD/results"
# run PROGRAM NAME ARGUMENTS...
run() {
  local program=$1 results=$GLQ_BUILD/results/$2.xml status=0
  echo "-- $2"
  shift 2
  rm -f "$results"
  "$program" --gtest_brief=1 "--gtest_output=xml:$results" "$@" || status=$?
  if [[ -f $results ]]; then count_xml junit "$results"; else count 0 1; fi
  # GoogleTest ends with 1 when a case failed, which the file says; anything else is a failure of its own.
  ((status <= 1)) || count 0 1
}
for program in "$GLQ_BUILD"/bin/{unit_*,gpu_*_test}; do run "$program" "$(basename "$program")"; done
# In a process of its own: what a lazy context leaves undone, any other has done.
GLQ_TEST_LAZY=1 run "$GLQ_BUILD/bin/gpu_linear_test" gpu_lazy --smoke
