// Codes to words of nibbles by look-ups in shared memory; see layout.h for the tables and the addresses.
#pragma once

#include <cstdint>

#include "common/ptx.cuh"
#include "e8p/layout.h"
#include "e8p/nibbles.cuh"

namespace glq::kernels {

// Fills the tables with all kThreads threads of the block: Load has the words on their way to registers, Store writes
// the copies. Sync afterwards.
template <int kThreads>
class TableWords {
 public:
  __device__ __forceinline__ void Load(bool e8p, bool e81b) {
    const uint32_t t = threadIdx.x;
    // Piece i of 16 bytes: entry i / 8, of A, then of S, or of E.
    const uint32_t* small = kNibbles.e81b.data() + t / 8;
    if (e8p) {
#pragma unroll
      for (int n = 0; n < kPieces; ++n) {
        const auto& table = n < kPieces / 2 ? kNibbles.magnitude : kNibbles.sign;
        words_[n] = ptx::LoadConstant32(table.data() + t / 8 + n % (kPieces / 2) * (kThreads / 8));
      }
    }
    if (e81b) {
#pragma unroll
      for (int n = 0; n < kSmallPieces; ++n) small_[n] = ptx::LoadConstant32(small + n * (kThreads / 8));
    }
  }

  // True, once they are there (ptx::Behind): `not_zero` is not, which the compiler cannot know.
  __device__ __forceinline__ bool Arrived(bool e81b, uint32_t not_zero) const {
    static_assert(kPieces % 2 == 0 && kSmallPieces % 2 == 0);
#pragma unroll
    for (int n = 0; n < kPieces; n += 2) not_zero = ptx::Behind(not_zero, words_[n], words_[n + 1]);
    if (e81b) {
#pragma unroll
      for (int n = 0; n < kSmallPieces; n += 2) not_zero = ptx::Behind(not_zero, small_[n], small_[n + 1]);
    }
    return not_zero != 0;
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

// Both at once.
template <int kThreads>
__device__ __forceinline__ void FillTables(uint8_t* shared, const SharedPlan& plan, bool e8p, bool e81b) {
  TableWords<kThreads> words;
  words.Load(e8p, e81b);
  words.Store(shared, plan, e8p, e81b);
}

// A lane's view of the tables.
class Decoder {
 public:
  __device__ __forceinline__ Decoder(const uint8_t* shared, const SharedPlan& plan) {
    const uint32_t lane = threadIdx.x & 31;
    const uint32_t base = ptx::SharedAddress(shared);
    table_ = base + plan.table + lane * 4;
    e81b_ = base + plan.e81b + lane * 4;
  }

  // Has the compiler keep what addresses are made of, and not compute it again for every row tile.
  __device__ __forceinline__ void Keep() { ptx::ComputeNow(table_); }

  // The two words whose XOR is the code's word of nibbles.
  struct Pair {
    uint32_t row, sign;
  };
  template <int kSlot>
  __device__ __forceinline__ Pair E8p(uint32_t rows, uint32_t signs) const {
    return {ptx::LoadShared32<0>(Entry<kSlot>(rows, table_)),
            ptx::LoadShared32<kTableBytes / 2>(Entry<kSlot>(signs, table_))};
  }

  template <int kSlot>
  __device__ __forceinline__ uint32_t E81b(uint32_t codes) const {
    return ptx::LoadShared32<0>(Entry<kSlot>(codes, e81b_));
  }

 private:
  // Byte kSlot * 128 + table.
  template <int kSlot>
  static __device__ __forceinline__ uint32_t Entry(uint32_t bytes, uint32_t table) {
    return __dp4a(bytes, 128u << (8 * kSlot), table);
  }

  uint32_t table_, e81b_;
};

}  // namespace glq::kernels
