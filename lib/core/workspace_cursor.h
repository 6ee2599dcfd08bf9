// Lays out a workspace. The same code counts bytes (base == nullptr) and hands out pointers, so that
// the size a query reports and the size a call uses cannot drift apart.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glq {

class WorkspaceCursor {
 public:
  static constexpr size_t kAlign = 256;

  explicit WorkspaceCursor(void* base = nullptr) : base_(static_cast<std::byte*>(base)) {}

  // `count` elements, aligned to 256 bytes. Null while counting.
  template <typename T>
  T* Take(int64_t count) {
    size_t at = used_;
    used_ += (static_cast<size_t>(count) * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return base_ ? reinterpret_cast<T*>(base_ + at) : nullptr;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

}  // namespace glq
