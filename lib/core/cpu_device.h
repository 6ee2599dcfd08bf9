// The host as a device.
#pragma once

#include "glq/context.h"

namespace glq {

int32_t UsableProcessors();               // that this process may run on
void FillCpuInfo(glq_device_info* info);  // all but struct_size

}  // namespace glq
