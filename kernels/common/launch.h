// Launching with attributes: cluster size, programmatic dependent launch, large shared memory.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "core/error.h"

namespace glq {

inline void CheckCuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  glq_status code = GLQ_E_CUDA;
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction)
    code = GLQ_E_UNSUPPORTED_ARCH;
  if (status == cudaErrorMemoryAllocation) code = GLQ_E_OUT_OF_DEVICE_MEMORY;
  if (status == cudaErrorIllegalAddress || status == cudaErrorLaunchFailure || status == cudaErrorAssert ||
      status == cudaErrorHardwareStackError || status == cudaErrorIllegalInstruction ||
      status == cudaErrorMisalignedAddress || status == cudaErrorInvalidPc || status == cudaErrorInvalidAddressSpace) {
    code = GLQ_E_DEVICE_LOST;
  }
  throw Error(code, std::string(what) + ": " + cudaGetErrorName(status) + ": " + cudaGetErrorString(status),
              GLQ_NATIVE_CUDA, static_cast<int32_t>(status));
}

// Loads kernels now: under lazy loading the first launch would, and a capture must not.
template <typename... Kernels>
void LoadKernels(Kernels... kernels) {
  cudaFuncAttributes attributes;
  (CheckCuda(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernels)), "cudaFuncGetAttributes"), ...);
}

// All kernels of one operation ask for the same split of L1 and shared memory: a multiprocessor has to fall idle to
// change it, which would keep their launches from overlapping.
template <typename... Kernels>
void PreferSharedMemory(Kernels... kernels) {
  (CheckCuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernels),
                                  cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared),
             "cudaFuncSetAttribute"),
   ...);
}

// Lets a kernel have all the dynamic shared memory that its static shared memory leaves of `max_bytes`.
template <typename Kernel>
void AllowSharedMemory(Kernel kernel, int max_bytes) {
  cudaFuncAttributes attributes;
  CheckCuda(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)), "cudaFuncGetAttributes");
  CheckCuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 max_bytes - static_cast<int>(attributes.sharedSizeBytes)),
            "cudaFuncSetAttribute");
}

// Lets kernels have `bytes` of dynamic shared memory.
template <typename... Kernels>
void AllowDynamicShared(size_t bytes, Kernels... kernels) {
  (CheckCuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernels), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             "cudaFuncSetAttribute"),
   ...);
}

// Blocks that run at a time in clusters of `cluster` along x.
template <typename Kernel>
int ClusterRoom(Kernel kernel, int cluster, int threads, size_t shared_bytes) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  const cudaLaunchConfig_t config{
      dim3(static_cast<unsigned>(cluster)), dim3(static_cast<unsigned>(threads)), shared_bytes, nullptr, &attribute, 1};
  int clusters = 0;
  CheckCuda(cudaOccupancyMaxActiveClusters(&clusters, reinterpret_cast<const void*>(kernel), &config),
            "cudaOccupancyMaxActiveClusters");
  return clusters * cluster;
}

struct LaunchConfig {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;
  int cluster = 1;         // CTAs of a cluster along x
  bool dependent = false;  // may be put on the machine before the predecessor in the stream has finished
};

template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), const LaunchConfig& c, cudaStream_t stream, Args&&... args) {
  cudaLaunchAttribute attributes[2];
  unsigned count = 0;
  if (c.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count].val.clusterDim.x = static_cast<unsigned>(c.cluster);
    attributes[count].val.clusterDim.y = 1;
    attributes[count].val.clusterDim.z = 1;
    ++count;
  }
  if (c.dependent) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count].val.programmaticStreamSerializationAllowed = 1;
    ++count;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = c.grid;
  config.blockDim = c.block;
  config.dynamicSmemBytes = c.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  CheckCuda(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), name);
}

}  // namespace glq
