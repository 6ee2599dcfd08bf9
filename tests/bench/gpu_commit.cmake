# Writes OUT, a header with the commit of the tree SOURCE, so that a measurement can name it. Run at every build;
# the file changes only when the commit does. "-dirty": sources of the library or the benchmarks differ from it.
find_program(git git)
set(commit "unknown")
if(git)
  execute_process(COMMAND "${git}" -C "${SOURCE}" rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE head ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(status EQUAL 0)
    set(commit "${head}")
    execute_process(COMMAND "${git}" -C "${SOURCE}" status --porcelain -- include lib kernels tests/bench cmake CMakeLists.txt
                    OUTPUT_VARIABLE changes ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(changes)
      string(APPEND commit "-dirty")
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT "${OUT}" CONTENT "#pragma once\ninline constexpr char kCommit[] = \"@commit@\";\n" @ONLY)
