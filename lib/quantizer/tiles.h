// Storage of the quantizer: aligned arrays, symmetric matrices as 64x64 tiles, weights as 16-row strips.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace glq::quantizer {

inline constexpr size_t kAlignment = 64;

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}  // NOLINT: conversions are what an allocator is rebound by
  T* allocate(size_t n) {
    if (n > static_cast<size_t>(-1) / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{kAlignment}));
  }
  void deallocate(T* p, size_t) noexcept { ::operator delete (p, std::align_val_t{kAlignment}); }
  friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

// Gives the memory back, which clear() does not.
template <typename V>
void Release(V& v) {
  V().swap(v);
}

inline constexpr int64_t kTile = 64;
inline constexpr int64_t kTileSize = kTile * kTile;
inline constexpr int64_t kStrip = 16;  // rows of a weight that are worked on together
inline constexpr int64_t kBlock = 8;   // columns that are quantized together

constexpr int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// The lower triangle of a symmetric (or a lower triangular) matrix in tiles of 64x64. Tile (i, j) with
// i >= j holds rows 64i.. and columns 64j.., column-major: element (r, c) lies at 64 * c + r.
class SymmetricTiles {
 public:
  SymmetricTiles() = default;
  explicit SymmetricTiles(int64_t n) : tiles_(RoundUp(n, kTile) / kTile), data_(Elements(n)) {}

  static constexpr size_t Elements(int64_t n) {
    const int64_t t = RoundUp(n, kTile) / kTile;
    return static_cast<size_t>(t * (t + 1) / 2 * kTileSize);
  }

  bool empty() const { return data_.empty(); }
  int64_t tiles() const { return tiles_; }
  double* Tile(int64_t i, int64_t j) { return data_.data() + (i * (i + 1) / 2 + j) * kTileSize; }
  const double* Tile(int64_t i, int64_t j) const { return data_.data() + (i * (i + 1) / 2 + j) * kTileSize; }
  // Element of the lower triangle.
  double& At(int64_t row, int64_t col) { return Tile(row / kTile, col / kTile)[col % kTile * kTile + row % kTile]; }
  double At(int64_t row, int64_t col) const {
    return Tile(row / kTile, col / kTile)[col % kTile * kTile + row % kTile];
  }
  double Symmetric(int64_t row, int64_t col) const { return row >= col ? At(row, col) : At(col, row); }

  AlignedVector<double>& data() { return data_; }
  const AlignedVector<double>& data() const { return data_; }

 private:
  int64_t tiles_ = 0;
  AlignedVector<double> data_;
};

// Position in the lower triangle of the p-th tile, row by row.
inline void TriangleIndex(int64_t p, int64_t* row, int64_t* col) {
  int64_t lo = 0, hi = int64_t{1} << 31;
  while (hi - lo > 1) {
    const int64_t mid = lo + (hi - lo) / 2;
    (mid * (mid + 1) / 2 <= p ? lo : hi) = mid;
  }
  *row = lo;
  *col = p - lo * (lo + 1) / 2;
}

}  // namespace glq::quantizer
