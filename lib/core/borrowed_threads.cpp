#include "core/borrowed_threads.h"

#include <algorithm>

#include "platform/fp_env.h"

namespace glq {
namespace {

struct Loop {
  RangeFn fn;
  int64_t n, chunk;
};

class BorrowedThreads final : public Parallel {
 public:
  explicit BorrowedThreads(const glq_threading& threading) : threading_(threading) {}

  int workers() const override { return threading_.max_parallelism; }

  // A piece is a worker: no two pieces of a loop share a number.
  void For(int64_t n, int64_t grain, RangeFn fn) override {
    if (n <= 0) return;
    grain = std::max<int64_t>(1, grain);
    const int64_t most = std::min<int64_t>((n + grain - 1) / grain, threading_.max_parallelism);
    if (most == 1) {
      const ScopedDefaultFp fp;
      return fn(0, n, 0);
    }
    Loop loop{fn, n, (n + most - 1) / most};
    const int64_t pieces = (n + loop.chunk - 1) / loop.chunk;
    threading_.parallel_for(
        threading_.user, pieces,
        [](void* arg, int64_t i) {
          const ScopedDefaultFp fp;
          const Loop& l = *static_cast<const Loop*>(arg);
          l.fn(i * l.chunk, std::min(l.n, (i + 1) * l.chunk), static_cast<int>(i));
        },
        &loop);
  }

 private:
  const glq_threading threading_;
};

}  // namespace

std::unique_ptr<Parallel> BorrowThreads(const glq_threading& threading) {
  return std::make_unique<BorrowedThreads>(threading);
}

}  // namespace glq
