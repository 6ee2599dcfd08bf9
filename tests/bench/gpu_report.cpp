#include "gpu_report.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include "gpu_commit.h"

namespace glq::bench {
namespace {

// Without the folders in front, if it is a path: they belong to one machine only.
std::string FileName(const std::string& text) {
  return text.empty() || text[0] != '/' ? text : text.substr(text.find_last_of('/') + 1);
}

}  // namespace

void CommonOptions::AddTo(CLI::App& app) {
  app.add_option("--device", device, "CUDA device")->capture_default_str();
  app.add_option("--csv", csv, "write the rows to this file, too");
  app.add_option("--cublaslt", cublaslt, "load cuBLASLt from here (default: GLQ_CUBLASLT_LIBRARY or the usual names)");
  app.add_option("--dtype", dtype, "activations and results")
      ->check(CLI::IsMember({"bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads of the reference (0: all)")->capture_default_str();
  app.add_option("--replays", replays, "timed replays of each graph, at least 20")
      ->check(CLI::Range(20, 10000))
      ->capture_default_str();
  app.add_flag("--quick", quick, "fewer shapes, widths and batches");
  app.add_flag("--no-check", no_check, "skip the comparison with the reference; the output says so");
}

TimingOptions CommonOptions::timing() const {
  TimingOptions options;
  options.replays = replays;
  return options;
}

std::vector<Shape> ParseShapes(const std::vector<std::string>& names) {
  std::vector<Shape> shapes;
  for (const std::string& name : names) {
    long long rows = 0, cols = 0;
    int used = 0;
    if (std::sscanf(name.c_str(), "%lldx%lld%n", &rows, &cols, &used) != 2 ||
        static_cast<size_t>(used) != name.size() || rows <= 0 || cols <= 0 || rows % 16 != 0 || cols % 64 != 0) {
      throw std::runtime_error("not a shape: " + name + " (NxK, N a multiple of 16, K of 64)");
    }
    shapes.push_back({rows, cols});
  }
  return shapes;
}

CsvFile::CsvFile(const std::string& path, const std::vector<std::pair<std::string, std::string>>& facts,
                 const std::vector<std::string>& columns)
    : path_(path) {
  if (path.empty()) return;
  file_ = std::fopen(path.c_str(), "w");
  if (file_ == nullptr) throw std::runtime_error("cannot write " + path + ": " + std::strerror(errno));
  for (const auto& [key, value] : facts) std::fprintf(file_, "# %s: %s\n", key.c_str(), value.c_str());
  Row(columns);
}

CsvFile::~CsvFile() {
  if (file_ != nullptr) std::fclose(file_);
}

void CsvFile::Row(const std::vector<std::string>& cells) {
  if (file_ == nullptr) return;
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i != 0) line += ',';
    const bool quoted = cells[i].find_first_of(",\"") != std::string::npos;
    if (quoted) line += '"';
    for (const char c : cells[i]) line += c == '"' ? std::string("\"\"") : std::string(1, c);
    if (quoted) line += '"';
  }
  line += '\n';
  // At once: a run that is cut short leaves what it measured.
  if (std::fputs(line.c_str(), file_) == EOF || std::fflush(file_) != 0)
    throw std::runtime_error("cannot write " + path_);
}

std::vector<std::pair<std::string, std::string>> Facts(int argc, char** argv, const Machine& machine,
                                                       const std::string& cublaslt, const std::string& check) {
  std::string command = argv[0];
  command.erase(0, command.find_last_of('/') + 1);
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--csv") == 0) {
      ++i;  // where the rows go is nothing to repeat
    } else {
      command += " " + FileName(argv[i]);
    }
  }
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof(date), "%Y-%m-%d", std::gmtime(&now));
  const std::vector<std::pair<std::string, std::string>> facts = {
      {"commit", kCommit},
      {"command", command},
      {"machine", machine.description()},
      {"date", date},
      {"device copy", Number(machine.copy_rate() * 1e-9, 0) + " GB/s (1 GiB, read and written bytes)"},
      {"bf16 baseline", FileName(cublaslt)},
      {"reference check", check}};
  for (const auto& [key, value] : facts) std::printf("%s: %s\n", key.c_str(), value.c_str());
  return facts;
}

std::string Number(double value, int decimals) {
  if (value < 0) return "";
  char text[48];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

}  // namespace glq::bench
