// The part of the CUDA runtime that the library and its GPU tests use, for one GPU that is the CPU (emulator.h).
// Streams are in order and done at once; memory is the host's. A reset ends all memory that was allocated.
#include <cuda.h>
#include <cuda_runtime.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <vector>

#include "emulator.h"

struct CUctx_st {};

namespace {

// Few multiprocessors: small layers then give each block several row tiles.
int Multiprocessors() {
  const char* text = std::getenv("GLQ_EMULATED_MULTIPROCESSORS");
  return text == nullptr ? 8 : std::atoi(text);
}
constexpr int kArchitecture = GLQ_EMULATED_ARCHITECTURE;
constexpr int kSharedBytes = kArchitecture == 90 ? 232448 : kArchitecture == 80 ? 166912 : 101376;

CUctx_st g_primary;
// The number of the primary context; 0 where there is none.
std::atomic<unsigned long long> g_number{0};
std::atomic<unsigned long long> g_last_number{0};
void UsePrimaryContext() {
  unsigned long long none = 0;
  if (g_number == 0) g_number.compare_exchange_strong(none, ++g_last_number);
}
// Never destroyed, as below.
std::mutex& g_blocks_mutex = *new std::mutex;
std::set<void*>& g_blocks = *new std::set<void*>;
// The last one is current. Never destroyed: a context may be destroyed by an exit handler, after the thread's
// variables.
thread_local std::vector<CUcontext>& t_contexts = *new std::vector<CUcontext>;

CUcontext Current() { return t_contexts.empty() ? nullptr : t_contexts.back(); }

}  // namespace

bool glq::emulator::PrimaryContextIsCurrent() { return Current() == &g_primary; }

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device != 0) return cudaErrorInvalidDevice;
  return cuCtxSetCurrent(&g_primary), cudaSuccess;
}
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
  UsePrimaryContext();
  *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*p == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*p, 0xA5, bytes);
  const std::lock_guard lock(g_blocks_mutex);
  return g_blocks.insert(*p), cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  if (p == nullptr) return cudaSuccess;
  UsePrimaryContext();
  const std::lock_guard lock(g_blocks_mutex);
  if (g_blocks.erase(p) == 0) return cudaErrorInvalidValue;
  return std::free(p), cudaSuccess;
}
cudaError_t cudaDeviceReset() {
  const std::lock_guard lock(g_blocks_mutex);
  for (void* p : g_blocks) std::free(p);
  g_blocks.clear();
  return g_number = 0, cudaSuccess;
}
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
  UsePrimaryContext();
  return *stream = reinterpret_cast<cudaStream_t>(std::malloc(1)), cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return std::free(stream), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return UsePrimaryContext(), cudaSuccess; }
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

// --- The driver: what is current ---

CUresult cuCtxGetCurrent(CUcontext* context) { return *context = Current(), CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext context) {
  if (!t_contexts.empty()) t_contexts.pop_back();
  if (context != nullptr) t_contexts.push_back(context);
  return CUDA_SUCCESS;
}
CUresult cuCtxPushCurrent(CUcontext context) {
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return t_contexts.push_back(context), CUDA_SUCCESS;
}
CUresult cuCtxPopCurrent(CUcontext* context) {
  if (t_contexts.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *context = Current();
  return t_contexts.pop_back(), CUDA_SUCCESS;
}
CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice) {
  t_contexts.push_back(*context = new CUctx_st);
  return CUDA_SUCCESS;
}
CUresult cuCtxDestroy(CUcontext context) {
  if (Current() == context) t_contexts.pop_back();
  return delete context, CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice* device, int index) {
  if (index != 0) return CUDA_ERROR_INVALID_DEVICE;
  return *device = 0, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  UsePrimaryContext();
  return *context = &g_primary, CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) {
  return *flags = 0, *active = g_number != 0, CUDA_SUCCESS;
}
CUresult cuCtxGetId(CUcontext, unsigned long long* id) { return *id = g_number, CUDA_SUCCESS; }

#if CUDART_VERSION >= 12050
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
#else
cudaError_t cudaGetDriverEntryPoint(const char* name, void** function, unsigned long long,
                                    cudaDriverEntryPointQueryResult* result) {
#endif
  static const struct {
    const char* name;
    void* function;
  } functions[] = {{"cuCtxGetCurrent", reinterpret_cast<void*>(&cuCtxGetCurrent)},
                   {"cuCtxSetCurrent", reinterpret_cast<void*>(&cuCtxSetCurrent)},
                   {"cuCtxPushCurrent", reinterpret_cast<void*>(&cuCtxPushCurrent)},
                   {"cuCtxPopCurrent", reinterpret_cast<void*>(&cuCtxPopCurrent)},
                   {"cuDeviceGet", reinterpret_cast<void*>(&cuDeviceGet)},
                   {"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(&cuDevicePrimaryCtxRetain)},
                   {"cuDevicePrimaryCtxGetState", reinterpret_cast<void*>(&cuDevicePrimaryCtxGetState)},
                   {"cuCtxGetId", reinterpret_cast<void*>(&cuCtxGetId)}};
  *function = nullptr;
  for (const auto& known : functions) {
    if (std::strcmp(known.name, name) == 0) *function = known.function;
  }
  if (result != nullptr) *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

}  // extern "C"
#pragma GCC visibility pop
