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

# check TOOL PROGRAM : one of them, counted
check() {
  local status=0
  echo "-- $1 $(basename "$2")"
  if [[ $2 == *_two_devices_test ]] && (($(nvidia-smi -L | grep -c '^GPU') < 2)); then
    echo "needs two GPUs: skipped"
    count 0 0 1
  elif [[ $2 == *_f16_test && $1 == initcheck && $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0) != 9.0 ]]; then
    echo "is about cuBLASLt here: skipped"
    count 0 0 1
  else
    sanitize "$1" "$2" || status=$?
    case $status in
      0) count 1 0 ;;
      77) count 0 0 1 ;;
      *) count 0 1 ;;
    esac
  fi
}

# They wait for the GPU and for each other's output far more than they compute: as many at a time as half of the
# processors, the slowest tool first. What each says is shown when all have ended.
mkdir -p "$GLQ_BUILD/results"
at_once=$((GLQ_JOBS > 1 ? GLQ_JOBS / 2 : 1))
shown=()
for tool in racecheck initcheck memcheck synccheck; do
  for program in "$GLQ_BUILD"/bin/gpu_*_test; do
    while (($(jobs -rp | wc -l) >= at_once)); do wait -n || true; done
    shown+=("$GLQ_BUILD/results/said-$tool-$(basename "$program").txt")
    check "$tool" "$program" > "${shown[-1]}" 2>&1 &
  done
done
wait
cat "${shown[@]}"
