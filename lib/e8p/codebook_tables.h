// The codebooks' tables, built by the compiler: constants of the CPU's code and of the kernels.
#pragma once

#include <array>
#include <cstdint>

#include "e8p/codebook.h"

namespace glq::e8p::tables {

using Magnitudes = std::array<std::array<uint8_t, 8>, 256>;
using Entries = std::array<std::array<int8_t, 8>, 256>;

// Sign bit k of a code belongs to this coordinate.
inline constexpr std::array<int, 8> kCoordinateOfSignBit = {0, 2, 4, 6, 1, 3, 5, 7};

// The 29 magnitude rows of squared norm 12 that the format picks, doubled, coordinate 0 first.
inline constexpr int kSmallNormRows = 227;
inline constexpr std::array<const char*, 29> kNorm12Rows = {
    "31113333", "13113333", "11313333", "11133333", "33313311", "33313131", "33311331", "33313113",
    "33311313", "33311133", "33133311", "33133131", "33131331", "33133113", "33131313", "33131133",
    "31333311", "31333131", "31331331", "31333113", "31331313", "13331133", "13333311", "13333131",
    "13331331", "13333113", "13331313", "11331333", "33113331"};

// Calls visit(vector) for all 3^8 vectors over `digits` in lexicographic order.
template <typename T, typename Visit>
constexpr void ForEachTernary(const std::array<T, 3>& digits, Visit visit) {
  for (int n = 0; n < 6561; ++n) {
    std::array<T, 8> v{};
    for (int k = 7, rest = n; k >= 0; --k, rest /= 3) v[k] = digits[rest % 3];
    visit(v);
  }
}

constexpr Magnitudes BuildMagnitudes() {
  Magnitudes rows{};
  int at = 0;
  ForEachTernary<uint8_t>({1, 3, 5}, [&](const std::array<uint8_t, 8>& v) {
    int norm = 0;
    for (int a : v) norm += a * a;
    if (norm <= 40) rows[at++] = v;
  });
  if (at != kSmallNormRows) throw "the enumeration must give 227 rows";
  for (const char* row : kNorm12Rows) {
    for (int k = 0; k < 8; ++k) rows[at][k] = static_cast<uint8_t>(row[k] - '0');
    ++at;
  }
  return rows;
}

constexpr Entries BuildE81b() {
  Entries entries{};
  int at = 0;
  ForEachTernary<int8_t>({-2, 0, 2}, [&](const std::array<int8_t, 8>& v) {
    int sum = 0, norm = 0;
    for (int a : v) {
      sum += a / 2;
      norm += a * a / 4;
    }
    if (sum % 2 == 0 && norm <= 2) entries[at++] = v;
  });
  for (int n = 0; n < 256; ++n) {  // n's bits, coordinate 0 first: 0 is -1/2, 1 is +1/2
    int minus = 0;
    for (int k = 0; k < 8; ++k) minus += !(n >> (7 - k) & 1);
    if (minus % 2) continue;
    for (int k = 0; k < 8; ++k) entries[at][k] = (n >> (7 - k) & 1) ? 1 : -1;
    ++at;
  }
  if (at != 241) throw "the enumeration must give 113 + 128 entries";
  for (int i = 0; i < 8; ++i) entries[at++][i] = 4;
  for (int i = 0; i < 7; ++i) entries[at++][i] = -4;
  return entries;
}

inline constexpr Magnitudes kMagnitudes = BuildMagnitudes();
inline constexpr Entries kE81b = BuildE81b();

constexpr bool SumIsOdd(const std::array<uint8_t, 8>& doubled) {
  int sum = 0;
  for (int a : doubled) sum += a;
  return (sum / 2) % 2 != 0;
}

constexpr int Parity(uint32_t bits) {
  int p = 0;
  for (; bits; bits &= bits - 1) p ^= 1;
  return p;
}

// u of w4 = 2u - 15 is (h << 1) | (shift > 0): h = 4, 5, 6 for magnitudes 1/2, 3/2, 5/2, all three
// bits inverted where the weight is negative.
inline constexpr uint32_t kFlip = 0xE;

constexpr NibbleTables BuildNibbles() {
  NibbleTables t{};
  for (int i = 0; i < 256; ++i) {
    for (int k = 0; k < 8; ++k) t.magnitude[i] |= static_cast<uint32_t>(kMagnitudes[i][k] + 7) << (4 * k);
    if (SumIsOdd(kMagnitudes[i])) t.magnitude[i] ^= kFlip << 28;

    const int odd = Parity(static_cast<uint32_t>(i));
    const int flips = i ^ odd;  // bit 0 makes the number of flips even
    for (int k = 0; k < 8; ++k) {
      const int shift = 4 * kCoordinateOfSignBit[k];
      if (flips >> k & 1) t.sign[i] |= kFlip << shift;
      if (!odd) t.sign[i] |= 1u << shift;
    }
    for (int k = 0; k < 8; ++k) t.e81b[i] |= static_cast<uint32_t>(kE81b[i][k] + 4) << (4 * k);
  }
  return t;
}

}  // namespace glq::e8p::tables
