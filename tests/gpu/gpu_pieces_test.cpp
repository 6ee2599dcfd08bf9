// The pieces of the linear, decoding, packing, export and creation on the GPU: the bytes of the CPU.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "gpu/support.h"

namespace glq::gpu {
namespace {

struct Piece {
  const char* name;
  decltype(&glq_rht_input) run;
  decltype(&glq_rht_input_workspace) workspace;
};
const Piece kRhtInput{"rht_input", glq_rht_input, glq_rht_input_workspace};
const Piece kMatmul{"matmul", glq_matmul_e8p, glq_matmul_e8p_workspace};
const Piece kRhtOutput{"rht_output", glq_rht_output, glq_rht_output_workspace};

void OnCpu(const Piece& piece, const Pair& pair, Image& in, Image& out) {
  size_t bytes = 0;
  GLQ_ASSERT_OK(piece.workspace(CpuContext(), pair.cpu.get(), in.rows(), nullptr, &bytes));
  Image memory(GLQ_DTYPE_U8, 1, static_cast<int64_t>(bytes));
  const glq_workspace workspace{memory.data(), bytes};
  const glq_view from = in.View(), to = out.View();
  GLQ_ASSERT_OK(piece.run(CpuContext(), nullptr, pair.cpu.get(), &from, &to, &workspace, nullptr));
}

void OnGpu(const Piece& piece, const Pair& pair, const glq_view& from, const glq_view& to) {
  size_t bytes = 0;
  GLQ_ASSERT_OK(piece.workspace(GpuContext(), pair.gpu.get(), from.shape[0], nullptr, &bytes));
  Workspace workspace(bytes);
  const glq_workspace* poisoned = workspace.Poisoned(GpuStream());
  GLQ_ASSERT_OK(piece.run(GpuContext(), GpuStream(), pair.gpu.get(), &from, &to, bytes ? poisoned : nullptr, nullptr));
  EXPECT_TRUE(workspace.Intact(GpuStream()));
}

// `expected` gives the type and layout of the output.
void CheckPiece(const Piece& piece, const Pair& pair, Image& in, Image expected, const std::vector<int64_t>& tokens) {
  SCOPED_TRACE(std::string(piece.name) + ", " + Name(in.dtype()) + " to " + Name(expected.dtype()));
  OnCpu(piece, pair, in, expected);
  const DeviceImage device_in(in);
  for (const int64_t n : tokens) {
    Image got(expected.dtype(), expected.rows(), expected.cols(), expected.stride(),
              static_cast<int64_t>(expected.data_offset() - 256) / SizeOf(expected.dtype()));
    const DeviceImage device_out(got);
    OnGpu(piece, pair, device_in.View(n), device_out.View(n));
    device_out.Download(got, GpuStream());
    EXPECT_TRUE(SameRows(expected, got, n)) << n << " tokens";
  }
}

void FillUnusual(Image& m, uint64_t seed) {
  m.FillNormal(seed);
  for (int64_t r = 3; r < m.rows(); r += 7) {
    for (int64_t c = 0; c < m.cols(); ++c) m.Set(r, c, r % 2 ? 0.0f : 1e-39f);
  }
  for (int64_t r = 5; r < m.rows(); r += 9) m.Set(r, r % m.cols(), r % 2 ? NAN : INFINITY);
}

void CheckAllPieces(const LinearSpec& spec, const std::vector<int64_t>& tokens, int64_t extra_stride = 0,
                    int64_t offset = 0) {
  SCOPED_TRACE(spec.Text());
  const HostLinear linear(spec);
  const Pair pair(linear);
  const int64_t rows = tokens.back(), padded_in = linear.spec().padded_in, padded_out = linear.spec().padded_out;
  const auto image = [&](glq_dtype t, int64_t cols) { return Image(t, rows, cols, cols + extra_stride, offset); };
  Image v = image(GLQ_DTYPE_F32, padded_in), z = image(GLQ_DTYPE_F32, padded_out);
  FillUnusual(v, 2);
  FillUnusual(z, 3);
  CheckPiece(kMatmul, pair, v, image(GLQ_DTYPE_F32, padded_out), tokens);
  for (const glq_dtype type : kFloatTypes) {
    Image x = image(type, spec.in);
    FillUnusual(x, 1);
    CheckPiece(kRhtInput, pair, x, image(GLQ_DTYPE_F32, padded_in), tokens);
    CheckPiece(kRhtOutput, pair, z, image(type, spec.out), tokens);
  }
}

TEST(GpuPieces, SmallSmoke) { CheckAllPieces({.out = 40, .in = 100, .bits = 3}, {2, 9}); }

TEST(GpuPieces, Shapes) {
  for (int bits = 2; bits <= 8; ++bits)
    CheckAllPieces({.out = 100, .in = 200, .bits = bits, .bias = GLQ_DTYPE_F16}, {1, 5, 8, 9, 33, 100});
  CheckAllPieces({.out = 1, .in = 1, .bits = 2}, {1, 8, 9});
  CheckAllPieces({.out = 96, .in = 192, .bits = 3}, {383, 384, 2047, 2049, 4100});
  CheckAllPieces({.out = 5000, .in = 3000, .bits = 4, .su = Signs::kReal, .sv = Signs::kReal}, {1, 4, 17});
  CheckAllPieces({.out = 20000, .in = 9000, .bits = 2}, {1, 8});
  CheckAllPieces({.out = 100, .in = 33000, .bits = 2}, {1, 8, 9});
  CheckAllPieces({.out = 33000, .in = 100, .bits = 2, .bias = GLQ_DTYPE_F32}, {1, 8, 9});
  CheckAllPieces({.out = 112, .in = 320, .bits = 3, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 64, 32, 32}},
                 {1, 9, 40, 384});
  CheckAllPieces({.out = 112, .in = 320, .bits = 2, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 64, 64}},
                 {2047, 2048, 2100});
}

TEST(GpuPieces, Layouts) {
  CheckAllPieces({.out = 100, .in = 200, .bits = 3}, {1, 5, 9, 40}, 3, 1);
  CheckAllPieces({.out = 33000, .in = 200, .bits = 2}, {3}, 7, 3);
  CheckAllPieces({.out = 100, .in = 33000, .bits = 2}, {3}, 7, 3);
}

// So many rows that their transforms take single blocks; NaNs, infinities and tiny rows among them.
TEST(GpuPieces, ManyRowsSmoke) { CheckAllPieces({.out = 8192 + 48, .in = 64, .bits = 2}, {256}); }

TEST(GpuPieces, ManyRows) {
  CheckAllPieces({.out = 4096, .in = 4096, .bits = 2}, {600, 1536});
  CheckAllPieces({.out = 8192 + 2048, .in = 8192 + 4096 + 64, .bits = 2, .bias = GLQ_DTYPE_F32}, {128, 256, 300});
  CheckAllPieces({.out = 96, .in = 8192, .bits = 2, .padded_in = 8192 + 1024}, {256});
  CheckAllPieces({.out = 96, .in = 20480, .bits = 2, .sv = Signs::kReal}, {128, 420}, 4, 4);
  CheckAllPieces({.out = 20480, .in = 96, .bits = 2, .su = Signs::kReal}, {128, 420}, 1, 3);
  CheckAllPieces({.out = 1024, .in = 2048 + 16, .bits = 2}, {768}, 1, 3);
}

TEST(GpuPieces, ThreeStepsAreTheWhole) {
  for (const LinearSpec& spec :
       {LinearSpec{.out = 100, .in = 200, .bits = 5, .bias = GLQ_DTYPE_BF16},
        LinearSpec{.out = 33000, .in = 33000, .bits = 2}, LinearSpec{.out = 4096, .in = 4096, .bits = 3}}) {
    SCOPED_TRACE(spec.Text());
    const HostLinear linear(spec);
    const Pair pair(linear);
    for (const int64_t n : {1, 8, 9}) {
      Image x(GLQ_DTYPE_F16, n, spec.in), whole(GLQ_DTYPE_F16, n, spec.out), steps(GLQ_DTYPE_F16, n, spec.out);
      Image v(GLQ_DTYPE_F32, n, linear.spec().padded_in), z(GLQ_DTYPE_F32, n, linear.spec().padded_out);
      x.FillNormal(4);
      CpuFused(pair, x, whole);
      const DeviceImage dx(x), dv(v), dz(z), dy(steps);
      OnGpu(kRhtInput, pair, dx.View(), dv.View());
      OnGpu(kMatmul, pair, dv.View(), dz.View());
      OnGpu(kRhtOutput, pair, dz.View(), dy.View());
      dy.Download(steps, GpuStream());
      EXPECT_TRUE(SameRows(whole, steps, n)) << n << " tokens";
    }
  }
}

// --- Decoding ---

void CheckDecode(const LinearSpec& spec) {
  SCOPED_TRACE(spec.Text());
  const HostLinear linear(spec);
  const Pair pair(linear);
  const int64_t rows = linear.spec().padded_out, cols = linear.spec().padded_in;
  for (const glq_dtype type : kFloatTypes) {
    SCOPED_TRACE(Name(type));
    Image all(type, rows, cols);
    const glq_view to = all.View();
    GLQ_ASSERT_OK(glq_decode_e8p(CpuContext(), nullptr, pair.cpu.get(), 0, &to, nullptr));
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, rows},
                                     {0, 1},
                                     {1, 2},
                                     {rows - 1, rows},
                                     {3, rows - 5},
                                     {rows / 2, rows},
                                     {rows, rows}}) {
      if (begin > end) continue;
      for (const int64_t extra : {0, 3}) {
        Image want(type, rows, cols, cols + extra, extra), got(type, rows, cols, cols + extra, extra);
        for (int64_t r = begin; r < end; ++r)
          std::memcpy(want.data() + (r - begin) * want.stride() * SizeOf(type), all.Row(r),
                      static_cast<size_t>(cols * SizeOf(type)));
        const DeviceImage device(got);
        const glq_view w = device.View(end - begin);
        GLQ_ASSERT_OK(glq_decode_e8p(GpuContext(), GpuStream(), pair.gpu.get(), begin, &w, nullptr));
        device.Download(got, GpuStream());
        EXPECT_TRUE(SameRows(want, got, end - begin)) << "rows " << begin << " to " << end;
      }
    }
  }
}

TEST(GpuPieces, DecodeSmoke) { CheckDecode({.out = 32, .in = 64, .bits = 3}); }

TEST(GpuPieces, Decode) {
  for (int bits = 2; bits <= 8; ++bits) CheckDecode({.out = 96, .in = 192, .bits = bits});
  CheckDecode({.out = 1000, .in = 2000, .bits = 5, .weight_scale = -3});
  CheckDecode({.out = 48, .in = 320, .bits = 3, .weight_scale = 1e36});
  CheckDecode({.out = 48, .in = 320, .bits = 3, .weight_scale = 1e-40});
  CheckDecode({.out = 16, .in = 40000, .bits = 2});
}

void CheckDequantize(const LinearSpec& spec) {
  SCOPED_TRACE(spec.Text());
  const HostLinear linear(spec);
  const Pair pair(linear);
  for (const glq_dtype type : kFloatTypes) {
    SCOPED_TRACE(Name(type));
    Image want(type, spec.out, spec.in, spec.in + 1, 1), got(type, spec.out, spec.in, spec.in + 1, 1);
    size_t bytes = 0;
    GLQ_ASSERT_OK(glq_dequantize_workspace(CpuContext(), pair.cpu.get(), nullptr, &bytes));
    Image memory(GLQ_DTYPE_U8, 1, static_cast<int64_t>(bytes));
    const glq_workspace host{memory.data(), bytes};
    const glq_view to = want.View();
    GLQ_ASSERT_OK(glq_dequantize(CpuContext(), nullptr, pair.cpu.get(), &to, &host, nullptr));
    GLQ_ASSERT_OK(glq_dequantize_workspace(GpuContext(), pair.gpu.get(), nullptr, &bytes));
    Workspace workspace(bytes);
    const DeviceImage device(got);
    const glq_view w = device.View();
    GLQ_ASSERT_OK(
        glq_dequantize(GpuContext(), GpuStream(), pair.gpu.get(), &w, workspace.Poisoned(GpuStream()), nullptr));
    device.Download(got, GpuStream());
    EXPECT_TRUE(workspace.Intact(GpuStream()));
    EXPECT_TRUE(SameRows(want, got, spec.out));
  }
}

TEST(GpuPieces, DequantizeSmoke) { CheckDequantize({.out = 20, .in = 60, .bits = 3}); }

TEST(GpuPieces, Dequantize) {
  for (int bits = 2; bits <= 8; ++bits) CheckDequantize({.out = 100, .in = 200, .bits = bits, .bias = GLQ_DTYPE_F32});
  CheckDequantize({.out = 1, .in = 1, .bits = 2});
  CheckDequantize({.out = 1000, .in = 700, .bits = 4, .su = Signs::kReal, .sv = Signs::kReal});
  CheckDequantize({.out = 100, .in = 200, .bits = 3, .su = Signs::kNone, .sv = Signs::kNone});
  CheckDequantize({.out = 100, .in = 200, .bits = 3, .padded_out = 128, .padded_in = 256});
  CheckDequantize({.out = 112, .in = 320, .bits = 3, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 64, 32, 32}});
  CheckDequantize({.out = 70, .in = 33000, .bits = 2});
  CheckDequantize({.out = 33000, .in = 70, .bits = 2});
}

// --- Packing ---

void CheckPacking(int32_t codebook, int64_t rows, int64_t cols) {
  SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) + ", codebook " + std::to_string(codebook));
  const bool e8p = codebook == GLQ_CODEBOOK_E8P;
  const glq_dtype type = e8p ? GLQ_DTYPE_U16 : GLQ_DTYPE_U8;
  const int64_t code_bytes = rows * cols / 8 * SizeOf(type);
  std::vector<uint64_t> codes(static_cast<size_t>((code_bytes + 7) / 8));
  FillRandom(codes, 5);
  const int64_t code_shape[2] = {rows, cols / 8}, packed_shape[4] = {e8p ? rows / 16 : rows, cols / 64, 8, 4};
  const int32_t packed_rank = e8p ? 4 : 2;
  std::vector<uint64_t> packed(static_cast<size_t>(e8p ? rows * cols / 32 : rows * cols / 64));
  glq_view from, to;
  GLQ_ASSERT_OK(glq_view_init(&from, codes.data(), type, nullptr, 2, code_shape));
  GLQ_ASSERT_OK(glq_view_init(&to, packed.data(), GLQ_DTYPE_I64, nullptr, packed_rank, packed_shape));
  GLQ_ASSERT_OK(glq_e8p_pack(CpuContext(), nullptr, codebook, &from, &to));

  Image got(GLQ_DTYPE_I64, 1, static_cast<int64_t>(packed.size())), back(GLQ_DTYPE_U8, 1, code_bytes);
  const DeviceBuffer device_codes(static_cast<size_t>(code_bytes));
  const DeviceImage device_packed(got), device_back(back);
  GLQ_ASSERT_CUDA(
      cudaMemcpy(device_codes.data(), codes.data(), static_cast<size_t>(code_bytes), cudaMemcpyHostToDevice));
  // A copy from pageable memory may still be under way when it returns, and the stream below does not wait for it.
  GLQ_ASSERT_CUDA(cudaDeviceSynchronize());
  const glq_view gpu_from = HostLinear::At(from, device_codes.data(), kGpu),
                 gpu_to = HostLinear::At(to, device_packed.View().data, kGpu);
  GLQ_ASSERT_OK(glq_e8p_pack(GpuContext(), GpuStream(), codebook, &gpu_from, &gpu_to));
  device_packed.Download(got, GpuStream());
  Image want(GLQ_DTYPE_I64, 1, got.cols());
  std::memcpy(want.data(), packed.data(), packed.size() * 8);
  EXPECT_TRUE(SameRows(want, got, 1));

  const glq_view gpu_back = HostLinear::At(from, device_back.View().data, kGpu);
  GLQ_ASSERT_OK(glq_e8p_unpack(GpuContext(), GpuStream(), codebook, &gpu_to, &gpu_back));
  device_back.Download(back, GpuStream());
  Image original(GLQ_DTYPE_U8, 1, code_bytes);
  std::memcpy(original.data(), codes.data(), static_cast<size_t>(code_bytes));
  EXPECT_TRUE(SameRows(original, back, 1));
}

TEST(GpuPieces, PackingSmoke) {
  CheckPacking(GLQ_CODEBOOK_E8P, 32, 128);
  CheckPacking(GLQ_CODEBOOK_E81B, 3, 64);
}

TEST(GpuPieces, Packing) {
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{16, 64}, {48, 320}, {1024, 4096}, {16, 1048576}, {1048576, 64}}) {
    CheckPacking(GLQ_CODEBOOK_E8P, rows, cols);
    CheckPacking(GLQ_CODEBOOK_E81B, rows, cols);
  }
  CheckPacking(GLQ_CODEBOOK_E81B, 1, 64);
}

// --- Creation and export ---

// Destinations of all parts, with guards; `on_device` decides where.
class Exported {
 public:
  Exported(const HostLinear& linear, bool on_device) : linear_(linear), on_device_(on_device) {
    const glq_e8p_desc& d = linear.desc();
    images_.reserve(8), devices_.reserve(8), views_.reserve(8);
    for (int s = 0; s < d.num_stages; ++s) parts_.indices[s] = Add(d.stages[s].indices);
    if (d.sv) parts_.sv = Add(*d.sv);
    if (d.su) parts_.su = Add(*d.su);
    if (d.bias) parts_.bias = Add(*d.bias);
  }
  const glq_e8p_parts& parts() const { return parts_; }

  void ExpectOriginal() {
    const glq_e8p_desc& d = linear_.desc();
    size_t i = 0;
    for (int s = 0; s < d.num_stages; ++s) Expect(i++, d.stages[s].indices);
    if (d.sv) Expect(i++, *d.sv);
    if (d.su) Expect(i++, *d.su);
    if (d.bias) Expect(i++, *d.bias);
  }

 private:
  static int64_t Bytes(const glq_view& v) {
    int64_t n = SizeOf(v.dtype);
    for (int i = 0; i < v.ndim; ++i) n *= v.shape[i];
    return n;
  }
  const glq_view* Add(const glq_view& like) {
    images_.emplace_back(GLQ_DTYPE_U8, 1, Bytes(like));
    if (on_device_) devices_.emplace_back(images_.back());
    views_.push_back(HostLinear::At(like, on_device_ ? devices_.back().View().data : images_.back().data(),
                                    on_device_ ? kGpu : kCpu));
    return &views_.back();
  }
  void Expect(size_t i, const glq_view& original) {
    Image want(GLQ_DTYPE_U8, 1, Bytes(original));
    std::memcpy(want.data(), original.data, static_cast<size_t>(Bytes(original)));
    if (on_device_) devices_[i].Download(images_[i], GpuStream());
    EXPECT_TRUE(SameRows(want, images_[i], 1)) << "part " << i << (on_device_ ? " on the device" : " on the host");
  }

  const HostLinear& linear_;
  const bool on_device_;
  std::vector<Image> images_;
  std::vector<DeviceImage> devices_;
  std::vector<glq_view> views_;
  glq_e8p_parts parts_ = GLQ_E8P_PARTS_INIT;
};

// A copy of the descriptor whose arrays are in device memory.
class OnDevice {
 public:
  explicit OnDevice(const HostLinear& linear) : desc_(linear.desc()) {
    for (int s = 0; s < desc_.num_stages; ++s) {
      stages_.push_back(desc_.stages[s]);
      stages_.back().indices = Copy(desc_.stages[s].indices, linear.stages[static_cast<size_t>(s)].size() * 8);
    }
    desc_.stages = stages_.data();
    if (desc_.sv) sv_ = Copy(*desc_.sv, linear.sv.size() * 2), desc_.sv = &sv_;
    if (desc_.su) su_ = Copy(*desc_.su, linear.su.size() * 2), desc_.su = &su_;
    if (desc_.bias) bias_ = Copy(*desc_.bias, linear.bias.size()), desc_.bias = &bias_;
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  const glq_e8p_desc& desc() const { return desc_; }

 private:
  glq_view Copy(const glq_view& view, size_t bytes) {
    buffers_.emplace_back(bytes);
    Require(cudaMemcpy(buffers_.back().data(), view.data, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    Require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    return HostLinear::At(view, buffers_.back().data(), kGpu);
  }
  glq_e8p_desc desc_;
  std::vector<DeviceBuffer> buffers_;
  std::vector<glq_e8p_stage> stages_;
  glq_view sv_{}, su_{}, bias_{};
};

void CheckRoundTrip(const LinearSpec& spec) {
  SCOPED_TRACE(spec.Text());
  const HostLinear linear(spec);
  const OnDevice device(linear);
  for (const glq_e8p_desc* desc : {&linear.desc(), &device.desc()}) {
    const Pair pair(MakeWeight(CpuContext(), linear.desc()), MakeWeight(GpuContext(), *desc, GpuStream()));
    for (const bool to_device : {false, true}) {
      Exported to(linear, to_device);
      GLQ_ASSERT_OK(glq_e8p_export(GpuContext(), GpuStream(), pair.gpu.get(), &to.parts()));
      to.ExpectOriginal();
    }
    CheckFused(pair, spec, {1, 9});
    glq_e8p_info info = GLQ_E8P_INFO_INIT;
    GLQ_ASSERT_OK(glq_e8p_get_info(pair.gpu.get(), &info));
    EXPECT_EQ(info.bits, spec.bits);
    EXPECT_EQ(info.padded_in, linear.spec().padded_in);
    EXPECT_EQ(info.padded_out, linear.spec().padded_out);
    EXPECT_EQ(info.bias_dtype, spec.bias);
    // At the same number of bits: what is added is padding of 128 columns, alignment and block starts.
    glq_tensor_info tensor = GLQ_TENSOR_INFO_INIT;
    GLQ_ASSERT_OK(glq_tensor_get_info(pair.gpu.get(), &tensor));
    EXPECT_EQ(tensor.device.type, GLQ_DEVICE_CUDA);
    const int64_t wide = (info.padded_in + 127) / 128 * 128;
    EXPECT_LE(tensor.device_bytes, (info.padded_out * wide * spec.bits + 7) / 8 +
                                       2 * (info.padded_in + info.padded_out) + 4 * spec.out +
                                       8 * (info.num_in_blocks + info.num_out_blocks) + 8192);
  }
}

TEST(GpuPieces, RoundTripSmoke) { CheckRoundTrip({.out = 40, .in = 100, .bits = 3, .bias = GLQ_DTYPE_BF16}); }

TEST(GpuPieces, RoundTrip) {
  for (int bits = 2; bits <= 8; ++bits) {
    CheckRoundTrip({.out = 100, .in = 200, .bits = bits, .bias = GLQ_DTYPE_F16});
    CheckRoundTrip({.out = 96, .in = 192, .bits = bits, .su = Signs::kReal, .sv = Signs::kNone, .bias = GLQ_DTYPE_F32});
  }
  CheckRoundTrip({.out = 2000, .in = 3000, .bits = 5, .su = Signs::kNone, .bias = GLQ_DTYPE_BF16});
  CheckRoundTrip({.out = 112, .in = 320, .bits = 2, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 64, 32, 32}});
}

// E81B codes as bytes, and host memory of no alignment.
TEST(GpuPieces, BytesAndOddAddresses) {
  const LinearSpec spec{.out = 50, .in = 130, .bits = 3};
  const HostLinear linear(spec);
  glq_e8p_desc desc = linear.desc();
  std::vector<std::byte> odd[2];
  std::vector<glq_e8p_stage> stages(desc.stages, desc.stages + 2);
  for (size_t s = 0; s < 2; ++s) {
    odd[s].resize(linear.stages[s].size() * 8 + 1);
    std::memcpy(odd[s].data() + 1, linear.stages[s].data(), linear.stages[s].size() * 8);
    stages[s].indices.data = odd[s].data() + 1;
  }
  const int64_t shape[2] = {linear.spec().padded_out, linear.spec().padded_in / 8};
  GLQ_ASSERT_OK(glq_view_init(&stages[1].indices, odd[1].data() + 1, GLQ_DTYPE_U8, nullptr, 2, shape));
  desc.stages = stages.data();
  CheckFused(Pair(MakeWeight(CpuContext(), linear.desc()), MakeWeight(GpuContext(), desc, GpuStream())), spec, {1, 9});
}

// What op_support says, the queries say.
// Whichever way each number of tokens takes.
TEST(GpuPieces, WorkspaceDoesNotDecreaseSmoke) {
  for (const auto& [out, in, bits] : {std::array<int64_t, 3>{256, 4096, 8},
                                      {1024, 4096, 3},
                                      {1024, 4096, 4},
                                      {256, 4096, 4},
                                      {64, 8192, 7},
                                      {2048, 64, 8},
                                      {512, 14336, 7}}) {
    const HostLinear linear({.out = out, .in = in, .bits = static_cast<int>(bits)});
    const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
    size_t before = 0;
    for (const int64_t tokens : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 33, 383, 384, 2048, 2049, 5000}) {
      const size_t bytes = FusedWorkspace(GpuContext(), weight.get(), tokens);
      EXPECT_GE(bytes, before) << out << " x " << in << ", " << tokens << " tokens";
      before = bytes;
    }
  }
}

TEST(GpuPieces, SupportAgreesWithTheQueries) {
  const LinearSpec spec{.out = 5000, .in = 3000, .bits = 5};
  const HostLinear linear(spec);
  const Tensor weight = MakeWeight(GpuContext(), linear.desc(), GpuStream());
  for (const int64_t tokens : {0, 1, 8, 9, 384, 2048, 5000}) {
    glq_op_query query = GLQ_OP_QUERY_INIT;
    query.op = GLQ_OP_FUSED_LINEAR_E8P, query.in_features = spec.in, query.out_features = spec.out, query.bits = 5,
    query.max_tokens = tokens;
    glq_op_support_info info = GLQ_OP_SUPPORT_INFO_INIT;
    GLQ_ASSERT_OK(glq_op_support(GpuContext(), &query, &info));
    EXPECT_EQ(info.status, GLQ_OK) << info.reason;
    EXPECT_EQ(info.workspace_bytes, FusedWorkspace(GpuContext(), weight.get(), tokens)) << tokens;
    EXPECT_NE(std::string(info.path).find("cuda"), std::string::npos) << info.path;
  }
  size_t before = 0;
  for (const int64_t tokens : {0, 1, 4, 5, 8, 9, 16, 17, 33, 300, 383, 384, 385, 2047, 2048, 2049, 100000}) {
    const size_t bytes = FusedWorkspace(GpuContext(), weight.get(), tokens);
    EXPECT_GE(bytes, before) << tokens;
    before = bytes;
  }
}

}  // namespace
}  // namespace glq::gpu
