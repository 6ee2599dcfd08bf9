# The Rust crates: generated files, formatting, lints, documentation, tests (linked, and loaded at run time), examples.
# Uses the cargo at hand. Where there is none, Debian 12's rustc-web and cargo-web come from apt: its plain cargo (0.66)
# is too old for the registry's sparse index.
packages=()
command -v cargo > /dev/null || packages+=(cargo-web rustc-web rust-web-clippy rustfmt-web)
# libclang needs the compiler's own headers, too.
{ compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h'; } \
  > /dev/null || [[ -n ${LIBCLANG_PATH-} ]] || packages+=(libclang-dev)
((${#packages[@]} == 0)) || apt_install "${packages[@]}"

root=$PWD
log=$root/build/rust.log
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR-$root/build/rust} GLQ_DIR=$root/$GLQ_BUILD CARGO_TERM_COLOR=never
export CARGO_BUILD_JOBS=$GLQ_JOBS
cargo --version

# step TEXT COMMAND... : one check; shows the output only if it fails.
step() {
  local text=$1
  shift
  if "$@" > "$log" 2>&1; then
    echo "ok: $text"
    count 1 0
  else
    echo "FAILED: $text"
    tail -n 60 "$log"
    count 0 1
  fi
}

# tests TEXT ARGUMENTS... : runs cargo test and counts its cases. Those for GPUs are ignored here: see the suite `rust`
# of `./dev gpu-test`.
tests() {
  local text=$1 status=0 passed failed ignored
  shift
  cargo test --locked --no-fail-fast "$@" > "$log" 2>&1 || status=$?
  read -r passed failed ignored < <(
    awk '/^test result:/ {p += $4; f += $6; i += $8} END {print p + 0, f + 0, i + 0}' "$log")
  if ((status != 0 && failed == 0)); then failed=1; fi
  echo "$text: $passed passed, $failed failed, $ignored skipped"
  ((failed == 0)) || grep -vE '┈' "$log" | tail -n 80
  count "$passed" "$failed" "$ignored"
}

step 'the checked-in bindings follow from the headers' "$GLQ_VENV/bin/python" -B bindings/generate.py --check --only rust
cd bindings/rust
step 'rustfmt' cargo fmt --all --check
step 'clippy, linked' cargo clippy --locked --workspace --all-targets --features glq/half,glq/cudarc -- -D warnings
step 'clippy, loaded at run time' \
  cargo clippy --locked --all-targets --no-default-features --features glq/dlopen,glq/half -- -D warnings
step 'documentation, without the library' env -u GLQ_DIR PKG_CONFIG_LIBDIR=/nonexistent RUSTDOCFLAGS='-D warnings' \
  cargo doc --locked --no-deps --features glq/doc-only,glq/half,glq/cudarc
step 'bindings made while building' \
  cargo check --locked -p glq-sys --no-default-features --features doc-only,generate-bindings

# Nothing to link with is an error that says what to do.
no_library() {
  if env -u GLQ_DIR PKG_CONFIG_LIBDIR=/nonexistent CARGO_TARGET_DIR="$CARGO_TARGET_DIR/none" \
    cargo check --locked -p glq-sys; then return 1; fi 2> "$CARGO_TARGET_DIR/none.log"
  grep -q 'libglq was not found. Set GLQ_DIR' "$CARGO_TARGET_DIR/none.log"
}
step 'no library to link with' no_library

tests 'tests, linked' --features glq/half,glq/cudarc
GLQ_LIBRARY=$GLQ_DIR/libglq.so.0 tests 'tests, loaded at run time' --no-default-features --features glq/dlopen,glq/half

example() { cargo run --locked --quiet --release -p glq --example "$@"; }
step 'example hello' example hello
step 'example quantize_and_run' example quantize_and_run
step 'example load_checkpoint' example load_checkpoint -- "$root/tests/data/golden/ckpt_e8p_blockdiag"
if have_gpu; then
  step 'example cuda_graph' example cuda_graph --features cudarc
else
  # Status 77 says that there is no GPU.
  no_gpu() { local status=0; example cuda_graph --features cudarc || status=$?; ((status == 77)); }
  step 'example cuda_graph, which says that there is no GPU' no_gpu
fi
step 'call overhead' example call_overhead
cat "$log"
