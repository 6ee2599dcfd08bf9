// The CPU linear against the scalar reference, byte for byte, on every instruction set of the machine.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "cpu_support.h"

namespace glq::cpu {
namespace {

using test::Buffer;
using test::MakeRandomLinear;
using test::OnEachTarget;
using test::RandomInput;
using test::RandomLinear;
using test::RandomScalar;
using test::Rng;
using test::RunFused;
using test::SameBytes;
using test::Uniform;
using test::WithReference;
using test::Workspace;

Buffer ReferenceOutput(const RandomLinear& l, ConstMatrix x, Scalar type) {
  Buffer y(type, x.rows, l.meta.out_features);
  WithReference(l, [&](const reference::Linear& r) { reference::FusedLinear(r, x, y.matrix()); });
  return y;
}

void ExpectFusedIsReference(const RandomLinear& l, Buffer& x, Scalar type, int threads = 2) {
  const auto pool = MakeThreadPool(threads);
  Buffer expected = ReferenceOutput(l, x.matrix(), type);
  const auto weights = l.Make(*pool);
  OnEachTarget([&] {
    Buffer y(type, x.matrix().rows, l.meta.out_features, 3);
    RunFused(*weights, x.matrix(), y.matrix(), *pool);
    ASSERT_TRUE(SameBytes(y, expected));
  });
}

TEST(Linear, RandomShapesAllWidths) {
  Rng rng(1);
  for (int round = 0; round < 70; ++round) {
    const int bits = 2 + round % 7;
    const int64_t out = Uniform(rng, 1, 150), in = Uniform(rng, 1, 1200), tokens = Uniform(rng, 1, 70);
    SCOPED_TRACE(::testing::Message() << bits << " bits, " << out << " x " << in << ", " << tokens << " tokens");
    const RandomLinear l = MakeRandomLinear(rng, out, in, bits);
    Buffer x = RandomInput(rng, RandomScalar(rng), tokens, in);
    ExpectFusedIsReference(l, x, RandomScalar(rng), 1 + round % 4);
    if (HasFatalFailure()) return;
  }
}

TEST(Linear, EverySmallBatch) {
  Rng rng(2);
  const RandomLinear l = MakeRandomLinear(rng, 70, 300, 3);
  for (int64_t tokens = 0; tokens <= 13; ++tokens) {
    SCOPED_TRACE(tokens);
    Buffer x = RandomInput(rng, Scalar::kF16, tokens, 300);
    ExpectFusedIsReference(l, x, Scalar::kF32);
  }
}

TEST(Linear, BatchesBeyondOneBlockOfTokens) {
  Rng rng(3);
  const RandomLinear l = MakeRandomLinear(rng, 33, 100, 5);
  for (const int64_t tokens : {kTokenBlock, kTokenBlock + 1, 2 * kTokenBlock + 3}) {
    SCOPED_TRACE(tokens);
    Buffer x = RandomInput(rng, Scalar::kBF16, tokens, 100);
    ExpectFusedIsReference(l, x, Scalar::kF32);
  }
}

TEST(Linear, LongBlocks) {
  Rng rng(4);
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{16, 65536}, {16384, 64}, {40, 8192 + 100}}) {
    SCOPED_TRACE(in);
    const RandomLinear l = MakeRandomLinear(rng, out, in, 3);
    Buffer x = RandomInput(rng, Scalar::kF32, 2, in);
    ExpectFusedIsReference(l, x, Scalar::kF32);
  }
}

// Sums that come near the limits of the 32-bit accumulators, with one sign throughout.
TEST(Linear, LargestSums) {
  Rng rng(5);
  for (const int sign : {1, -1}) {
    RandomLinear l;
    l.meta.out_features = l.meta.padded_out = 16;
    l.meta.in_features = l.meta.padded_in = e8p::kMaxDim;
    l.meta.in_blocks = std::vector<int64_t>(static_cast<size_t>(e8p::kMaxDim), 1);  // no mixing: v = x
    l.meta.out_blocks = {16};
    l.meta.stages = {{e8p::Codebook::kE8P, 1.0, 0.25f}};
    l.meta.has_sv = l.meta.has_su = false;
    // Code 0xE2..: row 226 is 5 1 1 1 1 1 1 1; all codes alike.
    l.packed.push_back(std::vector<uint8_t>(static_cast<size_t>(16 * e8p::kMaxDim / 4)));
    for (size_t i = 0; i < l.packed[0].size(); i += 8) std::fill_n(&l.packed[0][i], 4, uint8_t{226});
    Buffer x(Scalar::kF32, 3, e8p::kMaxDim);
    // High digits of 127 with low digits of 127 and of -128: both digits at their ends.
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t j = 0; j < e8p::kMaxDim; ++j) {
        x.Set(t, j, static_cast<float>(sign) * (j == 7 || t == 1 ? 32639.0f : 32384.0f));
      }
    }
    ExpectFusedIsReference(l, x, Scalar::kF32);
  }
}

TEST(Linear, SpecialValues) {
  Rng rng(6);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float tiny = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  for (const int bits : {2, 3, 4}) {
    RandomLinear l = MakeRandomLinear(rng, 50, 130, bits);
    l.meta.has_bias = bits != 4;
    Buffer x(Scalar::kF32, 14, 130);
    std::normal_distribution<float> normal;
    x.Fill([&] { return normal(rng); });
    x.Set(0, 3, nan);
    x.Set(1, 129, inf);
    x.Set(2, 0, -inf);
    for (int64_t j = 0; j < 130; ++j) {
      x.Set(3, j, 0.0f);
      x.Set(4, j, -0.0f);
      x.Set(5, j, tiny);  // 32639 / m overflows: zero
      x.Set(6, j, normal(rng) * 1e-39f);
      x.Set(7, j, normal(rng) * 1e-36f);
      x.Set(8, j, huge);  // the transform overflows
      x.Set(9, j, normal(rng) * 1e37f);
      x.Set(10, j, j == 64 ? 1.0f : 0.0f);
      x.Set(12, j, std::bit_cast<float>(0xFFA00001u));  // a signalling NaN with a payload
    }
    for (const Scalar type : {Scalar::kF32, Scalar::kF16, Scalar::kBF16}) {
      SCOPED_TRACE(static_cast<int>(type));
      ExpectFusedIsReference(l, x, type);
    }
    // Every NaN that comes out is the canonical one, and a bad row does not touch the others.
    const auto pool = MakeThreadPool(1);
    const auto weights = l.Make(*pool);
    Buffer y(Scalar::kF32, 14, 50);
    RunFused(*weights, x.matrix(), y.matrix(), *pool);
    for (int64_t r = 0; r < 14; ++r) {
      for (int64_t c = 0; c < 50; ++c) {
        const float v = static_cast<const float*>(y.matrix().Row(r))[c];
        const bool bad = r < 3 || r == 8 || r == 12;
        if (bad) {
          EXPECT_EQ(std::bit_cast<uint32_t>(v), kCanonicalNan) << r;
        } else if (r != 9) {
          EXPECT_FALSE(std::isnan(v)) << r;
        }
      }
    }
  }
}

TEST(Linear, OverflowInTheOutputTransform) {
  Rng rng(7);
  RandomLinear l = MakeRandomLinear(rng, 64, 64, 4);
  for (e8p::Stage& s : l.meta.stages) s.k *= 1e36f;
  Buffer x(Scalar::kF32, 3, 64);
  std::normal_distribution<float> normal;
  x.Fill([&] { return 50 * normal(rng); });
  for (const Scalar type : {Scalar::kF32, Scalar::kF16, Scalar::kBF16}) ExpectFusedIsReference(l, x, type);
}

#if defined(__x86_64__)
TEST(Linear, CallersFloatingPointControlIsHarmlessAndKept) {
  Rng rng(8);
  RandomLinear l = MakeRandomLinear(rng, 50, 130, 4);
  l.meta.has_bias = false;
  for (e8p::Stage& s : l.meta.stages) s.k *= 1e-20f;
  Buffer x(Scalar::kF32, 9, 130);
  std::normal_distribution<float> normal;
  x.Fill([&] { return normal(rng) * 1e-18f; });
  Buffer expected = ReferenceOutput(l, x.matrix(), Scalar::kF32);
  for (const int threads : {1, 3}) {
    const auto pool = MakeThreadPool(threads);
    const auto weights = l.Make(*pool);
    OnEachTarget([&] {
      // Flush to zero, denormals are zero, round up, and exceptions unmasked for invalid and division.
      for (const unsigned control : {0x1F80u, 0x9FC0u, 0x5F80u, 0x1F80u & ~0x0280u}) {
        const unsigned saved = _mm_getcsr();
        Buffer y(Scalar::kF32, 9, 50);
        Workspace workspace(FusedLinearWorkspace(l.meta, 9, threads));
        const E8pWeights* w = weights.get();
        const Matrix ym = y.matrix();
        _mm_setcsr(control);
        FusedLinear(&w, 1, x.matrix(), &ym, workspace.get(), *pool);
        const unsigned after = _mm_getcsr();
        _mm_setcsr(saved);
        EXPECT_EQ(after, control);
        ASSERT_TRUE(SameBytes(y, expected));
      }
    });
  }
}
#endif

TEST(Linear, ThreadsDoNotMatter) {
  Rng rng(9);
  const RandomLinear l = MakeRandomLinear(rng, 700, 900, 4);
  for (const int64_t tokens : {1, 2, 7, 40}) {
    Buffer x = RandomInput(rng, Scalar::kF16, tokens, 900);
    Buffer expected = ReferenceOutput(l, x.matrix(), Scalar::kF16);
    for (int threads = 1; threads <= 4; ++threads) {
      const auto pool = MakeThreadPool(threads);
      const auto weights = l.Make(*pool);
      Buffer y(Scalar::kF16, tokens, 700);
      RunFused(*weights, x.matrix(), y.matrix(), *pool);
      ASSERT_TRUE(SameBytes(y, expected)) << threads;
    }
  }
}

TEST(Linear, WorkspaceIsMonotone) {
  Rng rng(10);
  const RandomLinear l = MakeRandomLinear(rng, 100, 200, 4);
  size_t fused = 0, matmul = 0, output = 0;
  for (int64_t tokens = 0; tokens < 300; ++tokens) {
    EXPECT_GE(FusedLinearWorkspace(l.meta, tokens, 2), fused);
    EXPECT_GE(MatmulRhtWorkspace(l.meta, tokens, 2), matmul);
    EXPECT_GE(RhtOutputWorkspace(l.meta, tokens, 2), output);
    fused = FusedLinearWorkspace(l.meta, tokens, 2);
    matmul = MatmulRhtWorkspace(l.meta, tokens, 2);
    output = RhtOutputWorkspace(l.meta, tokens, 2);
  }
}

TEST(Linear, GroupIsItsMembers) {
  Rng rng(11);
  const auto pool = MakeThreadPool(2);
  for (const int64_t tokens : {1, 5, 140}) {
    std::vector<RandomLinear> linears;
    for (const int bits : {4, 2, 7, 3}) linears.push_back(MakeRandomLinear(rng, Uniform(rng, 1, 90), 200, bits));
    for (RandomLinear& l : linears) {
      l.meta.has_sv = true;
      l.meta.padded_in = 256;
      l.meta.in_blocks = {256};
      l.sv.assign(256, 0x3C00);
      for (size_t s = 0; s < l.packed.size(); ++s) {
        l.packed[s].resize(static_cast<size_t>(l.meta.padded_out * 32 * e8p::CodeBits(l.meta.stages[s].codebook) / 8));
        for (uint8_t& b : l.packed[s]) b = static_cast<uint8_t>(rng());
      }
    }
    linears[1].sv[17] = 0xBC00;  // 0, 2 share; 1 and 3 are on their own
    linears[3].meta.in_blocks = {128, 128};
    Buffer x = RandomInput(rng, Scalar::kF16, tokens, 200);
    std::vector<std::unique_ptr<E8pWeights>> weights;
    std::vector<const E8pWeights*> pointers;
    std::vector<const e8p::LinearMeta*> metas;
    std::vector<Buffer> outputs, expected;
    for (const RandomLinear& l : linears) {
      weights.push_back(l.Make(*pool));
      pointers.push_back(weights.back().get());
      metas.push_back(&weights.back()->meta());
      outputs.emplace_back(Scalar::kF32, tokens, l.meta.out_features);
      expected.push_back(ReferenceOutput(l, x.matrix(), Scalar::kF32));
    }
    EXPECT_TRUE(weights[0]->SharesInput(*weights[2]));
    EXPECT_FALSE(weights[0]->SharesInput(*weights[1]));
    EXPECT_FALSE(weights[0]->SharesInput(*weights[3]));
    std::vector<Matrix> ys;
    for (Buffer& y : outputs) ys.push_back(y.matrix());
    Workspace workspace(FusedLinearWorkspace(metas.data(), 4, tokens, 2));
    FusedLinear(pointers.data(), 4, x.matrix(), ys.data(), workspace.get(), *pool);
    EXPECT_TRUE(workspace.Intact());
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(SameBytes(outputs[i], expected[i])) << i;
  }
}

TEST(Pieces, AreTheWholeAndTheReference) {
  Rng rng(12);
  for (int round = 0; round < 14; ++round) {
    const int64_t in = Uniform(rng, 1, 400), out = Uniform(rng, 1, 200), tokens = Uniform(rng, 1, 140);
    const RandomLinear l = MakeRandomLinear(rng, out, in, 2 + round % 7);
    const e8p::LinearMeta& m = l.meta;
    Buffer x = RandomInput(rng, RandomScalar(rng), tokens, in);
    if (round % 3 == 0) x.Set(tokens / 2, in / 2, std::numeric_limits<float>::infinity());
    const Scalar type = RandomScalar(rng);
    Buffer v0(Scalar::kF32, tokens, m.padded_in), z0(Scalar::kF32, tokens, m.padded_out), y0(type, tokens, out);
    WithReference(l, [&](const reference::Linear& r) {
      reference::RhtInput(r, x.matrix(), v0.matrix());
      reference::MatmulRht(r, v0.matrix(), z0.matrix());
      reference::RhtOutput(r, z0.matrix(), y0.matrix());
    });
    const int threads = 1 + round % 3;
    const auto pool = MakeThreadPool(threads);
    const auto weights = l.Make(*pool);
    OnEachTarget([&] {
      Buffer v(Scalar::kF32, tokens, m.padded_in, 1), z(Scalar::kF32, tokens, m.padded_out, 5), y(type, tokens, out, 2);
      RhtInput(*weights, x.matrix(), v.matrix(), *pool);
      ASSERT_TRUE(SameBytes(v, v0));
      Workspace matmul(MatmulRhtWorkspace(m, tokens, threads)), output(RhtOutputWorkspace(m, tokens, threads));
      MatmulRht(*weights, v.matrix(), z.matrix(), matmul.get(), *pool);
      ASSERT_TRUE(SameBytes(z, z0));
      RhtOutput(*weights, z.matrix(), y.matrix(), output.get(), *pool);
      ASSERT_TRUE(SameBytes(y, y0));
      ASSERT_TRUE(SameBytes(z, z0)) << "the input was changed";
      EXPECT_TRUE(matmul.Intact() && output.Intact());
      Buffer fused(type, tokens, out);
      RunFused(*weights, x.matrix(), fused.matrix(), *pool);
      ASSERT_TRUE(SameBytes(fused, y0));
    });
  }
}

TEST(Pieces, DecodeAndDequantize) {
  Rng rng(13);
  for (int bits = 2; bits <= 8; ++bits) {
    const int64_t in = Uniform(rng, 1, 300), out = Uniform(rng, 1, 150);
    const RandomLinear l = MakeRandomLinear(rng, out, in, bits);
    const e8p::LinearMeta& m = l.meta;
    const auto pool = MakeThreadPool(2);
    const auto weights = l.Make(*pool);
    for (const Scalar type : {Scalar::kF32, Scalar::kF16, Scalar::kBF16}) {
      const int64_t begin = Uniform(rng, 0, m.padded_out - 1), rows = Uniform(rng, 1, m.padded_out - begin);
      Buffer decoded0(type, rows, m.padded_in), dense0(type, out, in);
      WithReference(l, [&](const reference::Linear& r) {
        reference::DecodeRht(r, begin, rows, decoded0.matrix());
        reference::Dequantize(r, dense0.matrix());
      });
      OnEachTarget([&] {
        Buffer decoded(type, rows, m.padded_in, 3), dense(type, out, in, 1);
        DecodeRht(*weights, begin, rows, decoded.matrix(), *pool);
        ASSERT_TRUE(SameBytes(decoded, decoded0));
        Workspace workspace(DequantizeWorkspace(m));
        Dequantize(*weights, dense.matrix(), workspace.get(), *pool);
        ASSERT_TRUE(SameBytes(dense, dense0));
        EXPECT_TRUE(workspace.Intact());
      });
    }
  }
}

// Dequantize is what the linear multiplies by, up to rounding.
TEST(Pieces, DequantizedWeightsPredictTheOutput) {
  Rng rng(14);
  RandomLinear l = MakeRandomLinear(rng, 90, 170, 4);
  const auto pool = MakeThreadPool(1);
  const auto weights = l.Make(*pool);
  Buffer dense(Scalar::kF32, 90, 170), x = RandomInput(rng, Scalar::kF32, 4, 170), y(Scalar::kF32, 4, 90);
  Workspace workspace(DequantizeWorkspace(l.meta));
  Dequantize(*weights, dense.matrix(), workspace.get(), *pool);
  RunFused(*weights, x.matrix(), y.matrix(), *pool);
  double error = 0, norm = 0;
  for (int64_t t = 0; t < 4; ++t) {
    for (int64_t i = 0; i < 90; ++i) {
      double sum = l.meta.has_bias ? l.bias[static_cast<size_t>(i)] : 0.0;
      for (int64_t j = 0; j < 170; ++j) {
        sum += double{static_cast<const float*>(dense.matrix().Row(i))[j]} *
               static_cast<const float*>(x.matrix().Row(t))[j];
      }
      const double difference = static_cast<const float*>(y.matrix().Row(t))[i] - sum;
      error += difference * difference;
      norm += sum * sum;
    }
  }
  EXPECT_LT(std::sqrt(error / norm), 1e-4);
}

TEST(Weights, ExportIsWhatCameInAndSizeIsThatOfTheCodes) {
  Rng rng(15);
  const auto pool = MakeThreadPool(2);
  for (int bits = 2; bits <= 8; ++bits) {
    RandomLinear l = MakeRandomLinear(rng, Uniform(rng, 1, 200), Uniform(rng, 1, 300), bits);
    // Misaligned sources, as in files.
    std::vector<std::vector<uint8_t>> shifted;
    std::vector<const void*> pointers;
    size_t bytes = 0;
    for (const auto& p : l.packed) {
      shifted.emplace_back(p.size() + 1);
      std::copy(p.begin(), p.end(), shifted.back().begin() + 1);
      pointers.push_back(shifted.back().data() + 1);
      bytes += p.size();
    }
    const E8pWeights weights(l.meta, pointers.data(), l.Sv(), l.Su(), l.Bias(), HeapAllocator(), *pool);
    for (size_t s = 0; s < l.packed.size(); ++s) {
      std::vector<uint8_t> out(l.packed[s].size() + 1, 0xEE);
      weights.ExportStage(static_cast<int>(s), out.data() + 1);
      EXPECT_EQ(std::vector<uint8_t>(out.begin() + 1, out.end()), l.packed[s]);
    }
    const size_t vectors =
        (l.Sv() ? l.sv.size() * 2 : 0) + (l.Su() ? l.su.size() * 2 : 0) + (l.Bias() ? l.bias.size() * 4 : 0);
    EXPECT_GE(weights.bytes(), bytes + vectors);
    EXPECT_LE(weights.bytes(), bytes + vectors + 256 * (l.packed.size() + 3));
  }
}

TEST(Weights, FailedAllocationThrows) {
  class Empty final : public Allocator {
    void* Allocate(size_t, size_t) override { return nullptr; }
    void Free(void*, size_t, size_t) noexcept override { ADD_FAILURE() << "nothing to free"; }
  };
  Rng rng(16);
  const RandomLinear l = MakeRandomLinear(rng, 20, 20, 2);
  const auto pool = MakeThreadPool(1);
  Empty empty;
  EXPECT_THROW(E8pWeights(l.meta, l.Pointers().data(), l.Sv(), l.Su(), l.Bias(), empty, *pool), std::bad_alloc);
}

}  // namespace
}  // namespace glq::cpu
