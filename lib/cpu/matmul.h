// Integer products of compressed weights with the digits of activations. Dispatched.
//
// Layout of the weights, for every target: [rows / 16][cols / 32] blocks of 64 codes = 16 rows x 4
// adjacent groups, byte 4 * row + group. An E8P block is 64 bytes of magnitude rows, then 64 bytes of
// signs; an E81B block is 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/rht.h"
#include "e8p/linear.h"

namespace glq::cpu {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kBlockCols = 32;
inline constexpr int64_t kBlockCodes = 64;

constexpr int64_t BlockBytes(e8p::Codebook c) { return c == e8p::Codebook::kE8P ? 2 * kBlockCodes : kBlockCodes; }

struct StageBlocks {
  e8p::Codebook codebook;
  float k;                // weights of the stage are k times their integers
  const uint8_t* blocks;  // 64-byte aligned
};

struct MatmulArgs {
  const StageBlocks* stages;
  int num_stages;
  int64_t cols;            // padded
  const int8_t* digits;    // of `tokens` tokens in groups of kTokenGroup, see rht.h
  const RowScale* scales;  // [tokens]
  int64_t tokens;          // at most kTokenBlock
  float* y;                // [tokens][y_stride]; only the rows of the call's tiles are written
  int64_t y_stride;
};

// Tokens of one call: their accumulators stay in the second-level cache.
inline constexpr int64_t kTokenBlock = 128;

// Two tiles of rows are worked on at once. Scratch memory of one worker, 64-byte aligned:
inline constexpr int64_t kTilesAtOnce = 2;
inline constexpr int64_t kChunkBlocks = 16;  // blocks decoded at once, 512 columns
struct MatmulScratch {
  // [kChunkBlocks][8 subvectors][kTilesAtOnce * 16 rows][4 columns]: weights as bytes, one nibble each
  alignas(64) uint8_t tile[kChunkBlocks * 8 * kTilesAtOnce * kTileRows * 4];
  // [tokens][digit hi, lo][kTilesAtOnce * 16 rows]
  alignas(64) int32_t sums[kTokenBlock * 2 * kTilesAtOnce * kTileRows];
};

// Steps 5 and 6 of the contract for the tiles [begin, end).
void MatmulTiles(const MatmulArgs& args, int64_t begin, int64_t end, MatmulScratch* scratch);

// One row of scaled weights: the first stage's integer times k, later stages by fma. `tile_row` in [0, 16).
void DecodeRow(const StageBlocks* stages, int num_stages, int64_t cols, int64_t tile, int64_t tile_row, void* to,
               Scalar type);

}  // namespace glq::cpu
