#include "checkpoint/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "checkpoint/json_events.h"
#include "core/error.h"
#include "e8p/linear.h"

namespace glq::checkpoint {
namespace {

using Json = nlohmann::json;

// {"<layer>": [out_features, in_features], ...}
class SizesReader final : public JsonEvents {
 public:
  explicit SizesReader(LayerSizes& sizes) : sizes_(sizes) {}

  bool start_object(size_t) override {
    if (depth_ != 0) return Unexpected("an object");
    depth_ = 1;
    return true;
  }
  bool key(std::string& text) override {
    name_ = text;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 1) return Unexpected("an array");
    depth_ = 2;
    count_ = 0;
    return true;
  }
  bool end_array() override {
    depth_ = 1;
    if (count_ != 2) return Problem(Where() + ": not two numbers");
    const auto [at, added] = sizes_.emplace(name_, std::pair(values_[0], values_[1]));
    if (!added && at->second != std::pair(values_[0], values_[1]))
      return Problem(Where() + ": sizes that contradict each other");
    return true;
  }
  bool number_unsigned(Json::number_unsigned_t n) override {
    if (depth_ != 2 || count_ == 2) return Unexpected("a number");
    if (n < 1 || n > static_cast<uint64_t>(e8p::kMaxDim))
      return Problem(Where() + ": the size " + std::to_string(n) + " is not possible");
    values_[count_++] = static_cast<int64_t>(n);
    return true;
  }

 private:
  std::string Where() const override { return std::string("metadata ") + kSizesKey + ", \"" + name_ + "\""; }
  LayerSizes& sizes_;
  std::string name_;
  int depth_ = 0, count_ = 0;
  int64_t values_[2] = {};
};

// Suffixes of tensors of an E8P layer. Stage s (from 0) has indices "Qidxs<s + 1>_e8p" (no number for the
// first), and from the second on a scale "inv_resid_scale<s>" (no number for the second).
constexpr const char* kE8pNames[] = {"Qidxs_e8p", "Qidxs2_e8p", "Qidxs3_e8p", "Qidxs4_e8p"};
constexpr const char* kE81bNames[] = {"Qidxs_e81b", "Qidxs2_e81b", "Qidxs3_e81b", "Qidxs4_e81b"};
constexpr const char* kScaleNames[] = {"", "inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3"};

bool IsIndexName(std::string_view name) {
  const auto is = [&](const char* n) { return name == n; };
  return std::any_of(std::begin(kE8pNames), std::end(kE8pNames), is) ||
         std::any_of(std::begin(kE81bNames), std::end(kE81bNames), is);
}

class Finder {
 public:
  Finder(const std::string& path, const std::vector<TensorEntry>& tensors, const LayerSizes& sizes)
      : path_(path), tensors_(tensors), sizes_(sizes) {}

  std::vector<std::unique_ptr<Layer>> Run() {
    std::set<std::string> names;
    for (const TensorEntry& t : tensors_) {
      const size_t dot = t.name.rfind('.');
      if (dot != std::string::npos && dot > 0 && IsIndexName(std::string_view(t.name).substr(dot + 1))) {
        names.insert(t.name.substr(0, dot));
      }
    }
    std::vector<std::unique_ptr<Layer>> layers;
    for (const std::string& name : names) layers.push_back(Make(name));
    return layers;
  }

 private:
  std::unique_ptr<Layer> Make(const std::string& name) {
    auto layer = std::make_unique<Layer>();
    layer->name = name_ = name;
    const TensorEntry& first = Need("Qidxs_e8p", "is an E8P layer");
    if (first.type != "I64" || first.shape.size() != 4) Bad(first, "is not I64 of rank 4");
    CheckDims(first);
    padded_in_ = first.shape[1] * 64;
    padded_out_ = first.shape[0] * 16;
    glq_e8p_desc& desc = layer->desc;
    ReadStages(*layer);
    desc.weight_scale = Scalar(Need("Wscale", "has Qidxs_e8p"));
    layer->sv = ViewOf(Vector(Need("SV", "has Qidxs_e8p"), padded_in_));
    layer->su = ViewOf(Vector(Need("SU", "has Qidxs_e8p"), padded_out_));
    desc.sv = &layer->sv;
    desc.su = &layer->su;
    desc.stages = layer->stages;
    desc.padded_in = padded_in_;
    desc.padded_out = padded_out_;
    ReadSizes(*layer);
    return layer;
  }

  void ReadStages(Layer& layer) {
    bool ended = false;  // by an E81B stage
    for (int s = 0; s < GLQ_E8P_MAX_STAGES; ++s) {
      const TensorEntry* e8p = Find(kE8pNames[s]);
      const TensorEntry* e81b = Find(kE81bNames[s]);
      const TensorEntry* scale = s == 0 ? nullptr : Find(kScaleNames[s]);
      if (e8p && e81b) Bad(*e8p, "and " + e81b->name + " are both there, expected one of them");
      const TensorEntry* indices = e8p ? e8p : e81b;
      if (!indices) {
        if (scale) Bad(*scale, "is there without " + Full(kE8pNames[s]) + " or " + Full(kE81bNames[s]));
        continue;
      }
      if (s == 0 && e81b) Bad(*e81b, "is there, but E81B cannot be the first stage");
      if (ended || s != layer.desc.num_stages)
        Bad(*indices,
            ended ? "follows an E81B stage, which must be the last" : "is there without " + Full(kE8pNames[s - 1]));
      if (s > 0 && !scale) Bad(*indices, "is there without " + Full(kScaleNames[s]));
      glq_e8p_stage& stage = layer.stages[s];
      stage.codebook = e8p ? GLQ_CODEBOOK_E8P : GLQ_CODEBOOK_E81B;
      stage.cum_inv_scale = scale ? Scalar(*scale) : 1;
      if (stage.cum_inv_scale == 0) Bad(*scale, "is 0, which would drop the stage " + indices->name);
      stage.indices = ViewOf(Indices(*indices, e8p != nullptr));
      ++layer.desc.num_stages;
      layer.desc.bits += e8p ? 2 : 1;
      ended = e81b != nullptr;
    }
  }

  void ReadSizes(Layer& layer) {
    glq_e8p_desc& desc = layer.desc;
    desc.in_features = padded_in_;
    desc.out_features = padded_out_;
    const TensorEntry* bias = Find("bias");
    if (bias) {
      if (bias->type != "F16" && bias->type != "BF16" && bias->type != "F32")
        Bad(*bias, "is " + bias->type + ", expected F16, BF16 or F32");
      if (bias->shape.size() != 1) Bad(*bias, "is not of rank 1");
      if (bias->shape[0] < 1 || bias->shape[0] > padded_out_)
        Bad(*bias, "has " + std::to_string(bias->shape[0]) + " elements, expected 1 to " + std::to_string(padded_out_));
      layer.bias = ViewOf(*bias);
      desc.bias = &layer.bias;
      desc.out_features = bias->shape[0];
    }
    const auto found = sizes_.find(layer.name);
    if (found == sizes_.end()) return;
    const auto [out, in] = found->second;
    if (out > padded_out_ || in > padded_in_) {
      Bad(Need("Qidxs_e8p", ""), "is of a padded [" + std::to_string(padded_out_) + ", " + std::to_string(padded_in_) +
                                     "], but metadata " + kSizesKey + " says [" + std::to_string(out) + ", " +
                                     std::to_string(in) + "]");
    }
    if (bias && out != bias->shape[0]) {
      Bad(*bias, "has " + std::to_string(bias->shape[0]) + " elements, but metadata " + kSizesKey + " says " +
                     std::to_string(out) + " rows");
    }
    desc.out_features = out;
    desc.in_features = in;
  }

  void CheckDims(const TensorEntry& t) {
    if (t.shape[0] < 1 || t.shape[0] > e8p::kMaxDim / 16 || t.shape[1] < 1 || t.shape[1] > e8p::kMaxDim / 64) {
      Bad(t, "is of a dimension that is 0 or above " + std::to_string(e8p::kMaxDim));
    }
  }

  const TensorEntry& Indices(const TensorEntry& t, bool e8p) {
    if (t.type != "I64") Bad(t, "is " + t.type + ", expected I64");
    const std::vector<int64_t> shape = e8p ? std::vector<int64_t>{padded_out_ / 16, padded_in_ / 64, 8, 4}
                                           : std::vector<int64_t>{padded_out_, padded_in_ / 64};
    return Shaped(t, shape);
  }

  const TensorEntry& Vector(const TensorEntry& t, int64_t n) {
    if (t.type != "F16") Bad(t, "is " + t.type + ", expected F16");
    return Shaped(t, {n});
  }

  const TensorEntry& Shaped(const TensorEntry& t, const std::vector<int64_t>& shape) {
    const auto text = [](const std::vector<int64_t>& v) {
      std::string s = "[";
      for (size_t i = 0; i < v.size(); ++i) s += (i ? ", " : "") + std::to_string(v[i]);
      return s + "]";
    };
    if (t.shape != shape) Bad(t, "is of shape " + text(t.shape) + ", expected " + text(shape));
    return t;
  }

  double Scalar(const TensorEntry& t) {
    if (t.type != "F32") Bad(t, "is " + t.type + ", expected F32");
    if (t.bytes != sizeof(float)) Bad(t, "is not a single number");
    float value;
    std::memcpy(&value, t.data, sizeof(value));
    if (!std::isfinite(value)) Bad(t, "is " + std::to_string(value) + ", expected a finite number");
    return value;
  }

  std::string Full(const char* suffix) const { return name_ + "." + suffix; }

  const TensorEntry* Find(const char* suffix) const {
    const std::string full = Full(suffix);
    const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), full,
                                     [](const TensorEntry& t, const std::string& n) { return t.name < n; });
    return at != tensors_.end() && at->name == full ? &*at : nullptr;
  }

  const TensorEntry& Need(const char* suffix, const char* why) const {
    const TensorEntry* t = Find(suffix);
    if (!t) throw Error(GLQ_E_BAD_FILE, "\"" + path_ + "\": " + Full(suffix) + " is missing; " + name_ + " " + why);
    return *t;
  }

  [[noreturn]] void Bad(const TensorEntry& t, const std::string& what) const {
    throw Error(GLQ_E_BAD_FILE, "\"" + path_ + "\": " + t.name + " " + what);
  }

  const std::string& path_;
  const std::vector<TensorEntry>& tensors_;
  const LayerSizes& sizes_;
  std::string name_;  // of the layer at hand, as the next
  int64_t padded_in_ = 0, padded_out_ = 0;
};

}  // namespace

void ReadLayerSizes(const std::string& path, const std::string& text, LayerSizes& sizes) {
  const std::string problem = SizesReader(sizes).Read(text);
  if (!problem.empty()) throw Error(GLQ_E_BAD_FILE, "\"" + path + "\": metadata " + kSizesKey + ": " + problem);
}

glq_view ViewOf(const TensorEntry& tensor) {
  glq_view view{};
  view.data = const_cast<std::byte*>(tensor.data);
  view.dtype = tensor.dtype;
  view.ndim = static_cast<int32_t>(tensor.shape.size());
  view.device = {GLQ_DEVICE_CPU, 0};
  view.flags = GLQ_VIEW_READ_ONLY;
  int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    view.shape[i] = tensor.shape[static_cast<size_t>(i)];
    view.strides[i] = stride;
    // Extents beside an empty one may be anything.
    if (__builtin_mul_overflow(stride, std::max<int64_t>(1, view.shape[i]), &stride)) stride = 1;
  }
  return view;
}

std::vector<std::unique_ptr<Layer>> FindLayers(const std::string& path, const std::vector<TensorEntry>& tensors,
                                               const LayerSizes& sizes) {
  return Finder(path, tensors, sizes).Run();
}

}  // namespace glq::checkpoint
