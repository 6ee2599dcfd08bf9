// glq/checkpoint.h
#include "checkpoint/checkpoint.h"

#include <cinttypes>
#include <memory>

#include "api/boundary.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

struct glq_checkpoint {
  explicit glq_checkpoint(const char* path) : content(path) {}
  const checkpoint::Checkpoint content;
};

namespace {

const checkpoint::Checkpoint& Of(Call& call, const glq_checkpoint* handle) {
  return call.HandleOf("checkpoint", handle, Kind::kCheckpoint).content;
}

void CheckIndex(int64_t index, size_t count) {
  if (index < 0 || static_cast<uint64_t>(index) >= count) {
    Fail(GLQ_E_NOT_FOUND, "index = %" PRId64 ", expected 0 to %zu - 1", index, count);
  }
}

}  // namespace

glq_status glq_checkpoint_open(const char* path, glq_checkpoint** checkpoint) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    ClearOut("checkpoint", checkpoint);
    CheckNotNull("path", path);
    auto opened = std::make_unique<glq_checkpoint>(path);
    handles::Add(opened.get(), Kind::kCheckpoint);
    *checkpoint = opened.release();
  });
}

glq_status glq_checkpoint_tensor_count(const glq_checkpoint* checkpoint, int64_t* count) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const auto& content = Of(call, checkpoint);
    CheckNotNull("count", count);
    *count = static_cast<int64_t>(content.tensors().size());
  });
}

glq_status glq_checkpoint_tensor_name(const glq_checkpoint* checkpoint, int64_t index, const char** name) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("name", name);
    const auto& content = Of(call, checkpoint);
    CheckIndex(index, content.tensors().size());
    *name = content.tensors()[static_cast<size_t>(index)].name.c_str();
  });
}

glq_status glq_checkpoint_tensor(const glq_checkpoint* checkpoint, const char* name, glq_view* view) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const auto& content = Of(call, checkpoint);
    CheckNotNull("name", name);
    CheckNotNull("view", view);
    const checkpoint::TensorEntry* tensor = content.FindTensor(name);
    if (!tensor)
      Fail(GLQ_E_NOT_FOUND, "name = \"%.512s\", expected one of the checkpoint's %zu tensors", name,
           content.tensors().size());
    if (tensor->dtype == 0)
      Fail(GLQ_E_DTYPE, "\"%.512s\" is of type %.64s, expected a type with a glq_dtype", name, tensor->type.c_str());
    if (tensor->shape.size() > GLQ_MAX_NDIM) {
      Fail(GLQ_E_SHAPE, "\"%.512s\" is of rank %zu, expected at most %d", name, tensor->shape.size(), GLQ_MAX_NDIM);
    }
    *view = checkpoint::ViewOf(*tensor);
  });
}

glq_status glq_checkpoint_layer_count(const glq_checkpoint* checkpoint, int64_t* count) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const auto& content = Of(call, checkpoint);
    CheckNotNull("count", count);
    *count = static_cast<int64_t>(content.layers().size());
  });
}

glq_status glq_checkpoint_layer_name(const glq_checkpoint* checkpoint, int64_t index, const char** name) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("name", name);
    const auto& content = Of(call, checkpoint);
    CheckIndex(index, content.layers().size());
    *name = content.layers()[static_cast<size_t>(index)]->name.c_str();
  });
}

glq_status glq_checkpoint_layer(const glq_checkpoint* checkpoint, const char* name, glq_e8p_desc* desc) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const auto& content = Of(call, checkpoint);
    CheckNotNull("name", name);
    CheckStruct("desc", desc);
    const checkpoint::Layer* layer = content.FindLayer(name);
    if (!layer)
      Fail(GLQ_E_NOT_FOUND, "name = \"%.512s\", expected one of the checkpoint's %zu E8P layers", name,
           content.layers().size());
    WriteStruct(desc, layer->desc);
  });
}

void glq_checkpoint_destroy(glq_checkpoint* checkpoint) GLQ_NOEXCEPT {
  if (!checkpoint) return;
  if (!handles::Remove(checkpoint, Kind::kCheckpoint)) return RecordDeadHandle(__func__, checkpoint, Kind::kCheckpoint);
  delete checkpoint;
}
