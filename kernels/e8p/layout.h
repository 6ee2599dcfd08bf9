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
// The tables in shared memory, A, S and E: 32 copies, one per bank, so that no two lanes collide. Entry i of a table is
// at i * 128 + 4 * lane of it. One instruction makes an address of any byte of a word, a dot product of four bytes with
// 128 in the byte's place and zeros elsewhere:
//
//   address = dp4a({ index 0, index 1, index 2, index 3 }, { 0, 128, 0, 0 }, base + 4 * lane)
//
// It is done by the FMA pipe, which has little else to do; a byte permutation would take the place of a LOP3.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace glq::kernels {

inline constexpr int kTileRows = 16;
inline constexpr int kTileCols = 64;
inline constexpr int kUnitCols = 128;
inline constexpr int kUnitBytesE8p = 512;
inline constexpr int kUnitBytesE81b = 256;

inline constexpr uint32_t kTableBytes = 65536;      // A, then S
inline constexpr uint32_t kE81bTableBytes = 32768;  // E

// Where the tables lie in dynamic shared memory, behind the `front_bytes` of other things.
struct SharedPlan {
  uint32_t table;  // offsets from the start of dynamic shared memory
  uint32_t e81b;
  uint32_t total;  // bytes up to the tables' end
};

constexpr SharedPlan PlanShared(uint32_t front_bytes, bool e8p, bool e81b) {
  SharedPlan p{};
  p.table = (front_bytes + 127) / 128 * 128;
  p.e81b = p.table + (e8p ? kTableBytes : 0);
  p.total = p.e81b + (e81b ? kE81bTableBytes : 0);
  return p;
}

}  // namespace glq::kernels
