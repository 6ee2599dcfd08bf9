// The host as a device.
#pragma once

#include "glq/context.h"

namespace glq {

void FillCpuInfo(glq_device_info* info);  // all but struct_size

}  // namespace glq
