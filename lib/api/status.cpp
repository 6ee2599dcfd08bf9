// Names and sentences of status codes.
#include "api/boundary.h"

namespace glq::api {
namespace {

struct Entry {
  glq_status status;
  const char *name, *sentence;
};

constexpr Entry kEntries[] = {
    {GLQ_OK, "GLQ_OK", "Success."},
    {GLQ_E_INVALID_ARGUMENT, "GLQ_E_INVALID_ARGUMENT",
     "A pointer is NULL, a constant is unknown or a value is out of range."},
    {GLQ_E_SHAPE, "GLQ_E_SHAPE", "A rank or an extent does not fit."},
    {GLQ_E_DTYPE, "GLQ_E_DTYPE", "A data type is not accepted here."},
    {GLQ_E_LAYOUT, "GLQ_E_LAYOUT", "Strides are not accepted here."},
    {GLQ_E_ALIGNMENT, "GLQ_E_ALIGNMENT", "A pointer is not aligned to its element or to the stated size."},
    {GLQ_E_DEVICE_MISMATCH, "GLQ_E_DEVICE_MISMATCH", "Memory or a handle belongs to another device or context."},
    {GLQ_E_STRUCT_SIZE, "GLQ_E_STRUCT_SIZE",
     "A struct_size is wrong, or a field that this library does not know is set."},
    {GLQ_E_ALIASING, "GLQ_E_ALIASING", "An output overlaps an input, an output or the workspace."},
    {GLQ_E_BAD_HANDLE, "GLQ_E_BAD_HANDLE", "Not a live handle of the expected kind."},
    {GLQ_E_NOT_FINITE, "GLQ_E_NOT_FINITE", "A scale or a matrix holds NaN or infinity."},
    {GLQ_E_BAD_FILE, "GLQ_E_BAD_FILE", "A file or a saved state is truncated, malformed or inconsistent."},
    {GLQ_E_NOT_FOUND, "GLQ_E_NOT_FOUND", "There is no entry of that name or index."},
    {GLQ_E_WRONG_STATE, "GLQ_E_WRONG_STATE", "The object is not in a state that allows this call."},
    {GLQ_E_UNSUPPORTED, "GLQ_E_UNSUPPORTED", "The request is valid but not implemented for this combination."},
    {GLQ_E_UNSUPPORTED_ARCH, "GLQ_E_UNSUPPORTED_ARCH", "This library holds no kernel for this GPU."},
    {GLQ_E_UNSUPPORTED_BUILD, "GLQ_E_UNSUPPORTED_BUILD", "This library was built without the needed part."},
    {GLQ_E_UNSUPPORTED_WHILE_CAPTURING, "GLQ_E_UNSUPPORTED_WHILE_CAPTURING",
     "Not allowed while the stream captures a graph."},
    {GLQ_E_OUT_OF_HOST_MEMORY, "GLQ_E_OUT_OF_HOST_MEMORY", "A host allocation failed."},
    {GLQ_E_OUT_OF_DEVICE_MEMORY, "GLQ_E_OUT_OF_DEVICE_MEMORY", "A device allocation failed."},
    {GLQ_E_WORKSPACE_TOO_SMALL, "GLQ_E_WORKSPACE_TOO_SMALL", "The workspace is smaller than its query says."},
    {GLQ_E_BUFFER_TOO_SMALL, "GLQ_E_BUFFER_TOO_SMALL", "An output buffer is too small; the needed size was written."},
    {GLQ_E_IO, "GLQ_E_IO", "The operating system refused a file operation."},
    {GLQ_E_NO_DEVICE, "GLQ_E_NO_DEVICE", "There is no such device."},
    {GLQ_E_NO_DRIVER, "GLQ_E_NO_DRIVER", "No NVIDIA driver is present."},
    {GLQ_E_DRIVER_TOO_OLD, "GLQ_E_DRIVER_TOO_OLD", "The NVIDIA driver is older than the CUDA runtime needs."},
    {GLQ_E_LIBRARY_NOT_FOUND, "GLQ_E_LIBRARY_NOT_FOUND", "An optional library that this call needs was not found."},
    {GLQ_E_CUDA, "GLQ_E_CUDA", "A CUDA call failed."},
    {GLQ_E_CUBLAS, "GLQ_E_CUBLAS", "A cuBLASLt call failed."},
    {GLQ_E_DEVICE_LOST, "GLQ_E_DEVICE_LOST", "The CUDA context is unusable after an earlier fault or a reset."},
    {GLQ_E_INTERNAL, "GLQ_E_INTERNAL", "A defect of the library."},
    {GLQ_E_CANCELLED, "GLQ_E_CANCELLED", "A callback asked to stop."},
    {GLQ_E_NUMERIC, "GLQ_E_NUMERIC", "A matrix cannot be factorised even after damping."},
};

const Entry* Find(glq_status status) {
  for (const Entry& e : kEntries) {
    if (e.status == status) return &e;
  }
  return nullptr;
}

}  // namespace

const char* StatusName(glq_status status) {
  const Entry* e = Find(status);
  return e ? e->name : nullptr;
}

const char* StatusSentence(glq_status status) {
  const Entry* e = Find(status);
  return e ? e->sentence : nullptr;
}

}  // namespace glq::api
