// Cholesky and block LDL factors of a symmetric matrix in tiles.
#pragma once

#include <cstdint>

#include "platform/parallel.h"
#include "quantizer/tiles.h"

namespace glq::quantizer {

// In place: the lower triangular factor. False if the matrix is not positive definite; it is then
// garbage. Elements above the diagonal of diagonal tiles are left as they are.
bool Cholesky(SymmetricTiles* a, Parallel& parallel);

// In place, from a Cholesky factor G to the block-unit-lower-triangular L of A = L D L^T with 8x8
// blocks: L[:, blk] = G[:, blk] G[blk, blk]^-1. Only elements below the diagonal blocks are meaningful.
//   d [n / 8][8][8]: the diagonal blocks of D, symmetric
void BlockLdl(SymmetricTiles* g, double* d, Parallel& parallel);

// Inverses of the 8x8 diagonal blocks of a positive definite matrix: [n / 8][8][8], and the blocks.
void DiagonalBlocks(const SymmetricTiles& a, double* blocks, double* inverses);

}  // namespace glq::quantizer
