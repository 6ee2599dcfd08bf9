// The part of the CUDA runtime that the library and its GPU tests use, for one GPU that is the CPU (emulator.h).
// Streams are in order and done at once; memory is the host's.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Few multiprocessors: small layers then give each block several row tiles.
int Multiprocessors() {
  const char* text = std::getenv("GLQ_EMULATED_MULTIPROCESSORS");
  return text == nullptr ? 8 : std::atoi(text);
}
constexpr int kArchitecture = GLQ_EMULATED_ARCHITECTURE;
constexpr int kSharedBytes = kArchitecture == 90 ? 232448 : kArchitecture == 80 ? 166912 : 101376;

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t e) { return e == cudaSuccess ? "cudaSuccess" : "cudaError"; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the emulated CUDA runtime"; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      return *value = kArchitecture / 10, cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      return *value = kArchitecture % 10, cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      return *value = Multiprocessors(), cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return *value = kSharedBytes, cudaSuccess;
    case cudaDevAttrMemoryClockRate:
      return *value = 1000000, cudaSuccess;
    case cudaDevAttrGlobalMemoryBusWidth:
      return *value = 1024, cudaSuccess;
    default:
      return cudaErrorInvalidValue;
  }
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int) {
  *prop = {};
  std::snprintf(prop->name, sizeof(prop->name), "emulated GPU");
  prop->major = kArchitecture / 10;
  prop->minor = kArchitecture % 10;
  prop->multiProcessorCount = Multiprocessors();
  prop->sharedMemPerBlockOptin = kSharedBytes;
  prop->l2CacheSize = 1 << 20;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return *free_bytes = *total = size_t{16} << 30, cudaSuccess;
}

cudaError_t cudaMalloc(void** p, size_t bytes) {
  *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*p == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*p, 0xA5, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) { return std::free(p), cudaSuccess; }
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  return std::memmove(to, from, bytes), cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return std::memmove(to, from, bytes), cudaSuccess;
}
cudaError_t cudaMemset(void* p, int value, size_t bytes) { return std::memset(p, value, bytes), cudaSuccess; }
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  return std::memset(p, value, bytes), cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = reinterpret_cast<cudaStream_t>(std::malloc(1)), cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return std::free(stream), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->ptxVersion = attributes->binaryVersion = kArchitecture;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void*, const cudaLaunchConfig_t* config) {
  *clusters = Multiprocessors() / static_cast<int>(config->gridDim.x);
  return cudaSuccess;
}

}  // extern "C"
#pragma GCC visibility pop
