// The bytes of a result: for any number of threads, any instruction set, any split of the tokens, and for runs that
// were cancelled, saved, loaded and resumed.
#include <gtest/gtest.h>

#include "core/error.h"
#include "hwy/targets.h"
#include "quantizer_testing.h"

namespace glq::quantizer {
namespace {

struct Made {
  Result result;
  Report report;
  std::vector<double> hessian;
};

Options Layer(const RandomLayer& layer, int bits, ScaleMode mode, int passes) {
  Options o;
  o.in_features = layer.in;
  o.out_features = layer.out;
  o.bits = bits;
  o.scale_mode = mode;
  o.refine_passes = passes;
  return o;
}

Made Make(const RandomLayer& layer, const Options& o, int threads, int64_t batch) {
  const auto pool = MakeThreadPool(threads);
  Quantizer q(o, pool.get());
  for (int64_t t = 0; t < layer.tokens; t += batch) {
    const int64_t n = std::min(batch, layer.tokens - t);
    q.AddBatch({layer.x.data() + t * layer.in, GLQ_DTYPE_F32, n, layer.in, layer.in});
  }
  Made made;
  EXPECT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &made.result), Outcome::kDone);
  made.report = q.report();
  made.hessian.resize(layer.in * layer.in);
  q.GetHessian(made.hessian.data(), GLQ_DTYPE_F64, layer.in);
  return made;
}

void ExpectSame(const Made& a, const Made& b) {
  EXPECT_TRUE(SameBytes(a.result, b.result));
  EXPECT_EQ(a.hessian, b.hessian);
  EXPECT_EQ(a.report.proxy_loss, b.report.proxy_loss);
  EXPECT_EQ(a.report.proxy_loss_relative, b.report.proxy_loss_relative);
  EXPECT_EQ(a.report.sqnr_db, b.report.sqnr_db);
  EXPECT_EQ(a.report.stage_error, b.report.stage_error);
}

TEST(QuantizerThreads, NumberOfThreadsAndBatchesDoesNotMatter) {
  const RandomLayer layer(200, 330, 1);
  for (const auto& [bits, mode, passes] :
       {std::tuple(2, ScaleMode::kSpec, 0), std::tuple(3, ScaleMode::kSpec, 1), std::tuple(4, ScaleMode::kSearch, 2)}) {
    const Options o = Layer(layer, bits, mode, passes);
    const Made one = Make(layer, o, 1, layer.tokens);
    for (const int threads : {2, 3, 7}) {
      SCOPED_TRACE(threads);
      ExpectSame(one, Make(layer, o, threads, 1 + 37 * threads));
    }
  }
}

TEST(QuantizerThreads, InstructionSetDoesNotMatter) {
  const RandomLayer layer(100, 200, 2);
  const Options o = Layer(layer, 5, ScaleMode::kSearch, 1);
  const Made best = Make(layer, o, 2, 64);
  int targets = 0;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    ExpectSame(best, Make(layer, o, 2, 64));
    ++targets;
  }
  hwy::SetSupportedTargetsForTest(0);
  EXPECT_GE(targets, 1);
}

// Stops a run at its n-th call.
struct Stopper {
  int calls = 0, stop_at = -1;
  int64_t last = 0, total = 0;
  static int32_t Tell(void* user, int64_t done, int64_t total, const char* phase) {
    Stopper& s = *static_cast<Stopper*>(user);
    EXPECT_NE(phase, nullptr);
    EXPECT_GE(done, s.last);
    EXPECT_LE(done, total);
    s.last = done;
    s.total = total;
    return s.calls++ == s.stop_at;
  }
};

TEST(QuantizerThreads, CancelledRunsResumeToTheSameBytes) {
  const RandomLayer layer(400, 130, 3);
  for (const auto& [bits, mode, passes] : {std::tuple(3, ScaleMode::kSpec, 0), std::tuple(4, ScaleMode::kSearch, 1)}) {
    const Options o = Layer(layer, bits, mode, passes);
    const Made straight = Make(layer, o, 2, 100);
    const auto pool = MakeThreadPool(2), other = MakeThreadPool(3);
    int cancelled = 0, in_run = 0;
    for (int stop_at = 0;; ++stop_at) {
      Quantizer q(o, pool.get());
      q.AddBatch(layer.Tokens());
      Stopper stopper;
      stopper.stop_at = stop_at;
      Made made;
      const Outcome outcome = q.Run(layer.Weight(), Stopper::Tell, &stopper, &made.result);
      if (outcome == Outcome::kDone) {
        EXPECT_EQ(stopper.last, stopper.total);
        break;
      }
      ++cancelled;
      in_run += q.in_cancelled_run();
      EXPECT_TRUE(made.result.stages.empty());
      EXPECT_THROW(q.report(), Error);
      // On in the same object, and from its saved state with another number of threads.
      std::vector<std::byte> saved(q.SavedSize());
      q.Save(saved.data());
      Quantizer loaded = Quantizer::Load(saved.data(), saved.size(), other.get());
      for (Quantizer* each : {&q, &loaded}) {
        ASSERT_EQ(each->Run(layer.Weight(), nullptr, nullptr, &made.result), Outcome::kDone);
        made.report = each->report();
        made.hessian = straight.hessian;
        ExpectSame(straight, made);
        EXPECT_FALSE(each->in_cancelled_run());
      }
    }
    EXPECT_GE(cancelled, 6);
    EXPECT_GE(in_run, 2);
  }
}

TEST(QuantizerThreads, AResultThatCannotBeDeliveredIsKept) {
  const RandomLayer layer(400, 130, 6);
  const Options o = Layer(layer, 3, ScaleMode::kSpec, 0);
  const Made straight = Make(layer, o, 2, 100);
  const auto pool = MakeThreadPool(2);
  Quantizer q(o, pool.get());
  q.AddBatch(layer.Tokens());
  for (int attempt = 0; attempt < 2; ++attempt) {
    Stopper stopper;
    const auto fails = [](Result&) { throw std::bad_alloc(); };
    EXPECT_THROW(q.Run(layer.Weight(), Stopper::Tell, &stopper, fails), std::bad_alloc);
    EXPECT_EQ(stopper.last, stopper.total);
    EXPECT_EQ(stopper.calls > 1, attempt == 0);
    EXPECT_THROW(q.report(), Error);
    EXPECT_THROW(q.AddBatch(layer.Tokens()), Error);
    EXPECT_TRUE(q.in_cancelled_run());
  }
  // What is saved now is a run with all rows done.
  std::vector<std::byte> saved(q.SavedSize());
  q.Save(saved.data());
  Quantizer loaded = Quantizer::Load(saved.data(), saved.size(), pool.get());
  for (Quantizer* each : {&q, &loaded}) {
    Stopper stopper;
    Made made;
    ASSERT_EQ(each->Run(layer.Weight(), Stopper::Tell, &stopper, &made.result), Outcome::kDone);
    EXPECT_EQ(stopper.calls > 1, each == &loaded);
    made.report = each->report();
    made.hessian = straight.hessian;
    ExpectSame(straight, made);
    EXPECT_FALSE(each->in_cancelled_run());
  }
}

TEST(QuantizerThreads, TheLastReportCanStopARunToo) {
  const RandomLayer layer(64, 96, 7);
  const Options o = Layer(layer, 2, ScaleMode::kSpec, 0);
  const auto pool = MakeThreadPool(2);
  Quantizer q(o, pool.get());
  const auto at_the_end = [](void*, int64_t done, int64_t total, const char*) -> int32_t { return done == total; };
  Result straight, result;
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &straight), Outcome::kDone);
  for (int attempt = 0; attempt < 2; ++attempt) {
    ASSERT_EQ(q.Run(layer.Weight(), at_the_end, nullptr, &result), Outcome::kCancelled);
    EXPECT_TRUE(q.in_cancelled_run());
    EXPECT_TRUE(result.stages.empty());
  }
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &result), Outcome::kDone);
  EXPECT_TRUE(SameBytes(straight, result));
  EXPECT_GT(q.report().seconds, 0);
}

TEST(QuantizerThreads, StopsAtEveryStepStillGetThere) {
  const RandomLayer layer(330, 64, 4);
  const Options o = Layer(layer, 2, ScaleMode::kSpec, 0);
  const Made straight = Make(layer, o, 2, 100);
  const auto pool = MakeThreadPool(1);
  Quantizer q(o, pool.get());
  q.AddBatch(layer.Tokens());
  Made made;
  int rounds = 0;
  // Every run gets a little further: it may go past the phases that have nothing to keep, and one round of rows.
  for (Outcome outcome = Outcome::kCancelled; outcome == Outcome::kCancelled; ++rounds) {
    ASSERT_LT(rounds, 100);
    Stopper stopper;
    stopper.stop_at = 4;
    outcome = q.Run(layer.Weight(), Stopper::Tell, &stopper, &made.result);
  }
  made.report = q.report();
  made.hessian = straight.hessian;
  ExpectSame(straight, made);
  EXPECT_GE(rounds, 3);
}

TEST(QuantizerThreads, ARunCanBeRepeatedAndShardsMerged) {
  const RandomLayer layer(64, 96, 5);
  const Options o = Layer(layer, 2, ScaleMode::kSpec, 0);
  const auto pool = MakeThreadPool(2);
  Quantizer q(o, pool.get()), half(o, pool.get()), merged(o, pool.get());
  q.AddBatch(layer.Tokens());
  Result first, second;
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &first), Outcome::kDone);
  ASSERT_EQ(q.Run(layer.Weight(), nullptr, nullptr, &second), Outcome::kDone);
  EXPECT_TRUE(SameBytes(first, second));

  half.AddBatch({layer.x.data(), GLQ_DTYPE_F32, 128, layer.in, layer.in});
  std::vector<double> h(layer.in * layer.in), whole = h, got = h;
  EXPECT_EQ(half.GetHessian(h.data(), GLQ_DTYPE_F64, layer.in), 128);
  merged.SetHessian(View(h, layer.in, layer.in), 128);
  merged.AddBatch({layer.x.data() + 128 * layer.in, GLQ_DTYPE_F32, 128, layer.in, layer.in});
  EXPECT_EQ(merged.GetHessian(got.data(), GLQ_DTYPE_F64, layer.in), 256);
  EXPECT_EQ(q.GetHessian(whole.data(), GLQ_DTYPE_F64, layer.in), 256);
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], whole[i], 1e-13 * (1 + std::fabs(whole[i])));

  // Against the definition.
  for (const auto& [i, j] : {std::pair(0, 0), std::pair(95, 3), std::pair(3, 95), std::pair(70, 69)}) {
    double sum = 0;
    for (int64_t t = 0; t < layer.tokens; ++t) {
      sum += static_cast<double>(layer.x[t * layer.in + i]) * layer.x[t * layer.in + j];
    }
    EXPECT_NEAR(whole[i * layer.in + j], sum / 256, 1e-12 * (1 + std::fabs(sum)));
  }
}

}  // namespace
}  // namespace glq::quantizer
