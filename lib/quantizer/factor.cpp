#include "quantizer/factor.h"

#include <Eigen/Cholesky>
#include <cmath>

#include "quantizer/gemm.h"

// Eigen factors the small diagonal blocks. The large products are the library's own: Eigen cuts them
// up by the cache sizes of the machine it runs on, and with them go the roundings.
namespace glq::quantizer {
namespace {

using TileMap = Eigen::Map<Eigen::Matrix<double, kTile, kTile>, Eigen::Aligned64>;
using Block = Eigen::Matrix<double, kBlock, kBlock>;

bool FactorDiagonal(double* tile) {
  for (int64_t i = 0; i < kTile; ++i) {
    if (!std::isfinite(tile[i * kTile + i])) return false;
  }
  TileMap map(tile);
  const Eigen::LLT<Eigen::Ref<TileMap::PlainObject>> llt(map);
  if (llt.info() != Eigen::Success) return false;
  for (int64_t i = 0; i < kTile; ++i) {
    if (!(tile[i * kTile + i] > 0) || !std::isfinite(tile[i * kTile + i])) return false;
  }
  return true;
}

// tile <- tile * diagonal^-T
void SolveBelow(const double* diagonal, double* tile) {
  for (int64_t c0 = 0; c0 < kTile; c0 += kBlock) {
    double* block = tile + c0 * kTile;
    if (c0 > 0) SubtractProduct(block, kTile, {diagonal + c0, kTile, 1}, tile, kTile, c0, kBlock, kTile);
    for (int64_t c = c0; c < c0 + kBlock; ++c) {
      double* x = tile + c * kTile;
      for (int64_t k = c0; k < c; ++k) {
        const double f = diagonal[k * kTile + c];
        const double* y = tile + k * kTile;
        for (int64_t r = 0; r < kTile; ++r) x[r] -= f * y[r];
      }
      const double pivot = diagonal[c * kTile + c];
      for (int64_t r = 0; r < kTile; ++r) x[r] /= pivot;
    }
  }
}

}  // namespace

bool Cholesky(SymmetricTiles* a, Parallel& parallel) {
  const int64_t n = a->tiles();
  for (int64_t j = 0; j < n; ++j) {
    double* diagonal = a->Tile(j, j);
    if (!FactorDiagonal(diagonal)) return false;
    const int64_t below = n - j - 1;
    parallel.For(below, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = j + 1 + begin; i < j + 1 + end; ++i) SolveBelow(diagonal, a->Tile(i, j));
    });
    parallel.For(below * (below + 1) / 2, 1, [&](int64_t begin, int64_t end, int) {
      int64_t row, col;
      TriangleIndex(begin, &row, &col);
      for (int64_t p = begin; p < end; ++p) {
        const int64_t i = j + 1 + row, k = j + 1 + col;
        SubtractProduct(a->Tile(i, k), kTile, {a->Tile(k, j), kTile, 1}, a->Tile(i, j), kTile, kTile, kTile, kTile);
        if (++col > row) ++row, col = 0;
      }
    });
  }
  return true;
}

void BlockLdl(SymmetricTiles* g, double* d, Parallel& parallel) {
  const int64_t n = g->tiles();
  parallel.For(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t j = begin; j < end; ++j) {
      const double* diagonal = g->Tile(j, j);
      for (int64_t b = 0; b < kTile / kBlock; ++b) {
        double* out = d + (j * (kTile / kBlock) + b) * kBlock * kBlock;
        const double* at = diagonal + b * kBlock * (kTile + 1);
        for (int64_t r = 0; r < kBlock; ++r) {
          for (int64_t c = 0; c <= r; ++c) {
            double sum = 0;
            for (int64_t k = 0; k <= c; ++k) sum += at[k * kTile + r] * at[k * kTile + c];
            out[r * kBlock + c] = out[c * kBlock + r] = sum;
          }
        }
      }
      // From the bottom up: the diagonal tile, whose blocks the others read, keeps them.
      for (int64_t i = n - 1; i >= j; --i) {
        double* tile = g->Tile(i, j);
        for (int64_t b = 0; b < kTile / kBlock; ++b) {
          const double* at = diagonal + b * kBlock * (kTile + 1);
          const int64_t first = i == j ? (b + 1) * kBlock : 0;
          for (int64_t c = kBlock - 1; c >= 0; --c) {
            double* x = tile + (b * kBlock + c) * kTile;
            for (int64_t k = c + 1; k < kBlock; ++k) {
              const double f = at[c * kTile + k];
              const double* y = tile + (b * kBlock + k) * kTile;
              for (int64_t r = first; r < kTile; ++r) x[r] -= f * y[r];
            }
            const double pivot = at[c * kTile + c];
            for (int64_t r = first; r < kTile; ++r) x[r] /= pivot;
          }
        }
      }
    }
  });
}

void DiagonalBlocks(const SymmetricTiles& a, double* blocks, double* inverses) {
  for (int64_t b = 0; b < a.tiles() * (kTile / kBlock); ++b) {
    Eigen::Map<Block> block(blocks + b * kBlock * kBlock);
    for (int64_t r = 0; r < kBlock; ++r) {
      for (int64_t c = 0; c < kBlock; ++c) block(r, c) = a.Symmetric(b * kBlock + r, b * kBlock + c);
    }
    Eigen::Map<Block>(inverses + b * kBlock * kBlock) = block.llt().solve(Block::Identity());
  }
}

}  // namespace glq::quantizer
