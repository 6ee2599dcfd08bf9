# The installed tree: headers, libglq.so.0, the CMake package glq::glq and a relocatable glq.pc.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS glq EXPORT glqTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE THIRD_PARTY_NOTICES DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/glq")

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/glq")
install(EXPORT glqTargets NAMESPACE glq:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/glqConfig.cmake.in "${PROJECT_BINARY_DIR}/glqConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/glqConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/glqConfig.cmake" "${PROJECT_BINARY_DIR}/glqConfigVersion.cmake"
  DESTINATION "${package_dir}")

# The prefix in glq.pc is found from where the file itself lies.
file(RELATIVE_PATH GLQ_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" GLQ_PC_PREFIX "${GLQ_PC_PREFIX}")
configure_file(cmake/glq.pc.in "${PROJECT_BINARY_DIR}/glq.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/glq.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
