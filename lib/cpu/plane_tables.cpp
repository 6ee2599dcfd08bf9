#include "cpu/plane_tables.h"

#include "e8p/codebook.h"
#include "platform/fork.h"

namespace glq::cpu {
namespace {

PlaneTables Build() {
  const e8p::NibbleTables& words = e8p::Nibbles();
  PlaneTables t{};
  for (int b = 0; b < 4; ++b) {
    for (int i = 0; i < 256; ++i) {
      t.magnitude[b][i] = static_cast<uint8_t>(words.magnitude[i] >> (8 * b));
      t.e81b[b][i] = static_cast<uint8_t>(words.e81b[i] >> (8 * b));
    }
    for (int in = 0; in < 8; ++in) {
      const uint32_t column = (words.sign[1 << in] ^ words.sign[0]) >> (8 * b) & 255;
      for (int out = 0; out < 8; ++out) t.sign[b] |= static_cast<uint64_t>(column >> out & 1) << (8 * (7 - out) + in);
    }
  }
  t.sign_constant = static_cast<uint8_t>(words.sign[0]);
  return t;
}

}  // namespace

const PlaneTables& Planes() { return MadeOnce<Build>(); }

}  // namespace glq::cpu
