// How an E8P weight lies in device memory, and how a code becomes bytes for the tensor cores.
//
// Row tile: 16 rows. Unit: 128 columns = two k tiles of 64. A warp reads one unit of a row tile at once:
//
//   E8P   [row tile][unit][lane] uint4 = { rows(t0), signs(t0), rows(t1), signs(t1) }      512 bytes
//   E81B  [row tile][unit][lane] uint2 = { codes(t0), codes(t1) }                          256 bytes
//
// with t0, t1 the unit's k tiles. Each 32-bit word holds one byte of four codes, slots 0..3. With p = lane / 4
// and q = lane % 4 a lane's slots are
//
//              group 2q     group 2q+1         (groups of 8 columns inside the k tile)
//   row 2p     slot 0       slot 2
//   row 2p+1   slot 1       slot 3
//
// the same codes that the checkpoint's 64-bit word of that lane holds (spec: word (p, q) of the tile), with
// the sign bits gathered to bytes. A missing last k tile (dim % 128 == 64) is stored as zero codes.
//
// Decoding: one table look-up per byte gives a word of eight nibbles, U = A[row] ^ S[sign] (E81B: E[code]),
// nibble k for weight k of the group; w4 = 2u - 15 (E81B: w2 = u - 4). U & 0x0F0F0F0F are the weights
// 0 2 4 6 as bytes, U & 0xF0F0F0F0 the weights 1 3 5 7 times 16: operands of u8 x s8 MMAs as they are,
// in two accumulators. MMA row r < 8 is row 2r of the tile, MMA row r + 8 row 2r + 1, so slot s is register
// a[s] of the MMA.
//
// The tables in shared memory: 32 copies, one per bank, so that no two lanes collide. Entry i of A is
// at i * 256 + 4 * lane, of S at i * 256 + 128 + 4 * lane. Where the table starts at a multiple of 64 KiB of
// the shared window, byte 1 of an address is the index itself and one PRMT makes the address:
//
//   address = { byte 0: 4 * lane, byte 1: index, bytes 2-3: table base }
//
// GPUs with less shared memory than that takes add the base instead (on the otherwise idle FMA pipe).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace glq::kernels {

inline constexpr int kTileRows = 16;
inline constexpr int kTileCols = 64;
inline constexpr int kUnitCols = 128;
inline constexpr int kUnitBytesE8p = 512;
inline constexpr int kUnitBytesE81b = 256;

inline constexpr uint32_t kTableBytes = 65536;      // A and S
inline constexpr uint32_t kE81bTableBytes = 32768;  // E

// GPUs whose blocks can hold a 64 KiB-aligned table: it needs 128 KiB + 32 KiB of the shared window. The same rule
// as kAlignedTables (decoder.cuh). PTX for other devices is compiled for the smaller layout, which runs anywhere.
constexpr bool HasAlignedTables(int compute_capability) {
  return compute_capability == 80 || compute_capability == 87 || compute_capability == 90 ||
         compute_capability == 100 || compute_capability == 101 || compute_capability == 103;
}

// Where things lie in dynamic shared memory. `sums` comes first.
struct SharedPlan {
  uint32_t table;  // offsets from the start of dynamic shared memory
  uint32_t e81b;
  uint32_t total;
};

// `base`: address of dynamic shared memory in the shared window (device) or the largest it can be (host).
__host__ __device__ constexpr SharedPlan PlanShared(uint32_t base, uint32_t front_bytes, bool e8p, bool e81b,
                                                    bool aligned) {
  SharedPlan p{};
  if (aligned && e8p) {
    p.table = (base + front_bytes + 65535) / 65536 * 65536 - base;
  } else {
    p.table = (front_bytes + 127) / 128 * 128;
  }
  p.e81b = p.table + (e8p ? kTableBytes : 0);
  p.total = p.e81b + (e81b ? kE81bTableBytes : 0);
  return p;
}

// Bytes of dynamic shared memory to ask for. Where dynamic shared memory starts in the window (1 KiB on current
// GPUs) is not documented, so room is made for a start at 0.
constexpr uint32_t SharedBytes(uint32_t front_bytes, bool e8p, bool e81b, bool aligned) {
  return PlanShared(0, front_bytes, e8p, e81b, aligned).total;
}

}  // namespace glq::kernels
