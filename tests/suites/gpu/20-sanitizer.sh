# The tools of compute-sanitizer over a few launches of every kernel.
export LD_LIBRARY_PATH=$(realpath "$GLQ_BUILD") GLQ_GOLDEN_DIR=$PWD/tests/data/golden GLQ_TEST_SMALL=1
for tool in memcheck racecheck initcheck synccheck; do
  for program in "$GLQ_BUILD"/bin/gpu_*_test; do
    echo "-- $tool $(basename "$program")"
    if [[ $program == *_two_devices_test ]] && (($(nvidia-smi -L | grep -c '^GPU') < 2)); then
      echo "needs two GPUs: skipped"
      count 0 0 1
      continue
    fi
    if compute-sanitizer --tool "$tool" --error-exitcode 3 "$program" --gtest_brief=1; then
      count 1 0
    else
      count 0 1
    fi
  done
done
