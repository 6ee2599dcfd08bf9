// Chooses the input scale and the residual scales by the proxy loss of a sample of the layer's rows.
#include <algorithm>

#include "quantizer/quantizer.h"

namespace glq::quantizer {
namespace {

constexpr int64_t kSampleStrips = 8;  // 128 rows
constexpr int kMaxSteps = 4;          // in one direction

}  // namespace

bool Quantizer::ChooseScales(const Layer& layer, double rms, int64_t strips, std::vector<LdlqScratch>& scratch,
                             const Meter& meter, Scales* scales) const {
  const int64_t sample = std::min(strips, kSampleStrips);
  std::vector<RowSums> sums(sample * kStrip);
  bool cancelled = false;

  // What is left of the damped proxy loss when Wscale is fitted to the codes afterwards.
  const auto loss = [&](const Scales& s) {
    if (cancelled || !meter.Tell(2, 0, "scales")) {
      cancelled = true;
      return 0.0;
    }
    Layer trial = layer;
    trial.refine_passes = 0;
    trial.weight_scale = static_cast<float>(rms / s.input);
    const Chain chain = MakeChain(s);
    parallel_->For(sample, 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) {
        QuantizeStrips(trial, chain, i * strips / sample, 1, &scratch[worker], nullptr, sums.data() + i * kStrip);
      }
    });
    double a = 0, b = 0, c = 0;
    for (const RowSums& r : sums) a += r.ehe, b += r.ehv, c += r.vhv;
    const double square = c - 2 * b + a;
    const double left = square > 0 ? c - (c - b) * (c - b) / square : c;
    return left * trial.weight_scale * trial.weight_scale;
  };

  double best = loss(*scales);
  // Walks along one scale while the loss falls.
  const auto walk = [&](double Scales::*which, double factor) {
    for (const double step : {factor, 1 / factor}) {
      int steps = 0;
      for (; steps < kMaxSteps; ++steps) {
        Scales trial = *scales;
        trial.*which *= step;
        const double value = loss(trial);
        if (cancelled || !(value < best)) break;
        best = value;
        *scales = trial;
      }
      if (steps > 0) break;
    }
  };
  const bool fit_input = options_.input_scale == 0;
  const bool fit_e8p = options_.rho_e8p == 0 && options_.bits >= 4;
  const bool fit_e81b = options_.rho_e81b == 0 && options_.bits % 2 != 0;
  for (const double factor : {1.08, 1.03}) {
    if (fit_input) walk(&Scales::input, factor);
    if (fit_e8p) walk(&Scales::rho_e8p, factor);
    if (fit_e81b) walk(&Scales::rho_e81b, factor);
  }
  return !cancelled;
}

}  // namespace glq::quantizer
