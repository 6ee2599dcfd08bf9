# Every example as a newcomer meets it: the program of the build, the compile line at the top of its source against an
# installed copy of the library, the Python examples, and the code blocks of README.md.
work=$PWD/build/examples-suite
rm -rf "$work"
mkdir -p "$work/examples" "$work/readme"
cmake --install "$GLQ_BUILD" --prefix "$work/prefix" > "$work/install.log"
library_folder=$(dirname "$(find "$work/prefix" -name libglq.so.0)")
export PKG_CONFIG_PATH=$library_folder/pkgconfig LD_LIBRARY_PATH=$library_folder
export GLQ_LIBRARY=$PWD/$GLQ_BUILD/libglq.so.0 PYTHONPATH=$PWD/bindings/python/src PYTHONDONTWRITEBYTECODE=1

# example NAME COMMAND... : runs it and counts it. Status 77 means that this machine lacks what it needs.
example() {
  local name=$1 status=0
  shift
  echo "-- $name"
  timeout 300 "$@" || status=$?
  case $status in
    0) count 1 0 ;;
    77) count 0 0 1 ;;
    *) echo "$name: exit status $status" >&2; count 0 1 ;;
  esac
}

# block LANGUAGE : the first code block of README.md in that language.
block() { awk -v fence="\`\`\`$1" '$0 == "```" && inside {exit} inside {print} $0 == fence {inside = 1}' README.md; }

python=$GLQ_VENV/bin/python
golden=$PWD/tests/data/golden
cp -r examples/c "$work/examples/"
ln -s "$PWD/tests" "$work/tests"

# A checkpoint by the Python tool, for the C example to read.
"$python" - "$work/dense.safetensors" <<'PY'
import sys
import numpy as np
from safetensors.numpy import save_file
rng = np.random.default_rng(3)
shapes = {"block.up.weight": (200, 100), "block.down.weight": (100, 200), "block.down.bias": (100,)}
save_file({name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}, sys.argv[1])
PY
example "python -m glq quantize" "$python" -m glq quantize "$work/dense.safetensors" "$work/quantized" --bits 3

for source in examples/c/*.c; do
  name=$(basename "$source" .c)
  program=$GLQ_BUILD/examples/example_$name
  if [[ $name == load_checkpoint ]]; then
    for checkpoint in "$golden/ckpt_e8p_blockdiag" "$golden/ckpt_e8p_pow2_legacy" "$work/quantized"; do
      example "$name $(basename "$checkpoint")" "$program" "$checkpoint"
    done
  else
    example "$name" "$program"
  fi
  # The indented lines of the first comment are shell.
  line=$(awk '/\*\// {exit} /^ \*   / {sub(/^ \*   /, ""); print}' "$source")
  example "$name, by its own line" bash -euc "cd '$work/examples/c'; ${line:-false}"
done
for program in "$GLQ_BUILD"/examples/example_graph; do
  [[ ! -x $program ]] || example graph "$program"
done

for source in examples/python/*.py; do
  example "$source" "$python" "$source"
done
example "examples/python/load_checkpoint.py golden" "$python" examples/python/load_checkpoint.py "$golden/ckpt_e8p_blockdiag"

block c > "$work/readme/example.c"
block cmake > "$work/readme/CMakeLists.txt"
block python > "$work/readme/example.py"
readme_c=("$golden/ckpt_e8p_blockdiag" model.layers.0.mlp.up_proj)
read -ra flags < <(pkg-config --cflags --libs glq)
cc -Wall -Wextra -Werror "$work/readme/example.c" "${flags[@]}" -o "$work/readme/example" || true
example "README: C with pkg-config" "$work/readme/example" "${readme_c[@]}"
cmake -G Ninja -S "$work/readme" -B "$work/readme/build" -DCMAKE_PREFIX_PATH="$work/prefix" > "$work/readme/cmake.log" \
  && cmake --build "$work/readme/build" >> "$work/readme/cmake.log" || cat "$work/readme/cmake.log"
example "README: C with CMake" "$work/readme/build/example" "${readme_c[@]}"
example "README: Python" "$python" "$work/readme/example.py"
