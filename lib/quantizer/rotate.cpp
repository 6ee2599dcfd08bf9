#include "quantizer/rotate.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "e8p/linear.h"

namespace glq::quantizer {

int64_t PaddedIn(int64_t in_features, bool pow2) {
  return pow2 ? static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(in_features))) : RoundUp(in_features, 64);
}

int64_t PaddedOut(int64_t out_features, bool pow2) {
  return pow2 ? static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(out_features))) : RoundUp(out_features, 16);
}

Rotation MakeRotation(int64_t in_features, int64_t out_features, bool pow2, uint32_t seed) {
  Rotation rot;
  rot.in_features = in_features;
  rot.out_features = out_features;
  rot.np = PaddedIn(in_features, pow2);
  rot.mp = PaddedOut(out_features, pow2);
  rot.in_blocks = e8p::BinaryBlocks(rot.np);
  rot.out_blocks = e8p::BinaryBlocks(rot.mp);
  rot.su.resize(rot.mp);
  rot.sv.resize(rot.np);
  std::mt19937 twister(seed);
  for (int8_t& s : rot.su) s = twister() & 1 ? 1 : -1;
  for (int8_t& s : rot.sv) s = twister() & 1 ? 1 : -1;
  return rot;
}

void Hadamard(double* x, const std::vector<int64_t>& blocks) {
  for (const int64_t block : blocks) {
    for (int64_t h = 1; h < block; h *= 2) {
      for (int64_t i = 0; i < block; i += 2 * h) {
        double* a = x + i * kStrip;
        double* b = a + h * kStrip;
        for (int64_t k = 0; k < h * kStrip; ++k) {
          const double low = a[k], high = b[k];
          a[k] = low + high;
          b[k] = low - high;
        }
      }
    }
    const double factor = 1.0 / std::sqrt(static_cast<double>(block));
    for (int64_t k = 0; k < block * kStrip; ++k) x[k] *= factor;
    x += block * kStrip;
  }
}

void RotateWeight(const Rotation& rot, const MatrixView& w, Parallel& parallel, Scratch& scratch,
                  AlignedVector<double>* strips) {
  double* out = strips->data();
  parallel.For(rot.np / kStrip, 1, [&](int64_t begin, int64_t end, int worker) {
    double* x = scratch[worker].data();
    for (int64_t g = begin; g < end; ++g) {
      const int64_t col = g * kStrip;
      const int64_t cols = std::clamp<int64_t>(rot.in_features - col, 0, kStrip);
      std::fill(x, x + rot.mp * kStrip, 0.0);
      for (int64_t r = 0; r < rot.out_features && cols > 0; ++r) {
        double* row = x + r * kStrip;
        LoadRow(w, r, col, cols, row);
        for (int64_t c = 0; c < cols; ++c) row[c] *= rot.su[r] * rot.sv[col + c];
      }
      Hadamard(x, rot.out_blocks);
      for (int64_t r = 0; r < rot.mp; ++r) {
        double* to = out + (r / kStrip * rot.np + col) * kStrip + r % kStrip;
        for (int64_t c = 0; c < kStrip; ++c) to[c * kStrip] = x[r * kStrip + c];
      }
    }
  });
  parallel.For(rot.mp / kStrip, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) Hadamard(out + s * rot.np * kStrip, rot.in_blocks);
  });
}

double UnrotatedEnergy(const Rotation& rot, Parallel& parallel, Scratch& scratch, AlignedVector<double>* strips) {
  double* in = strips->data();
  parallel.For(rot.mp / kStrip, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) Hadamard(in + s * rot.np * kStrip, rot.in_blocks);
  });
  // Signs do not change squares.
  std::vector<double> sums(rot.np / kStrip);
  parallel.For(rot.np / kStrip, 1, [&](int64_t begin, int64_t end, int worker) {
    double* x = scratch[worker].data();
    for (int64_t g = begin; g < end; ++g) {
      const int64_t col = g * kStrip;
      const int64_t cols = std::clamp<int64_t>(rot.in_features - col, 0, kStrip);
      for (int64_t r = 0; r < rot.mp; ++r) {
        const double* from = in + (r / kStrip * rot.np + col) * kStrip + r % kStrip;
        for (int64_t c = 0; c < kStrip; ++c) x[r * kStrip + c] = from[c * kStrip];
      }
      Hadamard(x, rot.out_blocks);
      double sum = 0;
      for (int64_t r = 0; r < rot.out_features; ++r) {
        for (int64_t c = 0; c < cols; ++c) sum += x[r * kStrip + c] * x[r * kStrip + c];
      }
      sums[g] = sum;
    }
  });
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

void RotateHessian(const Rotation& rot, const SymmetricTiles& h, double damping, Parallel& parallel, Scratch& scratch,
                   SymmetricTiles* out) {
  AlignedVector<double> rows(static_cast<size_t>(rot.np * rot.np));
  const int64_t n = rot.in_features;
  parallel.For(rot.np / kStrip, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      double* x = rows.data() + s * rot.np * kStrip;
      const int64_t first = s * kStrip;
      for (int64_t c = 0; c < n; ++c) {
        for (int64_t r = 0; r < kStrip && first + r < n; ++r) {
          const int64_t i = first + r;
          const double v = h.Symmetric(i, c) + (i == c ? damping : 0.0);
          x[c * kStrip + r] = v * (rot.sv[i] * rot.sv[c]);
        }
      }
      Hadamard(x, rot.in_blocks);
    }
  });
  parallel.For(rot.np / kStrip, 1, [&](int64_t begin, int64_t end, int worker) {
    double* x = scratch[worker].data();
    for (int64_t g = begin; g < end; ++g) {
      const int64_t col = g * kStrip;
      for (int64_t r = 0; r < rot.np; ++r) {
        const double* from = rows.data() + (r / kStrip * rot.np + col) * kStrip + r % kStrip;
        for (int64_t c = 0; c < kStrip; ++c) x[r * kStrip + c] = from[c * kStrip];
      }
      Hadamard(x, rot.in_blocks);
      for (int64_t t = col / kTile; t < rot.np / kTile; ++t) {
        double* tile = out->Tile(t, col / kTile) + col % kTile * kTile;
        for (int64_t c = 0; c < kStrip; ++c) {
          for (int64_t r = 0; r < kTile; ++r) tile[c * kTile + r] = x[(t * kTile + r) * kStrip + c];
        }
      }
    }
  });
  for (int64_t t = 0; t < out->tiles(); ++t) {
    double* tile = out->Tile(t, t);
    for (int64_t c = 0; c < kTile; ++c) {
      for (int64_t r = 0; r < c; ++r) tile[c * kTile + r] = tile[r * kTile + c];
    }
  }
}

}  // namespace glq::quantizer
