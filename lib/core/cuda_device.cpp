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
// `version`: of CUDA that has had the function as it is now. One newer than the driver would find nothing.
template <typename Function>
bool Find(const char* name, Function& function, unsigned version = 7000) {
  void* found = nullptr;
#if CUDART_VERSION >= 12050
  const cudaError_t e = cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault);
#else
  static_cast<void>(version);
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
    if (!Find("cuDevicePrimaryCtxGetState", get_state_) || !Find("cuCtxGetId", get_id_, 12000)) get_state_ = nullptr;
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

  uint64_t Number(int device) const {
    uint64_t number = 0;
    if (State(device, &number) == kNone && Retain(device) != nullptr) static_cast<void>(State(device, &number));
    return number;
  }

  bool IsGone(int device, uint64_t number) const {
    uint64_t now = 0;
    const Answer answer = State(device, &now);
    return answer == kNone || (answer == kThere && now != number);
  }

 private:
  // Of the device's primary context. Asked by the device: after a reset a thread's current context still is what it
  // was, though it is gone.
  enum Answer { kNotSaid, kNone, kThere };
  Answer State(int device, uint64_t* number) const {
    if (get_state_ == nullptr || device < 0 || device >= devices_) return kNotSaid;
    CUdevice handle = 0;
    unsigned flags = 0;
    int active = 0;
    if (device_get_(&handle, device) != CUDA_SUCCESS || get_state_(handle, &flags, &active) != CUDA_SUCCESS) {
      return kNotSaid;
    }
    const CUcontext kept = primary_[static_cast<size_t>(device)].load(std::memory_order_acquire);
    if (active == 0 || kept == nullptr) return kNone;
    unsigned long long id = 0;
    const CUresult result = get_id_(kept, &id);
    if (result == CUDA_ERROR_INVALID_CONTEXT || result == CUDA_ERROR_CONTEXT_IS_DESTROYED) return kNone;
    if (result != CUDA_SUCCESS) return kNotSaid;
    *number = id;
    return kThere;
  }

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
  decltype(&cuDevicePrimaryCtxGetState) get_state_ = nullptr;  // with the next one, or null
  decltype(&cuCtxGetId) get_id_ = nullptr;
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

uint64_t PrimaryContext(int device) { return device < 0 ? 0 : MadeOnce<&MakeDriver>().Number(device); }

bool PrimaryContextIsGone(int device, uint64_t number) noexcept {
  return number != 0 && MadeOnce<&MakeDriver>().IsGone(device, number);
}

#else

uint64_t PrimaryContext(int) { return 0; }
bool PrimaryContextIsGone(int, uint64_t) noexcept { return false; }

ScopedDevice::ScopedDevice(int) {}
ScopedDevice::~ScopedDevice() { static_cast<void>(pushed_), static_cast<void>(previous_); }

#endif

}  // namespace glq::cuda
