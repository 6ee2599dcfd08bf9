// Makes a CUDA device current for the length of a scope. In a CPU-only build it does nothing.
#pragma once

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

}  // namespace glq::cuda
