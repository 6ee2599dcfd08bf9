// The fp16 product by warpgroup MMAs (sm_90a): what it is launched with.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "e8p/layout.h"
#include "e8p/params.h"

namespace glq::kernels {

// One weight of a group call. An element of the weight is factor * c_1, where c_s = (u_s - offset) + ratio_{s+1} *
// c_{s+1} in fp16, u_s the nibble of stage s.
struct HalvesWeight {
  const void* stage[kMaxStages];
  uint32_t ratio[kMaxStages];  // of stage s to stage s - 1, fp16, twice; the first is not used
  float factor;
  float* rows;  // y_rht / t, fp32 [token][padded_out]
  int32_t padded_out;
  int32_t first_block;  // row blocks of the weights before it
};

// The weights of a launch have the same stages.
struct HalvesParams {
  const uint8_t* halves;  // DigitLayout::kHalfTiles
  int32_t tokens;
  int32_t units;   // ceil(padded_in / 128)
  int32_t splits;  // blocks of a cluster, along k
  int32_t count;
  HalvesWeight weights[8];
};

inline uint32_t TwoHalves(float v) { return __half_as_ushort(__float2half_rn(v)) * 0x10001u; }

struct HalvesPlan {
  int tokens;  // of a block: 64, 128 or 256
  int splits;  // of k, at most 8
  int row_blocks, token_tiles;
};

inline constexpr int kHalvesTokens[] = {64, 128, 256};
inline constexpr int kHalvesRows = 128;  // of a block: 16 a warp
inline constexpr int kHalvesThreads = kHalvesRows * 2 + 128;

// Whether there is a kernel for these codebooks: several stages of E8P, of which the last one may be E81B. (With one
// stage the exact product is as fast.)
constexpr bool HasHalvesKernel(int stages, uint32_t e81b_mask) {
  return stages > 1 && (e81b_mask == 0 || e81b_mask == 1u << (stages - 1));
}

void LoadHalvesKernels(int max_shared_bytes);
void LaunchHalves(const HalvesParams& p, const HalvesPlan& plan, int stages, bool e81b_last, bool dependent,
                  cudaStream_t stream);

}  // namespace glq::kernels
