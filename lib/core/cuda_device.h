// Makes a CUDA device current for the length of a scope. In a CPU-only build it does nothing.
#pragma once

struct CUctx_st;  // what the driver's CUcontext points to

namespace glq::cuda {

// The device's primary context becomes the driver's current one, and what was current before (another context, or none
// at all) is so again behind the scope. Not by way of cudaSetDevice: going back to a device makes a primary context on
// it, some 500 MB on a device that the process may never use. A device that cannot be made current changes nothing: the
// calls in the scope then say what is wrong.
//
// A host that resets the device (cudaDeviceReset) takes from the library's contexts on it all that they hold, as from
// everyone else in the process: they are of no more use, but may be destroyed, and new ones may be made.
class ScopedDevice {
 public:
  explicit ScopedDevice(int device);  // negative: leaves the current device alone
  ~ScopedDevice();
  ScopedDevice(const ScopedDevice&) = delete;
  ScopedDevice& operator=(const ScopedDevice&) = delete;

 private:
  CUctx_st* pushed_ = nullptr;  // null if nothing was changed
  CUctx_st* previous_ = nullptr;
};

}  // namespace glq::cuda
