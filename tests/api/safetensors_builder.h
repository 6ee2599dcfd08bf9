// Writes small safetensors files, good and bad.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace glq::test {

// A folder that goes with the test.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "glq-test-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw std::runtime_error("cannot write " + path);
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string WithHeader(const std::string& header, const std::string& data = "") {
  const uint64_t n = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &n, 8);
  return file + header + data;
}

struct StTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

struct StFile {
  std::map<std::string, StTensor> tensors;
  std::map<std::string, std::string> metadata;

  std::string Bytes() const {
    nlohmann::json header = nlohmann::json::object();
    std::string data;
    for (const auto& [name, t] : tensors) {
      header[name] = {
          {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
      data += t.bytes;
    }
    if (!metadata.empty()) header["__metadata__"] = metadata;
    return WithHeader(header.dump(), data);
  }
};

inline std::string F32(float value) { return {reinterpret_cast<const char*>(&value), 4}; }

// A layer of 32 x 128 (padded), `bits` wide, all codes 0.
inline StFile LayerFile(const std::string& name, int bits) {
  StFile f;
  f.tensors[name + ".SU"] = {"F16", {32}, std::string(64, '\x3C')};
  f.tensors[name + ".SV"] = {"F16", {128}, std::string(256, '\x3C')};
  f.tensors[name + ".Wscale"] = {"F32", {}, F32(0.5f)};
  const char* number[] = {"", "2", "3", "4"};
  const char* scale[] = {"", "inv_resid_scale", "inv_resid_scale2", "inv_resid_scale3"};
  for (int s = 0; s < (bits + 1) / 2; ++s) {
    const bool e8p = 2 * s + 2 <= bits;
    f.tensors[name + ".Qidxs" + number[s] + (e8p ? "_e8p" : "_e81b")] =
        e8p ? StTensor{"I64", {2, 2, 8, 4}, std::string(1024, '\0')} : StTensor{"I64", {32, 2}, std::string(512, '\0')};
    if (s > 0) f.tensors[name + "." + scale[s]] = {"F32", {}, F32(0.25f)};
  }
  return f;
}

}  // namespace glq::test
