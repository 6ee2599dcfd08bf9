// The words of nibbles of all codes (layout.h), constants of the module: their loads need not wait for the parameters
// of a launch, which it finds in no cache.
#pragma once

#include "e8p/codebook_tables.h"

namespace glq::kernels {

__device__ constexpr e8p::NibbleTables kNibbles = e8p::tables::BuildNibbles();

}  // namespace glq::kernels
