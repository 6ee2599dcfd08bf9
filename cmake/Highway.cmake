# Google Highway 1.2 as the static target `glq_hwy`: an installed static libhwy, GLQ_HIGHWAY_DIR, or the pinned
# sources fetched by fetch_highway.py. Debian 12's package is older and has no static library.
set(GLQ_HIGHWAY_DIR "" CACHE PATH "Folder of Highway 1.2 sources (holds hwy/highway.h); empty: find or fetch")

add_library(glq_hwy INTERFACE)

if(NOT GLQ_HIGHWAY_DIR)
  find_package(hwy 1.2 CONFIG QUIET)
  if(TARGET hwy::hwy)
    get_target_property(kind hwy::hwy TYPE)
    if(kind STREQUAL "STATIC_LIBRARY")
      message(STATUS "Highway: installed static library ${hwy_VERSION}")
      target_link_libraries(glq_hwy INTERFACE hwy::hwy)
      return()
    endif()
  endif()
  set(highway_dir "${GLQ_DEPS_DIR}/highway")
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
  execute_process(COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/fetch_highway.py" "${highway_dir}"
                  RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "Highway 1.2 is neither installed nor could it be fetched (see above).")
  endif()
else()
  set(highway_dir "${GLQ_HIGHWAY_DIR}")
endif()
if(NOT EXISTS "${highway_dir}/hwy/highway.h")
  message(FATAL_ERROR "GLQ_HIGHWAY_DIR: no hwy/highway.h in ${highway_dir}")
endif()
message(STATUS "Highway: sources in ${highway_dir}")

add_library(glq_hwy_static STATIC
  "${highway_dir}/hwy/abort.cc"
  "${highway_dir}/hwy/aligned_allocator.cc"
  "${highway_dir}/hwy/per_target.cc"
  "${highway_dir}/hwy/print.cc"
  "${highway_dir}/hwy/targets.cc"
  "${highway_dir}/hwy/timer.cc")
target_include_directories(glq_hwy_static SYSTEM PUBLIC "${highway_dir}")
target_compile_definitions(glq_hwy_static PUBLIC HWY_STATIC_DEFINE)
target_compile_options(glq_hwy_static PRIVATE -Wno-psabi -ffunction-sections -fdata-sections)
set_target_properties(glq_hwy_static PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_link_libraries(glq_hwy INTERFACE glq_hwy_static)
