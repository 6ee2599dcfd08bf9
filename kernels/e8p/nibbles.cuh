// The words of nibbles of all codes (layout.h), constants of the module: their loads need not wait for the parameters
// of a launch, which it finds in no cache.
#pragma once

#include "e8p/codebook_tables.h"

namespace glq::kernels {

alignas(16) __device__ constexpr e8p::NibbleTables kNibbles = e8p::tables::BuildNibbles();

}  // namespace glq::kernels
