// Sizeless vectors cannot live in arrays; such machines use their fixed-size instruction set.
#define HWY_DISABLED_TARGETS (HWY_ALL_SVE | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantizer/nearest.cpp"
#include "quantizer/nearest.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace glq::quantizer {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<double, 8>;
using V = hn::Vec<D>;
using M = hn::Mask<D>;
using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;
constexpr int kMaxLanes = 8;

struct Found {
  // An implicit constructor lacks the target's attributes; GCC then cannot inline those of NEON's vectors.
  Found() {}

  V value[8];
  V error;
  V pack;
};

// A score that is compared with others: the best one, what comes with it, and the second best.
struct Contest {
  V best, second, half3, half5, gap;

  HWY_INLINE void Enter(V score, V at3, V at5, V swap_gap) {
    const M wins = hn::Gt(score, best);
    second = hn::Max(second, hn::Min(best, score));
    best = hn::Max(best, score);
    half3 = hn::IfThenElse(wins, at3, half3);
    half5 = hn::IfThenElse(wins, at5, half5);
    gap = hn::IfThenElse(wins, swap_gap, gap);
  }
};

HWY_INLINE void Order(V& a, V& b) {
  const V low = hn::Min(a, b);
  a = hn::Max(a, b);
  b = low;
}

HWY_INLINE M SignMask(D d, VI bits) {
  const DI di;
  return hn::RebindMask(d, hn::Lt(bits, hn::Zero(di)));
}

// Lanes for which the answer might not be the only one go through the plain definition.
HWY_NOINLINE void Settle(D d, M doubtful, const V* x, bool negative_shift, Found* found) {
  const size_t lanes = hn::Lanes(d);
  alignas(kAlignment) double in[8][kMaxLanes], value[8][kMaxLanes], error[kMaxLanes], pack[kMaxLanes];
  alignas(kAlignment) double flag[kMaxLanes];
  for (int j = 0; j < 8; ++j) {
    hn::Store(x[j], d, in[j]);
    hn::Store(found->value[j], d, value[j]);
  }
  hn::Store(found->error, d, error);
  hn::Store(found->pack, d, pack);
  hn::Store(hn::IfThenElseZero(doubtful, hn::Set(d, 1.0)), d, flag);
  for (size_t lane = 0; lane < lanes; ++lane) {
    if (flag[lane] == 0) continue;
    double one[8];
    for (int j = 0; j < 8; ++j) one[j] = in[j][lane];
    const Shifted exact = NearestShifted(one, negative_shift);
    for (int j = 0; j < 8; ++j) value[j][lane] = exact.value[j];
    error[lane] = exact.error;
    pack[lane] = static_cast<double>(PackFromCode(exact.code));
  }
  for (int j = 0; j < 8; ++j) found->value[j] = hn::Load(d, value[j]);
  found->error = hn::Load(d, error);
  found->pack = hn::Load(d, pack);
}

// The nearest codeword of one shift, for one vector per lane. Every row but those of norm 12 is one of
// seven patterns in all its permutations, so sorting the magnitudes gives the best row of a pattern; the
// sign parity costs at most one flip, of the coordinate where it is cheapest.
HWY_NOINLINE void Nearest(D d, const V* HWY_RESTRICT x, bool negative_shift, Found* HWY_RESTRICT found) {
  const DI di;
  const SearchTables& tables = Tables();
  const V shift = hn::Set(d, negative_shift ? -0.25 : 0.25);
  const V one = hn::Set(d, 1.0), two = hn::Set(d, 2.0), half = hn::Set(d, 0.5), zero = hn::Zero(d);
  const V infinite = hn::Inf(d);

  V y[8], f[8], s[8];
  VI sign_parity = hn::Zero(di);
  V sum = zero;
  for (int j = 0; j < 8; ++j) {
    y[j] = hn::Sub(x[j], shift);
    f[j] = hn::Abs(y[j]);
    s[j] = f[j];
    sign_parity = hn::Xor(sign_parity, hn::BitCast(di, y[j]));
    sum = hn::Add(sum, f[j]);
  }
  const M odd = SignMask(d, sign_parity);
  const V tolerance = hn::Mul(hn::Set(d, 1e-11), hn::Add(one, sum));

  Order(s[0], s[1]), Order(s[2], s[3]), Order(s[4], s[5]), Order(s[6], s[7]);
  Order(s[0], s[2]), Order(s[1], s[3]), Order(s[4], s[6]), Order(s[5], s[7]);
  Order(s[1], s[2]), Order(s[5], s[6]);
  Order(s[0], s[4]), Order(s[1], s[5]), Order(s[2], s[6]), Order(s[3], s[7]);
  Order(s[2], s[4]), Order(s[3], s[5]);
  Order(s[1], s[2]), Order(s[3], s[4]), Order(s[5], s[6]);

  // Scores less that of the row of eight halves with matching signs. A pattern whose sum is odd needs an odd
  // number of minus signs, one whose sum is even an even number; a flip of the smallest entry costs 2 s[7].
  const V flip = hn::Mul(two, s[7]);
  const V even_cost = hn::IfThenElseZero(odd, flip);
  const V odd_cost = hn::IfThenZeroElse(odd, flip);
  V gain[4], swap[4];
  for (int j = 0; j < 4; ++j) {
    gain[j] = hn::Mul(two, hn::Sub(s[j], one));
    swap[j] = hn::Mul(two, hn::Sub(s[j], s[j + 1]));
  }
  Contest contest = {hn::Neg(even_cost), hn::Neg(infinite), infinite, infinite, infinite};
  V score = gain[0];
  contest.Enter(hn::Sub(score, odd_cost), s[0], infinite, swap[0]);
  score = hn::Add(score, gain[1]);
  contest.Enter(hn::Sub(score, even_cost), s[1], infinite, swap[1]);
  score = hn::Add(score, gain[2]);
  contest.Enter(hn::Sub(score, odd_cost), s[2], infinite, swap[2]);
  score = hn::Add(score, gain[3]);
  contest.Enter(hn::Sub(score, even_cost), s[3], infinite, swap[3]);
  const V five = hn::Sub(hn::Mul(hn::Set(d, 4.0), s[0]), hn::Set(d, 6.0));
  contest.Enter(hn::Sub(five, even_cost), s[0], s[0], swap[0]);
  contest.Enter(hn::Sub(hn::Add(five, gain[1]), odd_cost), s[1], s[0], hn::Min(swap[0], swap[1]));

  // The 29 rows of norm 12, unless none of them can come near.
  VI large = hn::Zero(di);
  const V base12 = hn::Sub(hn::Mul(two, sum), hn::Set(d, 10.0));
  const V least = hn::Add(hn::Add(s[5], s[6]), s[7]);
  const V bound12 = hn::Sub(hn::Sub(base12, hn::Mul(two, least)), odd_cost);
  if (!hn::AllFalse(d, hn::Ge(bound12, hn::Sub(contest.best, hn::Mul(two, tolerance))))) {
    const V flip_large = hn::Mul(hn::Set(d, 6.0), s[7]);
    V best = hn::Neg(infinite), second = best;
    VI best_mask = large;
    for (int i = 0; i < 29; ++i) {
      const V a = f[tables.small[i][0]], b = f[tables.small[i][1]], c = f[tables.small[i][2]];
      const V cheapest = hn::Min(hn::Mul(two, hn::Min(hn::Min(a, b), c)), flip_large);
      const V cost = hn::IfThenZeroElse(odd, cheapest);
      const V value = hn::Sub(hn::Sub(base12, hn::Mul(two, hn::Add(hn::Add(a, b), c))), cost);
      const M wins = hn::Gt(value, best);
      second = hn::Max(second, hn::Min(best, value));
      best = hn::Max(best, value);
      best_mask = hn::IfThenElse(hn::RebindMask(di, wins), hn::Set(di, tables.large_mask[i]), best_mask);
    }
    const M wins = hn::Gt(best, contest.best);
    large = hn::IfThenElseZero(hn::RebindMask(di, wins), best_mask);
    contest.Enter(best, infinite, infinite, infinite);
    contest.second = hn::Max(contest.second, second);
  }

  V magnitude[8];
  V digits = zero, digit_sum = zero;
  V cheapest = infinite, next = infinite;
  double power = 1;
  for (int j = 0; j < 8; ++j, power *= 3) {
    const M in_mask = hn::RebindMask(d, hn::TestBit(large, hn::Set(di, int64_t{1} << j)));
    const V digit = hn::Add(hn::Add(hn::IfThenElseZero(hn::Ge(f[j], contest.half3), one),
                                    hn::IfThenElseZero(hn::Ge(f[j], contest.half5), one)),
                            hn::IfThenElseZero(in_mask, one));
    digits = hn::Add(digits, hn::Mul(digit, hn::Set(d, power)));
    digit_sum = hn::Add(digit_sum, digit);
    magnitude[j] = hn::Add(half, digit);
    const V product = hn::Mul(magnitude[j], f[j]);
    next = hn::Min(next, hn::Max(cheapest, product));
    cheapest = hn::Min(cheapest, product);
  }
  // Adding 2^52 leaves an integer in the low bits of the fp64 pattern.
  const VI parity = hn::ShiftLeft<63>(hn::BitCast(di, hn::Add(digit_sum, hn::Set(d, 4503599627370496.0))));
  const M mismatch = SignMask(d, hn::Xor(parity, sign_parity));

  V error = zero, signs = zero;
  for (int j = 0; j < 8; ++j) {
    const M flipped = hn::And(mismatch, hn::Eq(hn::Mul(magnitude[j], f[j]), cheapest));
    V v = hn::CopySign(magnitude[j], y[j]);
    v = hn::IfThenElse(flipped, hn::Neg(v), v);
    const V e = hn::Sub(y[j], v);
    error = hn::Add(error, hn::Mul(e, e));
    signs = hn::Add(signs, hn::IfThenElseZero(hn::Lt(v, zero), hn::Set(d, static_cast<double>(1 << kSignBit[j]))));
    found->value[j] = hn::Add(v, shift);
  }
  found->error = error;
  found->pack = hn::Add(hn::Add(hn::Mul(digits, hn::Set(d, 256.0)), signs),
                        hn::Set(d, negative_shift ? static_cast<double>(kNegativeShift) : 0.0));

  const V sign_gap = hn::Mul(two, hn::IfThenElse(mismatch, hn::Sub(next, cheapest), hn::Add(next, cheapest)));
  const V margin = hn::Min(hn::Sub(contest.best, contest.second), hn::Min(contest.gap, sign_gap));
  const M certain = hn::Gt(margin, tolerance);
  if (!hn::AllTrue(d, certain)) Settle(d, hn::Not(certain), x, negative_shift, found);
}

HWY_NOINLINE void NearestSmall(D d, const V* HWY_RESTRICT x, Found* HWY_RESTRICT found) {
  const SearchTables& tables = Tables();
  V best = hn::Zero(d), index = hn::Zero(d);
  for (int i = 0; i < 256; ++i) {
    V dot = hn::Zero(d);
    for (int j = 0; j < 8; ++j) dot = hn::Add(dot, hn::Mul(x[j], hn::Set(d, tables.e81b[i][j])));
    const V score = hn::Sub(hn::Add(dot, dot), hn::Set(d, tables.e81b_norm[i]));
    if (i == 0) {
      best = score;
      continue;
    }
    const M wins = hn::Gt(score, best);
    best = hn::IfThenElse(wins, score, best);
    index = hn::IfThenElse(wins, hn::Set(d, static_cast<double>(i)), index);
  }
  found->pack = index;
  alignas(kAlignment) double entry[kMaxLanes], value[8][kMaxLanes];
  hn::Store(index, d, entry);
  for (size_t lane = 0; lane < hn::Lanes(d); ++lane) {
    const double* e = tables.e81b[static_cast<int>(entry[lane])];
    for (int j = 0; j < 8; ++j) value[j][lane] = e[j];
  }
  for (int j = 0; j < 8; ++j) found->value[j] = hn::Load(d, value[j]);
  found->error = hn::Zero(d);
}

// Depth-first over the stages. A plain chain has one branch everywhere.
struct Descent {
  Descent(D tag, const Chain& c, const double* m) : d(tag), chain(c), metric(m) {}

  const D d;
  const Chain& chain;
  const double* metric;
  V target[8];
  V pack[e8p::kMaxStages];
  bool first = true;
  V best_error;
  V best_value[8];
  V best_pack[e8p::kMaxStages];

  HWY_INLINE V Error(const V* value) const {
    V rest[8];
    for (int j = 0; j < 8; ++j) rest[j] = hn::Sub(target[j], value[j]);
    V total = hn::Zero(d);
    for (int j = 0; j < 8; ++j) {
      V row = rest[j];
      if (metric != nullptr) {
        row = hn::Zero(d);
        for (int k = 0; k < 8; ++k) row = hn::Add(row, hn::Mul(rest[k], hn::Set(d, metric[8 * j + k])));
      }
      total = hn::Add(total, hn::Mul(row, rest[j]));
    }
    return total;
  }

  void Leaf(const V* value) {
    if (!chain.joint) {
      for (int j = 0; j < 8; ++j) best_value[j] = value[j];
      for (int s = 0; s < chain.stages; ++s) best_pack[s] = pack[s];
      return;
    }
    const V error = Error(value);
    const M wins = first ? hn::Eq(hn::Zero(d), hn::Zero(d)) : hn::Lt(error, best_error);
    best_error = first ? error : hn::IfThenElse(wins, error, best_error);
    for (int j = 0; j < 8; ++j) best_value[j] = first ? value[j] : hn::IfThenElse(wins, value[j], best_value[j]);
    for (int s = 0; s < chain.stages; ++s) {
      best_pack[s] = first ? pack[s] : hn::IfThenElse(wins, pack[s], best_pack[s]);
    }
    first = false;
  }

  void Follow(int stage, const V* residual, const V* sum, const Found& found) {
    V value[8], rest[8];
    const V sigma = hn::Set(d, chain.sigma[stage]);
    for (int j = 0; j < 8; ++j) {
      value[j] = hn::Mul(found.value[j], sigma);
      if (stage > 0) value[j] = hn::Add(sum[j], value[j]);
    }
    pack[stage] = found.pack;
    if (stage + 1 == chain.stages) return Leaf(value);
    const V rho = hn::Set(d, chain.rho[stage + 1]);
    for (int j = 0; j < 8; ++j) rest[j] = hn::Mul(hn::Sub(residual[j], found.value[j]), rho);
    Visit(stage + 1, rest, value);
  }

  void Visit(int stage, const V* residual, const V* sum) {
    Found plus;
    if (chain.codebook[stage] == e8p::Codebook::kE81B) {
      NearestSmall(d, residual, &plus);
      return Follow(stage, residual, sum, plus);
    }
    Found minus;
    Nearest(d, residual, true, &minus);
    Nearest(d, residual, false, &plus);
    if (chain.joint) {
      Follow(stage, residual, sum, plus);
      return Follow(stage, residual, sum, minus);
    }
    const M take_minus = hn::Lt(minus.error, plus.error);
    for (int j = 0; j < 8; ++j) plus.value[j] = hn::IfThenElse(take_minus, minus.value[j], plus.value[j]);
    plus.pack = hn::IfThenElse(take_minus, minus.pack, plus.pack);
    Follow(stage, residual, sum, plus);
  }
};

void Quantize(const Chain& chain, const double* target, const double* metric, double* value, uint16_t* codes) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < kStrip; r += lanes) {
    Descent descent(d, chain, metric);
    for (int j = 0; j < 8; ++j) descent.target[j] = hn::LoadU(d, target + j * kStrip + r);
    descent.Visit(0, descent.target, nullptr);
    for (int j = 0; j < 8; ++j) hn::StoreU(descent.best_value[j], d, value + j * kStrip + r);
    for (int s = 0; s < chain.stages; ++s) {
      alignas(kAlignment) double pack[kMaxLanes];
      hn::Store(descent.best_pack[s], d, pack);
      const bool e8p = chain.codebook[s] == e8p::Codebook::kE8P;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t p = static_cast<int64_t>(pack[lane]);
        codes[s * kStrip + r + lane] = e8p ? CodeFromPack(p) : static_cast<uint16_t>(p);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace glq::quantizer
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace glq::quantizer {

HWY_EXPORT(Quantize);

void QuantizeBlock(const Chain& chain, const double* target, const double* metric, double* value, uint16_t* codes) {
  HWY_DYNAMIC_DISPATCH(Quantize)(chain, target, metric, value, codes);
}

}  // namespace glq::quantizer
#endif
