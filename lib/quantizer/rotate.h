// The randomised Hadamard transform of weights and Hessians, in fp64.
#pragma once

#include <cstdint>
#include <vector>

#include "platform/parallel.h"
#include "quantizer/matrix_view.h"
#include "quantizer/tiles.h"

namespace glq::quantizer {

// Padded sizes, blocks and signs of a layer.
struct Rotation {
  int64_t in_features, out_features;  // N, M
  int64_t np, mp;
  std::vector<int64_t> in_blocks, out_blocks;
  std::vector<int8_t> sv, su;  // +1 or -1; np and mp of them
};

// Padded sizes only; the legacy layout pads to powers of two.
int64_t PaddedIn(int64_t in_features, bool pow2);
int64_t PaddedOut(int64_t out_features, bool pow2);

// Signs from MT19937: the low bit of an output, the rows' signs first.
Rotation MakeRotation(int64_t in_features, int64_t out_features, bool pow2, uint32_t seed);

// Orthonormal block-diagonal Hadamard transform along the first axis of x [sum of blocks][16].
void Hadamard(double* x, const std::vector<int64_t>& blocks);

// A rotated weight lies in strips of 16 rows: [mp / 16][np][16].
//   scratch: one vector per worker, each at least 16 * max(mp, np)
using Scratch = std::vector<AlignedVector<double>>;
void RotateWeight(const Rotation& rot, const MatrixView& w, Parallel& parallel, Scratch& scratch,
                  AlignedVector<double>* strips);

// Sum of squares, within the unpadded rows and columns, of the inverse transform. Overwrites the strips.
double UnrotatedEnergy(const Rotation& rot, Parallel& parallel, Scratch& scratch, AlignedVector<double>* strips);

// h [in_features]^2 plus `damping` on its diagonal, rotated on both sides. The
// diagonal tiles of the result are full and exactly symmetric.
void RotateHessian(const Rotation& rot, const SymmetricTiles& h, double damping, Parallel& parallel, Scratch& scratch,
                   SymmetricTiles* out);

}  // namespace glq::quantizer
