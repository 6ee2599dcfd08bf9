// Scalar conversions between binary16, bfloat16 and binary32: round to nearest even, overflow to
// infinity, every NaN canonical. Independent of the floating-point control and of the instruction set.
#pragma once

#include <bit>
#include <cstdint>

namespace glq::cpu {

inline constexpr uint32_t kCanonicalNan = 0x7FC00000;

inline float HalfToFloat(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = h >> 10 & 31;
  uint32_t mantissa = h & 1023;
  if (exponent == 31) return std::bit_cast<float>(mantissa ? kCanonicalNan : sign | 0x7F800000);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  if (mantissa == 0) return std::bit_cast<float>(sign);
  const int shift = std::countl_zero(mantissa) - 21;  // brings the leading one to bit 10
  mantissa = mantissa << shift & 1023;
  return std::bit_cast<float>(sign | static_cast<uint32_t>(113 - shift) << 23 | mantissa << 13);
}

inline uint16_t FloatToHalf(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return 0x7E00;
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);  // 65520 and above
  // Keeps `mantissa >> drop`, rounded to nearest even; the carry into the exponent is wanted.
  const auto round = [](uint32_t mantissa, uint32_t drop) {
    const uint32_t kept = mantissa >> drop, rest = mantissa & ((1u << drop) - 1), tie = 1u << (drop - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
  };
  if (magnitude >= 0x38800000) return static_cast<uint16_t>(sign | round(magnitude - 0x38000000, 13));
  if (magnitude < 0x33000000) return static_cast<uint16_t>(sign);  // below half of the smallest subnormal
  return static_cast<uint16_t>(sign | round((magnitude & 0x7FFFFF) | 0x800000, 126 - (magnitude >> 23)));
}

inline float Bf16ToFloat(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  return std::bit_cast<float>((bits & 0x7FFFFFFF) > 0x7F800000 ? kCanonicalNan : bits);
}

inline uint16_t FloatToBf16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0x7FC0;
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace glq::cpu
