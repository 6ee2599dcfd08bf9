# The tools of compute-sanitizer over the programs that test kernels.
for tool in memcheck racecheck initcheck synccheck; do
  for program in "$GLQ_BUILD"/bin/cuda_*; do
    echo "-- $tool $(basename "$program")"
    if GLQ_TEST_SMALL=1 LD_LIBRARY_PATH=$PWD/$GLQ_BUILD GLQ_TEST_DATA=$PWD/tests/data \
        compute-sanitizer --tool "$tool" --error-exitcode 3 "$program" --gtest_brief=1; then
      count 1 0
    else
      count 0 1
    fi
  done
done
