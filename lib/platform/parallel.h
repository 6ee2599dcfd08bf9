// Parallel loops over an index range: the library's own pool, or the caller's parallel-for.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace glq {

// A non-owning reference to a callable taking (begin, end, worker). Lives only during the call.
class RangeFn {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, RangeFn>>>
  RangeFn(F&& f)  // NOLINT: implicit by design, like std::function_ref
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* o, int64_t b, int64_t e, int worker) {
          (*static_cast<std::remove_reference_t<F>*>(o))(b, e, worker);
        }) {}
  void operator()(int64_t begin, int64_t end, int worker) const { call_(object_, begin, end, worker); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t, int);
};

class Parallel {
 public:
  virtual ~Parallel() = default;
  // Largest number of workers; `worker` in For is in [0, workers()).
  virtual int workers() const = 0;
  // Splits [0, n) into chunks of at least `grain` and runs fn(begin, end, worker) on them; returns
  // when all are done. No allocation. Nested or concurrent calls run on the calling thread alone.
  // Two chunks that run at the same time have different `worker`. fn must not throw.
  // Floating-point control is the default (round to nearest, no flush to zero) inside fn.
  virtual void For(int64_t n, int64_t grain, RangeFn fn) = 0;
};

// The library's pool. Threads start at the first For that can use them, not before; a child process
// after fork starts its own. threads <= 0: as many as the process may run on.
std::unique_ptr<Parallel> MakeThreadPool(int threads);

}  // namespace glq
