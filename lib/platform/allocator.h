// Where long-lived memory comes from: the C++ heap, or functions that the library's user supplies.
#pragma once

#include <cstddef>

namespace glq {

class Allocator {
 public:
  virtual ~Allocator() = default;
  // Null on failure. `align` is a power of two.
  virtual void* Allocate(size_t bytes, size_t align) = 0;
  // With the same numbers as at the allocation.
  virtual void Free(void* p, size_t bytes, size_t align) noexcept = 0;
};

Allocator& HeapAllocator();

}  // namespace glq
