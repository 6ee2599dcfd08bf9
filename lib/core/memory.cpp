#include "core/memory.h"

#include <algorithm>

#include "core/error.h"

namespace glq {
namespace {

constexpr size_t kAlignment = 256;

}  // namespace

void* Memory::Alloc(size_t bytes, int32_t kind) {
  if (bytes == 0) return nullptr;
  const bool host = kind == GLQ_MEMORY_HOST;
  if (!host) {
    CheckNotLost();
    // Room for the block to wait in: Free must not fail.
    const std::lock_guard lock(mutex_);
    const size_t needed = waiting_.size() + live_device_blocks_ + 1;
    if (waiting_.capacity() < needed) waiting_.reserve(std::max(needed, 2 * waiting_.capacity()));
    ++live_device_blocks_;
  }
  void* ptr = nullptr;
  {
    const cuda::ScopedDevice device(host ? -1 : device_);
    ptr = allocator_.alloc(allocator_.user, bytes, kAlignment, kind);
    if (ptr && reinterpret_cast<uintptr_t>(ptr) % kAlignment == 0) {
      (host ? host_bytes_ : device_bytes_).fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
      return ptr;
    }
    if (ptr) allocator_.free(allocator_.user, ptr, bytes, kind);
  }
  if (!host) {
    const std::lock_guard lock(mutex_);
    --live_device_blocks_;
  }
  if (ptr)
    Fail(GLQ_E_ALIGNMENT, "allocator.alloc returned %p, expected a multiple of alignment = %zu", ptr, kAlignment);
  Fail(host ? GLQ_E_OUT_OF_HOST_MEMORY : GLQ_E_OUT_OF_DEVICE_MEMORY, "cannot allocate %zu bytes of %s memory", bytes,
       host ? "host" : "device");
}

void Memory::Free(void* ptr, size_t bytes, int32_t kind) noexcept {
  if (!ptr) return;
  if (kind == GLQ_MEMORY_HOST) {
    allocator_.free(allocator_.user, ptr, bytes, kind);
    host_bytes_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
    return;
  }
  if (finished_ == this) {
    FreeDevice(ptr, bytes);
    const std::lock_guard lock(mutex_);
    --live_device_blocks_;
    return;
  }
  const std::lock_guard lock(mutex_);
  waiting_.push_back({ptr, bytes, ++last_number_});  // within the capacity that Alloc reserved
  --live_device_blocks_;
}

void Memory::CheckNotLost() const {
  if (!IsLost()) return;
  Fail(GLQ_E_DEVICE_LOST, "device = cuda:%d was reset (cudaDeviceReset), expected a context that was made after that",
       device_);
}

void Memory::FreeDevice(void* ptr, size_t bytes) noexcept {
  const bool lost = IsLost();
  const cuda::ScopedDevice device(lost ? -1 : device_);  // to be current it would get a new primary context
  if (!lost || !own_) allocator_.free(allocator_.user, ptr, bytes, GLQ_MEMORY_CUDA);
  device_bytes_.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

uint64_t Memory::LastWaiting() noexcept {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() ? 0 : last_number_;
}

void Memory::Drain(uint64_t last) noexcept {
  for (;;) {
    Waiting block;
    {
      const std::lock_guard lock(mutex_);
      // From the end: there is one to be found at once, unless other threads free meanwhile.
      size_t i = waiting_.size();
      while (i > 0 && waiting_[i - 1].number > last) --i;
      if (i == 0) return;
      block = waiting_[i - 1];
      waiting_[i - 1] = waiting_.back();
      waiting_.pop_back();
    }
    FreeDevice(block.ptr, block.bytes);
  }
}

}  // namespace glq
