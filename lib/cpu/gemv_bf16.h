// y = x W^T with W in bfloat16, for a few rows of x.
#pragma once

#include <cstdint>

#include "cpu/matrix.h"
#include "platform/parallel.h"

namespace glq::cpu {

// w: [n][ldw], k of each row used. x: [B][k] of any type, y: [B][n] of any type.
//
// Order of the sums, the same for every B, every number of threads and every instruction set: sixty-four
// partial sums in fp32, all zero at first. Sum l takes the products of columns l, l + 64, l + 128, ... in
// ascending order, each by one fused multiply-add, with zeros in place of the columns from k to the next
// multiple of 64. Then sums l and l + 32 are added for l < 32, then l and l + 16 for l < 16, and so on down
// to one sum, which is rounded once to y's type; a NaN becomes the canonical one.
void GemvBf16(const uint16_t* w, int64_t n, int64_t k, int64_t ldw, ConstMatrix x, Matrix y, Parallel& par);

}  // namespace glq::cpu
