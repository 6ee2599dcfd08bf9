#include "platform/parallel.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "platform/fp_env.h"
#include "platform/worker_thread.h"

namespace glq {
namespace {

// Counts forks: a pool whose threads were started before the last fork has none any more.
std::atomic<int> fork_generation{0};

// When the library is loaded: the guard of a local static could be taken for ever in a child (fork.h).
[[maybe_unused]] const int watching_forks =
    pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });

void Pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int UsableCpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

// A worker waits on its own word. The caller writes kRun; the worker answers by kBusy, then kIdle. A
// caller that finds no work left takes an unanswered kRun back, so that it never waits for a thread
// that the operating system has not even scheduled.
enum State : int { kIdle, kRun, kBusy, kQuit };

// Spinning bridges the gap between the loops of one operation; about 20 us.
constexpr int kSpins = 1000;

// Chunks per worker: enough to even out cores of unequal speed.
constexpr int64_t kChunksPerWorker = 4;

class ThreadPool;

struct alignas(64) Slot {
  std::atomic<int> state{kIdle};
  ThreadPool* pool = nullptr;
  int worker = 0;
  WorkerThread thread;
};

int AwaitChange(const std::atomic<int>& word, int from) {
  for (int i = 0; i < kSpins; ++i) {
    const int now = word.load(std::memory_order_acquire);
    if (now != from) return now;
    Pause();
  }
  int now;
  while ((now = word.load(std::memory_order_acquire)) == from) word.wait(from, std::memory_order_acquire);
  return now;
}

class ThreadPool final : public Parallel {
 public:
  explicit ThreadPool(int threads) : workers_(threads) {}

  ~ThreadPool() override {
    if (started_ < 0) return;
    if (generation_ != fork_generation.load(std::memory_order_relaxed)) {
      Abandon();
      return;
    }
    for (int i = 0; i < started_; ++i) {
      slots_[i].state.store(kQuit, std::memory_order_release);
      slots_[i].state.notify_all();
    }
    for (int i = 0; i < started_; ++i) slots_[i].thread.Join();
  }

  int workers() const override { return workers_; }

  void For(int64_t n, int64_t grain, RangeFn fn) override {
    if (n <= 0) return;
    ScopedDefaultFp fp;
    grain = std::max<int64_t>(1, grain);
    const int64_t most = std::max<int64_t>(1, n / grain);
    if (workers_ == 1 || most == 1 || !Acquire()) return fn(0, n, 0);

    const int helpers = static_cast<int>(std::min<int64_t>(started_, most - 1));
    const int64_t chunks = std::min<int64_t>(most, (helpers + 1) * kChunksPerWorker);
    fn_ = &fn;
    n_ = n;
    chunk_ = (n + chunks - 1) / chunks;
    next_.store(0, std::memory_order_relaxed);
    for (int i = 0; i < helpers; ++i) {
      slots_[i].state.store(kRun, std::memory_order_release);
      slots_[i].state.notify_all();
    }
    RunChunks(0);
    for (int i = 0; i < helpers; ++i) {
      int expected = kRun;
      if (!slots_[i].state.compare_exchange_strong(expected, kIdle, std::memory_order_acquire) && expected == kBusy) {
        AwaitChange(slots_[i].state, kBusy);
      }
    }
    owner_.store(kNobody, std::memory_order_release);
  }

 private:
  static constexpr int kNobody = -1;

  // Takes the pool for one loop and sees to it that its threads run. False when another loop has it.
  bool Acquire() {
    const int generation = fork_generation.load(std::memory_order_relaxed);
    int owner = owner_.load(std::memory_order_relaxed);
    // An owner from before a fork is a thread of the parent process.
    if (owner == generation) return false;
    if (!owner_.compare_exchange_strong(owner, generation, std::memory_order_acquire)) return false;
    if (started_ >= 0 && generation_ != generation) Abandon();
    if (started_ < 0) Start(generation);
    return true;
  }

  void Start(int generation) {
    generation_ = generation;
    started_ = 0;
    slots_.reset(new (std::nothrow) Slot[workers_ - 1]);
    if (!slots_) return;
    for (int i = 0; i < workers_ - 1; ++i) {
      slots_[i].pool = this;
      slots_[i].worker = i + 1;
      if (!slots_[i].thread.Start(&Work, &slots_[i])) return;  // fewer threads than asked for: slower, same result
      started_ = i + 1;
    }
  }

  // Forgets threads that exist in the parent process only. Their handles cannot be joined here.
  void Abandon() {
    static_cast<void>(slots_.release());
    started_ = -1;
  }

  static void* Work(void* argument) {
    Slot& slot = *static_cast<Slot*>(argument);
    WorkerThread::BlockSignalsHere();
    ScopedDefaultFp fp;
    for (;;) {
      if (AwaitChange(slot.state, kIdle) == kQuit) return nullptr;
      int expected = kRun;
      if (!slot.state.compare_exchange_strong(expected, kBusy, std::memory_order_acquire)) continue;
      slot.pool->RunChunks(slot.worker);
      slot.state.store(kIdle, std::memory_order_release);
      slot.state.notify_all();
    }
  }

  void RunChunks(int worker) {
    for (;;) {
      const int64_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
      if (begin >= n_) return;
      (*fn_)(begin, std::min(n_, begin + chunk_), worker);
    }
  }

  const int workers_;
  std::atomic<int> owner_{kNobody};  // the fork generation of the loop that runs
  std::unique_ptr<Slot[]> slots_;
  int started_ = -1;  // threads that run; -1 before the first start
  int generation_ = 0;

  // The loop that runs; written before the workers are told, read by them afterwards.
  const RangeFn* fn_ = nullptr;
  int64_t n_ = 0, chunk_ = 1;
  alignas(64) std::atomic<int64_t> next_{0};
};

}  // namespace

std::unique_ptr<Parallel> MakeThreadPool(int threads) {
  return std::make_unique<ThreadPool>(threads > 0 ? threads : UsableCpus());
}

}  // namespace glq
