// An E8P weight in device memory.
#pragma once

#include "core/backend.h"
#include "core/input_transforms.h"
#include "e8p/launch.h"

namespace glq::cuda {

// Bytes of workspace that 1 to t tokens need at most, in the exact mode.
struct FewTokens {
  size_t of[kernels::kGemvMaxTokens + 1] = {};
};

class CudaWeight final : public E8pWeight {
 public:
  // Allocates; filled by the backend.
  CudaWeight(const e8p::LinearMeta& meta, std::shared_ptr<const InputTransforms::Entry> transform, Memory& memory);

  int64_t host_bytes() const override { return 0; }
  int64_t device_bytes() const override { return static_cast<int64_t>(storage_.bytes()); }

  void* stage(int s) const { return at(stage_[s]); }
  uint16_t* sv() const { return meta_.has_sv ? static_cast<uint16_t*>(at(sv_)) : nullptr; }
  uint16_t* su() const { return meta_.has_su ? static_cast<uint16_t*>(at(su_)) : nullptr; }
  float* bias() const { return meta_.has_bias ? static_cast<float*>(at(bias_)) : nullptr; }
  int64_t* in_starts() const { return static_cast<int64_t*>(at(in_starts_)); }
  int64_t* out_starts() const { return static_cast<int64_t*>(at(out_starts_)); }
  kernels::BlockList in_blocks() const { return Blocks(meta_.in_blocks, meta_.padded_in, in_starts()); }
  kernels::BlockList out_blocks() const { return Blocks(meta_.out_blocks, meta_.padded_out, out_starts()); }

  const FewTokens& few_tokens() const { return few_tokens_; }
  void set_few_tokens(const FewTokens& few) { few_tokens_ = few; }

  static int64_t StageBytes(const e8p::LinearMeta& meta, int stage);

 private:
  static kernels::BlockList Blocks(const std::vector<int64_t>& blocks, int64_t dim, const int64_t* starts);
  void* at(size_t offset) const { return storage_.as<std::byte>() + offset; }

  std::shared_ptr<const InputTransforms::Entry> transform_;
  size_t stage_[e8p::kMaxStages] = {}, sv_ = 0, su_ = 0, bias_ = 0, in_starts_ = 0, out_starts_ = 0;
  FewTokens few_tokens_;
  Block storage_;
};

}  // namespace glq::cuda
