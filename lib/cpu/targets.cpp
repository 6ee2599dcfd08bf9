#include "cpu/targets.h"

#include "cpu/simd.h"
#include "hwy/highway.h"

namespace glq::cpu {
namespace {

template <typename Visit>
void ForEachTarget(int64_t set, Visit visit) {
  for (uint64_t rest = static_cast<uint64_t>(set); rest != 0; rest &= rest - 1) {
    visit(static_cast<int64_t>(rest & (~rest + 1)));  // the lowest bit is the best target
  }
}

}  // namespace

std::string TargetName(int64_t target) { return hwy::TargetName(target); }

std::string SimdTargets() {
  std::string names;
  const int64_t runnable = HWY_TARGETS & hwy::SupportedTargets();
  ForEachTarget(runnable & -runnable, [&](int64_t t) { names.append(TargetName(t)).append(" of"); });
  ForEachTarget(HWY_TARGETS, [&](int64_t t) { names.append(" ").append(TargetName(t)); });
  return names;
}

std::vector<int64_t> RunnableTargets() {
  std::vector<int64_t> targets;
  ForEachTarget(HWY_TARGETS & hwy::SupportedTargets(), [&](int64_t t) { targets.push_back(t); });
  return targets;
}

void ForceTarget(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace glq::cpu
