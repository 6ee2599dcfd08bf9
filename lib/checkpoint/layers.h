// The E8P layers of a checkpoint: which tensors belong together, and whether they fit.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "glq/e8p.h"

namespace glq::checkpoint {

// All of the descriptor's pointers lead into the layer or into the file.
struct Layer {
  std::string name;
  glq_e8p_stage stages[GLQ_E8P_MAX_STAGES] = {};
  glq_view sv{}, su{}, bias{};
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
};

// Unpadded sizes that the file's metadata states, by layer: {out_features, in_features}.
using LayerSizes = std::map<std::string, std::pair<int64_t, int64_t>>;

// The key of safetensors metadata that holds them: a JSON object {"<layer>": [out_features, in_features], ...}.
inline constexpr char kSizesKey[] = "glq.layers";

// Adds what `text` (the value of that key) says. Throws Error(GLQ_E_BAD_FILE).
void ReadLayerSizes(const std::string& path, const std::string& text, LayerSizes& sizes);

// The view of a tensor; its type is known and its rank at most GLQ_MAX_NDIM.
glq_view ViewOf(const TensorEntry& tensor);

// In the order of their names. `tensors` is sorted by name. Throws Error(GLQ_E_BAD_FILE) that names the
// tensors which do not fit. Layers must not move afterwards.
std::vector<std::unique_ptr<Layer>> FindLayers(const std::string& path, const std::vector<TensorEntry>& tensors,
                                               const LayerSizes& sizes);

}  // namespace glq::checkpoint
