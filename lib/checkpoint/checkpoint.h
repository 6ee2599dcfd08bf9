// An open checkpoint: its files, mapped; its tensors and its E8P layers, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/layers.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors.h"

namespace glq::checkpoint {

class Checkpoint {
 public:
  // A .safetensors file, an index, or a directory that holds model.safetensors or its index. Throws.
  explicit Checkpoint(const std::string& path);

  const std::vector<TensorEntry>& tensors() const { return tensors_; }           // in the order of their names
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }  // the same
  const TensorEntry* FindTensor(const char* name) const;                         // null if there is none
  const Layer* FindLayer(const char* name) const;

 private:
  void OpenFile(const std::string& path, LayerSizes& sizes);
  void OpenIndex(const std::string& path, LayerSizes& sizes);

  std::vector<MappedFile> files_;
  std::vector<TensorEntry> tensors_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

}  // namespace glq::checkpoint
