// Counts the work of a run and tells the caller.
#pragma once

#include <algorithm>
#include <cstdint>

namespace glq::quantizer {

// Non-zero stops the run. `phase` is a static string.
using ProgressFn = int32_t (*)(void* user, int64_t done, int64_t total, const char* phase);

// A unit of work per strip of rows, and a fixed share for each of the phases around them.
class Meter {
 public:
  static constexpr int kShares = 4;  // Hessian, weight, scales, finish

  Meter(ProgressFn fn, void* user, int64_t strips)
      : fn_(fn), user_(user), share_(std::max<int64_t>(1, strips / 16)), total_(strips + kShares * share_) {}

  // False if the run is to stop.
  bool Tell(int shares, int64_t strips, const char* phase) const {
    return fn_ == nullptr || fn_(user_, shares * share_ + strips, total_, phase) == 0;
  }

 private:
  ProgressFn fn_;
  void* user_;
  int64_t share_, total_;
};

}  // namespace glq::quantizer
