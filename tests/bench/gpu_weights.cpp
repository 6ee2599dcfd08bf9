#include "gpu_weights.h"

#include <algorithm>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>

namespace glq::bench {
namespace {

// Windows of the pool start this many words apart: odd, so that neighbouring stages have nothing in common.
constexpr size_t kWindowStep = 1031;
constexpr size_t kWindows = 4096;
constexpr size_t kInputSeed = 90001;

std::vector<uint16_t> Signs(const RandomPool& pool, int64_t count, size_t salt) {
  std::vector<uint16_t> signs(static_cast<size_t>(count));
  for (size_t i = 0; i < signs.size(); ++i) {
    signs[i] = pool.words()[(i + salt) % pool.words().size()] & 1 ? 0x3C00 : 0xBC00;
  }
  return signs;
}

std::vector<uint16_t> Download(const void* source, int64_t count, cudaStream_t stream) {
  std::vector<uint16_t> values(static_cast<size_t>(count));
  Check(cudaMemcpyAsync(values.data(), source, values.size() * 2, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  Check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return values;
}

// So that an element nobody writes shows: a NaN that the library never produces.
void Poison(const DeviceBuffer& buffer, cudaStream_t stream) {
  Check(cudaMemsetAsync(buffer.data(), 0xFF, buffer.bytes(), stream), "cudaMemsetAsync");
}

std::vector<int64_t> SampleRows(int64_t tokens) {
  const std::set<int64_t> rows = {0, std::min<int64_t>(1, tokens - 1), tokens / 3, tokens / 2, tokens - 1};
  return {rows.begin(), rows.end()};
}

void CompareRow(const std::vector<uint16_t>& got, const std::vector<uint16_t>& wanted, const std::string& where) {
  const auto [g, w] = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end());
  if (g == got.end() && w == wanted.end()) return;
  throw std::runtime_error("reference check FAILED, " + where + ": element " + std::to_string(g - got.begin()) +
                           " is " + std::to_string(*g) + ", should be " + std::to_string(*w) +
                           " (bits of the 16-bit type)");
}

}  // namespace

size_t PoolWords(const std::vector<Shape>& shapes) {
  int64_t elements = 0;
  for (const Shape& shape : shapes) elements = std::max(elements, shape.elements());
  return static_cast<size_t>(elements) / 32 + kWindowStep * kWindows;
}

Weight MakeWeight(const Context& context, glq_device device, cudaStream_t stream, const RandomPool& pool,
                  const Shape& shape, int bits, size_t seed) {
  const uint64_t* words = device.type == GLQ_DEVICE_CUDA ? pool.device_words() : pool.words().data();
  std::vector<glq_e8p_stage> stages;
  double sigma = 1;
  for (int left = bits; left > 0; left -= 2) {
    const bool e8p = left >= 2;
    if (!stages.empty()) sigma /= e8p ? 3.45 : 2.04;
    glq_e8p_stage stage{};
    stage.codebook = e8p ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B;
    stage.cum_inv_scale = sigma;
    const int64_t tiled[4] = {shape.rows / 16, shape.cols / 64, 8, 4}, plain[2] = {shape.rows, shape.cols / 64};
    const size_t window = (seed * GLQ_E8P_MAX_STAGES + stages.size()) % kWindows;
    Check(glq_view_init(&stage.indices, words + window * kWindowStep, GLQ_DTYPE_I64, &device, e8p ? 4 : 2,
                        e8p ? tiled : plain),
          "glq_view_init");
    stages.push_back(stage);
  }
  const std::vector<uint16_t> sv = Signs(pool, shape.cols, 0), su = Signs(pool, shape.rows, 77);
  const auto vector_view = [](const std::vector<uint16_t>& values) {
    glq_view view;
    const auto count = static_cast<int64_t>(values.size());
    Check(glq_view_init(&view, values.data(), GLQ_DTYPE_F16, nullptr, 1, &count), "glq_view_init");
    return view;
  };
  const glq_view sv_view = vector_view(sv), su_view = vector_view(su);
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
  desc.in_features = shape.cols;
  desc.out_features = shape.rows;
  desc.bits = bits;
  desc.num_stages = static_cast<int32_t>(stages.size());
  desc.weight_scale = 0.02;
  desc.stages = stages.data();
  desc.sv = &sv_view;
  desc.su = &su_view;
  glq_tensor* tensor = nullptr;
  Check(glq_tensor_create_e8p(context.get(), stream, &desc, &tensor), "glq_tensor_create_e8p");
  return Weight(tensor);
}

namespace {

glq_launch_opts OptionsOf(int32_t math_mode) {
  glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
  opts.math_mode = math_mode;
  return opts;
}

}  // namespace

std::string PlanValue(const Context& context, const Weight& weight, int64_t tokens, const std::string& key,
                      int32_t math_mode) {
  const glq_launch_opts opts = OptionsOf(math_mode);
  size_t needed = 0;
  Check(glq_fused_linear_e8p_plan(context.get(), weight.get(), tokens, &opts, nullptr, 0, &needed),
        "glq_fused_linear_e8p_plan");
  std::string text(needed, '\0');
  Check(glq_fused_linear_e8p_plan(context.get(), weight.get(), tokens, &opts, text.data(), text.size(), &needed),
        "glq_fused_linear_e8p_plan");
  std::istringstream lines(text.c_str());
  const std::string label = key + ": ";
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, label.size(), label) == 0) return line.substr(label.size());
  }
  return "";
}

Linear::Linear(const Context& context, cudaStream_t stream, std::vector<const glq_tensor*> weights, int64_t max_tokens,
               int32_t math_mode)
    : context_(context), stream_(stream), opts_(OptionsOf(math_mode)) {
  size_t bytes = 0;
  for (const glq_tensor* weight : weights) {
    size_t single = 0;
    Check(glq_fused_linear_e8p_workspace(context.get(), weight, max_tokens, &opts_, &single),
          "glq_fused_linear_e8p_workspace");
    bytes = std::max(bytes, single);
  }
  if (weights.size() > 1) {
    size_t group = 0;
    Check(glq_fused_linear_e8p_group_workspace(context.get(), weights.data(), static_cast<int32_t>(weights.size()),
                                               max_tokens, &opts_, &group),
          "glq_fused_linear_e8p_group_workspace");
    bytes = std::max(bytes, group);
  }
  buffer_ = DeviceBuffer(bytes);
  workspace_ = {buffer_.data(), bytes};
}

void Linear::Run(const glq_tensor* weight, const glq_view& x, const glq_view& y) const {
  Check(glq_fused_linear_e8p(context_.get(), stream_, weight, &x, &y, &workspace_, &opts_), "glq_fused_linear_e8p");
}

void Linear::RunGroup(const glq_tensor* const* weights, const glq_view& x, const glq_view* y, int count) const {
  Check(glq_fused_linear_e8p_group(context_.get(), stream_, weights, count, &x, y, &workspace_, &opts_),
        "glq_fused_linear_e8p_group");
}

ReferenceCheck::ReferenceCheck(const Machine& machine, const Context& gpu, const RandomPool& pool, glq_dtype dtype,
                               int threads)
    : machine_(machine), gpu_(gpu), pool_(pool), dtype_(dtype), cpu_({GLQ_DEVICE_CPU, 0}, threads, "") {}

void ReferenceCheck::Linears(const Shape& shape, int bits, const std::vector<int64_t>& tokens) {
  const cudaStream_t stream = machine_.stream();
  const glq_device gpu = machine_.device(), host = {GLQ_DEVICE_CPU, 0};
  const std::string name = shape.Name() + ", " + std::to_string(bits) + " bits";
  const int64_t most = *std::max_element(tokens.begin(), tokens.end());
  const Weight weight = MakeWeight(gpu_, gpu, stream, pool_, shape, bits, 0);
  const DeviceBuffer x(static_cast<size_t>(most * shape.cols) * 2), y(static_cast<size_t>(most * shape.rows) * 2);
  pool_.FillNormal(x.data(), x.bytes() / 2, dtype_, kInputSeed, stream);
  const Linear linear(gpu_, stream, {weight.get()}, most);

  // Each row alone, once.
  std::map<int64_t, std::vector<uint16_t>> alone;
  const auto run_alone = [&](int64_t row) -> const std::vector<uint16_t>& {
    auto [it, added] = alone.try_emplace(row);
    if (added) {
      Poison(y, stream);
      linear.Run(weight.get(), MatrixView(x.data() + row * shape.cols * 2, dtype_, gpu, 1, shape.cols),
                 MatrixView(y.data(), dtype_, gpu, 1, shape.rows));
      it->second = Download(y.data(), shape.rows, stream);
    }
    return it->second;
  };

  std::vector<uint16_t> x_host(static_cast<size_t>(shape.cols)), y_host(static_cast<size_t>(shape.rows));
  for (size_t i = 0; i < x_host.size(); ++i) x_host[i] = pool_.Normal(dtype_, kInputSeed, i);
  const Weight twin = MakeWeight(cpu_, host, nullptr, pool_, shape, bits, 0);
  size_t bytes = 0;
  Check(glq_fused_linear_e8p_workspace(cpu_.get(), twin.get(), 1, nullptr, &bytes), "glq_fused_linear_e8p_workspace");
  std::vector<std::byte> memory(bytes + GLQ_WORKSPACE_ALIGNMENT);
  void* aligned = memory.data();
  size_t space = memory.size();
  const glq_workspace workspace = {std::align(GLQ_WORKSPACE_ALIGNMENT, bytes, aligned, space), bytes};
  const glq_view x_view = MatrixView(x_host.data(), dtype_, host, 1, shape.cols);
  const glq_view y_view = MatrixView(y_host.data(), dtype_, host, 1, shape.rows);
  Check(glq_fused_linear_e8p(cpu_.get(), nullptr, twin.get(), &x_view, &y_view, &workspace, nullptr),
        "glq_fused_linear_e8p on the CPU");
  CompareRow(run_alone(0), y_host, name + ", 1 token, GPU against CPU");
  ++cpu_rows_compared_;

  for (const int64_t batch : tokens) {
    if (batch == 1) continue;
    for (const int64_t row : SampleRows(batch)) run_alone(row);
    Poison(y, stream);
    linear.Run(weight.get(), MatrixView(x.data(), dtype_, gpu, batch, shape.cols),
               MatrixView(y.data(), dtype_, gpu, batch, shape.rows));
    for (const int64_t row : SampleRows(batch)) {
      CompareRow(Download(y.data() + row * shape.rows * 2, shape.rows, stream), run_alone(row),
                 name + ", row " + std::to_string(row) + " of " + std::to_string(batch) + " against the row alone");
      ++rows_compared_;
    }
  }
}

void ReferenceCheck::Group(const std::vector<Shape>& shapes, int bits, const std::vector<int64_t>& tokens) {
  const cudaStream_t stream = machine_.stream();
  const glq_device gpu = machine_.device();
  const int64_t most = *std::max_element(tokens.begin(), tokens.end()), cols = shapes[0].cols;
  std::vector<Weight> owners;
  std::vector<const glq_tensor*> weights;
  int64_t rows = 0;
  for (const Shape& shape : shapes) {
    owners.push_back(MakeWeight(gpu_, gpu, stream, pool_, shape, bits, owners.size()));
    weights.push_back(owners.back().get());
    rows += shape.rows;
  }
  const DeviceBuffer x(static_cast<size_t>(most * cols) * 2), y(static_cast<size_t>(most * rows) * 2);
  pool_.FillNormal(x.data(), x.bytes() / 2, dtype_, kInputSeed, stream);
  const Linear linear(gpu_, stream, weights, most);
  for (const int64_t batch : tokens) {
    const glq_view x_view = MatrixView(x.data(), dtype_, gpu, batch, cols);
    std::vector<glq_view> y_views;
    int64_t start = 0;
    for (const Shape& shape : shapes) {
      y_views.push_back(MatrixView(y.data() + start * 2, dtype_, gpu, batch, shape.rows, rows));
      start += shape.rows;
    }
    Poison(y, stream);
    linear.RunGroup(weights.data(), x_view, y_views.data(), static_cast<int>(shapes.size()));
    const std::vector<uint16_t> grouped = Download(y.data(), batch * rows, stream);
    Poison(y, stream);
    for (size_t i = 0; i < shapes.size(); ++i) linear.Run(weights[i], x_view, y_views[i]);
    CompareRow(grouped, Download(y.data(), batch * rows, stream),
               "group of " + std::to_string(shapes.size()) + " weights of " + std::to_string(cols) + " columns, " +
                   std::to_string(bits) + " bits, " + std::to_string(batch) + " tokens, against separate calls");
    rows_compared_ += batch * static_cast<int64_t>(shapes.size());
  }
}

}  // namespace glq::bench
