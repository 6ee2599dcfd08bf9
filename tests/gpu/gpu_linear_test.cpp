// glq_fused_linear_e8p on the GPU has the bytes of the CPU: widths, shapes, blocks, types, layouts, batches.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gpu/support.h"

namespace glq::gpu {
namespace {

std::vector<int64_t> Range(int64_t first, int64_t last) {
  std::vector<int64_t> all;
  for (int64_t i = first; i <= last; ++i) all.push_back(i);
  return all;
}

std::vector<int64_t> Join(std::vector<int64_t> a, const std::vector<int64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Up to 8: one kernel; more: another. Before Hopper, from 384 on and with cuBLASLt: expansion and a library product.
const std::vector<int64_t> kTokenSteps = Join(Range(1, 9), {12, 16, 17, 31, 32, 33, 64, 100, 383, 384, 400});

class Width : public ::testing::TestWithParam<int> {};

TEST_P(Width, SmallShapes) {
  const int64_t shapes[][2] = {{1, 1}, {16, 64}, {48, 80}, {100, 200}, {96, 192}, {256, 128}, {17, 65}};
  int i = GetParam();
  for (const auto& [out, in] : shapes) {
    ++i;
    CheckFused({.out = out, .in = in, .bits = GetParam()}, kTokenSteps,
               {.x = kFloatTypes[i % 3], .y = kFloatTypes[i / 3 % 3]});
  }
}

TEST_P(Width, Square4096) {
  CheckFused({.out = 4096, .in = 4096, .bits = GetParam()}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33},
             {.y = GLQ_DTYPE_F16});
}

TEST_P(Width, KernelsSmoke) {
  CheckFused({.out = 80, .in = 192, .bits = GetParam()}, {1, 6, 9, 18}, {.y = GLQ_DTYPE_F16});
}

INSTANTIATE_TEST_SUITE_P(Bits, Width, ::testing::Range(2, 9), [](const auto& i) { return std::to_string(i.param); });

TEST(GpuLinear, ExpansionSmoke) { CheckFused({.out = 48, .in = 192, .bits = 5}, {384, 2100}); }

TEST(GpuLinear, LongRowsSmoke) {
  CheckFused({.out = 16, .in = 32768 + 64, .bits = 2}, {1, 9});
  CheckFused({.out = 32768 + 16, .in = 64, .bits = 2}, {1, 9});
}

TEST(GpuLinear, ClustersSmoke) {
  CheckFused({.out = 16, .in = 8192 + 192, .bits = 2}, {2});
  CheckFused({.out = 8192 + 48, .in = 64, .bits = 3}, {2});
}

// So many rows that single blocks transform them, of 8192 and 16384 elements.
TEST(GpuLinear, ManyRowsSmoke) {
  CheckFused({.out = 16, .in = 8192 + 1088, .bits = 2}, {85, 90}, {.x = GLQ_DTYPE_F16, .y = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 8192, .bits = 2}, {127, 128}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 8190 + 4096, .in = 64, .bits = 3, .bias = GLQ_DTYPE_F16}, {90}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 8192, .in = 64, .bits = 2}, {127, 128}, {.y = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 16384, .bits = 2}, {112});
  CheckFused({.out = 16384 + 4096, .in = 64, .bits = 2}, {150}, {.y = GLQ_DTYPE_BF16});
}

// Very many, 768 chunks of 4096 and more: another transform, a warp for every 1024 elements. Rows of one Hadamard block
// of every size, of several, that end inside the last 1024 or are shorter, in all types and alignments.
TEST(GpuLinear, VeryManyRowsSmoke) {
  CheckFused({.out = 16, .in = 8192, .bits = 2}, {384}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 16384 + 4096, .bits = 2}, {154}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 8192 + 4096 + 2048 + 1024, .bits = 2}, {192}, {.x = GLQ_DTYPE_F16});
  CheckFused({.out = 16, .in = 8192 + 1080, .bits = 2, .sv = Signs::kReal}, {256},
             {.x = GLQ_DTYPE_F16, .y = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 8192 + 1085, .bits = 2}, {256}, {.x = GLQ_DTYPE_F16});
  CheckFused({.out = 16384 + 4096, .in = 64, .bits = 2}, {154}, {.y = GLQ_DTYPE_BF16});
  CheckFused({.out = 8192, .in = 64, .bits = 3, .su = Signs::kReal}, {384}, {.y = GLQ_DTYPE_BF16});
  CheckFused({.out = 8190 + 4096, .in = 64, .bits = 2, .bias = GLQ_DTYPE_F16}, {256}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 8192 + 16, .in = 64, .bits = 2}, {256}, {.y = GLQ_DTYPE_F16, .y_stride = 8215, .y_offset = 1});
  CheckFused({.out = 4096 + 1024 + 256, .in = 64, .bits = 2}, {384}, {.y = GLQ_DTYPE_F32});
  CheckFused({.out = 2048, .in = 64, .bits = 2}, {768}, {.y = GLQ_DTYPE_BF16});
  CheckFused({.out = 1024, .in = 64, .bits = 2, .bias = GLQ_DTYPE_F32}, {768}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 16, .in = 2048, .bits = 2}, {768}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 4096, .bits = 2}, {768}, {.x = GLQ_DTYPE_F32});
  CheckFused({.out = 16, .in = 16384, .bits = 2, .sv = Signs::kNone}, {192}, {.x = GLQ_DTYPE_F16});
  CheckFused({.out = 4096, .in = 64, .bits = 2}, {768}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 16384, .in = 64, .bits = 2, .su = Signs::kNone}, {192}, {.y = GLQ_DTYPE_BF16});
  CheckFused({.out = 100, .in = 200, .bits = 3, .bias = GLQ_DTYPE_F32}, {768}, {.y = GLQ_DTYPE_F32});
}

TEST(GpuLinear, VeryManyRows) {
  for (const glq_dtype type : kFloatTypes) {
    CheckFused({.out = 4096, .in = 4096, .bits = 2}, {767, 1536, 2049}, {.x = type, .y = type});
    CheckFused({.out = 5000, .in = 6000, .bits = 3, .su = Signs::kReal, .sv = Signs::kReal, .bias = GLQ_DTYPE_BF16},
               {800}, {.x = type, .y = type});
    CheckFused({.out = 8192 + 4096 + 16, .in = 8192 + 2048 + 64, .bits = 2}, {300}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 14336, .bits = 2}, {256}, {.x = type, .y = type});
    CheckFused({.out = 11008, .in = 64, .bits = 2}, {256}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 16384, .bits = 2}, {512}, {.x = type, .y = type});
    CheckFused({.out = 8192, .in = 8192, .bits = 2}, {384, 512}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 28672, .bits = 2, .sv = Signs::kReal}, {300}, {.x = type, .y = type});
    CheckFused({.out = 28672, .in = 64, .bits = 2, .su = Signs::kReal}, {300}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 32704, .bits = 2}, {128}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 32690, .bits = 2, .sv = Signs::kNone}, {128}, {.x = type, .y = type});
    CheckFused({.out = 32752, .in = 64, .bits = 2, .su = Signs::kNone}, {128}, {.x = type, .y = type});
    CheckFused({.out = 16384, .in = 64, .bits = 2}, {192}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 5000, .bits = 2, .padded_in = 8192}, {384}, {.x = type, .y = type});
    CheckFused({.out = 64, .in = 9001, .bits = 2}, {300},
               {.x = type, .y = type, .x_stride = 9003, .y_stride = 67, .x_offset = 3, .y_offset = 1});
    for (const int64_t dim : {1024, 2048, 3072, 1040, 2992}) {
      CheckFused({.out = dim, .in = dim, .bits = 2, .su = Signs::kReal, .sv = Signs::kReal}, {800},
                 {.x = type, .y = type});
    }
  }
}

// One plain row of 4096 or 8192: the product transforms it itself. Other rows of these lengths do not go that way.
TEST(GpuLinear, OwnTransformSmoke) {
  for (const glq_dtype x : kFloatTypes) {
    CheckFused({.out = 96, .in = 4096, .bits = 2}, {1, 2}, {.x = x, .y = GLQ_DTYPE_BF16});
    CheckFused({.out = 48, .in = 8192, .bits = 3, .bias = GLQ_DTYPE_F16}, {1}, {.x = x});
  }
  CheckFused({.out = 300, .in = 4096, .bits = 5}, {1});
  // More row tiles than registers hold: weights on their way to the L2, one step a warp and one after the other.
  CheckFused({.out = 7 * 2048, .in = 4096, .bits = 4}, {1});
  CheckFused({.out = 3 * 2048, .in = 8192, .bits = 4}, {1});
  // More than 128 row tiles: two warps multiply the same columns, also where blocks are as many as on a large GPU.
  CheckFused({.out = 129 * 16, .in = 4096, .bits = 2}, {1});
  CheckFused({.out = 129 * 16, .in = 4096, .bits = 3}, {1}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 16, .in = 8192, .bits = 4, .sv = Signs::kNone}, {1}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 16, .in = 4090, .bits = 2}, {1});
}

// Rows of 1 to 7 units of k for each warp of the product, with one and two blocks of tokens.
TEST(GpuLinear, UnitsSmoke) {
  for (int units = 1; units <= 7; ++units) {
    CheckFused({.out = 496, .in = units * 2048 - 64 * (units % 3), .bits = 2 + units % 2}, {3, 6});
  }
}

// Few rows and long k: k is split over blocks and clusters; many tokens: several tiles of tokens.
TEST(GpuLinear, SplitsSmoke) {
  CheckFused({.out = 32, .in = 4096, .bits = 3}, {9, 33, 70});
  CheckFused({.out = 16, .in = 16384 + 128, .bits = 4}, {1, 5, 12});
  CheckFused({.out = 272, .in = 192, .bits = 5}, {20, 140});
}

// One to four tokens of rows that two, three or four blocks of a cluster share, 3 to 7 units of k a warp.
TEST(GpuLinear, MeetingSmoke) {
  CheckFused({.out = 48, .in = 16384, .bits = 3}, {1, 3}, {.x = GLQ_DTYPE_BF16});
  CheckFused({.out = 300, .in = 20480, .bits = 2, .bias = GLQ_DTYPE_F16}, {1, 2}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 16, .in = 24576, .bits = 5}, {4});
  CheckFused({.out = 129 * 16, .in = 28672, .bits = 2}, {1});
  CheckFused({.out = 80, .in = 28672 - 192, .bits = 8}, {1, 2});
  CheckFused({.out = 64, .in = 36864, .bits = 4}, {1, 4});
  CheckFused({.out = 32, .in = 53248, .bits = 3}, {1});
}

// One and two tokens whose input transform tells the product when to have weights on their way to the L2: more row
// tiles than registers hold.
TEST(GpuLinear, HintedSmoke) {
  CheckFused({.out = 129 * 48, .in = 192, .bits = 2}, {1, 2}, {.x = GLQ_DTYPE_F16});
  CheckFused({.out = 129 * 32, .in = 10240, .bits = 3}, {1, 2}, {.y = GLQ_DTYPE_BF16});
}

TEST(GpuLinear, BlockListsSmoke) {
  CheckFused({.out = 100, .in = 250, .bits = 3, .out_blocks = {16, 64, 32}, .in_blocks = {64, 128, 64}}, {1, 9});
}

TEST(GpuLinear, LibraryIsThere) {
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  GLQ_ASSERT_OK(glq_context_get_info(GpuContext(), &info));
  std::printf("cuBLASLt: %s\n", info.cublaslt_message);
  if (info.cublaslt_version == 0) GTEST_SKIP() << "no cuBLASLt: the expansion of large batches was not tested";
}

TEST(GpuLinear, Slices) {
  for (const int bits : {2, 3, 4}) {
    CheckFused({.out = 96, .in = 192, .bits = bits}, {2047, 2048, 2049, 2050, 2432, 4095, 4096, 4097},
               {.y = GLQ_DTYPE_BF16});
  }
  CheckFused({.out = 1024, .in = 512, .bits = 3}, {2047, 2048, 2049, 2050}, {.x = GLQ_DTYPE_BF16, .y = GLQ_DTYPE_F16});
}

struct Shape {
  int64_t out, in;
  int bits;
  std::vector<int64_t> tokens;
};

class Shapes : public ::testing::TestWithParam<Shape> {};

TEST_P(Shapes, Equal) {
  const Shape& s = GetParam();
  CheckFused({.out = s.out, .in = s.in, .bits = s.bits, .bias = GLQ_DTYPE_F16}, s.tokens,
             {.x = s.bits % 2 ? GLQ_DTYPE_BF16 : GLQ_DTYPE_F16, .y = s.bits % 2 ? GLQ_DTYPE_BF16 : GLQ_DTYPE_F32});
}

INSTANTIATE_TEST_SUITE_P(
    All, Shapes,
    ::testing::Values(Shape{4096, 64, 2, kTokenSteps}, Shape{4096, 64, 3, kTokenSteps}, Shape{64, 4096, 2, kTokenSteps},
                      Shape{64, 4096, 5, kTokenSteps}, Shape{4096, 4096, 2, {64, 383, 384, 400}},
                      Shape{4096, 4096, 5, {64, 384}}, Shape{11008, 4096, 2, {1, 3, 8, 17}},
                      Shape{11008, 4096, 3, {1, 4, 8, 33}}, Shape{4096, 11008, 4, {1, 5, 8, 16}},
                      Shape{5120, 3584, 4, {1, 3, 8, 12, 64}}, Shape{5120, 3584, 3, {1, 2, 8, 9, 384}},
                      Shape{2688, 1856, 5, {1, 2, 7, 8, 9, 33, 100, 383, 384}},
                      Shape{2688, 1856, 8, {1, 8, 9, 32, 384}}, Shape{1856, 2688, 7, {1, 4, 5, 31, 400}},
                      Shape{4096, 14336, 2, {1, 2, 4, 8, 16, 33}}, Shape{1000, 28672, 2, {1, 4, 8, 9, 33, 384}},
                      Shape{1000, 28672, 3, {1, 4, 8, 9, 33}}, Shape{28672, 1000, 2, {1, 8, 9, 33, 384}},
                      Shape{1024, 40000, 2, {1, 2, 8, 9, 33, 384}}, Shape{1024, 40000, 5, {1, 8, 33}},
                      Shape{40000, 1024, 2, {1, 2, 8, 9, 33, 384}}, Shape{40000, 1024, 5, {1, 8, 33}},
                      Shape{32768, 64, 2, {1, 9}}, Shape{64, 32768, 2, {1, 9}}, Shape{16, 8192, 8, {1, 8, 20}},
                      Shape{8192, 4160, 2, {1, 8}}),
    [](const auto& i) {
      return std::to_string(i.param.out) + "x" + std::to_string(i.param.in) + "b" + std::to_string(i.param.bits) + "n" +
             std::to_string(i.index);
    });

TEST(GpuLinear, PowerOfTwoPadding) {
  CheckFused({.out = 48, .in = 80, .bits = 2, .padded_out = 64, .padded_in = 128}, kTokenSteps);
  CheckFused({.out = 100, .in = 200, .bits = 3, .padded_out = 128, .padded_in = 256}, kTokenSteps);
  CheckFused({.out = 3000, .in = 5000, .bits = 4, .padded_out = 4096, .padded_in = 8192}, {1, 8, 9, 40});
  CheckFused({.out = 33000, .in = 100, .bits = 2, .padded_out = 65536, .padded_in = 128}, {1, 8, 9, 384});
  CheckFused({.out = 100, .in = 33000, .bits = 2, .padded_out = 128, .padded_in = 65536}, {1, 8, 9, 384});
  CheckFused({.out = 1, .in = 1, .bits = 7, .padded_out = 160, .padded_in = 1088}, {1, 8, 9, 384});
}

TEST(GpuLinear, BlockLists) {
  const std::vector<int64_t> tokens = {1, 2, 8, 9, 33, 384};
  CheckFused({.out = 256, .in = 256, .bits = 2, .in_blocks = {64, 128, 64}}, tokens);
  CheckFused({.out = 256, .in = 256, .bits = 3, .out_blocks = {64, 128, 64}}, tokens);
  const auto many = [](int64_t n, int64_t block) {
    return std::vector<int64_t>(static_cast<size_t>(n / block), block);
  };
  for (const int64_t block : {1, 2, 4, 8, 16, 32, 64, 256}) {
    CheckFused({.out = 256, .in = 512, .bits = 3, .out_blocks = many(256, block), .in_blocks = many(512, block)},
               tokens);
  }
  CheckFused({.out = 4096, .in = 14336, .bits = 2, .out_blocks = many(4096, 16), .in_blocks = many(14336, 16)},
             {1, 8, 9});
  CheckFused({.out = 4096, .in = 14336, .bits = 2, .out_blocks = many(4096, 2048), .in_blocks = many(14336, 2048)},
             {1, 8, 9});
  // The binary expansion in another order, and one block that reaches over what a cluster holds.
  CheckFused({.out = 112, .in = 960, .bits = 2, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 256, 512}}, tokens);
  CheckFused({.out = 16, .in = 40960, .bits = 2, .in_blocks = {8192, 32768}}, {1, 9});
  CheckFused({.out = 40960, .in = 64, .bits = 2, .out_blocks = {8192, 32768}}, {1, 9});
  CheckFused(
      {.out = 48, .in = 65536 + 64, .bits = 3, .out_blocks = {1, 2, 4, 8, 16, 16, 1}, .in_blocks = {32, 65536, 32}},
      {1, 9});
}

TEST(GpuLinear, SignsAndBias) {
  for (const Signs sv : {Signs::kNone, Signs::kSigns, Signs::kReal}) {
    for (const Signs su : {Signs::kNone, Signs::kSigns, Signs::kReal}) {
      for (const glq_dtype bias :
           {glq_dtype{0}, glq_dtype{GLQ_DTYPE_F16}, glq_dtype{GLQ_DTYPE_BF16}, glq_dtype{GLQ_DTYPE_F32}}) {
        CheckFused({.out = 100, .in = 200, .bits = 3, .su = su, .sv = sv, .bias = bias}, {1, 9, 384},
                   {.y = GLQ_DTYPE_F16});
      }
    }
  }
  CheckFused({.out = 36000, .in = 70, .bits = 2, .su = Signs::kReal, .sv = Signs::kReal, .bias = GLQ_DTYPE_F32},
             {1, 9});
  CheckFused({.out = 70, .in = 36000, .bits = 2, .su = Signs::kReal, .sv = Signs::kReal, .bias = GLQ_DTYPE_F32},
             {1, 9});
}

TEST(GpuLinear, WeightScales) {
  for (const double scale : {0.0, -0.5, -0.0, 1e-30, 1e-44, 1e30, -3e37, 1.0}) {
    CheckFused({.out = 100, .in = 200, .bits = 5, .bias = GLQ_DTYPE_F16, .weight_scale = scale}, {1, 8, 9, 384});
    CheckFused({.out = 100, .in = 200, .bits = 4, .weight_scale = scale}, {1, 8, 9, 384}, {.y = GLQ_DTYPE_F16});
  }
}

TEST(GpuLinear, TypesAndLayouts) {
  const LinearSpec spec{.out = 100, .in = 200, .bits = 3};
  const HostLinear linear(spec);
  const Pair pair(linear);
  for (const glq_dtype x : kFloatTypes) {
    for (const glq_dtype y : kFloatTypes) {
      // Aligned to the element only, in the pointer, in the rows, in both.
      for (const auto& [x_stride, x_offset] : {std::pair{0, 0}, {0, 1}, {201, 0}, {207, 3}, {256, 8}}) {
        for (const auto& [y_stride, y_offset] : {std::pair{0, 0}, {101, 1}, {333, 5}}) {
          CheckFused(
              pair, spec, {1, 5, 9, 40, 390},
              {.x = x, .y = y, .x_stride = x_stride, .y_stride = y_stride, .x_offset = x_offset, .y_offset = y_offset});
        }
      }
    }
  }
}

TEST(GpuLinear, LayoutsOfLongRows) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{5000, 9001}, {33333, 100}, {100, 33333}}) {
    const LinearSpec spec{.out = out, .in = in, .bits = 2};
    const HostLinear linear(spec);
    const Pair pair(linear);
    for (const glq_dtype type : kFloatTypes) {
      CheckFused(pair, spec, {1, 3, 9},
                 {.x = type, .y = type, .x_stride = in + 3, .y_stride = out + 5, .x_offset = 1, .y_offset = 3});
    }
  }
}

// Rows that are not like others: they must come out as on the CPU and leave their neighbours alone.
void FillSpecial(Image& x) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  const float largest = x.dtype() == GLQ_DTYPE_F16 ? 65504.0f : 3.3e38f;
  const float smallest = x.dtype() == GLQ_DTYPE_F16 ? 0x1p-24f : x.dtype() == GLQ_DTYPE_BF16 ? 0x1p-133f : 0x1p-149f;
  const int64_t cols = x.cols();
  x.FillNormal(99);
  for (int64_t r = 0; r < x.rows(); ++r) {
    const auto all = [&](auto value) {
      for (int64_t c = 0; c < cols; ++c) x.Set(r, c, value(c));
    };
    Rng rng(static_cast<uint64_t>(r));
    switch (r % 20) {
      case 1:
        x.Set(r, r % cols, kNan);
        break;
      case 2:
        x.Set(r, r * 7 % cols, kInf);
        break;
      case 3:
        x.Set(r, r * 7 % cols, -kInf);
        break;
      case 4:
        x.Set(r, 0, kInf), x.Set(r, cols - 1, -kInf);
        break;
      case 5:
        all([](int64_t) { return 0.0f; });
        break;
      case 6:
        all([](int64_t) { return -0.0f; });
        break;
      case 7:
        all([&](int64_t) { return smallest * static_cast<float>(rng.Uniform(-3, 3)); });
        break;
      case 8:
        all([&](int64_t) { return smallest * 1000 * rng.Normal(); });
        break;
      case 9:
        all([&](int64_t) { return largest; });
        break;
      case 10:
        all([&](int64_t) { return rng.Next() & 1 ? largest : -largest; });
        break;
      case 11:
        all([&](int64_t c) { return c == r % cols ? largest : 0.0f; });
        break;
      case 12:
        all([&](int64_t c) { return c == 0 ? 1.0f : 0.0f; });
        break;  // every digit at its limit
      case 13:
        all([&](int64_t c) { return c == cols - 1 ? smallest : 0.0f; });
        break;
      case 14:
        all([](int64_t) { return 1.0f; });
        break;
      case 15:
        all([&](int64_t) { return 1e-20f * largest * rng.Normal(); });
        break;
      case 16:
        all([&](int64_t c) { return c % 2 ? kNan : kInf; });
        break;
      case 17:
        all([&](int64_t) { return 3e-36f * rng.Normal(); });
        break;  // near where 32639 / m overflows
      default:
        break;
    }
  }
}

void CheckSpecial(const LinearSpec& spec, const std::vector<int64_t>& tokens) {
  SCOPED_TRACE(spec.Text());
  const HostLinear linear(spec);
  const Pair pair(linear);
  for (const glq_dtype x_type : kFloatTypes) {
    Image x(x_type, tokens.back(), spec.in);
    FillSpecial(x);
    const DeviceImage device_x(x);
    for (const glq_dtype y_type : kFloatTypes) {
      SCOPED_TRACE(std::string("x ") + Name(x_type) + ", y " + Name(y_type));
      Image y(y_type, tokens.back(), spec.out);
      CpuFused(pair, x, y);
      for (const int64_t c : {int64_t{0}, spec.out - 1}) {
        if (y_type == GLQ_DTYPE_F32) {
          EXPECT_EQ(y.Get<uint32_t>(1, c), 0x7FC00000u);
        } else {
          EXPECT_EQ(y.Get<uint16_t>(1, c), y_type == GLQ_DTYPE_F16 ? 0x7E00 : 0x7FC0);
        }
      }
      for (const int64_t n : tokens) EXPECT_TRUE(GpuFusedEquals(pair, device_x, y, n)) << n << " tokens";
    }
  }
}

TEST(GpuLinear, SpecialRows) {
  for (const int bits : {2, 3, 8}) {
    CheckSpecial({.out = 100, .in = 200, .bits = bits, .bias = GLQ_DTYPE_F32}, {2, 3, 8, 9, 20, 40, 400});
    // Overflow to infinity before, in and after the output transform.
    CheckSpecial({.out = 100, .in = 200, .bits = bits, .su = Signs::kReal, .weight_scale = 1e30}, {8, 20, 40, 400});
    CheckSpecial({.out = 100, .in = 200, .bits = bits, .weight_scale = -3e37}, {8, 20, 40, 400});
    CheckSpecial({.out = 100, .in = 200, .bits = bits, .weight_scale = 1e-38}, {8, 20, 40, 400});
  }
  CheckSpecial({.out = 64, .in = 34000, .bits = 3, .weight_scale = 1e5}, {8, 40});
  CheckSpecial({.out = 34000, .in = 64, .bits = 3, .weight_scale = 1e30}, {8, 40});
  CheckSpecial({.out = 64, .in = 4096 * 3, .bits = 2}, {8, 40});
  CheckSpecial({.out = 4096 * 3, .in = 64, .bits = 2, .weight_scale = 1e30}, {8, 40});
  // Very many rows.
  CheckSpecial({.out = 100, .in = 200, .bits = 2, .su = Signs::kReal, .weight_scale = 1e30}, {800});
  CheckSpecial({.out = 16, .in = 4096, .bits = 2}, {800});
  CheckSpecial({.out = 16, .in = 8192 + 1080, .bits = 2, .weight_scale = 1e-38}, {256});
  CheckSpecial({.out = 8192 + 1080, .in = 64, .bits = 2, .weight_scale = -3e37}, {256});
}

TEST(GpuLinear, SpecialRowsSmoke) { CheckSpecial({.out = 32, .in = 64, .bits = 3}, {8, 20, 768}); }

// All codes the same, the one with the largest weights, and rows whose digits all have the same sign: the
// largest sums there are.
TEST(GpuLinear, LargestSums) {
  for (const auto& [out, in] : {std::pair<int64_t, int64_t>{16, 65536}, {16, GLQ_E8P_MAX_DIM}}) {
    LinearSpec spec{.out = out, .in = in, .bits = 3, .sv = Signs::kNone};
    HostLinear linear(spec);
    for (size_t s = 0; s < 2; ++s) {
      const int64_t codes = s == 0 ? 65536 : 256;
      std::vector<int8_t> table(static_cast<size_t>(codes * 8));
      const int64_t shape[2] = {codes, 8};
      glq_view view;
      GLQ_ASSERT_OK(glq_view_init(&view, table.data(), GLQ_DTYPE_I8, nullptr, 2, shape));
      GLQ_ASSERT_OK(glq_e8p_codebook(s == 0 ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B, &view));
      size_t best = 0;
      int best_sum = -1000;
      for (size_t c = 0; c < static_cast<size_t>(codes); ++c) {
        int sum = 0;
        for (size_t k = 0; k < 8; ++k) sum += table[8 * c + k];
        if (sum > best_sum) best_sum = sum, best = c;
      }
      if (s == 1) {
        for (uint64_t& word : linear.stages[1]) word = 0x0101010101010101u * best;
        continue;
      }
      std::vector<uint16_t> all(static_cast<size_t>(out * in / 8), static_cast<uint16_t>(best));
      const int64_t code_shape[2] = {out, in / 8};
      glq_view from;
      GLQ_ASSERT_OK(glq_view_init(&from, all.data(), GLQ_DTYPE_U16, nullptr, 2, code_shape));
      GLQ_ASSERT_OK(glq_e8p_pack(CpuContext(), nullptr, GLQ_CODEBOOK_E8P, &from, &linear.desc().stages[0].indices));
    }
    const Pair pair(linear);
    Image x(GLQ_DTYPE_F32, 10, in), y(GLQ_DTYPE_F32, 10, out);
    std::memset(x.data(), 0, static_cast<size_t>(10 * in * 4));
    for (int64_t r = 0; r < 10; ++r) x.Set(r, r % 4, r % 2 ? -1.0f : 1.0f);
    CpuFused(pair, x, y);
    const DeviceImage device_x(x);
    for (const int64_t n : {1, 3, 8, 10})
      EXPECT_TRUE(GpuFusedEquals(pair, device_x, y, n)) << in << " columns, " << n << " tokens";
  }
}

LinearSpec RandomSpec(Rng& rng, uint64_t seed) {
  const auto size = [&rng](double limit) {
    return static_cast<int64_t>(std::exp(std::log(limit) * static_cast<double>(rng.Uniform(0, 10000)) / 10000));
  };
  LinearSpec s{.out = size(2000), .in = size(4000), .bits = static_cast<int>(rng.Uniform(2, 8)), .seed = seed};
  if (rng.Uniform(0, 29) == 0) s.in = rng.Uniform(32700, 70000), s.out = size(64);
  if (rng.Uniform(0, 29) == 0) s.out = rng.Uniform(32700, 70000), s.in = size(64);
  s.padded_out = (s.out + 15) / 16 * 16 + 16 * rng.Uniform(0, 2);
  s.padded_in = (s.in + 63) / 64 * 64 + 64 * rng.Uniform(0, 2);
  s.su = rng.Pick({Signs::kNone, Signs::kSigns, Signs::kReal});
  s.sv = rng.Pick({Signs::kNone, Signs::kSigns, Signs::kReal});
  s.bias = rng.Pick({glq_dtype{0}, glq_dtype{GLQ_DTYPE_F16}, glq_dtype{GLQ_DTYPE_BF16}, glq_dtype{GLQ_DTYPE_F32}});
  s.weight_scale = rng.Pick({0.0123, -0.2, 3.0});
  const auto blocks = [&rng](int64_t n) {
    // The binary expansion, some blocks halved, shuffled.
    std::vector<int64_t> list;
    for (int64_t b = int64_t{1} << 40; b > 0; b /= 2) {
      if (n & b) list.push_back(b);
    }
    for (int64_t i = rng.Uniform(0, 12); i > 0; --i) {
      const auto at = static_cast<size_t>(rng.Uniform(0, static_cast<int64_t>(list.size()) - 1));
      if (list[at] == 1) continue;
      list[at] /= 2;
      list.push_back(list[at]);
    }
    for (size_t i = list.size(); i > 1; --i)
      std::swap(list[i - 1], list[static_cast<size_t>(rng.Uniform(0, static_cast<int64_t>(i) - 1))]);
    return list;
  };
  if (rng.Uniform(0, 2) == 0) s.in_blocks = blocks(s.padded_in);
  if (rng.Uniform(0, 2) == 0) s.out_blocks = blocks(s.padded_out);
  return s;
}

TEST(GpuLinear, RandomCases) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("case " + std::to_string(seed));
    Rng rng(seed);
    const LinearSpec spec = RandomSpec(rng, seed);
    std::vector<int64_t> tokens = {rng.Uniform(1, 8), rng.Uniform(9, 40)};
    if (rng.Uniform(0, 5) == 0) tokens.push_back(rng.Uniform(300, 500));
    CheckFused(spec, tokens,
               {.x = kFloatTypes[rng.Uniform(0, 2)],
                .y = kFloatTypes[rng.Uniform(0, 2)],
                .x_stride = rng.Uniform(0, 1) ? spec.in + rng.Uniform(0, 9) : 0,
                .y_stride = rng.Uniform(0, 1) ? spec.out + rng.Uniform(0, 9) : 0,
                .x_offset = rng.Uniform(0, 1) * rng.Uniform(0, 8),
                .y_offset = rng.Uniform(0, 1) * rng.Uniform(0, 8),
                .seed = seed});
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(GpuLinear, ManyTokens) {
  CheckFused({.out = 64, .in = 64, .bits = 2}, {65536, 70001}, {.y = GLQ_DTYPE_F16});
  CheckFused({.out = 32, .in = 70, .bits = 3, .padded_in = 128, .in_blocks = {64, 64}}, {5000});
}

// More than 2^31 weights, and the largest dimensions.
TEST(GpuLinear, HugeWeight) {
  const LinearSpec spec{.out = 65536, .in = 65536, .bits = 2};
  {
    const HostLinear linear(spec);
    CheckFused(Pair(linear), spec, {1, 3}, {.y = GLQ_DTYPE_F16});
  }
  Settle();
}

TEST(GpuLinear, LongestDimensions) {
  CheckFused({.out = 131072, .in = 512, .bits = 2}, {1, 3, 9});
  CheckFused({.out = 512, .in = 131072, .bits = 2}, {1, 3, 9});
  CheckFused({.out = 131072, .in = 520, .bits = 3}, {1, 9});
  CheckFused({.out = 1048576, .in = 64, .bits = 2}, {1, 3, 9});
  CheckFused({.out = 64, .in = 1048576, .bits = 2}, {1, 3, 9});
  Settle();
}

TEST(GpuLinear, Streams) {
  // The legacy default stream and CUDA's two constants for default streams.
  const LinearSpec spec{.out = 100, .in = 200, .bits = 4};
  const HostLinear linear(spec);
  const Pair pair(linear);
  Image x(GLQ_DTYPE_F16, 12, 200), y(GLQ_DTYPE_F16, 12, 100);
  x.FillNormal(3);
  CpuFused(pair, x, y);
  const DeviceImage device_x(x);
  for (const cudaStream_t stream : {cudaStream_t{nullptr}, cudaStreamLegacy, cudaStreamPerThread}) {
    Image got(GLQ_DTYPE_F16, 12, 100);
    const DeviceImage device_y(got);
    Workspace workspace(FusedWorkspace(GpuContext(), pair.gpu.get(), 12));
    const glq_view xv = device_x.View(), yv = device_y.View();
    GLQ_ASSERT_OK(
        glq_fused_linear_e8p(GpuContext(), stream, pair.gpu.get(), &xv, &yv, workspace.Poisoned(stream), nullptr));
    device_y.Download(got, stream);
    EXPECT_TRUE(SameRows(y, got, 12));
  }
}

TEST(GpuLinear, NoTokensAndOneRowViews) {
  const LinearSpec spec{.out = 100, .in = 200, .bits = 4};
  const HostLinear linear(spec);
  const Pair pair(linear);
  Image x(GLQ_DTYPE_F16, 1, 200), y(GLQ_DTYPE_F16, 1, 100), got(GLQ_DTYPE_F16, 1, 100);
  x.FillNormal(3);
  CpuFused(pair, x, y);
  const DeviceImage device_x(x), device_y(got);
  glq_view xv = device_x.View(0), yv = device_y.View(0);
  GLQ_EXPECT_OK(glq_fused_linear_e8p(GpuContext(), GpuStream(), pair.gpu.get(), &xv, &yv, nullptr, nullptr));
  device_y.Download(got, GpuStream());
  EXPECT_TRUE(SameRows(y, got, 0));
  const int64_t in = 200, out = 100;
  GLQ_ASSERT_OK(glq_view_init(&xv, device_x.View().data, GLQ_DTYPE_F16, &kGpu, 1, &in));
  GLQ_ASSERT_OK(glq_view_init(&yv, device_y.View().data, GLQ_DTYPE_F16, &kGpu, 1, &out));
  Workspace workspace(FusedWorkspace(GpuContext(), pair.gpu.get(), 1));
  GLQ_ASSERT_OK(glq_fused_linear_e8p(GpuContext(), GpuStream(), pair.gpu.get(), &xv, &yv,
                                     workspace.Poisoned(GpuStream()), nullptr));
  device_y.Download(got, GpuStream());
  EXPECT_TRUE(SameRows(y, got, 1));
}

// Without the library large batches take the kernels of the smaller ones.
TEST(GpuLinear, WithoutCublasLt) {
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = kGpu;
  desc.cublaslt_library = "/nonexistent/libcublasLt.so";
  glq_context* made = nullptr;
  GLQ_ASSERT_OK(glq_context_create(&desc, &made));
  const Context context(made);
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  GLQ_ASSERT_OK(glq_context_get_info(made, &info));
  EXPECT_EQ(info.cublaslt_version, 0);
  EXPECT_NE(std::string(info.cublaslt_message).find("/nonexistent"), std::string::npos) << info.cublaslt_message;
  const LinearSpec spec{.out = 100, .in = 200, .bits = 3};
  const HostLinear linear(spec);
  const Pair pair(linear);
  const Tensor weight = MakeWeight(made, linear.desc(), GpuStream());
  constexpr int64_t kTokens = 2500;
  Image x(GLQ_DTYPE_F16, kTokens, 200), y(GLQ_DTYPE_F32, kTokens, 100), got(GLQ_DTYPE_F32, kTokens, 100);
  x.FillNormal(3);
  CpuFused(pair, x, y);
  const DeviceImage device_x(x);
  DeviceImage device_y(got);
  for (const int64_t n : {384, 2049, 2500}) {
    Workspace workspace(FusedWorkspace(made, weight.get(), n));
    device_y.Poison(GpuStream());
    const glq_view xv = device_x.View(n), yv = device_y.View(n);
    GLQ_ASSERT_OK(
        glq_fused_linear_e8p(made, GpuStream(), weight.get(), &xv, &yv, workspace.Poisoned(GpuStream()), nullptr));
    device_y.Download(got, GpuStream());
    EXPECT_TRUE(workspace.Intact(GpuStream()));
    EXPECT_TRUE(SameRows(y, got, n)) << n << " tokens";
  }
}

}  // namespace
}  // namespace glq::gpu
