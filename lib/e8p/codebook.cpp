#include "e8p/codebook.h"

#include "e8p/codebook_tables.h"

namespace glq::e8p {
namespace {

using namespace tables;

constexpr NibbleTables kNibbles = BuildNibbles();

}  // namespace

const std::array<std::array<uint8_t, 8>, 256>& MagnitudesTimes2() { return kMagnitudes; }
const std::array<std::array<int8_t, 8>, 256>& E81bTimes2() { return kE81b; }
const NibbleTables& Nibbles() { return kNibbles; }

// Written from the decoding rule, not from the nibble tables, so that tests may compare the two.
void DecodeE8p(uint16_t code, int8_t w4[8]) {
  const std::array<uint8_t, 8>& a = kMagnitudes[code >> 8];
  const uint32_t signs = code & 255;
  const int odd = Parity(signs);
  const uint32_t flips = signs ^ static_cast<uint32_t>(odd) ^ (SumIsOdd(a) ? 0x80u : 0u);
  for (int k = 0; k < 8; ++k) {
    const int at = kCoordinateOfSignBit[k];
    const int magnitude = 2 * a[at];
    w4[at] = static_cast<int8_t>(((flips >> k & 1) ? -magnitude : magnitude) + (odd ? -1 : 1));
  }
}

void DecodeE81b(uint8_t code, int8_t w2[8]) {
  for (int k = 0; k < 8; ++k) w2[k] = kE81b[code][k];
}

}  // namespace glq::e8p
