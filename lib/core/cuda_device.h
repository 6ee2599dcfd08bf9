// Makes a CUDA device current for the length of a scope. In a CPU-only build it does nothing.
#pragma once

namespace glq::cuda {

class ScopedDevice {
 public:
  explicit ScopedDevice(int device);  // negative: leaves the current device alone
  ~ScopedDevice();
  ScopedDevice(const ScopedDevice&) = delete;
  ScopedDevice& operator=(const ScopedDevice&) = delete;

 private:
  int previous_ = -1;  // to be restored; -1 if nothing was changed
};

}  // namespace glq::cuda
