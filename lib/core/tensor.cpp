#include "core/tensor.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "core/check.h"
#include "core/dlpack.h"

namespace glq {
namespace {

void SetCompactStrides(glq_view& view) {
  int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    view.strides[i] = stride;
    // Beside an empty extent nothing else bounds the others.
    if (__builtin_mul_overflow(stride, std::max<int64_t>(1, view.shape[i]), &stride)) {
      Fail(GLQ_E_SHAPE, "shape[%d] = %" PRId64 ", expected strides below 2^63", i, view.shape[i]);
    }
  }
}

// Lives as long as the exported struct: the struct, its extents, and a reference to the tensor.
struct Export {
  DLManagedTensorVersioned managed;
  int64_t shape[GLQ_MAX_NDIM];
  int64_t strides[GLQ_MAX_NDIM];
  glq_tensor* tensor;  // one of all references
};

glq_device DeviceOf(const dlpack::Device& d) {
  if (d.type == dlpack::kCudaHost) return {GLQ_DEVICE_CPU, 0};
  if (d.type == dlpack::kCudaManaged) return {GLQ_DEVICE_CUDA, d.id};
  return {d.type, d.id};
}

glq_view ViewOf(const DLManagedTensorVersioned& managed) {
  const dlpack::Tensor& t = managed.dl_tensor;
  if (t.ndim < 0 || t.ndim > GLQ_MAX_NDIM) {
    Fail(GLQ_E_SHAPE, "managed.dl_tensor.ndim = %d, expected 0 to %d", t.ndim, GLQ_MAX_NDIM);
  }
  if (t.ndim > 0 && !t.shape)
    Fail(GLQ_E_INVALID_ARGUMENT, "managed.dl_tensor.shape = NULL, expected %d extents", t.ndim);
  glq_view view{};
  view.dtype = static_cast<glq_dtype>(t.dtype.code | t.dtype.bits << 8 | static_cast<uint32_t>(t.dtype.lanes) << 16);
  view.ndim = t.ndim;
  view.device = DeviceOf(t.device);
  view.flags = managed.flags & dlpack::kReadOnly ? uint32_t{GLQ_VIEW_READ_ONLY} : 0;
  if (t.data) view.data = static_cast<char*>(t.data) + t.byte_offset;
  std::copy_n(t.shape, t.ndim, view.shape);
  if (t.strides) {
    std::copy_n(t.strides, t.ndim, view.strides);
  } else {
    for (int i = 0; i < t.ndim; ++i) {
      if (t.shape[i] < 0)
        Fail(GLQ_E_SHAPE, "managed.dl_tensor.shape[%d] = %" PRId64 ", expected at least 0", i, t.shape[i]);
    }
    int64_t elements = 1;
    for (int i = 0; i < t.ndim; ++i) {
      if (__builtin_mul_overflow(elements, std::max<int64_t>(1, t.shape[i]), &elements)) {
        Fail(GLQ_E_SHAPE, "managed.dl_tensor.shape[%d] = %" PRId64 ", expected fewer than 2^63 elements in all", i,
             t.shape[i]);
      }
    }
    SetCompactStrides(view);
  }
  return view;
}

}  // namespace

Lender::Lender(Lender&& o) noexcept
    : release_(std::exchange(o.release_, nullptr)), user_(o.user_), managed_(std::exchange(o.managed_, nullptr)) {}

Lender::~Lender() {
  if (release_) release_(user_);
  if (managed_ && managed_->deleter) managed_->deleter(managed_);
}

void DropTensor(glq_tensor* tensor) noexcept {
  if (!tensor->counts.DropRef()) return;
  // A buried tensor does not keep its context alive: this may be the end of both.
  const ContextRef context = std::move(tensor->context);
  context->Bury(std::unique_ptr<glq_tensor>(tensor));
}

glq_tensor* Publish(std::unique_ptr<glq_tensor> tensor) {
  handles::Add(tensor.get(), Kind::kTensor);
  return tensor.release();
}

std::unique_ptr<glq_tensor> NewDense(glq_context& context, glq_dtype dtype, int32_t ndim, const int64_t* shape) {
  DenseStorage dense{};
  dense.view.dtype = dtype;
  dense.view.ndim = ndim;
  dense.view.device = context.device();
  std::copy_n(shape, ndim, dense.view.shape);
  SetCompactStrides(dense.view);
  const auto bytes = static_cast<size_t>(NumElements(dense.view) * DtypeSize(dtype));
  dense.block = Block(context.memory(), bytes, context.device_memory_kind());
  dense.view.data = dense.block.as();
  return std::make_unique<glq_tensor>(context, std::move(dense));
}

glq_tensor* Borrow(glq_context& context, const glq_view& view, glq_release_fn release, void* user) {
  glq_tensor* tensor = Publish(std::make_unique<glq_tensor>(context, DenseStorage{view, {}, {}}));
  std::get<DenseStorage>(tensor->storage).lender.Set(release, user);
  return tensor;
}

glq_tensor* ImportDlpack(glq_context& context, DLManagedTensorVersioned* managed) {
  if (managed->version.major != dlpack::kMajor) {
    Fail(GLQ_E_UNSUPPORTED, "managed.version.major = %u, expected %u", managed->version.major, dlpack::kMajor);
  }
  const glq_view view = ViewOf(*managed);
  if (view.device.type != context.device().type || view.device.index != context.device().index) {
    Fail(GLQ_E_DEVICE_MISMATCH, "managed.dl_tensor.device = {type %d, id %d}, expected {type %d, id %d}",
         managed->dl_tensor.device.type, managed->dl_tensor.device.id, context.device().type, context.device().index);
  }
  CheckView("managed", &view);
  glq_tensor* tensor = Publish(std::make_unique<glq_tensor>(context, DenseStorage{view, {}, {}}));
  std::get<DenseStorage>(tensor->storage).lender.Set(managed);
  return tensor;
}

DLManagedTensorVersioned* ExportDlpack(glq_tensor& tensor) {
  const glq_view& view = tensor.dense()->view;
  auto* out = new Export{{}, {}, {}, &tensor};
  tensor.counts.AddRef();
  std::copy_n(view.shape, view.ndim, out->shape);
  std::copy_n(view.strides, view.ndim, out->strides);
  DLManagedTensorVersioned& m = out->managed;
  m.version = {dlpack::kMajor, dlpack::kMinor};
  m.manager_ctx = out;
  m.deleter = [](DLManagedTensorVersioned* self) {
    auto* given = static_cast<Export*>(self->manager_ctx);
    DropTensor(given->tensor);
    delete given;
  };
  m.flags = view.flags & GLQ_VIEW_READ_ONLY ? dlpack::kReadOnly : 0;
  m.dl_tensor = {view.data,
                 {view.device.type, view.device.index},
                 view.ndim,
                 {static_cast<uint8_t>(view.dtype & 255), static_cast<uint8_t>(view.dtype >> 8 & 255),
                  static_cast<uint16_t>(view.dtype >> 16)},
                 out->shape,
                 out->strides,
                 0};
  return &m;
}

}  // namespace glq
