// Sizeless vectors cannot live in arrays; such machines use their fixed-size instruction set.
#define HWY_DISABLED_TARGETS (HWY_ALL_SVE | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantizer/gemm.cpp"
#include "quantizer/gemm.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace glq::quantizer {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<double, 8>;

// Accumulators of a register tile: two vectors of rows times this many columns.
constexpr int kColumns = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM ? 8 : 4;

template <bool kSubtract>
HWY_INLINE void Product(double* HWY_RESTRICT c, int64_t ldc, Operand a, const double* HWY_RESTRICT b, int64_t ldb,
                        int64_t depth, int64_t cols, int64_t rows) {
  const D d;
  using V = hn::Vec<D>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; r += 2 * lanes) {
    for (int64_t j = 0; j < cols; j += kColumns) {
      V acc0[kColumns], acc1[kColumns];
      double* at = c + j * ldc + r;
      for (int i = 0; i < kColumns; ++i) {
        acc0[i] = hn::LoadU(d, at + i * ldc);
        acc1[i] = hn::LoadU(d, at + i * ldc + lanes);
      }
      const double* x = a.data + j * a.j_stride;
      const double* y = b + r;
      for (int64_t k = 0; k < depth; ++k, x += a.k_stride, y += ldb) {
        const V y0 = hn::LoadU(d, y);
        const V y1 = hn::LoadU(d, y + lanes);
        for (int i = 0; i < kColumns; ++i) {
          const V f = hn::Set(d, x[i * a.j_stride]);
          if constexpr (kSubtract) {
            acc0[i] = hn::Sub(acc0[i], hn::Mul(f, y0));
            acc1[i] = hn::Sub(acc1[i], hn::Mul(f, y1));
          } else {
            acc0[i] = hn::Add(acc0[i], hn::Mul(f, y0));
            acc1[i] = hn::Add(acc1[i], hn::Mul(f, y1));
          }
        }
      }
      for (int i = 0; i < kColumns; ++i) {
        hn::StoreU(acc0[i], d, at + i * ldc);
        hn::StoreU(acc1[i], d, at + i * ldc + lanes);
      }
    }
  }
}

void Add(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols, int64_t rows) {
  Product<false>(c, ldc, a, b, ldb, depth, cols, rows);
}
void Subtract(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols,
              int64_t rows) {
  Product<true>(c, ldc, a, b, ldb, depth, cols, rows);
}

}  // namespace HWY_NAMESPACE
}  // namespace glq::quantizer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace glq::quantizer {

HWY_EXPORT(Add);
HWY_EXPORT(Subtract);

void AddProduct(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols,
                int64_t rows) {
  HWY_DYNAMIC_DISPATCH(Add)(c, ldc, a, b, ldb, depth, cols, rows);
}
void SubtractProduct(double* c, int64_t ldc, Operand a, const double* b, int64_t ldb, int64_t depth, int64_t cols,
                     int64_t rows) {
  HWY_DYNAMIC_DISPATCH(Subtract)(c, ldc, a, b, ldb, depth, cols, rows);
}

}  // namespace glq::quantizer
#endif
