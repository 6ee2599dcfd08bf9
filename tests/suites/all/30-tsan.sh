# The tests of threads and parallel loops under ThreadSanitizer.
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
build_preset tsan glq_thread_tests
run_ctest build/tsan -L threads
