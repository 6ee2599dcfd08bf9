#include "quantizer/quantizer.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "e8p/pack.h"
#include "platform/fp_env.h"
#include "quantizer/factor.h"

namespace glq::quantizer {
namespace {

constexpr int64_t kMaxStripsPerTask = 4;
constexpr int kMaxRetries = 3;
constexpr double kDefaultDamping = 0.01;

double Damping(double option) { return option == 0 ? kDefaultDamping : std::max(option, 0.0); }

double MeanDiagonal(const SymmetricTiles& h, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += h.At(i, i);
  return sum / static_cast<double>(n);
}

Scratch MakeScratch(const Rotation& rot, int workers) {
  Scratch scratch(workers);
  for (auto& s : scratch) s.resize(static_cast<size_t>(kStrip * std::max(rot.mp, rot.np)));
  return scratch;
}

size_t StageBytes(const Chain& chain, int stage, int64_t mp, int64_t np) {
  return static_cast<size_t>(mp * np / kBlock * e8p::CodeBits(chain.codebook[stage]) / 8);
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

}  // namespace

void CheckOptions(const Options& o) {
  const ScopedDefaultFp fp;  // comparing a NaN may be trapped
  const auto check_dim = [](const char* name, int64_t v) {
    if (v < 1 || v > e8p::kMaxDim) {
      Fail(GLQ_E_INVALID_ARGUMENT, "%s is %lld; expected 1 to %lld", name, static_cast<long long>(v),
           static_cast<long long>(e8p::kMaxDim));
    }
  };
  const auto check_scale = [](const char* name, double v) {
    if (!(v >= 0 && v <= 1e6) || (v > 0 && v < 1e-6)) {
      Fail(std::isfinite(v) ? GLQ_E_INVALID_ARGUMENT : GLQ_E_NOT_FINITE, "%s is %g; expected 0 or 1e-6 to 1e6", name,
           v);
    }
  };
  const auto check_damping = [](const char* name, double v) {
    if (!(std::fabs(v) <= 1e6)) {
      Fail(std::isfinite(v) ? GLQ_E_INVALID_ARGUMENT : GLQ_E_NOT_FINITE, "%s is %g; expected -1e6 to 1e6", name, v);
    }
  };
  check_dim("in_features", o.in_features);
  check_dim("out_features", o.out_features);
  if (o.bits < 2 || o.bits > 8) Fail(GLQ_E_INVALID_ARGUMENT, "bits is %d; expected 2 to 8", o.bits);
  if (o.refine_passes < 0 || o.refine_passes > 100) {
    Fail(GLQ_E_INVALID_ARGUMENT, "refine_passes is %d; expected 0 to 100", o.refine_passes);
  }
  if (o.scale_mode != ScaleMode::kSpec && o.scale_mode != ScaleMode::kSearch) {
    Fail(GLQ_E_INVALID_ARGUMENT, "scale_mode is %d; expected 0 or 1", static_cast<int>(o.scale_mode));
  }
  check_damping("damping", o.damping);
  check_damping("damping_rht", o.damping_rht);
  check_scale("input_scale", o.input_scale);
  check_scale("rho_e8p", o.rho_e8p);
  check_scale("rho_e81b", o.rho_e81b);
  const int64_t np = PaddedIn(o.in_features, o.pow2_layout), mp = PaddedOut(o.out_features, o.pow2_layout);
  if (np % kTile != 0 || mp % kStrip != 0) {
    Fail(GLQ_E_SHAPE, "[%lld, %lld] pads to [%lld, %lld] in the power-of-two layout, which needs at least [%lld, %lld]",
         static_cast<long long>(o.out_features), static_cast<long long>(o.in_features), static_cast<long long>(mp),
         static_cast<long long>(np), static_cast<long long>(kStrip), static_cast<long long>(kTile));
  }
}

Quantizer::Quantizer(const Options& options, Parallel* parallel) : options_(options), parallel_(parallel) {
  CheckOptions(options);
}

size_t Quantizer::MemoryEstimate(const Options& o, int workers) {
  CheckOptions(o);
  const int64_t np = PaddedIn(o.in_features, o.pow2_layout), mp = PaddedOut(o.out_features, o.pow2_layout);
  const size_t n = static_cast<size_t>(np), m = static_cast<size_t>(mp), real = sizeof(double);
  const size_t tiles = SymmetricTiles::Elements(np) * real;
  const size_t hessian = SymmetricTiles::Elements(o.in_features) * real;
  const size_t slab = static_cast<size_t>(128 * RoundUp(o.in_features, kTile)) * real;
  const size_t scratch = static_cast<size_t>(workers) * kStrip * std::max(n, m) * real;
  const size_t blocks = n * kBlock * real;
  const bool refine = o.refine_passes > 0;
  const size_t factors = tiles + blocks + (refine ? tiles + 2 * blocks : 0);
  const size_t signs = 4 * (n + m);
  const size_t stages = static_cast<size_t>(o.bits / 2 + o.bits % 2);
  const size_t progress = stages * m * n / 8 * sizeof(uint16_t) + m * sizeof(RowSums);
  const size_t rotate = scratch + tiles + n * n * real + 2 * progress;  // a resumed run has its progress already
  const size_t quantize = scratch + factors + n * m * real + progress +
                          static_cast<size_t>(workers) * (LdlqScratch::Bytes(np, kMaxStripsPerTask) + 4096);
  const size_t finish = scratch + factors + n * m * real + progress + m * n * static_cast<size_t>(o.bits) / 8 + 64 * m;
  // The Hessian may be replaced while it is held. The rest is tables and small vectors.
  const size_t peak = std::max({hessian, slab, rotate, quantize, finish});
  return hessian + peak + signs + (size_t{1} << 20);
}

Quantizer::Scales Quantizer::DefaultScales() const {
  // Without a search: what existing checkpoints use. With one: where it starts, the best for Gaussian data.
  static constexpr double kInput[9] = {0, 0, 1.03, 1.03, 0.90, 0.85, 0.80, 0.75, 0.70};
  const bool search = options_.scale_mode == ScaleMode::kSearch;
  Scales s;
  s.input = search ? kInput[options_.bits] : 1.03;
  s.rho_e8p = search ? 3.8 : 3.45;
  s.rho_e81b = 2.04;
  if (options_.input_scale > 0) s.input = options_.input_scale;
  if (options_.rho_e8p > 0) s.rho_e8p = options_.rho_e8p;
  if (options_.rho_e81b > 0) s.rho_e81b = options_.rho_e81b;
  return s;
}

Chain Quantizer::MakeChain(const Scales& scales) const {
  Chain chain;
  chain.stages = stages();
  chain.joint = options_.scale_mode == ScaleMode::kSearch;
  double product = 1;
  for (int s = 0; s < chain.stages; ++s) {
    const bool e8p = s < options_.bits / 2;
    chain.codebook[s] = e8p ? e8p::Codebook::kE8P : e8p::Codebook::kE81B;
    chain.rho[s] = s == 0 ? 1 : e8p ? scales.rho_e8p : scales.rho_e81b;
    product *= chain.rho[s];
    chain.sigma[s] = static_cast<float>(1 / product);
  }
  return chain;
}

int64_t Quantizer::StripsPerTask(int64_t strips) const {
  return std::clamp<int64_t>(strips / (4 * parallel_->workers()), 1, kMaxStripsPerTask);
}

uint64_t Quantizer::CheckWeight(const MatrixView& weight, Scratch& scratch) const {
  const int64_t m = options_.out_features, n = options_.in_features;
  std::vector<uint64_t> hashes(m);
  std::vector<int64_t> bad(m);
  parallel_->For(m, 16, [&](int64_t begin, int64_t end, int worker) {
    double* row = scratch[worker].data();
    for (int64_t r = begin; r < end; ++r) {
      LoadRow(weight, r, 0, n, row);
      bad[r] = FirstNotFinite(row, n);
      uint64_t hash = 0xcbf29ce484222325u;
      for (int64_t c = 0; c < n; ++c) hash = (hash ^ std::bit_cast<uint64_t>(row[c])) * 0x100000001b3u;
      hashes[r] = hash ^ hash >> 29;
    }
  });
  uint64_t hash = 0xcbf29ce484222325u;
  for (int64_t r = 0; r < m; ++r) {
    if (bad[r] >= 0) {
      Fail(GLQ_E_NOT_FINITE, "weight[%lld, %lld] is NaN or infinite", static_cast<long long>(r),
           static_cast<long long>(bad[r]));
    }
    hash = (hash ^ hashes[r]) * 0x100000001b3u;
    hash ^= hash >> 31;
  }
  return hash;
}

Quantizer::Factors Quantizer::Factorise(const Rotation& rot, Scratch& scratch) const {
  SymmetricTiles identity;
  if (hessian_.empty()) {
    identity = SymmetricTiles(rot.in_features);
    for (int64_t i = 0; i < rot.in_features; ++i) identity.At(i, i) = 1;
  }
  const SymmetricTiles& h = hessian_.empty() ? identity : hessian_;
  const double before = Damping(options_.damping) * MeanDiagonal(h, rot.in_features);
  Factors f;
  for (;; ++f.retries) {
    Release(f.l.data());
    Release(f.h.data());
    f.l = SymmetricTiles(rot.np);
    RotateHessian(rot, h, before, *parallel_, scratch, &f.l);
    const double mean = MeanDiagonal(f.l, rot.np);
    f.damping = Damping(options_.damping_rht) * mean;
    f.damping += f.retries * 0.1 * std::max(mean + f.damping, 1e-6);
    for (int64_t i = 0; i < rot.np; ++i) f.l.At(i, i) += f.damping;
    if (options_.refine_passes > 0) f.h = f.l;
    if (Cholesky(&f.l, *parallel_)) break;
    if (f.retries == kMaxRetries) {
      Fail(GLQ_E_NUMERIC, "hessian is not positive definite, even with %g added to its mean diagonal of %g", f.damping,
           mean);
    }
  }
  const size_t blocks = static_cast<size_t>(rot.np * kBlock);
  f.d.resize(blocks);
  BlockLdl(&f.l, f.d.data(), *parallel_);
  if (options_.refine_passes > 0) {
    f.h_blocks.resize(blocks);
    f.h_inverses.resize(blocks);
    DiagonalBlocks(f.h, f.h_blocks.data(), f.h_inverses.data());
  }
  return f;
}

void Quantizer::QuantizeZeros(const Rotation& rot) {
  const Chain chain = MakeChain(progress_.scales);
  const AlignedVector<double> zero(kBlock * kStrip);
  AlignedVector<double> value(kBlock * kStrip);
  uint16_t code[e8p::kMaxStages * kStrip];
  QuantizeBlock(chain, zero.data(), nullptr, value.data(), code);
  for (int s = 0; s < chain.stages; ++s) {
    std::fill(progress_.codes[s].begin(), progress_.codes[s].end(), code[s * kStrip]);
  }
  progress_.strips_done = rot.mp / kStrip;
}

bool Quantizer::QuantizeAll(const Layer& layer, const Rotation& rot, std::vector<LdlqScratch>& scratch,
                            const Meter& meter) {
  const Chain chain = MakeChain(progress_.scales);
  uint16_t* codes[e8p::kMaxStages] = {};
  for (int s = 0; s < chain.stages; ++s) codes[s] = progress_.codes[s].data();
  const int64_t strips = rot.mp / kStrip, per_task = StripsPerTask(strips);
  const int64_t per_round = 2 * per_task * parallel_->workers();
  while (progress_.strips_done < strips) {
    const int64_t first = progress_.strips_done, count = std::min(per_round, strips - first);
    parallel_->For((count + per_task - 1) / per_task, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t from = first + t * per_task, n = std::min(per_task, first + count - from);
        QuantizeStrips(layer, chain, from, n, &scratch[worker], codes, progress_.sums.data() + from * kStrip);
      }
    });
    progress_.strips_done += count;
    if (!meter.Tell(Meter::kShares - 1, progress_.strips_done, "ldlq")) return false;
  }
  return true;
}

Outcome Quantizer::Run(const MatrixView& weight, ProgressFn progress, void* user, const Deliver& deliver) {
  const auto start = std::chrono::steady_clock::now();
  CheckView(weight, "weight", options_.out_features, options_.in_features);
  const ScopedDefaultFp fp;
  const double before = progress_.seconds;
  const Meter meter(progress, user, PaddedOut(options_.out_features, options_.pow2_layout) / kStrip);
  const Outcome outcome = RunMetered(weight, meter);
  progress_.seconds = before + Seconds(start);
  if (outcome == Outcome::kCancelled) return outcome;
  deliver(*progress_.result);
  report_.seconds = before + Seconds(start);
  progress_ = Progress();
  has_report_ = true;
  return outcome;
}

Outcome Quantizer::RunMetered(const MatrixView& weight, const Meter& meter) {
  const Rotation rot = MakeRotation(options_.in_features, options_.out_features, options_.pow2_layout, options_.seed);
  Scratch scratch = MakeScratch(rot, parallel_->workers());
  const uint64_t hash = CheckWeight(weight, scratch);
  if (progress_.active && progress_.weight_hash != hash) {
    Fail(GLQ_E_WRONG_STATE,
         "weight differs from the one whose run was cancelled or has failed (hash %016llx, then %016llx)",
         static_cast<unsigned long long>(progress_.weight_hash), static_cast<unsigned long long>(hash));
  }
  has_report_ = false;
  const int64_t count = rot.mp / kStrip;
  const auto finish = [&] {
    return meter.Tell(Meter::kShares, count, "finish") ? Outcome::kDone : Outcome::kCancelled;
  };
  if (progress_.result) return finish();
  const auto make_room = [&](Progress* p) {
    p->sums.resize(rot.mp);
    p->codes.resize(stages());
    for (auto& c : p->codes) c.resize(static_cast<size_t>(rot.mp * rot.np / kBlock));
  };
  if (progress_.active) make_room(&progress_);
  if (!meter.Tell(0, 0, "hessian")) return Outcome::kCancelled;
  const Factors factors = Factorise(rot, scratch);
  if (!meter.Tell(1, 0, "weight")) return Outcome::kCancelled;

  AlignedVector<double> strips(static_cast<size_t>(rot.mp * rot.np));
  RotateWeight(rot, weight, *parallel_, scratch, &strips);
  std::vector<double> energy(count);
  parallel_->For(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      const double* x = strips.data() + s * rot.np * kStrip;
      double sum = 0;
      for (int64_t i = 0; i < rot.np * kStrip; ++i) sum += x[i] * x[i];
      energy[s] = sum;
    }
  });
  double total = 0;
  for (const double e : energy) total += e;
  const double rms = std::sqrt(total / (static_cast<double>(rot.mp) * static_cast<double>(rot.np)));
  if (!(rms <= std::numeric_limits<float>::max() / 16)) {
    Fail(GLQ_E_NOT_FINITE, "weight has an rms of %g, beyond what an fp32 scale can hold (%g)", rms,
         std::numeric_limits<float>::max() / 16.0);
  }
  if (!meter.Tell(2, 0, "scales")) return Outcome::kCancelled;

  std::vector<LdlqScratch> workers;
  workers.reserve(parallel_->workers());
  for (int i = 0; i < parallel_->workers(); ++i) workers.emplace_back(rot.np, StripsPerTask(count));
  Layer layer = {.strips = strips.data(),
                 .np = rot.np,
                 .weight_scale = 0,
                 .l = &factors.l,
                 .d = factors.d.data(),
                 .h = &factors.h,
                 .h_blocks = factors.h_blocks.data(),
                 .h_inverses = factors.h_inverses.data(),
                 .refine_passes = options_.refine_passes};
  if (!progress_.active) {
    Scales scales = DefaultScales();
    // A weight below what an fp32 scale resolves is a zero weight.
    const bool zero = static_cast<float>(rms / scales.input) < std::numeric_limits<float>::min();
    if (!zero && options_.scale_mode == ScaleMode::kSearch &&
        !ChooseScales(layer, rms, count, workers, meter, &scales)) {
      return Outcome::kCancelled;
    }
    Progress fresh;
    fresh.weight_hash = hash;
    fresh.scales = scales;
    fresh.weight_scale = zero ? 0 : static_cast<float>(rms / scales.input);
    fresh.seconds = progress_.seconds;
    make_room(&fresh);
    fresh.active = true;
    progress_ = std::move(fresh);
  }
  layer.weight_scale = progress_.weight_scale;
  if (!meter.Tell(Meter::kShares - 1, progress_.strips_done, "ldlq")) return Outcome::kCancelled;
  if (layer.weight_scale == 0) {
    QuantizeZeros(rot);
  } else if (!QuantizeAll(layer, rot, workers, meter)) {
    return Outcome::kCancelled;
  }
  Release(workers);
  Result result;
  Finish(rot, factors, &strips, scratch, &result);
  progress_.result = std::move(result);
  return finish();
}

void Quantizer::Finish(const Rotation& rot, const Factors& factors, AlignedVector<double>* strips, Scratch& scratch,
                       Result* result) {
  const Chain chain = MakeChain(progress_.scales);
  const int64_t groups = rot.np / kBlock;
  RowSums sum = {};
  for (const RowSums& r : progress_.sums) {
    sum.ehe += r.ehe, sum.ehv += r.ehv, sum.vhv += r.vhv;
    sum.ee += r.ee, sum.ev += r.ev, sum.vv += r.vv;
  }
  // With the codes fixed, the scale that minimises the damped proxy loss: What = g Wscale Vhat.
  double g = 1;
  if (chain.joint && progress_.weight_scale > 0) {
    const double cross = sum.vhv - sum.ehv, square = sum.vhv - 2 * sum.ehv + sum.ehe;
    if (square > 0 && cross > 0) g = cross / square;
  }
  const double scale = static_cast<float>(progress_.weight_scale * g);
  g = progress_.weight_scale > 0 ? scale / progress_.weight_scale : 0;

  // The error in units of the scale that was quantized with: E' = V - g Vhat = (1 - g) V + g E.
  const double a = g * g, b = 2 * g * (1 - g), c = (1 - g) * (1 - g);
  const double unit = progress_.weight_scale * progress_.weight_scale / static_cast<double>(rot.mp);
  const double loss = a * (sum.ehe - factors.damping * sum.ee) + b * (sum.ehv - factors.damping * sum.ev) +
                      c * (sum.vhv - factors.damping * sum.vv);
  const double whole = sum.vhv - factors.damping * sum.vv;

  // Strips become the error; its energy after every stage on the way.
  const int64_t count = rot.mp / kStrip;
  using Energies = std::array<double, e8p::kMaxStages + 1>;
  std::vector<Energies> energies(count);
  parallel_->For(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      Energies& energy = energies[s];
      energy = {};
      for (int64_t group = 0; group < groups; ++group) {
        double* x = strips->data() + (s * rot.np + group * kBlock) * kStrip;
        const uint16_t* codes[e8p::kMaxStages] = {};
        for (int stage = 0; stage < chain.stages; ++stage) {
          codes[stage] = progress_.codes[stage].data() + s * kStrip * groups + group;
        }
        double error[kBlock * kStrip];
        for (int64_t i = 0; i < kBlock * kStrip; ++i) energy[0] += x[i] * x[i];
        for (int stage = 1; stage <= chain.stages; ++stage) {
          double value[kBlock * kStrip];
          DecodeBlock(chain, stage, codes, groups, kStrip, value);
          for (int64_t i = 0; i < kBlock * kStrip; ++i) {
            error[i] = x[i] - scale * value[i];
            energy[stage] += error[i] * error[i];
          }
        }
        std::copy(error, error + kBlock * kStrip, x);
      }
    }
  });
  Energies energy = {};
  for (const Energies& e : energies) {
    for (size_t i = 0; i < e.size(); ++i) energy[i] += e[i];
  }
  const bool padded = rot.mp != rot.out_features || rot.np != rot.in_features;
  const double lost = padded ? UnrotatedEnergy(rot, *parallel_, scratch, strips) : energy[chain.stages];

  report_ = Report();
  report_.stages = chain.stages;
  report_.proxy_loss = std::max(loss * unit, 0.0);
  report_.proxy_loss_relative = whole > 0 ? std::max(loss / whole, 0.0) : 0;
  report_.sqnr_db = lost > 0 ? 10 * std::log10(energy[0] / lost) : std::numeric_limits<double>::infinity();
  report_.weight_scale = scale;
  for (int s = 0; s < chain.stages; ++s) {
    report_.cum_inv_scale[s] = chain.sigma[s];
    report_.stage_error[s] = energy[0] > 0 ? std::sqrt(energy[s + 1] / energy[0]) : 0;
  }
  report_.input_scale = progress_.scales.input;
  report_.rho_e8p = progress_.scales.rho_e8p;
  report_.rho_e81b = progress_.scales.rho_e81b;
  report_.samples = samples_;
  report_.damping_retries = factors.retries;
  report_.identity_hessian = hessian_.empty();

  Result out;
  out.meta.in_features = rot.in_features;
  out.meta.out_features = rot.out_features;
  out.meta.padded_in = rot.np;
  out.meta.padded_out = rot.mp;
  out.meta.in_blocks = rot.in_blocks;
  out.meta.out_blocks = rot.out_blocks;
  out.meta.weight_scale = scale;
  out.weight_scale = static_cast<float>(scale);
  for (int s = 0; s < chain.stages; ++s) {
    const double k = scale * chain.sigma[s] / e8p::Denominator(chain.codebook[s]);
    out.meta.stages.push_back({chain.codebook[s], chain.sigma[s], static_cast<float>(k)});
    if (s > 0) out.inv_resid_scale.push_back(static_cast<float>(chain.sigma[s]));
    AlignedVector<uint8_t> bytes(StageBytes(chain, s, rot.mp, rot.np));
    const AlignedVector<uint16_t>& codes = progress_.codes[s];
    if (chain.codebook[s] == e8p::Codebook::kE8P) {
      e8p::PackE8p(codes.data(), rot.mp, rot.np, reinterpret_cast<uint64_t*>(bytes.data()));
    } else {
      std::copy(codes.begin(), codes.end(), bytes.begin());
    }
    out.stages.push_back(std::move(bytes));
  }
  const auto half = [](int8_t sign) { return static_cast<uint16_t>(sign > 0 ? 0x3C00 : 0xBC00); };
  for (const int8_t s : rot.su) out.su.push_back(half(s));
  for (const int8_t s : rot.sv) out.sv.push_back(half(s));
  *result = std::move(out);
}

const Report& Quantizer::report() const {
  if (!has_report_) Fail(GLQ_E_WRONG_STATE, "no run has finished since the quantizer was made or its Hessian changed");
  return report_;
}

}  // namespace glq::quantizer
