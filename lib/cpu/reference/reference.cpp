#include "cpu/reference/reference.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "cpu/half.h"
#include "e8p/pack.h"
#include "platform/fp_env.h"

namespace glq::cpu::reference {
namespace {

float Load(const ConstMatrix& m, int64_t r, int64_t c) {
  uint16_t half;
  float single;
  const auto* row = static_cast<const std::byte*>(m.Row(r));
  switch (m.type) {
    case Scalar::kF16:
      std::memcpy(&half, row + 2 * c, 2);
      return HalfToFloat(half);
    case Scalar::kBF16:
      std::memcpy(&half, row + 2 * c, 2);
      return Bf16ToFloat(half);
    case Scalar::kF32:
      std::memcpy(&single, row + 4 * c, 4);
      return single;
  }
  return 0;
}

void Store(const Matrix& m, int64_t r, int64_t c, float value) {
  if (std::isnan(value)) value = std::bit_cast<float>(kCanonicalNan);
  auto* row = static_cast<std::byte*>(m.Row(r));
  if (m.type == Scalar::kF32) {
    std::memcpy(row + 4 * c, &value, 4);
  } else {
    const uint16_t half = m.type == Scalar::kF16 ? FloatToHalf(value) : FloatToBf16(value);
    std::memcpy(row + 2 * c, &half, 2);
  }
}

float Sign(const uint16_t* signs, int64_t i) { return signs ? HalfToFloat(signs[i]) : 1.0f; }

// Butterflies in ascending stride within each block, then one multiply. `step` elements apart.
void Hadamard(float* data, int64_t step, const std::vector<int64_t>& blocks) {
  for (int64_t block : blocks) {
    for (int64_t stride = 1; stride < block; stride *= 2) {
      for (int64_t i = 0; i < block; ++i) {
        if (i & stride) continue;
        const float a = data[i * step], b = data[(i + stride) * step];
        data[i * step] = a + b;
        data[(i + stride) * step] = a - b;
      }
    }
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(block)));
    for (int64_t i = 0; i < block; ++i) data[i * step] *= scale;
    data += block * step;
  }
}

// The integers of stage s: four times the E8P weight, twice the E81B weight.
std::vector<int8_t> DecodeStage(const Linear& linear, size_t s) {
  const e8p::LinearMeta& meta = linear.meta;
  const int64_t rows = meta.padded_out, cols = meta.padded_in, groups = cols / 8;
  std::vector<int8_t> w(static_cast<size_t>(rows * cols));
  const auto* bytes = static_cast<const std::byte*>(linear.packed[s]);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      int8_t* out = &w[static_cast<size_t>(r * cols + 8 * g)];
      if (meta.stages[s].codebook == e8p::Codebook::kE8P) {
        uint64_t word;
        std::memcpy(&word, bytes + 8 * e8p::PackedWordIndex(r, g, cols), 8);
        e8p::DecodeE8p(e8p::CodeFromWord(word, e8p::PackedSlot(r, g)), out);
      } else {
        e8p::DecodeE81b(static_cast<uint8_t>(bytes[r * groups + g]), out);
      }
    }
  }
  return w;
}

}  // namespace

void RhtInput(const Linear& linear, ConstMatrix x, Matrix v) {
  ScopedDefaultFp fp;
  const e8p::LinearMeta& meta = linear.meta;
  std::vector<float> u(static_cast<size_t>(meta.padded_in));
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t j = 0; j < meta.padded_in; ++j) {
      u[static_cast<size_t>(j)] = j < meta.in_features ? Load(x, t, j) * Sign(linear.sv, j) : 0.0f;
    }
    Hadamard(u.data(), 1, meta.in_blocks);
    for (int64_t j = 0; j < meta.padded_in; ++j) Store(v, t, j, u[static_cast<size_t>(j)]);
  }
}

void MatmulRht(const Linear& linear, ConstMatrix v, Matrix y_rht) {
  ScopedDefaultFp fp;
  const e8p::LinearMeta& meta = linear.meta;
  std::vector<std::vector<int8_t>> weights;
  for (size_t s = 0; s < meta.stages.size(); ++s) weights.push_back(DecodeStage(linear, s));
  std::vector<int64_t> q(static_cast<size_t>(meta.padded_in));
  for (int64_t t = 0; t < v.rows; ++t) {
    float m = 0;
    bool nan = false;
    for (int64_t j = 0; j < meta.padded_in; ++j) {
      const float a = std::fabs(Load(v, t, j));
      nan |= std::isnan(a);
      if (a > m) m = a;
    }
    const float to_integer = 32639.0f / m;
    const bool bad = nan || std::isinf(m);
    const bool zero = m == 0 || !std::isfinite(to_integer);
    if (bad || zero) {
      for (int64_t i = 0; i < meta.padded_out; ++i) Store(y_rht, t, i, bad ? NAN : 0.0f);
      continue;
    }
    for (int64_t j = 0; j < meta.padded_in; ++j) {
      q[static_cast<size_t>(j)] = static_cast<int64_t>(std::nearbyint(Load(v, t, j) * to_integer));
    }
    const float from_integer = m / 32639.0f;
    for (int64_t i = 0; i < meta.padded_out; ++i) {
      float y = 0;
      for (size_t s = 0; s < meta.stages.size(); ++s) {
        const int8_t* row = &weights[s][static_cast<size_t>(i * meta.padded_in)];
        int64_t sum = 0;
        for (int64_t j = 0; j < meta.padded_in; ++j) sum += row[j] * q[static_cast<size_t>(j)];
        const float z = static_cast<float>(sum);
        const float c = meta.stages[s].k * from_integer;
        y = s == 0 ? z * c : std::fma(z, c, y);
      }
      Store(y_rht, t, i, y);
    }
  }
}

void RhtOutput(const Linear& linear, ConstMatrix y_rht, Matrix y) {
  ScopedDefaultFp fp;
  const e8p::LinearMeta& meta = linear.meta;
  std::vector<float> row(static_cast<size_t>(meta.padded_out));
  for (int64_t t = 0; t < y_rht.rows; ++t) {
    for (int64_t i = 0; i < meta.padded_out; ++i) row[static_cast<size_t>(i)] = Load(y_rht, t, i);
    Hadamard(row.data(), 1, meta.out_blocks);
    for (int64_t i = 0; i < meta.out_features; ++i) {
      float value = row[static_cast<size_t>(i)] * Sign(linear.su, i);
      if (linear.bias) value = value + linear.bias[i];
      Store(y, t, i, value);
    }
  }
}

void FusedLinear(const Linear& linear, ConstMatrix x, Matrix y) {
  const e8p::LinearMeta& meta = linear.meta;
  std::vector<float> v(static_cast<size_t>(x.rows * meta.padded_in));
  std::vector<float> y_rht(static_cast<size_t>(x.rows * meta.padded_out));
  const Matrix vm = {v.data(), Scalar::kF32, x.rows, meta.padded_in, meta.padded_in};
  const Matrix ym = {y_rht.data(), Scalar::kF32, x.rows, meta.padded_out, meta.padded_out};
  RhtInput(linear, x, vm);
  MatmulRht(linear, vm, ym);
  RhtOutput(linear, ym, y);
}

void DecodeRht(const Linear& linear, int64_t row_begin, int64_t rows, Matrix w) {
  ScopedDefaultFp fp;
  const e8p::LinearMeta& meta = linear.meta;
  std::vector<float> z(static_cast<size_t>(rows * meta.padded_in));
  for (size_t s = 0; s < meta.stages.size(); ++s) {
    const std::vector<int8_t> integers = DecodeStage(linear, s);
    for (size_t i = 0; i < z.size(); ++i) {
      const float n = integers[static_cast<size_t>(row_begin * meta.padded_in) + i];
      z[i] = s == 0 ? n * meta.stages[s].k : std::fma(n, meta.stages[s].k, z[i]);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < meta.padded_in; ++j) Store(w, r, j, z[static_cast<size_t>(r * meta.padded_in + j)]);
  }
}

void Dequantize(const Linear& linear, Matrix w) {
  ScopedDefaultFp fp;
  const e8p::LinearMeta& meta = linear.meta;
  const int64_t rows = meta.padded_out, cols = meta.padded_in;
  std::vector<float> z(static_cast<size_t>(rows * cols));
  DecodeRht(linear, 0, rows, {z.data(), Scalar::kF32, rows, cols, cols});
  for (int64_t r = 0; r < rows; ++r) {
    float* row = &z[static_cast<size_t>(r * cols)];
    Hadamard(row, 1, meta.in_blocks);
    for (int64_t j = 0; j < cols; ++j) row[j] *= Sign(linear.sv, j);
  }
  for (int64_t j = 0; j < cols; ++j) Hadamard(&z[static_cast<size_t>(j)], cols, meta.out_blocks);
  for (int64_t r = 0; r < meta.out_features; ++r) {
    for (int64_t j = 0; j < meta.in_features; ++j) {
      Store(w, r, j, z[static_cast<size_t>(r * cols + j)] * Sign(linear.su, r));
    }
  }
}

void GemvBf16(const uint16_t* w, int64_t n, int64_t k, int64_t ldw, ConstMatrix x, Matrix y) {
  ScopedDefaultFp fp;
  constexpr int64_t kSums = 64;
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t i = 0; i < n; ++i) {
      float sums[kSums] = {};
      for (int64_t begin = 0; begin < k; begin += kSums) {
        for (int64_t l = 0; l < kSums; ++l) {
          const int64_t j = begin + l;
          sums[l] = std::fma(j < k ? Bf16ToFloat(w[i * ldw + j]) : 0.0f, j < k ? Load(x, t, j) : 0.0f, sums[l]);
        }
      }
      for (int64_t half = kSums / 2; half > 0; half /= 2) {
        for (int64_t l = 0; l < half; ++l) sums[l] = sums[l] + sums[l + half];
      }
      Store(y, t, i, sums[0]);
    }
  }
}

}  // namespace glq::cpu::reference
