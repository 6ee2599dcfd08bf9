// What a glq_tensor handle stands for: dense elements (owned, borrowed or imported) or an E8P weight.
#pragma once

#include <memory>
#include <variant>

#include "core/context.h"
#include "core/handle.h"
#include "core/memory.h"
#include "glq.h"

namespace glq {

// Calls back once when borrowed or imported memory is no longer needed. Whose memory it is gets set
// after everything that can fail: a failed call leaves the memory with its owner.
class Lender {
 public:
  Lender() = default;
  Lender(Lender&& o) noexcept;
  Lender& operator=(Lender&&) = delete;
  ~Lender();
  void Set(glq_release_fn release, void* user) { release_ = release, user_ = user; }
  void Set(DLManagedTensorVersioned* managed) { managed_ = managed; }

 private:
  glq_release_fn release_ = nullptr;
  void* user_ = nullptr;
  DLManagedTensorVersioned* managed_ = nullptr;
};

struct DenseStorage {
  glq_view view;
  Block block;  // where the tensor owns its elements
  Lender lender;
};

struct E8pStorage {
  std::unique_ptr<E8pWeight> weight;
  glq_dtype bias_dtype;  // 0: no bias
  Block bias;            // as given, for export
};

}  // namespace glq

struct glq_tensor {
  glq_tensor(glq_context& c, glq::DenseStorage&& dense) : context(c), storage(std::move(dense)) {}
  glq_tensor(glq_context& c, glq::E8pStorage&& e8p) : context(c), storage(std::move(e8p)) {}

  glq::Shared counts;
  glq::ContextRef context;  // goes last
  std::variant<glq::DenseStorage, glq::E8pStorage> storage;
  glq_tensor* next_buried = nullptr;

  const glq::DenseStorage* dense() const { return std::get_if<glq::DenseStorage>(&storage); }
  const glq::E8pStorage* e8p() const { return std::get_if<glq::E8pStorage>(&storage); }
};

namespace glq {

// Gives up one of all references. The last one hands the tensor to its context to be released.
void DropTensor(glq_tensor* tensor) noexcept;

// Makes the handle known and hands it out; deletes it if that fails.
glq_tensor* Publish(std::unique_ptr<glq_tensor> tensor);

// A dense tensor with its own compact, uninitialised memory.
std::unique_ptr<glq_tensor> NewDense(glq_context& context, glq_dtype dtype, int32_t ndim, const int64_t* shape);

// Dense tensors over memory of others; published. What is lent stays with its owner if the call fails.
glq_tensor* Borrow(glq_context& context, const glq_view& view, glq_release_fn release, void* user);
glq_tensor* ImportDlpack(glq_context& context, DLManagedTensorVersioned* managed);
DLManagedTensorVersioned* ExportDlpack(glq_tensor& tensor);

}  // namespace glq
