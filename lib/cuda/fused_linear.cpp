#include "cuda/fused_linear.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "e8p/layout.h"

namespace glq::cuda {
namespace {

Scalar ScalarOf(glq_dtype t) {
  return t == GLQ_DTYPE_F16 ? Scalar::kF16 : t == GLQ_DTYPE_BF16 ? Scalar::kBF16 : Scalar::kF32;
}

int64_t ElementBytes(glq_dtype t) { return (t >> 8 & 255) / 8; }

// Rows [first, first + n) of a matrix.
Matrix Rows(const Matrix& m, int64_t first, int64_t n) {
  return {static_cast<std::byte*>(m.data) + first * m.stride * ElementBytes(m.dtype), m.dtype, n, m.cols, m.stride};
}

bool IsPlain(const Matrix& x) { return x.dtype != GLQ_DTYPE_F32 && (reinterpret_cast<uintptr_t>(x.data) & 15) == 0; }

kernels::RhtInputParams InputParams(const CudaWeight& w, const Matrix& x) {
  kernels::RhtInputParams p{};
  p.x = x.data;
  p.x_type = ScalarOf(x.dtype);
  p.tokens = static_cast<int32_t>(x.rows);
  p.x_stride = x.stride;
  p.in_features = static_cast<int32_t>(x.cols);
  p.dim = static_cast<int32_t>(w.meta().padded_in);
  p.sv = w.sv();
  return p;
}

kernels::RhtOutputParams OutputParams(const CudaWeight& w, const Matrix& y) {
  kernels::RhtOutputParams p{};
  p.tokens = static_cast<int32_t>(y.rows);
  p.dim = static_cast<int32_t>(w.meta().padded_out);
  p.out_features = static_cast<int32_t>(y.cols);
  p.su = w.su();
  p.bias = w.bias();
  p.y = y.data;
  p.y_type = ScalarOf(y.dtype);
  p.y_stride = y.stride;
  return p;
}

}  // namespace

bool FusedLinearRunner::TakesF16(const e8p::LinearMeta* const* metas, int count, int64_t tokens,
                                 int32_t math_mode) const {
  // Few tokens do not ask: the answer takes the host some microseconds.
  return math_mode == GLQ_MATH_FP16_EXPANDED && tokens >= kF16LeastTokens &&
         tokens >= F16Tokens(device_, metas, count, library_.found());
}

ProductPlan FusedLinearRunner::Plan(const e8p::LinearMeta* const* metas, int count, int64_t tokens, bool plain_rows,
                                    int32_t math_mode) const {
  return PlanProduct(device_, metas, count, tokens, plain_rows, library_.found(),
                     TakesF16(metas, count, tokens, math_mode));
}

FusedLinearRunner::Layout FusedLinearRunner::LayOut(void* base, const e8p::LinearMeta* const* metas, int count,
                                                    int64_t tokens, const ProductPlan& plan) const {
  const Path path = plan.path;
  WorkspaceCursor cursor(base);
  Layout l{};
  const int64_t in = metas[0]->padded_in;
  int64_t largest_stage = 0, largest_output = 0;
  for (int i = 0; i < count; ++i) largest_stage = std::max(largest_stage, metas[i]->padded_out * in);
  if (path == Path::kExpand || path == Path::kExpandF16) {
    // First, where it does not depend on the number of tokens: slices of different sizes share it.
    l.expanded = cursor.Take<std::byte>(path == Path::kExpandF16 ? 2 * largest_stage : largest_stage);
    l.library_workspace = cursor.Take<std::byte>(CublasLt::kWorkspaceBytes);
  }
  l.headers = cursor.Take<kernels::TokenHeader>(tokens);
  const int64_t units = (in + kernels::kUnitCols - 1) / kernels::kUnitCols;
  l.digits = cursor.Take<uint8_t>(tokens * units * kernels::kUnitCols * 2);
  int64_t row_count = 0;
  for (int i = 0; i < count; ++i) {
    const e8p::LinearMeta& m = *metas[i];
    if (plan.combines()) {
      row_count += tokens * m.padded_out;
    } else {
      l.z_count += static_cast<int64_t>(m.stages.size()) * tokens * 2 * m.padded_out;
    }
    if (!FitsCluster(device_, m.padded_out, m.out_blocks)) largest_output = std::max(largest_output, m.padded_out);
  }
  l.z = cursor.Take<int32_t>(l.z_count);
  if (row_count > 0) l.rows = cursor.Take<float>(row_count);
  if (!FitsCluster(device_, in, metas[0]->in_blocks)) l.input_buffer = cursor.Take<float>(tokens * in);
  if (largest_output > 0) l.output_buffer = cursor.Take<float>(tokens * largest_output);
  l.bytes = cursor.used();
  return l;
}

FewTokens FusedLinearRunner::PlanFewTokens(const e8p::LinearMeta* const* metas, int count, int64_t tokens) const {
  FewTokens few;
  for (int64_t t = 1; t <= std::min<int64_t>(tokens, kernels::kGemvMaxTokens); ++t) {
    const auto bytes = [&](bool plain_rows) {
      return LayOut(nullptr, metas, count, t, Plan(metas, count, t, plain_rows, GLQ_MATH_EXACT)).bytes;
    };
    few.of[t] = std::max(few.of[t - 1], bytes(true));
    // One token is the only one whose rows may be transformed in the product.
    if (t == 1) few.of[t] = std::max(few.of[t], bytes(false));
  }
  return few;
}

size_t FusedLinearRunner::Workspace(const e8p::LinearMeta* const* metas, const uint64_t* ids, int count,
                                    int64_t max_tokens, int32_t math_mode, const FewTokens* few) const {
  if (max_tokens == 0) return 0;
  const int64_t tokens = std::min(max_tokens, kSliceTokens);
  size_t bytes = 0;
  bool done[kMaxGroup] = {};
  for (int i = 0; i < count; ++i) {
    if (done[i]) continue;
    const e8p::LinearMeta* part[kMaxGroup];
    int n = 0;
    for (int j = i; j < count; ++j) {
      if (ids[j] == ids[i]) part[n++] = metas[j], done[j] = true;
    }
    // A workspace for many tokens must do for few: the paths differ in what they need, and so do the splits of few
    // tokens (sums of several blocks, or y_rht). Every call asks for this, so that no more is planned than matters.
    // Those of the exact mode always: glq_op_support() does not know the scales that fp16 may not hold.
    const auto add = [&](int64_t fewer) {
      const ProductPlan plan = Plan(part, n, fewer, true, GLQ_MATH_EXACT);
      bytes = std::max(bytes, LayOut(nullptr, part, n, fewer, plan).bytes);
    };
    if (tokens > kernels::kGemvMaxTokens) add(tokens);
    if (tokens >= kExpandTokens) add(kExpandTokens - 1);
    const int64_t fewer = std::min<int64_t>(tokens, kernels::kGemvMaxTokens);
    bytes = std::max(bytes, few != nullptr ? few->of[fewer] : PlanFewTokens(part, n, fewer).of[fewer]);
    if (TakesF16(part, n, tokens, math_mode)) {
      ProductPlan plan = Plan(part, n, tokens, true, math_mode);
      // Some smaller batch may write the weight where this one does not.
      if (ExpandsF16UpTo(device_, part, n, tokens, library_.found())) plan.path = Path::kExpandF16;
      bytes = std::max(bytes, LayOut(nullptr, part, n, tokens, plan).bytes);
    }
  }
  return bytes;
}

void FusedLinearRunner::MultiplyWgmma(const ProductPlan& plan, const CudaWeight* const* weights, int count,
                                      const Layout& layout, int64_t tokens, cudaStream_t stream) const {
  kernels::WgmmaParams p{};
  p.digits = layout.digits;
  p.headers = layout.headers;
  p.tokens = static_cast<int32_t>(tokens);
  p.units = static_cast<int32_t>((weights[0]->meta().padded_in + kernels::kUnitCols - 1) / kernels::kUnitCols);
  p.splits = plan.wgmma.splits;
  p.count = count;
  p.any_e8p = plan.row_tiles_e8p > 0;
  p.any_e81b = plan.row_tiles_e81b > 0;
  float* rows = layout.rows;
  int first_block = 0;
  const int block_rows = kernels::WgmmaRows(plan.wgmma.columns);
  for (int i = 0; i < count; ++i) {
    const e8p::LinearMeta& m = weights[i]->meta();
    kernels::WgmmaWeight& w = p.weights[i];
    w.stages = static_cast<int32_t>(m.stages.size());
    for (int s = 0; s < w.stages; ++s) {
      const e8p::Stage& stage = m.stages[static_cast<size_t>(s)];
      w.stage[s] = weights[i]->stage(s);
      w.k[s] = stage.k;
      if (stage.codebook == e8p::Codebook::kE81B) w.e81b_mask |= 1 << s;
    }
    w.rows = rows;
    w.padded_out = static_cast<int32_t>(m.padded_out);
    w.first_block = first_block;
    rows += tokens * m.padded_out;
    first_block += (w.padded_out + block_rows - 1) / block_rows;
  }
  kernels::LaunchWgmma(p, plan.wgmma, device_.clusters, stream);
}

void FusedLinearRunner::MultiplyHalves(const CudaWeight* const* weights, int count, const Layout& layout,
                                       int64_t tokens, cudaStream_t stream) const {
  const e8p::LinearMeta* metas[kMaxGroup];
  for (int i = 0; i < count; ++i) metas[i] = &weights[i]->meta();
  float* rows = layout.rows;
  for (int first = 0, n = 0; first < count; first += n) {
    n = SameStages(metas, count, first);
    const kernels::HalvesPlan plan = PlanHalves(device_, metas + first, n, tokens);
    kernels::HalvesParams p{};
    p.halves = layout.digits;
    p.tokens = static_cast<int32_t>(tokens);
    p.units = static_cast<int32_t>((metas[0]->padded_in + kernels::kUnitCols - 1) / kernels::kUnitCols);
    p.count = n;
    int first_block = 0;
    for (int i = 0; i < n; ++i) {
      const e8p::LinearMeta& m = *metas[first + i];
      kernels::HalvesWeight& w = p.weights[i];
      for (size_t s = 0; s < m.stages.size(); ++s) {
        w.stage[s] = weights[first + i]->stage(static_cast<int>(s));
        if (s == 0) continue;
        const double ratio = StageFactor(m.stages[s]) / StageFactor(m.stages[s - 1]);
        w.ratio[s] = kernels::TwoHalves(static_cast<float>(ratio));
      }
      w.factor = static_cast<float>(StageFactor(m.stages[0]));
      w.rows = rows;
      w.padded_out = static_cast<int32_t>(m.padded_out);
      w.first_block = first_block;
      rows += tokens * m.padded_out;
      first_block += (w.padded_out + kernels::kHalvesRows - 1) / kernels::kHalvesRows;
    }
    p.splits = plan.splits;
    const auto& stages = metas[first]->stages;
    kernels::LaunchHalves(p, plan, static_cast<int>(stages.size()), stages.back().codebook == e8p::Codebook::kE81B,
                          device_.clusters, stream);
  }
}

void FusedLinearRunner::MultiplyF16(const CudaWeight* const* weights, int count, const Layout& layout, int64_t tokens,
                                    bool expand, cudaStream_t stream) const {
  const int64_t in = weights[0]->meta().padded_in;
  auto* expanded = reinterpret_cast<uint16_t*>(layout.expanded);
  float* rows = layout.rows;
  for (int i = 0; i < count; ++i) {
    const e8p::LinearMeta& m = weights[i]->meta();
    const int exponent = F16Exponent(m);
    if (expand) {
      kernels::ExpandParams p{};
      for (size_t s = 0; s < m.stages.size(); ++s) {
        const bool e81b = m.stages[s].codebook == e8p::Codebook::kE81B;
        if (e81b) p.e81b_mask |= 1 << s;
        kernels::SetExpandStage(p.stages[s], weights[i]->stage(static_cast<int>(s)), e81b,
                                std::ldexp(m.stages[s].k, exponent));
      }
      p.tiles = m.padded_out / kernels::kTileRows;
      p.units = (in + kernels::kUnitCols - 1) / kernels::kUnitCols;
      p.cols = in;
      p.out = expanded;
      kernels::LaunchExpandHalves(p, static_cast<int>(m.stages.size()), device_.multiprocessors, stream);
    }
    library_.MultiplyF16(expanded, reinterpret_cast<const uint16_t*>(layout.digits), std::ldexp(1.0f, -exponent), rows,
                         m.padded_out, in, tokens, layout.library_workspace, stream);
    rows += tokens * m.padded_out;
  }
}

void FusedLinearRunner::Multiply(const ProductPlan& plan, const CudaWeight* const* weights, int count,
                                 const Layout& layout, int64_t tokens, bool expand, cudaStream_t stream) const {
  const int64_t in = weights[0]->meta().padded_in;
  if (plan.path == Path::kExpand) {
    auto* expanded = reinterpret_cast<int8_t*>(layout.expanded);
    int32_t* z = layout.z;
    for (int i = 0; i < count; ++i) {
      const e8p::LinearMeta& m = weights[i]->meta();
      for (size_t s = 0; s < m.stages.size(); ++s) {
        if (expand) {
          kernels::LaunchExpandInt8(weights[i]->stage(static_cast<int>(s)),
                                    m.stages[s].codebook == e8p::Codebook::kE81B, m.padded_out, in, expanded, stream);
        }
        library_.MultiplyInt8(expanded, reinterpret_cast<const int8_t*>(layout.digits), z, m.padded_out, in, 2 * tokens,
                              layout.library_workspace, stream);
        z += 2 * tokens * m.padded_out;
      }
    }
    return;
  }
  kernels::ProductParams p{};
  p.digits = layout.digits;
  p.tokens = static_cast<int32_t>(tokens);
  p.dim = static_cast<int32_t>(in);
  p.units = static_cast<int32_t>((in + kernels::kUnitCols - 1) / kernels::kUnitCols);
  // Segments: all E8P stages, then all E81B stages; z in the order of weights and stages.
  for (const e8p::Codebook codebook : {e8p::Codebook::kE8P, e8p::Codebook::kE81B}) {
    int32_t* z = layout.z;
    int32_t tiles = 0;
    for (int i = 0; i < count; ++i) {
      const e8p::LinearMeta& m = weights[i]->meta();
      for (size_t s = 0; s < m.stages.size(); ++s) {
        if (m.stages[s].codebook == codebook) {
          p.segments[p.segments_e8p + p.segments_e81b] = {
              static_cast<const uint4*>(weights[i]->stage(static_cast<int>(s))), z, tiles,
              static_cast<int32_t>(m.padded_out)};
          tiles += static_cast<int32_t>(m.padded_out / kernels::kTileRows);
          ++(codebook == e8p::Codebook::kE8P ? p.segments_e8p : p.segments_e81b);
        }
        z += 2 * tokens * m.padded_out;
      }
    }
    (codebook == e8p::Codebook::kE8P ? p.tiles_e8p : p.tiles_e81b) = tiles;
  }
  p.splits = plan.gemm_e8p.splits;
  kernels::LaunchGemm(p, plan.gemm_e8p, false, device_.clusters, stream);
  if (p.tiles_e81b > 0) {
    p.splits = plan.gemm_e81b.splits;
    kernels::LaunchGemm(p, plan.gemm_e81b, true, device_.clusters, stream);
  }
}

void FusedLinearRunner::MultiplyGemv(const ProductPlan& plan, const CudaWeight* const* weights, int count,
                                     const Layout& layout, const Matrix& x, bool hinted, bool watched,
                                     cudaStream_t stream) const {
  const int64_t tokens = x.rows;
  const kernels::RhtInputParams in = InputParams(*weights[0], x);
  kernels::GemvParams p{};
  p.tokens = in.tokens;
  p.dim = in.dim;
  p.units = static_cast<int32_t>((in.dim + kernels::kUnitCols - 1) / kernels::kUnitCols);
  p.splits = plan.gemv.splits;
  p.warps_k = plan.gemv.warps_k;
  p.chunk_tiles = plan.gemv.chunk_tiles;
  p.steps_e8p = plan.gemv.steps_e8p;
  p.steps_e81b = plan.gemv.steps_e81b;
  p.sum_bytes = plan.gemv.sum_bytes;
  p.front_bytes = plan.gemv.front_bytes;
  p.prefetched_steps = plan.gemv.prefetched_steps;
  p.awaits_row = hinted;
  p.combine = plan.gemv.combine;
  p.watched = watched;
  p.digits = layout.digits;
  p.headers = layout.headers;
  p.x = in.x;
  p.x_type = in.x_type;
  p.sv = in.sv;
  p.count = count;
  int32_t* z = layout.z;
  float* rows = layout.rows;
  int32_t tiles = 0;
  for (int i = 0; i < count; ++i) {
    const e8p::LinearMeta& m = weights[i]->meta();
    kernels::GemvWeight& w = p.weights[i];
    int32_t slots_e8p = 0, slots_e81b = 0;
    w.stages = static_cast<int32_t>(m.stages.size());
    for (int s = 0; s < w.stages; ++s) {
      const e8p::Stage& stage = m.stages[static_cast<size_t>(s)];
      w.stage[s] = weights[i]->stage(s);
      w.k[s] = stage.k;
      if (stage.codebook == e8p::Codebook::kE81B) w.e81b_mask |= 1 << s;
      ++(stage.codebook == e8p::Codebook::kE8P ? slots_e8p : slots_e81b);
    }
    w.z = z;
    w.rows = rows;
    w.first_tile = tiles;
    w.padded_out = static_cast<int32_t>(m.padded_out);
    tiles += static_cast<int32_t>(m.padded_out / kernels::kTileRows);
    p.slots_e8p = std::max(p.slots_e8p, slots_e8p);
    p.slots_e81b = std::max(p.slots_e81b, slots_e81b);
    if (plan.gemv.combine) {
      rows += tokens * m.padded_out;
    } else {
      z += w.stages * 2 * tokens * m.padded_out;
    }
  }
  p.share = {tiles / plan.gemv.blocks, tiles % plan.gemv.blocks};
  if (device_.all_tables || p.slots_e8p == 0 || p.slots_e81b == 0) {
    kernels::LaunchGemv(p, plan.gemv, device_.clusters, stream);
    return;
  }
  // Both tables do not fit beside each other here: one launch each.
  kernels::GemvParams first = p, second = p;
  first.slots_e81b = 0;
  second.slots_e8p = 0;
  kernels::LaunchGemv(first, plan.gemv, device_.clusters, stream);
  kernels::LaunchGemv(second, plan.gemv, device_.clusters, stream);
}

void FusedLinearRunner::RunSlice(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y,
                                 void* workspace, int32_t math_mode, bool transform, std::optional<Path>& expanded,
                                 cudaStream_t stream) const {
  const e8p::LinearMeta* metas[kMaxGroup];
  for (int i = 0; i < count; ++i) metas[i] = &weights[i]->meta();
  const int64_t tokens = x.rows;
  const ProductPlan plan = Plan(metas, count, tokens, transform && IsPlain(x), math_mode);
  const Layout layout = LayOut(workspace, metas, count, tokens, plan);
  const bool dependent = device_.clusters;

  kernels::RhtInputParams in = InputParams(*weights[0], x);
  in.pretransformed = !transform;
  in.digits = layout.digits;
  in.headers = layout.headers;
  in.layout = plan.path == Path::kExpand      ? kernels::DigitLayout::kRows
              : plan.path == Path::kExpandF16 ? kernels::DigitLayout::kHalves
              : plan.path == Path::kHalves    ? kernels::DigitLayout::kHalfTiles
              : plan.path == Path::kWgmma     ? kernels::DigitLayout::kUnits
                                              : kernels::DigitLayout::kTiles;
  // The input transform tells the product when it has its row.
  const bool hinted = transform && layout.input_buffer == nullptr && plan.path == Path::kGemv && plan.gemv.awaits_row;
  in.hints = hinted;
  if (plan.adds()) in.clear = layout.z, in.clear_count = layout.z_count;
  if (layout.input_buffer != nullptr) {
    kernels::LaunchRhtInputLarge(in, weights[0]->in_blocks(), layout.input_buffer, stream);
  } else if (plan.path != Path::kGemv || plan.gemv.transform_chunks == 0) {
    kernels::LaunchRhtInput(in, dependent, device_.max_shared_bytes, stream);
  }

  // The output transform takes each element of y_rht when it is stored, not when the product has ended.
  bool watched = dependent && transform && tokens <= kWatchedTokens && plan.path == Path::kGemv && plan.gemv.combine &&
                 plan.gemv.one_chunk;
  for (int i = 0; i < count; ++i) watched &= FitsCluster(device_, metas[i]->padded_out, metas[i]->out_blocks);
  if (plan.path == Path::kGemv) {
    MultiplyGemv(plan, weights, count, layout, x, hinted, watched, stream);
  } else if (plan.path == Path::kWgmma) {
    MultiplyWgmma(plan, weights, count, layout, tokens, stream);
  } else if (plan.path == Path::kHalves) {
    MultiplyHalves(weights, count, layout, tokens, stream);
  } else if (plan.path == Path::kExpandF16) {
    MultiplyF16(weights, count, layout, tokens, expanded != plan.path, stream);
  } else {
    Multiply(plan, weights, count, layout, tokens, expanded != plan.path, stream);
  }
  // One weight stays expanded from slice to slice: all stages as fp16, or the only one as int8.
  const bool stays =
      count == 1 && (plan.path == Path::kExpandF16 || (plan.path == Path::kExpand && metas[0]->stages.size() == 1));
  expanded = stays ? std::optional(plan.path) : std::nullopt;

  kernels::RhtOutputGroup group{};
  int32_t* z = layout.z;
  const float* rows = layout.rows;
  for (int i = 0; i < count; ++i) {
    kernels::RhtOutputParams out = OutputParams(*weights[i], y[i]);
    out.headers = layout.headers;
    out.rows = rows;
    out.rows_stride = metas[i]->padded_out;
    out.rows_end_here = true;
    out.hint = hinted && i == 0 ? layout.headers : nullptr;
    out.watched = watched;
    out.scale_rows = plan.f16();
    out.signed_sums = plan.path == Path::kExpand;
    out.stages = plan.combines() ? 0 : static_cast<int32_t>(metas[i]->stages.size());
    if (rows != nullptr) rows += tokens * metas[i]->padded_out;
    for (int s = 0; s < out.stages; ++s) {
      const e8p::Stage& stage = metas[i]->stages[static_cast<size_t>(s)];
      out.z[s] = z;
      out.k[s] = stage.k;
      if (stage.codebook == e8p::Codebook::kE81B) out.e81b_mask |= 1 << s;
      z += 2 * tokens * metas[i]->padded_out;
    }
    if (!transform) {
      kernels::LaunchCombine(out, stream);
    } else if (FitsCluster(device_, metas[i]->padded_out, metas[i]->out_blocks)) {
      group.items[group.count++] = out;
    } else {
      kernels::LaunchRhtOutputLarge(out, weights[i]->out_blocks(), layout.output_buffer, stream);
    }
  }
  if (group.count > 0) kernels::LaunchRhtOutput(group, dependent, device_.max_shared_bytes, stream);
}

void FusedLinearRunner::RunSlices(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y,
                                  void* workspace, int32_t math_mode, bool transform, cudaStream_t stream) const {
  Matrix part[kMaxGroup];
  std::optional<Path> expanded;
  for (int64_t first = 0; first < x.rows; first += kSliceTokens) {
    const int64_t n = std::min(kSliceTokens, x.rows - first);
    for (int i = 0; i < count; ++i) part[i] = Rows(y[i], first, n);
    RunSlice(weights, count, Rows(x, first, n), part, workspace, math_mode, transform, expanded, stream);
  }
}

void FusedLinearRunner::Run(const CudaWeight* const* weights, int count, const Matrix& x, const Matrix* y,
                            void* workspace, int32_t math_mode, cudaStream_t stream) const {
  bool done[kMaxGroup] = {};
  for (int i = 0; i < count; ++i) {
    if (done[i]) continue;
    const CudaWeight* part[kMaxGroup];
    Matrix outputs[kMaxGroup];
    int n = 0;
    for (int j = i; j < count; ++j) {
      if (weights[j]->input_transform_id() != weights[i]->input_transform_id()) continue;
      part[n] = weights[j];
      outputs[n++] = y[j];
      done[j] = true;
    }
    RunSlices(part, n, x, outputs, workspace, math_mode, true, stream);
  }
}

void FusedLinearRunner::Matmul(const CudaWeight& weight, const Matrix& v, const Matrix& z, void* workspace,
                               int32_t math_mode, cudaStream_t stream) const {
  const CudaWeight* list = &weight;
  RunSlices(&list, 1, v, &z, workspace, math_mode, false, stream);
}

size_t FusedLinearRunner::RhtInputWorkspace(const e8p::LinearMeta& m, int64_t max_tokens) const {
  if (FitsCluster(device_, m.padded_in, m.in_blocks)) return 0;
  WorkspaceCursor cursor;
  cursor.Take<float>(std::min(max_tokens, kSliceTokens) * m.padded_in);
  return cursor.used();
}

void FusedLinearRunner::RhtInput(const CudaWeight& weight, const Matrix& x, const Matrix& v, void* workspace,
                                 cudaStream_t stream) const {
  const bool fits = FitsCluster(device_, weight.meta().padded_in, weight.meta().in_blocks);
  for (int64_t first = 0; first < x.rows; first += kSliceTokens) {
    const int64_t n = std::min(kSliceTokens, x.rows - first);
    kernels::RhtInputParams p = InputParams(weight, Rows(x, first, n));
    p.v = static_cast<float*>(Rows(v, first, n).data);
    p.v_stride = v.stride;
    if (fits) {
      kernels::LaunchRhtInput(p, device_.clusters, device_.max_shared_bytes, stream);
    } else {
      kernels::LaunchRhtInputLarge(p, weight.in_blocks(), static_cast<float*>(workspace), stream);
    }
  }
}

size_t FusedLinearRunner::RhtOutputWorkspace(const e8p::LinearMeta& m, int64_t max_tokens) const {
  if (FitsCluster(device_, m.padded_out, m.out_blocks)) return 0;
  WorkspaceCursor cursor;
  cursor.Take<float>(std::min(max_tokens, kSliceTokens) * m.padded_out);
  return cursor.used();
}

void FusedLinearRunner::RhtOutput(const CudaWeight& weight, const Matrix& z, const Matrix& y, void* workspace,
                                  cudaStream_t stream) const {
  const bool fits = FitsCluster(device_, weight.meta().padded_out, weight.meta().out_blocks);
  for (int64_t first = 0; first < z.rows; first += kSliceTokens) {
    const int64_t n = std::min(kSliceTokens, z.rows - first);
    kernels::RhtOutputGroup group{};
    group.count = 1;
    group.items[0] = OutputParams(weight, Rows(y, first, n));
    group.items[0].rows = static_cast<const float*>(Rows(z, first, n).data);
    group.items[0].rows_stride = z.stride;
    if (fits) {
      kernels::LaunchRhtOutput(group, device_.clusters, device_.max_shared_bytes, stream);
    } else {
      kernels::LaunchRhtOutputLarge(group.items[0], weight.out_blocks(), static_cast<float*>(workspace), stream);
    }
  }
}

std::string FusedLinearRunner::PathName(const e8p::LinearMeta& meta, int64_t tokens, int32_t math_mode) const {
  const e8p::LinearMeta* list = &meta;
  switch (Plan(&list, 1, std::max<int64_t>(1, std::min(tokens, kSliceTokens)), true, math_mode).path) {
    case Path::kGemv:
      return "cuda mma u8s8 gemv";
    case Path::kGemm:
      return "cuda mma u8s8 gemm";
    case Path::kWgmma:
      return "cuda wgmma u8s8 gemm";
    case Path::kExpand:
      return "cuda int8 expansion and cublaslt";
    case Path::kHalves:
      return "cuda wgmma fp16 gemm";
    case Path::kExpandF16:
      return "cuda fp16 expansion and cublaslt";
  }
  return "";
}

std::string FusedLinearRunner::Describe(const e8p::LinearMeta& meta, int64_t tokens, int32_t math_mode) const {
  const e8p::LinearMeta* list = &meta;
  const uint64_t id = 0;
  const int64_t slice = std::max<int64_t>(1, std::min(tokens, kSliceTokens));
  const ProductPlan plan = Plan(&list, 1, slice, true, math_mode);
  int64_t bytes = 0;
  for (size_t s = 0; s < meta.stages.size(); ++s) bytes += CudaWeight::StageBytes(meta, static_cast<int>(s));
  const auto transform = [&](int64_t dim, const std::vector<int64_t>& blocks, int cluster, int many) -> std::string {
    if (!FitsCluster(device_, dim, blocks)) return "passes over global memory";
    const int log2 = std::max(12, kernels::LargestBlockLog2(dim));
    const int64_t chunks = slice * ((dim + kernels::kChunkElements - 1) / kernels::kChunkElements);
    if (many > 0 && kernels::TransformsMany(log2, chunks)) {
      return "blocks of " + std::to_string(many) + " threads";
    }
    if (kernels::TransformsInBlocks(log2, chunks)) {
      return "blocks of " + std::to_string(1 << (log2 - 4)) + " threads";
    }
    return "clusters of " + std::to_string(cluster) + " blocks of 512 threads";
  };
  // Threads of a block that transforms one of very many rows; 0: none does.
  const bool fits = !plan.adds() && kernels::FitsRhtManyInput(meta.padded_in, device_.max_shared_bytes);
  const int input_threads = fits ? kernels::RhtManyInputThreads(meta.padded_in) : 0;
  const int output_threads = plan.combines() ? kernels::RhtManyOutputThreads(meta.padded_out) : 0;
  const std::string input =
      plan.path == Path::kGemv && plan.gemv.transform_chunks > 0
          ? "in every block of the product"
          : transform(meta.padded_in, meta.in_blocks, kernels::RhtClusterSize(meta.padded_in), input_threads);
  const std::string output =
      transform(meta.padded_out, meta.out_blocks, kernels::OutputClusterSize(meta.padded_out), output_threads);
  // Each read or written once, activations of 16 bits. An fp16 matrix is written once and read for every slice.
  int64_t moved = bytes + 2 * tokens * (meta.in_features + meta.out_features);
  if (plan.path == Path::kExpandF16) {
    const int64_t rest = TakesF16(&list, 1, tokens % kSliceTokens, math_mode) ? 1 : 0;
    moved += 2 * meta.padded_in * meta.padded_out * (1 + tokens / kSliceTokens + rest);
  }
  char floor[64] = "floor: not known";
  if (device_.memory_bytes_per_us > 0) {
    std::snprintf(floor, sizeof(floor), "floor: %.2f us at %.0f GB/s",
                  static_cast<double>(moved) / device_.memory_bytes_per_us, device_.memory_bytes_per_us / 1000);
  }
  char text[640];
  std::snprintf(text, sizeof(text),
                "device: cuda:%d\npath: %s\ninput transform: %s\noutput transform: %s\nweight bytes: %" PRId64
                "\nbytes moved: %" PRId64 "\n%s\nworkspace bytes: %zu\n",
                device_.index, PathName(meta, tokens, math_mode).c_str(), input.c_str(), output.c_str(), bytes, moved,
                floor, Workspace(&list, &id, 1, tokens, math_mode));
  return text + cuda::Describe(plan);
}

}  // namespace glq::cuda
