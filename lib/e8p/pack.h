// Codes <-> the checkpoint's packed tensors (Qidxs_e8p, Qidxs_e81b).
#pragma once

#include <cstdint>

namespace glq::e8p {

// Padded sizes: rows a multiple of 16, cols a multiple of 64. Code (r, g) stands for row r, columns 8g..8g+7.
//   codes  u16 [rows][cols / 8]
//   packed i64 [rows / 16][cols / 64][8][4], see PackedWordIndex
constexpr int64_t PackedWordIndex(int64_t row, int64_t group, int64_t cols) {
  return (((row >> 4) * (cols / 64) + (group >> 3)) * 8 + ((row >> 1) & 7)) * 4 + ((group >> 1) & 3);
}
constexpr int PackedSlot(int64_t row, int64_t group) { return static_cast<int>((row & 1) + 2 * (group & 1)); }

// One code out of its 64-bit word.
constexpr uint16_t CodeFromWord(uint64_t w, int slot) {
  uint32_t signs = 0;
  for (int j = 0; j < 8; ++j) signs |= static_cast<uint32_t>((w >> (32 + 4 * j + slot)) & 1) << j;
  return static_cast<uint16_t>(((w >> (8 * slot)) & 255) << 8 | signs);
}

void PackE8p(const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed);
void UnpackE8p(const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes);

// E81B needs no functions: packed i64 [rows][cols / 64] is the row-major u8 [rows][cols / 8] on a
// little-endian machine.

}  // namespace glq::e8p
