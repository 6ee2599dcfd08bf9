// What several threads share and a child of fork() finds in order, whatever other threads of its parent were doing.
#pragma once

#include <pthread.h>

#include <atomic>
#include <mutex>

namespace glq {

// A mutex for each Tag, never destroyed. A fork waits until it is free: the child would inherit it from a thread that
// it does not have, and what it guards half done. Its holder must not wait for another mutex of this kind, since a fork
// takes all of them, in an order of its own.
template <typename Tag>
class ForkMutex {
 public:
  void lock() {
    static_cast<void>(&registered_);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  static void Lock() { mutex_.lock(); }
  static void Unlock() { mutex_.unlock(); }

  static inline constinit std::mutex mutex_;
  // When the library is loaded, so that no fork can come before it.
  static inline const int registered_ = pthread_atfork(&Lock, &Unlock, &Unlock);
};

// What Make() gives, made when somebody asks first and never destroyed. In place of a local static, whose guard a child
// of fork() may find taken by a thread that it does not have. Two who ask first at once both make it.
template <auto Make>
const auto& MadeOnce() {
  using T = decltype(Make());
  static constinit std::atomic<const T*> made{nullptr};
  const T* value = made.load(std::memory_order_acquire);
  if (value == nullptr) {
    const T* mine = new T(Make());
    if (made.compare_exchange_strong(value, mine, std::memory_order_acq_rel)) {
      value = mine;
    } else {
      delete mine;
    }
  }
  return *value;
}

}  // namespace glq
