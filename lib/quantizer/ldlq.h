// LDLQ: rounding of a rotated weight, column block by column block, with the error of the columns that
// are done fed back into those that are not. Rows do not interact.
#pragma once

#include <cstdint>

#include "quantizer/nearest.h"
#include "quantizer/tiles.h"

namespace glq::quantizer {

struct Layer {
  const double* strips;  // rotated weight, [rows / 16][np][16]
  int64_t np;
  double weight_scale;  // not 0
  const SymmetricTiles* l;
  const double* d;  // [np / 8][64], blocks of D
  // For refinement only: the damped Hessian, its 8x8 diagonal blocks and their inverses.
  const SymmetricTiles* h;
  const double* h_blocks;
  const double* h_inverses;
  int refine_passes;
};

// Sums of one row, with V = W / Wscale, E = V - Vhat and the damped Hessian H.
struct RowSums {
  double ehe, ehv, vhv;
  double ee, ev, vv;
};

// Memory for one worker.
struct LdlqScratch {
  AlignedVector<double> v, e;          // [strips][np][16]
  AlignedVector<double> panel, other;  // [strips][64][16]
  static size_t Bytes(int64_t np, int64_t strips) {
    return static_cast<size_t>(2 * strips * (np + kTile) * kStrip) * sizeof(double);
  }
  LdlqScratch(int64_t np, int64_t strips)
      : v(strips * np * kStrip), e(strips * np * kStrip), panel(strips * kTile * kStrip), other(panel.size()) {}
};

// Quantizes `count` strips from `first` on.
//   codes[s]  may be null; else code (row, group) of stage s goes to codes[s][row * np / 8 + group], rows counted
//             from the layer's first
//   sums      [count * 16]
void QuantizeStrips(const Layer& layer, const Chain& chain, int64_t first, int64_t count, LdlqScratch* scratch,
                    uint16_t* const* codes, RowSums* sums);

}  // namespace glq::quantizer
