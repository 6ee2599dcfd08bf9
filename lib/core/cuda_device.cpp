#include "core/cuda_device.h"

#if GLQ_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

namespace glq::cuda {

#if GLQ_HAS_CUDA

ScopedDevice::ScopedDevice(int device) {
  int current;
  if (device < 0 || cudaGetDevice(&current) != cudaSuccess || current == device) return;
  if (cudaSetDevice(device) == cudaSuccess) previous_ = current;
}

ScopedDevice::~ScopedDevice() {
  if (previous_ >= 0) static_cast<void>(cudaSetDevice(previous_));
}

#else

ScopedDevice::ScopedDevice(int) {}
ScopedDevice::~ScopedDevice() { static_cast<void>(previous_); }

#endif

}  // namespace glq::cuda
