// Times the E8P linear and its parts, to see where a call's time goes. See --help.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "gpu_report.h"
#include "gpu_weights.h"

namespace glq::bench {
namespace {

class PartsBench {
 public:
  PartsBench(const CommonOptions& options, const Machine& machine, const Context& context, const RandomPool& pool,
             CsvFile& csv)
      : options_(options), machine_(machine), context_(context), pool_(pool), csv_(csv) {}

  static std::vector<std::string> Columns() {
    return {"shape",    "bits",     "tokens", "rht_input_us", "rht_output_us", "matmul_us",
            "fused_us", "floor_us", "kernel", "sets",         "replays"};
  }

  void Measure(const Shape& shape, int bits, const std::vector<int64_t>& batches) {
    const int sets = machine_.Sets(static_cast<size_t>(PackedBytes(shape, bits)));
    std::vector<Weight> weights;
    for (int i = 0; i < sets; ++i) {
      weights.push_back(
          MakeWeight(context_, machine_.device(), machine_.stream(), pool_, shape, bits, static_cast<size_t>(i)));
    }
    const auto weight = [&](int i) { return weights[static_cast<size_t>(i) % weights.size()].get(); };
    for (const int64_t tokens : batches) {
      const Rotating x(kActivationSets, tokens, shape.cols, options_.type(), machine_),
          y(kActivationSets, tokens, shape.rows, options_.type(), machine_),
          v(kActivationSets, tokens, shape.cols, GLQ_DTYPE_F32, machine_),
          z(kActivationSets, tokens, shape.rows, GLQ_DTYPE_F32, machine_);
      x.Fill(pool_, machine_.stream());
      const glq_view xv = x.view(0), yv = y.view(0), vv = v.view(0), zv = z.view(0);
      size_t bytes = 0;
      Check(glq_fused_linear_e8p_workspace(context_.get(), weight(0), tokens, nullptr, &bytes),
            "glq_fused_linear_e8p_workspace");
      const DeviceBuffer buffer(bytes);
      const glq_workspace workspace{buffer.data(), bytes};
      const auto time = [&](const std::function<void(const glq_tensor*)>& call) {
        return MeasureGraph(machine_, options_.timing(), sets, [&](int i) { call(weight(i)); });
      };
      const cudaStream_t s = machine_.stream();
      glq_context* c = context_.get();
      const Timing input = time(
          [&](const glq_tensor* w) { Check(glq_rht_input(c, s, w, &xv, &vv, &workspace, nullptr), "glq_rht_input"); });
      const Timing matmul = time([&](const glq_tensor* w) {
        Check(glq_matmul_e8p(c, s, w, &vv, &zv, &workspace, nullptr), "glq_matmul_e8p");
      });
      const Timing output = time([&](const glq_tensor* w) {
        Check(glq_rht_output(c, s, w, &zv, &yv, &workspace, nullptr), "glq_rht_output");
      });
      const Timing fused = time([&](const glq_tensor* w) {
        Check(glq_fused_linear_e8p(c, s, w, &xv, &yv, &workspace, nullptr), "glq_fused_linear_e8p");
      });
      const double floor = machine_.FloorUs(static_cast<double>(PackedBytes(shape, bits)) +
                                            static_cast<double>(2 * tokens * (shape.rows + shape.cols)));
      std::printf("%-13s %4d %5lld %10.2f %10.2f %10.2f %10.2f %8.2f\n", shape.Name().c_str(), bits,
                  static_cast<long long>(tokens), input.median_us, output.median_us, matmul.median_us, fused.median_us,
                  floor);
      std::fflush(stdout);
      csv_.Row({shape.Name(), std::to_string(bits), std::to_string(tokens), Number(input.median_us, 3),
                Number(output.median_us, 3), Number(matmul.median_us, 3), Number(fused.median_us, 3), Number(floor, 3),
                PlanValue(context_, weights[0], tokens, "kernel"), std::to_string(sets),
                std::to_string(fused.replays)});
    }
  }

 private:
  const CommonOptions& options_;
  const Machine& machine_;
  const Context& context_;
  const RandomPool& pool_;
  CsvFile& csv_;
};

int Main(int argc, char** argv) {
  CommonOptions options;
  std::vector<std::string> names = {"4096x4096", "14336x4096", "4096x14336", "8192x8192", "28672x8192", "8192x28672"};
  std::vector<int> bits = {2, 4};
  std::vector<int64_t> tokens = {1, 2, 8, 16, 32, 128, 512, 2048};
  CLI::App app{
      "Times the parts of the E8P linear, each in a graph of its own: glq_rht_input, glq_rht_output, glq_matmul_e8p "
      "(with\n"
      "digits and, where the product does not end with y_rht, the combination of sums) and the fused call. Parts "
      "overlap in\n"
      "the fused call, which may also take other kernels: their sum is more than it. Weights rotate through more than "
      "four\n"
      "times the L2. Nothing is compared here: that is what gpu_linear_bench and the tests do."};
  options.AddTo(app);
  app.add_option("--shapes", names, "NxK,NxK,... (N outputs, K inputs)")->delimiter(',');
  app.add_option("--bits", bits, "2 to 8")->delimiter(',')->check(CLI::Range(2, 8));
  app.add_option("--tokens", tokens, "rows of x")->delimiter(',')->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const std::vector<Shape> shapes = ParseShapes(names);

  const Machine machine(options.device);
  const Context context(machine.device(), 0, options.cublaslt);
  const RandomPool pool(PoolWords(shapes), machine.stream());
  CsvFile csv(options.csv, Facts(argc, argv, machine, context.CublasLtMessage(), "none"), PartsBench::Columns());
  PartsBench bench(options, machine, context, pool, csv);
  std::printf("\nmicroseconds, medians\n%-13s %4s %5s %10s %10s %10s %10s %8s\n", "N x K", "bits", "B", "rht_input",
              "rht_output", "matmul", "fused", "floor");
  for (const Shape& shape : shapes) {
    for (const int b : bits) bench.Measure(shape, b, tokens);
  }
  return 0;
}

}  // namespace
}  // namespace glq::bench

int main(int argc, char** argv) { return glq::bench::Guarded("gpu_parts_bench", glq::bench::Main, argc, argv); }
