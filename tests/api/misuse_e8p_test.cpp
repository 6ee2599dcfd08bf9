// Every way to misuse the functions of e8p.h and dense.h that can be told apart.
#include <cmath>
#include <functional>
#include <limits>

#include "api/fixture.h"

namespace glq::test {
namespace {

int not_a_handle[64];
constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

class MisuseE8p : public testing::Test {
 protected:
  Golden golden_;
  ContextPtr context_ = MakeContext(), other_ = MakeContext();
  GoldenLayer layer_{golden_, "bd_100x200/b3"};  // padded [112, 256]
  TensorPtr weight_ = MakeWeight(context_.get(), layer_.Desc());
  TensorPtr foreign_ = MakeWeight(other_.get(), layer_.Desc());
  Array dense_array_{GLQ_DTYPE_BF16, {4, 8}};
  TensorPtr dense_ = MakeDense(context_.get(), dense_array_);
  glq_context* bogus_context_ = reinterpret_cast<glq_context*>(&not_a_handle[0]);
  glq_tensor* bogus_ = reinterpret_cast<glq_tensor*>(&not_a_handle[0]);
};

TEST_F(MisuseE8p, DescInit) {
  glq_e8p_desc desc;
  EXPECT_FAILS(glq_e8p_desc_init, (nullptr, sizeof(desc)), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  EXPECT_FAILS(glq_e8p_desc_init, (&desc, 16), GLQ_E_STRUCT_SIZE, "struct_size = 16", "expected 112");
  EXPECT_FAILS(glq_e8p_desc_init, (&desc, 5000), GLQ_E_STRUCT_SIZE, "struct_size = 5000");
  EXPECT_EQ(glq_e8p_desc_init(&desc, sizeof(desc)), GLQ_OK);
}

TEST_F(MisuseE8p, Create) {
  glq_tensor* out = bogus_;
  const glq_e8p_desc good = layer_.Desc();
  EXPECT_FAILS(glq_tensor_create_e8p, (context_.get(), nullptr, &good, nullptr), GLQ_E_INVALID_ARGUMENT,
               "tensor = NULL");
  EXPECT_FAILS(glq_tensor_create_e8p, (nullptr, nullptr, &good, &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_EQ(out, nullptr);
  EXPECT_FAILS(glq_tensor_create_e8p, (bogus_context_, nullptr, &good, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_tensor_create_e8p, (context_.get(), &not_a_handle, &good, &out), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x");
  EXPECT_FAILS(glq_tensor_create_e8p, (context_.get(), nullptr, nullptr, &out), GLQ_E_INVALID_ARGUMENT, "desc = NULL");

  const auto refused = [&](const char* what, const std::function<void(glq_e8p_desc&, GoldenLayer&)>& change,
                           glq_status status, std::vector<std::string> parts) {
    SCOPED_TRACE(what);
    GoldenLayer layer(golden_, "bd_100x200/b3");
    layer.Desc();
    change(layer.desc, layer);
    out = bogus_;
    ExpectFailure("glq_tensor_create_e8p", glq_tensor_create_e8p(context_.get(), nullptr, &layer.desc, &out), status,
                  parts, 0);
    EXPECT_EQ(out, nullptr);
  };
  using D = glq_e8p_desc;
  using L = GoldenLayer;
  refused("struct_size", [](D& d, L&) { d.struct_size = 100; }, GLQ_E_STRUCT_SIZE,
          {"desc.struct_size = 100", "expected 112"});
  refused("flags", [](D& d, L&) { d.flags = 1; }, GLQ_E_INVALID_ARGUMENT, {"desc.flags = 0x1", "expected 0"});
  refused("no columns", [](D& d, L&) { d.in_features = 0; }, GLQ_E_SHAPE, {"desc.in_features = 0", "1 to 1048576"});
  refused("too many rows", [](D& d, L&) { d.out_features = 1 << 21; }, GLQ_E_SHAPE,
          {"desc.out_features = 2097152", "1 to 1048576"});
  refused("more columns than padded", [](D& d, L&) { d.in_features = 257; }, GLQ_E_SHAPE,
          {"padded_in", "= 256", "in_features = 257"});
  refused("more rows than padded", [](D& d, L&) { d.out_features = 113; }, GLQ_E_SHAPE,
          {"padded_out", "= 112", "out_features = 113"});
  refused("padded_in no multiple", [](D& d, L&) { d.padded_in = 250; }, GLQ_E_SHAPE,
          {"desc.padded_in = 250", "multiple of 64"});
  refused("padded_out no multiple", [](D& d, L&) { d.padded_out = -16; }, GLQ_E_SHAPE,
          {"desc.padded_out = -16", "multiple of 16"});
  refused("padded_in of another tensor", [](D& d, L&) { d.padded_in = 320; }, GLQ_E_SHAPE,
          {"desc.stages[0].indices.shape[1] = 4", "padded_in / 64 = 5"});
  refused("padded_out of another tensor", [](D& d, L&) { d.padded_out = 128; }, GLQ_E_SHAPE,
          {"desc.stages[0].indices.shape[0] = 7", "padded_out / 16 = 8"});
  refused("bits", [](D& d, L&) { d.bits = 4; }, GLQ_E_INVALID_ARGUMENT, {"desc.bits = 4", "expected 3"});
  refused("no stages", [](D& d, L&) { d.num_stages = 0; }, GLQ_E_INVALID_ARGUMENT, {"desc.num_stages = 0", "1 to 4"});
  refused("five stages", [](D& d, L&) { d.num_stages = 5; }, GLQ_E_INVALID_ARGUMENT, {"desc.num_stages = 5", "1 to 4"});
  refused("null stages", [](D& d, L&) { d.stages = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"desc.stages = NULL"});
  refused("codebook", [](D&, L& l) { l.stages[1].codebook = 3; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[1].codebook = 3", "expected 1"});
  refused("E81B first", [](D&, L& l) { l.stages[0].codebook = GLQ_CODEBOOK_E81B; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[0].codebook = 2", "expected 1"});
  refused("E81B in the middle",
          [](D& d, L& l) { l.stages.push_back(l.stages[0]), d.stages = l.stages.data(), d.num_stages = 3; },
          GLQ_E_INVALID_ARGUMENT, {"desc.stages[1].codebook = 2", "stage 2 of 3"});
  refused("reserved", [](D&, L& l) { l.stages[1].reserved = 4; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[1].reserved = 4", "expected 0"});
  refused("NaN scale", [](D&, L& l) { l.stages[1].cum_inv_scale = kNan; }, GLQ_E_NOT_FINITE,
          {"desc.stages[1].cum_inv_scale = ", "nan"});
  refused("infinite scale", [](D&, L& l) { l.stages[1].cum_inv_scale = -kInf; }, GLQ_E_NOT_FINITE,
          {"desc.stages[1].cum_inv_scale = -inf"});
  refused("zero scale", [](D&, L& l) { l.stages[1].cum_inv_scale = 0; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[1].cum_inv_scale = 0"});
  refused("first scale", [](D&, L& l) { l.stages[0].cum_inv_scale = 2; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[0].cum_inv_scale = 2", "expected 1"});
  refused("NaN weight_scale", [](D& d, L&) { d.weight_scale = kNan; }, GLQ_E_NOT_FINITE,
          {"desc.weight_scale = ", "nan"});
  refused("weight_scale beyond FP32",
          [](D& d, L&) {
            d.weight_scale = 1e39;
            d.weight_scale *= 10;
          },
          GLQ_E_NOT_FINITE, {"desc.weight_scale = 1e+40", "FP32"});
  refused("sigma beyond FP32", [](D&, L& l) { l.stages[1].cum_inv_scale = 1e300; }, GLQ_E_NOT_FINITE,
          {"desc.stages[1].cum_inv_scale = 1e+300", "FP32"});
  refused("indices of another type", [](D&, L& l) { l.stages[0].indices.dtype = GLQ_DTYPE_F64; }, GLQ_E_DTYPE,
          {"desc.stages[0].indices.dtype = F64", "expected I64"});
  refused("indices of another rank", [](D&, L& l) { l.stages[0].indices.ndim = 3; }, GLQ_E_SHAPE,
          {"desc.stages[0].indices.ndim = 3", "expected 4"});
  refused("indices not 8 by 4", [](D&, L& l) { l.stages[0].indices.shape[3] = 2; }, GLQ_E_SHAPE,
          {"desc.stages[0].indices.shape[3] = 2", "= 4"});
  refused("no indices", [](D&, L& l) { l.stages[0].indices.shape[0] = 0; }, GLQ_E_SHAPE, {"= 0", "multiple of 16"});
  refused("too many indices",
          [](D&, L& l) { l.stages[0].indices.shape[0] = int64_t{1} << 58, l.stages[0].indices.shape[1] = 0; },
          GLQ_E_SHAPE, {"desc.stages[0].indices.shape[0] = 288230376151711744"});
  refused("second stage smaller", [](D&, L& l) { l.stages[1].indices.shape[0] = 96; }, GLQ_E_SHAPE,
          {"desc.stages[1].indices.shape[0] = 96", "padded_out = 112"});
  refused("second stage narrower", [](D&, L& l) { l.stages[1].indices.shape[1] = 3; }, GLQ_E_SHAPE,
          {"desc.stages[1].indices.shape[1] = 3", "padded_in / 64 = 4"});
  refused("E81B bytes of the wrong width", [](D&, L& l) { l.stages[1].indices.dtype = GLQ_DTYPE_U8; }, GLQ_E_SHAPE,
          {"desc.stages[1].indices.shape[1] = 4", "padded_in / 8 = 32"});
  refused("indices with gaps", [](D&, L& l) { l.stages[0].indices.strides[0] += 1; }, GLQ_E_LAYOUT,
          {"desc.stages[0].indices.strides[0] = 129", "expected 128"});
  refused("null indices", [](D&, L& l) { l.stages[0].indices.data = nullptr; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[0].indices.data = NULL"});
  refused("indices elsewhere",
          [](D&, L& l) {
            l.stages[1].indices.device = {GLQ_DEVICE_CUDA, 0};
          },
          GLQ_E_DEVICE_MISMATCH, {"desc.stages[1].indices.device = cuda:0", "expected cpu"});
  refused("indices reserved", [](D&, L& l) { l.stages[1].indices.reserved = 1; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.stages[1].indices.reserved = 1"});
  refused("count without blocks", [](D& d, L&) { d.num_in_blocks = 2; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.num_in_blocks = 2", "expected 0"});
  static const int64_t three[] = {128, 64, 3}, less[] = {128, 64}, more[] = {64, 32, 32}, zero[] = {0},
                       minus[] = {-16, 128}, big[] = {512};
  refused("no power of two", [](D& d, L&) { d.in_blocks = three, d.num_in_blocks = 3; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.in_blocks[2] = 3", "power of two"});
  refused("blocks fall short", [](D& d, L&) { d.in_blocks = less, d.num_in_blocks = 2; }, GLQ_E_SHAPE,
          {"desc.in_blocks add up to 192", "padded_in = 256"});
  refused("blocks overshoot", [](D& d, L&) { d.out_blocks = more, d.num_out_blocks = 3; }, GLQ_E_SHAPE,
          {"desc.out_blocks add up to 128", "padded_out = 112"});
  refused("block of 0", [](D& d, L&) { d.in_blocks = zero, d.num_in_blocks = 1; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.in_blocks[0] = 0", "power of two"});
  refused("negative block", [](D& d, L&) { d.out_blocks = minus, d.num_out_blocks = 2; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.out_blocks[0] = -16", "power of two"});
  refused("block above all", [](D& d, L&) { d.in_blocks = big, d.num_in_blocks = 1; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.in_blocks[0] = 512", "padded_in = 256"});
  refused("empty list", [](D& d, L&) { d.in_blocks = big, d.num_in_blocks = 0; }, GLQ_E_INVALID_ARGUMENT,
          {"desc.num_in_blocks = 0", "padded_in = 256"});
  refused("SV type", [](D&, L& l) { l.sv_view.dtype = GLQ_DTYPE_BF16; }, GLQ_E_DTYPE,
          {"desc.sv.dtype = BF16", "expected F16"});
  refused("SV length", [](D&, L& l) { l.sv_view.shape[0] = 200; }, GLQ_E_SHAPE,
          {"desc.sv.shape[0] = 200", "padded_in = 256"});
  refused("SU length", [](D&, L& l) { l.su_view.shape[0] = 100; }, GLQ_E_SHAPE,
          {"desc.su.shape[0] = 100", "padded_out = 112"});
  refused("SU stride", [](D&, L& l) { l.su_view.strides[0] = 2; }, GLQ_E_LAYOUT,
          {"desc.su.strides[0] = 2", "expected 1"});
  refused("SU elsewhere",
          [](D&, L& l) {
            l.su_view.device = {GLQ_DEVICE_CUDA, 1};
          },
          GLQ_E_DEVICE_MISMATCH, {"desc.su.device = cuda:1"});
  refused("SV rank", [](D&, L& l) { l.sv_view.ndim = 2; }, GLQ_E_SHAPE, {"desc.sv.ndim = 2", "expected 1"});
  Array bias(GLQ_DTYPE_F32, {100});
  glq_view bv = bias.view();
  bv.shape[0] = 99;
  refused("bias length", [&](D& d, L&) { d.bias = &bv; }, GLQ_E_SHAPE,
          {"desc.bias.shape[0] = 99", "out_features = 100"});
  bv = bias.view(), bv.dtype = GLQ_DTYPE_I32;
  refused("bias type", [&](D& d, L&) { d.bias = &bv; }, GLQ_E_DTYPE, {"desc.bias.dtype = I32", "F16, F32, BF16"});
}

TEST_F(MisuseE8p, Info) {
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  EXPECT_FAILS(glq_e8p_get_info, (nullptr, &info), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_e8p_get_info, (bogus_, &info), GLQ_E_BAD_HANDLE, "glq_tensor");
  EXPECT_FAILS(glq_e8p_get_info, (weight_.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  EXPECT_FAILS(glq_e8p_get_info, (dense_.get(), &info), GLQ_E_UNSUPPORTED, "tensor.encoding = 1", "expected 2 (E8P)");
  info.struct_size = 143;
  EXPECT_FAILS(glq_e8p_get_info, (weight_.get(), &info), GLQ_E_STRUCT_SIZE, "info.struct_size = 143", "expected 144");
}

TEST_F(MisuseE8p, Export) {
  glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
  Array indices(GLQ_DTYPE_I64, {7, 4, 8, 4}), second(GLQ_DTYPE_I64, {112, 4}), sv(GLQ_DTYPE_F16, {256}),
      bias(GLQ_DTYPE_F32, {100});
  glq_view iv = indices.view(), sv2 = second.view(), svv = sv.view(), bv = bias.view();
  const auto call = [&] { return glq_e8p_export(context_.get(), nullptr, weight_.get(), &parts); };
  EXPECT_FAILS(glq_e8p_export, (nullptr, nullptr, weight_.get(), &parts), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_e8p_export, (bogus_context_, nullptr, weight_.get(), &parts), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), nullptr, nullptr, &parts), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), nullptr, bogus_, &parts), GLQ_E_BAD_HANDLE, "glq_tensor");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), nullptr, foreign_.get(), &parts), GLQ_E_DEVICE_MISMATCH,
               "tensor belongs to context 0x", "expected context = 0x");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), nullptr, dense_.get(), &parts), GLQ_E_UNSUPPORTED,
               "tensor.encoding = 1");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), &not_a_handle, weight_.get(), &parts), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x");
  EXPECT_FAILS(glq_e8p_export, (context_.get(), nullptr, weight_.get(), nullptr), GLQ_E_INVALID_ARGUMENT,
               "parts = NULL");
  const auto refused = [&](const char* what, const std::function<void()>& change, glq_status status,
                           std::vector<std::string> strings) {
    SCOPED_TRACE(what);
    parts = GLQ_E8P_PARTS_INIT;
    iv = indices.view(), sv2 = second.view(), svv = sv.view();
    parts.indices[0] = &iv, parts.indices[1] = &sv2, parts.sv = &svv;
    change();
    ExpectFailure("glq_e8p_export", call(), status, strings, 0);
    EXPECT_TRUE(indices.Untouched() && second.Untouched() && sv.Untouched());
  };
  refused("struct_size", [&] { parts.struct_size = 60; }, GLQ_E_STRUCT_SIZE, {"parts.struct_size = 60", "expected 64"});
  refused("flags", [&] { parts.flags = 2; }, GLQ_E_INVALID_ARGUMENT, {"parts.flags = 0x2", "expected 0"});
  refused("a stage it has not", [&] { parts.indices[2] = &iv; }, GLQ_E_NOT_FOUND,
          {"parts.indices[2] = 0x", "num_stages = 2"});
  refused("a bias it has not", [&] { parts.bias = &bv; }, GLQ_E_NOT_FOUND, {"parts.bias = 0x", "no bias"});
  refused("type", [&] { iv.dtype = GLQ_DTYPE_U8; }, GLQ_E_DTYPE, {"parts.indices[0].dtype = U8", "expected I64"});
  refused("shape", [&] { iv.shape[0] = 6; }, GLQ_E_SHAPE, {"parts.indices[0].shape[0] = 6", "padded_out / 16 = 7"});
  refused("layout",
          [&] {
            sv2.strides[0] = 8;
            sv2.shape[1] = 4;
          },
          GLQ_E_LAYOUT, {"parts.indices[1].strides[0] = 8", "expected 4"});
  refused("read only", [&] { svv.flags = GLQ_VIEW_READ_ONLY; }, GLQ_E_INVALID_ARGUMENT,
          {"parts.sv.flags = 1", "READ_ONLY"});
  refused("alignment", [&] { svv.data = sv.as<char>() + 1; }, GLQ_E_ALIGNMENT, {"parts.sv.data = 0x", "multiple of 2"});
  refused("device",
          [&] {
            svv.device = {GLQ_DEVICE_CUDA, 0};
          },
          GLQ_E_DEVICE_MISMATCH, {"parts.sv.device = cuda:0", "expected cpu"});
  refused("overlap", [&] { sv2.data = iv.data; }, GLQ_E_ALIASING,
          {"parts.indices[1] = [0x", "overlaps parts.indices[0] = [0x"});
  refused("null data", [&] { sv2.data = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"parts.indices[1].data = NULL"});
}

// An operation with one weight, one input, one output and a workspace, as misuse sees it.
struct Operation {
  const char* name;
  const char *in_name, *out_name, *weight_name;
  glq_dtype in_type, out_type;
  int64_t in_cols, out_cols, rows;
  bool free_in_type, free_out_type;  // F16, BF16 and F32 are all taken
  const char *in_what, *out_what;    // what the columns are called in messages
  std::function<glq_status(glq_context*, glq_stream, const glq_tensor*, const glq_view*, const glq_view*,
                           const glq_workspace*, const glq_launch_opts*)>
      call;
  std::function<glq_status(const glq_context*, const glq_tensor*, int64_t, const glq_launch_opts*, size_t*)> query;
  const char* query_name;
  bool dense = false;
};

std::vector<Operation> Operations() {
  constexpr glq_dtype kF16 = GLQ_DTYPE_F16, kF32 = GLQ_DTYPE_F32, kBf16 = GLQ_DTYPE_BF16;
  return {
      {"glq_fused_linear_e8p", "x", "y", "weight", kF16, kF16, 200, 100, 3, true, true, "in_features = 200",
       "out_features = 100", [](auto... a) { return glq_fused_linear_e8p(a...); },
       [](auto... a) { return glq_fused_linear_e8p_workspace(a...); }, "glq_fused_linear_e8p_workspace"},
      {"glq_fused_linear_e8p_group", "x", "y[0]", "weights[0]", kF16, kF16, 200, 100, 3, true, true,
       "in_features = 200", "out_features = 100",
       [](glq_context* c, glq_stream s, const glq_tensor* w, const glq_view* x, const glq_view* y,
          const glq_workspace* ws,
          const glq_launch_opts* o) { return glq_fused_linear_e8p_group(c, s, &w, 1, x, y, ws, o); },
       [](const glq_context* c, const glq_tensor* w, int64_t n, const glq_launch_opts* o, size_t* b) {
         return glq_fused_linear_e8p_group_workspace(c, &w, 1, n, o, b);
       },
       "glq_fused_linear_e8p_group_workspace"},
      {"glq_rht_input", "x", "v", "weight", kF16, kF32, 200, 256, 3, true, false, "in_features = 200",
       "padded_in = 256", [](auto... a) { return glq_rht_input(a...); },
       [](auto... a) { return glq_rht_input_workspace(a...); }, "glq_rht_input_workspace"},
      {"glq_matmul_e8p", "v", "z", "weight", kF32, kF32, 256, 112, 3, false, false, "padded_in = 256",
       "padded_out = 112", [](auto... a) { return glq_matmul_e8p(a...); },
       [](auto... a) { return glq_matmul_e8p_workspace(a...); }, "glq_matmul_e8p_workspace"},
      {"glq_rht_output", "z", "y", "weight", kF32, kF16, 112, 100, 3, false, true, "padded_out = 112",
       "out_features = 100", [](auto... a) { return glq_rht_output(a...); },
       [](auto... a) { return glq_rht_output_workspace(a...); }, "glq_rht_output_workspace"},
      {"glq_gemv_bf16", "x", "y", "weight", kBf16, kF16, 8, 4, 3, false, true, "weight.shape[1] = 8",
       "weight.shape[0] = 4", [](auto... a) { return glq_gemv_bf16(a...); },
       [](auto... a) { return glq_gemv_bf16_workspace(a...); }, "glq_gemv_bf16_workspace", true},
  };
}

TEST_F(MisuseE8p, Operations) {
  const TensorPtr foreign_dense = MakeDense(other_.get(), dense_array_);
  TensorPtr gone = MakeWeight(context_.get(), layer_.Desc());
  glq_tensor* dead = gone.get();  // no tensor is made from here on that could take its place
  gone.reset();
  for (const Operation& op : Operations()) {
    SCOPED_TRACE(op.name);
    const std::string in = op.in_name, out = op.out_name;
    const glq_tensor* weight = op.dense ? dense_.get() : weight_.get();
    size_t needed = 77;
    ASSERT_EQ(op.query(context_.get(), weight, 3, nullptr, &needed), GLQ_OK) << LastMessage();
    // One array each, with room for views that are shifted.
    Array x(GLQ_DTYPE_F32, {8, 600}), y(GLQ_DTYPE_F32, {8, 600}),
        scratch(GLQ_DTYPE_U8, {static_cast<int64_t>(needed) + 512});
    const auto view = [](Array& a, glq_dtype type, int64_t rows, int64_t cols) {
      glq_view v;
      const int64_t shape[] = {rows, cols};
      EXPECT_EQ(glq_view_init(&v, a.data(), type, nullptr, 2, shape), GLQ_OK);
      return v;
    };
    struct Args {
      glq_context* context;
      glq_stream stream;
      const glq_tensor* weight;
      glq_view x, y;
      const glq_view *px, *py;
      glq_workspace workspace;
      const glq_workspace* pworkspace;
      glq_launch_opts opts;
      const glq_launch_opts* popts;
    };
    const auto refused = [&](const char* what, const std::function<void(Args&)>& change, glq_status status,
                             std::vector<std::string> parts) {
      SCOPED_TRACE(what);
      Args a{context_.get(),
             nullptr,
             weight,
             view(x, op.in_type, 3, op.in_cols),
             view(y, op.out_type, 3, op.out_cols),
             nullptr,
             nullptr,
             {scratch.data(), needed},
             nullptr,
             GLQ_LAUNCH_OPTS_INIT,
             nullptr};
      a.px = &a.x, a.py = &a.y, a.pworkspace = &a.workspace, a.popts = &a.opts;
      change(a);
      ExpectFailure(op.name, op.call(a.context, a.stream, a.weight, a.px, a.py, a.pworkspace, a.popts), status, parts,
                    0);
      EXPECT_TRUE(x.Untouched() && y.Untouched() && scratch.Untouched());
    };
    const std::string weight_name = op.weight_name;
    refused("null context", [](Args& a) { a.context = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"context = NULL"});
    refused("bad context", [&](Args& a) { a.context = bogus_context_; }, GLQ_E_BAD_HANDLE,
            {"context = 0x", "glq_context"});
    refused("tensor as context", [&](Args& a) { a.context = reinterpret_cast<glq_context*>(weight_.get()); },
            GLQ_E_BAD_HANDLE, {"is a glq_tensor", "expected a glq_context"});
    refused("stream", [](Args& a) { a.stream = &not_a_handle; }, GLQ_E_INVALID_ARGUMENT,
            {"stream = 0x", "NULL on a CPU context"});
    if (std::string(op.name) != "glq_fused_linear_e8p_group") {
      refused("null weight", [](Args& a) { a.weight = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"weight = NULL"});
    } else {
      refused("no weight at all", [](Args& a) { a.weight = nullptr; }, GLQ_E_INVALID_ARGUMENT,
              {"weights[0] to weights[0] = NULL"});
    }
    refused("bad weight", [&](Args& a) { a.weight = bogus_; }, GLQ_E_BAD_HANDLE,
            {weight_name + " = 0x", "live glq_tensor"});
    refused("dead weight", [&](Args& a) { a.weight = dead; }, GLQ_E_BAD_HANDLE,
            {weight_name + " = 0x", "live glq_tensor"});
    refused("context as weight", [&](Args& a) { a.weight = reinterpret_cast<glq_tensor*>(context_.get()); },
            GLQ_E_BAD_HANDLE, {weight_name + " = 0x", "is a glq_context"});
    refused("weight of another context", [&](Args& a) { a.weight = op.dense ? foreign_dense.get() : foreign_.get(); },
            GLQ_E_DEVICE_MISMATCH, {weight_name + " belongs to context 0x", "expected context = 0x"});
    refused("weight of another encoding", [&](Args& a) { a.weight = op.dense ? weight_.get() : dense_.get(); },
            GLQ_E_UNSUPPORTED, {weight_name + ".encoding = "});
    refused("opts size", [](Args& a) { a.opts.struct_size = 15; }, GLQ_E_STRUCT_SIZE,
            {"opts.struct_size = 15", "expected 16"});
    refused("opts flags", [](Args& a) { a.opts.flags = 1; }, GLQ_E_INVALID_ARGUMENT,
            {"opts.flags = 0x1", "expected 0"});
    refused("opts mode", [](Args& a) { a.opts.math_mode = 2; }, GLQ_E_INVALID_ARGUMENT,
            {"opts.math_mode = 2", "expected 0 or 1"});
    refused("opts reserved", [](Args& a) { a.opts.reserved = 1; }, GLQ_E_INVALID_ARGUMENT,
            {"opts.reserved = 1", "expected 0"});
    refused("null x", [](Args& a) { a.px = nullptr; }, GLQ_E_INVALID_ARGUMENT, {in + " = NULL"});
    refused("null y", [](Args& a) { a.py = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"= NULL"});
    for (const bool of_x : {true, false}) {
      const std::string& name = of_x ? in : out;
      const auto pick = [of_x](Args& a) -> glq_view& { return of_x ? a.x : a.y; };
      const glq_dtype type = of_x ? op.in_type : op.out_type;
      const int64_t cols = of_x ? op.in_cols : op.out_cols;
      SCOPED_TRACE(name);
      refused("rank 0", [&](Args& a) { pick(a).ndim = 0; }, GLQ_E_SHAPE, {name + ".ndim = 0", "expected 1 or 2"});
      refused("rank 3", [&](Args& a) { pick(a).ndim = 3, pick(a).shape[2] = 1; }, GLQ_E_SHAPE,
              {name + ".ndim = 3", "expected 1 or 2"});
      refused("rank 9", [&](Args& a) { pick(a).ndim = 9; }, GLQ_E_SHAPE, {name + ".ndim = 9", "expected 0 to 4"});
      refused("columns", [&](Args& a) { pick(a).shape[1] = cols + 1, pick(a).strides[0] = cols + 1; }, GLQ_E_SHAPE,
              {name + ".shape[1] = " + std::to_string(cols + 1), of_x ? op.in_what : op.out_what});
      refused("negative rows", [&](Args& a) { pick(a).shape[0] = -1; }, GLQ_E_SHAPE,
              {name + ".shape[0] = -1", "at least 0"});
      refused("integers", [&](Args& a) { pick(a).dtype = GLQ_DTYPE_I16; }, GLQ_E_DTYPE,
              {name + ".dtype = I16", "expected"});
      refused("doubles", [&](Args& a) { pick(a).dtype = GLQ_DTYPE_F64; }, GLQ_E_DTYPE,
              {name + ".dtype = F64", "expected"});
      if (!(of_x ? op.free_in_type : op.free_out_type)) {
        refused("F16", [&](Args& a) { pick(a).dtype = GLQ_DTYPE_F16; }, GLQ_E_DTYPE,
                {name + ".dtype = F16", type == GLQ_DTYPE_F32 ? "expected F32" : "expected BF16"});
      }
      refused("column stride", [&](Args& a) { pick(a).strides[1] = 2; }, GLQ_E_LAYOUT,
              {name + ".strides[1] = 2", "expected 1"});
      refused("negative column stride", [&](Args& a) { pick(a).strides[1] = -1; }, GLQ_E_LAYOUT,
              {name + ".strides[1] = -1", "expected 1"});
      refused("row stride", [&](Args& a) { pick(a).strides[0] = cols - 1; }, GLQ_E_LAYOUT,
              {name + ".strides[0] = " + std::to_string(cols - 1), "shape[1] = " + std::to_string(cols)});
      refused("row stride 0", [&](Args& a) { pick(a).strides[0] = 0; }, GLQ_E_LAYOUT,
              {name + ".strides[0] = 0", "at least"});
      refused("row stride overflow", [&](Args& a) { pick(a).strides[0] = INT64_MAX / 2; }, GLQ_E_LAYOUT,
              {name + ".strides[0] = 4611686018427387903"});
      refused("alignment", [&](Args& a) { pick(a).data = static_cast<char*>(pick(a).data) + 1; }, GLQ_E_ALIGNMENT,
              {name + ".data = 0x", "multiple of " + std::to_string(SizeOf(type))});
      refused("null data", [&](Args& a) { pick(a).data = nullptr; }, GLQ_E_INVALID_ARGUMENT, {name + ".data = NULL"});
      refused("device",
              [&](Args& a) {
                pick(a).device = {GLQ_DEVICE_CUDA, 0};
              },
              GLQ_E_DEVICE_MISMATCH, {name + ".device = cuda:0", "expected cpu"});
      refused("device type", [&](Args& a) { pick(a).device.type = 4; }, GLQ_E_INVALID_ARGUMENT,
              {name + ".device.type = 4"});
      refused("flags", [&](Args& a) { pick(a).flags = 2; }, GLQ_E_INVALID_ARGUMENT, {name + ".flags = 0x2"});
      refused("reserved", [&](Args& a) { pick(a).reserved = 1; }, GLQ_E_INVALID_ARGUMENT,
              {name + ".reserved = 1", "expected 0"});
      refused("too many rows", [&](Args& a) { pick(a).shape[0] = int64_t{1} << 32; }, GLQ_E_SHAPE,
              {name + ".shape[0] = 4294967296"});
    }
    refused("rows differ", [&](Args& a) { a.y.shape[0] = 4; }, GLQ_E_SHAPE,
            {out + ".shape[0] = 4", in + ".shape[0] = 3"});
    refused("one row for three", [&](Args& a) { a.y.ndim = 1, a.y.shape[0] = op.out_cols, a.y.strides[0] = 1; },
            GLQ_E_SHAPE, {out + ".ndim = 1", in + ".shape[0] = 3"});
    refused("read-only output", [](Args& a) { a.y.flags = GLQ_VIEW_READ_ONLY; }, GLQ_E_INVALID_ARGUMENT,
            {out + ".flags = 1", "READ_ONLY"});
    refused("y is x", [](Args& a) { a.y.data = a.x.data; }, GLQ_E_ALIASING,
            {out + " = [0x", "overlaps " + in + " = [0x"});
    refused("y ends in x", [](Args& a) { a.y.data = static_cast<char*>(a.x.data) + 4; }, GLQ_E_ALIASING,
            {out + " = [0x", "overlaps " + in});
    if (needed > 0) {
      const std::string size = std::to_string(needed);
      refused("no workspace", [](Args& a) { a.pworkspace = nullptr; }, GLQ_E_WORKSPACE_TOO_SMALL,
              {"workspace = NULL", "needed " + size});
      refused("empty workspace",
              [](Args& a) {
                a.workspace = {nullptr, 0};
              },
              GLQ_E_WORKSPACE_TOO_SMALL, {"workspace.bytes = 0", "needed " + size});
      refused("one byte short", [](Args& a) { --a.workspace.bytes; }, GLQ_E_WORKSPACE_TOO_SMALL,
              {"workspace.bytes = " + std::to_string(needed - 1), "needed " + size});
      refused("null workspace memory", [](Args& a) { a.workspace.data = nullptr; }, GLQ_E_INVALID_ARGUMENT,
              {"workspace.data = NULL", size});
      refused("unaligned workspace", [](Args& a) { a.workspace.data = static_cast<char*>(a.workspace.data) + 128; },
              GLQ_E_ALIGNMENT, {"workspace.data = 0x", "multiple of 256"});
      refused("endless workspace", [](Args& a) { a.workspace.bytes = SIZE_MAX; }, GLQ_E_INVALID_ARGUMENT,
              {"workspace.bytes = 18446744073709551615"});
      refused("workspace over x",
              [&](Args& a) {
                a.workspace.data = x.data();
                a.workspace.bytes = std::max(needed, x.bytes());
              },
              GLQ_E_ALIASING, {"workspace = [0x", "overlaps " + in});
      refused("workspace over y",
              [&](Args& a) {
                a.workspace.data = y.data();
                a.workspace.bytes = std::max(needed, y.bytes());
              },
              GLQ_E_ALIASING, {"workspace = [0x", "overlaps " + out});
    }
    // The query.
    size_t bytes = 99;
    const auto query_refused = [&](const glq_context* c, const glq_tensor* w, int64_t n, const glq_launch_opts* o,
                                   size_t* b, glq_status status, std::vector<std::string> parts) {
      ExpectFailure(op.query_name, op.query(c, w, n, o, b), status, parts, 0);
      EXPECT_EQ(bytes, 99u);
    };
    glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
    query_refused(nullptr, weight, 1, nullptr, &bytes, GLQ_E_INVALID_ARGUMENT, {"context = NULL"});
    query_refused(bogus_context_, weight, 1, nullptr, &bytes, GLQ_E_BAD_HANDLE, {"glq_context"});
    query_refused(context_.get(), bogus_, 1, nullptr, &bytes, GLQ_E_BAD_HANDLE, {weight_name, "glq_tensor"});
    query_refused(context_.get(), dead, 1, nullptr, &bytes, GLQ_E_BAD_HANDLE, {weight_name, "glq_tensor"});
    query_refused(context_.get(), nullptr, 1, nullptr, &bytes, GLQ_E_INVALID_ARGUMENT, {"NULL"});
    query_refused(context_.get(), op.dense ? foreign_dense.get() : foreign_.get(), 1, nullptr, &bytes,
                  GLQ_E_DEVICE_MISMATCH, {"belongs to context"});
    query_refused(context_.get(), op.dense ? weight_.get() : dense_.get(), 1, nullptr, &bytes, GLQ_E_UNSUPPORTED,
                  {".encoding = "});
    query_refused(context_.get(), weight, -1, nullptr, &bytes, GLQ_E_INVALID_ARGUMENT,
                  {"max_tokens = -1", "expected 0 to"});
    query_refused(context_.get(), weight, int64_t{1} << 40, nullptr, &bytes, GLQ_E_INVALID_ARGUMENT,
                  {"max_tokens = 1099511627776", "expected 0 to"});
    query_refused(context_.get(), weight, 1, nullptr, nullptr, GLQ_E_INVALID_ARGUMENT, {"bytes = NULL"});
    opts.math_mode = -1;
    query_refused(context_.get(), weight, 1, &opts, &bytes, GLQ_E_INVALID_ARGUMENT, {"opts.math_mode = -1"});
    opts = GLQ_LAUNCH_OPTS_INIT, opts.struct_size = 3;
    query_refused(context_.get(), weight, 1, &opts, &bytes, GLQ_E_STRUCT_SIZE, {"opts.struct_size = 3"});
  }
}

TEST_F(MisuseE8p, Group) {
  GoldenLayer narrow(golden_, "bd_96x192/b2");
  const TensorPtr other_input = MakeWeight(context_.get(), narrow.Desc());
  const glq_tensor* weights[9] = {weight_.get(), weight_.get(), other_input.get()};
  Array x(GLQ_DTYPE_F16, {2, 200}), y(GLQ_DTYPE_F16, {4, 100}), ws(GLQ_DTYPE_U8, {1 << 20});
  const glq_view xv = x.view();
  glq_view yv[3];
  const int64_t shape[] = {2, 100};
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(glq_view_init(&yv[i], y.as<uint16_t>() + 200 * (i % 2), GLQ_DTYPE_F16, nullptr, 2, shape), GLQ_OK);
  const glq_workspace workspace{ws.data(), ws.bytes()};
  size_t bytes = 5;
  const auto call = [&](const glq_tensor* const* w, int32_t n, const glq_view* out) {
    return glq_fused_linear_e8p_group(context_.get(), nullptr, w, n, &xv, out, &workspace, nullptr);
  };
  for (const int32_t count : {0, -1, 9}) {
    const std::string got = "count = " + std::to_string(count);
    ExpectFailure("glq_fused_linear_e8p_group", call(weights, count, yv), GLQ_E_INVALID_ARGUMENT,
                  {got, "expected 1 to 8"}, __LINE__);
    EXPECT_FAILS(glq_fused_linear_e8p_group_workspace, (context_.get(), weights, count, 1, nullptr, &bytes),
                 GLQ_E_INVALID_ARGUMENT, got, "expected 1 to 8");
  }
  ExpectFailure("glq_fused_linear_e8p_group", call(nullptr, 1, yv), GLQ_E_INVALID_ARGUMENT, {"weights = NULL"},
                __LINE__);
  EXPECT_FAILS(glq_fused_linear_e8p_group_workspace, (context_.get(), nullptr, 1, 1, nullptr, &bytes),
               GLQ_E_INVALID_ARGUMENT, "weights = NULL");
  ExpectFailure("glq_fused_linear_e8p_group", call(weights, 3, yv), GLQ_E_SHAPE,
                {"weights[2].in_features = 192", "weights[0].in_features = 200"}, __LINE__);
  yv[1].shape[1] = 96;
  ExpectFailure("glq_fused_linear_e8p_group", call(weights, 2, yv), GLQ_E_SHAPE,
                {"y[1].shape[1] = 96", "out_features = 100"}, __LINE__);
  yv[1].shape[1] = 100, yv[1].data = yv[0].data;
  ExpectFailure("glq_fused_linear_e8p_group", call(weights, 2, yv), GLQ_E_ALIASING,
                {"y[1] = [0x", "overlaps y[0] = [0x"}, __LINE__);
  // Columns that reach into one another.
  Array wide(GLQ_DTYPE_F16, {2, 199});
  for (int i = 0; i < 2; ++i) {
    yv[i].data = wide.as<uint16_t>() + 99 * i;
    yv[i].strides[0] = 199;
  }
  ExpectFailure("glq_fused_linear_e8p_group", call(weights, 2, yv), GLQ_E_ALIASING, {"y[1] = [0x", "overlaps y[0]"},
                __LINE__);
  EXPECT_EQ(bytes, 5u);
  EXPECT_TRUE(y.Untouched() && wide.Untouched() && ws.Untouched());
}

TEST_F(MisuseE8p, Plan) {
  char text[64] = "untouched";
  size_t needed = 9;
  const auto refused = [&](glq_context* c, const glq_tensor* w, int64_t n, char* t, size_t cap, size_t* need,
                           glq_status status, std::vector<std::string> parts) {
    ExpectFailure("glq_fused_linear_e8p_plan", glq_fused_linear_e8p_plan(c, w, n, nullptr, t, cap, need), status, parts,
                  0);
    EXPECT_STREQ(text, "untouched");
  };
  refused(nullptr, weight_.get(), 1, text, 64, &needed, GLQ_E_INVALID_ARGUMENT, {"context = NULL"});
  refused(bogus_context_, weight_.get(), 1, text, 64, &needed, GLQ_E_BAD_HANDLE, {"glq_context"});
  refused(context_.get(), nullptr, 1, text, 64, &needed, GLQ_E_INVALID_ARGUMENT, {"weight = NULL"});
  refused(context_.get(), dense_.get(), 1, text, 64, &needed, GLQ_E_UNSUPPORTED, {"weight.encoding = 1"});
  refused(context_.get(), foreign_.get(), 1, text, 64, &needed, GLQ_E_DEVICE_MISMATCH, {"weight belongs to"});
  refused(context_.get(), weight_.get(), -2, text, 64, &needed, GLQ_E_INVALID_ARGUMENT,
          {"tokens = -2", "expected 0 to"});
  refused(context_.get(), weight_.get(), 1, nullptr, 64, &needed, GLQ_E_INVALID_ARGUMENT, {"text = NULL"});
  refused(context_.get(), weight_.get(), 1, text, 64, nullptr, GLQ_E_INVALID_ARGUMENT, {"needed = NULL"});
}

TEST_F(MisuseE8p, DecodeAndDequantize) {
  Array w(GLQ_DTYPE_F32, {113, 256}), d(GLQ_DTYPE_F16, {100, 200}), ws(GLQ_DTYPE_U8, {112 * 256 * 4 + 512});
  glq_view wv = w.view(), dv = d.view();
  glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
  size_t needed = 1;
  const auto decode = [&](int64_t begin) {
    return glq_decode_e8p(context_.get(), nullptr, weight_.get(), begin, &wv, nullptr);
  };
  EXPECT_FAILS(glq_decode_e8p, (nullptr, nullptr, weight_.get(), 0, &wv, nullptr), GLQ_E_INVALID_ARGUMENT,
               "context = NULL");
  EXPECT_FAILS(glq_decode_e8p, (bogus_context_, nullptr, weight_.get(), 0, &wv, nullptr), GLQ_E_BAD_HANDLE,
               "glq_context");
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), nullptr, nullptr, 0, &wv, nullptr), GLQ_E_INVALID_ARGUMENT,
               "weight = NULL");
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), nullptr, foreign_.get(), 0, &wv, nullptr), GLQ_E_DEVICE_MISMATCH,
               "weight belongs to");
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), nullptr, dense_.get(), 0, &wv, nullptr), GLQ_E_UNSUPPORTED,
               "weight.encoding = 1");
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), &opts, weight_.get(), 0, &wv, nullptr), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x");
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), nullptr, weight_.get(), 0, nullptr, nullptr), GLQ_E_INVALID_ARGUMENT,
               "w = NULL");
  ExpectFailure("glq_decode_e8p", decode(0), GLQ_E_SHAPE, {"w.shape[0] = 113", "padded_out - row_begin = 112"},
                __LINE__);
  ExpectFailure("glq_decode_e8p", decode(-1), GLQ_E_INVALID_ARGUMENT, {"row_begin = -1", "padded_out = 112"}, __LINE__);
  ExpectFailure("glq_decode_e8p", decode(113), GLQ_E_INVALID_ARGUMENT, {"row_begin = 113", "padded_out = 112"},
                __LINE__);
  wv.shape[0] = 3;
  ExpectFailure("glq_decode_e8p", decode(110), GLQ_E_SHAPE, {"w.shape[0] = 3", "padded_out - row_begin = 2"}, __LINE__);
  wv.shape[1] = 200;
  ExpectFailure("glq_decode_e8p", decode(0), GLQ_E_SHAPE, {"w.shape[1] = 200", "padded_in = 256"}, __LINE__);
  wv = w.view(), wv.shape[0] = 3, wv.dtype = GLQ_DTYPE_U8;
  ExpectFailure("glq_decode_e8p", decode(0), GLQ_E_DTYPE, {"w.dtype = U8", "F16, F32, BF16"}, __LINE__);
  wv.dtype = GLQ_DTYPE_F32, wv.flags = GLQ_VIEW_READ_ONLY;
  ExpectFailure("glq_decode_e8p", decode(0), GLQ_E_INVALID_ARGUMENT, {"w.flags = 1"}, __LINE__);
  wv.flags = 0;
  opts.math_mode = 5;
  EXPECT_FAILS(glq_decode_e8p, (context_.get(), nullptr, weight_.get(), 0, &wv, &opts), GLQ_E_INVALID_ARGUMENT,
               "opts.math_mode = 5");

  EXPECT_FAILS(glq_dequantize_workspace, (nullptr, weight_.get(), nullptr, &needed), GLQ_E_INVALID_ARGUMENT,
               "context = NULL");
  EXPECT_FAILS(glq_dequantize_workspace, (context_.get(), bogus_, nullptr, &needed), GLQ_E_BAD_HANDLE, "weight = 0x");
  EXPECT_FAILS(glq_dequantize_workspace, (context_.get(), weight_.get(), nullptr, nullptr), GLQ_E_INVALID_ARGUMENT,
               "bytes = NULL");
  EXPECT_FAILS(glq_dequantize_workspace, (context_.get(), weight_.get(), &opts, &needed), GLQ_E_INVALID_ARGUMENT,
               "opts.math_mode = 5");
  EXPECT_EQ(needed, 1u);
  ASSERT_EQ(glq_dequantize_workspace(context_.get(), weight_.get(), nullptr, &needed), GLQ_OK);
  glq_workspace workspace{ws.data(), needed};
  const auto dequantize = [&] {
    return glq_dequantize(context_.get(), nullptr, weight_.get(), &dv, &workspace, nullptr);
  };
  EXPECT_FAILS(glq_dequantize, (nullptr, nullptr, weight_.get(), &dv, &workspace, nullptr), GLQ_E_INVALID_ARGUMENT,
               "context = NULL");
  EXPECT_FAILS(glq_dequantize, (context_.get(), nullptr, foreign_.get(), &dv, &workspace, nullptr),
               GLQ_E_DEVICE_MISMATCH, "weight belongs to");
  EXPECT_FAILS(glq_dequantize, (context_.get(), nullptr, weight_.get(), nullptr, &workspace, nullptr),
               GLQ_E_INVALID_ARGUMENT, "w = NULL");
  EXPECT_FAILS(glq_dequantize, (context_.get(), nullptr, weight_.get(), &dv, nullptr, nullptr),
               GLQ_E_WORKSPACE_TOO_SMALL, "workspace = NULL", "needed " + std::to_string(needed));
  EXPECT_FAILS(glq_dequantize, (context_.get(), nullptr, weight_.get(), &dv, &workspace, &opts), GLQ_E_INVALID_ARGUMENT,
               "opts.math_mode = 5");
  --workspace.bytes;
  ExpectFailure("glq_dequantize", dequantize(), GLQ_E_WORKSPACE_TOO_SMALL,
                {"workspace.bytes = " + std::to_string(needed - 1)}, __LINE__);
  workspace = {ws.as<char>() + 4, needed};
  ExpectFailure("glq_dequantize", dequantize(), GLQ_E_ALIGNMENT, {"workspace.data = 0x", "multiple of 256"}, __LINE__);
  workspace = {ws.data(), needed}, dv.shape[0] = 99;
  ExpectFailure("glq_dequantize", dequantize(), GLQ_E_SHAPE, {"w.shape[0] = 99", "out_features = 100"}, __LINE__);
  dv = d.view(), dv.data = ws.data();
  ExpectFailure("glq_dequantize", dequantize(), GLQ_E_ALIASING, {"workspace = [0x", "overlaps w = [0x"}, __LINE__);
  EXPECT_TRUE(w.Untouched() && d.Untouched() && ws.Untouched());
}

TEST_F(MisuseE8p, PackAndUnpack) {
  Array codes(GLQ_DTYPE_U16, {16, 8}), packed(GLQ_DTYPE_I64, {1, 1, 8, 4}), small(GLQ_DTYPE_U8, {5, 16}),
      words(GLQ_DTYPE_I64, {5, 2});
  for (const bool pack : {true, false}) {
    const char* name = pack ? "glq_e8p_pack" : "glq_e8p_unpack";
    SCOPED_TRACE(name);
    glq_view cv = codes.view(), pv = packed.view(), c8 = small.view(), p8 = words.view();
    const auto call = [&](glq_context* c, glq_stream s, int32_t book, const glq_view* a, const glq_view* b) {
      return pack ? glq_e8p_pack(c, s, book, a, b) : glq_e8p_unpack(c, s, book, b, a);
    };
    const auto refused = [&](glq_status got, glq_status status, std::vector<std::string> parts, int line) {
      ExpectFailure(name, got, status, parts, line);
      EXPECT_TRUE(codes.Untouched() && packed.Untouched() && small.Untouched() && words.Untouched());
      cv = codes.view(), pv = packed.view(), c8 = small.view(), p8 = words.view();
    };
    refused(call(nullptr, nullptr, 1, &cv, &pv), GLQ_E_INVALID_ARGUMENT, {"context = NULL"}, __LINE__);
    refused(call(bogus_context_, nullptr, 1, &cv, &pv), GLQ_E_BAD_HANDLE, {"glq_context"}, __LINE__);
    refused(call(context_.get(), &cv, 1, &cv, &pv), GLQ_E_INVALID_ARGUMENT, {"stream = 0x"}, __LINE__);
    refused(call(context_.get(), nullptr, 0, &cv, &pv), GLQ_E_INVALID_ARGUMENT, {"codebook = 0", "expected 1"},
            __LINE__);
    refused(call(context_.get(), nullptr, 3, &cv, &pv), GLQ_E_INVALID_ARGUMENT, {"codebook = 3", "expected 1"},
            __LINE__);
    refused(call(context_.get(), nullptr, 1, nullptr, &pv), GLQ_E_INVALID_ARGUMENT, {"codes = NULL"}, __LINE__);
    refused(call(context_.get(), nullptr, 1, &cv, nullptr), GLQ_E_INVALID_ARGUMENT, {"packed = NULL"}, __LINE__);
    refused(call(context_.get(), nullptr, 2, &cv, &pv), GLQ_E_DTYPE, {"codes.dtype = U16", "expected U8"}, __LINE__);
    refused(call(context_.get(), nullptr, 1, &c8, &pv), GLQ_E_DTYPE, {"codes.dtype = U8", "expected U16"}, __LINE__);
    cv.ndim = 1;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_SHAPE, {"codes.ndim = 1", "expected 2"}, __LINE__);
    cv.shape[0] = 8;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_SHAPE, {"codes.shape[0] = 8", "multiple of 16"},
            __LINE__);
    cv.shape[1] = 4;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_SHAPE, {"codes.shape[1] = 4", "multiple of 8"}, __LINE__);
    cv.strides[0] = 9;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_LAYOUT, {"codes.strides[0] = 9", "expected 8"}, __LINE__);
    pv.dtype = GLQ_DTYPE_U8;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_DTYPE, {"packed.dtype = U8", "expected I64"}, __LINE__);
    pv.shape[2] = 7;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_SHAPE, {"packed.shape[2] = 7", "= 8"}, __LINE__);
    pv.ndim = 2;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_SHAPE, {"packed.ndim = 2", "expected 4"}, __LINE__);
    p8.shape[1] = 1;
    refused(call(context_.get(), nullptr, 2, &c8, &p8), GLQ_E_SHAPE, {"packed.shape[1] = 1", "= 2"}, __LINE__);
    pv.data = packed.as<char>() + 4;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_ALIGNMENT, {"packed.data = 0x", "multiple of 8"},
            __LINE__);
    pv.data = cv.data;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_ALIASING, {"overlaps"}, __LINE__);
    (pack ? pv : cv).flags = GLQ_VIEW_READ_ONLY;
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_INVALID_ARGUMENT, {".flags = 1", "READ_ONLY"}, __LINE__);
    cv.device = {GLQ_DEVICE_CUDA, 0};
    refused(call(context_.get(), nullptr, 1, &cv, &pv), GLQ_E_DEVICE_MISMATCH,
            {"codes.device = cuda:0", "expected cpu"}, __LINE__);
  }
}

TEST_F(MisuseE8p, Codebook) {
  Array table(GLQ_DTYPE_I8, {256, 8});
  glq_view v = table.view();
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E81B, nullptr), GLQ_E_INVALID_ARGUMENT, "table = NULL");
  EXPECT_FAILS(glq_e8p_codebook, (5, &v), GLQ_E_INVALID_ARGUMENT, "codebook = 5");
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E8P, &v), GLQ_E_SHAPE, "table.shape[0] = 256", "= 65536");
  v.dtype = GLQ_DTYPE_U8;
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E81B, &v), GLQ_E_DTYPE, "table.dtype = U8", "expected I8");
  v = table.view(), v.strides[0] = 16;
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E81B, &v), GLQ_E_LAYOUT, "table.strides[0] = 16", "expected 8");
  v = table.view(), v.device = {GLQ_DEVICE_CUDA, 0};
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E81B, &v), GLQ_E_DEVICE_MISMATCH, "table.device = cuda:0",
               "expected cpu");
  v = table.view(), v.flags = GLQ_VIEW_READ_ONLY;
  EXPECT_FAILS(glq_e8p_codebook, (GLQ_CODEBOOK_E81B, &v), GLQ_E_INVALID_ARGUMENT, "table.flags = 1");
  EXPECT_TRUE(table.Untouched());
}

TEST_F(MisuseE8p, Gemv) {
  Array f16(GLQ_DTYPE_F16, {4, 8}), line(GLQ_DTYPE_BF16, {8}), x(GLQ_DTYPE_BF16, {17, 8}), y(GLQ_DTYPE_F32, {17, 4});
  const TensorPtr wrong_type = MakeDense(context_.get(), f16), wrong_rank = MakeDense(context_.get(), line);
  const glq_view xv = x.view(), yv = y.view();
  size_t bytes = 3;
  EXPECT_FAILS(glq_gemv_bf16, (context_.get(), nullptr, dense_.get(), &xv, &yv, nullptr, nullptr), GLQ_E_SHAPE,
               "x.shape[0] = 17", "at most 16");
  EXPECT_FAILS(glq_gemv_bf16, (context_.get(), nullptr, wrong_type.get(), &xv, &yv, nullptr, nullptr), GLQ_E_DTYPE,
               "weight.dtype = F16", "expected BF16");
  EXPECT_FAILS(glq_gemv_bf16, (context_.get(), nullptr, wrong_rank.get(), &xv, &yv, nullptr, nullptr), GLQ_E_SHAPE,
               "weight.ndim = 1", "expected 2");
  EXPECT_FAILS(glq_gemv_bf16_workspace, (context_.get(), dense_.get(), 17, nullptr, &bytes), GLQ_E_INVALID_ARGUMENT,
               "max_tokens = 17", "0 to 16");
  // The output must not lie in the weight.
  Array w(GLQ_DTYPE_BF16, {64, 8});
  const glq_view wv = w.view();
  glq_tensor* borrowed = nullptr;
  ASSERT_EQ(glq_tensor_borrow(context_.get(), &wv, nullptr, nullptr, &borrowed), GLQ_OK);
  const TensorPtr owner(borrowed);
  glq_view inside, one = x.view();
  const int64_t shape[] = {1, 64};
  ASSERT_EQ(glq_view_init(&inside, w.as<char>() + 256, GLQ_DTYPE_F32, nullptr, 2, shape), GLQ_OK);
  one.shape[0] = 1;
  EXPECT_FAILS(glq_gemv_bf16, (context_.get(), nullptr, borrowed, &one, &inside, nullptr, nullptr), GLQ_E_ALIASING,
               "y = [0x", "overlaps weight = [0x");
  // Columns of the weight must be adjacent.
  glq_view turned = wv;
  turned.shape[0] = 8, turned.shape[1] = 64, turned.strides[0] = 1, turned.strides[1] = 8;
  glq_tensor* t = nullptr;
  ASSERT_EQ(glq_tensor_borrow(context_.get(), &turned, nullptr, nullptr, &t), GLQ_OK);
  const TensorPtr turned_owner(t);
  EXPECT_FAILS(glq_gemv_bf16_workspace, (context_.get(), t, 1, nullptr, &bytes), GLQ_E_LAYOUT, "weight.strides[1] = 8",
               "expected 1");
  EXPECT_TRUE(w.Untouched() && y.Untouched());
}

}  // namespace
}  // namespace glq::test
