// Random linears and guarded memory for the tests of the CPU backend.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cpu/e8p_linear.h"
#include "cpu/half.h"
#include "cpu/reference/reference.h"
#include "cpu/targets.h"

namespace glq::cpu::test {

using Rng = std::mt19937_64;

inline int64_t Uniform(Rng& rng, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

// Runs f once per instruction set that this machine has, with the set's name in the trace.
template <typename F>
void OnEachTarget(const F& f) {
  for (const int64_t target : RunnableTargets()) {
    SCOPED_TRACE(TargetName(target));
    ForceTarget(target);
    f();
    if (::testing::Test::HasFatalFailure()) break;
  }
  ForceTarget(0);
}

// A checkpoint's tensors of one linear.
struct RandomLinear {
  e8p::LinearMeta meta;
  std::vector<std::vector<uint8_t>> packed;
  std::vector<uint16_t> sv, su;
  std::vector<float> bias;

  std::vector<const void*> Pointers() const {
    std::vector<const void*> pointers;
    for (const auto& p : packed) pointers.push_back(p.data());
    return pointers;
  }
  const uint16_t* Sv() const { return meta.has_sv ? sv.data() : nullptr; }
  const uint16_t* Su() const { return meta.has_su ? su.data() : nullptr; }
  const float* Bias() const { return meta.has_bias ? bias.data() : nullptr; }

  std::unique_ptr<E8pWeights> Make(Parallel& par) const {
    return std::make_unique<E8pWeights>(meta, Pointers().data(), Sv(), Su(), Bias(), HeapAllocator(), par);
  }
};

// Calls f(reference::Linear).
template <typename F>
void WithReference(const RandomLinear& l, const F& f) {
  const std::vector<const void*> pointers = l.Pointers();
  f(reference::Linear{l.meta, pointers.data(), l.Sv(), l.Su(), l.Bias()});
}

// Powers of two that add up to n, in any order.
inline std::vector<int64_t> RandomBlocks(Rng& rng, int64_t n) {
  std::vector<int64_t> blocks = e8p::BinaryBlocks(n);
  for (int i = 0; i < 4; ++i) {
    const size_t at = static_cast<size_t>(Uniform(rng, 0, static_cast<int64_t>(blocks.size()) - 1));
    if (blocks[at] == 1) continue;
    blocks[at] /= 2;
    blocks.push_back(blocks[at]);
  }
  std::shuffle(blocks.begin(), blocks.end(), rng);
  return blocks;
}

inline RandomLinear MakeRandomLinear(Rng& rng, int64_t out, int64_t in, int bits) {
  RandomLinear l;
  e8p::LinearMeta& m = l.meta;
  m.out_features = out;
  m.in_features = in;
  m.padded_out = (out + 15) / 16 * 16 + 16 * Uniform(rng, 0, 1);
  m.padded_in = (in + 63) / 64 * 64 + 64 * Uniform(rng, 0, 1);
  const bool custom = Uniform(rng, 0, 2) == 0;
  m.out_blocks = custom ? RandomBlocks(rng, m.padded_out) : e8p::BinaryBlocks(m.padded_out);
  m.in_blocks = custom ? RandomBlocks(rng, m.padded_in) : e8p::BinaryBlocks(m.padded_in);
  m.weight_scale = 0.0123;
  m.has_sv = Uniform(rng, 0, 3) != 0;
  m.has_su = Uniform(rng, 0, 3) != 0;
  m.has_bias = Uniform(rng, 0, 1) != 0;
  double scale = 1;
  for (int left = bits; left > 0; left -= 2) {
    const auto codebook = left >= 2 ? e8p::Codebook::kE8P : e8p::Codebook::kE81B;
    m.stages.push_back({codebook, scale, static_cast<float>(m.weight_scale * scale / e8p::Denominator(codebook))});
    std::vector<uint8_t> codes(static_cast<size_t>(m.padded_out * m.padded_in / 8 * e8p::CodeBits(codebook) / 8));
    for (uint8_t& b : codes) b = static_cast<uint8_t>(rng());
    l.packed.push_back(std::move(codes));
    scale /= 3.45;
  }
  std::normal_distribution<float> normal;
  const auto sign = [&] {
    const float s = rng() & 1 ? 1.0f : -1.0f;
    return FloatToHalf(custom ? s + 0.1f * normal(rng) : s);
  };
  for (int64_t i = 0; i < m.padded_in; ++i) l.sv.push_back(sign());
  for (int64_t i = 0; i < m.padded_out; ++i) l.su.push_back(sign());
  for (int64_t i = 0; i < out; ++i) l.bias.push_back(normal(rng));
  return l;
}

// A matrix amid guard bytes, at an address that is aligned to its element only.
class Buffer {
 public:
  Buffer(Scalar type, int64_t rows, int64_t cols, int64_t extra_stride = 0)
      : type_(type),
        rows_(rows),
        cols_(cols),
        stride_(cols + extra_stride),
        bytes_(static_cast<size_t>(rows * stride_) * SizeOf(type) + 2 * kGuard + 64, std::byte{0xFF}) {}

  Matrix matrix() { return {Data(), type_, rows_, cols_, stride_}; }
  void* Data() {
    const auto at = reinterpret_cast<uintptr_t>(bytes_.data()) + kGuard;
    return bytes_.data() + kGuard + (64 - at % 64) % 64 + SizeOf(type_);
  }

  void Set(int64_t r, int64_t c, float v) {
    std::byte* at = static_cast<std::byte*>(matrix().Row(r)) + static_cast<size_t>(c) * SizeOf(type_);
    if (type_ == Scalar::kF32) {
      std::memcpy(at, &v, 4);
    } else {
      const uint16_t h = type_ == Scalar::kF16 ? FloatToHalf(v) : FloatToBf16(v);
      std::memcpy(at, &h, 2);
    }
  }
  template <typename F>
  void Fill(const F& value) {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < cols_; ++c) Set(r, c, value());
    }
  }

  // Every byte, guards and gaps between rows included.
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  static constexpr size_t kGuard = 64;
  Scalar type_;
  int64_t rows_, cols_, stride_;
  std::vector<std::byte> bytes_;
};

// Two buffers of the same shape, byte for byte, with everything around the elements untouched. Their
// alignment may differ, so rows are compared, and all other bytes must still be 0xFF.
inline ::testing::AssertionResult SameBytes(Buffer& a, Buffer& b) {
  const Matrix ma = a.matrix(), mb = b.matrix();
  const size_t row = static_cast<size_t>(ma.cols) * SizeOf(ma.type);
  for (int64_t r = 0; r < ma.rows; ++r) {
    const auto* pa = static_cast<const std::byte*>(ma.Row(r));
    const auto* pb = static_cast<const std::byte*>(mb.Row(r));
    for (size_t i = 0; i < row; ++i) {
      if (pa[i] != pb[i]) {
        return ::testing::AssertionFailure() << "row " << r << " of " << ma.rows << ", column " << i / SizeOf(ma.type)
                                             << " of " << ma.cols << " differ";
      }
    }
  }
  for (Buffer* buffer : {&a, &b}) {
    const Matrix m = buffer->matrix();
    std::vector<std::byte> rest = buffer->bytes();
    for (int64_t r = 0; r < m.rows; ++r) {
      const ptrdiff_t at = static_cast<const std::byte*>(m.Row(r)) - buffer->bytes().data();
      std::fill_n(rest.begin() + at, row, std::byte{0xFF});
    }
    for (const std::byte byte : rest) {
      if (byte != std::byte{0xFF}) return ::testing::AssertionFailure() << "bytes outside the matrix were written";
    }
  }
  return ::testing::AssertionSuccess();
}

// A workspace of exactly the given size, poisoned, with guards that Intact() checks.
class Workspace {
 public:
  explicit Workspace(size_t size) : size_(size), bytes_(size + 3 * kAlign, std::byte{0xFF}) {}
  void* get() { return bytes_.data() + Begin(); }
  bool Intact() const {
    for (size_t i = 0; i < bytes_.size(); ++i) {
      if ((i < Begin() || i >= Begin() + size_) && bytes_[i] != std::byte{0xFF}) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kAlign = 256;
  size_t Begin() const {
    const auto at = reinterpret_cast<uintptr_t>(bytes_.data()) + kAlign;
    return kAlign + (kAlign - at % kAlign) % kAlign;
  }
  size_t size_;
  std::vector<std::byte> bytes_;
};

inline Scalar RandomScalar(Rng& rng) { return static_cast<Scalar>(Uniform(rng, 0, 2)); }

inline Buffer RandomInput(Rng& rng, Scalar type, int64_t rows, int64_t cols) {
  Buffer x(type, rows, cols, Uniform(rng, 0, 5));
  std::normal_distribution<float> normal;
  x.Fill([&] { return normal(rng); });
  return x;
}

inline void RunFused(const E8pWeights& w, ConstMatrix x, Matrix y, Parallel& par) {
  Workspace workspace(FusedLinearWorkspace(w.meta(), x.rows, par.workers()));
  const E8pWeights* weights = &w;
  FusedLinear(&weights, 1, x, &y, workspace.get(), par);
  ASSERT_TRUE(workspace.Intact());
}

}  // namespace glq::cpu::test
