#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#if defined(__unix__)
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "platform/parallel.h"

namespace glq {
namespace {

TEST(ThreadPool, EveryIndexOnce) {
  for (int threads = 1; threads <= 5; ++threads) {
    const auto pool = MakeThreadPool(threads);
    EXPECT_EQ(pool->workers(), threads);
    for (const int64_t n : {0, 1, 2, 3, 7, 100, 1001}) {
      for (const int64_t grain : {1, 3, 1000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        std::atomic<int> bad{0};
        pool->For(n, grain, [&](int64_t begin, int64_t end, int worker) {
          if (worker < 0 || worker >= threads || begin >= end) ++bad;
          if (end - begin < grain && end != n) ++bad;
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        for (const auto& count : seen) EXPECT_EQ(count, 1);
        EXPECT_EQ(bad, 0);
      }
    }
  }
}

TEST(ThreadPool, WorkersOfOneLoopDiffer) {
  const auto pool = MakeThreadPool(4);
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> busy[4] = {}, clashes{0};
    pool->For(64, 1, [&](int64_t, int64_t, int worker) {
      if (busy[worker].fetch_add(1) != 0) ++clashes;
      std::this_thread::yield();
      busy[worker].fetch_sub(1);
    });
    ASSERT_EQ(clashes, 0);
  }
}

TEST(ThreadPool, ThreadsAreUsed) {
  const auto pool = MakeThreadPool(2);
  std::atomic<int> arrived{0};
  // Each of two chunks waits for the other: only two threads can end this.
  pool->For(2, 1, [&](int64_t, int64_t, int) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST(ThreadPool, NestedLoopsRunInPlace) {
  const auto pool = MakeThreadPool(3);
  std::atomic<int64_t> sum{0};
  pool->For(10, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto caller = std::this_thread::get_id();
      pool->For(10, 1, [&](int64_t b, int64_t e, int worker) {
        if (std::this_thread::get_id() == caller && worker == 0) sum += e - b;
      });
    }
  });
  EXPECT_EQ(sum, 100);
}

TEST(ThreadPool, ConcurrentCallersAllGetTheirWorkDone) {
  const auto pool = MakeThreadPool(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        pool->For(37, 1, [&](int64_t b, int64_t e, int) { sum += e - b; });
      }
    });
  }
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(sum, 4 * 500 * 37);
}

TEST(ThreadPool, ManyPoolsComeAndGo) {
  for (int i = 0; i < 100; ++i) {
    const auto pool = MakeThreadPool(3);
    std::atomic<int64_t> sum{0};
    pool->For(i, 1, [&](int64_t b, int64_t e, int) { sum += e - b; });
    EXPECT_EQ(sum, i);
  }
}

// Not under a sanitizer: a thread of the parent may hold a lock of its runtime (AddressSanitizer's allocator, say)
// while another forks, and the child waits for it for ever.
#if defined(__unix__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
TEST(ThreadPool, WorksOnInAForkedChild) {
  const auto pool = MakeThreadPool(3);
  const auto run = [&] {
    std::atomic<int64_t> sum{0};
    for (int round = 0; round < 50; ++round) pool->For(100, 1, [&](int64_t b, int64_t e, int) { sum += e - b; });
    return sum.load();
  };
  ASSERT_EQ(run(), 5000);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    const bool right = run() == 5000;
    std::atomic<int> arrived{0};
    pool->For(2, 1, [&](int64_t, int64_t, int) {
      ++arrived;
      while (arrived.load() < 2) std::this_thread::yield();
    });
    _exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(run(), 5000);
}

TEST(ThreadPool, AForkDuringALoopLeavesTheChildAWorkingPool) {
  const auto pool = MakeThreadPool(2);
  std::atomic<int> started{0};
  std::atomic<bool> release{false};
  std::thread busy([&] {
    pool->For(2, 1, [&](int64_t, int64_t, int) {
      ++started;
      while (!release) std::this_thread::yield();
    });
  });
  while (started.load() == 0) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    std::atomic<int> arrived{0};
    pool->For(2, 1, [&](int64_t, int64_t, int) {
      ++arrived;
      while (arrived.load() < 2) std::this_thread::yield();
    });
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  release = true;
  busy.join();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
#endif

#if defined(__unix__)
TEST(ThreadPool, WorkersTakeNoSignals) {
  const auto pool = MakeThreadPool(2);
  std::atomic<int> arrived{0}, open{0};
  const pthread_t caller = pthread_self();
  pool->For(2, 1, [&](int64_t, int64_t, int) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGPROF}) {
      if (!pthread_equal(caller, pthread_self()) && !sigismember(&mask, signal)) ++open;
    }
  });
  EXPECT_EQ(open, 0);
}

// What an instruction raises is not a signal of another's: a fault in memory that the host manages by a handler.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
struct Guarded {
  static inline char* page = nullptr;
  static inline size_t bytes = 0;
};

TEST(ThreadPool, TheHostHandlesFaultsOfWorkers) {
  Guarded::bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  Guarded::page = static_cast<char*>(mmap(nullptr, Guarded::bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(Guarded::page, MAP_FAILED);
  struct sigaction action = {}, before;
  action.sa_handler = [](int) { mprotect(Guarded::page, Guarded::bytes, PROT_READ); };
  sigaction(SIGSEGV, &action, &before);
  const auto pool = MakeThreadPool(2);
  const pthread_t caller = pthread_self();
  std::atomic<int> arrived{0}, read{-1};
  pool->For(2, 1, [&](int64_t, int64_t, int) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
    if (!pthread_equal(caller, pthread_self())) read = *static_cast<volatile char*>(Guarded::page);
  });
  sigaction(SIGSEGV, &before, nullptr);
  EXPECT_EQ(read, 0);
  munmap(Guarded::page, Guarded::bytes);
}
#endif
#endif

// A garbage collector of the host may stop the host's threads by a signal wherever they are, and wait until all have
// answered. Not under a sanitizer, whose runtime delivers signals when it likes.
#if defined(__unix__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
class Stopper {
 public:
  Stopper() {
    sem_init(&stopped_, 0, 0);
    struct sigaction action = {};
    action.sa_handler = [](int) {
      const int saved = errno;
      const int phase = phase_.load();
      sem_post(&stopped_);
      while (phase % 2 == 1 && phase_.load() == phase) {
      }
      errno = saved;
    };
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before_);
  }
  ~Stopper() {
    sigaction(SIGUSR1, &before_, nullptr);
    sem_destroy(&stopped_);
  }

  // Stops the threads and lets them go on. False when one of them has not answered after ten seconds.
  bool StopAll(const std::vector<pthread_t>& threads) {
    bool all = true;
    timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    ++phase_;
    for (const pthread_t thread : threads) pthread_kill(thread, SIGUSR1);
    for (size_t i = 0; i < threads.size(); ++i) all = sem_timedwait(&stopped_, &until) == 0 && all;
    ++phase_;
    return all;
  }

 private:
  static inline sem_t stopped_;
  static inline std::atomic<int> phase_{0};  // odd while threads are to stand still
  struct sigaction before_;
};

TEST(ThreadPool, CallersCanBeStoppedBySignalsAnywhere) {
  Stopper stopper;
  std::atomic<bool> end{false};
  std::atomic<int64_t> pools{0};
  std::vector<std::thread> callers;
  std::vector<pthread_t> threads;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      while (!end) {
        // Pools that live together and end together: the C library frees the stacks of some, and hands others out.
        const std::unique_ptr<Parallel> few[] = {MakeThreadPool(9), MakeThreadPool(2)};
        for (const auto& pool : few) pool->For(100, 1, [](int64_t, int64_t, int) {});
        ++pools;
      }
    });
    threads.push_back(callers.back().native_handle());
  }
  bool answered = true;
  for (int round = 0; round < 100 && answered; ++round) {
    answered = stopper.StopAll(threads);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  end = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(answered) << "after " << pools << " rounds of two pools";
  EXPECT_GT(pools, 0);
}
#endif

#if defined(__x86_64__)
TEST(ThreadPool, DefaultFloatingPointInsideCallersOutside) {
  const auto pool = MakeThreadPool(3);
  const unsigned saved = _mm_getcsr();
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> wrong{0};
    _mm_setcsr(0xFFC0);
    pool->For(30, 1, [&](int64_t, int64_t, int) {
      if ((_mm_getcsr() & ~0x3Fu) != 0x1F80) ++wrong;
      std::this_thread::yield();
    });
    const unsigned after = _mm_getcsr();
    _mm_setcsr(saved);
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(after, 0xFFC0u);
  }
}
#endif

}  // namespace
}  // namespace glq
