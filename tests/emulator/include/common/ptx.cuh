// Stands for kernels/common/ptx.cuh: the same functions on the CPU.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

namespace glq::ptx {

// D(16x8) += A(16x32) * B(32x8); see kernels/common/ptx.cuh for who holds what.
struct EmulatedU8S8 {
  uint32_t a[4], b[2];
};
inline void MmaU8S8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const EmulatedU8S8 mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  emulator::Meet(32, &mine, [&](emulator::Shown shown) {
    const int lane = emulator::LaneIn(32), p = lane / 4, q = lane % 4;
    const auto& of = [&](int at) -> const EmulatedU8S8& { return *static_cast<const EmulatedU8S8*>(shown[at]); };
    for (int i = 0; i < 4; ++i) {
      const int row = p, column = 2 * q + i % 2, half = i / 2;  // d[2], d[3]: row p + 8
      for (int k = 0; k < 32; ++k) {
        const uint32_t u = of(4 * row + k % 16 / 4).a[half + 2 * (k / 16)];
        const uint32_t s = of(4 * column + k % 16 / 4).b[k / 16];
        d[i] += static_cast<int>(u >> (8 * (k % 4)) & 0xFF) * static_cast<int8_t>(s >> (8 * (k % 4)));
      }
    }
  });
}

// D(16x8, f32) += A(16x16, bf16) * B(16x8, bf16). Tensor cores do not say in which order they add; double precision,
// rounded once, is not what they do, but nothing here depends on the last bits.
struct EmulatedBf16 {
  uint32_t a[4], b[2];
};
inline void MmaBf16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  const EmulatedBf16 mine{{a0, a1, a2, a3}, {b0, b1}};
  emulator::Meet(32, &mine, [&](emulator::Shown shown) {
    const int lane = emulator::LaneIn(32), p = lane / 4, q = lane % 4;
    const auto value = [](uint32_t pair, int which) {
      return __uint_as_float(which == 0 ? pair << 16 : pair & 0xFFFF0000u);
    };
    const auto& of = [&](int at) -> const EmulatedBf16& { return *static_cast<const EmulatedBf16*>(shown[at]); };
    for (int i = 0; i < 4; ++i) {
      const int column = 2 * q + i % 2, half = i / 2;
      double sum = d[i];
      for (int k = 0; k < 16; ++k) {
        sum += static_cast<double>(value(of(4 * p + k % 8 / 2).a[half + 2 * (k / 8)], k % 2)) *
               static_cast<double>(value(of(4 * column + k % 8 / 2).b[k / 8], k % 2));
      }
      d[i] = static_cast<float>(sum);
    }
  });
}

inline uint32_t XorAnd(uint32_t a, uint32_t b, uint32_t mask) { return (a ^ b) & mask; }
inline uint32_t AndOr(uint32_t a, uint32_t mask, uint32_t bits) { return (a & mask) | bits; }

template <typename Operation>
uint32_t OnHalves(Operation operation, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto value = [&](uint32_t pair) {
      return static_cast<double>(__half2float(__ushort_as_half(static_cast<uint16_t>(pair >> shift))));
    };
    d |= static_cast<uint32_t>(__half_as_ushort(__double2half(operation(value(a), value(b), value(c))))) << shift;
  }
  return d;
}
inline uint32_t SubHalves(uint32_t a, uint32_t b) {
  return OnHalves([](double x, double y, double) { return x - y; }, a, b, 0);
}
inline uint32_t FmaHalves(uint32_t a, uint32_t b, uint32_t c) {
  return OnHalves([](double x, double y, double z) { return x * y + z; }, a, b, c);
}

inline uint8_t* DynamicShared() { return emulator::DynamicShared(); }
inline uint32_t SharedAddress(const void* p) { return emulator::WindowAddress(p); }

template <int kOffset = 0>
uint32_t LoadShared32(uint32_t address) {
  return *static_cast<const uint32_t*>(emulator::Pointer(address + kOffset));
}
inline uint4 LoadShared128(uint32_t address) { return *static_cast<const uint4*>(emulator::Pointer(address)); }
inline uint4 LoadStream128(const void* p) { return *static_cast<const uint4*>(p); }
inline uint32_t LoadConstant32(const uint32_t* p) { return *p; }
inline uint2 LoadStream64(const void* p) { return *static_cast<const uint2*>(p); }
template <int kOffset, typename T>
void LoadStreamIf(bool any, const void* p, T& v) {
  if (any) v = *reinterpret_cast<const T*>(static_cast<const uint8_t*>(p) + kOffset);
}
template <int kOffset>
void LoadGlobalIf(bool any, const void* p, uint4& v) {
  LoadStreamIf<kOffset>(any, p, v);
}
inline void TakeAnything(uint4& v) { v = uint4{0x12345678u, 0x9ABCDEF0u, 0xFFFFFFFFu, 0x80808080u}; }
template <int kOffset>
void AddShared(uint32_t address, int v) {
  *static_cast<int*>(emulator::Pointer(address + kOffset)) += v;
}
inline uint32_t Behind(uint32_t a, uint32_t b, uint32_t c) { return a | b | c; }
inline void PrefetchL2(const void*) {}
inline void PrefetchBulk(const void*, uint32_t) {}
inline void HaveNow(const void*, uint32_t) {}

inline void Discard128(void* p) { std::memset(p, 0xDB, 128); }
inline void CopyAsync16(uint32_t shared, const void* global, bool valid) {
  if (valid) {
    std::memcpy(emulator::Pointer(shared), global, 16);
  } else {
    std::memset(emulator::Pointer(shared), 0, 16);
  }
}
inline void CopyAsync8(uint32_t shared, const void* global) { std::memcpy(emulator::Pointer(shared), global, 8); }
inline void CopyAsyncCommit() {}
template <int kPending>
void CopyAsyncWait() {}

inline void SyncSome(int barrier, int threads) { emulator::SyncNamed(barrier, threads); }
template <int kBarrier>
void SyncThreads(int threads) {
  emulator::SyncNamed(kBarrier, threads);
}

inline float MaxNan(float a, float b) {
  return std::isnan(a) || std::isnan(b) ? __uint_as_float(0x7FFFFFFFu) : a < b ? b : a;
}

inline bool AnyNan(const float (&r)[8]) {
  for (const float v : r) {
    if (std::isnan(v)) return true;
  }
  return false;
}

template <typename T>
void ComputeNow(T&) {}

inline void Store128(void* p, const uint4& v) { *static_cast<uint4*>(p) = v; }
inline void StoreRelaxed(float* p, float v) { *p = v; }
inline void StoreRelaxed(uint32_t* p, uint32_t v) { *p = v; }
inline uint4 LoadRelaxed128(const void* p) { return *static_cast<const uint4*>(p); }
inline uint32_t LoadRelaxed32(const void* p) { return *static_cast<const uint32_t*>(p); }

// Launches come one after another.
inline void WaitForPredecessor() {}
inline void LetSuccessorStart() {}

}  // namespace glq::ptx
