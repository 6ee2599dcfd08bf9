// Which instruction sets the kernels are compiled for, and which one runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace glq::cpu {

// For example "AVX3_DL of AVX3_DL AVX3 AVX2 SSE4 SSE2": the one in use, then those compiled.
std::string SimdTargets();

// For tests. The compiled targets that this machine can run, best first, and a way to insist on one
// (0: the best again). Not to be called while an operation runs.
std::vector<int64_t> RunnableTargets();
std::string TargetName(int64_t target);
void ForceTarget(int64_t target);

}  // namespace glq::cpu
