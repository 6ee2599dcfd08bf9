// Stands for kernels/common/wgmma.cuh: a product is done when it is started.
#pragma once

#include <array>

#include "common/ptx.cuh"

namespace glq::ptx {

inline uint32_t WgmmaDescriptorLow(uint32_t shared_address) { return (shared_address & 0x3FFFF) >> 4 | 1u << 16; }
constexpr uint32_t WgmmaOffset(uint32_t bytes) { return bytes >> 4; }
inline uint64_t WgmmaDescriptor(uint32_t low) { return low; }

template <int kRegisters>
void GiveRegisters() {}
template <int kRegisters>
void TakeRegisters() {}
inline void WgmmaFence() {}
inline void WgmmaCommit() {}
template <int kPending>
void WgmmaWait() {}

// Row n of B: 128 bytes from a multiple of 1024 bytes on, its pieces of 16 bytes swizzled by n % 8.
template <int kBlocks>
void WgmmaU8S8(int (&d)[kBlocks][4], const uint32_t (&a)[4], uint64_t b) {
  emulator::Meet(128, &a, [&](emulator::Shown shown) {
    const uint32_t start = static_cast<uint32_t>(b & 0x3FFF) << 4, in_row = start % 128 / 16;
    const uint32_t rows = emulator::ClusterRank() << 24 | start / 1024 * 1024;
    const int lane = emulator::LaneIn(128), warp = lane / 32 * 32, p = lane % 32 / 4, q = lane % 4;
    for (int j = 0; j < kBlocks; ++j) {
      for (int c = 0; c < 2; ++c) {
        const uint32_t n = static_cast<uint32_t>(8 * j + 2 * q + c);
        for (int half = 0; half < 2; ++half) {
          for (int k = 0; k < 32; ++k) {
            const auto& row = *static_cast<const uint32_t(*)[4]>(shown[warp + 4 * p + k % 16 / 4]);
            const uint32_t u = row[half + 2 * (k / 16)] >> (8 * (k % 4)) & 0xFF;
            const uint32_t piece = (in_row + static_cast<uint32_t>(k) / 16) ^ (n & 7);
            const auto* s = static_cast<const int8_t*>(
                emulator::Pointer(rows + n * 128 + piece * 16 + static_cast<uint32_t>(k) % 16));
            d[j][2 * half + c] += static_cast<int>(u) * *s;
          }
        }
      }
    }
  });
}

// All fp16 numbers: a conversion in software for every product would take most of a test's time.
inline const float* ValuesOfHalves() {
  static const auto* const values = [] {
    auto* v = new std::array<float, 65536>;
    for (uint32_t i = 0; i < v->size(); ++i) (*v)[i] = __half2float(__ushort_as_half(static_cast<uint16_t>(i)));
    return v;
  }();
  return values->data();
}

template <int kBlocks>
void WgmmaF16(float (&d)[kBlocks][4], const uint32_t (&a)[4], uint64_t b) {
  emulator::Meet(128, &a, [&](emulator::Shown shown) {
    const uint32_t start = static_cast<uint32_t>(b & 0x3FFF) << 4, in_row = start % 128 / 16;
    const uint32_t rows = emulator::ClusterRank() << 24 | start / 1024 * 1024;
    const int lane = emulator::LaneIn(128), warp = lane / 32 * 32, p = lane % 32 / 4, q = lane % 4;
    const float* values = ValuesOfHalves();
    float of_a[2][16];  // rows p and p + 8
    for (int k = 0; k < 16; ++k) {
      const auto& row = *static_cast<const uint32_t(*)[4]>(shown[warp + 4 * p + k % 8 / 2]);
      for (int half = 0; half < 2; ++half) of_a[half][k] = values[row[half + 2 * (k / 8)] >> (16 * (k % 2)) & 0xFFFF];
    }
    for (int j = 0; j < kBlocks; ++j) {
      for (int c = 0; c < 2; ++c) {
        const uint32_t n = static_cast<uint32_t>(8 * j + 2 * q + c);
        double sums[2] = {d[j][c], d[j][2 + c]};  // as in MmaBf16 (ptx.cuh)
        for (uint32_t piece = 0; piece < 2; ++piece) {
          const auto* of_b =
              static_cast<const uint16_t*>(emulator::Pointer(rows + n * 128 + ((in_row + piece) ^ (n & 7)) * 16));
          for (int k = 0; k < 8; ++k) {
            const double v = values[of_b[k]];
            sums[0] += of_a[0][8 * piece + k] * v;
            sums[1] += of_a[1][8 * piece + k] * v;
          }
        }
        d[j][c] = static_cast<float>(sums[0]);
        d[j][2 + c] = static_cast<float>(sums[1]);
      }
    }
  });
}

}  // namespace glq::ptx
