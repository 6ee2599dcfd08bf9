#include <array>
#include <cmath>
#include <vector>

#include "platform/fork.h"
#include "quantizer/nearest.h"

namespace glq::quantizer {
namespace {

constexpr int kPow3[8] = {1, 3, 9, 27, 81, 243, 729, 2187};

struct Candidate {
  double value[8];
  double norm;
  uint8_t row;
};

struct RowInfo {
  int16_t row_of_digits[6561];
  bool odd[256];  // of the sum of a row's magnitudes
};

RowInfo MakeRows() {
  RowInfo r;
  for (int16_t& x : r.row_of_digits) x = -1;
  for (int i = 0; i < 256; ++i) {
    const auto& a = e8p::MagnitudesTimes2()[i];
    int index = 0, sum = 0;
    for (int j = 0; j < 8; ++j) {
      index += (a[j] - 1) / 2 * kPow3[j];
      sum += a[j];
    }
    r.row_of_digits[index] = static_cast<int16_t>(i);
    r.odd[i] = sum / 2 % 2 != 0;
  }
  return r;
}
const RowInfo& Rows() { return MadeOnce<MakeRows>(); }

// Unshifted codewords with at most one negative entry among coordinates 0..6, that entry being -1/2, in
// the order of the codes of odd popcount.
std::vector<Candidate> MakeCandidates() {
  std::vector<Candidate> all;
  for (int code = 0; code < 65536; ++code) {
    if (__builtin_parity(code & 255) == 0) continue;
    int8_t w4[8];
    e8p::DecodeE8p(static_cast<uint16_t>(code), w4);
    Candidate c;
    int negative = 0;
    bool keep = true;
    c.norm = 0;
    for (int j = 0; j < 8; ++j) {
      c.value[j] = w4[j] / 4.0 + 0.25;
      c.norm += c.value[j] * c.value[j];
      if (j < 7 && c.value[j] < 0) {
        ++negative;
        keep = keep && c.value[j] == -0.5;
      }
    }
    if (!keep || negative > 1) continue;
    c.row = static_cast<uint8_t>(code >> 8);
    all.push_back(c);
  }
  return all;
}
const std::vector<Candidate>& Candidates() { return MadeOnce<MakeCandidates>(); }

}  // namespace

Shifted NearestShifted(const double x[8], bool negative_shift) {
  const double delta = negative_shift ? -0.25 : 0.25;
  double y[8], folded[8];
  bool minus[8];
  bool odd = false;
  for (int j = 0; j < 8; ++j) {
    y[j] = x[j] - delta;
    minus[j] = y[j] < 0;
    odd ^= minus[j];
    folded[j] = std::fabs(y[j]);
  }
  if (odd) {
    folded[7] = -folded[7];
    minus[7] = !minus[7];
  }
  const std::vector<Candidate>& list = Candidates();
  const Candidate* best = &list[0];
  double best_score = 0;
  for (const Candidate& c : list) {
    double dot = 0;
    for (int j = 0; j < 8; ++j) dot += folded[j] * c.value[j];
    const double score = 2 * dot - c.norm;
    if (&c == &list[0] || score > best_score) {
      best_score = score;
      best = &c;
    }
  }
  Shifted out;
  out.error = 0;
  int signs = 0;
  for (int j = 0; j < 8; ++j) {
    const double v = minus[j] ? -best->value[j] : best->value[j];
    const double e = y[j] - v;
    out.error += e * e;
    out.value[j] = v + delta;
    if (v < 0) signs |= 1 << kSignBit[j];
  }
  if (Rows().odd[best->row]) signs ^= 128;
  if (negative_shift) signs ^= 1;
  out.code = static_cast<uint16_t>(best->row << 8 | signs);
  return out;
}

Shifted NearestE8p(const double x[8]) {
  const Shifted minus = NearestShifted(x, true);
  const Shifted plus = NearestShifted(x, false);
  return minus.error < plus.error ? minus : plus;
}

uint8_t NearestE81b(const double x[8]) {
  const SearchTables& t = Tables();
  int best = 0;
  double best_score = 0;
  for (int i = 0; i < 256; ++i) {
    double dot = 0;
    for (int j = 0; j < 8; ++j) dot += x[j] * t.e81b[i][j];
    const double score = 2 * dot - t.e81b_norm[i];
    if (i == 0 || score > best_score) {
      best_score = score;
      best = i;
    }
  }
  return static_cast<uint8_t>(best);
}

uint16_t CodeFromPack(int64_t pack) {
  const bool negative_shift = (pack & kNegativeShift) != 0;
  pack &= kNegativeShift - 1;
  const int row = Rows().row_of_digits[pack >> 8];
  int signs = static_cast<int>(pack & 255);
  if (Rows().odd[row]) signs ^= 128;
  if (negative_shift) signs ^= 1;
  return static_cast<uint16_t>(row << 8 | signs);
}

int64_t PackFromCode(uint16_t code) {
  const auto& a = e8p::MagnitudesTimes2()[code >> 8];
  const bool negative_shift = __builtin_parity(code & 255) != 0;
  int64_t digits = 0;
  for (int j = 0; j < 8; ++j) digits += (a[j] - 1) / 2 * kPow3[j];
  int signs = code & 255;
  if (Rows().odd[code >> 8]) signs ^= 128;
  if (negative_shift) signs ^= 1;
  return digits * 256 + signs + (negative_shift ? kNegativeShift : 0);
}

namespace {

SearchTables MakeTables() {
  SearchTables t;
  for (int i = 0; i < 29; ++i) {
    const auto& a = e8p::MagnitudesTimes2()[227 + i];
    int n = 0;
    t.large_mask[i] = 0;
    for (int j = 0; j < 8; ++j) {
      if (a[j] == 1) {
        t.small[i][n++] = j;
      } else {
        t.large_mask[i] |= int64_t{1} << j;
      }
    }
  }
  for (int i = 0; i < 256; ++i) {
    t.e81b_norm[i] = 0;
    for (int j = 0; j < 8; ++j) {
      t.e81b[i][j] = e8p::E81bTimes2()[i][j] / 2.0;
      t.e81b_norm[i] += t.e81b[i][j] * t.e81b[i][j];
    }
  }
  return t;
}
}  // namespace

const SearchTables& Tables() { return MadeOnce<MakeTables>(); }

void DecodeBlock(const Chain& chain, int stages, const uint16_t* const* codes, int64_t code_stride, int64_t rows,
                 double* value) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int s = 0; s < stages; ++s) {
      int8_t w[8];
      const uint16_t code = codes[s][r * code_stride];
      if (chain.codebook[s] == e8p::Codebook::kE8P) {
        e8p::DecodeE8p(code, w);
      } else {
        e8p::DecodeE81b(static_cast<uint8_t>(code), w);
      }
      const double unit = 1.0 / e8p::Denominator(chain.codebook[s]);
      for (int j = 0; j < 8; ++j) {
        const double v = w[j] * unit * chain.sigma[s];
        value[j * rows + r] = s == 0 ? v : value[j * rows + r] + v;
      }
    }
  }
}

}  // namespace glq::quantizer
