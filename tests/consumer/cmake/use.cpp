// The header from C++17: handles in unique_ptr, errors as values, and a function that cannot throw.
#include <glq.h>

#include <cstdio>
#include <cstring>
#include <memory>

namespace {

struct DestroyContext {
  void operator()(glq_context* context) const noexcept { glq_context_destroy(context); }
};
using Context = std::unique_ptr<glq_context, DestroyContext>;

}  // namespace

int main() {
  static_assert(noexcept(glq_version()), "exported functions are noexcept");
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  glq_context* raw = nullptr;
  if (glq_status status = glq_context_create(&desc, &raw); status != GLQ_OK) {
    std::fprintf(stderr, "%s\n", glq_status_string(status));
    return 1;
  }
  Context context(raw);

  glq_context_info info{};
  info.struct_size = sizeof info;
  if (glq_context_get_info(context.get(), &info) != GLQ_OK || info.device.type != GLQ_DEVICE_CPU) return 1;

  // A refused call says why, on this thread.
  if (glq_context_get_info(nullptr, &info) == GLQ_OK) return 1;
  glq_error_info error = GLQ_ERROR_INFO_INIT;
  if (glq_last_error(&error) != GLQ_OK || std::strcmp(error.function, "glq_context_get_info") != 0) return 1;
  return 0;
}
