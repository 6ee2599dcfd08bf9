#include "cpu/e8p_linear.h"

#include <algorithm>

#include "core/workspace_cursor.h"
#include "cpu/half.h"
#include "platform/fp_env.h"

namespace glq::cpu {
namespace {

using e8p::LinearMeta;

int64_t BlockTokens(int64_t tokens) { return std::min(tokens, kTokenBlock); }

// Digits and scales of a block of tokens.
struct Quantized {
  int8_t* digits;
  RowScale* scales;

  static Quantized Take(WorkspaceCursor& cursor, const LinearMeta& meta, int64_t max_tokens) {
    const int64_t tokens = BlockTokens(max_tokens);
    return {cursor.Take<int8_t>(tokens * 2 * meta.padded_in), cursor.Take<RowScale>(tokens)};
  }
  // Of token t among `tokens`.
  void Quantize(const float* v, int64_t padded, int64_t t, int64_t tokens) const {
    const int64_t first = t / kTokenGroup * kTokenGroup;
    const int64_t group = std::min(kTokenGroup, tokens - first);
    scales[t] = QuantizeRow(v, padded, group, digits + first * 2 * padded + (t - first) * 8);
  }
};

struct FusedBuffers {
  Quantized quantized;
  float* y_rht;  // [tokens of a block][padded_out]
  float* rows;   // [workers][row_size]
  int64_t row_size;
  MatmulScratch* scratch;  // [workers]

  static FusedBuffers Take(WorkspaceCursor& cursor, const LinearMeta& meta, int64_t max_tokens, int workers) {
    FusedBuffers b;
    b.quantized = Quantized::Take(cursor, meta, max_tokens);
    b.y_rht = cursor.Take<float>(BlockTokens(max_tokens) * meta.padded_out);
    b.row_size = meta.padded_in;
    b.rows = cursor.Take<float>(workers * b.row_size);
    b.scratch = cursor.Take<MatmulScratch>(workers);
    return b;
  }
};

// The group's largest sizes: one set of buffers serves all its weights.
LinearMeta Largest(const LinearMeta* const metas[], int count) {
  LinearMeta largest;
  for (int i = 0; i < count; ++i) {
    largest.padded_in = std::max(largest.padded_in, metas[i]->padded_in);
    largest.padded_out = std::max(largest.padded_out, metas[i]->padded_out);
  }
  return largest;
}

// Steps 5 and 6 for one block of tokens. y: first token.
void Matmul(const E8pWeights& weights, const Quantized& quantized, int64_t tokens, float* y, int64_t y_stride,
            MatmulScratch* scratch, Parallel& par) {
  const LinearMeta& meta = weights.meta();
  const MatmulArgs args = {weights.stages(),
                           static_cast<int>(meta.stages.size()),
                           meta.padded_in,
                           quantized.digits,
                           quantized.scales,
                           tokens,
                           y,
                           y_stride};
  const int64_t tiles = meta.padded_out / kTileRows;
  // Below about 64 Ki codes a thread costs more than it brings.
  const int64_t codes_per_tile = kTileRows * meta.padded_in / 8 * args.num_stages * tokens;
  const int64_t grain = std::clamp<int64_t>((65536 + codes_per_tile - 1) / codes_per_tile, 1, tiles);
  const int64_t pairs = (tiles + kTilesAtOnce - 1) / kTilesAtOnce;
  par.For(pairs, (grain + kTilesAtOnce - 1) / kTilesAtOnce, [&](int64_t begin, int64_t end, int worker) {
    MatmulTiles(args, begin * kTilesAtOnce, std::min(tiles, end * kTilesAtOnce), scratch + worker);
  });
}

// Rows a worker should get at least, when a row costs about `elements` * 20 additions.
int64_t RowGrain(int64_t elements) { return std::max<int64_t>(1, 16384 / elements); }

}  // namespace

size_t FusedLinearWorkspace(const LinearMeta* const metas[], int count, int64_t max_tokens, int workers) {
  WorkspaceCursor cursor;
  static_cast<void>(FusedBuffers::Take(cursor, Largest(metas, count), max_tokens, workers));
  return cursor.used();
}

size_t FusedLinearWorkspace(const LinearMeta& meta, int64_t max_tokens, int workers) {
  const LinearMeta* const metas[] = {&meta};
  return FusedLinearWorkspace(metas, 1, max_tokens, workers);
}

void FusedLinear(const E8pWeights* const weights[], int count, ConstMatrix x, const Matrix y[], void* workspace,
                 Parallel& par) {
  LinearMeta largest;
  for (int i = 0; i < count; ++i) {
    largest.padded_in = std::max(largest.padded_in, weights[i]->meta().padded_in);
    largest.padded_out = std::max(largest.padded_out, weights[i]->meta().padded_out);
  }
  WorkspaceCursor cursor(workspace);
  const FusedBuffers b = FusedBuffers::Take(cursor, largest, x.rows, par.workers());
  for (int64_t first = 0; first < x.rows; first += kTokenBlock) {
    const int64_t tokens = std::min(kTokenBlock, x.rows - first);
    for (int i = 0; i < count; ++i) {
      // The first weight that transforms its input in some way does it for all that do likewise.
      const E8pWeights& leader = *weights[i];
      if (std::any_of(weights, weights + i, [&](const E8pWeights* w) { return w->SharesInput(leader); })) continue;
      const Transform in = leader.input();
      par.For(tokens, RowGrain(in.padded), [&](int64_t begin, int64_t end, int worker) {
        float* row = b.rows + worker * b.row_size;
        for (int64_t t = begin; t < end; ++t) {
          RhtInputRow(in, x.Row(first + t), x.type, row);
          b.quantized.Quantize(row, in.padded, t, tokens);
        }
      });
      for (int j = i; j < count; ++j) {
        const E8pWeights& w = *weights[j];
        if (!w.SharesInput(leader)) continue;
        const Transform out = w.output();
        Matmul(w, b.quantized, tokens, b.y_rht, out.padded, b.scratch, par);
        par.For(tokens, RowGrain(out.padded), [&](int64_t begin, int64_t end, int) {
          for (int64_t t = begin; t < end; ++t) {
            RhtOutputRow(out, b.y_rht + t * out.padded, w.bias(), y[j].Row(first + t), y[j].type);
          }
        });
      }
    }
  }
}

void RhtInput(const E8pWeights& weights, ConstMatrix x, Matrix v, Parallel& par) {
  const Transform in = weights.input();
  par.For(x.rows, RowGrain(in.padded), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) RhtInputRow(in, x.Row(t), x.type, static_cast<float*>(v.Row(t)));
  });
}

size_t MatmulRhtWorkspace(const LinearMeta& meta, int64_t max_tokens, int workers) {
  WorkspaceCursor cursor;
  static_cast<void>(Quantized::Take(cursor, meta, max_tokens));
  static_cast<void>(cursor.Take<MatmulScratch>(workers));
  return cursor.used();
}

void MatmulRht(const E8pWeights& weights, ConstMatrix v, Matrix y_rht, void* workspace, Parallel& par) {
  WorkspaceCursor cursor(workspace);
  const int64_t padded = weights.meta().padded_in;
  const Quantized quantized = Quantized::Take(cursor, weights.meta(), v.rows);
  auto* scratch = cursor.Take<MatmulScratch>(par.workers());
  for (int64_t first = 0; first < v.rows; first += kTokenBlock) {
    const int64_t tokens = std::min(kTokenBlock, v.rows - first);
    par.For(tokens, RowGrain(padded), [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        quantized.Quantize(static_cast<const float*>(v.Row(first + t)), padded, t, tokens);
      }
    });
    Matmul(weights, quantized, tokens, static_cast<float*>(y_rht.Row(first)), y_rht.stride, scratch, par);
  }
}

size_t RhtOutputWorkspace(const LinearMeta& meta, int64_t max_tokens, int workers) {
  static_cast<void>(max_tokens);
  WorkspaceCursor cursor;
  static_cast<void>(cursor.Take<float>(workers * meta.padded_out));
  return cursor.used();
}

void RhtOutput(const E8pWeights& weights, ConstMatrix y_rht, Matrix y, void* workspace, Parallel& par) {
  const Transform out = weights.output();
  auto* rows = static_cast<float*>(workspace);
  par.For(y_rht.rows, RowGrain(out.padded), [&](int64_t begin, int64_t end, int worker) {
    float* row = rows + worker * out.padded;
    for (int64_t t = begin; t < end; ++t) {
      std::copy_n(static_cast<const float*>(y_rht.Row(t)), out.padded, row);
      RhtOutputRow(out, row, weights.bias(), y.Row(t), y.type);
    }
  });
}

void DecodeRht(const E8pWeights& weights, int64_t row_begin, int64_t rows, Matrix w, Parallel& par) {
  const LinearMeta& meta = weights.meta();
  par.For(rows, RowGrain(meta.padded_in), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = row_begin + r;
      DecodeRow(weights.stages(), static_cast<int>(meta.stages.size()), meta.padded_in, row / kTileRows,
                row % kTileRows, w.Row(r), w.type);
    }
  });
}

size_t DequantizeWorkspace(const LinearMeta& meta) {
  WorkspaceCursor cursor;
  static_cast<void>(cursor.Take<float>(meta.padded_out * meta.padded_in));
  return cursor.used();
}

void Dequantize(const E8pWeights& weights, Matrix w, void* workspace, Parallel& par) {
  const LinearMeta& meta = weights.meta();
  const int64_t cols = meta.padded_in;
  auto* z = static_cast<float*>(workspace);
  const Transform in = weights.input();
  const int num_stages = static_cast<int>(meta.stages.size());
  par.For(meta.padded_out, RowGrain(cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      float* row = z + r * cols;
      DecodeRow(weights.stages(), num_stages, cols, r / kTileRows, r % kTileRows, row, Scalar::kF32);
      HadamardRow(in, row);
    }
  });
  // Columns in bundles of a cache line.
  constexpr int64_t kBundle = 16;
  par.For(cols / kBundle, RowGrain(kBundle * meta.padded_out), [&](int64_t begin, int64_t end, int) {
    HadamardColumns(meta.out_blocks, z, cols, begin * kBundle, end * kBundle);
  });
  par.For(meta.out_features, RowGrain(cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float sign = weights.su() ? HalfToFloat(weights.su()[r]) : 1.0f;
      ScaleAndStoreRow(z + r * cols, sign, meta.in_features, w.Row(r), w.type);
    }
  });
}

}  // namespace glq::cpu
