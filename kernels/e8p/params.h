// What the E8P kernels are launched with. Plain values: a launch copies them, so that a captured graph
// does not depend on host memory.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/scalar_type.h"

namespace glq::kernels {

inline constexpr int kMaxStages = 4;
inline constexpr int kMaxSegments = 32;  // stages of all weights of a group call
inline constexpr int kMaxClusterChunks = 8;

// --- Activations between the kernels -------------------------------------------------------------------
//
// Digit 0 is hi, 1 is lo, q = 256 hi + lo; a k tile is 64 columns. The product's kernels read them in different orders.
enum class DigitLayout : int32_t {
  // [token][k tile][digit][64 bytes]. The 64 bytes are four pieces of 16, one per lane q of an MMA's k direction;
  // piece q covers the groups 2q and 2q+1 (8 columns each) of the tile:
  //     [ group 2q: columns 0 2 4 6 ][ group 2q+1: 0 2 4 6 ][ group 2q: 1 3 5 7 ][ group 2q+1: 1 3 5 7 ]
  // that is b0, b1 of the MMA over low nibbles and b0, b1 of the one over high nibbles (layout.h).
  kTiles,
  // [unit][token][digit][128 bytes] for warpgroup MMAs: per k tile of the unit 32 bytes for the low and 32 for the high
  // nibbles, b0 of the four q and then b1; the eight pieces of 16 bytes of row n = 2 * token + digit of a unit are
  // swizzled, piece c at c ^ (n % 8). A missing last k tile is zero.
  kUnits,
  // [token][digit][dim] in the order of the columns, for a library product.
  kRows,
  // Not digits: [token][dim] of fp16, v[j] * (32639 / m), for a library product in fp16.
  kHalves,
  // The same for warpgroup MMAs: [k tile][token][128 bytes]. Step j of the four k steps of a tile has the columns c = j
  // and c = j + 4 of its eight groups, side by side; of even groups in its first piece of 16 bytes, of odd ones in
  // the other. The eight pieces are swizzled as in kUnits, n = token. A missing last k tile of a unit is zero.
  kHalfTiles,
};
inline constexpr bool IsHalves(DigitLayout layout) {
  return layout == DigitLayout::kHalves || layout == DigitLayout::kHalfTiles;
}
struct alignas(16) TokenHeader {
  int2 digit_sums[kMaxClusterChunks];  // partial sums of hi and of lo over the row; zeros where there are fewer parts
  float t;                             // m / 32639
  int32_t kind;                        // 0 ordinary, 1 the row is zero, 2 the row is NaN
  // Not zero from when the input transform has its row until the output transform ends: a hint, which nothing but time
  // depends on.
  uint32_t row_came;
  int32_t reserved;
};

struct RhtInputParams {
  const void* x;
  Scalar x_type;
  int32_t tokens;
  int64_t x_stride;
  int32_t in_features, dim;  // dim: padded
  const uint16_t* sv;        // fp16 bits or null for ones
  bool in_pieces;            // rows of x are whole 16-byte pieces of 16-bit elements, aligned
  bool pretransformed;       // x is v already: only quantize (glq_matmul_e8p)
  // Either v ...
  float* v;
  int64_t v_stride;
  // ... or digits and headers.
  uint8_t* digits;
  DigitLayout layout;
  TokenHeader* headers;
  bool hints;  // TokenHeader::row_came
  // Cleared on the way: the accumulators of a split product.
  int32_t* clear;
  int64_t clear_count;  // a multiple of 4
};

// One stage of one weight in the product.
struct Segment {
  const uint4* weights;  // first row tile; see layout.h
  int32_t* z;            // [token][digit][padded_out]
  int32_t first_tile;    // row tiles of the segments before it (of the same codebook)
  int32_t padded_out;
};

// Row tiles dealt to blocks: the first `more` of them get each + 1, the others each.
struct TileShare {
  int32_t each, more;
};

// Up to 8 tokens. One weight of a group call.
struct GemvWeight {
  const void* stage[kMaxStages];  // layout.h
  float k[kMaxStages];
  int32_t* z;          // sums [stage][token][digit][padded_out], or
  float* rows;         // y_rht [token][padded_out]
  int32_t first_tile;  // row tiles of the weights before it
  int32_t padded_out;
  int32_t stages, e81b_mask;
};

// One step of a warp: a row tile of one stage; null: nothing.
struct alignas(16) GemvStep {
  const uint8_t* weights;
  int32_t sums;  // bytes behind the first of the codebook's sums
  int32_t reserved;
};
// A row tile of the chunk on its way out.
struct alignas(16) GemvTile {
  void* to;  // its first row's y_rht of token 0 (float), or its sums of stage 0, token 0, digit 0 (int32_t)
  int32_t padded_out;
  int16_t stages, e81b_mask;
  float k[kMaxStages];
};

struct GemvParams {
  int32_t tokens;
  int32_t dim;      // padded_in
  int32_t units;    // ceil(dim / 128)
  int32_t splits;   // blocks that share a row along k
  int32_t warps_k;  // warps of a block along k
  TileShare share;
  int32_t chunk_tiles;             // row tiles whose sums shared memory holds at a time
  int32_t steps_e8p, steps_e81b;   // that the list of a row of warps has room for
  int32_t sum_bytes, front_bytes;  // of these sums; of all in front of the tables
  int32_t prefetched_steps;        // of a row of warps, into the L2
  bool awaits_row;                 // before: until TokenHeader::row_came
  int32_t slots_e8p, slots_e81b;   // most stages of each codebook that a weight has; 0: left to another launch
  bool combine;                    // to y_rht instead of sums
  bool watched;                    // the output transform watches y_rht; its elements are kRowNotThere before
  // The activations transformed already ...
  const uint8_t* digits;  // DigitLayout::kTiles
  const TokenHeader* headers;
  // ... or as they come, for the kernel that transforms them.
  const void* x;
  const uint16_t* sv;
  Scalar x_type;
  int32_t count;
  GemvWeight weights[8];
};

struct ProductParams {
  const uint8_t* digits;
  int32_t tokens;
  int32_t dim;                    // padded_in
  int32_t units;                  // ceil(dim / 128)
  int32_t splits;                 // CTAs that share a row along k
  int32_t tiles_e8p, tiles_e81b;  // row tiles in all
  int32_t segments_e8p, segments_e81b;
  Segment segments[kMaxSegments];  // E8P first
};

// A NaN that no arithmetic gives: an element of y_rht that has not been stored yet.
inline constexpr uint32_t kRowNotThere = 0xFFFFFFFFu;

struct RhtOutputParams {
  // Sums of the product ...
  const int32_t* z[kMaxStages];  // per stage [token][digit][dim]
  float k[kMaxStages];
  int32_t e81b_mask;  // bit s: stage s is E81B
  bool signed_sums;   // sums over signed weights (a library product), not over nibbles
  int32_t stages;
  const TokenHeader* headers;
  // ... or rows in fp32 (stages == 0), complete or still to be multiplied by their token's t.
  const float* rows;
  int64_t rows_stride;
  bool rows_end_here;  // nobody reads them again
  TokenHeader* hint;   // whose row_came is cleared, or null
  bool watched;        // the rows' product is still running: kRowNotThere where an element is to come
  bool scale_rows;
  int32_t tokens, dim;  // dim: padded_out
  int32_t out_features;
  const uint16_t* su;  // or null
  const float* bias;   // or null
  void* y;
  Scalar y_type;
  int64_t y_stride;
};

// The weights of a group call, whose rows are transformed by one launch.
struct RhtOutputGroup {
  int32_t count;
  RhtOutputParams items[8];
};

}  // namespace glq::kernels
