#include "core/cpu_device.h"

#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include "core/text.h"
#include "cpu/targets.h"

namespace glq {

int32_t UsableProcessors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int32_t>(std::thread::hardware_concurrency());
}

namespace {

std::string ModelName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

int64_t Pages(int name) {
#if defined(_SC_PAGESIZE)
  const long pages = sysconf(name), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<int64_t>(pages) * size : 0;
#else
  return 0;
#endif
}

}  // namespace

void FillCpuInfo(glq_device_info* info) {
  info->type = GLQ_DEVICE_CPU;
  info->multiprocessors = UsableProcessors();
#if defined(_SC_PHYS_PAGES) && defined(_SC_AVPHYS_PAGES)
  info->total_memory = Pages(_SC_PHYS_PAGES);
  info->free_memory = Pages(_SC_AVPHYS_PAGES);
#endif
  CopyText(info->name, sizeof(info->name), ModelName().c_str());
  CopyText(info->detail, sizeof(info->detail), cpu::SimdTargets().c_str());
}

}  // namespace glq
