// Reads the golden arrays: tests/data/golden/manifest.tsv (formats, layers) and exact.tsv (the outputs that
// the exact contract prescribes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace glq::test {

struct GoldenArray {
  std::string dtype;  // "f32", "u16", ...
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  template <typename T>
  std::vector<T> As() const {
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

class Golden {
 public:
  // GLQ_GOLDEN_DIR, for programs that run on another machine, or the folder of the source tree.
  static std::string Dir() {
    if (const char* dir = std::getenv("GLQ_GOLDEN_DIR")) return std::string(dir) + "/";
    return std::string(GLQ_TEST_DATA_DIR) + "/golden/";
  }

  explicit Golden(const std::string& manifest = "manifest.tsv") {
    std::ifstream in(Dir() + manifest);
    if (!in) throw std::runtime_error("cannot open " + Dir() + manifest);
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#') continue;
      std::istringstream fields(line);
      Entry e;
      std::string name, shape;
      fields >> name >> e.file >> e.offset >> e.bytes >> e.dtype >> shape;
      std::istringstream extents(shape);
      for (std::string extent; std::getline(extents, extent, 'x');) e.shape.push_back(std::stoll(extent));
      names_.push_back(name);
      entries_.emplace(name, std::move(e));
    }
  }

  // In the order of the file.
  const std::vector<std::string>& names() const { return names_; }
  bool Has(const std::string& name) const { return entries_.count(name) != 0; }

  GoldenArray Load(const std::string& name) const {
    const auto it = entries_.find(name);
    if (it == entries_.end()) throw std::runtime_error("no golden array " + name);
    const Entry& e = it->second;
    GoldenArray array{e.dtype, e.shape, std::vector<std::byte>(e.bytes)};
    std::ifstream in(Dir() + e.file, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(e.offset));
    in.read(reinterpret_cast<char*>(array.bytes.data()), static_cast<std::streamsize>(e.bytes));
    if (!in) throw std::runtime_error("cannot read " + name + " from " + e.file);
    return array;
  }

  template <typename T>
  std::vector<T> Load(const std::string& name) const {
    return Load(name).template As<T>();
  }

 private:
  struct Entry {
    std::string file, dtype;
    size_t offset = 0, bytes = 0;
    std::vector<int64_t> shape;
  };
  std::vector<std::string> names_;
  std::map<std::string, Entry> entries_;
};

}  // namespace glq::test
