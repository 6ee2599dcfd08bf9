#include "cuda/e8p_weight.h"

#include <algorithm>
#include <bit>

#include "core/workspace_cursor.h"
#include "cuda/plan.h"
#include "e8p/layout.h"

namespace glq::cuda {

int64_t CudaWeight::StageBytes(const e8p::LinearMeta& meta, int stage) {
  const int64_t units = (meta.padded_in + kernels::kUnitCols - 1) / kernels::kUnitCols;
  const bool e8p = meta.stages[static_cast<size_t>(stage)].codebook == e8p::Codebook::kE8P;
  return meta.padded_out / kernels::kTileRows * units * (e8p ? kernels::kUnitBytesE8p : kernels::kUnitBytesE81b);
}

CudaWeight::CudaWeight(const e8p::LinearMeta& meta, std::shared_ptr<const InputTransforms::Entry> transform,
                       Memory& memory)
    : E8pWeight(meta), transform_(std::move(transform)) {
  input_transform_id_ = transform_->id;
  WorkspaceCursor cursor;
  const auto take = [&cursor](int64_t bytes) {
    const size_t at = cursor.used();
    cursor.Take<std::byte>(bytes);
    return at;
  };
  for (size_t s = 0; s < meta.stages.size(); ++s) stage_[s] = take(StageBytes(meta, static_cast<int>(s)));
  if (meta.has_sv) sv_ = take(meta.padded_in * 2);
  if (meta.has_su) su_ = take(meta.padded_out * 2);
  if (meta.has_bias) bias_ = take(meta.out_features * 4);
  in_starts_ = take(static_cast<int64_t>(meta.in_blocks.size() + 1) * 8);
  out_starts_ = take(static_cast<int64_t>(meta.out_blocks.size() + 1) * 8);
  storage_ = Block(memory, cursor.used(), GLQ_MEMORY_CUDA);
}

kernels::BlockList CudaWeight::Blocks(const std::vector<int64_t>& blocks, int64_t dim, const int64_t* starts) {
  const int64_t largest = *std::max_element(blocks.begin(), blocks.end());
  return {starts, static_cast<int32_t>(blocks.size()),
          static_cast<int32_t>(std::bit_width(static_cast<uint64_t>(largest))) - 1, IsBinaryExpansion(dim, blocks)};
}

}  // namespace glq::cuda
