# Loaded before each suite (see `suites` in ./dev). A suite is tests/suites/{all,gpu}/NN-name.sh: shell code that runs
# in the root of the tree, builds what it needs, and reports with the functions below. Given: GLQ_BUILD (the optimised
# build), GLQ_VENV (the Python environment), GLQ_JOBS.
# shellcheck shell=bash

# count PASSED FAILED [SKIPPED]
count() { echo "$1 $2 ${3-0}" >> "$GLQ_COUNTS"; }

# count_xml KIND PATH : adds what a JUnit file (KIND junit) or a ctest run (KIND ctest, PATH a build directory) says.
count_xml() { python3 -B tests/suites/count.py "$@" >> "$GLQ_COUNTS"; }

# run_ctest DIRECTORY [CTEST ARGUMENTS] : runs the tests of a build directory and counts their cases.
run_ctest() {
  local directory=$1
  shift
  rm -rf "$directory/results" "$directory/ctest.xml"
  ctest --test-dir "$directory" --output-on-failure --no-tests=error --output-junit ctest.xml -j "$GLQ_JOBS" "$@" || true
  count_xml ctest "$directory"
}

# build_preset PRESET [TARGETS] : configures and builds build/PRESET with warnings as errors.
build_preset() {
  local preset=$1
  shift
  cmake --preset "$preset" -DGLQ_WERROR=ON > "build/$preset.configure.log" 2>&1 || { cat "build/$preset.configure.log"; return 1; }
  cmake --build "build/$preset" -j "$GLQ_JOBS" ${1+--target "$@"}
}

have_gpu() { command -v nvidia-smi > /dev/null && nvidia-smi -L 2> /dev/null | grep -q '^GPU'; }

# apt_install PACKAGES... : as root, or with sudo if that asks nothing.
apt_install() {
  local sudo=() log=build/apt-suite.log
  ((EUID == 0)) || sudo=(sudo -n)
  echo "installing Debian packages: $*"
  { "${sudo[@]}" apt-get update -q && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
    --no-install-recommends "$@"; } > "$log" 2>&1 || { tail -n 30 "$log"; return 1; }
}
