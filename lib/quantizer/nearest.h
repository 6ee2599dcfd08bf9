// Nearest codewords: the search's plain definition, and the vectorised search of whole blocks.
#pragma once

#include <cstdint>

#include "e8p/codebook.h"
#include "e8p/linear.h"
#include "quantizer/tiles.h"

namespace glq::quantizer {

// The definition, by a list of 1366 candidates: for one shift (delta = -1/4 or +1/4) the first
// candidate that maximises 2 f.c - |c|^2 for the folded y = x - delta. Used where the fast search cannot
// prove that its answer is the only one, and by tests.
struct Shifted {
  double value[8];  // codeword, shift included
  double error;     // |x - value|^2, summed in coordinate order
  uint16_t code;
};
Shifted NearestShifted(const double x[8], bool negative_shift);

// Nearest E8P codeword: the shift -1/4 only if its error is strictly smaller.
Shifted NearestE8p(const double x[8]);

// First of the 256 E81B entries that maximises 2 x.e - |e|^2.
uint8_t NearestE81b(const double x[8]);

// How the stages of a residual quantizer follow each other.
struct Chain {
  int stages = 0;
  e8p::Codebook codebook[e8p::kMaxStages] = {};
  double rho[e8p::kMaxStages] = {};    // factor on the residual before stage s; rho[0] is unused
  double sigma[e8p::kMaxStages] = {};  // cumulative inverse, as a decoder reads it: an fp32 number
  // Try both shifts of every E8P stage together with all that follows, and keep the best sum. Otherwise
  // every stage takes its nearest codeword, as existing checkpoints were made.
  bool joint = false;
};

// Quantizes eight columns of 16 rows.
//   target, value  [8][16]: column, row
//   metric         null, or a symmetric positive definite 8x8 matrix by which a joint search measures
//                  the error; without it, and in a plain chain, the error is Euclidean
//   codes          [stages][16]
// Same bytes for every instruction set.
void QuantizeBlock(const Chain& chain, const double* target, const double* metric, double* value, uint16_t* codes);

// Decodes what QuantizeBlock gave: the sum of the first `stages` stages.
void DecodeBlock(const Chain& chain, int stages, const uint16_t* const* codes, int64_t code_stride, int64_t rows,
                 double* value);

// Internal to the search: where a codeword's magnitudes and signs are packed into one number.
//   sum_j digit_j 3^j * 256 + sign bits + kNegativeShift;   digit = magnitude - 1/2
inline constexpr int kNegativeShift = 1 << 21;
uint16_t CodeFromPack(int64_t pack);
int64_t PackFromCode(uint16_t code);

// Bit of the sign byte that belongs to coordinate j.
inline constexpr int kSignBit[8] = {0, 4, 1, 5, 2, 6, 3, 7};

struct SearchTables {
  // The rows of norm 12: three coordinates that are 1/2, and a mask of the five that are 3/2.
  int small[29][3];
  int64_t large_mask[29];
  // E81B entries, and their squared norms.
  alignas(kAlignment) double e81b[256][8];
  double e81b_norm[256];
};
const SearchTables& Tables();

}  // namespace glq::quantizer
