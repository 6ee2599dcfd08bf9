// Stands for kernels/common/wgmma.cuh: a product is done when it is started.
#pragma once

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

}  // namespace glq::ptx
