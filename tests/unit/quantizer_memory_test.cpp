// The peak of what a quantizer allocates stays below what it says before it starts.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "quantizer_testing.h"

namespace {

std::atomic<size_t> in_use{0}, peak{0};

// Blocks carry their size in front, at a distance that keeps the alignment.
void* TryTake(size_t bytes, size_t align) noexcept {
  align = std::max(align, sizeof(size_t) * 2);
  void* block = std::aligned_alloc(align, (bytes + align + align - 1) / align * align);
  if (block == nullptr) return nullptr;
  char* out = static_cast<char*>(block) + align;
  std::memcpy(out - sizeof(size_t), &bytes, sizeof(size_t));
  const size_t now = in_use += bytes;
  size_t seen = peak;
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
  return out;
}

void* Take(size_t bytes, size_t align) {
  void* p = TryTake(bytes, align);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void Give(void* p, size_t align) noexcept {
  if (p == nullptr) return;
  align = std::max(align, sizeof(size_t) * 2);
  size_t bytes;
  std::memcpy(&bytes, static_cast<char*>(p) - sizeof(size_t), sizeof(size_t));
  in_use -= bytes;
  std::free(static_cast<char*>(p) - align);
}

}  // namespace

void* operator new(size_t n) { return Take(n, 16); }
void* operator new[](size_t n) { return Take(n, 16); }
void* operator new(size_t n, std::align_val_t a) { return Take(n, static_cast<size_t>(a)); }
void* operator new[](size_t n, std::align_val_t a) { return Take(n, static_cast<size_t>(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return TryTake(n, 16); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return TryTake(n, 16); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return TryTake(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return TryTake(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { Give(p, 16); }
void operator delete[](void* p) noexcept { Give(p, 16); }
void operator delete(void* p, size_t) noexcept { Give(p, 16); }
void operator delete[](void* p, size_t) noexcept { Give(p, 16); }
void operator delete(void* p, std::align_val_t a) noexcept { Give(p, static_cast<size_t>(a)); }
void operator delete[](void* p, std::align_val_t a) noexcept { Give(p, static_cast<size_t>(a)); }
void operator delete(void* p, size_t, std::align_val_t a) noexcept { Give(p, static_cast<size_t>(a)); }
void operator delete[](void* p, size_t, std::align_val_t a) noexcept { Give(p, static_cast<size_t>(a)); }

namespace glq::quantizer {
namespace {

struct Shape {
  int64_t out, in;
  int bits, passes;
  ScaleMode mode;
};

class QuantizerMemory : public testing::TestWithParam<Shape> {};

TEST_P(QuantizerMemory, PeakIsBelowTheEstimateAndNotFarBelow) {
  const Shape s = GetParam();
  const RandomLayer layer(s.out, s.in, 9, 40);
  const auto pool = MakeThreadPool(2);
  Options o;
  o.out_features = s.out;
  o.in_features = s.in;
  o.bits = s.bits;
  o.refine_passes = s.passes;
  o.scale_mode = s.mode;
  const size_t estimate = Quantizer::MemoryEstimate(o, pool->workers());
  // Threads and tables last longer than a quantizer.
  pool->For(1000, 1, [](int64_t, int64_t, int) {});
  const double zero[8] = {};
  NearestE8p(zero);
  Tables();
  const size_t before = in_use;
  peak = before;
  {
    Quantizer q(o, pool.get());
    Result result;
    q.AddBatch(layer.Tokens());
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &result), Outcome::kDone);
  }
  const size_t used = peak - before;
  EXPECT_LE(used, estimate);
  EXPECT_GE(used, estimate / 2) << "the estimate is far too high";
  EXPECT_EQ(in_use, before);
}

TEST_P(QuantizerMemory, AResumedRunStaysBelowToo) {
  const Shape s = GetParam();
  const RandomLayer layer(s.out, s.in, 9, 40);
  const auto pool = MakeThreadPool(2);
  Options o;
  o.out_features = s.out;
  o.in_features = s.in;
  o.bits = s.bits;
  o.refine_passes = s.passes;
  const size_t before = in_use;
  peak = before;
  {
    Quantizer q(o, pool.get());
    Result result;
    q.SetHessian(View(std::vector<double>(s.in * s.in), s.in, s.in), 1);
    const size_t with_callers_matrix = peak - before;
    EXPECT_GT(with_callers_matrix, 0u);
    peak = in_use.load();
    const auto stop = [](void*, int64_t, int64_t, const char* phase) -> int32_t { return phase[0] == 'l'; };
    ASSERT_EQ(q.Run(layer.Weight(), stop, nullptr, &result), Outcome::kCancelled);
    ASSERT_TRUE(q.in_cancelled_run());
    ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &result), Outcome::kDone);
  }
  EXPECT_LE(peak - before, Quantizer::MemoryEstimate(o, pool->workers()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, QuantizerMemory,
                         testing::Values(Shape{512, 512, 2, 0, ScaleMode::kSpec},
                                         Shape{1024, 256, 8, 0, ScaleMode::kSpec},
                                         Shape{200, 900, 5, 1, ScaleMode::kSpec},
                                         Shape{256, 700, 4, 1, ScaleMode::kSearch}));

}  // namespace
}  // namespace glq::quantizer
