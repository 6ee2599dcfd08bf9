// What CUDA there is: driver, devices, and why not.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "build_config.h"
#include "common/launch.h"
#include "core/backend.h"
#include "core/cuda_device.h"
#include "core/error.h"

namespace glq::cuda {
namespace {

glq_status StatusOf(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return GLQ_OK;
    case cudaErrorNoDevice:
      return GLQ_E_NO_DEVICE;
    case cudaErrorInsufficientDriver:
      return GLQ_E_DRIVER_TOO_OLD;
    case cudaErrorStubLibrary:
    case cudaErrorInitializationError:
      return GLQ_E_NO_DRIVER;
    default:
      return GLQ_E_CUDA;
  }
}

// Without libcuda the runtime reports driver version 0 and "insufficient driver".
struct Found {
  glq_status status;
  int driver, runtime, devices;
  char message[256];
};

Found Look() {
  Found f{};
  static_cast<void>(cudaRuntimeGetVersion(&f.runtime));
  if (cudaDriverGetVersion(&f.driver) != cudaSuccess) f.driver = 0;
  const cudaError_t e = cudaGetDeviceCount(&f.devices);
  static_cast<void>(cudaGetLastError());
  f.status = StatusOf(e);
  if (e != cudaSuccess) f.devices = 0;
  if (f.driver == 0) {
    f.status = GLQ_E_NO_DRIVER;
    std::snprintf(f.message, sizeof(f.message),
                  "no NVIDIA driver (libcuda.so.1) was found; CUDA runtime %d.%d is built in", f.runtime / 1000,
                  f.runtime % 1000 / 10);
  } else if (f.status == GLQ_E_DRIVER_TOO_OLD) {
    std::snprintf(f.message, sizeof(f.message), "the NVIDIA driver supports CUDA %d.%d, expected at least %d.%d",
                  f.driver / 1000, f.driver % 1000 / 10, f.runtime / 1000, f.runtime % 1000 / 10);
  } else if (e != cudaSuccess) {
    std::snprintf(f.message, sizeof(f.message), "cudaGetDeviceCount: %s: %s", cudaGetErrorName(e),
                  cudaGetErrorString(e));
  } else if (f.devices == 0) {
    f.status = GLQ_E_NO_DEVICE;
    std::snprintf(f.message, sizeof(f.message), "the driver lists no CUDA device");
  } else {
    std::snprintf(f.message, sizeof(f.message), "%d CUDA device%s, driver for CUDA %d.%d", f.devices,
                  f.devices == 1 ? "" : "s", f.driver / 1000, f.driver % 1000 / 10);
  }
  return f;
}

void* AllocateOnDevice(void* user, size_t bytes, size_t alignment, int32_t kind) {
  if (kind == GLQ_MEMORY_HOST) return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  const ScopedDevice device(static_cast<int>(reinterpret_cast<intptr_t>(user)));
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return p;
}

void FreeOnDevice(void* user, void* ptr, size_t, int32_t kind) {
  if (kind == GLQ_MEMORY_HOST) {
    std::free(ptr);
    return;
  }
  const ScopedDevice device(static_cast<int>(reinterpret_cast<intptr_t>(user)));
  static_cast<void>(cudaFree(ptr));
  static_cast<void>(cudaGetLastError());
}

}  // namespace

void FillCudaInfo(glq_cuda_info* info) {
  static thread_local Found found;
  found = Look();
  info->status = found.status;
  info->device_count = found.devices;
  info->driver_version = found.driver;
  info->runtime_version = found.runtime;
  info->reserved = 0;
  info->message = found.message;
  info->architectures = kBuildCudaArchs;
}

int DeviceCount() {
  const Found f = Look();
  return f.status == GLQ_OK ? f.devices : 0;
}

void FillDeviceInfo(int index, glq_device_info* info) {
  const Found f = Look();
  if (f.status != GLQ_OK) Fail(f.status, "device = cuda:%d, but %s", index, f.message);
  if (index < 0 || index >= f.devices) {
    Fail(GLQ_E_NO_DEVICE, "device.index = %d, expected 0 to %d", index, f.devices - 1);
  }
  cudaDeviceProp prop;
  CheckCuda(cudaGetDeviceProperties(&prop, index), "cudaGetDeviceProperties");
  const ScopedDevice device(index);
  size_t free_bytes = 0, total_bytes = 0;
  CheckCuda(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  info->type = GLQ_DEVICE_CUDA;
  info->index = index;
  info->compute_capability = prop.major * 10 + prop.minor;
  info->multiprocessors = prop.multiProcessorCount;
  info->max_shared_memory = static_cast<int32_t>(prop.sharedMemPerBlockOptin);
  info->total_memory = static_cast<int64_t>(total_bytes);
  info->free_memory = static_cast<int64_t>(free_bytes);
  info->l2_cache = prop.l2CacheSize;
  std::snprintf(info->name, sizeof(info->name), "%.*s", static_cast<int>(sizeof(info->name) - 1), prop.name);
  std::snprintf(info->detail, sizeof(info->detail), "%08x:%02x:%02x.0", prop.pciDomainID, prop.pciBusID,
                prop.pciDeviceID);
}

glq_allocator DefaultAllocator(int device) {
  return {reinterpret_cast<void*>(static_cast<intptr_t>(device)), AllocateOnDevice, FreeOnDevice};
}

std::string BuildDescription() { return std::string("nvcc ") + kBuildCudaVersion + ", GPUs " + kBuildCudaArchs; }

}  // namespace glq::cuda
