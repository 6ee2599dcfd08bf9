#include "core/cuda_device.h"

#if GLQ_HAS_CUDA
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <memory>

#include "platform/fork.h"
#endif

namespace glq::cuda {

#if GLQ_HAS_CUDA
namespace {

// The driver's functions come through the runtime: with libcuda linked, the library would not load without a driver.
template <typename Function>
bool Find(const char* name, Function& function) {
  void* found = nullptr;
#if CUDART_VERSION >= 12050
  // As of CUDA 7, which had all of these as they are now. A version newer than the driver would find nothing.
  const cudaError_t e = cudaGetDriverEntryPointByVersion(name, &found, 7000, cudaEnableDefault);
#else
  const cudaError_t e = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault);
#endif
  function = reinterpret_cast<Function>(found);
  return e == cudaSuccess && found != nullptr;
}

class Driver {
 public:
  Driver() {
    int devices = 0;
    if (Find("cuCtxGetCurrent", get_current_) && Find("cuCtxSetCurrent", set_current_) &&
        Find("cuCtxPushCurrent", push_current_) && Find("cuCtxPopCurrent", pop_current_) &&
        Find("cuDeviceGet", device_get_) && Find("cuDevicePrimaryCtxRetain", retain_primary_) &&
        cudaGetDeviceCount(&devices) == cudaSuccess) {
      devices_ = devices;
      primary_ = std::make_unique<std::atomic<CUcontext>[]>(static_cast<size_t>(devices));
    }
    static_cast<void>(cudaGetLastError());
  }

  // The context that was pushed, null if none had to be or could be; and which one was current.
  CUcontext Push(int device, CUcontext* previous) const {
    if (device < 0 || device >= devices_) return nullptr;
    CUcontext current = nullptr;
    static_cast<void>(get_current_(&current));
    *previous = current;
    const CUcontext kept = primary_[static_cast<size_t>(device)].load(std::memory_order_acquire);
    if (kept != nullptr && kept == current) return nullptr;
    if (kept != nullptr && push_current_(kept) == CUDA_SUCCESS) return kept;
    // The first time; or a reset has done away with what was kept.
    const CUcontext fresh = Retain(device);
    return fresh != nullptr && fresh != current && push_current_(fresh) == CUDA_SUCCESS ? fresh : nullptr;
  }

  // A callback of the host (an allocator, a release function) may have left another context current.
  void Pop(CUcontext pushed, CUcontext previous) const {
    CUcontext current = nullptr;
    if (pushed != nullptr) {
      if (pop_current_(&current) == CUDA_SUCCESS && current == pushed) return;
    } else if (get_current_(&current) == CUDA_SUCCESS && current == previous) {
      return;
    }
    static_cast<void>(set_current_(previous));
  }

 private:
  // Never released: the library stays loaded, and the runtime inside keeps the context as well. Threads that come at
  // once all retain it, which counts their calls and gives the same context.
  CUcontext Retain(int device) const {
    CUdevice handle = 0;
    CUcontext context = nullptr;
    if (device_get_(&handle, device) != CUDA_SUCCESS || retain_primary_(&context, handle) != CUDA_SUCCESS) {
      return nullptr;
    }
    primary_[static_cast<size_t>(device)].store(context, std::memory_order_release);
    return context;
  }

  decltype(&cuCtxGetCurrent) get_current_ = nullptr;
  decltype(&cuCtxSetCurrent) set_current_ = nullptr;
  decltype(&cuCtxPushCurrent) push_current_ = nullptr;
  decltype(&cuCtxPopCurrent) pop_current_ = nullptr;
  decltype(&cuDeviceGet) device_get_ = nullptr;
  decltype(&cuDevicePrimaryCtxRetain) retain_primary_ = nullptr;
  int devices_ = 0;
  std::unique_ptr<std::atomic<CUcontext>[]> primary_;  // by device; null until it is first wanted
};

Driver MakeDriver() { return Driver(); }

}  // namespace

ScopedDevice::ScopedDevice(int device) {
  if (device >= 0) pushed_ = MadeOnce<&MakeDriver>().Push(device, &previous_);
}

ScopedDevice::~ScopedDevice() {
  if (pushed_ != nullptr || previous_ != nullptr) MadeOnce<&MakeDriver>().Pop(pushed_, previous_);
}

#else

ScopedDevice::ScopedDevice(int) {}
ScopedDevice::~ScopedDevice() { static_cast<void>(pushed_), static_cast<void>(previous_); }

#endif

}  // namespace glq::cuda
