// The E8P and E81B codebooks (16 bits -> 8 weights; 8 bits -> 8 weights), as tables and as functions.
// Every weight is held as an integer: four times the E8P weight (odd, |w4| <= 11), twice the E81B
// weight (|w2| <= 4).
#pragma once

#include <array>
#include <cstdint>

namespace glq::e8p {

enum class Codebook : int32_t { kE8P = 1, kE81B = 2 };  // equal to GLQ_CODEBOOK_*

inline constexpr int kGroup = 8;  // weights per code

// Divisor that turns the table's integers into weights: 4 for E8P, 2 for E81B.
constexpr int Denominator(Codebook c) { return c == Codebook::kE8P ? 4 : 2; }
constexpr int CodeBits(Codebook c) { return c == Codebook::kE8P ? 16 : 8; }

// 256 magnitude rows, doubled entries (1, 3, 5), natural coordinate order.
const std::array<std::array<uint8_t, 8>, 256>& MagnitudesTimes2();
// 256 E81B entries, doubled.
const std::array<std::array<int8_t, 8>, 256>& E81bTimes2();

// Four times the eight weights of an E8P code; twice those of an E81B code.
void DecodeE8p(uint16_t code, int8_t w4[8]);
void DecodeE81b(uint8_t code, int8_t w2[8]);

// The nibble form used by the kernels. For E8P, w4[k] = 2 * u[k] - 15 with u in 2..13 and
//   word(code) = kMagnitudeWord[code >> 8] ^ kSignWord[code & 255];
// for E81B, w2[k] = u[k] - 4 with u in 0..8 and word(code) = kE81bWord[code].
// Nibble k of a word (bits 4k..4k+3) belongs to weight k of the group, so that word & 0x0F0F0F0F holds
// weights 0, 2, 4, 6 and word & 0xF0F0F0F0 weights 1, 3, 5, 7 times 16.
struct NibbleTables {
  std::array<uint32_t, 256> magnitude;
  std::array<uint32_t, 256> sign;
  std::array<uint32_t, 256> e81b;
};
const NibbleTables& Nibbles();

}  // namespace glq::e8p
