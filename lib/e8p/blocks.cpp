#include "e8p/linear.h"

namespace glq::e8p {

std::vector<int64_t> BinaryBlocks(int64_t n) {
  std::vector<int64_t> blocks;
  for (int bit = 62; bit >= 0; --bit) {
    if (n >> bit & 1) blocks.push_back(int64_t{1} << bit);
  }
  return blocks;
}

}  // namespace glq::e8p
