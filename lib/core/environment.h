// Environment variables. Read when a context is made, and at no other time.
#pragma once

#include <cstdint>

namespace glq {

int32_t ThreadsFromEnvironment();       // GLQ_NUM_THREADS; 0 if unset, throws if it is no number from 1 to 1024
int32_t LogLevelFromEnvironment();      // GLQ_LOG; 0 if unset, throws for an unknown word
const char* CublasLtFromEnvironment();  // GLQ_CUBLASLT_LIBRARY; null if unset

inline constexpr int32_t kMaxThreads = 1024;

}  // namespace glq
