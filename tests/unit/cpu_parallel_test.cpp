#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#if defined(__unix__)
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
