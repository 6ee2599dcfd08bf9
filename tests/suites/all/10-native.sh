# The optimised build: unit, API, ABI, consumer and documentation tests.
run_ctest "$GLQ_BUILD"
