# Unit and API tests under AddressSanitizer and UndefinedBehaviorSanitizer.
export ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
build_preset asan
run_ctest build/asan
