#include "platform/allocator.h"

#include <new>

namespace glq {
namespace {

class Heap final : public Allocator {
 public:
  void* Allocate(size_t bytes, size_t align) override {
    return ::operator new (bytes, std::align_val_t{align}, std::nothrow);
  }
  void Free(void* p, size_t bytes, size_t align) noexcept override {
    static_cast<void>(bytes);
    ::operator delete (p, std::align_val_t{align});
  }
};

}  // namespace

Allocator& HeapAllocator() {
  static Heap heap;
  return heap;
}

}  // namespace glq
