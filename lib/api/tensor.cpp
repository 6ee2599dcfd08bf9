// glq/tensor.h
#include <algorithm>
#include <cinttypes>

#include "api/boundary.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

namespace {

Alignment AlignmentOf(const glq_view& view) {
  return view.device.type == GLQ_DEVICE_CPU ? Alignment::kAny : Alignment::kElement;
}

// A view to copy from or to: on the host, where any alignment will do, or on the context's device.
void CheckCopied(const ArgName& name, const glq_view* view, const glq_context& context) {
  CheckNotNull(name, view);
  CheckView(name, view, AlignmentOf(*view));
  CheckDevice(name, *view, context.device(), true);
}

// Type, rank and extents of a tensor to be made.
void CheckSpec(const ArgName& name, const glq_view* spec, const glq_context& context) {
  CheckNotNull(name, spec);
  glq_view used{};
  used.dtype = spec->dtype;
  used.ndim = spec->ndim;
  std::copy_n(spec->shape, GLQ_MAX_NDIM, used.shape);
  used.device = context.device();
  used.data = reinterpret_cast<void*>(uintptr_t{GLQ_WORKSPACE_ALIGNMENT});  // for the check of the rest; not followed
  CheckView(name, &used);
}

}  // namespace

glq_status glq_view_init(glq_view* view, const void* data, glq_dtype dtype, const glq_device* device, int32_t ndim,
                         const int64_t* shape) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("view", view);
    glq_view made{};
    made.data = const_cast<void*>(data);
    made.dtype = dtype;
    made.device = device ? *device : glq_device{GLQ_DEVICE_CPU, 0};
    made.ndim = ndim;
    if (ndim < 0 || ndim > GLQ_MAX_NDIM) Fail(GLQ_E_SHAPE, "ndim = %d, expected 0 to %d", ndim, GLQ_MAX_NDIM);
    if (ndim > 0) CheckNotNull("shape", shape);
    std::copy_n(shape, ndim, made.shape);
    CheckView("view", &made, Alignment::kAny);
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      made.strides[i] = stride;
      if (__builtin_mul_overflow(stride, std::max<int64_t>(1, shape[i]), &stride)) {
        Fail(GLQ_E_SHAPE, "shape[%d] = %" PRId64 ", expected strides below 2^63", i, shape[i]);
      }
    }
    *view = made;
  });
}

glq_status glq_view_check(const glq_view* view) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) { CheckView("view", view); });
}

glq_status glq_view_copy(glq_context* context, glq_stream stream, const glq_view* source,
                         const glq_view* destination) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    c.CheckStream(stream);
    CheckCopied("source", source, c);
    CheckCopied("destination", destination, c);
    CheckDtype("destination", *destination, DtypeBit(source->dtype));
    Extent extents[GLQ_MAX_NDIM];
    for (int i = 0; i < source->ndim; ++i) extents[i] = {"source", source->shape[i]};
    CheckShape("destination", *destination, extents, source->ndim);
    CheckWritable("destination", *destination);
    CheckNoSelfOverlap("destination", *destination);
    const bool to_host = destination->device.type == GLQ_DEVICE_CPU, from_host = source->device.type == GLQ_DEVICE_CPU;
    const bool on_cuda = c.device().type == GLQ_DEVICE_CUDA;
    if (on_cuda && to_host && from_host) {
      Fail(GLQ_E_DEVICE_MISMATCH, "source.device and destination.device = cpu, expected one of them = cuda:%d",
           c.device().index);
    }
    if (to_host == from_host) CheckDisjoint("destination", RangeOf(*destination), "source", RangeOf(*source));
    if (on_cuda && to_host != from_host) c.CheckNotCapturing(stream);
    if (NumElements(*source) == 0) return;
    Launch(c, stream, [&](Backend& backend) { backend.Copy(stream, *source, *destination); });
  });
}

glq_status glq_tensor_create(glq_context* context, const glq_view* spec, glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_context& c = call.ContextOf(context);
    CheckSpec("spec", spec, c);
    c.ReleaseBuried();
    *tensor = Publish(NewDense(c, spec->dtype, spec->ndim, spec->shape));
  });
}

glq_status glq_tensor_create_copy(glq_context* context, glq_stream stream, const glq_view* source,
                                  glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_context& c = call.ContextOf(context);
    CheckCopied("source", source, c);
    c.CheckNotCapturing(stream);
    c.ReleaseBuried();
    auto made = NewDense(c, source->dtype, source->ndim, source->shape);
    if (NumElements(*source) != 0) {
      c.backend().Copy(stream, *source, made->dense()->view);
      c.backend().Synchronize(stream);
    }
    *tensor = Publish(std::move(made));
  });
}

glq_status glq_tensor_borrow(glq_context* context, const glq_view* view, glq_release_fn release, void* user,
                             glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_context& c = call.ContextOf(context);
    CheckView("view", view);
    CheckDevice("view", *view, c.device(), false);
    c.memory().CheckNotLost();
    c.ReleaseBuried();
    *tensor = Borrow(c, *view, release, user);
  });
}

glq_status glq_tensor_import_dlpack(glq_context* context, DLManagedTensorVersioned* managed,
                                    glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_context& c = call.ContextOf(context);
    CheckNotNull("managed", managed);
    c.memory().CheckNotLost();
    c.ReleaseBuried();
    *tensor = ImportDlpack(c, managed);
  });
}

glq_status glq_tensor_export_dlpack(glq_tensor* tensor, DLManagedTensorVersioned** managed) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("managed", managed);
    glq_tensor& t = call.TensorOf("tensor", tensor);
    CheckDense("tensor", t);
    *managed = ExportDlpack(t);
  });
}

glq_status glq_tensor_get_info(const glq_tensor* tensor, glq_tensor_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_tensor& t = call.TensorOf("tensor", tensor);
    CheckStruct("info", info);
    glq_tensor_info found{};
    found.device = t.context->device();
    if (const DenseStorage* dense = t.dense()) {
      found.encoding = GLQ_ENCODING_DENSE;
      found.dtype = dense->view.dtype;
      found.ndim = dense->view.ndim;
      std::copy_n(dense->view.shape, dense->view.ndim, found.shape);
      (dense->block.kind() == GLQ_MEMORY_HOST ? found.host_bytes : found.device_bytes) =
          static_cast<int64_t>(dense->block.bytes());
    } else {
      const E8pStorage& e8p = *t.e8p();
      found.encoding = GLQ_ENCODING_E8P;
      found.ndim = 2;
      found.shape[0] = e8p.weight->meta().out_features;
      found.shape[1] = e8p.weight->meta().in_features;
      found.host_bytes = e8p.weight->host_bytes() + static_cast<int64_t>(e8p.bias.bytes());
      found.device_bytes = e8p.weight->device_bytes();
    }
    WriteStruct(info, found);
  });
}

glq_status glq_tensor_view(const glq_tensor* tensor, glq_view* view) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_tensor& t = call.TensorOf("tensor", tensor);
    CheckNotNull("view", view);
    CheckDense("tensor", t);
    *view = t.dense()->view;
  });
}

glq_status glq_tensor_retain(glq_tensor* tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) { call.TensorOf("tensor", tensor).counts.AddUser(); });
}

void glq_tensor_destroy(glq_tensor* tensor) GLQ_NOEXCEPT {
  if (!tensor) return;
  if (!handles::IsLive(tensor, Kind::kTensor)) return RecordDeadHandle(__func__, tensor, Kind::kTensor);
  if (tensor->counts.DropUser() && handles::Remove(tensor, Kind::kTensor)) DropTensor(tensor);
}
