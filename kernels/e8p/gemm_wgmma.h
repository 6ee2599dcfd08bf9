// The product by warpgroup MMAs (sm_90a): what it is launched with.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "e8p/layout.h"
#include "e8p/params.h"

namespace glq::kernels {

// One weight of a group call.
struct WgmmaWeight {
  const void* stage[kMaxStages];
  float k[kMaxStages];
  float* rows;  // y_rht, fp32 [token][padded_out]
  int32_t padded_out;
  int32_t first_block;  // row blocks of the weights before it
  int32_t stages, e81b_mask;
};

struct WgmmaParams {
  const uint8_t* digits;  // DigitLayout::kUnits
  const TokenHeader* headers;
  int32_t tokens;
  int32_t units;   // ceil(padded_in / 128)
  int32_t splits;  // blocks of a cluster, along k
  int32_t count;
  bool any_e8p, any_e81b;
  WgmmaWeight weights[8];
};

struct WgmmaPlan {
  int columns;     // of a block: 32, 64, 128 or 256, two per token
  int splits;      // of k, at most 8
  int row_blocks;  // over all weights
  int token_tiles;
};

// Rows of a block; registers and shared memory decide.
constexpr int WgmmaRows(int columns) { return columns <= 64 ? 256 : 128; }
// 16 rows a warp, and the copying warpgroup.
constexpr int WgmmaThreads(int columns) { return WgmmaRows(columns) * 2 + 128; }
// Units of digits in shared memory, and of weights in a lane's registers.
constexpr int WgmmaRing(int columns) { return columns <= 64 ? 12 : columns == 128 ? 6 : 3; }
constexpr int WgmmaAhead(int columns) { return columns <= 64 ? 2 : 3; }

// Longest rows: sums of 16 u * digit, u <= 15 and |digit| <= 128, have to fit 32 bits.
inline constexpr int64_t kWgmmaMaxDim = 65536;

inline constexpr int kWgmmaColumns[] = {32, 64, 128, 256};
inline constexpr int kWgmmaMaxSplits = 8;

void LoadWgmmaKernels(int max_shared_bytes);
// Blocks that the current device holds at a time, in clusters of `splits`. Clusters do not fill the GPU: its processing
// clusters differ in size. After LoadWgmmaKernels.
int WgmmaRoom(int columns, int splits);
void LaunchWgmma(const WgmmaParams& p, const WgmmaPlan& plan, bool dependent, cudaStream_t stream);

}  // namespace glq::kernels
