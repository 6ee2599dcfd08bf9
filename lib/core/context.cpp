#include "core/context.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/borrowed_threads.h"
#include "core/environment.h"
#include "core/error.h"
#include "core/tensor.h"

namespace glq {
namespace {

constexpr uint32_t kKnownFlags = GLQ_CONTEXT_LAZY | GLQ_CONTEXT_SYNC_EACH_CALL;

glq_allocator HostAllocator() {
  return {nullptr,
          [](void*, size_t bytes, size_t alignment, int32_t) -> void* {
            void* ptr = nullptr;
            return posix_memalign(&ptr, alignment, bytes) == 0 ? ptr : nullptr;
          },
          [](void*, void* ptr, size_t, int32_t) { std::free(ptr); }};
}

// What GLQ_LOG asks for. Nothing is written where it is not set.
void LogToStderr(void*, int32_t level, const char* category, const char* message) {
  constexpr const char* kNames[] = {"", "error", "warning", "info", "debug"};
  std::fprintf(stderr, "glq %s: %s: %s\n", kNames[level], category, message);
}

glq_device CheckedDevice(const glq_device& given) {
  const glq_device device{given.type == 0 ? int32_t{GLQ_DEVICE_CPU} : given.type, given.index};
  if (device.type != GLQ_DEVICE_CPU && device.type != GLQ_DEVICE_CUDA) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.device.type = %d, expected %d (CPU) or %d (CUDA)", device.type, GLQ_DEVICE_CPU,
         GLQ_DEVICE_CUDA);
  }
  if (device.type == GLQ_DEVICE_CPU && device.index != 0) {
    Fail(GLQ_E_NO_DEVICE, "desc.device.index = %d, expected 0 for the CPU", device.index);
  }
  if (device.index < 0) Fail(GLQ_E_NO_DEVICE, "desc.device.index = %d, expected at least 0", device.index);
  return device;
}

void CheckDesc(const glq_context_desc& desc) {
  if (desc.flags & ~kKnownFlags) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.flags = 0x%x, expected no bits but 0x%x", desc.flags, kKnownFlags);
  }
  if (desc.reserved != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.reserved = %u, expected 0", desc.reserved);
  if (desc.num_threads < 0 || desc.num_threads > kMaxThreads) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.num_threads = %d, expected 0 to %d", desc.num_threads, kMaxThreads);
  }
  if (const glq_allocator* a = desc.allocator) {
    if (!a->alloc) Fail(GLQ_E_INVALID_ARGUMENT, "desc.allocator->alloc = NULL, expected a function");
    if (!a->free) Fail(GLQ_E_INVALID_ARGUMENT, "desc.allocator->free = NULL, expected a function");
  }
  if (const glq_logger* l = desc.logger) {
    if (!l->log) Fail(GLQ_E_INVALID_ARGUMENT, "desc.logger->log = NULL, expected a function");
    if (l->level < GLQ_LOG_ERROR || l->level > GLQ_LOG_DEBUG) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.logger->level = %d, expected %d to %d", l->level, GLQ_LOG_ERROR,
           GLQ_LOG_DEBUG);
    }
    if (l->reserved != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.logger->reserved = %u, expected 0", l->reserved);
  }
  if (const glq_threading* t = desc.threading) {
    if (!t->parallel_for) Fail(GLQ_E_INVALID_ARGUMENT, "desc.threading->parallel_for = NULL, expected a function");
    if (t->max_parallelism < 1 || t->max_parallelism > kMaxThreads) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.threading->max_parallelism = %d, expected 1 to %d", t->max_parallelism,
           kMaxThreads);
    }
    if (t->reserved != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.threading->reserved = %u, expected 0", t->reserved);
  }
}

std::unique_ptr<Parallel> MakeParallel(const glq_context_desc& desc) {
  if (desc.threading) return BorrowThreads(*desc.threading);
  return MakeThreadPool(desc.num_threads > 0 ? desc.num_threads : ThreadsFromEnvironment());
}

}  // namespace

bool ParseDevice(const char* text, glq_device* device) {
  if (std::strcmp(text, "cpu") == 0) {
    *device = {GLQ_DEVICE_CPU, 0};
    return true;
  }
  if (std::strncmp(text, "cuda", 4) != 0) return false;
  text += 4;
  int32_t index = 0;
  if (*text != '\0') {
    const char* end = text + std::strlen(text);
    if (text[0] != ':' || text[1] < '0' || text[1] > '9') return false;
    const auto [stop, error] = std::from_chars(text + 1, end, index);
    if (error != std::errc() || stop != end) return false;
  }
  *device = {GLQ_DEVICE_CUDA, index};
  return true;
}

}  // namespace glq

glq_context::glq_context(const glq_context_desc& desc) : device_(glq::CheckedDevice(desc.device)), flags_(desc.flags) {
  using namespace glq;
  CheckDesc(desc);
  if (desc.logger) {
    logger_ = *desc.logger;
  } else if (const int32_t level = LogLevelFromEnvironment()) {
    logger_ = {nullptr, LogToStderr, level, 0};
  }
  const bool on_cuda = device_.type == GLQ_DEVICE_CUDA;
  const glq_allocator allocator = desc.allocator ? *desc.allocator
                                  : on_cuda      ? cuda::DefaultAllocator(device_.index)
                                                 : HostAllocator();
  parallel_ = MakeParallel(desc);
  if (on_cuda) {
    glq_device_info info{};
    cuda::FillDeviceInfo(device_.index, &info);  // throws where there is no such device
  }
  memory_ = std::make_unique<Memory>(allocator, desc.allocator == nullptr, on_cuda ? device_.index : -1);
  if (on_cuda) {
    const char* library = desc.cublaslt_library ? desc.cublaslt_library : CublasLtFromEnvironment();
    backend_ = cuda::MakeBackend(device_.index, *memory_, flags_, library);
  } else {
    backend_ = MakeCpuBackend(*memory_, *parallel_);
  }
  char text[96];
  std::snprintf(text, sizeof(text), on_cuda ? "created on cuda:%d" : "created on the CPU, %d threads",
                on_cuda ? device_.index : parallel_->workers());
  Log(GLQ_LOG_INFO, "context", text);
}

glq_context::~glq_context() {
  while (ReleaseOnce(true)) {  // a release function may destroy further tensors
  }
  backend_.reset();
  parallel_.reset();
  memory_.reset();
  Log(GLQ_LOG_INFO, "context", "destroyed");
  if (destroyed_) destroyed_(destroyed_user_);
}

void glq_context::Bury(std::unique_ptr<glq_tensor> tensor) noexcept {
  if (device_.type == GLQ_DEVICE_CPU) return;
  const std::lock_guard lock(buried_mutex_);
  tensor->next_buried = buried_;
  buried_ = tensor.release();
}

void glq_context::ReleaseBuried() noexcept { ReleaseOnce(false); }

bool glq_context::ReleaseOnce(bool at_the_end) noexcept {
  if (device_.type == GLQ_DEVICE_CPU) return false;
  // Only what is there before the wait: another thread, or a release function, may destroy a tensor with work of its
  // own on the way.
  glq_tensor* dead;
  {
    const std::lock_guard lock(buried_mutex_);
    dead = std::exchange(buried_, nullptr);
  }
  const uint64_t last_block = memory_->LastWaiting();
  if (!dead && last_block == 0) return false;
  if (!backend_->WaitForDevice() && !at_the_end) {
    while (dead) {
      glq_tensor* tensor = std::exchange(dead, dead->next_buried);
      const std::lock_guard lock(buried_mutex_);
      tensor->next_buried = buried_;
      buried_ = tensor;
    }
    return false;
  }
  {
    const glq::Memory::Finished finished(*memory_);
    // Without a lock: release functions may destroy.
    while (dead) {
      std::unique_ptr<glq_tensor> tensor(std::exchange(dead, dead->next_buried));
      const glq::cuda::ScopedDevice device(memory_->IsLost() ? -1 : device_.index);
      tensor.reset();
    }
  }
  memory_->Drain(last_block);
  return true;
}

void glq_context::CheckStream(glq_stream stream) const {
  if (device_.type == GLQ_DEVICE_CPU && stream) {
    glq::Fail(GLQ_E_INVALID_ARGUMENT, "stream = %p, expected NULL on a CPU context", stream);
  }
}

void glq_context::CheckNotCapturing(glq_stream stream) const {
  CheckStream(stream);
  if (backend_->IsCapturing(stream)) {
    glq::Fail(GLQ_E_UNSUPPORTED_WHILE_CAPTURING, "stream = %p is capturing a graph, expected a stream that is not",
              stream);
  }
}
