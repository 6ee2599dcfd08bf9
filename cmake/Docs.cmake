# `docs`: the Doxygen pages of the public headers, in build/docs. A warning is an error.
find_package(Doxygen 1.9 QUIET)
if(DOXYGEN_FOUND)
  set(GLQ_DOCS_DIR "${PROJECT_SOURCE_DIR}/build/docs")
  set(GLQ_DOCS_PAGES "")
  foreach(page README.md ABI.md)
    if(EXISTS "${PROJECT_SOURCE_DIR}/${page}")
      string(APPEND GLQ_DOCS_PAGES " \"${PROJECT_SOURCE_DIR}/${page}\"")
    endif()
  endforeach()
  configure_file(cmake/Doxyfile.in "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${GLQ_DOCS_DIR}"
    COMMAND Doxygen::doxygen "${PROJECT_BINARY_DIR}/Doxyfile"
    COMMENT "Documentation in ${GLQ_DOCS_DIR}/html" VERBATIM)
endif()
