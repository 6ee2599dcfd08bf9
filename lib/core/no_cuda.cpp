// The CUDA side of the library where it was built without CUDA: it says so.
#if !GLQ_HAS_CUDA

#include "core/backend.h"
#include "core/error.h"

namespace glq::cuda {
namespace {

constexpr char kMessage[] = "this library was built without CUDA";

}  // namespace

void FillCudaInfo(glq_cuda_info* info) {
  info->status = GLQ_E_UNSUPPORTED_BUILD;
  info->device_count = 0;
  info->driver_version = 0;
  info->runtime_version = 0;
  info->reserved = 0;
  info->message = kMessage;
  info->architectures = "";
}

int DeviceCount() { return 0; }

void FillDeviceInfo(int index, glq_device_info*) {
  Fail(GLQ_E_UNSUPPORTED_BUILD, "device = cuda:%d, but %s", index, kMessage);
}

glq_allocator DefaultAllocator(int device) {
  Fail(GLQ_E_UNSUPPORTED_BUILD, "device = cuda:%d, but %s", device, kMessage);
}

std::unique_ptr<Backend> MakeBackend(int device, Memory&, uint32_t, const char*) {
  Fail(GLQ_E_UNSUPPORTED_BUILD, "device = cuda:%d, but %s", device, kMessage);
}

std::string BuildDescription() { return "none"; }

}  // namespace glq::cuda

#endif
