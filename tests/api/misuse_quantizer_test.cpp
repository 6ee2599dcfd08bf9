// The quantizer through the C interface: a run, cancel and resume, save and load, and every misuse.
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

#include "api/fixture.h"

namespace glq::test {
namespace {

int not_a_handle[64];

class QuantizerApi : public testing::Test {
 protected:
  glq_quantizer_desc Desc() const {
    glq_quantizer_desc desc = GLQ_QUANTIZER_DESC_INIT;
    desc.in_features = 192, desc.out_features = 96, desc.bits = 3;
    return desc;
  }
  QuantizerPtr Make(glq_context* context) const {
    const glq_quantizer_desc desc = Desc();
    glq_quantizer* q = nullptr;
    EXPECT_EQ(glq_quantizer_create(context, &desc, &q), GLQ_OK) << LastMessage();
    return QuantizerPtr(q);
  }
  std::vector<unsigned char> Indices(const glq_tensor* tensor) { return Indices(context_.get(), tensor); }
  std::vector<unsigned char> Indices(glq_context* context, const glq_tensor* tensor) {
    Array one(GLQ_DTYPE_I64, {6, 3, 8, 4}), two(GLQ_DTYPE_U8, {96, 24});
    const glq_view v1 = one.view(), v2 = two.view();
    glq_e8p_parts parts = GLQ_E8P_PARTS_INIT;
    parts.indices[0] = &v1, parts.indices[1] = &v2;
    EXPECT_EQ(glq_e8p_export(context, nullptr, tensor, &parts), GLQ_OK) << LastMessage();
    auto bytes = one.values();
    const auto more = two.values();
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  }
  Golden golden_;
  ContextPtr context_ = MakeContext();
  Array weight_ = ArrayOf(golden_, "bd_96x192/W"), hessian_ = ArrayOf(golden_, "bd_96x192/H");
  glq_view w_ = weight_.view(), h_ = hessian_.view();
  glq_context* bogus_context_ = reinterpret_cast<glq_context*>(&not_a_handle[0]);
  glq_quantizer* bogus_ = reinterpret_cast<glq_quantizer*>(&not_a_handle[0]);
};

TEST_F(QuantizerApi, ARunGivesTheGoldenCodes) {
  const QuantizerPtr q = Make(context_.get());
  ASSERT_EQ(glq_quantizer_set_hessian(q.get(), &h_, 10), GLQ_OK) << LastMessage();
  glq_tensor* tensor = nullptr;
  ASSERT_EQ(glq_quantizer_run(q.get(), nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_OK) << LastMessage();
  const TensorPtr owner(tensor);
  auto want = ArrayOf(golden_, "bd_96x192/b3/Qidxs_e8p").values();
  const auto more = ArrayOf(golden_, "bd_96x192/b3/Qidxs2_e81b").values();
  want.insert(want.end(), more.begin(), more.end());
  EXPECT_EQ(Indices(tensor), want);
  glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
  ASSERT_EQ(glq_quantizer_get_report(q.get(), &report), GLQ_OK) << LastMessage();
  EXPECT_EQ(report.num_stages, 2);
  EXPECT_GT(report.sqnr_db, 10);
  EXPECT_EQ(report.samples, 10);
}

TEST_F(QuantizerApi, CancelSaveLoadAndGoOn) {
  const QuantizerPtr whole = Make(context_.get());
  ASSERT_EQ(glq_quantizer_set_hessian(whole.get(), &h_, 1), GLQ_OK);
  glq_tensor* tensor = nullptr;
  ASSERT_EQ(glq_quantizer_run(whole.get(), nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_OK);
  const std::vector<unsigned char> want = Indices(tensor);
  glq_tensor_destroy(tensor);

  const QuantizerPtr q = Make(context_.get());
  ASSERT_EQ(glq_quantizer_set_hessian(q.get(), &h_, 1), GLQ_OK);
  struct State {
    int calls = 0, stop_at = 0;
    int64_t done = 0, total = 0;
  } state;
  const auto progress = [](void* user, int64_t done, int64_t total, const char* phase) -> int32_t {
    auto& s = *static_cast<State*>(user);
    EXPECT_NE(phase, nullptr);
    s.done = done, s.total = total;
    return ++s.calls == s.stop_at;
  };
  state.stop_at = 6;
  tensor = reinterpret_cast<glq_tensor*>(&not_a_handle);
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &w_, nullptr, progress, &state, &tensor), GLQ_E_CANCELLED,
               "progress returned");
  EXPECT_EQ(tensor, nullptr);
  EXPECT_EQ(state.calls, 6);
  Array other(weight_);
  other.as<float>()[0] += 1;
  const glq_view ov = other.view();
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &ov, nullptr, nullptr, nullptr, &tensor), GLQ_E_WRONG_STATE,
               "weight");
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &h_, 1), GLQ_E_WRONG_STATE, "cancelled");
  Array x = ArrayOf(golden_, "bd_96x192/x");
  const glq_view xv = x.view();
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &xv), GLQ_E_WRONG_STATE, "cancelled");

  size_t needed = 0;
  ASSERT_EQ(glq_quantizer_save(q.get(), nullptr, 0, &needed), GLQ_OK) << LastMessage();
  std::vector<unsigned char> saved(needed + 1, kCanary);
  EXPECT_FAILS(glq_quantizer_save, (q.get(), saved.data(), needed - 1, &needed), GLQ_E_BUFFER_TOO_SMALL,
               "capacity = " + std::to_string(needed - 1), "needed " + std::to_string(needed));
  EXPECT_TRUE(std::all_of(saved.begin(), saved.end(), [](unsigned char c) { return c == kCanary; }));
  ASSERT_EQ(glq_quantizer_save(q.get(), saved.data(), needed, &needed), GLQ_OK) << LastMessage();
  EXPECT_EQ(saved.back(), kCanary);

  glq_quantizer* loaded = nullptr;
  ASSERT_EQ(glq_quantizer_load(context_.get(), saved.data(), needed, &loaded), GLQ_OK) << LastMessage();
  const QuantizerPtr owner(loaded);
  glq_quantizer_desc desc = GLQ_QUANTIZER_DESC_INIT;
  ASSERT_EQ(glq_quantizer_get_desc(loaded, &desc), GLQ_OK);
  EXPECT_TRUE(desc.in_features == 192 && desc.out_features == 96 && desc.bits == 3 && desc.seed == 42);
  state = {};
  ASSERT_EQ(glq_quantizer_run(loaded, nullptr, &w_, nullptr, progress, &state, &tensor), GLQ_OK) << LastMessage();
  EXPECT_EQ(state.done, state.total);
  EXPECT_EQ(Indices(tensor), want);
  glq_tensor_destroy(tensor);

  // Or the run is forgotten.
  ASSERT_EQ(glq_quantizer_abandon(q.get()), GLQ_OK);
  ASSERT_EQ(glq_quantizer_abandon(q.get()), GLQ_OK);
  ASSERT_EQ(glq_quantizer_run(q.get(), nullptr, &ov, nullptr, nullptr, nullptr, &tensor), GLQ_OK) << LastMessage();
  glq_tensor_destroy(tensor);

  // A damaged state is noticed.
  glq_quantizer* out = nullptr;
  for (size_t n = 0; n < needed; n += 97) {
    EXPECT_EQ(glq_quantizer_load(context_.get(), saved.data(), n, &out), GLQ_E_BAD_FILE) << n;
    std::vector<unsigned char> bad = saved;
    bad[n] ^= 4;
    EXPECT_EQ(glq_quantizer_load(context_.get(), bad.data(), needed, &out), GLQ_E_BAD_FILE) << n;
    EXPECT_EQ(out, nullptr);
  }
}

TEST_F(QuantizerApi, RunsAreKeptFromLdlqOn) {
  struct Stop {
    std::string phase;
  };
  const auto progress = [](void* user, int64_t done, int64_t total, const char* phase) -> int32_t {
    const Stop& stop = *static_cast<Stop*>(user);
    EXPECT_EQ(std::string(phase) == "finish", done == total);
    return phase == stop.phase;
  };
  Array other(weight_);
  other.as<float>()[0] += 1;
  const glq_view ov = other.view();
  glq_tensor* tensor = nullptr;
  glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
  for (const char* phase : {"hessian", "weight", "scales", "ldlq", "finish"}) {
    SCOPED_TRACE(phase);
    const QuantizerPtr q = Make(context_.get());
    Stop stop{phase};
    EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &w_, nullptr, progress, &stop, &tensor), GLQ_E_CANCELLED,
                 "progress returned");
    EXPECT_EQ(tensor, nullptr);
    EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
    const bool kept = stop.phase == "ldlq" || stop.phase == "finish";
    if (kept) {
      // Also when it is stopped earlier the next time.
      stop.phase = "hessian";
      static_cast<void>(glq_quantizer_run(q.get(), nullptr, &w_, nullptr, progress, &stop, &tensor));
      if (phase == std::string("finish")) {
        EXPECT_NE(tensor, nullptr);  // there was no Hessian to look at again
        glq_tensor_destroy(tensor);
        continue;
      }
    }
    EXPECT_EQ(glq_quantizer_set_hessian(q.get(), &h_, 1), kept ? GLQ_E_WRONG_STATE : GLQ_OK);
    const glq_status status = glq_quantizer_run(q.get(), nullptr, &ov, nullptr, nullptr, nullptr, &tensor);
    EXPECT_EQ(status, kept ? GLQ_E_WRONG_STATE : GLQ_OK);
    glq_tensor_destroy(tensor);
  }
}

TEST_F(QuantizerApi, AReportIsOfTheLastRunAndItsHessian) {
  const QuantizerPtr q = Make(context_.get());
  glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
  const auto run = [&] {
    glq_tensor* tensor = nullptr;
    EXPECT_EQ(glq_quantizer_run(q.get(), nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_OK) << LastMessage();
    glq_tensor_destroy(tensor);
    EXPECT_EQ(glq_quantizer_get_report(q.get(), &report), GLQ_OK) << LastMessage();
  };
  run();
  Array x = ArrayOf(golden_, "bd_96x192/x"), nan(weight_);
  const glq_view xv = x.view(), nv = nan.view();
  ASSERT_EQ(glq_quantizer_add_batch(q.get(), &xv), GLQ_OK) << LastMessage();
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
  run();
  ASSERT_EQ(glq_quantizer_set_hessian(q.get(), &h_, 1), GLQ_OK) << LastMessage();
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
  run();
  // A call that is refused changes nothing.
  nan.as<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  glq_tensor* tensor = nullptr;
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &nv, nullptr, nullptr, nullptr, &tensor), GLQ_E_NOT_FINITE,
               "weight[0, 7]");
  EXPECT_EQ(glq_quantizer_get_report(q.get(), &report), GLQ_OK) << LastMessage();
  const auto stop = [](void*, int64_t, int64_t, const char*) -> int32_t { return 1; };
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &w_, nullptr, stop, nullptr, &tensor), GLQ_E_CANCELLED,
               "progress");
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
}

TEST_F(QuantizerApi, ARunWhoseWeightCannotBeMadeIsKept) {
  struct State {
    bool out_of_memory = false;
    int calls = 0;
  } state;
  const glq_allocator allocator = {&state,
                                   [](void* user, size_t bytes, size_t alignment, int32_t) -> void* {
                                     if (static_cast<State*>(user)->out_of_memory) return nullptr;
                                     return std::aligned_alloc(alignment,
                                                               (bytes + alignment - 1) / alignment * alignment);
                                   },
                                   [](void*, void* p, size_t, int32_t) { std::free(p); }};
  glq_context_desc context_desc = GLQ_CONTEXT_DESC_INIT;
  context_desc.num_threads = 2, context_desc.allocator = &allocator;
  glq_context* context = nullptr;
  ASSERT_EQ(glq_context_create(&context_desc, &context), GLQ_OK) << LastMessage();
  const ContextPtr context_owner(context);
  const QuantizerPtr q = Make(context);
  ASSERT_EQ(glq_quantizer_set_hessian(q.get(), &h_, 10), GLQ_OK) << LastMessage();
  const auto progress = [](void* user, int64_t, int64_t, const char*) -> int32_t {
    ++static_cast<State*>(user)->calls;
    return 0;
  };
  glq_tensor* tensor = nullptr;
  glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
  ASSERT_EQ(glq_quantizer_run(q.get(), nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_OK) << LastMessage();
  const TensorPtr want(tensor);
  ASSERT_EQ(glq_quantizer_get_report(q.get(), &report), GLQ_OK) << LastMessage();

  state.out_of_memory = true;
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &w_, nullptr, progress, &state, &tensor), GLQ_E_OUT_OF_HOST_MEMORY,
               "cannot allocate");
  EXPECT_EQ(tensor, nullptr);
  EXPECT_GT(state.calls, 1);
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &h_, 1), GLQ_E_WRONG_STATE, "96 of 96 rows");
  size_t needed = 0;
  ASSERT_EQ(glq_quantizer_save(q.get(), nullptr, 0, &needed), GLQ_OK) << LastMessage();
  EXPECT_GT(needed, 6 * 64 * 64 * sizeof(double) + 96 * 24 * 2 * sizeof(uint16_t));

  state = {};
  ASSERT_EQ(glq_quantizer_run(q.get(), nullptr, &w_, nullptr, progress, &state, &tensor), GLQ_OK) << LastMessage();
  const TensorPtr got(tensor);
  EXPECT_EQ(state.calls, 1);
  EXPECT_EQ(Indices(context, got.get()), Indices(context, want.get()));
  EXPECT_EQ(glq_quantizer_get_report(q.get(), &report), GLQ_OK) << LastMessage();
}

TEST_F(QuantizerApi, BatchesAndTheBiasGoIn) {
  const QuantizerPtr q = Make(context_.get());
  Array x = ArrayOf(golden_, "bd_96x192/x");
  const glq_view xv = x.view();
  ASSERT_EQ(glq_quantizer_add_batch(q.get(), &xv), GLQ_OK) << LastMessage();
  Array h(GLQ_DTYPE_F64, {192, 192});
  const glq_view hv = h.view();
  double samples = 0;
  ASSERT_EQ(glq_quantizer_get_hessian(q.get(), &hv, &samples), GLQ_OK) << LastMessage();
  EXPECT_EQ(samples, 3);
  EXPECT_TRUE(h.GuardsIntact());
  Array bias(GLQ_DTYPE_F16, {96});
  std::memset(bias.data(), 0, bias.bytes());
  const glq_view bv = bias.view();
  glq_tensor* tensor = nullptr;
  ASSERT_EQ(glq_quantizer_run(q.get(), nullptr, &w_, &bv, nullptr, nullptr, &tensor), GLQ_OK) << LastMessage();
  glq_e8p_info info = GLQ_E8P_INFO_INIT;
  ASSERT_EQ(glq_e8p_get_info(tensor, &info), GLQ_OK);
  EXPECT_EQ(info.bias_dtype, GLQ_DTYPE_F16);
  glq_tensor_destroy(tensor);
}

TEST_F(QuantizerApi, Misuse) {
  glq_quantizer_desc desc = Desc();
  size_t bytes = 5;
  EXPECT_FAILS(glq_quantizer_desc_init, (nullptr, sizeof(desc)), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  EXPECT_FAILS(glq_quantizer_desc_init, (&desc, 79), GLQ_E_STRUCT_SIZE, "struct_size = 79", "expected 80");
  EXPECT_FAILS(glq_quantizer_memory, (&desc, nullptr), GLQ_E_INVALID_ARGUMENT, "bytes = NULL");
  EXPECT_FAILS(glq_quantizer_memory, (nullptr, &bytes), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  glq_quantizer* out = bogus_;
  EXPECT_FAILS(glq_quantizer_create, (context_.get(), &desc, nullptr), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_create, (nullptr, &desc, &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_EQ(out, nullptr);
  EXPECT_FAILS(glq_quantizer_create, (bogus_context_, &desc, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_quantizer_create, (context_.get(), nullptr, &out), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  const auto refused = [&](const std::function<void(glq_quantizer_desc&)>& change, glq_status status,
                           std::vector<std::string> parts) {
    glq_quantizer_desc d = Desc();
    change(d);
    out = bogus_;
    ExpectFailure("glq_quantizer_create", glq_quantizer_create(context_.get(), &d, &out), status, parts, 0);
    EXPECT_EQ(out, nullptr);
    ExpectFailure("glq_quantizer_memory", glq_quantizer_memory(&d, &bytes), status, parts, 0);
    EXPECT_EQ(bytes, 5u);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refused([](auto& d) { d.struct_size = 1; }, GLQ_E_STRUCT_SIZE, {"desc.struct_size = 1", "expected 80"});
  refused([](auto& d) { d.flags = 4; }, GLQ_E_INVALID_ARGUMENT, {"desc.flags = 0x4", "0x3"});
  refused([](auto& d) { d.in_features = 0; }, GLQ_E_INVALID_ARGUMENT, {"in_features", "0", "1 to 1048576"});
  refused([](auto& d) { d.out_features = -4; }, GLQ_E_INVALID_ARGUMENT, {"out_features", "-4", "1 to 1048576"});
  refused([](auto& d) { d.bits = 9; }, GLQ_E_INVALID_ARGUMENT, {"bits", "9", "2 to 8"});
  refused([](auto& d) { d.refine_passes = 101; }, GLQ_E_INVALID_ARGUMENT, {"refine_passes", "101", "0 to 100"});
  refused([](auto& d) { d.scale_mode = 2; }, GLQ_E_INVALID_ARGUMENT, {"scale_mode", "2"});
  refused([&](auto& d) { d.damping = nan; }, GLQ_E_NOT_FINITE, {"damping", "nan"});
  refused([&](auto& d) { d.damping_rht = nan; }, GLQ_E_NOT_FINITE, {"damping_rht", "nan"});
  refused([&](auto& d) { d.input_scale = nan; }, GLQ_E_NOT_FINITE, {"input_scale", "nan"});
  refused([](auto& d) { d.rho_e8p = -1; }, GLQ_E_INVALID_ARGUMENT, {"rho_e8p", "-1"});
  refused([](auto& d) { d.rho_e81b = -1; }, GLQ_E_INVALID_ARGUMENT, {"rho_e81b", "-1"});
  refused([](auto& d) { d.damping = -1.1e6; }, GLQ_E_INVALID_ARGUMENT, {"damping", "-1.1e+06", "-1e6 to 1e6"});
  refused([](auto& d) { d.input_scale = 9e-7; }, GLQ_E_INVALID_ARGUMENT, {"input_scale", "1e-6 to 1e6"});
  refused([](auto& d) { d.rho_e8p = 1.1e6; }, GLQ_E_INVALID_ARGUMENT, {"rho_e8p", "1e-6 to 1e6"});
  const auto pow2 = [](int64_t out, int64_t in) {
    return [=](glq_quantizer_desc& d) { d.flags = GLQ_QUANTIZER_POW2, d.out_features = out, d.in_features = in; };
  };
  refused(pow2(5, 3), GLQ_E_SHAPE, {"[5, 3]", "[8, 4]", "at least [16, 64]"});
  refused(pow2(8, 33), GLQ_E_SHAPE, {"[8, 33]"});
  refused(pow2(9, 32), GLQ_E_SHAPE, {"[9, 32]"});
  desc = Desc();
  pow2(9, 33)(desc);
  desc.damping = -1e6, desc.damping_rht = 1e6, desc.input_scale = 1e-6, desc.rho_e8p = desc.rho_e81b = 1e6;
  ASSERT_EQ(glq_quantizer_create(context_.get(), &desc, &out), GLQ_OK) << LastMessage();
  glq_quantizer_destroy(out);
  desc = Desc();
  ASSERT_EQ(glq_quantizer_memory(&desc, &bytes), GLQ_OK);
  EXPECT_GT(bytes, 96u * 192u);

  const QuantizerPtr q = Make(context_.get());
  QuantizerPtr gone = Make(context_.get());
  glq_quantizer* dead = gone.get();
  gone.reset();
  Array x(GLQ_DTYPE_F32, {2, 192}), h(GLQ_DTYPE_F64, {192, 192});
  std::memset(x.data(), 0, x.bytes());
  glq_view xv = x.view(), hv = h.view();
  glq_tensor* tensor = nullptr;
  glq_quantizer_report report = GLQ_QUANTIZER_REPORT_INIT;
  double samples;
  size_t needed;
  for (glq_quantizer* handle : {bogus_, dead, reinterpret_cast<glq_quantizer*>(context_.get())}) {
    EXPECT_FAILS(glq_quantizer_add_batch, (handle, &xv), GLQ_E_BAD_HANDLE, "quantizer = 0x", "glq_quantizer");
    EXPECT_FAILS(glq_quantizer_set_hessian, (handle, &h_, 1), GLQ_E_BAD_HANDLE, "glq_quantizer");
    EXPECT_FAILS(glq_quantizer_get_hessian, (handle, &hv, &samples), GLQ_E_BAD_HANDLE, "glq_quantizer");
    tensor = reinterpret_cast<glq_tensor*>(&not_a_handle);
    EXPECT_FAILS(glq_quantizer_run, (handle, nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_E_BAD_HANDLE,
                 "glq_quantizer");
    EXPECT_EQ(tensor, nullptr);
    EXPECT_FAILS(glq_quantizer_abandon, (handle), GLQ_E_BAD_HANDLE, "glq_quantizer");
    EXPECT_FAILS(glq_quantizer_save, (handle, nullptr, 0, &needed), GLQ_E_BAD_HANDLE, "glq_quantizer");
    EXPECT_FAILS(glq_quantizer_get_desc, (handle, &desc), GLQ_E_BAD_HANDLE, "glq_quantizer");
    EXPECT_FAILS(glq_quantizer_get_report, (handle, &report), GLQ_E_BAD_HANDLE, "glq_quantizer");
    glq_quantizer_destroy(handle);
    EXPECT_EQ(LastFunction(), "glq_quantizer_destroy");
  }
  glq_quantizer_destroy(nullptr);
  EXPECT_FAILS(glq_quantizer_add_batch, (nullptr, &xv), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "x = NULL");
  glq_view v = xv;
  v.shape[1] = 191;
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &v), GLQ_E_SHAPE, "x.shape[1] = 191", "in_features = 192");
  v = xv, v.dtype = GLQ_DTYPE_I32;
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &v), GLQ_E_DTYPE, "x.dtype = I32", "F64");
  v = xv, v.strides[1] = 2;
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &v), GLQ_E_LAYOUT, "x.strides[1] = 2", "expected 1");
  v = xv, v.device = {GLQ_DEVICE_CUDA, 0};
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &v), GLQ_E_DEVICE_MISMATCH, "x.device = cuda:0", "expected cpu");
  x.as<float>()[200] = std::numeric_limits<float>::infinity();
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &xv), GLQ_E_NOT_FINITE, "x[1, 8]");
  Array huge(GLQ_DTYPE_F64, {1, 192});
  std::fill_n(huge.as<double>(), 192, 1e200);
  v = huge.view();
  EXPECT_FAILS(glq_quantizer_add_batch, (q.get(), &v), GLQ_E_NOT_FINITE, "x[0, 0] = 1e+200", "unchanged");
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &h_, 1e300), GLQ_E_NOT_FINITE, "hessian[0, 0]", "1e+300 samples");
  EXPECT_FAILS(glq_quantizer_set_hessian, (nullptr, &h_, 1), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), nullptr, 1), GLQ_E_INVALID_ARGUMENT, "hessian = NULL");
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &h_, -1), GLQ_E_INVALID_ARGUMENT, "samples", "-1");
  v = h_, v.shape[0] = 100;
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &v, 1), GLQ_E_SHAPE, "hessian.shape[0] = 100", "in_features = 192");
  v = h_, v.dtype = GLQ_DTYPE_F16;
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &v, 1), GLQ_E_DTYPE, "hessian.dtype = F16", "F32, F64");
  Array bad(hessian_);
  bad.as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  const glq_view badv = bad.view();
  EXPECT_FAILS(glq_quantizer_set_hessian, (q.get(), &badv, 1), GLQ_E_NOT_FINITE, "hessian[");
  EXPECT_FAILS(glq_quantizer_get_hessian, (nullptr, &hv, &samples), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_get_hessian, (q.get(), nullptr, &samples), GLQ_E_INVALID_ARGUMENT, "hessian = NULL");
  v = hv, v.flags = GLQ_VIEW_READ_ONLY;
  EXPECT_FAILS(glq_quantizer_get_hessian, (q.get(), &v, &samples), GLQ_E_INVALID_ARGUMENT, "hessian.flags = 1",
               "READ_ONLY");
  v = hv, v.data = static_cast<char*>(hv.data) + 4;
  EXPECT_FAILS(glq_quantizer_get_hessian, (q.get(), &v, &samples), GLQ_E_ALIGNMENT, "hessian.data = 0x",
               "multiple of 8");
  EXPECT_TRUE(h.Untouched());
  EXPECT_EQ(glq_quantizer_get_hessian(q.get(), &hv, nullptr), GLQ_OK);

  const auto run = [&](const glq_view* w, const glq_view* b) {
    return glq_quantizer_run(q.get(), nullptr, w, b, nullptr, nullptr, &tensor);
  };
  EXPECT_FAILS(glq_quantizer_run, (q.get(), nullptr, &w_, nullptr, nullptr, nullptr, nullptr), GLQ_E_INVALID_ARGUMENT,
               "tensor = NULL");
  EXPECT_FAILS(glq_quantizer_run, (nullptr, nullptr, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_E_INVALID_ARGUMENT,
               "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_run, (q.get(), &v, &w_, nullptr, nullptr, nullptr, &tensor), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x");
  ExpectFailure("glq_quantizer_run", run(nullptr, nullptr), GLQ_E_INVALID_ARGUMENT, {"weight = NULL"}, __LINE__);
  v = w_, v.shape[0] = 95;
  ExpectFailure("glq_quantizer_run", run(&v, nullptr), GLQ_E_SHAPE, {"weight.shape[0] = 95", "out_features = 96"},
                __LINE__);
  v = w_, v.strides[0] = 100;
  ExpectFailure("glq_quantizer_run", run(&v, nullptr), GLQ_E_LAYOUT, {"weight.strides[0] = 100", "192"}, __LINE__);
  Array bias(GLQ_DTYPE_F32, {95}), nan_weight(weight_);
  const glq_view bv = bias.view();
  ExpectFailure("glq_quantizer_run", run(&w_, &bv), GLQ_E_SHAPE, {"bias.shape[0] = 95", "out_features = 96"}, __LINE__);
  nan_weight.as<float>()[193] = std::numeric_limits<float>::quiet_NaN();
  const glq_view nv = nan_weight.view();
  ExpectFailure("glq_quantizer_run", run(&nv, nullptr), GLQ_E_NOT_FINITE, {"weight[1, 1]"}, __LINE__);
  EXPECT_EQ(tensor, nullptr);

  EXPECT_FAILS(glq_quantizer_abandon, (nullptr), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_save, (nullptr, nullptr, 0, &needed), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_save, (q.get(), nullptr, 0, nullptr), GLQ_E_INVALID_ARGUMENT, "needed = NULL");
  EXPECT_FAILS(glq_quantizer_save, (q.get(), nullptr, 9, &needed), GLQ_E_INVALID_ARGUMENT, "buffer = NULL");
  EXPECT_FAILS(glq_quantizer_load, (context_.get(), &bytes, 8, nullptr), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_load, (nullptr, &bytes, 8, &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_quantizer_load, (bogus_context_, &bytes, 8, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_quantizer_load, (context_.get(), nullptr, 8, &out), GLQ_E_INVALID_ARGUMENT, "buffer = NULL");
  EXPECT_FAILS(glq_quantizer_load, (context_.get(), &bytes, 8, &out), GLQ_E_BAD_FILE, "8 bytes");
  EXPECT_FAILS(glq_quantizer_get_desc, (nullptr, &desc), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_get_desc, (q.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  EXPECT_FAILS(glq_quantizer_get_report, (nullptr, &report), GLQ_E_INVALID_ARGUMENT, "quantizer = NULL");
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "report = NULL");
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_WRONG_STATE, "no run has finished");
  report.struct_size = 95;
  EXPECT_FAILS(glq_quantizer_get_report, (q.get(), &report), GLQ_E_STRUCT_SIZE, "report.struct_size = 95",
               "expected 96");
}

}  // namespace
}  // namespace glq::test
