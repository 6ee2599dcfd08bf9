// The safetensors format: the length of a header, a JSON header, the bytes of the tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "glq/base.h"

namespace glq::checkpoint {

struct TensorEntry {
  std::string name;
  std::string type;     // as the header names it
  glq_dtype dtype = 0;  // 0: a type that the library does not know
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  int64_t bytes = 0;
};

struct SafetensorsFile {
  std::vector<TensorEntry> tensors;  // in no particular order
  std::map<std::string, std::string> metadata;
};

// Parses and checks everything; entries point into `data`. `path` is for messages. Throws
// Error(GLQ_E_BAD_FILE).
SafetensorsFile ParseSafetensors(const std::string& path, const std::byte* data, size_t size);

}  // namespace glq::checkpoint
