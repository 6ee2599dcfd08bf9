// A context: one device, its backend, the caller's allocator, logger and threads.
#pragma once

#include <memory>
#include <mutex>

#include "core/backend.h"
#include "core/handle.h"
#include "core/memory.h"
#include "glq.h"

struct glq_context {
 public:
  // Checks `desc` and reads the environment. Throws.
  explicit glq_context(const glq_context_desc& desc);
  ~glq_context();

  glq::Shared counts;

  const glq_device& device() const { return device_; }
  uint32_t flags() const { return flags_; }
  glq::Memory& memory() const { return *memory_; }
  glq::Backend& backend() const { return *backend_; }
  // For work of the host that is no operation: the quantizer. Of the same size as the backend's.
  glq::Parallel& parallel() const { return *parallel_; }
  int32_t device_memory_kind() const { return device_.type == GLQ_DEVICE_CUDA ? GLQ_MEMORY_CUDA : GLQ_MEMORY_HOST; }

  bool Logs(int32_t level) const { return logger_.log && level <= logger_.level; }
  void Log(int32_t level, const char* category, const char* message) const noexcept {
    if (Logs(level)) logger_.log(logger_.user, level, category, message);
  }

  // The destroyed callback; set when nothing can fail any more.
  void OnDestroyed(glq_release_fn destroyed, void* user) { destroyed_ = destroyed, destroyed_user_ = user; }

  // Takes a tensor whose last reference is gone. What it holds is released at once on the CPU, and else
  // when ReleaseBuried finds the device done with it.
  void Bury(std::unique_ptr<glq_tensor> tensor) noexcept;
  // What was buried or freed before this call. May wait for the device; does nothing while a stream of the calling
  // thread captures.
  void ReleaseBuried() noexcept;

  // NULL on a CPU context; throws otherwise.
  void CheckStream(glq_stream stream) const;
  void CheckNotCapturing(glq_stream stream) const;

 private:
  // False where there was nothing to release, or nothing was done. at_the_end: even if the device cannot be waited for.
  bool ReleaseOnce(bool at_the_end) noexcept;

  glq_device device_{};
  uint32_t flags_ = 0;
  glq_logger logger_{};
  std::unique_ptr<glq::Memory> memory_;
  std::unique_ptr<glq::Parallel> parallel_;
  std::unique_ptr<glq::Backend> backend_;
  std::mutex buried_mutex_;
  glq_tensor* buried_ = nullptr;  // a list, guarded by the mutex
  glq_release_fn destroyed_ = nullptr;
  void* destroyed_user_ = nullptr;
};

namespace glq {

using ContextRef = Ref<glq_context>;

// "cpu", "cuda" or "cuda:N"; false if `text` is none of them.
bool ParseDevice(const char* text, glq_device* device);

}  // namespace glq
