// Makes a CUDA device current for the length of a scope. In a CPU-only build it does nothing.
#pragma once

#include <cstdint>

struct CUctx_st;  // what the driver's CUcontext points to

namespace glq::cuda {

// The device's primary context becomes the driver's current one, and what was current before (another context, or none
// at all) is so again behind the scope, also where a callback of the host inside has made another one current. Not by
// way of cudaSetDevice: going back to a device makes a primary context on it, some 500 MB on a device that the process
// may never use. A device that cannot be made current changes nothing.
class ScopedDevice {
 public:
  explicit ScopedDevice(int device);  // negative: leaves the current device alone
  ~ScopedDevice();
  ScopedDevice(const ScopedDevice&) = delete;
  ScopedDevice& operator=(const ScopedDevice&) = delete;

 private:
  CUctx_st* pushed_ = nullptr;    // null if it was current already, or could not become so
  CUctx_st* previous_ = nullptr;  // to be current afterwards; null and nothing pushed: nothing to be done
};

// The device's primary context by a number that no other one of the process has, not even the one in its place after a
// reset of the device, whose handle may be the same. Makes one where there is none. 0: the driver does not say (before
// CUDA 12.0), or there is no such device.
uint64_t PrimaryContext(int device);

// Whether that one is gone: the device was reset. False where the driver does not say.
bool PrimaryContextIsGone(int device, uint64_t number) noexcept;

}  // namespace glq::cuda
