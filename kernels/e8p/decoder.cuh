// Codes to words of nibbles by look-ups in shared memory; see layout.h for the tables and the addresses.
#pragma once

#include <cstdint>

#include "common/ptx.cuh"
#include "e8p/layout.h"
#include "e8p/nibbles.cuh"

namespace glq::kernels {

// HasAlignedTables of the GPU that this pass compiles for.
#if defined(__CUDA_ARCH__)
inline constexpr bool kAlignedTables = __CUDA_ARCH__ == 800 || __CUDA_ARCH__ == 870 || __CUDA_ARCH__ == 900 ||
                                       __CUDA_ARCH__ == 1000 || __CUDA_ARCH__ == 1010 || __CUDA_ARCH__ == 1030;
#else
inline constexpr bool kAlignedTables = false;
#endif

// Fills the tables with all kThreads threads of the block: the constructor has the words on their way, Store writes the
// copies. Sync afterwards.
template <int kThreads>
class TableWords {
 public:
  __device__ __forceinline__ TableWords(bool e8p, bool e81b) {
    const uint32_t t = threadIdx.x;
    // Piece i of 16 bytes: entry i / 16; its first eight pieces are A, the others S. E81B: entry i / 8.
    const uint32_t* mine = ((t >> 3) & 1 ? kNibbles.sign : kNibbles.magnitude).data() + t / 16;
    const uint32_t* small = kNibbles.e81b.data() + t / 8;
    if (e8p) {
#pragma unroll
      for (int n = 0; n < kPieces; ++n) words_[n] = __ldg(mine + n * (kThreads / 16));
    }
    if (e81b) {
#pragma unroll
      for (int n = 0; n < kSmallPieces; ++n) small_[n] = __ldg(small + n * (kThreads / 8));
    }
  }

  __device__ __forceinline__ void Store(uint8_t* shared, const SharedPlan& plan, bool e8p, bool e81b) const {
    const int t = static_cast<int>(threadIdx.x);
    if (e8p) {
      uint4* table = reinterpret_cast<uint4*>(shared + plan.table);
#pragma unroll
      for (int n = 0; n < kPieces; ++n)
        table[n * kThreads + t] = make_uint4(words_[n], words_[n], words_[n], words_[n]);
    }
    if (e81b) {
      uint4* table = reinterpret_cast<uint4*>(shared + plan.e81b);
#pragma unroll
      for (int n = 0; n < kSmallPieces; ++n)
        table[n * kThreads + t] = make_uint4(small_[n], small_[n], small_[n], small_[n]);
    }
  }

 private:
  static constexpr int kPieces = static_cast<int>(kTableBytes / 16) / kThreads;
  static constexpr int kSmallPieces = static_cast<int>(kE81bTableBytes / 16) / kThreads;
  uint32_t words_[kPieces], small_[kSmallPieces];
};

// A lane's view of the tables.
class Decoder {
 public:
  __device__ __forceinline__ Decoder(const uint8_t* shared, const SharedPlan& plan) {
    const uint32_t lane = threadIdx.x & 31;
    const uint32_t base = ptx::SharedAddress(shared);
    // Aligned: the table's base has no bits below 65536, so PRMT can take bytes 0, 2 and 3 from here.
    template_ = kAlignedTables ? (base + plan.table) | (lane * 4) : lane * 4;
    offset_ = base + plan.table;
    e81b_ = base + plan.e81b + lane * 4;
  }

  // Has the compiler keep what addresses are made of, and not compute it again for every row tile.
  __device__ __forceinline__ void Keep() { ptx::ComputeNow(template_); }

  // The two words whose XOR is the code's word of nibbles.
  struct Pair {
    uint32_t row, sign;
  };
  template <int kSlot>
  __device__ __forceinline__ Pair E8p(uint32_t rows, uint32_t signs) const {
    // Result bytes: template byte 0, source byte kSlot, template bytes 2 and 3.
    constexpr uint32_t kSelect = 0x7604u | (kSlot << 4);
    uint32_t row = __byte_perm(rows, template_, kSelect);
    uint32_t sign = __byte_perm(signs, template_, kSelect);
    if constexpr (!kAlignedTables) {
      row += offset_;
      sign += offset_;
    }
    return {ptx::LoadShared32<0>(row), ptx::LoadShared32<128>(sign)};
  }

  template <int kSlot>
  __device__ __forceinline__ uint32_t E81b(uint32_t codes) const {
    const uint32_t code = __byte_perm(codes, 0, 0x4440u | kSlot);
    return ptx::LoadShared32<0>(code * 128 + e81b_);
  }

 private:
  uint32_t template_, offset_, e81b_;
};

}  // namespace glq::kernels
