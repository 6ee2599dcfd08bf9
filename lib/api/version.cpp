// glq/version.h
#include <string>

#include "api/boundary.h"
#include "build_config.h"
#include "core/backend.h"
#include "cpu/targets.h"
#include "platform/fork.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

namespace {

std::string DescribeBuild() {
  std::string text = "glq " + std::to_string(GLQ_VERSION_MAJOR) + "." + std::to_string(GLQ_VERSION_MINOR) + "." +
                     std::to_string(GLQ_VERSION_PATCH) + "\nabi: " + std::to_string(GLQ_ABI_VERSION);
  const auto line = [&](const char* key, const std::string& value) {
    text += std::string("\n") + key + ": " + (value.empty() ? "none" : value);
  };
  line("compiler", kBuildCompiler);
  line("build type", kBuildType);
  line("sanitizer", kBuildSanitizer);
  line("simd", cpu::SimdTargets());
  line("cuda", cuda::BuildDescription());
  return text;
}

}  // namespace

uint32_t glq_version(void) GLQ_NOEXCEPT { return GLQ_VERSION; }

uint32_t glq_abi_version(void) GLQ_NOEXCEPT { return GLQ_ABI_VERSION; }

const char* glq_build_info(void) GLQ_NOEXCEPT {
  try {
    return MadeOnce<DescribeBuild>().c_str();  // callers may hold it until the end of the process
  } catch (...) {
    return "glq";
  }
}

glq_status glq_get_cuda_info(glq_cuda_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckStruct("info", info);
    glq_cuda_info found = GLQ_CUDA_INFO_INIT;
    cuda::FillCudaInfo(&found);
    WriteStruct(info, found);
  });
}

const char* glq_status_name(glq_status status) GLQ_NOEXCEPT {
  const char* name = StatusName(status);
  return name ? name : "GLQ_E_UNKNOWN";
}

const char* glq_status_string(glq_status status) GLQ_NOEXCEPT {
  if (const char* sentence = StatusSentence(status)) return sentence;
  switch (status / 100) {
    case 1:
      return "A problem with the caller's arguments that this header does not know.";
    case 2:
      return "Something unsupported that this header does not know.";
    case 3:
      return "A lack of resources that this header does not know.";
    case 4:
      return "A problem of the device or driver that this header does not know.";
    case 5:
      return "An internal or numerical problem that this header does not know.";
    default:
      return "Not a status of this library.";
  }
}

glq_status glq_last_error(glq_error_info* info) GLQ_NOEXCEPT {
  if (!info) return GLQ_E_INVALID_ARGUMENT;
  if (info->struct_size < kFirstSize<glq_error_info> || info->struct_size > kMaxStructSize) return GLQ_E_STRUCT_SIZE;
  glq_error_info found = GLQ_ERROR_INFO_INIT;
  ReadLastError(found);
  WriteStruct(info, found);
  return GLQ_OK;
}

void glq_clear_error(void) GLQ_NOEXCEPT { ClearLastError(); }
