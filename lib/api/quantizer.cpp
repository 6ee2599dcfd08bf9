// glq/quantizer.h
#include "quantizer/quantizer.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "api/boundary.h"
#include "core/cpu_device.h"
#include "core/e8p_weight.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

struct glq_quantizer {
  ContextRef context;
  quantizer::Quantizer state;
};

namespace {

constexpr glq_device kHost{GLQ_DEVICE_CPU, 0};
constexpr DtypeSet kF32F64 = DtypeBit(GLQ_DTYPE_F32) | DtypeBit(GLQ_DTYPE_F64);
// An estimate knows no context. More threads than this are not to be expected of one.
constexpr int32_t kThreadsOfEstimate = 64;

quantizer::Options OptionsOf(const glq_quantizer_desc& desc) {
  constexpr uint32_t kKnown = GLQ_QUANTIZER_POW2 | GLQ_QUANTIZER_HAS_SEED;
  if (desc.flags & ~kKnown) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.flags = 0x%x, expected no bits but 0x%x", desc.flags, kKnown);
  }
  quantizer::Options o;
  o.in_features = desc.in_features;
  o.out_features = desc.out_features;
  o.bits = desc.bits;
  o.pow2_layout = (desc.flags & GLQ_QUANTIZER_POW2) != 0;
  if (desc.flags & GLQ_QUANTIZER_HAS_SEED) o.seed = desc.seed;
  o.damping = desc.damping;
  o.damping_rht = desc.damping_rht;
  o.refine_passes = desc.refine_passes;
  o.scale_mode = static_cast<quantizer::ScaleMode>(desc.scale_mode);
  o.input_scale = desc.input_scale;
  o.rho_e8p = desc.rho_e8p;
  o.rho_e81b = desc.rho_e81b;
  quantizer::CheckOptions(o);
  return o;
}

glq_quantizer& QuantizerOf(Call& call, glq_quantizer* handle) {
  glq_quantizer& q = call.HandleOf("quantizer", handle, Kind::kQuantizer);
  call.Note(*q.context);
  return q;
}

const glq_quantizer& QuantizerOf(Call& call, const glq_quantizer* handle) {
  return QuantizerOf(call, const_cast<glq_quantizer*>(handle));
}

quantizer::MatrixView HostMatrix(const char* name, const glq_view* view, DtypeSet accepted, Extent rows, Extent cols) {
  const Matrix m = CheckMatrix(name, view, kHost, Access::kRead, accepted, rows, cols, Alignment::kAny).matrix;
  return {m.data, m.dtype, m.rows, m.cols, m.stride};
}

glq_view VectorView(const void* data, glq_dtype dtype, int64_t n) {
  glq_view view{};
  view.data = const_cast<void*>(data);
  view.shape[0] = n;
  view.strides[0] = 1;
  view.dtype = dtype;
  view.ndim = 1;
  view.device = kHost;
  return view;
}

glq_view IndexView(const void* data, e8p::Codebook codebook, int64_t padded_out, int64_t padded_in) {
  glq_view view = VectorView(data, GLQ_DTYPE_U8, padded_out);
  if (codebook == e8p::Codebook::kE8P) {
    view.dtype = GLQ_DTYPE_I64;
    view.ndim = 4;
    const int64_t shape[] = {padded_out / 16, padded_in / 64, 8, 4};
    std::copy_n(shape, 4, view.shape);
    const int64_t strides[] = {shape[1] * 32, 32, 4, 1};
    std::copy_n(strides, 4, view.strides);
  } else {
    view.ndim = 2;
    view.shape[1] = padded_in / 8;
    view.strides[0] = view.shape[1];
    view.strides[1] = 1;
  }
  return view;
}

std::unique_ptr<glq_tensor> NewResult(glq_context& context, glq_stream stream, const quantizer::Result& result,
                                      const glq_view* bias) {
  const e8p::LinearMeta& meta = result.meta;
  glq_e8p_stage stages[GLQ_E8P_MAX_STAGES] = {};
  for (size_t i = 0; i < meta.stages.size(); ++i) {
    const e8p::Stage& s = meta.stages[i];
    stages[i].codebook = static_cast<int32_t>(s.codebook);
    stages[i].cum_inv_scale = s.cum_inv_scale;
    stages[i].indices = IndexView(result.stages[i].data(), s.codebook, meta.padded_out, meta.padded_in);
  }
  const glq_view sv = VectorView(result.sv.data(), GLQ_DTYPE_F16, meta.padded_in);
  const glq_view su = VectorView(result.su.data(), GLQ_DTYPE_F16, meta.padded_out);
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
  desc.in_features = meta.in_features;
  desc.out_features = meta.out_features;
  desc.num_stages = static_cast<int32_t>(meta.stages.size());
  desc.weight_scale = result.weight_scale;
  desc.stages = stages;
  desc.in_blocks = meta.in_blocks.data();
  desc.num_in_blocks = static_cast<int32_t>(meta.in_blocks.size());
  desc.out_blocks = meta.out_blocks.data();
  desc.num_out_blocks = static_cast<int32_t>(meta.out_blocks.size());
  desc.sv = &sv;
  desc.su = &su;
  desc.bias = bias;
  return NewE8p(context, stream, desc);
}

glq_quantizer* Publish(std::unique_ptr<glq_quantizer> quantizer) {
  handles::Add(quantizer.get(), Kind::kQuantizer);
  return quantizer.release();
}

}  // namespace

glq_status glq_quantizer_desc_init(glq_quantizer_desc* desc, uint32_t struct_size) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("desc", desc);
    CheckStructSize<glq_quantizer_desc>("struct_size", struct_size);
    InitStruct(desc, struct_size);
  });
}

glq_status glq_quantizer_memory(const glq_quantizer_desc* desc, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("bytes", bytes);
    const quantizer::Options options = OptionsOf(ReadStruct("desc", desc));
    *bytes = quantizer::Quantizer::MemoryEstimate(options, std::max(kThreadsOfEstimate, UsableProcessors()));
  });
}

glq_status glq_quantizer_create(glq_context* context, const glq_quantizer_desc* desc,
                                glq_quantizer** quantizer) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("quantizer", quantizer);
    glq_context& c = call.ContextOf(context);
    const quantizer::Options options = OptionsOf(ReadStruct("desc", desc));
    *quantizer = Publish(
        std::unique_ptr<glq_quantizer>(new glq_quantizer{ContextRef(c), quantizer::Quantizer(options, &c.parallel())}));
  });
}

glq_status glq_quantizer_add_batch(glq_quantizer* quantizer, const glq_view* x) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    quantizer::Quantizer& q = QuantizerOf(call, quantizer).state;
    q.AddBatch(HostMatrix("x", x, kFloats | kF32F64, kAnyExtent, {"in_features", q.options().in_features}));
  });
}

glq_status glq_quantizer_set_hessian(glq_quantizer* quantizer, const glq_view* hessian, double samples) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    quantizer::Quantizer& q = QuantizerOf(call, quantizer).state;
    const Extent n{"in_features", q.options().in_features};
    q.SetHessian(HostMatrix("hessian", hessian, kF32F64, n, n), samples);
  });
}

glq_status glq_quantizer_get_hessian(const glq_quantizer* quantizer, const glq_view* hessian,
                                     double* samples) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const quantizer::Quantizer& q = QuantizerOf(call, quantizer).state;
    const Extent n{"in_features", q.options().in_features};
    const Matrix m = CheckMatrix("hessian", hessian, kHost, Access::kWrite, kF32F64, n, n).matrix;
    const double found = q.GetHessian(m.data, m.dtype, m.stride);
    if (samples) *samples = found;
  });
}

glq_status glq_quantizer_run(glq_quantizer* quantizer, glq_stream stream, const glq_view* weight, const glq_view* bias,
                             glq_progress_fn progress, void* user, glq_tensor** tensor) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("tensor", tensor);
    glq_quantizer& handle = QuantizerOf(call, quantizer);
    quantizer::Quantizer& q = handle.state;
    const Extent rows{"out_features", q.options().out_features}, cols{"in_features", q.options().in_features};
    const quantizer::MatrixView w = HostMatrix("weight", weight, kFloats | kF32F64, rows, cols);
    if (bias) {
      CheckView("bias", bias, Alignment::kAny);
      CheckDtype("bias", *bias, kFloats);
      CheckShape("bias", *bias, &rows, 1);
      CheckCompact("bias", *bias);
      CheckDevice("bias", *bias, kHost, false);
    }
    handle.context->CheckNotCapturing(stream);
    const auto deliver = [&](const quantizer::Result& result) {
      *tensor = Publish(NewResult(*handle.context, stream, result, bias));
    };
    if (q.Run(w, progress, user, deliver) == quantizer::Outcome::kCancelled) {
      Fail(GLQ_E_CANCELLED, "progress returned another value than 0; call again to go on");
    }
  });
}

glq_status glq_quantizer_abandon(glq_quantizer* quantizer) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) { QuantizerOf(call, quantizer).state.Abandon(); });
}

glq_status glq_quantizer_save(const glq_quantizer* quantizer, void* buffer, size_t capacity,
                              size_t* needed) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("needed", needed);
    const quantizer::Quantizer& q = QuantizerOf(call, quantizer).state;
    if (capacity > 0) CheckNotNull("buffer", buffer);
    *needed = q.SavedSize();
    if (!buffer) return;  // asked for the size
    if (capacity < *needed) Fail(GLQ_E_BUFFER_TOO_SMALL, "capacity = %zu, needed %zu", capacity, *needed);
    q.Save(buffer);
  });
}

glq_status glq_quantizer_load(glq_context* context, const void* buffer, size_t bytes,
                              glq_quantizer** quantizer) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    ClearOut("quantizer", quantizer);
    glq_context& c = call.ContextOf(context);
    CheckNotNull("buffer", buffer);
    *quantizer = Publish(std::unique_ptr<glq_quantizer>(
        new glq_quantizer{ContextRef(c), quantizer::Quantizer::Load(buffer, bytes, &c.parallel())}));
  });
}

glq_status glq_quantizer_get_desc(const glq_quantizer* quantizer, glq_quantizer_desc* desc) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const quantizer::Options& o = QuantizerOf(call, quantizer).state.options();
    CheckStruct("desc", desc);
    glq_quantizer_desc found{};
    found.flags = GLQ_QUANTIZER_HAS_SEED | (o.pow2_layout ? uint32_t{GLQ_QUANTIZER_POW2} : 0);
    found.in_features = o.in_features;
    found.out_features = o.out_features;
    found.bits = o.bits;
    found.refine_passes = o.refine_passes;
    found.scale_mode = static_cast<int32_t>(o.scale_mode);
    found.seed = o.seed;
    found.damping = o.damping;
    found.damping_rht = o.damping_rht;
    found.input_scale = o.input_scale;
    found.rho_e8p = o.rho_e8p;
    found.rho_e81b = o.rho_e81b;
    WriteStruct(desc, found);
  });
}

glq_status glq_quantizer_get_report(const glq_quantizer* quantizer, glq_quantizer_report* report) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const quantizer::Quantizer& q = QuantizerOf(call, quantizer).state;
    CheckStruct("report", report);
    const quantizer::Report& r = q.report();
    glq_quantizer_report found{};
    found.num_stages = r.stages;
    found.proxy_loss = r.proxy_loss;
    found.proxy_loss_relative = r.proxy_loss_relative;
    found.sqnr_db = r.sqnr_db;
    found.weight_scale = r.weight_scale;
    std::copy(r.cum_inv_scale.begin(), r.cum_inv_scale.end(), found.cum_inv_scale);
    found.seconds = r.seconds;
    found.samples = r.samples;
    found.damping_retries = r.damping_retries;
    WriteStruct(report, found);
  });
}

void glq_quantizer_destroy(glq_quantizer* quantizer) GLQ_NOEXCEPT {
  if (!quantizer) return;
  if (!handles::Remove(quantizer, Kind::kQuantizer)) return RecordDeadHandle(__func__, quantizer, Kind::kQuantizer);
  delete quantizer;
}
