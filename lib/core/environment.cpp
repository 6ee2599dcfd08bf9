#include "core/environment.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "glq/context.h"

namespace glq {
namespace {

// A program that runs with more rights than its caller must not load what the caller names.
const char* Variable(const char* name) {
#if defined(__GLIBC__)
  const char* value = secure_getenv(name);
#else
  const char* value = std::getenv(name);
#endif
  return value && *value ? value : nullptr;
}

}  // namespace

int32_t ThreadsFromEnvironment() {
  const char* text = Variable("GLQ_NUM_THREADS");
  if (!text) return 0;
  char* end;
  const long n = std::strtol(text, &end, 10);
  if (*end != '\0' || n < 1 || n > kMaxThreads) {
    Fail(GLQ_E_INVALID_ARGUMENT, "GLQ_NUM_THREADS = \"%s\", expected 1 to %d", text, kMaxThreads);
  }
  return static_cast<int32_t>(n);
}

int32_t LogLevelFromEnvironment() {
  const char* text = Variable("GLQ_LOG");
  if (!text) return 0;
  constexpr struct {
    const char* word;
    int32_t level;
  } kWords[] = {
      {"error", GLQ_LOG_ERROR}, {"warning", GLQ_LOG_WARNING}, {"info", GLQ_LOG_INFO}, {"debug", GLQ_LOG_DEBUG}};
  for (const auto& w : kWords) {
    if (std::strcmp(text, w.word) == 0) return w.level;
  }
  Fail(GLQ_E_INVALID_ARGUMENT, "GLQ_LOG = \"%s\", expected error, warning, info or debug", text);
}

const char* CublasLtFromEnvironment() { return Variable("GLQ_CUBLASLT_LIBRARY"); }

}  // namespace glq
