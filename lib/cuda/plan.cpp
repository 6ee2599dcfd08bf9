#include "cuda/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "e8p/layout.h"

namespace glq::cuda {
namespace {

using kernels::GemmPlan;
using kernels::GemvPlan;
using kernels::HalvesPlan;
using kernels::WgmmaPlan;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Row tiles over all weights, and the most stages of each codebook that one of them has.
struct Rows {
  int tiles = 0, slots_e8p = 0, slots_e81b = 0;
};

Rows CountRows(const e8p::LinearMeta* const* metas, int count) {
  Rows r;
  for (int i = 0; i < count; ++i) {
    r.tiles += static_cast<int>(metas[i]->padded_out / kernels::kTileRows);
    int e8p = 0, e81b = 0;
    for (const e8p::Stage& s : metas[i]->stages) ++(s.codebook == e8p::Codebook::kE8P ? e8p : e81b);
    r.slots_e8p = std::max(r.slots_e8p, e8p);
    r.slots_e81b = std::max(r.slots_e81b, e81b);
  }
  return r;
}

// Tables of a launch of the product. Without room for those of both codebooks each has a launch of its own, of which
// the first one's are larger.
uint32_t TableBytes(const DeviceTraits& device, bool e8p, bool e81b) {
  return kernels::PlanShared(0, e8p, e81b && (device.all_tables || !e8p)).total;
}

// Bytes in front of the tables for a chunk of row tiles: sums, lists of steps (a row of warps each), tiles.
struct GemvChunk {
  int steps_e8p, steps_e81b;
  int64_t sum_bytes, bytes;
};
GemvChunk ChunkOf(int tiles, int warp_rows, int token_blocks, const Rows& rows) {
  GemvChunk c{};
  c.steps_e8p = kernels::GemvListSteps(tiles, warp_rows, rows.slots_e8p);
  c.steps_e81b = kernels::GemvListSteps(tiles, warp_rows, rows.slots_e81b);
  c.sum_bytes = int64_t{tiles} * kernels::GemvTileWords(token_blocks) * 4 * (rows.slots_e8p + rows.slots_e81b);
  const auto steps = static_cast<int64_t>(sizeof(kernels::GemvStep)) * warp_rows * (c.steps_e8p + c.steps_e81b);
  c.bytes = kernels::kGemvFrontBytes + c.sum_bytes + steps + tiles * static_cast<int64_t>(sizeof(kernels::GemvTile));
  return c;
}

// Blocks of the launches before and after a product that transform rows.
struct Transforms {
  int64_t before, after;
};
Transforms CountTransforms(const e8p::LinearMeta* const* metas, int count, int64_t tokens, int chunks) {
  Transforms t{};
  if (chunks == 0) t.before = tokens * kernels::RhtClusterSize(metas[0]->padded_in);
  for (int i = 0; i < count; ++i) {
    const int64_t cluster = kernels::OutputClusterSize(metas[i]->padded_out);
    t.after += tokens * CeilDiv(CeilDiv(metas[i]->padded_out, kernels::kChunkElements), cluster) * cluster;
  }
  return t;
}

// Whether a product waits with its prefetches until its input transform has its row. What is on its way to the L2
// before would hold that up. (Fitted to an H200; of 2 tokens, other rows are slower so.)
bool AwaitsRow(const DeviceTraits& device, int64_t tokens, int64_t dim) {
  return device.clusters && (tokens == 1 || (tokens == 2 && dim >= 8192 && dim <= 16384));
}

// Of a warp's `steps`, `units` each: how many behind those whose weights it has in registers are asked for into the L2
// before it has its digits, some 48 to 64 KiB of a block. `matrix_bytes`: a stage. (Fitted to an H200.)
int PrefetchedSteps(const DeviceTraits& device, int units, int64_t step_bytes, int64_t steps, int64_t tokens,
                    int chunks, int64_t matrix_bytes, bool awaits_row) {
  if (!device.clusters) return 0;
  // At a time that is not known to be good, only where it is a small part of what is to come.
  if (chunks == 0 && !awaits_row && matrix_bytes < int64_t{16} << 20) return 0;
  const int64_t bytes = (chunks == 1 ? int64_t{48} : int64_t{64}) << 10;
  const int64_t most = std::clamp<int64_t>((bytes + step_bytes / 2) / step_bytes, 1, kernels::kGemvMostPrefetched);
  const int64_t left = steps - kernels::GemvLoadsAhead(units, tokens <= 4 ? 1 : 2, chunks);
  return static_cast<int>(std::clamp<int64_t>(left, 0, most));
}

// `chunks`: of 4096 elements, of the row that every block transforms itself; no plan (0 blocks) where that cannot be.
GemvPlan PlanGemv(const DeviceTraits& device, int64_t dim, const Rows& rows, int64_t tokens, int chunks,
                  const Transforms& transforms) {
  const int64_t units = CeilDiv(dim, kernels::kUnitCols);
  const int token_blocks = tokens <= 4 ? 1 : 2;
  const bool e8p = rows.slots_e8p > 0, e81b = rows.slots_e81b > 0;
  const int64_t transform = chunks > 0 ? kernels::GemvTransformBytes(chunks) : 0;
  // Without room for all tables beside each other the codebooks are launched one after the other, and meet in the sums.
  const bool one_launch = device.all_tables || !(e8p && e81b);
  const bool awaits_row = chunks == 0 && AwaitsRow(device, tokens, dim);
  // In front of the tables, with what their own alignment may take.
  const int64_t room = device.max_shared_bytes - int64_t{TableBytes(device, e8p, e81b)} - transform - 128;
  GemvPlan best{};
  double best_cost = 1e30;
  const auto consider = [&](int warps_k, int n, int multiprocessors, double extra) {
    const int warp_rows = kernels::kGemvWarps / warps_k;
    if (n > units || !kernels::HasGemvKernel(n, token_blocks, chunks, false) ||
        ChunkOf(warp_rows, warp_rows, token_blocks, rows).bytes > room) {
      return;
    }
    const int64_t splits = CeilDiv(units, int64_t{warps_k} * n);
    // A row that the product transforms is spread evenly over its warps.
    if (splits > multiprocessors || (chunks > 0 && int64_t{warps_k} * n != units)) return;
    int64_t blocks = std::max<int64_t>(1, std::min<int64_t>(multiprocessors / splits, rows.tiles));
    // Splits that are a cluster add their sums in shared memory: those of all its rows, in the first block's.
    bool meets = false;
    if (splits > 1 && splits <= kernels::kGemvMaxMeeting && device.gemv_room[splits - 1] > 0 && one_launch &&
        kernels::HasGemvKernel(n, token_blocks, chunks, true)) {
      const int64_t clusters = std::min(blocks, device.gemv_room[splits - 1] / splits);
      const int64_t tiles = CeilDiv(CeilDiv(rows.tiles, clusters), warp_rows) * warp_rows;
      const GemvChunk chunk = ChunkOf(static_cast<int>(tiles), warp_rows, token_blocks, rows);
      meets = chunk.bytes + (splits - 1) * chunk.sum_bytes <= room;
      if (meets) blocks = clusters;
    }
    const int64_t steps = CeilDiv(CeilDiv(rows.tiles, blocks), warp_rows);
    const int64_t step_bytes = std::min<int64_t>(units, int64_t{warps_k} * n) * kernels::kUnitBytesE8p * warp_rows;
    const int prefetched = PrefetchedSteps(device, n, step_bytes, steps * rows.slots_e8p, tokens, chunks,
                                           rows.tiles * units * kernels::kUnitBytesE8p, awaits_row);
    // In units of a warp's work on one unit (some 400 cycles of a multiprocessor): the units it goes through, what a
    // row tile costs besides its units, the price of meeting other blocks in global memory, and the digits, which every
    // row of warps reads from the L2 at 32 bytes a cycle. On rows of 4096, where it decides: what is not prefetched
    // holds up the block's prologue, or comes late.
    const double cost =
        extra + (chunks == 1 ? 1.25 * static_cast<double>((steps * rows.slots_e8p - prefetched) * n) : 0.0) +
        static_cast<double>(steps) * (rows.slots_e8p + 0.6 * rows.slots_e81b) * (n + 0.4) *
            (token_blocks == 1 ? 1.0 : 1.3) +
        (splits > 1 ? 1.0 + 0.5 * static_cast<double>(tokens) : 0.0) +
        static_cast<double>(tokens * std::min<int64_t>(units, int64_t{warps_k} * n) * 256 * warp_rows) / (32 * 400);
    if (cost < best_cost - 1e-9) {
      best_cost = cost;
      best.units_per_warp = n;
      best.warps_k = warps_k;
      best.splits = static_cast<int>(splits);
      best.blocks = static_cast<int>(blocks);
      best.meets = meets;
      best.prefetched_steps = prefetched;
      best.awaits_row = awaits_row && prefetched > 0;
    }
  };
  // Blocks fill the registers of their multiprocessor. Some stay free, so that the transforms of this call and the next
  // can be on the machine, their prologues done, before the product ends: two blocks of a transform each. Those of the
  // output that find no place come later, somewhere else. Row counts of real layers divide by 128. (Fitted to an H200.)
  // An input transform of more blocks than that takes multiprocessors from its product, whose last blocks then start
  // late: they have a row tile less than the others if the product has all multiprocessors.
  const auto consider_all = [&](int multiprocessors, double late) {
    for (const int warps_k : {16, 8, 4}) {
      for (int n = 1; n <= kernels::GemvMaxUnits(token_blocks); ++n) consider(warps_k, n, multiprocessors, late);
    }
  };
  const bool spares = device.clusters && device.multiprocessors > 64;  // otherwise nothing is launched early
  const int most = spares ? device.multiprocessors / 4 * 4 : device.multiprocessors;
  if (!spares || transforms.before > 4) {
    consider_all(most, 0);
  } else {
    for (const int spared : {4, 8, 12, 16}) {
      const auto crowd = static_cast<double>(CeilDiv(transforms.after, int64_t{2} * spared) - 1);
      consider_all(most - spared, 1.5 * std::clamp(crowd, 0.0, 2.0));
    }
  }
  if (best.blocks == 0) return best;
  best.token_blocks = token_blocks;
  best.transform_chunks = chunks;
  best.combine = (best.splits == 1 || best.meets) && one_launch;
  // Row tiles of a block at a time: all, or as many as there is room for, in whole rounds of the rows of warps.
  const int warp_rows = kernels::kGemvWarps / best.warps_k;
  const int64_t wanted = CeilDiv(CeilDiv(rows.tiles, best.blocks), warp_rows);
  int64_t rounds = 1;
  while (rounds < wanted &&
         ChunkOf(static_cast<int>(rounds + 1) * warp_rows, warp_rows, token_blocks, rows).bytes <= room) {
    ++rounds;
  }
  best.chunk_tiles = static_cast<int>(rounds) * warp_rows;
  best.one_chunk = rounds >= wanted;
  const GemvChunk chunk = ChunkOf(best.chunk_tiles, warp_rows, token_blocks, rows);
  best.steps_e8p = chunk.steps_e8p;
  best.steps_e81b = chunk.steps_e81b;
  best.sum_bytes = static_cast<int>(chunk.sum_bytes);
  best.front_bytes = static_cast<int>(chunk.bytes);
  best.shared_bytes = kernels::PlanShared(static_cast<uint32_t>(best.front_bytes), false, false).total +
                      TableBytes(device, e8p, e81b) + static_cast<size_t>(transform) +
                      static_cast<size_t>(best.meets ? (best.splits - 1) * chunk.sum_bytes : 0);
  return best;
}

// Chunks of the row if every block of the product transforms it (kernels/e8p/gemv.cu), else 0.
int TransformChunks(const e8p::LinearMeta& meta, int64_t tokens, bool plain_rows) {
  if (!plain_rows || tokens != 1 || meta.in_features != meta.padded_in || meta.in_blocks.size() != 1) return 0;
  return meta.padded_in == kernels::kChunkElements ? 1 : meta.padded_in == 2 * kernels::kChunkElements ? 2 : 0;
}

bool TakesWgmma(const DeviceTraits& device, int64_t dim) { return device.wgmma && dim <= kernels::kWgmmaMaxDim; }

struct WgmmaChoice {
  WgmmaPlan plan;
  int64_t cycles;
};
WgmmaChoice PlanWgmma(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t units,
                      int64_t tokens) {
  // Cycles on an H200, from its benchmark: a unit of one block; of 256 columns the tensor cores are the bound, of fewer
  // decoding. A cluster's blocks start late and meet in shared memory.
  constexpr int64_t kUnit[] = {640, 890, 770, 1300};
  WgmmaPlan best{};
  int64_t best_cost = 0;
  for (size_t i = 0; i < std::size(kernels::kWgmmaColumns); ++i) {
    WgmmaPlan plan{};
    plan.columns = kernels::kWgmmaColumns[i];
    plan.token_tiles = static_cast<int>(CeilDiv(2 * tokens, plan.columns));
    const int rows = kernels::WgmmaRows(plan.columns);
    int64_t stages = 1;
    for (int w = 0; w < count; ++w) {
      plan.row_blocks += static_cast<int>(CeilDiv(metas[w]->padded_out, rows));
      stages = std::max<int64_t>(stages, static_cast<int64_t>(metas[w]->stages.size()));
    }
    for (plan.splits = 1; plan.splits <= std::min<int64_t>(units, kernels::kWgmmaMaxSplits); ++plan.splits) {
      const int64_t room = device.wgmma_room[i][plan.splits - 1];
      if (room == 0) continue;
      const int64_t waves = CeilDiv(int64_t{plan.row_blocks} * plan.token_tiles * plan.splits, room);
      const int64_t meeting = plan.splits > 1 ? 2000 + 34 * plan.columns : 0;
      const int64_t per_stage = CeilDiv(units, plan.splits) * kUnit[i] + 8 * plan.columns + meeting;
      const int64_t cost = waves * (1000 + (plan.splits > 1 ? 2000 : 0) + stages * per_stage);
      if (best_cost == 0 || cost < best_cost) best_cost = cost, best = plan;
    }
  }
  return {best, best_cost};
}

// What expanding to fp16 costs, in cycles of an H200 (1.755 GHz), by its benchmark: 28672 x 8192 and 4096 x 4096, two
// and four stages, 192 to 2048 tokens, within 10 %. The multiprocessors are taken to be alike elsewhere.
constexpr double kF16TileCycles = 11;       // of the product: a column of k of a wave of tiles of 128 rows x 128 tokens
constexpr double kF16ReadBytes = 17;        // of the expanded weight, per cycle and multiprocessor
constexpr double kF16WeightCycles = 0.076;  // of a multiprocessor, to expand a weight of no stage,
constexpr double kF16StageCycles = 0.049;   // and each of its stages
constexpr double kF16LaunchCycles = 5000;   // a launch that does not overlap its neighbours: expansion, product
constexpr double kF16Gain = 0.95;           // of the exact mode's time, or less, is worth giving up its bytes
constexpr int64_t kF16Steps[] = {kF16LeastTokens, 65, 128, 192, 256, 384, 512, 768, 1024, 1536, kSliceTokens};

double ExpandF16Cycles(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens) {
  double cycles = 0;
  const double multiprocessors = device.multiprocessors;
  for (int i = 0; i < count; ++i) {
    const auto in = static_cast<double>(metas[i]->padded_in);
    const double weights = in * static_cast<double>(metas[i]->padded_out) / multiprocessors;
    const int64_t waves =
        CeilDiv(CeilDiv(metas[i]->padded_out, 128) * CeilDiv(tokens, 128), int64_t{device.multiprocessors});
    const double product = std::max(static_cast<double>(waves) * in * kF16TileCycles, 2 * weights / kF16ReadBytes);
    const double expansion =
        weights * (kF16WeightCycles + kF16StageCycles * static_cast<double>(metas[i]->stages.size()));
    cycles += product + expansion + 2 * kF16LaunchCycles;
  }
  return cycles;
}

bool CanExpandF16(const e8p::LinearMeta& meta) {
  // Beyond this the exponent, or a product with it, would leave fp32 where the exact mode's would not.
  return std::abs(F16Exponent(meta)) <= 60;
}

// Whether there is a kernel that adds up the stages of a weight in fp16 (kernels/e8p/gemm_halves.cu).
bool HasHalvesKernel(const e8p::LinearMeta& meta) {
  uint32_t e81b_mask = 0;
  for (size_t s = 0; s < meta.stages.size(); ++s) {
    if (meta.stages[s].codebook == e8p::Codebook::kE81B) e81b_mask |= 1u << s;
  }
  return kernels::HasHalvesKernel(static_cast<int>(meta.stages.size()), e81b_mask);
}

// Whether fp16 can hold what they are multiplied by, and the sums.
bool RatiosFitF16(const e8p::LinearMeta& meta) {
  for (size_t s = 1; s < meta.stages.size(); ++s) {
    const double ratio = std::abs(StageFactor(meta.stages[s]) / StageFactor(meta.stages[s - 1]));
    if (!(ratio >= 0x1p-14 && ratio <= 16)) return false;
  }
  return true;
}

struct HalvesChoice {
  HalvesPlan plan;
  int64_t cycles;
};
HalvesChoice ChooseHalves(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens) {
  // Cycles as in PlanWgmma, from the same benchmark: a unit of one block, by its tokens and stages.
  constexpr int64_t kUnit[][3] = {{1350, 1740, 2130}, {1800, 2200, 2580}, {2950, 3500, 3920}};
  HalvesChoice best{};
  const int64_t units = CeilDiv(metas[0]->padded_in, kernels::kUnitCols);
  for (size_t i = 0; i < std::size(kernels::kHalvesTokens); ++i) {
    HalvesPlan plan{};
    plan.tokens = kernels::kHalvesTokens[i];
    plan.token_tiles = static_cast<int>(CeilDiv(tokens, plan.tokens));
    for (int w = 0; w < count; ++w) {
      plan.row_blocks += static_cast<int>(CeilDiv(metas[w]->padded_out, kernels::kHalvesRows));
    }
    for (plan.splits = 1; plan.splits <= std::min<int64_t>(units, kernels::kWgmmaMaxSplits); ++plan.splits) {
      // As many as there are of the exact product's largest blocks: one a multiprocessor.
      const int64_t room = device.wgmma_room[std::size(kernels::kWgmmaColumns) - 1][plan.splits - 1];
      if (room == 0) continue;
      const int64_t waves = CeilDiv(int64_t{plan.row_blocks} * plan.token_tiles * plan.splits, room);
      const int64_t meeting = plan.splits > 1 ? 4000 + 50 * plan.tokens : 0;
      const int64_t cost = waves * (3000 + 12 * plan.tokens + meeting +
                                    CeilDiv(units, plan.splits) * kUnit[i][metas[0]->stages.size() - 2]);
      if (best.cycles == 0 || cost < best.cycles) best = {plan, cost};
    }
  }
  return best;
}

// All weights of a call.
int64_t HalvesCycles(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens) {
  int64_t cycles = 0;
  for (int i = 0, n = 0; i < count; i += n) {
    n = SameStages(metas, count, i);
    cycles += ChooseHalves(device, metas + i, n, tokens).cycles;
  }
  return cycles;
}

GemmPlan PlanGemm(const DeviceTraits& device, int64_t units, int tiles, int64_t tokens, bool e81b) {
  GemmPlan plan{};
  plan.token_blocks = tokens <= 16 ? 4 : 8;
  const int64_t rows = CeilDiv(int64_t{tiles} * kernels::kTileRows, kernels::kGemmRows);
  const int64_t columns = CeilDiv(tokens, 4 * plan.token_blocks);
  // The split that keeps the last wave full: time = waves * units of a split, plus what a block costs
  // before and after its units.
  int64_t best_splits = 1;
  double best_cost = 1e30;
  for (int64_t splits = 1; splits <= std::min<int64_t>(units, 32); ++splits) {
    const int64_t waves = CeilDiv(rows * columns * splits, device.multiprocessors);
    const double cost = static_cast<double>(waves) * (static_cast<double>(CeilDiv(units, splits)) + 6.0);
    if (cost < best_cost - 1e-9) best_cost = cost, best_splits = splits;
  }
  plan.splits = static_cast<int>(best_splits);
  plan.grid = dim3(static_cast<unsigned>(columns), static_cast<unsigned>(rows), static_cast<unsigned>(best_splits));
  plan.shared_bytes = kernels::PlanShared(kernels::GemmFrontBytes(plan.token_blocks), !e81b, e81b).total;
  return plan;
}

bool CanDecodeHalves(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count) {
  return TakesWgmma(device, metas[0]->padded_in) &&
         std::all_of(metas, metas + count, [](const auto* m) { return HasHalvesKernel(*m); });
}

// Which of the two fp16 products: the one that decodes needs far less workspace, and no library.
bool TakesHalves(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                 bool library_product) {
  if (!CanDecodeHalves(device, metas, count)) return false;
  if (!library_product) return true;
  const int64_t rounded = CeilDiv(tokens, kF16PathTokens) * kF16PathTokens;
  const auto cycles = static_cast<double>(HalvesCycles(device, metas, count, rounded));
  return kF16Gain * cycles < ExpandF16Cycles(device, metas, count, rounded);
}

}  // namespace

double StageFactor(const e8p::Stage& stage) {
  // E8P: w = 2u - 15 = 2 (u - 7.5); E81B: w = u - 4.
  return stage.codebook == e8p::Codebook::kE8P ? 2.0 * stage.k : stage.k;
}

int SameStages(const e8p::LinearMeta* const* metas, int count, int first) {
  const auto same = [](const e8p::LinearMeta& a, const e8p::LinearMeta& b) {
    return std::equal(a.stages.begin(), a.stages.end(), b.stages.begin(), b.stages.end(),
                      [](const e8p::Stage& x, const e8p::Stage& y) { return x.codebook == y.codebook; });
  };
  int n = 1;
  while (first + n < count && same(*metas[first], *metas[first + n])) ++n;
  return n;
}

bool ExpandsF16UpTo(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                    bool library_product) {
  for (int64_t t = kF16PathTokens; t < tokens + kF16PathTokens; t += kF16PathTokens) {
    if (!TakesHalves(device, metas, count, t, library_product)) return true;
  }
  return false;
}

HalvesPlan PlanHalves(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens) {
  return ChooseHalves(device, metas, count, tokens).plan;
}

bool IsBinaryExpansion(int64_t dim, const std::vector<int64_t>& blocks) { return blocks == e8p::BinaryBlocks(dim); }

bool FitsCluster(const DeviceTraits& device, int64_t dim, const std::vector<int64_t>& blocks) {
  return IsBinaryExpansion(dim, blocks) &&
         dim <= (device.clusters ? kernels::kMaxClusterDim : int64_t{kernels::kChunkElements});
}

ProductPlan PlanProduct(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                        bool plain_rows, bool library_product, bool f16_product) {
  ProductPlan plan;
  const int64_t units = CeilDiv(metas[0]->padded_in, kernels::kUnitCols);
  const Rows rows = CountRows(metas, count);
  for (int i = 0; i < count; ++i) {
    for (const e8p::Stage& s : metas[i]->stages) {
      (s.codebook == e8p::Codebook::kE8P ? plan.row_tiles_e8p : plan.row_tiles_e81b) +=
          static_cast<int>(metas[i]->padded_out / kernels::kTileRows);
    }
  }
  if (f16_product) {
    plan.path = TakesHalves(device, metas, count, tokens, library_product) ? Path::kHalves : Path::kExpandF16;
    if (plan.path == Path::kHalves) plan.halves = PlanHalves(device, metas, SameStages(metas, count, 0), tokens);
  } else if (tokens <= kernels::kGemvMaxTokens) {
    plan.path = Path::kGemv;
    const int chunks = TransformChunks(*metas[0], tokens, plain_rows);
    const auto gemv = [&](int in_product) {
      return PlanGemv(device, metas[0]->padded_in, rows, tokens, in_product,
                      CountTransforms(metas, count, tokens, in_product));
    };
    if (chunks > 0) plan.gemv = gemv(chunks);
    if (plan.gemv.blocks == 0 || !plan.gemv.combine) plan.gemv = gemv(0);
  } else if (TakesWgmma(device, metas[0]->padded_in)) {
    plan.path = Path::kWgmma;
    plan.wgmma = PlanWgmma(device, metas, count, units, tokens).plan;
  } else if (tokens >= kExpandTokens && library_product) {
    plan.path = Path::kExpand;
  } else {
    plan.path = Path::kGemm;
    plan.gemm_e8p = PlanGemm(device, units, plan.row_tiles_e8p, tokens, false);
    if (plan.row_tiles_e81b > 0) plan.gemm_e81b = PlanGemm(device, units, plan.row_tiles_e81b, tokens, true);
  }
  return plan;
}

int F16Exponent(const e8p::LinearMeta& meta) {
  // The largest integers of the codebooks: 4 * 11 / 4 and 2 * 4 / 2.
  double largest = 0;
  for (const e8p::Stage& s : meta.stages) {
    largest += std::abs(static_cast<double>(s.k)) * (s.codebook == e8p::Codebook::kE8P ? 11 : 4);
  }
  return largest == 0 ? 0 : 14 - std::ilogb(largest);
}

int64_t F16Tokens(const DeviceTraits& device, const e8p::LinearMeta* const* metas, int count, bool library_product) {
  // With one stage the exact product is as fast.
  if (std::all_of(metas, metas + count, [](const auto* m) { return m->stages.size() == 1; })) return kNeverF16;
  const bool can_decode = CanDecodeHalves(device, metas, count);
  // Exact then, not expanded: what workspace a call needs must not depend on scales.
  if (can_decode && !std::all_of(metas, metas + count, [](const auto* m) { return RatiosFitF16(*m); }))
    return kNeverF16;
  if ((!library_product && !can_decode) ||
      !std::all_of(metas, metas + count, [](const auto* m) { return CanExpandF16(*m); })) {
    return kNeverF16;
  }
  if (!TakesWgmma(device, metas[0]->padded_in)) {
    return kExpandTokens;  // it takes about the time of the int8 product of one stage and its two digits
  }
  const int64_t units = CeilDiv(metas[0]->padded_in, kernels::kUnitCols);
  for (const int64_t tokens : kF16Steps) {
    const auto exact = static_cast<double>(PlanWgmma(device, metas, count, units, tokens).cycles);
    if (can_decode && HalvesCycles(device, metas, count, tokens) < kF16Gain * exact) return tokens;
    if (library_product && ExpandF16Cycles(device, metas, count, tokens) < kF16Gain * exact) return tokens;
  }
  return kNeverF16;
}

std::string Describe(const ProductPlan& plan) {
  char text[512];
  if (plan.path == Path::kGemv) {
    std::snprintf(text, sizeof(text),
                  "kernel: e8p_gemv<%d units, %d tokens%s>\nrow tiles: %d E8P, %d E81B\nwarps along k: %d of %d\n"
                  "splits of k over %s: %d\ngrid: %d x %d blocks of %d threads\n"
                  "row tiles of a warp that are prefetched: %d\nshared bytes: %zu\n",
                  plan.gemv.units_per_warp, 4 * plan.gemv.token_blocks,
                  plan.gemv.transform_chunks > 0 ? ", input transform" : "", plan.row_tiles_e8p, plan.row_tiles_e81b,
                  plan.gemv.warps_k, kernels::kGemvWarps, plan.gemv.meets ? "a cluster" : "blocks", plan.gemv.splits,
                  plan.gemv.meets ? plan.gemv.blocks * plan.gemv.splits : plan.gemv.blocks,
                  plan.gemv.meets ? 1 : plan.gemv.splits, kernels::kGemvWarps * 32, plan.gemv.prefetched_steps,
                  plan.gemv.shared_bytes);
  } else if (plan.path == Path::kGemm) {
    std::snprintf(
        text, sizeof(text),
        "kernel: e8p_gemm<%d rows, %d tokens>\nrow tiles: %d E8P, %d E81B\nsplits of k over blocks: %d E8P, %d E81B\n"
        "grid: %u x %u x %u blocks of 512 threads\nshared bytes: %zu\n",
        kernels::kGemmRows, 4 * plan.gemm_e8p.token_blocks, plan.row_tiles_e8p, plan.row_tiles_e81b,
        plan.gemm_e8p.splits, plan.gemm_e81b.splits, plan.gemm_e8p.grid.x, plan.gemm_e8p.grid.y, plan.gemm_e8p.grid.z,
        plan.gemm_e8p.shared_bytes);
  } else if (plan.path == Path::kWgmma) {
    std::snprintf(
        text, sizeof(text),
        "kernel: e8p_gemm_wgmma<%d rows, %d tokens>\nrow tiles: %d E8P, %d E81B\nsplits of k over a cluster: %d\n"
        "grid: %d x %d blocks of %d threads\n",
        kernels::WgmmaRows(plan.wgmma.columns), plan.wgmma.columns / 2, plan.row_tiles_e8p, plan.row_tiles_e81b,
        plan.wgmma.splits, plan.wgmma.row_blocks * plan.wgmma.splits, plan.wgmma.token_tiles,
        kernels::WgmmaThreads(plan.wgmma.columns));
  } else if (plan.path == Path::kHalves) {
    std::snprintf(text, sizeof(text),
                  "kernel: e8p_gemm_halves<%d rows, %d tokens>\nrow tiles: %d E8P, %d E81B\n"
                  "splits of k over a cluster: %d\ngrid: %d x %d blocks of %d threads\n",
                  kernels::kHalvesRows, plan.halves.tokens, plan.row_tiles_e8p, plan.row_tiles_e81b, plan.halves.splits,
                  plan.halves.row_blocks * plan.halves.splits, plan.halves.token_tiles, kernels::kHalvesThreads);
  } else if (plan.path == Path::kExpandF16) {
    std::snprintf(
        text, sizeof(text),
        "kernel: expansion to fp16, cuBLASLt fp16 product\nrow tiles: %d E8P, %d E81B\ntokens per slice: %lld\n",
        plan.row_tiles_e8p, plan.row_tiles_e81b, static_cast<long long>(kSliceTokens));
  } else {
    std::snprintf(
        text, sizeof(text),
        "kernel: expansion to int8, cuBLASLt int8 product\nrow tiles: %d E8P, %d E81B\ntokens per slice: %lld\n",
        plan.row_tiles_e8p, plan.row_tiles_e81b, static_cast<long long>(kSliceTokens));
  }
  return text;
}

}  // namespace glq::cuda
