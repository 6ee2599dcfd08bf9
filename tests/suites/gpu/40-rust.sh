# The Rust crate on the GPU, with the streams and memory of cudarc: its tests, and the example with a captured graph.
# A machine without cargo runs programs that were built elsewhere, with the features dlopen and cudarc, and put into the
# build directory as rust/gpu_test and rust/cuda_graph.
root=$PWD
log=$root/build/rust-gpu.log
library=$(realpath "$GLQ_BUILD")/libglq.so.0
arguments=(--include-ignored)
if (($(nvidia-smi -L | grep -c '^GPU') < 2)); then
  echo "There is one GPU: the cases for two are skipped."
  arguments+=(--skip two_gpus)
fi
mkdir -p build

rust_test() {
  local status=0 passed failed left_out
  "$@" > "$log" 2>&1 || status=$?
  read -r passed failed left_out < <(
    awk '/^test result:/ {p += $4; f += $6; s += $8 + $12} END {print p + 0, f + 0, s + 0}' "$log")
  if ((status != 0 && failed == 0)) || ((passed + failed == 0)); then failed=1; fi
  ((failed == 0)) || tail -n 80 "$log"
  echo "tests on the GPU: $passed passed, $failed failed, $left_out skipped"
  count "$passed" "$failed" "$left_out"
}

rust_example() { if "$@"; then count 1 0; else count 0 1; fi; }

export GLQ_LIBRARY=$library GLQ_GOLDEN_DIR=$root/tests/data/golden
if [[ -x $GLQ_BUILD/rust/gpu_test ]]; then
  rust_test "$GLQ_BUILD/rust/gpu_test" "${arguments[@]}"
  rust_example "$GLQ_BUILD/rust/cuda_graph"
elif command -v cargo > /dev/null; then
  export CARGO_TARGET_DIR=${CARGO_TARGET_DIR-$root/build/rust} CARGO_TERM_COLOR=never CARGO_BUILD_JOBS=$GLQ_JOBS
  features=(--locked --manifest-path bindings/rust/Cargo.toml -p glq --no-default-features --features dlopen,cudarc)
  rust_test cargo test "${features[@]}" --test gpu -- "${arguments[@]}"
  rust_example cargo run "${features[@]}" --release --quiet --example cuda_graph
else
  echo "There is no cargo here, nor programs of it in the build directory: Rust on the GPU is SKIPPED."
  count 0 0 1
fi
