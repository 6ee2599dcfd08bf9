// Copies between strided arrays in host memory.
#pragma once

#include "glq/base.h"

namespace glq {

// Equal shapes and types; any strides, any alignment; the arrays do not overlap.
void CopyOnHost(const glq_view& source, const glq_view& destination);

}  // namespace glq
