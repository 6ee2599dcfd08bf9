// The bf16 matrix-vector product and the conversions, byte for byte on every instruction set.
#include <gtest/gtest.h>

#include <limits>

#include "cpu/gemv_bf16.h"
#include "cpu_support.h"

namespace glq::cpu {
namespace {

using test::Buffer;
using test::OnEachTarget;
using test::RandomInput;
using test::RandomScalar;
using test::Rng;
using test::SameBytes;
using test::Uniform;

TEST(GemvBf16, IsTheReference) {
  Rng rng(1);
  for (int round = 0; round < 60; ++round) {
    const int64_t n = Uniform(rng, 1, 60), k = round % 5 ? Uniform(rng, 1, 500) : 64 * Uniform(rng, 1, 8);
    const int64_t batch = Uniform(rng, 1, 16);
    SCOPED_TRACE(::testing::Message() << n << " x " << k << ", B = " << batch);
    Buffer w = RandomInput(rng, Scalar::kBF16, n, k), x = RandomInput(rng, RandomScalar(rng), batch, k);
    const Scalar type = RandomScalar(rng);
    Buffer expected(type, batch, n);
    const Matrix wm = w.matrix();
    const auto* bits = static_cast<const uint16_t*>(wm.data);
    reference::GemvBf16(bits, n, k, wm.stride, x.matrix(), expected.matrix());
    const auto pool = MakeThreadPool(1 + round % 3);
    OnEachTarget([&] {
      Buffer y(type, batch, n, 3);
      GemvBf16(bits, n, k, wm.stride, x.matrix(), y.matrix(), *pool);
      ASSERT_TRUE(SameBytes(y, expected));
    });
  }
}

TEST(GemvBf16, ThreadsAndOtherRowsDoNotMatter) {
  Rng rng(2);
  const int64_t n = 700, k = 333;
  Buffer w = RandomInput(rng, Scalar::kBF16, n, k), x = RandomInput(rng, Scalar::kBF16, 16, k);
  const Matrix wm = w.matrix(), xm = x.matrix();
  const auto* bits = static_cast<const uint16_t*>(wm.data);
  Buffer expected(Scalar::kF32, 16, n);
  reference::GemvBf16(bits, n, k, wm.stride, xm, expected.matrix());
  for (int threads = 1; threads <= 4; ++threads) {
    const auto pool = MakeThreadPool(threads);
    for (int64_t first = 0; first < 16; ++first) {
      const int64_t batch = Uniform(rng, 1, 16 - first);
      Buffer y(Scalar::kF32, batch, n);
      GemvBf16(bits, n, k, wm.stride, {xm.Row(first), xm.type, batch, k, xm.stride}, y.matrix(), *pool);
      for (int64_t t = 0; t < batch; ++t) {
        ASSERT_EQ(std::memcmp(y.matrix().Row(t), expected.matrix().Row(first + t), static_cast<size_t>(n) * 4), 0);
      }
    }
  }
}

TEST(GemvBf16, SpecialValues) {
  Rng rng(3);
  const float values[] = {0.0f,
                          -0.0f,
                          1.0f,
                          1e-40f,
                          -3e-39f,
                          3e38f,
                          -3e38f,
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};
  for (int round = 0; round < 200; ++round) {
    const int64_t n = 5, k = Uniform(rng, 1, 70), limit = round % 2 ? 9 : 4;
    Buffer w(Scalar::kBF16, n, k), x(Scalar::kF32, 3, k);
    w.Fill([&] { return values[Uniform(rng, 0, limit)]; });
    x.Fill([&] { return values[Uniform(rng, 0, limit)]; });
    const Matrix wm = w.matrix();
    const auto* bits = static_cast<const uint16_t*>(wm.data);
    const auto pool = MakeThreadPool(1);
    for (const Scalar type : {Scalar::kF32, Scalar::kF16, Scalar::kBF16}) {
      Buffer expected(type, 3, n);
      reference::GemvBf16(bits, n, k, wm.stride, x.matrix(), expected.matrix());
      OnEachTarget([&] {
        Buffer y(type, 3, n);
        GemvBf16(bits, n, k, wm.stride, x.matrix(), y.matrix(), *pool);
        ASSERT_TRUE(SameBytes(y, expected));
      });
    }
  }
}

TEST(Half, EveryValueAndEveryTie) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const uint16_t bits = static_cast<uint16_t>(h);
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const float f = HalfToFloat(bits);
    if (exponent == 31) {
      EXPECT_EQ(mantissa ? std::isnan(f) : std::isinf(f), true);
      EXPECT_EQ(FloatToHalf(f), mantissa ? 0x7E00 : bits);
      continue;
    }
    const double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
    ASSERT_EQ(f, static_cast<float>(bits & 0x8000 ? -magnitude : magnitude));
    ASSERT_EQ(FloatToHalf(f), bits);
    // Half way to the next value goes to the even one; a bit less and a bit more to the nearest.
    const double next = exponent ? std::ldexp(1025 + mantissa, exponent - 25) : std::ldexp(mantissa + 1, -24);
    const float sign = bits & 0x8000 ? -1.0f : 1.0f;
    const float tie = static_cast<float>((magnitude + next) / 2);
    ASSERT_EQ(FloatToHalf(sign * tie), bits & 1 ? bits + 1 : bits);
    ASSERT_EQ(FloatToHalf(sign * std::nextafter(tie, 0.0f)), bits);
    ASSERT_EQ(FloatToHalf(sign * std::nextafter(tie, 1e9f)), bits + 1);
  }
  EXPECT_EQ(FloatToHalf(1e30f), 0x7C00);
  EXPECT_EQ(FloatToHalf(std::bit_cast<float>(0xFFC12345u)), 0x7E00);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0xFFC12345u)), 0x7FC0);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_EQ(FloatToBf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x00008001u)), 0x0001);
}

// With W = (1), the product is the conversion of x to y: all half values in, all rounding cases out.
TEST(Half, VectorConversionsAreTheScalarOnes) {
  const uint16_t one = 0x3F80;
  const auto pool = MakeThreadPool(1);
  Rng rng(4);
  for (const bool whole_vectors : {false, true}) {
    const int64_t k = whole_vectors ? 64 : 1;  // a full vector, or the tail
    std::vector<uint16_t> w(static_cast<size_t>(k));
    w[0] = one;
    Buffer half(Scalar::kF16, 65536, k), brain(Scalar::kBF16, 65536, k), single(Scalar::kF32, 65536, k);
    for (Buffer* b : {&half, &brain, &single}) b->Fill([] { return 0.0f; });
    for (int64_t h = 0; h < 65536; ++h) {
      const auto bits = static_cast<uint16_t>(h);
      std::memcpy(half.matrix().Row(h), &bits, 2);
      std::memcpy(brain.matrix().Row(h), &bits, 2);
      // Around the values of binary16, and anywhere.
      uint32_t f = std::bit_cast<uint32_t>(HalfToFloat(bits)) + static_cast<uint32_t>(Uniform(rng, -2, 2));
      if (h % 3 == 0) f += 0x1000;
      if (h % 4 == 0) f = static_cast<uint32_t>(rng());
      std::memcpy(single.matrix().Row(h), &f, 4);
    }
    for (Buffer* x : {&half, &brain, &single}) {
      for (const Scalar type : {Scalar::kF32, Scalar::kF16, Scalar::kBF16}) {
        Buffer expected(type, 65536, 1);
        reference::GemvBf16(w.data(), 1, k, k, x->matrix(), expected.matrix());
        OnEachTarget([&] {
          Buffer y(type, 65536, 1);
          GemvBf16(w.data(), 1, k, k, x->matrix(), y.matrix(), *pool);
          ASSERT_TRUE(SameBytes(y, expected));
        });
      }
    }
  }
}

}  // namespace
}  // namespace glq::cpu
