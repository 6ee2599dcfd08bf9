// The codebooks cut into byte planes, for kernels that look bytes up in registers.
#pragma once

#include <cstdint>

namespace glq::cpu {

// Plane b is byte b of the nibble words (e8p/codebook.h): weights 2b (low nibble) and 2b + 1.
struct PlaneTables {
  alignas(64) uint8_t magnitude[4][256];
  alignas(64) uint8_t e81b[4][256];
  // A plane of signs is affine in the sign byte over GF(2): an 8 x 8 bit matrix, row i (which makes bit
  // i) in byte 7 - i as vgf2p8affineqb takes it, and the constant, which all planes share.
  uint64_t sign[4];
  uint8_t sign_constant;
};

// Made at the first call. Not in a dispatched source: it has to run on any machine.
const PlaneTables& Planes();

}  // namespace glq::cpu
