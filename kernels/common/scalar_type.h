// Element types of activations and outputs, for host and device.
#pragma once

#include <cstdint>

namespace glq {

enum class Scalar : int32_t { kF16 = 0, kBF16 = 1, kF32 = 2 };

}  // namespace glq
