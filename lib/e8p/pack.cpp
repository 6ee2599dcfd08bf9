#include "e8p/pack.h"

#include <cstring>

namespace glq::e8p {

void PackE8p(const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed) {
  const int64_t groups = cols / 8;
  std::memset(packed, 0, static_cast<size_t>(rows / 16 * (cols / 64) * 32) * sizeof(uint64_t));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const uint64_t code = codes[r * groups + g];
      const int slot = PackedSlot(r, g);
      uint64_t word = (code >> 8) << (8 * slot);
      for (int j = 0; j < 8; ++j) word |= (code >> j & 1) << (32 + 4 * j + slot);
      packed[PackedWordIndex(r, g, cols)] |= word;
    }
  }
}

void UnpackE8p(const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes) {
  const int64_t groups = cols / 8;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      codes[r * groups + g] = CodeFromWord(packed[PackedWordIndex(r, g, cols)], PackedSlot(r, g));
    }
  }
}

}  // namespace glq::e8p
