// The set of live handles. A dead or foreign pointer is recognised without being followed, so that
// every entry point can answer GLQ_E_BAD_HANDLE. A look-up takes a few nanoseconds, no lock and no memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace glq {

enum class Kind : uintptr_t { kContext = 1, kTensor = 2, kQuantizer = 3, kCheckpoint = 4 };

const char* KindName(Kind kind);

namespace handles {

void Add(const void* handle, Kind kind);  // throws std::bad_alloc
// False if it was not there: of two threads that destroy the same handle, one is told.
bool Remove(const void* handle, Kind kind) noexcept;
bool IsLive(const void* handle, Kind kind) noexcept;

}  // namespace handles

// The two counts of a shared object: the caller's references, whose end makes the handle dead, and
// all references, whose end deletes the object.
class Shared {
 public:
  void AddUser() { users_.fetch_add(1, std::memory_order_relaxed); }
  bool DropUser() { return users_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  void AddRef() { refs_.fetch_add(1, std::memory_order_relaxed); }
  bool DropRef() { return refs_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::atomic<int32_t> users_{1}, refs_{1};
};

// Holds one of all references. T has `Shared counts`.
template <typename T>
class Ref {
 public:
  explicit Ref(T& object) : object_(&object) { object.counts.AddRef(); }
  Ref(Ref&& o) noexcept : object_(std::exchange(o.object_, nullptr)) {}
  Ref& operator=(Ref&&) = delete;
  ~Ref() {
    if (object_) Drop(object_);
  }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

  static void Drop(T* object) noexcept {
    if (object->counts.DropRef()) delete object;
  }

 private:
  T* object_;
};

}  // namespace glq
