// Times the E8P linear and the bf16 matrix-vector product on the CPU: medians (and the best) in milliseconds per call,
// transforms included. E8P weights are cycled through some 96 MB, so that they come from memory.
//   cpu_linear_bench [--csv] [--quick] [--target NAME]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cpu/e8p_linear.h"
#include "cpu/gemv_bf16.h"
#include "cpu/targets.h"

namespace {

using namespace glq;
using namespace glq::cpu;

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Times {
  double median_ms, best_ms;
};

// Of at least five calls and about 0.3 seconds of them, after one call to warm up.
template <typename F>
Times Measure(const F& f) {
  f();
  std::vector<double> times;
  const double start = Seconds();
  while (times.size() < 5 || (Seconds() - start < 0.3 && times.size() < 400)) {
    const double t = Seconds();
    f();
    times.push_back(Seconds() - t);
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2] * 1e3, times[0] * 1e3};
}

e8p::LinearMeta MakeMeta(int64_t rows, int64_t cols, int bits) {
  e8p::LinearMeta meta;
  meta.out_features = meta.padded_out = rows;
  meta.in_features = meta.padded_in = cols;
  meta.out_blocks = e8p::BinaryBlocks(rows);
  meta.in_blocks = e8p::BinaryBlocks(cols);
  double scale = 1;
  for (int left = bits; left > 0; left -= 2) {
    const auto codebook = left >= 2 ? e8p::Codebook::kE8P : e8p::Codebook::kE81B;
    meta.stages.push_back({codebook, scale, static_cast<float>(0.02 * scale / e8p::Denominator(codebook))});
    scale /= 3.45;
  }
  return meta;
}

void FillRandom(void* p, size_t bytes, std::mt19937_64& rng) {
  auto* at = static_cast<unsigned char*>(p);
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    const uint64_t word = rng();
    std::memcpy(at + i, &word, 8);
  }
}

struct Bench {
  bool csv = false;
  std::mt19937_64 rng{1};

  void Print(const char* what, int64_t rows, int64_t cols, int bits, int64_t tokens, int threads, Times times) const {
    const double ms = times.median_ms;
    const double mib = static_cast<double>(rows * cols) * bits / 8 / 1048576;
    if (csv) {
      std::printf("%s,%lld,%lld,%d,%lld,%d,%.4f,%.4f,%.2f\n", what, static_cast<long long>(rows),
                  static_cast<long long>(cols), bits, static_cast<long long>(tokens), threads, ms, times.best_ms,
                  mib / ms * 1.048576);
    } else {
      std::printf("%-10s %6lld x %-6lld  bits=%-2d  B=%-3lld threads=%d  %9.3f ms (best %.3f)  %7.2f GB/s of weights\n",
                  what, static_cast<long long>(rows), static_cast<long long>(cols), bits,
                  static_cast<long long>(tokens), threads, ms, times.best_ms, mib / ms * 1.048576);
    }
    std::fflush(stdout);
  }

  void Linear(int64_t rows, int64_t cols, int bits, const std::vector<int64_t>& batches, int threads) {
    const e8p::LinearMeta meta = MakeMeta(rows, cols, bits);
    auto pool = MakeThreadPool(threads);
    std::vector<std::vector<uint64_t>> packed;
    std::vector<const void*> pointers;
    for (const e8p::Stage& stage : meta.stages) {
      packed.emplace_back(static_cast<size_t>(rows * cols / 8 * e8p::CodeBits(stage.codebook) / 64));
      FillRandom(packed.back().data(), packed.back().size() * 8, rng);
      pointers.push_back(packed.back().data());
    }
    std::vector<uint16_t> sv(static_cast<size_t>(cols)), su(static_cast<size_t>(rows));
    for (uint16_t& s : sv) s = rng() & 1 ? 0x3C00 : 0xBC00;
    for (uint16_t& s : su) s = rng() & 1 ? 0x3C00 : 0xBC00;
    // Copies of the weights, so that they come from memory as those of a model's next layer do.
    constexpr int64_t kCycled = int64_t{96} << 20;
    const int copies = static_cast<int>(std::clamp<int64_t>(kCycled / (rows * cols * bits / 8), 2, 24));
    std::vector<std::unique_ptr<E8pWeights>> weights;
    for (int i = 0; i < copies; ++i) {
      weights.push_back(
          std::make_unique<E8pWeights>(meta, pointers.data(), sv.data(), su.data(), nullptr, HeapAllocator(), *pool));
    }
    for (int64_t tokens : batches) {
      std::vector<uint16_t> x(static_cast<size_t>(tokens * cols)), y(static_cast<size_t>(tokens * rows));
      for (uint16_t& v : x) v = static_cast<uint16_t>(0x3800 | (rng() & 0x83FF));
      const size_t bytes = FusedLinearWorkspace(meta, tokens, pool->workers());
      void* workspace = HeapAllocator().Allocate(bytes, 256);
      const ConstMatrix xm = {x.data(), Scalar::kF16, tokens, cols, cols};
      const Matrix ym = {y.data(), Scalar::kF16, tokens, rows, rows};
      int next = 0;
      const Times ms = Measure([&] {
        const E8pWeights* w = weights[static_cast<size_t>(next++ % copies)].get();
        FusedLinear(&w, 1, xm, &ym, workspace, *pool);
      });
      HeapAllocator().Free(workspace, bytes, 256);
      Print("e8p", rows, cols, bits, tokens, threads, ms);
    }
  }

  void Gemv(int64_t rows, int64_t cols, const std::vector<int64_t>& batches, int threads) {
    auto pool = MakeThreadPool(threads);
    std::vector<uint16_t> w(static_cast<size_t>(rows * cols));
    for (uint16_t& v : w) v = static_cast<uint16_t>(0x3F00 | (rng() & 0x80FF));
    for (int64_t tokens : batches) {
      std::vector<uint16_t> x(static_cast<size_t>(tokens * cols), 0x3F80), y(static_cast<size_t>(tokens * rows));
      const ConstMatrix xm = {x.data(), Scalar::kBF16, tokens, cols, cols};
      const Matrix ym = {y.data(), Scalar::kBF16, tokens, rows, rows};
      const Times ms = Measure([&] { GemvBf16(w.data(), rows, cols, cols, xm, ym, *pool); });
      Print("gemv_bf16", rows, cols, 16, tokens, threads, ms);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  bool quick = false;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--csv") {
      bench.csv = true;
    } else if (arg == "--quick") {
      quick = true;
    } else if (arg == "--target" && i + 1 < argc) {
      const std::string name = argv[++i];
      bool found = false;
      for (const int64_t target : RunnableTargets()) {
        if (TargetName(target) != name) continue;
        ForceTarget(target);
        found = true;
        break;
      }
      if (!found) {
        std::fprintf(stderr, "cannot run target %s here (%s)\n", name.c_str(), SimdTargets().c_str());
        return 2;
      }
    } else {
      std::fprintf(stderr, "usage: %s [--csv] [--quick] [--target NAME]\n", argv[0]);
      return 2;
    }
  }
  if (bench.csv) {
    std::printf("op,rows,cols,bits,tokens,threads,median_ms,best_ms,weight_gb_per_s\n");
  } else {
    std::printf("SIMD: %s\n", SimdTargets().c_str());
  }
  const std::vector<int> widths = quick ? std::vector<int>{2} : std::vector<int>{2, 3, 4, 8};
  const std::vector<int> threads = quick ? std::vector<int>{1} : std::vector<int>{1, 2};
  const std::vector<int64_t> row_counts = quick ? std::vector<int64_t>{4096} : std::vector<int64_t>{4096, 14336};
  for (const int64_t rows : row_counts) {
    for (const int n : threads) {
      for (const int bits : widths) bench.Linear(rows, 4096, bits, {1, 8, 64}, n);
      bench.Gemv(rows, 4096, {1, 8, 16}, n);
    }
  }
  return 0;
}
