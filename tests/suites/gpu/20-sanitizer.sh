# The tools of compute-sanitizer over a few launches of every kernel.
#
# cuBLASLt's kernels for sm_90 give two tools reason to complain about others: racecheck reports hazards inside them, so
# that only those count that name a kernel of ours; initcheck does not see what they store by bulk copies, and takes it
# for unwritten where our kernels read it, so that there is no cuBLASLt then, nor what is about it: one case, and where
# the fp16 mode needs it, on all GPUs but those of sm_90, a program.
#
# A program without such launches (it ends with 77) is skipped, not passed.
export LD_LIBRARY_PATH=$(realpath "$GLQ_BUILD") GLQ_GOLDEN_DIR=$PWD/tests/data/golden GLQ_TEST_SMALL=1

# sanitize TOOL PROGRAM
sanitize() {
  local log=$GLQ_BUILD/results/$1-$(basename "$2").txt status=0
  case $1 in
    racecheck)
      compute-sanitizer --tool racecheck --print-limit 100000 "$2" --gtest_brief=1 > "$log" 2>&1 || status=$?
      ! grep -q 'reported between.*glq::\|and .* access at.*glq::' "$log" || status=3
      grep -q 'RACECHECK SUMMARY' "$log" || status=3
      ;;
    initcheck)
      GLQ_TEST_NO_LIBRARY=1 compute-sanitizer --tool initcheck --error-exitcode 3 "$2" --gtest_brief=1 > "$log" 2>&1 || status=$?
      ;;
    *)
      compute-sanitizer --tool "$1" --error-exitcode 3 "$2" --gtest_brief=1 > "$log" 2>&1 || status=$?
      ;;
  esac
  tail -n 40 "$log"
  return "$status"
}

mkdir -p "$GLQ_BUILD/results"
for tool in memcheck racecheck initcheck synccheck; do
  for program in "$GLQ_BUILD"/bin/gpu_*_test; do
    echo "-- $tool $(basename "$program")"
    if [[ $program == *_two_devices_test ]] && (($(nvidia-smi -L | grep -c '^GPU') < 2)); then
      echo "needs two GPUs: skipped"
      count 0 0 1
    elif [[ $program == *_f16_test && $tool == initcheck && $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0) != 9.0 ]]; then
      echo "is about cuBLASLt here: skipped"
      count 0 0 1
    else
      status=0
      sanitize "$tool" "$program" || status=$?
      case $status in
        0) count 1 0 ;;
        77) count 0 0 1 ;;
        *) count 0 1 ;;
      esac
    fi
  done
done
