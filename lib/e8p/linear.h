// What an E8P linear is, apart from where its bytes lie: shapes, blocks, stages, scales.
#pragma once

#include <cstdint>
#include <vector>

#include "e8p/codebook.h"

namespace glq::e8p {

inline constexpr int kMaxStages = 4;
// Padded dimensions may not exceed this. The 32-bit accumulators of the kernels are safe below it.
inline constexpr int64_t kMaxDim = int64_t{1} << 20;

struct Stage {
  Codebook codebook;
  double cum_inv_scale;  // sigma_s as stored: cumulative; 1 for the first stage
  float k;               // fp32(weight_scale * cum_inv_scale / Denominator(codebook)), formed in double
};

struct LinearMeta {
  int64_t in_features = 0, out_features = 0;   // N (columns) and M (rows) of the unpadded weight
  int64_t padded_in = 0, padded_out = 0;       // multiples of 64 and 16
  std::vector<int64_t> in_blocks, out_blocks;  // powers of two that add up to the padded sizes
  double weight_scale = 0;
  std::vector<Stage> stages;  // 1 to 4
  bool has_sv = true, has_su = true, has_bias = false;
  int bits() const {
    int b = 0;
    for (const Stage& s : stages) b += s.codebook == Codebook::kE8P ? 2 : 1;
    return b;
  }
};

// Binary expansion of n, largest first: the block sizes that the checkpoint format implies.
std::vector<int64_t> BinaryBlocks(int64_t n);

}  // namespace glq::e8p
