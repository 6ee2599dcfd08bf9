// The index of a checkpoint that is split over several files: model.safetensors.index.json.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace glq::checkpoint {

// Name of every tensor -> name of the file that holds it, beside the index. Throws Error(GLQ_E_BAD_FILE).
std::map<std::string, std::string> ParseIndex(const std::string& path, std::string_view text);

}  // namespace glq::checkpoint
