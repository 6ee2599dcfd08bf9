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
void LoadKernels(Kernels...) {
  CheckCuda(emulator::PrimaryContextIsCurrent() ? cudaSuccess : cudaErrorDeviceUninitialized, "cudaFuncGetAttributes");
}
template <typename... Kernels>
void PreferSharedMemory(Kernels...) {}
// Dynamic shared memory beyond 48 KiB has to be allowed before a launch, and a block can have so much.
template <typename... Kernels>
void AllowDynamicShared(size_t bytes, Kernels... kernels) {
  int most = 0;
  CheckCuda(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), "cudaDeviceGetAttribute");
  CheckCuda(bytes <= static_cast<size_t>(most) ? cudaSuccess : cudaErrorInvalidValue, "cudaFuncSetAttribute");
  (emulator::AllowDynamicShared(reinterpret_cast<const void*>(kernels), bytes), ...);
}
template <typename Kernel>
void AllowSharedMemory(Kernel kernel, int max_bytes) {
  AllowDynamicShared(static_cast<size_t>(max_bytes), kernel);
}

template <typename Kernel>
int ClusterRoom(Kernel kernel, int cluster, int threads, size_t shared_bytes) {
  const cudaLaunchConfig_t config{
      dim3(static_cast<unsigned>(cluster)), dim3(static_cast<unsigned>(threads)), shared_bytes, nullptr, nullptr, 0};
  int clusters = 0;
  CheckCuda(cudaOccupancyMaxActiveClusters(&clusters, reinterpret_cast<const void*>(kernel), &config),
            "cudaOccupancyMaxActiveClusters");
  return clusters * cluster;
}

struct LaunchConfig {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;
  int cluster = 1;
  bool dependent = false;
};

template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), const LaunchConfig& c, cudaStream_t, Args&&... args) {
  CheckCuda(emulator::PrimaryContextIsCurrent() ? cudaSuccess : cudaErrorDeviceUninitialized, name);
  if (c.shared_bytes > emulator::AllowedDynamicShared(reinterpret_cast<const void*>(kernel))) {
    throw Error(GLQ_E_CUDA,
                std::string(name) + ": " + std::to_string(c.shared_bytes) +
                    " bytes of dynamic shared memory, more than the " +
                    std::to_string(emulator::AllowedDynamicShared(reinterpret_cast<const void*>(kernel))) +
                    " that were allowed",
                GLQ_NATIVE_CUDA, static_cast<int32_t>(cudaErrorInvalidValue));
  }
  emulator::Run(name, {c.grid, c.block, c.shared_bytes, static_cast<unsigned>(c.cluster)}, [&] { kernel(args...); });
}

}  // namespace glq
