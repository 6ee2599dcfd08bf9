// How an E8P product runs on a GPU: which kernel, tile, split, grid. Decided on the host from shapes and the
// device alone, so that the same call always runs the same way, captured or not.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "e8p/gemm_halves.h"
#include "e8p/gemm_wgmma.h"
#include "e8p/launch.h"
#include "e8p/linear.h"

namespace glq::cuda {

struct DeviceTraits {
  int index = 0;
  int compute_capability = 0;  // major * 10 + minor
  int multiprocessors = 0;
  int max_shared_bytes = 0;        // that a block can opt in to
  bool clusters = false;           // thread block clusters and programmatic dependent launch (sm_90 and later)
  bool all_tables = false;         // a block has room for the tables of both codebooks, and to work beside them
  double memory_bytes_per_us = 0;  // by its clock and width; 0: not known
  bool wgmma = false;              // warpgroup MMAs: sm_90a
  // Blocks of kernels::kWgmmaColumns[i] columns that run at a time in clusters of 1, 2, ... blocks.
  int wgmma_room[std::size(kernels::kWgmmaColumns)][kernels::kWgmmaMaxSplits] = {};
  // Blocks of kernels::LaunchGemv that run at a time in clusters of 1, 2, ... blocks.
  int gemv_room[kernels::kGemvMaxMeeting] = {};
};

enum class Path {
  kGemv,       // up to 8 tokens: digits in registers
  kGemm,       // more: decoded weights reused over 16 or 32 tokens
  kWgmma,      // the same on Hopper, reused over up to 128 tokens
  kExpand,     // many, where there are no warpgroup MMAs: each stage as int8, then a library product
  kHalves,     // many, where fp16 is asked for and faster: all stages in one fp16 product, on Hopper
  kExpandF16,  // the same elsewhere: all stages as one fp16 matrix, then a library product
};

struct ProductPlan {
  Path path = Path::kGemv;
  kernels::GemvPlan gemv{};
  kernels::GemmPlan gemm_e8p{}, gemm_e81b{};
  kernels::WgmmaPlan wgmma{};
  kernels::HalvesPlan halves{};  // of the first weights that share a launch
  int row_tiles_e8p = 0, row_tiles_e81b = 0;
  // Whether the product ends with y_rht in fp32, or leaves sums of stages and digits to the output transform.
  bool combines() const { return path == Path::kWgmma || f16() || (path == Path::kGemv && gemv.combine); }
  // Whether activations are fp16, and y_rht is still to be multiplied by its token's t.
  bool f16() const { return path == Path::kHalves || path == Path::kExpandF16; }
  // Sums that several blocks add to must be cleared first.
  bool adds() const {
    return path == Path::kGemv ? gemv.splits > 1 && !gemv.meets
                               : path == Path::kGemm && (gemm_e8p.splits > 1 || gemm_e81b.splits > 1);
  }
};

// Tokens of one pass: larger batches run as slices, so that the workspace stops growing.
inline constexpr int64_t kSliceTokens = 2048;
// Without warpgroup MMAs an int8 library product beats decoding in the product from here on: with the mma.sync kernel
// on an H200 the two crossed between 128 and 512 tokens; where exactly was not measured. Against warpgroup MMAs the
// library lost at 512 and 2048 tokens, and it needs several times the workspace.
inline constexpr int64_t kExpandTokens = 384;

// Tokens whose y_rht is handed over element by element; for more, the clearing that this takes costs what it saves.
inline constexpr int64_t kWatchedTokens = 1;

// A product of the weights `metas` (which share an input transform) with `tokens` rows. `plain_rows`: of 16-bit
// activations that start at multiples of 16 bytes and are still to be transformed. `f16_product`: whether
// the caller takes the fp16 one (F16Tokens).
ProductPlan PlanProduct(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                        bool plain_rows, bool library_product, bool f16_product);

// The least number of tokens of a slice for which an fp16 product is estimated to be faster than the exact mode;
// kNeverF16 where it never is, or cannot be.
inline constexpr int64_t kNeverF16 = kSliceTokens + 1;
inline constexpr int64_t kF16LeastTokens = 33;  // it is never less
// Whether that product writes the weight as fp16 is decided for multiples of so many tokens, the next one.
inline constexpr int64_t kF16PathTokens = 256;
int64_t F16Tokens(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, bool library_product);

// Whether the fp16 product of any batch of up to `tokens` does.
bool ExpandsF16UpTo(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                    bool library_product);

// Of weights from `first` on: how many share a launch of the fp16 product, since they have the same stages.
int SameStages(const e8p::LinearMeta* const* metas, int count, int first);
kernels::HalvesPlan PlanHalves(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count,
                               int64_t tokens);
// What a stage's nibbles, less their offset, are multiplied by.
double StageFactor(const e8p::Stage& stage);

// The power of two, as an exponent, by which the fp16 matrix is larger than the weight: its largest possible element
// then lies between 2^14 and 2^15.
int F16Exponent(const e8p::LinearMeta& meta);

// Whether rows of `dim` elements and these blocks go through one cluster of thread blocks.
bool FitsCluster(const DeviceTraits& device, int64_t dim, const std::vector<int64_t>& blocks);
bool IsBinaryExpansion(int64_t dim, const std::vector<int64_t>& blocks);

std::string Describe(const ProductPlan& plan);

}  // namespace glq::cuda
