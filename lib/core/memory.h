// Memory of objects: the caller's allocator or the default one, byte counts, and the list of device
// blocks that wait to be freed (a finalizer may run while another thread captures a graph, so a
// device block is never freed on the spot). A reset of the device ends its blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/cuda_device.h"
#include "glq/context.h"

namespace glq {

class Memory {
 public:
  // `cuda_device` is current while the allocator is asked for device memory; -1: there is none. `own`: the allocator is
  // the library's, which must not free what a reset has ended: it may be somebody else's by now.
  Memory(const glq_allocator& allocator, bool own, int cuda_device)
      : allocator_(allocator), own_(own), device_(cuda_device), context_(cuda::PrimaryContext(cuda_device)) {}
  ~Memory() { Drain(LastWaiting()); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // 256-byte aligned. Throws Error(GLQ_E_OUT_OF_HOST_MEMORY / GLQ_E_OUT_OF_DEVICE_MEMORY). bytes == 0 gives null.
  void* Alloc(size_t bytes, int32_t kind);
  // Host memory goes at once, device memory joins the waiting list. Null is fine.
  void Free(void* ptr, size_t bytes, int32_t kind) noexcept;
  // The last block that waits, by number; 0 if none does. A thread asks before it waits for the device, since other
  // threads go on queueing work and freeing what it uses,
  uint64_t LastWaiting() noexcept;
  // and then frees the blocks up to that one.
  void Drain(uint64_t last) noexcept;

  // While one lives, Free of this thread frees device memory at once: the device has finished with it.
  class Finished {
   public:
    explicit Finished(const Memory& memory) : before_(finished_) { finished_ = &memory; }
    ~Finished() { finished_ = before_; }
    Finished(const Finished&) = delete;
    Finished& operator=(const Finished&) = delete;

   private:
    const Memory* before_;
  };

  // Whether the device was reset since this was made.
  bool IsLost() const noexcept { return cuda::PrimaryContextIsGone(device_, context_); }
  // Throws Error(GLQ_E_DEVICE_LOST) if so.
  void CheckNotLost() const;

  int64_t host_bytes() const { return host_bytes_.load(std::memory_order_relaxed); }
  int64_t device_bytes() const { return device_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Waiting {
    void* ptr;
    size_t bytes;
    uint64_t number;
  };
  void FreeDevice(void* ptr, size_t bytes) noexcept;

  static inline thread_local const Memory* finished_ = nullptr;
  const glq_allocator allocator_;
  const bool own_;
  const int device_;
  const uint64_t context_;  // of the device
  std::atomic<int64_t> host_bytes_{0}, device_bytes_{0};
  std::mutex mutex_;
  std::vector<Waiting> waiting_;  // guarded by `mutex_`, as the next two
  uint64_t last_number_ = 0;
  size_t live_device_blocks_ = 0;  // `waiting_` has room for these, too
};

// A block that returns itself. Movable.
class Block {
 public:
  Block() = default;
  Block(Memory& memory, size_t bytes, int32_t kind)
      : memory_(&memory), ptr_(memory.Alloc(bytes, kind)), bytes_(bytes), kind_(kind) {}
  Block(Block&& o) noexcept : memory_(o.memory_), ptr_(o.ptr_), bytes_(o.bytes_), kind_(o.kind_) {
    o.ptr_ = nullptr;
    o.bytes_ = 0;
  }
  Block& operator=(Block&& o) noexcept {
    if (this != &o) {
      Reset();
      memory_ = o.memory_, ptr_ = o.ptr_, bytes_ = o.bytes_, kind_ = o.kind_;
      o.ptr_ = nullptr, o.bytes_ = 0;
    }
    return *this;
  }
  ~Block() { Reset(); }
  void Reset() noexcept {
    if (ptr_) memory_->Free(ptr_, bytes_, kind_);
    ptr_ = nullptr, bytes_ = 0;
  }
  template <typename T = void>
  T* as() const {
    return static_cast<T*>(ptr_);
  }
  size_t bytes() const { return bytes_; }
  int32_t kind() const { return kind_; }

 private:
  Memory* memory_ = nullptr;
  void* ptr_ = nullptr;
  size_t bytes_ = 0;
  int32_t kind_ = GLQ_MEMORY_HOST;
};

}  // namespace glq
