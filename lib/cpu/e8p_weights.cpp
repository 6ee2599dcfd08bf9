#include <algorithm>
#include <cstring>
#include <new>

#include "core/workspace_cursor.h"
#include "cpu/e8p_linear.h"
#include "cpu/plane_tables.h"
#include "e8p/pack.h"

namespace glq::cpu {
namespace {

using e8p::Codebook;

constexpr size_t kAlign = WorkspaceCursor::kAlign;

// Tensors in files are not aligned.
uint64_t LoadWord(const void* packed, int64_t index) {
  uint64_t word;
  std::memcpy(&word, static_cast<const std::byte*>(packed) + 8 * index, sizeof(word));
  return word;
}

// The place of code (row, group) among the kernels' blocks: of the magnitude byte, or the E81B byte.
int64_t BlockByte(Codebook codebook, int64_t row, int64_t group, int64_t cols) {
  const int64_t block = row / kTileRows * (cols / kBlockCols) + group / 4;
  return block * BlockBytes(codebook) + 4 * (row % kTileRows) + group % 4;
}

void RepackRow(Codebook codebook, const void* packed, int64_t row, int64_t cols, uint8_t* blocks) {
  const int64_t groups = cols / 8;
  for (int64_t g = 0; g < groups; ++g) {
    uint8_t* to = blocks + BlockByte(codebook, row, g, cols);
    if (codebook == Codebook::kE8P) {
      const uint64_t word = LoadWord(packed, e8p::PackedWordIndex(row, g, cols));
      const uint16_t code = e8p::CodeFromWord(word, e8p::PackedSlot(row, g));
      to[0] = static_cast<uint8_t>(code >> 8);
      to[kBlockCodes] = static_cast<uint8_t>(code);
    } else {
      to[0] = static_cast<const uint8_t*>(packed)[row * groups + g];
    }
  }
}

}  // namespace

E8pWeights::E8pWeights(const e8p::LinearMeta& meta, const void* const packed[], const uint16_t* sv, const uint16_t* su,
                       const float* bias, Allocator& alloc, Parallel& par)
    : meta_(meta), alloc_(alloc) {
  static_cast<void>(Planes());  // so that no operation is the first to build them
  const int64_t rows = meta_.padded_out, cols = meta_.padded_in;
  const int count = static_cast<int>(meta_.stages.size());
  uint8_t* blocks[e8p::kMaxStages];
  uint16_t *sv_copy = nullptr, *su_copy = nullptr;
  float* bias_copy = nullptr;
  const auto lay_out = [&](void* base) {
    WorkspaceCursor cursor(base);
    for (int s = 0; s < count; ++s) {
      blocks[s] = cursor.Take<uint8_t>(rows / kTileRows * (cols / kBlockCols) * BlockBytes(meta_.stages[s].codebook));
    }
    if (sv) sv_copy = cursor.Take<uint16_t>(cols);
    if (su) su_copy = cursor.Take<uint16_t>(rows);
    if (bias) bias_copy = cursor.Take<float>(meta_.out_features);
    return cursor.used();
  };
  bytes_ = lay_out(nullptr);
  memory_ = alloc_.Allocate(bytes_, kAlign);
  if (!memory_) throw std::bad_alloc();
  lay_out(memory_);

  for (int s = 0; s < count; ++s) {
    const e8p::Stage& stage = meta_.stages[s];
    stages_[s] = {stage.codebook, stage.k, blocks[s]};
    par.For(rows, kTileRows, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) RepackRow(stage.codebook, packed[s], r, cols, blocks[s]);
    });
  }
  if (sv) std::memcpy(sv_copy, sv, static_cast<size_t>(cols) * sizeof(*sv));
  if (su) std::memcpy(su_copy, su, static_cast<size_t>(rows) * sizeof(*su));
  if (bias) std::memcpy(bias_copy, bias, static_cast<size_t>(meta_.out_features) * sizeof(*bias));
  sv_ = sv_copy;
  su_ = su_copy;
  bias_ = bias_copy;
}

E8pWeights::~E8pWeights() { alloc_.Free(memory_, bytes_, kAlign); }

void E8pWeights::ExportStage(int stage, void* packed) const {
  const int64_t rows = meta_.padded_out, cols = meta_.padded_in, groups = cols / 8;
  const StageBlocks& from = stages_[stage];
  auto* bytes = static_cast<std::byte*>(packed);
  if (from.codebook == Codebook::kE81B) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        bytes[r * groups + g] = static_cast<std::byte>(from.blocks[BlockByte(from.codebook, r, g, cols)]);
      }
    }
    return;
  }
  std::memset(packed, 0, static_cast<size_t>(rows * groups * 2));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const uint8_t* code = from.blocks + BlockByte(from.codebook, r, g, cols);
      const int64_t index = e8p::PackedWordIndex(r, g, cols);
      const int slot = e8p::PackedSlot(r, g);
      uint64_t word = LoadWord(packed, index);
      word |= static_cast<uint64_t>(code[0]) << (8 * slot);
      for (int j = 0; j < 8; ++j) word |= static_cast<uint64_t>(code[kBlockCodes] >> j & 1) << (32 + 4 * j + slot);
      std::memcpy(bytes + 8 * index, &word, sizeof(word));
    }
  }
}

bool E8pWeights::SharesInput(const E8pWeights& other) const {
  if (meta_.in_features != other.meta_.in_features || meta_.padded_in != other.meta_.padded_in ||
      meta_.in_blocks != other.meta_.in_blocks) {
    return false;
  }
  if (sv_ == other.sv_) return true;
  return sv_ && other.sv_ && std::memcmp(sv_, other.sv_, static_cast<size_t>(meta_.padded_in) * sizeof(*sv_)) == 0;
}

}  // namespace glq::cpu
