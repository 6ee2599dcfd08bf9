// What nvcc declares without being asked, for the kernels' sources compiled as C++: built-in variables, intrinsics.
// Included in front of everything (-include). The build says which GPU is played: GLQ_EMULATED_ARCHITECTURE, 90 for
// sm_90a.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator.h"

#undef __device__
#undef __global__
#undef __host__
#undef __shared__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#define __device__
#define __global__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
// A block's threads take turns on one thread of the operating system, which runs no other block meanwhile.
#define __shared__ static thread_local

#define __CUDA_ARCH__ (GLQ_EMULATED_ARCHITECTURE * 10)
#if GLQ_EMULATED_ARCHITECTURE == 90
#define __CUDA_ARCH_FEAT_SM90_ALL 1
#endif

#define threadIdx (::glq::emulator::ThreadIdx())
#define blockIdx (::glq::emulator::BlockIdx())
#define blockDim (::glq::emulator::BlockDim())
#define gridDim (::glq::emulator::GridDim())

using std::isinf;
using std::isnan;

template <typename A, typename B>
constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(b) < static_cast<T>(a) ? static_cast<T>(b) : static_cast<T>(a);
}
template <typename A, typename B>
constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);
}

inline uint32_t __float_as_uint(float v) { return std::bit_cast<uint32_t>(v); }
inline float __uint_as_float(uint32_t v) { return std::bit_cast<float>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int __float2int_rn(float v) { return static_cast<int>(std::nearbyint(v)); }
inline int __clz(int v) { return std::countl_zero(static_cast<uint32_t>(v)); }
inline int __clzll(long long v) { return std::countl_zero(static_cast<uint64_t>(v)); }
inline int __popc(uint32_t v) { return std::popcount(v); }

inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(y) << 32 | x;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<uint32_t>(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xFF) << (8 * i);
  }
  return result;
}
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i) c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
  return c;
}
inline uint32_t __dp4a(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; ++i) c += (a >> (8 * i) & 0xFF) * (b >> (8 * i) & 0xFF);
  return c;
}

template <typename T>
T __ldg(const T* p) {
  return *p;
}

// Blocks of a cluster run at the same time.
template <typename T>
T atomicAdd(T* p, T v) {
  return std::atomic_ref<T>(*p).fetch_add(v, std::memory_order_relaxed);
}
template <typename T>
T atomicMax(T* p, T v) {
  std::atomic_ref<T> at(*p);
  T old = at.load();
  while (old < v && !at.compare_exchange_weak(old, v)) {
  }
  return old;
}

inline void __syncthreads() { glq::emulator::SyncBlock(); }
inline void __syncwarp() {
  glq::emulator::Meet(32, nullptr, [](glq::emulator::Shown) {});
}
[[noreturn]] inline void __trap() { __builtin_trap(); }

template <typename T, typename Combine>
T EmulatedReduce(T v, const Combine& combine) {
  T result{};
  glq::emulator::Meet(32, &v, [&](glq::emulator::Shown shown) {
    result = *static_cast<const T*>(shown[0]);
    for (int i = 1; i < 32; ++i) result = combine(result, *static_cast<const T*>(shown[i]));
  });
  return result;
}
inline uint32_t __reduce_max_sync(uint32_t, uint32_t v) {
  return EmulatedReduce(v, [](uint32_t a, uint32_t b) { return a < b ? b : a; });
}
inline int __reduce_add_sync(uint32_t, int v) {
  return EmulatedReduce(v, [](int a, int b) { return a + b; });
}
inline uint32_t __ballot_sync(uint32_t, bool v) {
  uint32_t result = 0;
  glq::emulator::Meet(32, &v, [&](glq::emulator::Shown shown) {
    for (int i = 0; i < 32; ++i) result |= static_cast<uint32_t>(*static_cast<const bool*>(shown[i])) << i;
  });
  return result;
}
inline int __all_sync(uint32_t mask, bool v) { return __ballot_sync(mask, v) == 0xFFFFFFFFu; }
template <typename T>
T EmulatedShuffle(T v, int from) {
  T result{};
  glq::emulator::Meet(32, &v, [&](glq::emulator::Shown shown) { result = *static_cast<const T*>(shown[from & 31]); });
  return result;
}
template <typename T>
T __shfl_sync(uint32_t, T v, int lane) {
  return EmulatedShuffle(v, lane);
}
template <typename T>
T __shfl_xor_sync(uint32_t, T v, int mask) {
  return EmulatedShuffle(v, glq::emulator::LaneIn(32) ^ mask);
}
