// Times glq_fused_linear_e8p() and its group form against a bf16 product by cuBLASLt. See --help.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "gpu_cublaslt.h"
#include "gpu_report.h"
#include "gpu_weights.h"

namespace glq::bench {
namespace {

struct Group {
  const char* name;
  std::vector<Shape> parts;
};

const std::vector<Group> kGroups = {
    {"qkv", {{4096, 4096}, {1024, 4096}, {1024, 4096}}},
    {"gate-up", {{14336, 4096}, {14336, 4096}}},
};
const std::vector<int64_t> kGroupTokens = {1, 8};
constexpr int64_t kHostTokens = 32;  // with more, what a call costs the host is hidden by the GPU's time
const char* Name(int32_t math_mode) { return math_mode == GLQ_MATH_EXACT ? "exact" : "fp16"; }

struct Settings {
  CommonOptions common;
  std::vector<Shape> shapes;
  std::vector<int> bits;
  std::vector<int64_t> tokens;
  bool groups = true;
};

struct Cell {
  Timing time;
  double floor_us = 0;
};

class LinearBench {
 public:
  LinearBench(const Settings& settings, const Machine& machine, const Context& context, const RandomPool& pool,
              const CublasLt& library, CsvFile& csv)
      : settings_(settings), machine_(machine), context_(context), pool_(pool), library_(library), csv_(csv) {}

  static std::vector<std::string> Columns() {
    return {"call",          "shape",    "n",      "k",        "bits",           "tokens",      "us_min",
            "us_median",     "gb_per_s", "bytes",  "floor_us", "share_of_floor", "bf16_us_min", "bf16_us",
            "ratio_to_bf16", "path",     "kernel", "sets",     "ops_per_graph",  "replays",     "math",
            "host_us"};
  }

  void Run() {
    std::printf(
        "\nratio: time over that of the bf16 product; share: floor over time, where the floor is the time the\n"
        "compulsory bytes (packed weights, x, y) take at the rate of the device copy; \"single fp16\" is the same call "
        "with\n"
        "GLQ_MATH_FP16_EXPANDED, where that is another way\n\n");
    for (const Shape& shape : settings_.shapes) {
      for (const int64_t tokens : settings_.tokens) Baseline(shape, tokens);
      for (const int bits : settings_.bits) Singles(shape, bits);
    }
    if (!settings_.groups) return;
    for (const Group& group : kGroups) {
      Shape whole{0, group.parts[0].cols};
      for (const Shape& part : group.parts) whole.rows += part.rows;
      for (const int64_t tokens : kGroupTokens) Baseline(whole, tokens);
      for (const int bits : settings_.bits) Groups(group, whole, bits);
    }
  }

  void PrintTable() const {
    std::printf("\nmicroseconds (share of the floor, ratio to bf16), medians\n%-14s %5s %8s", "N x K", "B", "bf16");
    for (const int bits : settings_.bits) std::printf(" | %9d bits    ", bits);
    for (const Shape& shape : settings_.shapes) {
      for (const int64_t tokens : settings_.tokens) {
        const double bf16 = BaselineUs(shape, tokens);
        std::printf("\n%-14s %5lld %8s", shape.Name().c_str(), static_cast<long long>(tokens), Number(bf16, 1).c_str());
        for (const int bits : settings_.bits) PrintCell(cells_.at({"single", shape.Name(), bits, tokens}), bf16);
        PrintF16(shape, tokens, bf16);
      }
    }
    std::printf("\n");
    if (!settings_.groups) return;
    for (const Group& group : kGroups) {
      for (const char* call : {" group", " separate"}) {
        for (const int64_t tokens : kGroupTokens) {
          int64_t rows = 0;
          for (const Shape& part : group.parts) rows += part.rows;
          const double bf16 = BaselineUs({rows, group.parts[0].cols}, tokens);
          const std::string name = group.name + std::string(call);
          std::printf("%-16s %3lld %8s", name.c_str(), static_cast<long long>(tokens), Number(bf16, 1).c_str());
          for (const int bits : settings_.bits) PrintCell(cells_.at({name, "", bits, tokens}), bf16);
          std::printf("\n");
        }
      }
    }
  }

 private:
  struct Key {
    std::string call, shape;
    int bits;
    int64_t tokens;
    auto operator<=>(const Key&) const = default;
  };

  static void PrintCell(const Cell& cell, double bf16) {
    std::printf(" |%7.1f %3.0f%% %-5s", cell.time.median_us, 100 * cell.floor_us / cell.time.median_us,
                bf16 < 0 ? "" : Number(cell.time.median_us / bf16, 2).c_str());
  }

  // A line for GLQ_MATH_FP16_EXPANDED where it was timed.
  void PrintF16(const Shape& shape, int64_t tokens, double bf16) const {
    const auto of = [&](int bits) { return cells_.find({"single fp16", shape.Name(), bits, tokens}); };
    if (std::none_of(settings_.bits.begin(), settings_.bits.end(), [&](int b) { return of(b) != cells_.end(); }))
      return;
    std::printf("\n%-14s %5lld %8s", "  fp16 mode", static_cast<long long>(tokens), "");
    for (const int bits : settings_.bits) {
      if (of(bits) == cells_.end()) {
        std::printf(" |%18s", "");
      } else {
        PrintCell(of(bits)->second, bf16);
      }
    }
  }

  double BaselineUs(const Shape& shape, int64_t tokens) const {
    const auto it = baseline_.find({"", shape.Name(), 16, tokens});
    return it == baseline_.end() ? -1 : it->second.median_us;
  }

  void Baseline(const Shape& shape, int64_t tokens) {
    if (!library_.found() || baseline_.count({"", shape.Name(), 16, tokens}) != 0) return;
    const size_t bytes = static_cast<size_t>(shape.elements()) * 2;
    const int sets = machine_.Sets(bytes);
    if (baseline_shape_ != shape) {
      baseline_weights_.clear();
      for (int i = 0; i < sets; ++i) {
        baseline_weights_.emplace_back(bytes);
        pool_.FillNormal(baseline_weights_.back().data(), bytes / 2, GLQ_DTYPE_BF16, static_cast<size_t>(i),
                         machine_.stream());
      }
      baseline_shape_ = shape;
    }
    const Rotating x(kActivationSets, tokens, shape.cols, GLQ_DTYPE_BF16, machine_),
        y(kActivationSets, tokens, shape.rows, GLQ_DTYPE_BF16, machine_);
    x.Fill(pool_, machine_.stream());
    Bf16Product product(library_, shape.rows, shape.cols, tokens);
    const Timing timing = MeasureBf16(
        machine_, settings_.common.timing(), product, sets,
        [&](int i) { return baseline_weights_[static_cast<size_t>(i) % baseline_weights_.size()].data(); },
        [&](int i) { return x.data(i); }, [&](int i) { return y.data(i); });
    baseline_[{"", shape.Name(), 16, tokens}] = timing;
  }

  void Singles(const Shape& shape, int bits) {
    baseline_weights_.clear();
    baseline_shape_ = {};
    const int sets = machine_.Sets(static_cast<size_t>(PackedBytes(shape, bits)));
    std::vector<Weight> weights;
    for (int i = 0; i < sets; ++i) {
      weights.push_back(
          MakeWeight(context_, machine_.device(), machine_.stream(), pool_, shape, bits, static_cast<size_t>(i)));
    }
    for (const int64_t tokens : settings_.tokens) {
      const Rotating x(kActivationSets, tokens, shape.cols, settings_.common.type(), machine_);
      const Rotating y(kActivationSets, tokens, shape.rows, settings_.common.type(), machine_);
      x.Fill(pool_, machine_.stream());
      for (const int32_t math : {GLQ_MATH_EXACT, GLQ_MATH_FP16_EXPANDED}) {
        const std::string path = PlanValue(context_, weights[0], tokens, "path", math);
        // Elsewhere the second mode is the first.
        if (math != GLQ_MATH_EXACT && path == PlanValue(context_, weights[0], tokens, "path")) continue;
        const Linear linear(context_, machine_.stream(), {weights[0].get()}, tokens, math);
        const auto run = [&](int i) {
          linear.Run(weights[static_cast<size_t>(i) % weights.size()].get(), x.view(i), y.view(i));
        };
        const double host = tokens <= kHostTokens ? MeasureHost(machine_, run) : -1;
        const Timing timing = MeasureGraph(machine_, settings_.common.timing(), sets, run);
        Report("single", shape, shape.Name(), bits, tokens, timing, sets, path,
               PlanValue(context_, weights[0], tokens, "kernel", math), math, host);
      }
    }
  }

  void Groups(const Group& group, const Shape& whole, int bits) {
    baseline_weights_.clear();
    baseline_shape_ = {};
    const int sets = machine_.Sets(static_cast<size_t>(PackedBytes(whole, bits)));
    const auto parts = static_cast<int>(group.parts.size());
    std::vector<Weight> owners;
    std::vector<const glq_tensor*> weights;  // those of set i from i * parts on
    for (int i = 0; i < sets; ++i) {
      for (const Shape& part : group.parts) {
        owners.push_back(MakeWeight(context_, machine_.device(), machine_.stream(), pool_, part, bits, owners.size()));
        weights.push_back(owners.back().get());
      }
    }
    for (const int64_t tokens : kGroupTokens) {
      const Rotating x(kActivationSets, tokens, whole.cols, settings_.common.type(), machine_);
      const Rotating y(kActivationSets, tokens, whole.rows, settings_.common.type(), machine_);
      x.Fill(pool_, machine_.stream());
      const Linear linear(context_, machine_.stream(), {weights.begin(), weights.begin() + parts}, tokens);
      for (const bool grouped : {true, false}) {
        const Timing timing = MeasureGraph(machine_, settings_.common.timing(), sets, [&](int i) {
          const glq_tensor* const* set = &weights[static_cast<size_t>(i % sets * parts)];
          glq_view views[GLQ_E8P_MAX_GROUP];
          int64_t start = 0;
          for (int p = 0; p < parts; ++p) {
            views[p] = y.columns(i, start, group.parts[static_cast<size_t>(p)].rows);
            start += group.parts[static_cast<size_t>(p)].rows;
          }
          if (grouped) {
            linear.RunGroup(set, x.view(i), views, parts);
          } else {
            for (int p = 0; p < parts; ++p) linear.Run(set[p], x.view(i), views[p]);
          }
        });
        Report(group.name + std::string(grouped ? " group" : " separate"), whole, "", bits, tokens, timing, sets,
               PlanValue(context_, owners[0], tokens, "path"), "");
      }
    }
  }

  void Report(const std::string& call, const Shape& shape, const std::string& key_shape, int bits, int64_t tokens,
              const Timing& timing, int sets, const std::string& path, const std::string& kernel,
              int32_t math = GLQ_MATH_EXACT, double host = -1) {
    const auto bytes = static_cast<double>(PackedBytes(shape, bits) + 2 * tokens * (shape.rows + shape.cols));
    const double floor = machine_.FloorUs(bytes), bf16 = BaselineUs(shape, tokens);
    const double ratio = bf16 < 0 ? -1 : timing.median_us / bf16;
    const std::string key = math == GLQ_MATH_EXACT ? call : call + " fp16";
    cells_[{key, key_shape, bits, tokens}] = {timing, floor};
    std::printf(
        "%-18s %-13s bits=%d B=%-5lld %9.2f us (min %9.2f) %6.0f GB/s  floor %8.2f us, share %.3f  bf16 %8s us, ratio "
        "%5s  %s\n",
        key.c_str(), shape.Name().c_str(), bits, static_cast<long long>(tokens), timing.median_us, timing.min_us,
        bytes / timing.median_us * 1e-3, floor, floor / timing.median_us, Number(bf16, 2).c_str(),
        Number(ratio, 3).c_str(), path.c_str());
    std::fflush(stdout);
    const auto it = baseline_.find({"", shape.Name(), 16, tokens});
    csv_.Row({call,
              shape.Name(),
              std::to_string(shape.rows),
              std::to_string(shape.cols),
              std::to_string(bits),
              std::to_string(tokens),
              Number(timing.min_us, 3),
              Number(timing.median_us, 3),
              Number(bytes / timing.median_us * 1e-3, 1),
              Number(bytes, 0),
              Number(floor, 3),
              Number(floor / timing.median_us, 4),
              Number(it == baseline_.end() ? -1 : it->second.min_us, 3),
              Number(bf16, 3),
              Number(ratio, 4),
              path,
              kernel,
              std::to_string(sets),
              std::to_string(timing.ops),
              std::to_string(timing.replays),
              Name(math),
              Number(host, 2)});
  }

  const Settings& settings_;
  const Machine& machine_;
  const Context& context_;
  const RandomPool& pool_;
  const CublasLt& library_;
  CsvFile& csv_;
  Shape baseline_shape_;
  std::vector<DeviceBuffer> baseline_weights_;
  std::map<Key, Timing> baseline_;
  std::map<Key, Cell> cells_;
};

int Main(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> shapes;
  bool no_groups = false;
  CLI::App app{
      "Times the E8P linear in CUDA graphs, weights rotating through more than four times the L2,\n"
      "against a bf16 product by cuBLASLt. Results are compared with the CPU's before anything is timed."};
  settings.common.AddTo(app);
  app.add_option("--shapes", shapes, "NxK,NxK,... (N outputs, K inputs)")->delimiter(',');
  app.add_option("--bits", settings.bits, "bits per weight, 2 to 8")->delimiter(',')->check(CLI::Range(2, 8));
  app.add_option("--tokens", settings.tokens, "rows of x")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_flag("--no-groups", no_groups, "leave out the group calls (qkv, gate and up)");
  CLI11_PARSE(app, argc, argv);
  const bool quick = settings.common.quick;
  if (shapes.empty()) {
    shapes = quick ? std::vector<std::string>{"4096x4096", "28672x8192"}
                   : std::vector<std::string>{"4096x4096", "6144x4096",  "14336x4096", "4096x14336",
                                              "8192x8192", "28672x8192", "8192x28672"};
  }
  settings.shapes = ParseShapes(shapes);
  if (settings.bits.empty()) settings.bits = quick ? std::vector<int>{2, 4} : std::vector<int>{2, 3, 4, 8};
  if (settings.tokens.empty()) {
    settings.tokens = quick ? std::vector<int64_t>{1, 8, 32, 128, 2048}
                            : std::vector<int64_t>{1, 2, 4, 8, 16, 32, 64, 128, 512, 2048};
  }
  settings.groups = !no_groups;

  const Machine machine(settings.common.device);
  const Context context(machine.device(), 0, settings.common.cublaslt);
  const CublasLt library(settings.common.cublaslt);
  std::vector<Shape> all = settings.shapes;
  for (const Group& group : kGroups) all.insert(all.end(), group.parts.begin(), group.parts.end());
  const RandomPool pool(PoolWords(all), machine.stream());

  std::string checked = "NOT DONE (--no-check)";
  if (!settings.common.no_check) {
    ReferenceCheck check(machine, context, pool, settings.common.type(), settings.common.threads);
    for (const int bits : settings.bits) {
      for (const Shape& shape : settings.shapes) check.Linears(shape, bits, settings.tokens);
      if (!settings.groups) continue;
      for (const Group& group : kGroups) check.Group(group.parts, bits, kGroupTokens);
    }
    checked = "passed: " + std::to_string(check.cpu_rows_compared()) + " rows equal the CPU's bytes, " +
              std::to_string(check.rows_compared()) + " rows of batches and groups equal the row alone";
  }
  const auto facts = Facts(argc, argv, machine, library.message(), checked);
  std::printf("cuBLASLt of the library: %s\n", context.CublasLtMessage().c_str());
  CsvFile csv(settings.common.csv, facts, LinearBench::Columns());
  LinearBench bench(settings, machine, context, pool, library, csv);
  bench.Run();
  bench.PrintTable();
  return 0;
}

}  // namespace
}  // namespace glq::bench

int main(int argc, char** argv) { return glq::bench::Guarded("gpu_linear_bench", glq::bench::Main, argc, argv); }
