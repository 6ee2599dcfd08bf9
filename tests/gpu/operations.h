// Every operation of the library over small data in device memory, for the tests of how operations are queued.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/support.h"

namespace glq::gpu {

// What an operation does, with the weights it uses. Any number of Buffers may run it at once.
struct Operation {
  std::string name;
  Image in, out;  // type and layout; `in` is filled by Buffers
  size_t workspace_bytes;
  std::function<glq_status(glq_context*, cudaStream_t, const glq_view* in, const glq_view* out, const glq_workspace*)>
      run;
};

// The weights belong to `context`, and so do the operations.
std::vector<std::unique_ptr<Operation>> MakeOperations(glq_context* context);

// Memory for one user of an operation.
class Buffers {
 public:
  explicit Buffers(const Operation& operation);
  // New input, poisoned output and workspace; ordered on the stream, complete on return.
  void Reset(uint64_t seed, cudaStream_t stream);
  glq_status Run(glq_context* context, cudaStream_t stream);
  // The output, as it is after all work on the stream.
  const Image& Output(cudaStream_t stream);
  ::testing::AssertionResult WorkspaceIntact(cudaStream_t stream) const { return workspace_.Intact(stream); }

  const Operation& operation() const { return operation_; }
  Image& host_in() { return in_; }
  DeviceImage& in() { return device_in_; }

 private:
  const Operation& operation_;
  Image in_, out_;
  DeviceImage device_in_, device_out_;
  Workspace workspace_;
};

// The same bytes, guards included.
::testing::AssertionResult SameImages(const Image& expected, const Image& got);
// Resets with this seed, runs, waits: what every other way of running must give.
Image Eager(glq_context* context, Buffers& buffers, uint64_t seed, cudaStream_t stream);

}  // namespace glq::gpu
