#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "checkpoint/index.h"
#include "core/error.h"

namespace glq::checkpoint {
namespace {

constexpr std::string_view kModel = "model.safetensors", kIndex = "model.safetensors.index.json";

SafetensorsFile Parse(const MappedFile& file, LayerSizes& sizes) {
  SafetensorsFile parsed = ParseSafetensors(file.path(), file.data(), file.size());
  const auto text = parsed.metadata.find(kSizesKey);
  if (text != parsed.metadata.end()) ReadLayerSizes(file.path(), text->second, sizes);
  return parsed;
}

}  // namespace

Checkpoint::Checkpoint(const std::string& path) {
  LayerSizes sizes;
  std::string used = path;
  if (IsDirectory(path)) {
    const std::string base = path + "/";
    used = base + std::string(kModel);
    if (!IsFile(used) && IsFile(base + std::string(kIndex))) used = base + std::string(kIndex);
  }
  if (used.ends_with(".index.json")) {
    OpenIndex(used, sizes);
  } else {
    OpenFile(used, sizes);
  }
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.name < b.name; });
  layers_ = FindLayers(used, tensors_, sizes);
}

void Checkpoint::OpenFile(const std::string& path, LayerSizes& sizes) {
  files_.emplace_back(path);
  tensors_ = Parse(files_.back(), sizes).tensors;
}

void Checkpoint::OpenIndex(const std::string& path, LayerSizes& sizes) {
  const MappedFile index(path);
  std::map<std::string, std::string> map =
      ParseIndex(path, std::string_view(reinterpret_cast<const char*>(index.data()), index.size()));
  const std::string directory = path.find('/') == std::string::npos ? "" : path.substr(0, path.rfind('/') + 1);
  std::map<std::string, size_t> expected;  // tensors by file
  for (const auto& [tensor, file] : map) ++expected[file];
  for (const auto& [name, count] : expected) {
    files_.emplace_back(directory + name);
    size_t found = 0;  // these leave the map
    for (TensorEntry& t : Parse(files_.back(), sizes).tensors) {
      const auto at = map.find(t.name);
      if (at == map.end() || at->second != name) continue;
      tensors_.push_back(std::move(t));
      map.erase(at);
      ++found;
    }
    if (found == count) continue;
    const auto missing = std::find_if(map.begin(), map.end(), [&](const auto& entry) { return entry.second == name; });
    throw Error(GLQ_E_BAD_FILE, "\"" + path + "\": weight_map says that \"" + name + "\" holds " + missing->first +
                                    ", which it does not");
  }
}

const TensorEntry* Checkpoint::FindTensor(const char* name) const {
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), std::string_view(name),
                                   [](const TensorEntry& t, std::string_view n) { return t.name < n; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

const Layer* Checkpoint::FindLayer(const char* name) const {
  const auto at = std::lower_bound(layers_.begin(), layers_.end(), std::string_view(name),
                                   [](const auto& l, std::string_view n) { return l->name < n; });
  return at != layers_.end() && (*at)->name == name ? at->get() : nullptr;
}

}  // namespace glq::checkpoint
