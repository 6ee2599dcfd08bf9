#include "api/boundary.h"

#include <cstdio>
#include <new>

#include "core/text.h"

namespace glq::api {
namespace {

// Holds its own text: recording a failure allocates nothing.
struct Detail {
  glq_status status;
  int32_t native_domain, native_code;
  const char* function;
  char message[1024];
};

thread_local Detail last;

glq_status Record(const char* function, glq_status status, const char* message, int32_t domain, int32_t code) {
  last.status = status;
  last.native_domain = domain;
  last.native_code = code;
  last.function = function;
  CopyText(last.message, sizeof(last.message), message);
  return status;
}

}  // namespace

glq_status RecordFailure(const char* function, const glq_context* context) noexcept {
  glq_status status;
  try {
    throw;
  } catch (const Error& e) {
    status = Record(function, e.status(), e.what(), e.native_domain(), e.native_code());
  } catch (const std::bad_alloc&) {
    status = Record(function, GLQ_E_OUT_OF_HOST_MEMORY, "a host allocation failed", GLQ_NATIVE_NONE, 0);
  } catch (const std::exception& e) {
    status = Record(function, GLQ_E_INTERNAL, e.what(), GLQ_NATIVE_NONE, 0);
  } catch (...) {
    status = Record(function, GLQ_E_INTERNAL, "an exception of unknown type", GLQ_NATIVE_NONE, 0);
  }
  if (context && context->Logs(GLQ_LOG_ERROR)) context->Log(GLQ_LOG_ERROR, function, last.message);
  return status;
}

void RecordDeadHandle(const char* function, const void* handle, Kind kind) noexcept {
  char text[128];
  std::snprintf(text, sizeof(text), "handle = %p, expected a live %s or NULL", handle, KindName(kind));
  Record(function, GLQ_E_BAD_HANDLE, text, GLQ_NATIVE_NONE, 0);
}

void ReadLastError(glq_error_info& info) noexcept {
  info.status = last.status;
  info.native_domain = last.native_domain;
  info.native_code = last.native_code;
  info.function = last.function ? last.function : "";
  info.message = last.message;
}

void ClearLastError() noexcept { last = {}; }

void Call::CheckHandle(const ArgName& name, const void* handle, Kind kind) {
  if (!handle) FailArg(GLQ_E_INVALID_ARGUMENT, name, " = NULL, expected a %s", KindName(kind));
  if (handles::IsLive(handle, kind)) return;
  for (const Kind other : {Kind::kContext, Kind::kTensor, Kind::kQuantizer, Kind::kCheckpoint}) {
    if (handles::IsLive(handle, other)) {
      FailArg(GLQ_E_BAD_HANDLE, name, " = %p is a %s, expected a %s", handle, KindName(other), KindName(kind));
    }
  }
  FailArg(GLQ_E_BAD_HANDLE, name, " = %p, expected a live %s", handle, KindName(kind));
}

void CheckDense(const ArgName& name, const glq_tensor& tensor) {
  if (!tensor.dense()) {
    FailArg(GLQ_E_UNSUPPORTED, name, ".encoding = %d (E8P), expected %d (dense)", GLQ_ENCODING_E8P, GLQ_ENCODING_DENSE);
  }
}

void CheckE8p(const ArgName& name, const glq_tensor& tensor) {
  if (!tensor.e8p()) {
    FailArg(GLQ_E_UNSUPPORTED, name, ".encoding = %d (dense), expected %d (E8P)", GLQ_ENCODING_DENSE, GLQ_ENCODING_E8P);
  }
}

namespace {

const glq_tensor& WeightOf(Call& call, const glq_context& context, const ArgName& name, const glq_tensor* handle) {
  const glq_tensor& tensor = call.TensorOf(name, handle);
  if (&*tensor.context != &context) {
    FailArg(GLQ_E_DEVICE_MISMATCH, name, " belongs to context %p, expected context = %p",
            static_cast<const void*>(&*tensor.context), static_cast<const void*>(&context));
  }
  return tensor;
}

}  // namespace

const E8pStorage& E8pOf(Call& call, const glq_context& context, const ArgName& name, const glq_tensor* handle) {
  const glq_tensor& tensor = WeightOf(call, context, name, handle);
  CheckE8p(name, tensor);
  return *tensor.e8p();
}

const DenseStorage& DenseOf(Call& call, const glq_context& context, const ArgName& name, const glq_tensor* handle) {
  const glq_tensor& tensor = WeightOf(call, context, name, handle);
  CheckDense(name, tensor);
  return *tensor.dense();
}

int32_t MathModeOf(const glq_launch_opts* opts) {
  if (!opts) return GLQ_MATH_EXACT;
  const glq_launch_opts o = ReadStruct("opts", opts);
  if (o.flags != 0) Fail(GLQ_E_INVALID_ARGUMENT, "opts.flags = 0x%x, expected 0", o.flags);
  if (o.math_mode != GLQ_MATH_EXACT && o.math_mode != GLQ_MATH_FP16_EXPANDED) {
    Fail(GLQ_E_INVALID_ARGUMENT, "opts.math_mode = %d, expected %d or %d", o.math_mode, GLQ_MATH_EXACT,
         GLQ_MATH_FP16_EXPANDED);
  }
  if (o.reserved != 0) Fail(GLQ_E_INVALID_ARGUMENT, "opts.reserved = %u, expected 0", o.reserved);
  return o.math_mode;
}

}  // namespace glq::api
