# `glq_flags`: what every translation unit of the project is compiled with. Nothing global is changed, so that
# the project can be embedded with add_subdirectory.
add_library(glq_flags INTERFACE)

set(cxx_flags
  -Wall -Wextra
  -ffp-contract=off   # results are exact only if no multiply-add is fused behind our back
  -fvisibility=hidden -fvisibility-inlines-hidden
  -ffunction-sections -fdata-sections
  # Other compilers' vector ABI is nobody's business here: no vector type crosses the ABI.
  -Wno-psabi
  -Wno-missing-field-initializers)  # designated initialisers leave out what is to be zero
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND cxx_flags -Wno-restrict)  # GCC 12 reports std::string's operator+ (its bug 105651)
endif()
if(GLQ_WERROR)
  list(APPEND cxx_flags -Werror)
endif()
target_compile_options(glq_flags INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${cxx_flags}>")

if(GLQ_HAS_CUDA)
  # Kernels write their roundings out with _rn intrinsics; -fmad=false keeps the compiler from contracting the
  # expressions around them. It costs nothing: the hot loops are integer tensor-core code.
  set(cuda_flags -fmad=false --expt-relaxed-constexpr -Xfatbin=-compress-all
    -Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fvisibility=hidden,-ffunction-sections,-fdata-sections,-Wno-psabi,-Wno-missing-field-initializers)
  if(GLQ_WERROR)
    list(APPEND cuda_flags -Werror=all-warnings -Xcompiler=-Werror)
  endif()
  target_compile_options(glq_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_flags}>")
endif()

# GLQ_SANITIZE: "address" (with undefined behaviour) or "thread".
if(GLQ_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(GLQ_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread -fno-omit-frame-pointer)
elseif(GLQ_SANITIZE)
  message(FATAL_ERROR "GLQ_SANITIZE: ${GLQ_SANITIZE} is neither empty, address nor thread")
endif()
if(GLQ_SANITIZE)
  target_compile_options(glq_flags INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${sanitize}>")
  target_link_options(glq_flags INTERFACE ${sanitize})
endif()
