// Times glq_gemv_bf16() against a bf16 product by cuBLASLt on the same memory. See --help.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu_cublaslt.h"
#include "gpu_report.h"
#include "gpu_weights.h"

namespace glq::bench {
namespace {

float FromBf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

constexpr size_t kInputSeed = 90001;

class GemvBench {
 public:
  GemvBench(const CommonOptions& options, const Machine& machine, const Context& context, const RandomPool& pool,
            const CublasLt& library)
      : options_(options), machine_(machine), context_(context), pool_(pool), library_(library) {}

  static std::vector<std::string> Columns() {
    return {"shape",
            "n",
            "k",
            "tokens",
            "us_min",
            "us_median",
            "gb_per_s",
            "bytes",
            "floor_us",
            "share_of_copy_rate",
            "bf16_us_min",
            "bf16_us",
            "ratio_to_bf16",
            "sets",
            "ops_per_graph",
            "replays"};
  }

  // Rows spread over the matrix, all tokens, against sums in double precision: no further off than the rounding of
  // the result to bf16 and fp32 sums allow.
  void CheckShape(const Shape& shape, const std::vector<int64_t>& tokens) {
    Prepare(shape, 1);
    const cudaStream_t stream = machine_.stream();
    const int64_t most = *std::max_element(tokens.begin(), tokens.end());
    const DeviceBuffer x(static_cast<size_t>(most * shape.cols) * 2), y(static_cast<size_t>(most * shape.rows) * 2);
    pool_.FillNormal(x.data(), x.bytes() / 2, GLQ_DTYPE_BF16, kInputSeed, stream);
    constexpr int64_t kRows = 61;
    for (const int64_t batch : tokens) {
      Check(cudaMemsetAsync(y.data(), 0xFF, y.bytes(), stream), "cudaMemsetAsync");
      Run(0, MatrixView(x.data(), GLQ_DTYPE_BF16, machine_.device(), batch, shape.cols),
          MatrixView(y.data(), GLQ_DTYPE_BF16, machine_.device(), batch, shape.rows));
      std::vector<uint16_t> got(static_cast<size_t>(batch * shape.rows));
      Check(cudaMemcpyAsync(got.data(), y.data(), got.size() * 2, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
      machine_.Synchronize();
      for (const uint16_t value : got) {
        if ((value & 0x7F80) == 0x7F80)
          throw std::runtime_error("reference check FAILED: an element is not finite or unwritten");
      }
      for (int64_t i = 0; i < kRows; ++i) {
        const int64_t row = i * (shape.rows - 1) / (kRows - 1);
        for (int64_t t = 0; t < batch; ++t) {
          double sum = 0, magnitude = 0;
          for (int64_t k = 0; k < shape.cols; ++k) {
            const double product =
                static_cast<double>(
                    FromBf16(pool_.Normal(GLQ_DTYPE_BF16, 0, static_cast<size_t>(row * shape.cols + k)))) *
                FromBf16(pool_.Normal(GLQ_DTYPE_BF16, kInputSeed, static_cast<size_t>(t * shape.cols + k)));
            sum += product;
            magnitude += std::abs(product);
          }
          const double value = FromBf16(got[static_cast<size_t>(t * shape.rows + row)]);
          if (!(std::abs(value - sum) <= std::abs(sum) / 256 + 2e-6 * magnitude)) {
            throw std::runtime_error("reference check FAILED, " + shape.Name() + ", token " + std::to_string(t) +
                                     " of " + std::to_string(batch) + ", row " + std::to_string(row) + ": " +
                                     std::to_string(value) + ", should be " + std::to_string(sum));
          }
          ++checked_;
        }
      }
    }
  }

  void Measure(const Shape& shape, int64_t tokens, CsvFile& csv) {
    const size_t weight_bytes = static_cast<size_t>(shape.elements()) * 2;
    const int sets = machine_.Sets(weight_bytes);
    Prepare(shape, sets);
    const Rotating x(kActivationSets, tokens, shape.cols, GLQ_DTYPE_BF16, machine_),
        y(kActivationSets, tokens, shape.rows, GLQ_DTYPE_BF16, machine_);
    x.Fill(pool_, machine_.stream());
    const Timing timing = MeasureGraph(machine_, options_.timing(), sets, [&](int i) { Run(i, x.view(i), y.view(i)); });
    Timing bf16{-1, -1, 0, 0};
    if (library_.found()) {
      Bf16Product product(library_, shape.rows, shape.cols, tokens);
      bf16 = MeasureBf16(
          machine_, options_.timing(), product, sets,
          [&](int i) { return memory_[static_cast<size_t>(i) % memory_.size()].data(); },
          [&](int i) { return x.data(i); }, [&](int i) { return y.data(i); });
    }
    const auto bytes = static_cast<double>(weight_bytes) + static_cast<double>(2 * tokens * (shape.rows + shape.cols));
    const double floor = machine_.FloorUs(bytes), ratio = bf16.median_us < 0 ? -1 : timing.median_us / bf16.median_us;
    std::printf("%-13s %3lld %9.2f %9.2f %8.0f %7.3f %10s %7s\n", shape.Name().c_str(), static_cast<long long>(tokens),
                timing.median_us, timing.min_us, bytes / timing.median_us * 1e-3, floor / timing.median_us,
                Number(bf16.median_us, 2).c_str(), Number(ratio, 3).c_str());
    std::fflush(stdout);
    csv.Row({shape.Name(), std::to_string(shape.rows), std::to_string(shape.cols), std::to_string(tokens),
             Number(timing.min_us, 3), Number(timing.median_us, 3), Number(bytes / timing.median_us * 1e-3, 1),
             Number(bytes, 0), Number(floor, 3), Number(floor / timing.median_us, 4), Number(bf16.min_us, 3),
             Number(bf16.median_us, 3), Number(ratio, 4), std::to_string(sets), std::to_string(timing.ops),
             std::to_string(timing.replays)});
  }

  int64_t checked() const { return checked_; }

 private:
  // `sets` weights of this shape, the same memory for both libraries.
  void Prepare(const Shape& shape, int sets) {
    if (shape_ == shape && static_cast<int>(memory_.size()) == sets) return;
    weights_.clear();
    memory_.clear();
    workspace_buffer_ = DeviceBuffer();
    for (int i = 0; i < sets; ++i) {
      memory_.emplace_back(static_cast<size_t>(shape.elements()) * 2);
      pool_.FillNormal(memory_.back().data(), static_cast<size_t>(shape.elements()), GLQ_DTYPE_BF16,
                       static_cast<size_t>(i), machine_.stream());
      const glq_view view =
          MatrixView(memory_.back().data(), GLQ_DTYPE_BF16, machine_.device(), shape.rows, shape.cols);
      glq_tensor* tensor = nullptr;
      Check(glq_tensor_borrow(context_.get(), &view, nullptr, nullptr, &tensor), "glq_tensor_borrow");
      weights_.emplace_back(tensor);
    }
    machine_.Synchronize();
    size_t bytes = 0;
    Check(glq_gemv_bf16_workspace(context_.get(), weights_[0].get(), GLQ_GEMV_MAX_TOKENS, nullptr, &bytes),
          "glq_gemv_bf16_workspace");
    workspace_buffer_ = DeviceBuffer(bytes);
    workspace_ = {workspace_buffer_.data(), bytes};
    shape_ = shape;
  }

  void Run(int i, const glq_view& x, const glq_view& y) const {
    const glq_tensor* weight = weights_[static_cast<size_t>(i) % weights_.size()].get();
    Check(glq_gemv_bf16(context_.get(), machine_.stream(), weight, &x, &y, &workspace_, nullptr), "glq_gemv_bf16");
  }

  const CommonOptions& options_;
  const Machine& machine_;
  const Context& context_;
  const RandomPool& pool_;
  const CublasLt& library_;
  Shape shape_;
  std::vector<DeviceBuffer> memory_;
  std::vector<Weight> weights_;
  DeviceBuffer workspace_buffer_;
  glq_workspace workspace_{};
  int64_t checked_ = 0;
};

int Main(int argc, char** argv) {
  CommonOptions options;
  std::vector<std::string> names;
  std::vector<int64_t> tokens;
  CLI::App app{
      "Times the bf16 matrix-vector product in CUDA graphs, weights rotating through more than four times the\n"
      "L2, against cuBLASLt on the same weights. Results are compared with sums in double precision first."};
  options.AddTo(app);
  app.add_option("--shapes", names, "NxK,NxK,... (N outputs, K inputs)")->delimiter(',');
  app.add_option("--tokens", tokens, "rows of x, 1 to 16")->delimiter(',')->check(CLI::Range(1, GLQ_GEMV_MAX_TOKENS));
  CLI11_PARSE(app, argc, argv);
  if (names.empty()) {
    names = options.quick ? std::vector<std::string>{"4096x4096", "28672x8192"}
                          : std::vector<std::string>{"4096x4096", "6144x4096",  "14336x4096", "4096x14336",
                                                     "8192x8192", "28672x8192", "8192x28672"};
  }
  const std::vector<Shape> shapes = ParseShapes(names);
  if (tokens.empty()) {
    for (int64_t t = 1; t <= GLQ_GEMV_MAX_TOKENS; t += options.quick ? t : 1) tokens.push_back(t);
  }

  const Machine machine(options.device);
  const Context context(machine.device(), 0, options.cublaslt);
  const CublasLt library(options.cublaslt);
  const RandomPool pool(0, machine.stream());
  GemvBench bench(options, machine, context, pool, library);
  std::string checked = "NOT DONE (--no-check)";
  if (!options.no_check) {
    for (const Shape& shape : shapes) bench.CheckShape(shape, tokens);
    checked = "passed: " + std::to_string(bench.checked()) + " elements agree with sums in double precision";
  }
  CsvFile csv(options.csv, Facts(argc, argv, machine, library.message(), checked), GemvBench::Columns());
  std::printf(
      "\nglq_gemv_bf16; share: of the device copy's rate; ratio: time over that of cuBLASLt\n"
      "%-13s %3s %9s %9s %8s %7s %10s %7s\n",
      "N x K", "B", "us", "us min", "GB/s", "share", "cublas us", "ratio");
  for (const Shape& shape : shapes) {
    for (const int64_t t : tokens) bench.Measure(shape, t, csv);
  }
  return 0;
}

}  // namespace
}  // namespace glq::bench

int main(int argc, char** argv) { return glq::bench::Guarded("gpu_gemv_bench", glq::bench::Main, argc, argv); }
