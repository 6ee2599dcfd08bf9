// Vector loads and stores of binary16, bfloat16 and binary32 as binary32. Included once per target.
#if defined(GLQ_CPU_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GLQ_CPU_CONVERT_INL_H_
#undef GLQ_CPU_CONVERT_INL_H_
#else
#define GLQ_CPU_CONVERT_INL_H_
#endif

#include "cpu/half.h"
#include "cpu/matrix.h"
#include "hwy/highway.h"

// x86 from AVX2 on converts binary16 in hardware, in the rounding that we need. Elsewhere the bits are
// moved by integer operations.
#undef GLQ_NATIVE_F16
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define GLQ_NATIVE_F16 1
#else
#define GLQ_NATIVE_F16 0
#endif

HWY_BEFORE_NAMESPACE();
namespace glq::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <Scalar kType, class D>
HWY_INLINE hn::VFromD<D> WidenBits(D d, hn::VFromD<hn::Rebind<uint16_t, D>> half) {
  const hn::RebindToUnsigned<D> du;
  if constexpr (kType == Scalar::kBF16) {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, half)));
  } else {
#if GLQ_NATIVE_F16
    return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), half));
#else
    const auto bits = hn::PromoteTo(du, half);
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x7FFFu)));
    // Reads the exponent as one of binary32; the product puts it right and normalises subnormals.
    const auto scaled = hn::BitCast(du, hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112f)));
    const auto special = hn::Eq(hn::And(bits, hn::Set(du, 0x7C00u)), hn::Set(du, 0x7C00u));
    const auto value = hn::IfThenElse(special, hn::Or(magnitude, hn::Set(du, 0x7F800000u)), scaled);
    return hn::BitCast(d, hn::Or(value, hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000u)))));
#endif
  }
}

// d.Lanes() elements from element i on.
template <Scalar kType, class D>
HWY_INLINE hn::VFromD<D> LoadF32(D d, const void* p, int64_t i) {
  if constexpr (kType == Scalar::kF32) {
    return hn::LoadU(d, static_cast<const float*>(p) + i);
  } else {
    return WidenBits<kType>(d, hn::LoadU(hn::Rebind<uint16_t, D>(), static_cast<const uint16_t*>(p) + i));
  }
}

// n < d.Lanes() elements, then zeros.
template <Scalar kType, class D>
HWY_INLINE hn::VFromD<D> LoadF32N(D d, const void* p, int64_t i, size_t n) {
  if constexpr (kType == Scalar::kF32) {
    return hn::LoadN(d, static_cast<const float*>(p) + i, n);
  } else {
    return WidenBits<kType>(d, hn::LoadN(hn::Rebind<uint16_t, D>(), static_cast<const uint16_t*>(p) + i, n));
  }
}

template <class D>
HWY_INLINE hn::VFromD<D> CanonicalNan(D d, hn::VFromD<D> v) {
  return hn::IfThenElse(hn::IsNaN(v), hn::BitCast(d, hn::Set(hn::RebindToUnsigned<D>(), kCanonicalNan)), v);
}

// `v` holds canonical NaNs only.
template <Scalar kType, class D>
HWY_INLINE hn::VFromD<hn::Rebind<uint16_t, D>> NarrowBits(D d, hn::VFromD<D> v) {
  const hn::Rebind<uint16_t, D> du16;
  const hn::RebindToUnsigned<D> du;
  if constexpr (kType == Scalar::kBF16) {
    const auto bits = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    return hn::TruncateTo(du16, hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFFu)))));
  } else {
#if GLQ_NATIVE_F16
    return hn::BitCast(du16, hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), v));
#else
    const auto bits = hn::BitCast(du, v);
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFu));
    const auto sign = hn::ShiftRight<16>(hn::Xor(bits, magnitude));
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(du, 0x38000000u)), hn::Add(odd, hn::Set(du, 0xFFFu))));
    // The last place of 1/2 in binary32 is the smallest subnormal of binary16.
    const auto half = hn::Set(d, 0.5f);
    const auto subnormal = hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(d, magnitude), half)), hn::BitCast(du, half));
    auto out = hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 0x38800000u)), subnormal, normal);
    out = hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 0x477FF000u)), out, hn::Set(du, 0x7C00u));
    out = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7F800000u)), hn::Set(du, 0x7E00u), out);
    return hn::TruncateTo(du16, hn::Or(out, sign));
#endif
  }
}

// n <= d.Lanes() elements, rounded to the type; NaNs become canonical.
template <Scalar kType, class D>
HWY_INLINE void StoreF32(D d, hn::VFromD<D> v, void* p, int64_t i, size_t n) {
  v = CanonicalNan(d, v);
  if constexpr (kType == Scalar::kF32) {
    float* to = static_cast<float*>(p) + i;
    if (n == hn::Lanes(d)) {
      hn::StoreU(v, d, to);
    } else {
      hn::StoreN(v, d, to, n);
    }
  } else {
    const hn::Rebind<uint16_t, D> du16;
    uint16_t* to = static_cast<uint16_t*>(p) + i;
    if (n == hn::Lanes(d)) {
      hn::StoreU(NarrowBits<kType>(d, v), du16, to);
    } else {
      hn::StoreN(NarrowBits<kType>(d, v), du16, to, n);
    }
  }
}

// a * b + c with one rounding, on every target.
template <class D>
HWY_INLINE hn::VFromD<D> FusedMulAdd(D d, hn::VFromD<D> a, hn::VFromD<D> b, hn::VFromD<D> c) {
#if HWY_NATIVE_FMA
  static_cast<void>(d);
  return hn::MulAdd(a, b, c);
#else
  HWY_ALIGN float as[hn::MaxLanes(d)], bs[hn::MaxLanes(d)], cs[hn::MaxLanes(d)];
  hn::Store(a, d, as);
  hn::Store(b, d, bs);
  hn::Store(c, d, cs);
  for (size_t i = 0; i < hn::Lanes(d); ++i) cs[i] = std::fma(as[i], bs[i], cs[i]);
  return hn::Load(d, cs);
#endif
}

// Calls f with the type as a template parameter.
template <class F>
HWY_INLINE void WithScalar(Scalar type, const F& f) {
  switch (type) {
    case Scalar::kF16:
      return f.template operator()<Scalar::kF16>();
    case Scalar::kBF16:
      return f.template operator()<Scalar::kBF16>();
    case Scalar::kF32:
      return f.template operator()<Scalar::kF32>();
  }
}

}  // namespace glq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
