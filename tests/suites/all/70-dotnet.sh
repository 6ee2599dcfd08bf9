# The .NET binding. With Mono always: its compiler reads the same sources (DllImport in place of LibraryImport), and the
# same tests run with a small stand-in for xunit. With the .NET SDK, where there is one, as a .NET developer would.
out=$PWD/build/dotnet
folder=bindings/dotnet
export GLQ_LIBRARY=$PWD/$GLQ_BUILD/libglq.so.0 GLQ_ROOT=$PWD
rm -rf "$out"
mkdir -p "$out"

if "$GLQ_VENV/bin/python" -B bindings/generate.py --check --only dotnet; then count 1 0; else count 0 1; fi

compile() { mcs -warnaserror -unsafe -optimize+ -langversion:latest "$@"; }

mapfile -t sources < <(find $folder/src/Glq -name '*.cs' ! -path '*/obj/*' | sort)
mapfile -t tests < <(find $folder/tests/{Glq.Tests,Mono} -name '*.cs' ! -path '*/obj/*' | sort)
compile -target:library -doc:"$out/Glq.xml" -out:"$out/Glq.dll" "${sources[@]}"
compile -r:"$out/Glq.dll" -r:System.Core.dll -out:"$out/Glq.Tests.exe" "${tests[@]}"

# mono_tests [FILTER] : runs the tests, shows what failed, and counts; a crash is a failure, and no end is one.
mono_tests() {
  local log=$out/tests.log last rc=0
  timeout 300 mono "$program" "$@" > "$log" 2>&1 || rc=$?
  last=$(tail -n 1 "$log")
  if [[ $last =~ ^([0-9]+)\ ([0-9]+)$ ]] && ((BASH_REMATCH[1] + BASH_REMATCH[2] > 0)); then
    grep -vE '^(ok|run) ' "$log" | head -n -1 || true
    count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  else
    tail -n 40 "$log" >&2
    echo "$program $*: no result (exit code $rc; 124: it had not ended after 300 s)" >&2
    count 0 1
  fi
}
program=$out/Glq.Tests.exe
mono_tests
while IFS= read -r name; do
  mono_tests "EntryTests.$name"
done < <(sed -n 's/^ *public void \([A-Za-z]*\)()$/\1/p' $folder/tests/Glq.Tests/EntryTests.cs)

# The parts for .NET 8, spans among them, as far as Mono can run them: see tests/Net8/build.py.
if "$GLQ_VENV/bin/python" -B $folder/tests/Net8/build.py "$out/net8"; then
  program=$out/net8/Glq.Net8.Tests.exe
  LD_PRELOAD=$GLQ_LIBRARY mono_tests
else
  count 0 1
fi

# expect NAME PATTERN COMMAND... : the command fails and says so.
expect() {
  local name=$1 pattern=$2 text
  shift 2
  if text=$("$@" 2>&1); then
    echo "$name: did not fail" >&2
    count 0 1
  elif [[ $text == *$pattern* ]]; then
    count 1 0
  else
    echo "$name: \"$pattern\" is not in: $text" >&2
    count 0 1
  fi
}

example() {
  local name=$1
  shift
  echo "-- $name"
  if timeout 300 mono "$out/$name.exe" "$@" 2> "$out/$name.err"; then
    count 1 0
  else
    cat "$out/$name.err" >&2
    count 0 1
  fi
}
for source in examples/dotnet/*/Program.cs; do
  compile -r:"$out/Glq.dll" -r:System.Core.dll -out:"$out/$(basename "$(dirname "$source")").exe" "$source"
done
compile -r:"$out/Glq.dll" -out:"$out/CallOverhead.exe" $folder/bench/CallOverhead/Program.cs
example Hello
example QuantizeAndRun
example LoadCheckpoint tests/data/golden/ckpt_e8p_blockdiag
example LoadCheckpoint tests/data/golden/ckpt_e8p_pow2_legacy
example CallOverhead 20000

printf 'unsigned %s(void) { return %s; }\n' glq_abi_version 999 glq_version 1002003 > "$out/other.c"
cc -shared -fPIC -o "$out/other.so" "$out/other.c"
expect "another ABI" "other.so: has ABI version 999 (release 1.2.3); this assembly needs ABI version 0" \
  env GLQ_LIBRARY="$out/other.so" mono "$out/Hello.exe"
expect "a missing file" "/does/not/exist.so: no such file" env GLQ_LIBRARY=/does/not/exist.so mono "$out/Hello.exe"
expect "nothing to be found" "runtimes/linux-x64/native/libglq.so: no such file" \
  env -u GLQ_LIBRARY LD_LIBRARY_PATH= mono "$out/Hello.exe"
expect "a checkpoint that is not there" "errno 2" mono "$out/LoadCheckpoint.exe" /does/not/exist
mkdir -p "$out/runtimes/linux-x64/native"
ln -s "$GLQ_LIBRARY" "$out/runtimes/linux-x64/native/libglq.so"
said=$(env -u GLQ_LIBRARY mono "$out/Hello.exe") || true
if [[ $said == *"from $out/runtimes/linux-x64/native/libglq.so"* ]]; then
  count 1 0
else
  echo "the library beside the assembly was not used: $said" >&2
  count 0 1
fi

if command -v dotnet > /dev/null && [[ -n $(dotnet --list-sdks 2> /dev/null) ]]; then
  rm -rf "$out/results"
  dotnet test $folder/tests/Glq.Tests --artifacts-path "$out/artifacts" --logger "trx;LogFileName=tests.trx" \
    --results-directory "$out/results" || true
  read -r passed failed < <(sed -n 's/.*<Counters .*passed="\([0-9]*\)" failed="\([0-9]*\)".*/\1 \2/p' \
    "$out/results/tests.trx" 2> /dev/null) || { passed=0; failed=1; }
  count "$passed" "$failed"
  for project in examples/dotnet/*/*.csproj; do
    if dotnet build "$project" --artifacts-path "$out/artifacts"; then count 1 0; else count 0 1; fi
  done
  if dotnet pack $folder/src/Glq.Native -p:GlqLibraryFile="$GLQ_LIBRARY" --artifacts-path "$out/artifacts" &&
     dotnet pack $folder/src/Glq --artifacts-path "$out/artifacts"; then count 1 0; else count 0 1; fi
else
  echo "There is no .NET SDK here: its build (net8.0, LibraryImport's generator, xunit, the packages) was SKIPPED;" \
    "the same tests ran with Mono, those of the parts for .NET 8 rewritten for it."
  count 0 0 1
fi
