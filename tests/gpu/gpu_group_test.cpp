// A group call has the bytes of its single calls.
#include <gtest/gtest.h>

#include "gpu/support.h"

namespace glq::gpu {
namespace {

struct Member {
  explicit Member(const LinearSpec& s) : spec(s), linear(s), pair(linear) {}
  LinearSpec spec;
  HostLinear linear;
  Pair pair;
};
using Members = std::vector<std::unique_ptr<Member>>;

Members Make(const std::vector<LinearSpec>& specs) {
  Members members;
  for (const LinearSpec& s : specs) members.push_back(s.out == 0 ? nullptr : std::make_unique<Member>(s));
  return members;
}

// Outputs in matrices of their own, or as column slices of one.
void Check(const Members& members, const std::vector<int64_t>& tokens, bool slices, glq_dtype x_type,
           glq_dtype y_type) {
  const int64_t rows = tokens.back();
  const auto count = static_cast<int32_t>(members.size());
  int64_t in = 0, total = 0;
  std::vector<const glq_tensor*> weights;
  std::vector<int64_t> begin;
  for (const auto& m : members) {
    weights.push_back(m ? m->pair.gpu.get() : nullptr);
    begin.push_back(total);
    if (!m) continue;
    in = m->spec.in;
    total += m->spec.out + 3;  // columns between the slices, which nobody may touch
  }
  SCOPED_TRACE(std::to_string(count) + " members, " + (slices ? "slices, x " : "own outputs, x ") + Name(x_type) +
               ", y " + Name(y_type));
  Image x(x_type, rows, in, in + 5, 1);
  x.FillNormal(11);
  const DeviceImage device_x(x);
  std::vector<Image> expected;
  for (const auto& m : members) {
    expected.emplace_back(y_type, rows, m ? m->spec.out : 1);
    if (m) CpuFused(m->pair, x, expected.back());
  }
  for (const int64_t n : tokens) {
    SCOPED_TRACE(std::to_string(n) + " tokens");
    size_t bytes = 0;
    GLQ_ASSERT_OK(glq_fused_linear_e8p_group_workspace(GpuContext(), weights.data(), count, n, nullptr, &bytes));
    Workspace workspace(bytes);
    const glq_view xv = device_x.View(n);
    std::vector<glq_view> y(members.size());
    if (slices) {
      Image want(y_type, rows, total), got(y_type, rows, total);
      const DeviceImage device_y(got);
      for (size_t i = 0; i < members.size(); ++i) {
        if (!members[i]) continue;
        y[i] = device_y.View(n);
        y[i].shape[1] = members[i]->spec.out;
        y[i].data = static_cast<std::byte*>(y[i].data) + begin[i] * SizeOf(y_type);
        for (int64_t r = 0; r < n; ++r) {
          std::memcpy(want.data() + (r * total + begin[i]) * SizeOf(y_type), expected[i].Row(r),
                      static_cast<size_t>(members[i]->spec.out * SizeOf(y_type)));
        }
      }
      GLQ_ASSERT_OK(glq_fused_linear_e8p_group(GpuContext(), GpuStream(), weights.data(), count, &xv, y.data(),
                                               workspace.Poisoned(GpuStream()), nullptr));
      device_y.Download(got, GpuStream());
      EXPECT_TRUE(SameRows(want, got, rows));
    } else {
      std::vector<Image> got;
      std::vector<DeviceImage> device_y;
      got.reserve(members.size());
      device_y.reserve(members.size());
      for (size_t i = 0; i < members.size(); ++i) {
        got.emplace_back(y_type, rows, members[i] ? members[i]->spec.out : 1, 0, 1);
        device_y.emplace_back(got.back());
        y[i] = device_y.back().View(n);
      }
      GLQ_ASSERT_OK(glq_fused_linear_e8p_group(GpuContext(), GpuStream(), weights.data(), count, &xv, y.data(),
                                               workspace.Poisoned(GpuStream()), nullptr));
      for (size_t i = 0; i < members.size(); ++i) {
        device_y[i].Download(got[i], GpuStream());
        EXPECT_TRUE(SameRows(expected[i], got[i], members[i] ? n : 0)) << "member " << i;
      }
    }
    EXPECT_TRUE(workspace.Intact(GpuStream()));
  }
}

void CheckBoth(const std::vector<LinearSpec>& specs, const std::vector<int64_t>& tokens, glq_dtype x = GLQ_DTYPE_F16,
               glq_dtype y = GLQ_DTYPE_F16) {
  const Members members = Make(specs);
  Check(members, tokens, false, x, y);
  Check(members, tokens, true, x, y);
}

LinearSpec Spec(int64_t out, int64_t in, int bits, uint64_t seed, uint64_t sv_seed) {
  return {.out = out, .in = in, .bits = bits, .seed = seed, .sv_seed = sv_seed};
}

TEST(GpuGroup, QueryKeyValueSmoke) {
  CheckBoth({Spec(96, 128, 2, 1, 5), Spec(48, 128, 3, 2, 5), Spec(20, 128, 2, 3, 6)}, {2, 9});
}

// Members with different numbers of stages, and more row tiles in a block than its sums have room for.
TEST(GpuGroup, MixedStagesSmoke) {
  CheckBoth({Spec(1000, 128, 2, 1, 5), Spec(1000, 128, 5, 2, 5), Spec(200, 128, 8, 3, 5), Spec(16, 128, 3, 4, 5)},
            {1, 4, 8, 11});
}

// So many rows that single blocks transform them, or blocks with a warp for every 1024 elements: of members whose rows
// are of different lengths, and of the same.
TEST(GpuGroup, ManyRowsSmoke) {
  CheckBoth({Spec(8192 + 48, 64, 2, 1, 5), Spec(100, 64, 2, 2, 5)}, {100, 200});
  CheckBoth({Spec(2048, 64, 2, 1, 5), Spec(2048, 64, 2, 2, 5)}, {384});
}

TEST(GpuGroup, ManyRows) {
  CheckBoth({Spec(4096, 64, 2, 1, 5), Spec(1024, 64, 2, 2, 5), Spec(1024, 64, 2, 3, 5)}, {256, 300});
  CheckBoth({Spec(16384, 64, 2, 1, 5), Spec(12288, 64, 2, 2, 5)}, {64, 110});
  CheckBoth({Spec(14336, 64, 4, 1, 5), Spec(14336, 64, 4, 2, 5)}, {96, 128});
}

TEST(GpuGroup, EveryCount) {
  for (int count = 1; count <= GLQ_E8P_MAX_GROUP; ++count) {
    std::vector<LinearSpec> same, different, mixed;
    for (int i = 0; i < count; ++i) {
      const int64_t out = 40 + 56 * i;
      const auto seed = static_cast<uint64_t>(10 + i);
      same.push_back(Spec(out, 200, 2, seed, 77));
      different.push_back(Spec(out, 200, 2 + i % 7, seed, seed));
      mixed.push_back(Spec(out, 200, 2 + i * 3 % 7, seed, 77 + static_cast<uint64_t>(i % 2)));
    }
    const std::vector<int64_t> tokens = {1, 3, 4, 5, 8, 9, 16, 17, 33, 100};
    CheckBoth(same, tokens);
    CheckBoth(different, tokens, GLQ_DTYPE_BF16, GLQ_DTYPE_F32);
    CheckBoth(mixed, tokens, GLQ_DTYPE_F32, GLQ_DTYPE_BF16);
  }
}

TEST(GpuGroup, LargeBatches) {
  const std::vector<int64_t> tokens = {383, 384, 400, 2047, 2049, 2100};
  CheckBoth({Spec(96, 192, 2, 1, 5), Spec(48, 192, 2, 2, 5), Spec(48, 192, 2, 3, 5)}, tokens);
  CheckBoth({Spec(96, 192, 2, 1, 5), Spec(48, 192, 5, 2, 5), Spec(200, 192, 3, 3, 6)}, tokens);
}

TEST(GpuGroup, RealSizes) {
  CheckBoth({Spec(4096, 4096, 4, 1, 5), Spec(1024, 4096, 4, 2, 5), Spec(1024, 4096, 4, 3, 5)}, {1, 2, 4, 5, 8, 16, 33});
  CheckBoth({Spec(11008, 4096, 2, 1, 5), Spec(11008, 4096, 3, 2, 5)}, {1, 4, 8, 12});
}

TEST(GpuGroup, EightMembersOfFourStages) {
  std::vector<LinearSpec> specs;
  for (int i = 0; i < GLQ_E8P_MAX_GROUP; ++i)
    specs.push_back(Spec(1000 + 16 * i, 512, 7 + i % 2, static_cast<uint64_t>(i), 5));
  CheckBoth(specs, {1, 8, 9, 384});
}

TEST(GpuGroup, MembersLeftOut) {
  const LinearSpec none{};
  CheckBoth({none, Spec(96, 192, 2, 1, 5), none, Spec(48, 192, 3, 2, 5), none}, {1, 8, 9, 384});
  CheckBoth({none, none, none, none, none, none, none, Spec(48, 192, 3, 2, 5)}, {1, 8, 9});
}

// Different paddings, block lists, signs, biases and scales over one input.
TEST(GpuGroup, AllKindsTogether) {
  CheckBoth({{.out = 100, .in = 200, .bits = 3, .seed = 1, .sv_seed = 5},
             {.out = 100, .in = 200, .bits = 2, .padded_out = 128, .seed = 2, .sv_seed = 5},
             {.out = 60, .in = 200, .bits = 2, .padded_in = 320, .seed = 3},
             {.out = 128, .in = 200, .bits = 4, .out_blocks = {16, 64, 32, 16}, .seed = 4, .sv_seed = 5},
             {.out = 100, .in = 200, .bits = 8, .in_blocks = {64, 128, 64}, .seed = 5, .sv_seed = 5},
             {.out = 17, .in = 200, .bits = 2, .su = Signs::kReal, .bias = GLQ_DTYPE_F32, .seed = 6, .sv_seed = 5},
             {.out = 33000, .in = 200, .bits = 2, .bias = GLQ_DTYPE_F16, .weight_scale = -1, .seed = 7, .sv_seed = 5},
             {.out = 1, .in = 200, .bits = 5, .su = Signs::kNone, .sv = Signs::kNone, .weight_scale = 0, .seed = 8}},
            {1, 4, 8, 9, 40, 384});
  CheckBoth({{.out = 48, .in = 33000, .bits = 3, .seed = 1, .sv_seed = 5},
             {.out = 100, .in = 33000, .bits = 2, .seed = 2, .sv_seed = 5}},
            {1, 8, 9});
}

TEST(GpuGroup, SharedTransformIsSeen) {
  const Members m = Make({Spec(96, 192, 2, 1, 5), Spec(48, 192, 5, 2, 5), Spec(48, 192, 5, 3, 6)});
  uint64_t id[3];
  for (size_t i = 0; i < 3; ++i) {
    glq_e8p_info info = GLQ_E8P_INFO_INIT;
    GLQ_ASSERT_OK(glq_e8p_get_info(m[i]->pair.gpu.get(), &info));
    id[i] = info.input_transform_id;
  }
  EXPECT_EQ(id[0], id[1]);
  EXPECT_NE(id[0], id[2]);
}

}  // namespace
}  // namespace glq::gpu
