// The line between C and C++. Every exported function that can fail runs inside Boundary: whatever is
// thrown becomes a status and the thread's error detail, and nothing crosses the line.
#pragma once

#include "core/check.h"
#include "core/context.h"
#include "core/handle.h"
#include "core/struct_size.h"
#include "core/tensor.h"
#include "glq.h"

namespace glq::api {

// What a call has found out about itself.
class Call {
 public:
  // Each throws unless `handle` is live and of its kind. The first context seen gets the log message
  // if the call fails.
  template <typename Context>  // glq_context, const or not
  Context& ContextOf(Context* handle) {
    CheckHandle("context", handle, Kind::kContext);
    context_ = handle;
    return *handle;
  }
  template <typename Tensor>
  Tensor& TensorOf(const ArgName& name, Tensor* handle) {
    CheckHandle(name, handle, Kind::kTensor);
    if (!context_) context_ = &*handle->context;
    return *handle;
  }
  template <typename Handle>
  Handle& HandleOf(const char* name, Handle* handle, Kind kind) {
    CheckHandle(name, handle, kind);
    return *handle;
  }
  void Note(const glq_context& context) { context_ = &context; }
  const glq_context* context() const { return context_; }

 private:
  static void CheckHandle(const ArgName& name, const void* handle, Kind kind);
  const glq_context* context_ = nullptr;
};

// Turns the exception in flight into the thread's error detail; tells `context` (may be null).
glq_status RecordFailure(const char* function, const glq_context* context) noexcept;
// For functions that return no status.
void RecordDeadHandle(const char* function, const void* handle, Kind kind) noexcept;

template <typename F>
glq_status Boundary(const char* function, F&& body) noexcept {
  Call call;
  try {
    body(call);
    return GLQ_OK;
  } catch (...) {
    return RecordFailure(function, call.context());
  }
}

// An out-pointer that must hold NULL if the call fails.
template <typename T>
void ClearOut(const char* name, T** out) {
  CheckNotNull(name, out);
  *out = nullptr;
}

// The thread's error detail, for glq_last_error().
void ReadLastError(glq_error_info& info) noexcept;
void ClearLastError() noexcept;

// Name and sentence of a status, null if it is none of ours.
const char* StatusName(glq_status status);
const char* StatusSentence(glq_status status);

// An E8P or dense weight of `context`.
const E8pStorage& E8pOf(Call& call, const glq_context& context, const ArgName& name, const glq_tensor* handle);
const DenseStorage& DenseOf(Call& call, const glq_context& context, const ArgName& name, const glq_tensor* handle);
void CheckDense(const ArgName& name, const glq_tensor& tensor);
void CheckE8p(const ArgName& name, const glq_tensor& tensor);

// The checked math mode of `opts`, which may be null.
int32_t MathModeOf(const glq_launch_opts* opts);
// For operations on which the math mode has no effect.
inline void CheckOpts(const glq_launch_opts* opts) { static_cast<void>(MathModeOf(opts)); }

// Queues an operation. With GLQ_CONTEXT_SYNC_EACH_CALL, waits for it.
template <typename F>
void Launch(const glq_context& context, glq_stream stream, F&& operation) {
  const bool wait = (context.flags() & GLQ_CONTEXT_SYNC_EACH_CALL) != 0;
  if (wait) context.CheckNotCapturing(stream);
  operation(context.backend());
  if (wait) context.backend().Synchronize(stream);
}

}  // namespace glq::api
