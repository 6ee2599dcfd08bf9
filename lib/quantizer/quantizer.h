// The E8P quantizer: Hessian of the layer's inputs, LDLQ, scale search, resumable runs, report.
//
// Precision: everything is fp64, added up in an order that depends on the problem alone; no product is
// fused with an addition. The bytes of a result are therefore the same for any number of threads, any
// instruction set, any split of the calibration tokens into batches, and whether or not a run was
// cancelled and resumed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "e8p/linear.h"
#include "platform/parallel.h"
#include "quantizer/ldlq.h"
#include "quantizer/matrix_view.h"
#include "quantizer/meter.h"
#include "quantizer/nearest.h"
#include "quantizer/rotate.h"
#include "quantizer/tiles.h"

namespace glq::quantizer {

enum class ScaleMode : int32_t {
  kSpec = 0,    // constants and search of existing checkpoints
  kSearch = 1,  // choose scales by the proxy loss, search the stages jointly, fit Wscale to the codes
};

struct Options {
  int64_t in_features = 0, out_features = 0;
  int bits = 2;              // 2 to 8
  bool pow2_layout = false;  // pad to powers of two, as old checkpoints do
  uint32_t seed = 42;
  double damping = 0;      // share of the mean diagonal; 0: 0.01; negative: none
  double damping_rht = 0;  // the same after the rotation
  int refine_passes = 0;   // 0 to 100
  ScaleMode scale_mode = ScaleMode::kSpec;
  double input_scale = 0;  // rms that the rotated weight is scaled to; 0: by scale_mode
  double rho_e8p = 0;      // residual scale before an E8P stage; 0: by scale_mode
  double rho_e81b = 0;     // before an E81B stage
};

// What a checkpoint stores of the layer.
struct Result {
  e8p::LinearMeta meta;
  std::vector<AlignedVector<uint8_t>> stages;  // packed as in the checkpoint: Qidxs_e8p or Qidxs_e81b
  std::vector<uint16_t> su, sv;                // fp16 bits, padded sizes
  float weight_scale = 0;
  std::vector<float> inv_resid_scale;  // cumulative, of the stages after the first
};

struct Report {
  int stages = 0;
  double proxy_loss = 0;           // mean over padded rows of d H d^T in the rotated space, H undamped there
  double proxy_loss_relative = 0;  // divided by the mean of w H w^T; 0 when that is 0
  double sqnr_db = 0;              // original space; infinite when the weight is reproduced exactly
  double weight_scale = 0;
  std::array<double, e8p::kMaxStages> cum_inv_scale = {};
  // |W - What after stage s| / |W|, rotated space.
  std::array<double, e8p::kMaxStages> stage_error = {};
  double input_scale = 0, rho_e8p = 0, rho_e81b = 0;  // as used
  double seconds = 0;                                 // in Run, cancelled parts included
  double samples = 0;                                 // tokens behind the Hessian
  int damping_retries = 0;
  bool identity_hessian = false;  // no Hessian was given
};

enum class Outcome { kDone, kCancelled };

// Failures are thrown as glq::Error, with the status and a sentence for the caller; and std::bad_alloc.
class Quantizer {
 public:
  // Checks the options.
  Quantizer(const Options& options, Parallel* parallel);

  // Upper bound of what a quantizer allocates from creation to the end of a run, result included.
  static size_t MemoryEstimate(const Options& options, int workers);

  // What an element of the sum below may reach. Sums of squares of fp32 stay far below it, and what a run makes of it
  // (rotated, damped, multiplied by weights, squared) stays within fp64.
  static constexpr double kLargestElement = 1e100;

  // Hessian += x^T x. Every element is a chain of fp64 additions over the tokens in the order in which
  // they come, so its relative error after n tokens is at most n * 2^-53 of sum |x_i x_j|.
  void AddBatch(const MatrixView& x);
  // The mean of x^T x per token, standing for `samples` tokens when batches are added later.
  void SetHessian(const MatrixView& h, double samples);
  // out: F32 or F64, [in_features, in_features]. Zero when there is no Hessian. Returns the samples.
  double GetHessian(void* out, glq_dtype dtype, int64_t stride) const;
  double samples() const { return samples_; }
  bool in_cancelled_run() const { return progress_.active; }
  // Forgets a cancelled run; the Hessian stays.
  void Abandon() { progress_ = {}; }

  // The run is over once `deliver` has returned. If it throws, the result is kept, and the next run of the same weight
  // only delivers it. It may take the result if nothing fails after that.
  using Deliver = std::function<void(Result&)>;
  Outcome Run(const MatrixView& weight, ProgressFn progress, void* user, const Deliver& deliver);
  Outcome Run(const MatrixView& weight, ProgressFn progress, void* user, Result* result) {
    return Run(weight, progress, user, [&](Result& r) { *result = std::move(r); });
  }

  // Of the last finished run; fails without one.
  const Report& report() const;

  size_t SavedSize() const;
  void Save(void* buffer) const;  // SavedSize() bytes, any alignment
  static Quantizer Load(const void* buffer, size_t bytes, Parallel* parallel);

  const Options& options() const { return options_; }

 private:
  struct Scales {
    double input = 0, rho_e8p = 0, rho_e81b = 0;
  };
  // What a run leaves behind that was cancelled or failed.
  struct Progress {
    bool active = false;
    uint64_t weight_hash = 0;
    Scales scales;
    double weight_scale = 0;  // while quantizing; 0 for a zero weight
    int64_t strips_done = 0;
    std::vector<AlignedVector<uint16_t>> codes;  // per stage [padded_out][padded_in / 8]
    AlignedVector<RowSums> sums;                 // [padded_out]
    double seconds = 0;
    std::optional<Result> result;  // there is nothing left to do but to deliver it
  };
  // The damped, rotated and factored Hessian.
  struct Factors {
    SymmetricTiles l, h;
    AlignedVector<double> d, h_blocks, h_inverses;
    double damping = 0;  // what was added after the rotation
    int retries = 0;
  };

  int stages() const { return options_.bits / 2 + options_.bits % 2; }
  Scales DefaultScales() const;
  Chain MakeChain(const Scales& scales) const;
  void CheckNotInRun(const char* what) const;
  uint64_t CheckWeight(const MatrixView& weight, Scratch& scratch) const;
  Factors Factorise(const Rotation& rot, Scratch& scratch) const;
  // Done once progress_.result is there.
  Outcome RunMetered(const MatrixView& weight, const Meter& meter);
  // False if cancelled.
  bool ChooseScales(const Layer& layer, double rms, int64_t strips, std::vector<LdlqScratch>& scratch,
                    const Meter& meter, Scales* scales) const;
  bool QuantizeAll(const Layer& layer, const Rotation& rot, std::vector<LdlqScratch>& scratch, const Meter& meter);
  void QuantizeZeros(const Rotation& rot);
  void Finish(const Rotation& rot, const Factors& factors, AlignedVector<double>* strips, Scratch& scratch,
              Result* result);
  int64_t StripsPerTask(int64_t strips) const;

  Options options_;
  Parallel* parallel_;
  SymmetricTiles hessian_;  // sum over tokens; the mean while samples_ is 0
  double samples_ = 0;
  double bound_ = 0;  // no element of hessian_ is larger in magnitude, but for rounding
  Progress progress_;
  Report report_;
  bool has_report_ = false;
};

// Fails unless the options describe a layer that can be quantized.
void CheckOptions(const Options& options);

}  // namespace glq::quantizer
