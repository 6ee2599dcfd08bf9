// Command line and output that the GPU benchmarks have in common.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

#include "gpu_common.h"
#include "gpu_weights.h"

namespace glq::bench {

struct CommonOptions {
  int device = 0;
  std::string csv;
  std::string cublaslt;
  std::string dtype = "bf16";
  int threads = 0;
  int replays = 25;
  bool quick = false;
  bool no_check = false;

  void AddTo(CLI::App& app);
  TimingOptions timing() const;
  glq_dtype type() const { return dtype == "bf16" ? GLQ_DTYPE_BF16 : GLQ_DTYPE_F16; }
};

// "4096x14336" is N x K. Throws std::runtime_error.
std::vector<Shape> ParseShapes(const std::vector<std::string>& names);

// A table that goes to a CSV file (if a path is given) as it grows. The file begins with comment lines ("# key:
// value") that name commit, command, machine and date.
class CsvFile {
 public:
  CsvFile(const std::string& path, const std::vector<std::pair<std::string, std::string>>& facts,
          const std::vector<std::string>& columns);
  ~CsvFile();
  CsvFile(const CsvFile&) = delete;
  CsvFile& operator=(const CsvFile&) = delete;

  void Row(const std::vector<std::string>& cells);

 private:
  std::FILE* file_ = nullptr;
  std::string path_;
};

// The facts of every benchmark: commit, command, machine, date, copy rate, cuBLASLt. Prints them, too.
std::vector<std::pair<std::string, std::string>> Facts(int argc, char** argv, const Machine& machine,
                                                       const std::string& cublaslt, const std::string& check);

// `value` with so many decimals; an empty string for a negative value, which stands for "not measured".
std::string Number(double value, int decimals);

}  // namespace glq::bench
