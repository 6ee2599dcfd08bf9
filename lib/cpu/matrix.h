// Matrices in memory that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glq::cpu {

enum class Scalar : int32_t { kF16, kBF16, kF32 };

constexpr size_t SizeOf(Scalar s) { return s == Scalar::kF32 ? 4 : 2; }

// Rows may lie anywhere (stride in elements); columns are contiguous. Pointers are aligned to their
// element only.
struct ConstMatrix {
  const void* data;
  Scalar type;
  int64_t rows, cols, stride;

  const void* Row(int64_t r) const {
    return static_cast<const std::byte*>(data) + static_cast<size_t>(r * stride) * SizeOf(type);
  }
};

struct Matrix {
  void* data;
  Scalar type;
  int64_t rows, cols, stride;

  void* Row(int64_t r) const { return static_cast<std::byte*>(data) + static_cast<size_t>(r * stride) * SizeOf(type); }
  operator ConstMatrix() const { return {data, type, rows, cols, stride}; }  // NOLINT: implicit by design
};

}  // namespace glq::cpu
