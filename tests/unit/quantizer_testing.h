// What the quantizer's tests share: golden arrays, layers, an independent decoder.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "e8p/codebook.h"
#include "e8p/pack.h"
#include "quantizer/quantizer.h"

namespace glq::quantizer {

// An array of tests/data/golden, by its name in manifest.tsv.
class Golden {
 public:
  static bool Has(const std::string& name) { return Index().count(name) != 0; }

  template <typename T>
  static std::vector<T> Read(const std::string& name) {
    const Entry& e = Index().at(name);
    std::ifstream file(Folder() + e.file, std::ios::binary);
    std::vector<T> out(e.bytes / sizeof(T));
    file.seekg(static_cast<std::streamoff>(e.offset));
    file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size() * sizeof(T)));
    if (!file) throw std::runtime_error("cannot read " + name);
    return out;
  }

  static std::vector<int64_t> Shape(const std::string& name) { return Index().at(name).shape; }

 private:
  struct Entry {
    std::string file;
    size_t offset, bytes;
    std::vector<int64_t> shape;
  };
  static std::string Folder() { return std::string(GLQ_TEST_DATA_DIR) + "/golden/"; }
  static const std::map<std::string, Entry>& Index() {
    static const std::map<std::string, Entry> index = [] {
      std::map<std::string, Entry> entries;
      std::ifstream file(Folder() + "manifest.tsv");
      std::string line;
      while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream fields(line);
        std::string name, dtype, shape;
        Entry e;
        fields >> name >> e.file >> e.offset >> e.bytes >> dtype >> shape;
        std::istringstream extents(shape);
        for (std::string x; std::getline(extents, x, 'x');) e.shape.push_back(std::stoll(x));
        entries[name] = e;
      }
      return entries;
    }();
    return index;
  }
};

inline MatrixView View(const std::vector<float>& m, int64_t rows, int64_t cols) {
  return {m.data(), GLQ_DTYPE_F32, rows, cols, cols};
}
inline MatrixView View(const std::vector<double>& m, int64_t rows, int64_t cols) {
  return {m.data(), GLQ_DTYPE_F64, rows, cols, cols};
}

// Codes of one stage, unpacked: [padded_out][padded_in / 8].
inline std::vector<uint16_t> Codes(const Result& r, size_t stage) {
  const int64_t mp = r.meta.padded_out, np = r.meta.padded_in;
  std::vector<uint16_t> codes(static_cast<size_t>(mp * np / 8));
  const auto& bytes = r.stages[stage];
  if (r.meta.stages[stage].codebook == e8p::Codebook::kE8P) {
    std::vector<uint64_t> words(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    e8p::UnpackE8p(words.data(), mp, np, codes.data());
  } else {
    codes.assign(bytes.begin(), bytes.end());
  }
  return codes;
}

// The original-space weight that a result stands for, by dense matrices: slow and plain. `padding` keeps what
// lies beyond the weight's own rows and columns.
inline std::vector<double> Reconstruct(const Result& r, bool padding = false) {
  const int64_t mp = r.meta.padded_out, np = r.meta.padded_in;
  std::vector<double> w(static_cast<size_t>(mp * np));
  double sigma = 1;
  for (size_t s = 0; s < r.stages.size(); ++s) {
    const std::vector<uint16_t> codes = Codes(r, s);
    if (s > 0) sigma = r.inv_resid_scale[s - 1];
    for (int64_t g = 0; g < mp * np / 8; ++g) {
      int8_t v[8];
      const bool e8p = r.meta.stages[s].codebook == e8p::Codebook::kE8P;
      if (e8p) {
        e8p::DecodeE8p(codes[g], v);
      } else {
        e8p::DecodeE81b(static_cast<uint8_t>(codes[g]), v);
      }
      for (int j = 0; j < 8; ++j) w[g * 8 + j] += sigma * v[j] / (e8p ? 4.0 : 2.0) * r.weight_scale;
    }
  }
  // y_i = sum_j (-1)^popcount(i & j) x_j / sqrt(block), along rows and columns.
  const auto transform = [](double* x, int64_t stride, const std::vector<int64_t>& blocks) {
    for (const int64_t b : blocks) {
      std::vector<double> y(b);
      for (int64_t i = 0; i < b; ++i) {
        for (int64_t j = 0; j < b; ++j) y[i] += (__builtin_parityll(i & j) ? -1 : 1) * x[j * stride];
      }
      for (int64_t i = 0; i < b; ++i) x[i * stride] = y[i] / std::sqrt(static_cast<double>(b));
      x += b * stride;
    }
  };
  for (int64_t i = 0; i < mp; ++i) transform(&w[i * np], 1, r.meta.in_blocks);
  for (int64_t j = 0; j < np; ++j) transform(&w[j], np, r.meta.out_blocks);
  std::vector<double> out;
  for (int64_t i = 0; i < (padding ? mp : r.meta.out_features); ++i) {
    for (int64_t j = 0; j < (padding ? np : r.meta.in_features); ++j) {
      const double sign = (r.su[i] == 0x3C00 ? 1 : -1) * (r.sv[j] == 0x3C00 ? 1 : -1);
      out.push_back(sign * w[i * np + j]);
    }
  }
  return out;
}

// A layer with correlated inputs.
struct RandomLayer {
  int64_t out, in;
  std::vector<float> w, x;
  int64_t tokens;

  RandomLayer(int64_t out_features, int64_t in_features, uint32_t seed, int64_t n_tokens = 256)
      : out(out_features), in(in_features), w(out * in), x(n_tokens * in), tokens(n_tokens) {
    std::mt19937 twister(seed);
    std::normal_distribution<float> normal;
    for (int64_t t = 0; t < tokens; ++t) {
      float carry = 0;
      for (int64_t i = 0; i < in; ++i) {
        carry = 0.8f * carry + normal(twister);
        x[t * in + i] = carry * (i % 16 == 3 ? 4.0f : 1.0f);
      }
    }
    for (float& v : w) v = 0.02f * normal(twister);
  }
  MatrixView Weight() const { return View(w, out, in); }
  MatrixView Tokens() const { return View(x, tokens, in); }
};

inline bool SameBytes(const Result& a, const Result& b) {
  return a.stages == b.stages && a.su == b.su && a.sv == b.sv && a.inv_resid_scale == b.inv_resid_scale &&
         std::memcmp(&a.weight_scale, &b.weight_scale, sizeof(float)) == 0;
}

}  // namespace glq::quantizer
