#include "gpu/operations.h"

#include <utility>

#include "gpu/f16.h"

namespace glq::gpu {
namespace {

Image Copy(const Image& image) {
  return Image(image.dtype(), image.rows(), image.cols(), image.stride(),
               static_cast<int64_t>(image.data_offset() - 256) / SizeOf(image.dtype()));
}

using Run = decltype(&glq_rht_input);
using Query = decltype(&glq_rht_input_workspace);
using SharedTensor = std::shared_ptr<glq_tensor>;

class Builder {
 public:
  explicit Builder(glq_context* context) : context_(context) {}

  SharedTensor Weight(const LinearSpec& spec) {
    const HostLinear linear(spec);
    return MakeWeight(context_, linear.desc(), GpuStream());
  }

  // Operations of the common form.
  void Add(const std::string& name, Run run, Query query, SharedTensor weight, Image in, Image out) {
    size_t bytes = 0;
    Require(query(context_, weight.get(), in.rows(), nullptr, &bytes), "workspace query");
    Add(name, std::move(in), std::move(out), bytes,
        [run, weight](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to,
                      const glq_workspace* ws) { return run(c, s, weight.get(), from, to, ws, nullptr); });
  }
  void Add(const std::string& name, Image in, Image out, size_t bytes, decltype(Operation::run) run) {
    operations.push_back(
        std::make_unique<Operation>(Operation{name, std::move(in), std::move(out), bytes, std::move(run)}));
  }

  void AddFused(const LinearSpec& spec, const std::vector<int64_t>& tokens) {
    const SharedTensor weight = Weight(spec);
    for (const int64_t n : tokens) {
      Add("fused " + spec.Text() + ", " + std::to_string(n) + " tokens", glq_fused_linear_e8p,
          glq_fused_linear_e8p_workspace, weight, Image(GLQ_DTYPE_F16, n, spec.in), Image(GLQ_DTYPE_F16, n, spec.out));
    }
  }

  void AddF16(int bits, int64_t tokens) {
    const std::optional<LinearSpec> found = SmallestF16(context_, bits, tokens);
    if (!found) return;
    const LinearSpec& spec = *found;
    const SharedTensor weight = Weight(spec);
    const glq_launch_opts opts = F16Options();
    size_t bytes = 0;
    Require(glq_fused_linear_e8p_workspace(context_, weight.get(), tokens, &opts, &bytes), "workspace query");
    Add("fp16 " + spec.Text() + ", " + std::to_string(tokens) + " tokens", Image(GLQ_DTYPE_F16, tokens, spec.in),
        Image(GLQ_DTYPE_F16, tokens, spec.out), bytes,
        [weight, opts](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to,
                       const glq_workspace* ws) {
          return glq_fused_linear_e8p(c, s, weight.get(), from, to, ws, &opts);
        });
  }

  void AddGroup(const std::vector<LinearSpec>& specs, const std::vector<int64_t>& tokens) {
    std::vector<SharedTensor> weights;
    std::vector<const glq_tensor*> list;
    std::vector<int64_t> widths;
    int64_t total = 0;
    for (const LinearSpec& s : specs) {
      weights.push_back(Weight(s));
      list.push_back(weights.back().get());
      widths.push_back(s.out);
      total += s.out;
    }
    for (const int64_t n : tokens) {
      size_t bytes = 0;
      Require(glq_fused_linear_e8p_group_workspace(context_, list.data(), static_cast<int32_t>(list.size()), n, nullptr,
                                                   &bytes),
              "workspace query");
      Add("group, " + std::to_string(n) + " tokens", Image(GLQ_DTYPE_BF16, n, specs[0].in),
          Image(GLQ_DTYPE_F32, n, total), bytes,
          [weights, list, widths](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to,
                                  const glq_workspace* ws) {
            std::vector<glq_view> y(list.size(), *to);
            auto* at = static_cast<float*>(to->data);
            for (size_t i = 0; i < y.size(); ++i) y[i].data = at, y[i].shape[1] = widths[i], at += widths[i];
            return glq_fused_linear_e8p_group(c, s, list.data(), static_cast<int32_t>(list.size()), from, y.data(), ws,
                                              nullptr);
          });
    }
  }

  std::vector<std::unique_ptr<Operation>> operations;

 private:
  glq_context* context_;
};

}  // namespace

std::vector<std::unique_ptr<Operation>> MakeOperations(glq_context* context) {
  Builder b(context);
  const LinearSpec small{.out = 100, .in = 200, .bits = 3}, long_rows{.out = 70, .in = 33000, .bits = 2},
      long_columns{.out = 33000, .in = 70, .bits = 2},
      custom{.out = 112, .in = 320, .bits = 2, .out_blocks = {16, 32, 64}, .in_blocks = {64, 128, 64, 64}};
  b.AddFused({.out = 96, .in = 192, .bits = 2}, {1, 8, 9, 400});
  b.AddFused(small, {1, 8, 33, 384, 2100});
  b.AddFused({.out = 96, .in = 4096, .bits = 8}, {2, 9});  // splits of k
  b.AddFused(long_rows, {3});
  b.AddFused(long_columns, {3});
  b.AddFused(custom, {3, 9});
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  Require(glq_context_get_info(context, &info), "glq_context_get_info");
  if (info.cublaslt_version != 0) b.AddF16(8, 400);
  b.AddGroup({{.out = 96, .in = 128, .bits = 2, .seed = 1, .sv_seed = 5},
              {.out = 48, .in = 128, .bits = 3, .seed = 2, .sv_seed = 5},
              {.out = 20, .in = 128, .bits = 2, .seed = 3, .sv_seed = 6}},
             {1, 9, 400});
  const auto image = [](glq_dtype t, int64_t rows, int64_t cols) { return Image(t, rows, cols); };
  for (const LinearSpec& s : {small, long_rows, long_columns}) {
    const HostLinear linear(s);
    const int64_t in = linear.spec().padded_in, out = linear.spec().padded_out;
    const SharedTensor w = b.Weight(s);
    b.Add("rht_input " + s.Text(), glq_rht_input, glq_rht_input_workspace, w, image(GLQ_DTYPE_BF16, 5, s.in),
          image(GLQ_DTYPE_F32, 5, in));
    b.Add("matmul " + s.Text(), glq_matmul_e8p, glq_matmul_e8p_workspace, w, image(GLQ_DTYPE_F32, 5, in),
          image(GLQ_DTYPE_F32, 5, out));
    b.Add("rht_output " + s.Text(), glq_rht_output, glq_rht_output_workspace, w, image(GLQ_DTYPE_F32, 5, out),
          image(GLQ_DTYPE_BF16, 5, s.out));
    b.Add("decode " + s.Text(), image(GLQ_DTYPE_F16, 1, 1), image(GLQ_DTYPE_F16, 17, in), 0,
          [w](glq_context* c, cudaStream_t stream, const glq_view*, const glq_view* to, const glq_workspace*) {
            return glq_decode_e8p(c, stream, w.get(), 3, to, nullptr);
          });
    size_t bytes = 0;
    Require(glq_dequantize_workspace(context, w.get(), nullptr, &bytes), "workspace query");
    b.Add("dequantize " + s.Text(), image(GLQ_DTYPE_F16, 1, 1), image(GLQ_DTYPE_F16, s.out, s.in), bytes,
          [w](glq_context* c, cudaStream_t stream, const glq_view*, const glq_view* to, const glq_workspace* ws) {
            return glq_dequantize(c, stream, w.get(), to, ws, nullptr);
          });
  }
  // Codes and words are any bytes: the inputs are FP16 numbers taken as such.
  for (const int32_t codebook : {GLQ_CODEBOOK_E8P, GLQ_CODEBOOK_E81B}) {
    const bool e8p = codebook == GLQ_CODEBOOK_E8P;
    const auto views = [e8p](void* codes, void* packed, glq_view& c, glq_view& p) {
      const int64_t code_shape[2] = {48, e8p ? 40 : 80}, packed_shape[4] = {e8p ? 3 : 48, e8p ? 5 : 10, 8, 4};
      Require(glq_view_init(&c, codes, e8p ? GLQ_DTYPE_U16 : GLQ_DTYPE_U8, &kGpu, 2, code_shape), "view");
      Require(glq_view_init(&p, packed, GLQ_DTYPE_I64, &kGpu, e8p ? 4 : 2, packed_shape), "view");
    };
    const std::string of = e8p ? " E8P" : " E81B";
    b.Add("pack" + of, image(GLQ_DTYPE_F16, 48, 40), image(GLQ_DTYPE_F16, 48, 40), 0,
          [views, codebook](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to,
                            const glq_workspace*) {
            glq_view codes, packed;
            views(from->data, to->data, codes, packed);
            return glq_e8p_pack(c, s, codebook, &codes, &packed);
          });
    b.Add("unpack" + of, image(GLQ_DTYPE_F16, 48, 40), image(GLQ_DTYPE_F16, 48, 40), 0,
          [views, codebook](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to,
                            const glq_workspace*) {
            glq_view codes, packed;
            views(to->data, from->data, codes, packed);
            return glq_e8p_unpack(c, s, codebook, &packed, &codes);
          });
  }
  for (const int64_t k : {333, 1032}) {
    Image dense(GLQ_DTYPE_BF16, 100, k);
    dense.FillNormal(5);
    const glq_view dense_view = dense.View();
    glq_tensor* made = nullptr;
    Require(glq_tensor_create_copy(context, GpuStream(), &dense_view, &made), "glq_tensor_create_copy");
    b.Add("gemv_bf16, " + std::to_string(k) + " columns", glq_gemv_bf16, glq_gemv_bf16_workspace,
          SharedTensor(Tensor(made)), image(GLQ_DTYPE_BF16, 7, k), image(GLQ_DTYPE_F16, 7, 100));
  }
  const auto copy = [](glq_context* c, cudaStream_t s, const glq_view* from, const glq_view* to, const glq_workspace*) {
    return glq_view_copy(c, s, from, to);
  };
  b.Add("copy", image(GLQ_DTYPE_F32, 30, 20), image(GLQ_DTYPE_F32, 30, 20), 0, copy);
  b.Add("strided copy", Image(GLQ_DTYPE_F16, 30, 20, 27, 1), Image(GLQ_DTYPE_F16, 30, 20, 21), 0, copy);
  return std::move(b.operations);
}

Buffers::Buffers(const Operation& o)
    : operation_(o),
      in_(Copy(o.in)),
      out_(Copy(o.out)),
      device_in_(in_),
      device_out_(out_),
      workspace_(o.workspace_bytes) {}

void Buffers::Reset(uint64_t seed, cudaStream_t stream) {
  in_.FillNormal(seed);
  device_in_.Upload(stream);
  device_out_.Poison(stream);
  workspace_.Poisoned(stream);
  Require(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

glq_status Buffers::Run(glq_context* context, cudaStream_t stream) {
  const glq_view from = device_in_.View(), to = device_out_.View();
  return operation_.run(context, stream, &from, &to, workspace_.get());
}

const Image& Buffers::Output(cudaStream_t stream) {
  device_out_.Download(out_, stream);
  return out_;
}

::testing::AssertionResult SameImages(const Image& expected, const Image& got) {
  if (std::memcmp(expected.begin(), got.begin(), got.bytes()) == 0) return ::testing::AssertionSuccess();
  return SameRows(expected, got, got.rows());
}

Image Eager(glq_context* context, Buffers& buffers, uint64_t seed, cudaStream_t stream) {
  buffers.Reset(seed, stream);
  Require(buffers.Run(context, stream), buffers.operation().name.c_str());
  const Image& out = buffers.Output(stream);
  Image copy = Copy(out);
  std::memcpy(copy.begin(), out.begin(), out.bytes());
  return copy;
}

}  // namespace glq::gpu
