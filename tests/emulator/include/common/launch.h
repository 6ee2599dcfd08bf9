// Stands for kernels/common/launch.h: a launch is run to its end.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "core/error.h"
#include "emulator.h"

namespace glq {

inline void CheckCuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw Error(GLQ_E_CUDA, what, GLQ_NATIVE_CUDA, static_cast<int32_t>(status));
}

template <typename... Kernels>
void LoadKernels(Kernels...) {}
template <typename... Kernels>
void PreferSharedMemory(Kernels...) {}
template <typename... Kernels>
void AllowDynamicShared(size_t, Kernels...) {}

template <typename Kernel>
void AllowSharedMemory(Kernel, int) {}

struct LaunchConfig {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;
  int cluster = 1;
  bool dependent = false;
};

template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), const LaunchConfig& c, cudaStream_t, Args&&... args) {
  emulator::Run(name, {c.grid, c.block, c.shared_bytes, static_cast<unsigned>(c.cluster)}, [&] { kernel(args...); });
}

}  // namespace glq
