// Launchers of the E8P kernels. None of them decides anything: the plan does (lib/cuda/plan.h).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "e8p/params.h"

namespace glq::kernels {

// Each loads the kernels of its file for the current device.
void LoadRhtLargeKernels();
void LoadRepackKernels();
void LoadDecodeKernels();
void LoadRhtManyOutputKernels();
// These also allow the kernels shared memory out of `max_shared_bytes`.
void LoadRhtInputKernels(int max_shared_bytes);
void LoadRhtOutputKernels(int max_shared_bytes);
void LoadRhtManyInputKernels(int max_shared_bytes);
void LoadGemvKernels(int max_shared_bytes);
void LoadGemmKernels(int max_shared_bytes);
void LoadExpandHalvesKernels(int max_shared_bytes);

// --- Transforms ---
inline constexpr int kChunkElements = 4096;       // of a row that one block transforms
inline constexpr int64_t kMaxClusterDim = 32768;  // rows that one cluster of 8 blocks holds
int RhtClusterSize(int64_t dim);                  // blocks of a cluster for a row of the input
int OutputClusterSize(int64_t dim);               // for the largest Hadamard block of a row of the output
// log2 of the largest Hadamard block of a row of `dim` elements.
constexpr int LargestBlockLog2(int64_t dim) {
  int log2 = 0;
  while (int64_t{2} << log2 <= dim) ++log2;
  return log2;
}
// Whether single blocks transform the rows of a launch (rht_block.cuh), not clusters: by that and by its chunks.
// (Fitted to an H200. Of fewer the clusters' latency is shorter.)
constexpr bool TransformsInBlocks(int log2, int64_t chunks) {
  return (log2 == 13 && chunks >= 256) || (log2 == 14 && chunks >= 448);
}
// Very many rows: where their number counts more than the time that one takes (rht_many.cuh).
constexpr bool TransformsMany(int log2, int64_t chunks) { return log2 <= 14 && chunks >= 768; }
// Such a row of the input has to fit one block of threads.
bool FitsRhtManyInput(int64_t dim, int max_shared_bytes);
int RhtManyInputThreads(int64_t dim);
int RhtManyOutputThreads(int64_t dim);
void LaunchRhtInput(const RhtInputParams& p, bool dependent, int max_shared_bytes, cudaStream_t stream);
void LaunchRhtOutput(const RhtOutputGroup& group, bool dependent, int max_shared_bytes, cudaStream_t stream);
// What these two pass on.
void LaunchRhtManyInput(const RhtInputParams& p, bool dependent, cudaStream_t stream);
void LaunchRhtManyOutput(const RhtOutputGroup& group, bool dependent, cudaStream_t stream);

// Rows of any length and any block list, in place over an fp32 buffer in the workspace; see rht_large.cu.
struct BlockList {
  const int64_t* starts;  // device, count + 1 entries
  int32_t count;
  int32_t max_log2;  // of the largest block
  bool standard;     // the binary expansion of dim, largest first
};
// buffer: fp32 [tokens][dim].
void LaunchRhtInputLarge(const RhtInputParams& p, const BlockList& blocks, float* buffer, cudaStream_t stream);
void LaunchRhtOutputLarge(const RhtOutputParams& p, const BlockList& blocks, float* buffer, cudaStream_t stream);
// Only the stages' sums to fp32 y_rht, for glq_matmul_e8p.
void LaunchCombine(const RhtOutputParams& p, cudaStream_t stream);
// The transform alone over rows of a matrix, for glq_dequantize.
void LaunchFwhtRows(float* buffer, int64_t rows, int64_t dim, const BlockList& blocks, cudaStream_t stream);

// --- Product, up to 8 tokens ---
struct GemvPlan {
  int transform_chunks;  // of a row that the product itself transforms; 0: transformed before
  bool combine;          // ends with y_rht, not with sums
  bool one_chunk;        // a block's row tiles all have sums at once
  int units_per_warp, token_blocks;
  int warps_k, splits, blocks, chunk_tiles;  // grid: blocks x splits
  bool meets;  // the splits of a row are a cluster (grid: blocks * splits) and add their sums in shared memory
  int steps_e8p, steps_e81b, sum_bytes, front_bytes;
  int prefetched_steps;  // of a row of warps, into the L2
  bool awaits_row;       // ... when the input transform, a launch of its own, has its row
  size_t shared_bytes;
};
inline constexpr int kGemvWarps = 16;
inline constexpr int kGemvMaxTokens = 8;
// Small things in front of the sums (gemv.cu, Front).
inline constexpr int kGemvFrontBytes = 8 * 16 + 32 + 64 + 64 + 8 * 80 + 16;
// Sums of a row tile of one stage, 32-bit.
constexpr int GemvTileWords(int token_blocks) { return 128 * token_blocks; }
// Behind the tables, for rows of `chunks` that are transformed in the product: exchange, digits.
constexpr int GemvTransformBytes(int chunks) {
  return chunks * ((kChunkElements + kChunkElements / 8) * 4 + 2 * kChunkElements);
}
// Steps of nothing behind a list, for loads ahead of the last ones.
inline constexpr int kGemvStepsBehind = 12;
inline constexpr int kGemvMostPrefetched = 6;  // steps
constexpr int GemvListSteps(int chunk_tiles, int rows, int slots) {
  return slots == 0 ? 0 : (chunk_tiles + rows - 1) / rows * slots + kGemvStepsBehind;
}
constexpr int GemvMaxUnits(int token_blocks) { return token_blocks == 1 ? 7 : 4; }
bool HasGemvKernel(int units, int token_blocks, int transform_chunks, bool meets);
inline constexpr int kGemvMaxMeeting = 4;         // splits that can be a cluster
inline constexpr int kGemvLeastMeetingUnits = 3;  // of a warp
// Blocks that run at a time in clusters of `splits`.
int GemvRoom(int splits, int max_shared_bytes);
// Row tiles whose loads a warp has in flight: some 100 bytes a lane, what the registers allow. Fewer where the product
// transforms its row: what comes behind them is in the L2 when the digits are ready.
constexpr int GemvLoadsAhead(int units, int token_blocks, int transform_chunks) {
  if (transform_chunks > 0) return units == 2 ? 3 : 1;
  if (units == 1) return token_blocks == 1 ? 6 : 4;
  if (units == 2) return token_blocks == 1 ? 4 : 2;
  return token_blocks == 1 && units <= 4 ? 2 : 1;
}
void LaunchGemv(const GemvParams& p, const GemvPlan& plan, bool dependent, cudaStream_t stream);

// --- Product, more tokens ---
struct GemmPlan {
  int token_blocks;  // n8 blocks (4 tokens each) a block of threads holds: 4 or 8
  int splits;        // along k
  dim3 grid;
  size_t shared_bytes;
};
inline constexpr int kGemmRows = 512;       // rows of a block
uint32_t GemmFrontBytes(int token_blocks);  // shared memory in front of the tables
void LaunchGemm(const ProductParams& p, const GemmPlan& plan, bool e81b, bool dependent, cudaStream_t stream);

// --- Layouts and decoding ---
// Checkpoint words (Qidxs_e8p) <-> kernel layout; bytes (Qidxs_e81b) <-> kernel layout.
void LaunchRepackE8p(const uint64_t* packed, int64_t rows, int64_t cols, uint4* weights, cudaStream_t stream);
void LaunchExportE8p(const uint4* weights, int64_t rows, int64_t cols, uint64_t* packed, cudaStream_t stream);
void LaunchRepackE81b(const uint8_t* codes, int64_t rows, int64_t cols, uint2* weights, cudaStream_t stream);
void LaunchExportE81b(const uint2* weights, int64_t rows, int64_t cols, uint8_t* codes, cudaStream_t stream);
// Codes <-> checkpoint words.
void LaunchPack(const uint16_t* codes, int64_t rows, int64_t cols, uint64_t* packed, cudaStream_t stream);
void LaunchUnpack(const uint64_t* packed, int64_t rows, int64_t cols, uint16_t* codes, cudaStream_t stream);

struct DecodeParams {
  const void* weights[kMaxStages];
  float k[kMaxStages];
  int32_t e81b_mask, stages;
  int64_t row_begin, rows, cols, units;
  void* out;
  Scalar out_type;
  int64_t out_stride;
};
void LaunchDecode(const DecodeParams& p, cudaStream_t stream);
// One stage as int8: four (two) times the weight, [rows][cols], for the int8 library product.
void LaunchExpandInt8(const void* weights, bool e81b, int64_t rows, int64_t cols, int8_t* out, cudaStream_t stream);
// All stages as fp16, [rows][cols], for the fp16 library product: fp32 sums as in glq_decode_e8p(), rounded once.
struct ExpandStage {
  const void* weights;
  float offset[4], factor[4];
};
struct ExpandParams {
  ExpandStage stages[kMaxStages];
  int32_t e81b_mask;
  int64_t tiles, units, cols;  // row tiles; units of k of each
  uint16_t* out;
};
// `k`: by which the codebook's integers are multiplied.
void SetExpandStage(ExpandStage& stage, const void* weights, bool e81b, float k);
void LaunchExpandHalves(const ExpandParams& p, int stages, int multiprocessors, cudaStream_t stream);
// buffer fp32 [padded_out][padded_in], rows transformed already, -> columns transformed, cropped, rounded.
struct DequantizeParams {
  float* buffer;
  int64_t padded_in, in_features, out_features;
  const uint16_t *sv, *su;
  void* out;
  Scalar out_type;
  int64_t out_stride;
};
void LaunchScaleColumns(const DequantizeParams& p, const BlockList& in_blocks, int64_t padded_out, cudaStream_t stream);
void LaunchDequantizeColumns(const DequantizeParams& p, const BlockList& out_blocks, int64_t padded_out,
                             cudaStream_t stream);

}  // namespace glq::kernels
