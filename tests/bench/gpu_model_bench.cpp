// Times all linears of a decoder step of Llama-3 8B and 70B in one CUDA graph against bf16. See --help.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "gpu_cublaslt.h"
#include "gpu_report.h"
#include "gpu_weights.h"

namespace glq::bench {
namespace {

struct Model {
  std::string name;
  int layers;
  std::vector<Shape> qkv;
  Shape o;
  std::vector<Shape> gate_up;
  Shape down;

  int64_t hidden() const { return o.rows; }
  int64_t intermediate() const { return down.cols; }
  static int64_t Rows(const std::vector<Shape>& parts) {
    int64_t rows = 0;
    for (const Shape& part : parts) rows += part.rows;
    return rows;
  }
  Shape qkv_whole() const { return {Rows(qkv), hidden()}; }
  Shape gate_up_whole() const { return {Rows(gate_up), hidden()}; }
  int64_t layer_elements() const {
    return qkv_whole().elements() + o.elements() + gate_up_whole().elements() + down.elements();
  }
};

const std::vector<Model> kModels = {
    {"llama-3-8b",
     32,
     {{4096, 4096}, {1024, 4096}, {1024, 4096}},
     {4096, 4096},
     {{14336, 4096}, {14336, 4096}},
     {4096, 14336}},
    {"llama-3-70b",
     80,
     {{8192, 8192}, {1024, 8192}, {1024, 8192}},
     {8192, 8192},
     {{28672, 8192}, {28672, 8192}},
     {8192, 28672}},
};

// Inputs and outputs of a layer's linears. What lies between the linears is left out, so each input is an array of
// its own, and all layers use the same ones: as in a model, they are in the L2.
struct Activations {
  Rotating hidden, attention, mlp, qkv, gate_up, out;

  Activations(const Model& model, int64_t tokens, glq_dtype dtype, const Machine& machine, const RandomPool& pool)
      : hidden(2, tokens, model.hidden(), dtype, machine),
        attention(2, tokens, model.o.cols, dtype, machine),
        mlp(2, tokens, model.intermediate(), dtype, machine),
        qkv(2, tokens, model.qkv_whole().rows, dtype, machine),
        gate_up(2, tokens, model.gate_up_whole().rows, dtype, machine),
        out(2, tokens, model.hidden(), dtype, machine) {
    for (const Rotating* input : {&hidden, &attention, &mlp}) input->Fill(pool, machine.stream());
  }
};

// A whole decoder step is one operation of MeasureGraph.
TimingOptions StepTiming(const CommonOptions& options) {
  TimingOptions timing = options.timing();
  timing.min_ops = 1;
  timing.graph_us = 0;
  return timing;
}

class CompressedModel {
 public:
  CompressedModel(const Model& model, int bits, int distinct, int64_t max_tokens, const Machine& machine,
                  const Context& context, const RandomPool& pool)
      : model_(model), machine_(machine) {
    size_t seed = 0;
    const auto make = [&](const Shape& shape) {
      owners_.push_back(MakeWeight(context, machine.device(), machine.stream(), pool, shape, bits, seed++));
      return owners_.back().get();
    };
    for (int i = 0; i < distinct; ++i) {
      Layer layer;
      for (const Shape& part : model.qkv) layer.qkv.push_back(make(part));
      layer.o = make(model.o);
      for (const Shape& part : model.gate_up) layer.gate_up.push_back(make(part));
      layer.down = make(model.down);
      layers_.push_back(layer);
    }
    const Layer& first = layers_[0];
    qkv_ = std::make_unique<Linear>(context, machine.stream(), first.qkv, max_tokens);
    gate_up_ = std::make_unique<Linear>(context, machine.stream(), first.gate_up, max_tokens);
    o_ = std::make_unique<Linear>(context, machine.stream(), std::vector<const glq_tensor*>{first.o}, max_tokens);
    down_ = std::make_unique<Linear>(context, machine.stream(), std::vector<const glq_tensor*>{first.down}, max_tokens);
  }

  Timing Measure(const Activations& a, const TimingOptions& options) const {
    return MeasureGraph(machine_, options, 1, [&](int) {
      for (int i = 0; i < model_.layers; ++i) {
        const Layer& layer = layers_[static_cast<size_t>(i) % layers_.size()];
        RunGroup(*qkv_, layer.qkv, model_.qkv, a.hidden, a.qkv, i);
        o_->Run(layer.o, a.attention.view(i), a.out.view(i));
        RunGroup(*gate_up_, layer.gate_up, model_.gate_up, a.hidden, a.gate_up, i);
        down_->Run(layer.down, a.mlp.view(i), a.out.view(i + 1));
      }
    });
  }

 private:
  struct Layer {
    std::vector<const glq_tensor*> qkv, gate_up;
    const glq_tensor* o = nullptr;
    const glq_tensor* down = nullptr;
  };

  static void RunGroup(const Linear& linear, const std::vector<const glq_tensor*>& weights,
                       const std::vector<Shape>& parts, const Rotating& x, const Rotating& y, int i) {
    glq_view views[GLQ_E8P_MAX_GROUP];
    int64_t start = 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      views[p] = y.columns(i, start, parts[p].rows);
      start += parts[p].rows;
    }
    linear.RunGroup(weights.data(), x.view(i), views, static_cast<int>(parts.size()));
  }

  const Model& model_;
  const Machine& machine_;
  std::vector<Weight> owners_;
  std::vector<Layer> layers_;
  std::unique_ptr<Linear> qkv_, o_, gate_up_, down_;
};

// The same step with bf16 weights; qkv and gate with up are one product each.
class Bf16Model {
 public:
  Bf16Model(const Model& model, int distinct, const Machine& machine, const CublasLt& library, const RandomPool& pool)
      : model_(model), machine_(machine), library_(library) {
    size_t seed = 0;
    for (int i = 0; i < distinct; ++i) {
      for (const Shape& shape : Shapes()) {
        memory_.emplace_back(static_cast<size_t>(shape.elements()) * 2);
        pool.FillNormal(memory_.back().data(), static_cast<size_t>(shape.elements()), GLQ_DTYPE_BF16, seed++,
                        machine.stream());
      }
    }
  }

  Timing Measure(const Activations& a, int64_t tokens, const CommonOptions& options) const {
    const std::vector<Shape> shapes = Shapes();
    const Rotating* inputs[] = {&a.hidden, &a.attention, &a.hidden, &a.mlp};
    const Rotating* outputs[] = {&a.qkv, &a.out, &a.gate_up, &a.out};
    const auto sets = static_cast<int>(memory_.size() / shapes.size());
    std::vector<std::unique_ptr<Bf16Product>> products;
    for (size_t s = 0; s < shapes.size(); ++s) {
      products.push_back(std::make_unique<Bf16Product>(library_, shapes[s].rows, shapes[s].cols, tokens));
      // Chooses the fastest algorithm of this shape.
      MeasureBf16(
          machine_, options.timing(), *products[s], sets, [&](int i) { return At(s, i); },
          [&](int i) { return inputs[s]->data(i); }, [&](int i) { return outputs[s]->data(i); });
    }
    return MeasureGraph(machine_, StepTiming(options), 1, [&](int) {
      for (int i = 0; i < model_.layers; ++i) {
        for (size_t s = 0; s < shapes.size(); ++s) {
          products[s]->Run(At(s, i), inputs[s]->data(i), outputs[s]->data(s == 3 ? i + 1 : i), machine_.stream());
        }
      }
    });
  }

 private:
  std::vector<Shape> Shapes() const { return {model_.qkv_whole(), model_.o, model_.gate_up_whole(), model_.down}; }
  const void* At(size_t shape, int layer) const {
    const size_t count = Shapes().size();
    return memory_[static_cast<size_t>(layer) % (memory_.size() / count) * count + shape].data();
  }

  const Model& model_;
  const Machine& machine_;
  const CublasLt& library_;
  std::vector<DeviceBuffer> memory_;
};

int Main(int argc, char** argv) {
  CommonOptions options;
  std::vector<std::string> names;
  std::vector<int> bits;
  std::vector<int64_t> tokens;
  CLI::App app{
      "Times all linears of one decoder step of Llama-3 8B and 70B in one CUDA graph: qkv as a group, o, gate and\n"
      "up as a group, down; against bf16 products by cuBLASLt (qkv one product, gate and up one product).\n"
      "Attention, norms, activation functions, embedding and head are not included."};
  options.AddTo(app);
  app.add_option("--models", names, "llama-3-8b, llama-3-70b")
      ->delimiter(',')
      ->check(CLI::IsMember({"llama-3-8b", "llama-3-70b"}));
  app.add_option("--bits", bits, "bits per weight, 2 to 8")->delimiter(',')->check(CLI::Range(2, 8));
  app.add_option("--tokens", tokens, "sequences decoded at the same time")->delimiter(',')->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (names.empty()) names = {"llama-3-8b", "llama-3-70b"};
  if (bits.empty()) bits = options.quick ? std::vector<int>{2, 4} : std::vector<int>{2, 3, 4};
  if (tokens.empty()) tokens = options.quick ? std::vector<int64_t>{1, 8} : std::vector<int64_t>{1, 8, 32};

  const Machine machine(options.device);
  const Context context(machine.device(), 0, options.cublaslt);
  const CublasLt library(options.cublaslt);
  std::vector<Model> models;
  std::vector<Shape> shapes;
  for (const Model& model : kModels) {
    if (std::find(names.begin(), names.end(), model.name) == names.end()) continue;
    models.push_back(model);
    for (const Shape& shape : {model.o, model.down}) shapes.push_back(shape);
    for (const auto& group : {model.qkv, model.gate_up}) shapes.insert(shapes.end(), group.begin(), group.end());
  }
  const RandomPool pool(PoolWords(shapes), machine.stream());

  std::string checked = "NOT DONE (--no-check)";
  if (!options.no_check) {
    ReferenceCheck check(machine, context, pool, options.type(), options.threads);
    std::vector<Shape> distinct;
    for (const Shape& shape : shapes) {
      if (std::find(distinct.begin(), distinct.end(), shape) == distinct.end()) distinct.push_back(shape);
    }
    for (const int width : bits) {
      for (const Shape& shape : distinct) check.Linears(shape, width, tokens);
      for (const Model& model : models) {
        check.Group(model.qkv, width, tokens);
        check.Group(model.gate_up, width, tokens);
      }
    }
    checked = "passed: " + std::to_string(check.cpu_rows_compared()) + " rows equal the CPU's bytes, " +
              std::to_string(check.rows_compared()) + " rows of batches and groups equal the row alone";
  }
  auto facts = Facts(argc, argv, machine, library.message(), checked);
  facts.push_back(
      {"included", "the linears of all layers in one graph; no attention, norms, activations, embedding or head"});
  CsvFile csv(
      options.csv, facts,
      {"model", "layers", "distinct_layers", "bits", "tokens", "ms_min", "ms_median", "tokens_per_s",
       "weight_gb_per_step", "floor_ms", "share_of_floor", "bf16_ms", "bf16_tokens_per_s", "ratio_to_bf16", "replays"});
  std::printf(
      "\nOne decoder step, all linears in one graph; attention, norms, activations, embedding and head are not "
      "included.\n"
      "The layers of a step use the weights of fewer distinct layers in turn (both libraries; more than four times\n"
      "the L2 in each case), so 70B in bf16 fits. ratio: time over bf16's; share: floor over time, where the floor is\n"
      "the time the weights and activations take at the rate of the device copy.\n"
      "%-12s %4s %4s %9s %9s %9s %8s %6s %9s %10s %6s\n",
      "model", "bits", "B", "ms", "ms min", "tokens/s", "GB", "share", "bf16 ms", "bf16 tok/s", "ratio");
  for (const Model& model : models) {
    std::vector<double> bf16_ms(tokens.size(), -1);
    const auto distinct_for = [&](int64_t layer_bytes) {
      return std::min(std::max(4, machine.Sets(static_cast<size_t>(layer_bytes))), model.layers);
    };
    if (library.found()) {
      const int distinct = distinct_for(model.layer_elements() * 2);
      const Bf16Model bf16(model, distinct, machine, library, pool);
      for (size_t i = 0; i < tokens.size(); ++i) {
        const Activations activations(model, tokens[i], GLQ_DTYPE_BF16, machine, pool);
        bf16_ms[i] = bf16.Measure(activations, tokens[i], options).median_us * 1e-3;
      }
    }
    for (const int width : bits) {
      const int distinct = distinct_for(model.layer_elements() / 8 * width);
      const CompressedModel compressed(model, width, distinct, *std::max_element(tokens.begin(), tokens.end()), machine,
                                       context, pool);
      for (size_t i = 0; i < tokens.size(); ++i) {
        const Activations activations(model, tokens[i], options.type(), machine, pool);
        const Timing timing = compressed.Measure(activations, StepTiming(options));
        const double ms = timing.median_us * 1e-3,
                     weights = static_cast<double>(model.layer_elements() / 8 * width * model.layers);
        const auto per_token = static_cast<double>(2 * model.layers *
                                                   (model.qkv_whole().rows + model.qkv_whole().cols + model.o.rows +
                                                    model.o.cols + model.gate_up_whole().rows +
                                                    model.gate_up_whole().cols + model.down.rows + model.down.cols));
        const auto batch = static_cast<double>(tokens[i]);
        const double floor = machine.FloorUs(weights + per_token * batch) * 1e-3;
        const double bf16 = bf16_ms[i], ratio = bf16 < 0 ? -1 : ms / bf16,
                     bf16_rate = bf16 < 0 ? -1 : batch / bf16 * 1e3;
        std::printf("%-12s %4d %4lld %9.3f %9.3f %9.0f %8.2f %6.3f %9s %10s %6s\n", model.name.c_str(), width,
                    static_cast<long long>(tokens[i]), ms, timing.min_us * 1e-3, batch / ms * 1e3, weights * 1e-9,
                    floor / ms, Number(bf16, 3).c_str(), Number(bf16_rate, 0).c_str(), Number(ratio, 3).c_str());
        std::fflush(stdout);
        csv.Row({model.name, std::to_string(model.layers), std::to_string(distinct), std::to_string(width),
                 std::to_string(tokens[i]), Number(timing.min_us * 1e-3, 4), Number(ms, 4), Number(batch / ms * 1e3, 1),
                 Number(weights * 1e-9, 3), Number(floor, 4), Number(floor / ms, 4), Number(bf16, 4),
                 Number(bf16_rate, 1), Number(ratio, 4), std::to_string(timing.replays)});
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace glq::bench

int main(int argc, char** argv) { return glq::bench::Guarded("gpu_model_bench", glq::bench::Main, argc, argv); }
