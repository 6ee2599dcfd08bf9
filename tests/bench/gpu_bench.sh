#!/usr/bin/env bash
# Runs the GPU benchmarks and writes what they measured to DIR/<gpu>-<topic>.{csv,md,png}; see --help.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here

usage() {
  cat <<'TXT'
usage: ./dev gpu-bench [--topics linear,gemv,model] [--results DIR] [--quick] [ARGUMENTS]

  --topics   which benchmarks (default: these three; "parts" shows where the time of a linear goes)
  --results  where the results go (default: build/bench-results; those worth keeping go to tests/bench/results)
  --quick    fewer shapes, widths and batches; for a look, not for the record

Other arguments go to every benchmark that runs: --device N, --replays N, --no-check, --cublaslt PATH, --dtype f16 for
all; --shapes, --bits, --tokens where the benchmark has them (`--topics linear --help` lists them).
Python with matplotlib (GLQ_PYTHON, default python3) draws the plot; without matplotlib only the tables are written.
TXT
}

build=$1
shift
topics=linear,gemv,model
results=$here/../../build/bench-results
arguments=()
while (($#)); do
  case $1 in
    --topics) topics=${2:?--topics needs a value}; shift 2 ;;
    --topics=*) topics=${1#*=}; shift ;;
    --results) results=${2:?--results needs a value}; shift 2 ;;
    --results=*) results=${1#*=}; shift ;;
    -h | --help)
      if [[ $topics == *,* ]]; then usage; exit 0; fi
      arguments+=(--help); shift ;;
    *) arguments+=("$1"); shift ;;
  esac
done

python=${GLQ_PYTHON-python3}
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1 | tr '[:upper:] ' '[:lower:]-' | sed 's/^nvidia-//')
mkdir -p "$results"
for topic in ${topics//,/ }; do
  program=$build/bin/gpu_${topic}_bench
  [[ -x $program ]] || { echo "gpu-bench: no program for topic \"$topic\" in $build/bin" >&2; exit 2; }
  csv=$results/$gpu-$topic.csv
  printf '\n== %s\n' "gpu_${topic}_bench"
  "$program" --csv "$csv" ${arguments[@]+"${arguments[@]}"}
  [[ -f $csv ]] || continue  # --help
  "$python" -B "$here/plot_tables.py" "$csv" > "${csv%.csv}.md"
  echo "results: $csv and ${csv%.csv}.md"
  if [[ $topic == linear ]]; then
    if "$python" -c 'import matplotlib' 2> /dev/null; then
      "$python" -B "$here/plot_roofline.py" "$csv" "${csv%.csv}.png"
      echo "plot: ${csv%.csv}.png"
    else
      echo "plot: none, $python has no matplotlib"
    fi
  fi
done
