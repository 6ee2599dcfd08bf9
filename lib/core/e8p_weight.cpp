#include "core/e8p_weight.h"

#include <array>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "core/error.h"
#include "cpu/half.h"
#include "platform/fp_env.h"

namespace glq {
namespace {

constexpr DtypeSet kI64 = DtypeBit(GLQ_DTYPE_I64), kU8 = DtypeBit(GLQ_DTYPE_U8), kF16 = DtypeBit(GLQ_DTYPE_F16);
constexpr uintptr_t kDeviceAlignment = 8;  // of index tensors in device memory

bool OnDevice(const glq_view& view) { return view.device.type == GLQ_DEVICE_CUDA; }

// A compact array of this shape, on the host (an input may have any alignment) or on the context's device.
void CheckPart(const ArgName& name, const glq_view* view, const glq_device& device, Access access, DtypeSet accepted,
               const Extent* extents, int rank) {
  CheckNotNull(name, view);
  CheckView(name, view, OnDevice(*view) || access == Access::kWrite ? Alignment::kElement : Alignment::kAny);
  if (access == Access::kWrite) CheckWritable(name, *view);
  CheckDtype(name, *view, accepted);
  CheckShape(name, *view, extents, rank);
  CheckCompact(name, *view);
  CheckDevice(name, *view, device, true);
}

struct Sizes {
  int64_t in, out;  // padded
};

// The index tensor of a stage of this codebook and these padded sizes; a size of -1 accepts any.
void CheckIndices(const ArgName& name, const glq_view* view, const glq_device& device, Access access, int32_t codebook,
                  Sizes padded) {
  const auto per = [](int64_t size, int64_t unit) { return size < 0 ? -1 : size / unit; };
  CheckNotNull(name, view);
  if (codebook == GLQ_CODEBOOK_E8P) {
    const Extent extents[] = {
        {"padded_out / 16", per(padded.out, 16)}, {"padded_in / 64", per(padded.in, 64)}, {"words", 8}, {"words", 4}};
    CheckPart(name, view, device, access, kI64, extents, 4);
  } else {
    const bool bytes = view->dtype == GLQ_DTYPE_U8;
    const Extent extents[] = {{"padded_out", padded.out},
                              {bytes ? "padded_in / 8" : "padded_in / 64", per(padded.in, bytes ? 8 : 64)}};
    CheckPart(name, view, device, access, kI64 | kU8, extents, 2);
  }
  const auto address = reinterpret_cast<uintptr_t>(view->data);
  if (OnDevice(*view) && address % kDeviceAlignment != 0) {
    FailArg(GLQ_E_ALIGNMENT, name, ".data = %p, expected a multiple of %d bytes in device memory", view->data,
            static_cast<int>(kDeviceAlignment));
  }
}

void CheckSize(const char* name, int64_t value) {
  if (value < 1 || value > e8p::kMaxDim) {
    Fail(GLQ_E_SHAPE, "desc.%s = %" PRId64 ", expected 1 to %" PRId64, name, value, e8p::kMaxDim);
  }
}

void CheckPadded(const char* name, int64_t padded, int64_t unit, const char* features_name, int64_t features) {
  if (padded < 1 || padded > e8p::kMaxDim || padded % unit != 0) {
    Fail(GLQ_E_SHAPE, "desc.%s = %" PRId64 ", expected a multiple of %" PRId64 " up to %" PRId64, name, padded, unit,
         e8p::kMaxDim);
  }
  if (padded < features) {
    Fail(GLQ_E_SHAPE, "desc.%s = %" PRId64 ", expected at least %s = %" PRId64, name, padded, features_name, features);
  }
}

// Codebooks in their order, the number of bits, scales.
std::vector<e8p::Stage> CheckedStages(const glq_e8p_desc& desc) {
  if (desc.num_stages < 1 || desc.num_stages > GLQ_E8P_MAX_STAGES) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.num_stages = %d, expected 1 to %d", desc.num_stages, GLQ_E8P_MAX_STAGES);
  }
  CheckNotNull("desc.stages", desc.stages);
  if (!std::isfinite(desc.weight_scale)) {
    Fail(GLQ_E_NOT_FINITE, "desc.weight_scale = %g, expected a finite number", desc.weight_scale);
  }
  std::vector<e8p::Stage> stages;
  int32_t bits = 0;
  for (int i = 0; i < desc.num_stages; ++i) {
    const glq_e8p_stage& s = desc.stages[i];
    const bool last = i == desc.num_stages - 1;
    if (s.codebook != GLQ_CODEBOOK_E8P && s.codebook != GLQ_CODEBOOK_E81B) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.stages[%d].codebook = %d, expected %d (E8P) or %d (E81B)", i, s.codebook,
           GLQ_CODEBOOK_E8P, GLQ_CODEBOOK_E81B);
    }
    if (s.codebook == GLQ_CODEBOOK_E81B && (i == 0 || !last)) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.stages[%d].codebook = %d (E81B), expected %d (E8P) for stage %d of %d", i,
           s.codebook, GLQ_CODEBOOK_E8P, i + 1, desc.num_stages);
    }
    if (s.reserved != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.stages[%d].reserved = %u, expected 0", i, s.reserved);
    if (!std::isfinite(s.cum_inv_scale)) {
      Fail(GLQ_E_NOT_FINITE, "desc.stages[%d].cum_inv_scale = %g, expected a finite number", i, s.cum_inv_scale);
    }
    if (s.cum_inv_scale == 0) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.stages[%d].cum_inv_scale = 0, expected another number", i);
    }
    if (i == 0 && s.cum_inv_scale != 1) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.stages[0].cum_inv_scale = %g, expected 1", s.cum_inv_scale);
    }
    const auto codebook = static_cast<e8p::Codebook>(s.codebook);
    const auto k = static_cast<float>(desc.weight_scale * s.cum_inv_scale / Denominator(codebook));
    if (!std::isfinite(k)) {
      Fail(GLQ_E_NOT_FINITE,
           "desc.weight_scale = %g times desc.stages[%d].cum_inv_scale = %g, expected a product that FP32 can hold",
           desc.weight_scale, i, s.cum_inv_scale);
    }
    stages.push_back({codebook, s.cum_inv_scale, k});
    bits += s.codebook == GLQ_CODEBOOK_E8P ? 2 : 1;
  }
  if (desc.bits != 0 && desc.bits != bits) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.bits = %d, expected %d for these %d stages", desc.bits, bits, desc.num_stages);
  }
  return stages;
}

std::vector<int64_t> CheckedBlocks(const char* name, const int64_t* blocks, int32_t count, const char* padded_name,
                                   int64_t padded) {
  if (!blocks) {
    if (count != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.num_%s = %d with desc.%s = NULL, expected 0", name, count, name);
    return e8p::BinaryBlocks(padded);
  }
  if (count < 1 || count > padded) {
    Fail(GLQ_E_INVALID_ARGUMENT, "desc.num_%s = %d, expected 1 to %s = %" PRId64, name, count, padded_name, padded);
  }
  int64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const int64_t b = blocks[i];
    if (b < 1 || b > padded || (b & (b - 1)) != 0) {
      Fail(GLQ_E_INVALID_ARGUMENT, "desc.%s[%d] = %" PRId64 ", expected a power of two up to %s = %" PRId64, name, i, b,
           padded_name, padded);
    }
    sum += b;
  }
  if (sum != padded) {
    Fail(GLQ_E_SHAPE, "desc.%s add up to %" PRId64 ", expected %s = %" PRId64, name, sum, padded_name, padded);
  }
  return {blocks, blocks + count};
}

Bytes BytesOf(const glq_view& view) { return {view.data, OnDevice(view)}; }

// The bias as FP32, and as it came.
struct Bias {
  Block raw;
  std::vector<float> values;
};

Bias ReadBias(glq_context& context, glq_stream stream, const glq_view& bias) {
  const auto n = static_cast<size_t>(bias.shape[0]);
  const size_t bytes = n * static_cast<size_t>(DtypeSize(bias.dtype));
  Bias out{Block(context.memory(), bytes, GLQ_MEMORY_HOST), std::vector<float>(n)};
  if (OnDevice(bias)) {
    glq_view host = bias;
    host.data = out.raw.as();
    host.device = {GLQ_DEVICE_CPU, 0};
    host.flags = 0;
    context.backend().Copy(stream, bias, host);
    context.backend().Synchronize(stream);
  } else {
    std::memcpy(out.raw.as(), bias.data, bytes);
  }
  for (size_t i = 0; i < n; ++i) {
    out.values[i] = bias.dtype == GLQ_DTYPE_F32    ? out.raw.as<float>()[i]
                    : bias.dtype == GLQ_DTYPE_BF16 ? cpu::Bf16ToFloat(out.raw.as<uint16_t>()[i])
                                                   : cpu::HalfToFloat(out.raw.as<uint16_t>()[i]);
  }
  return out;
}

}  // namespace

std::unique_ptr<glq_tensor> NewE8p(glq_context& context, glq_stream stream, const glq_e8p_desc& desc) {
  const ScopedDefaultFp fp;  // scales are computed here
  const glq_device& device = context.device();
  if (desc.flags != 0) Fail(GLQ_E_INVALID_ARGUMENT, "desc.flags = 0x%x, expected 0", desc.flags);
  CheckSize("in_features", desc.in_features);
  CheckSize("out_features", desc.out_features);
  E8pSource source;
  e8p::LinearMeta& meta = source.meta;
  meta.stages = CheckedStages(desc);
  meta.weight_scale = desc.weight_scale;
  meta.in_features = desc.in_features;
  meta.out_features = desc.out_features;

  Sizes padded{desc.padded_in == 0 ? -1 : desc.padded_in, desc.padded_out == 0 ? -1 : desc.padded_out};
  if (desc.padded_in != 0) CheckPadded("padded_in", padded.in, 64, "desc.in_features", desc.in_features);
  if (desc.padded_out != 0) CheckPadded("padded_out", padded.out, 16, "desc.out_features", desc.out_features);
  const glq_view& first = desc.stages[0].indices;
  CheckIndices({"desc.stages", 0, ".indices"}, &first, device, Access::kRead, GLQ_CODEBOOK_E8P, padded);
  for (int i = 0; i < 2; ++i) {  // bounded before they are multiplied
    if (first.shape[i] > e8p::kMaxDim) {
      Fail(GLQ_E_SHAPE, "desc.stages[0].indices.shape[%d] = %" PRId64 ", expected at most %" PRId64, i, first.shape[i],
           e8p::kMaxDim);
    }
  }
  padded = {first.shape[1] * 64, first.shape[0] * 16};
  CheckPadded("padded_in (from desc.stages[0].indices)", padded.in, 64, "desc.in_features", desc.in_features);
  CheckPadded("padded_out (from desc.stages[0].indices)", padded.out, 16, "desc.out_features", desc.out_features);
  meta.padded_in = padded.in;
  meta.padded_out = padded.out;
  for (int i = 0; i < desc.num_stages; ++i) {
    CheckIndices({"desc.stages", i, ".indices"}, &desc.stages[i].indices, device, Access::kRead,
                 desc.stages[i].codebook, padded);
    source.packed[i] = BytesOf(desc.stages[i].indices);
  }
  meta.in_blocks = CheckedBlocks("in_blocks", desc.in_blocks, desc.num_in_blocks, "padded_in", padded.in);
  meta.out_blocks = CheckedBlocks("out_blocks", desc.out_blocks, desc.num_out_blocks, "padded_out", padded.out);
  meta.has_sv = desc.sv != nullptr;
  meta.has_su = desc.su != nullptr;
  meta.has_bias = desc.bias != nullptr;
  if (desc.sv) {
    const Extent n{"padded_in", padded.in};
    CheckPart("desc.sv", desc.sv, device, Access::kRead, kF16, &n, 1);
    source.sv = BytesOf(*desc.sv);
  }
  if (desc.su) {
    const Extent n{"padded_out", padded.out};
    CheckPart("desc.su", desc.su, device, Access::kRead, kF16, &n, 1);
    source.su = BytesOf(*desc.su);
  }
  Bias bias;
  if (desc.bias) {
    const Extent n{"out_features", desc.out_features};
    CheckPart("desc.bias", desc.bias, device, Access::kRead, kFloats, &n, 1);
  }
  context.CheckNotCapturing(stream);
  context.ReleaseBuried();
  if (desc.bias) {
    bias = ReadBias(context, stream, *desc.bias);
    source.bias = bias.values.data();
  }
  E8pStorage storage{context.backend().CreateE8p(stream, source), desc.bias ? desc.bias->dtype : 0,
                     std::move(bias.raw)};
  return std::make_unique<glq_tensor>(context, std::move(storage));
}

void ExportE8p(glq_stream stream, const glq_tensor& tensor, const glq_e8p_parts& parts) {
  const E8pStorage& e8p = *tensor.e8p();
  const e8p::LinearMeta& meta = e8p.weight->meta();
  glq_context& context = *tensor.context;
  const glq_device& device = context.device();
  if (parts.flags != 0) Fail(GLQ_E_INVALID_ARGUMENT, "parts.flags = 0x%x, expected 0", parts.flags);

  struct Output {
    ArgName name;
    const glq_view* view;
  };
  std::vector<Output> outputs;
  for (int i = 0; i < GLQ_E8P_MAX_STAGES; ++i) {
    const glq_view* view = parts.indices[i];
    if (!view) continue;
    const ArgName name("parts.indices", i);
    const auto stages = static_cast<int>(meta.stages.size());
    if (i >= stages)
      FailArg(GLQ_E_NOT_FOUND, name, " = %p, expected NULL: the weight has num_stages = %d",
              static_cast<const void*>(view), stages);
    CheckIndices(name, view, device, Access::kWrite, static_cast<int32_t>(meta.stages[static_cast<size_t>(i)].codebook),
                 {meta.padded_in, meta.padded_out});
    outputs.push_back({name, view});
  }
  const auto vector = [&](const char* name, const char* what, const glq_view* view, bool present, DtypeSet dtype,
                          Extent n) {
    if (!view) return;
    if (!present)
      Fail(GLQ_E_NOT_FOUND, "%s = %p, expected NULL: the weight has no %s", name, static_cast<const void*>(view), what);
    CheckPart(name, view, device, Access::kWrite, dtype, &n, 1);
    outputs.push_back({name, view});
  };
  vector("parts.sv", "SV", parts.sv, meta.has_sv, kF16, {"padded_in", meta.padded_in});
  vector("parts.su", "SU", parts.su, meta.has_su, kF16, {"padded_out", meta.padded_out});
  vector("parts.bias", "bias", parts.bias, meta.has_bias, DtypeBit(e8p.bias_dtype),
         {"out_features", meta.out_features});
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      CheckDisjoint(outputs[i].name, RangeOf(*outputs[i].view), outputs[j].name, RangeOf(*outputs[j].view));
    }
  }
  context.CheckNotCapturing(stream);
  context.ReleaseBuried();  // the staging blocks of earlier exports, of which a saved model makes many

  Backend& backend = context.backend();
  const auto write = [&](Backend::Part part, const glq_view* view) {
    if (view) backend.ExportE8p(stream, *e8p.weight, part, view->data, OnDevice(*view));
  };
  for (int i = 0; i < GLQ_E8P_MAX_STAGES; ++i) write(static_cast<Backend::Part>(i), parts.indices[i]);
  write(Backend::Part::kSv, parts.sv);
  write(Backend::Part::kSu, parts.su);
  if (parts.bias && OnDevice(*parts.bias)) {
    glq_view host = *parts.bias;
    host.data = e8p.bias.as();
    host.device = {GLQ_DEVICE_CPU, 0};
    backend.Copy(stream, host, *parts.bias);
  } else if (parts.bias) {
    std::memcpy(parts.bias->data, e8p.bias.as(), e8p.bias.bytes());
  }
  backend.Synchronize(stream);
}

e8p::LinearMeta CheckpointMeta(int64_t in_features, int64_t out_features, int32_t bits) {
  e8p::LinearMeta meta;
  meta.in_features = in_features;
  meta.out_features = out_features;
  meta.padded_in = (in_features + 63) / 64 * 64;
  meta.padded_out = (out_features + 15) / 16 * 16;
  meta.in_blocks = e8p::BinaryBlocks(meta.padded_in);
  meta.out_blocks = e8p::BinaryBlocks(meta.padded_out);
  meta.weight_scale = 1;
  for (int i = 0; i < bits / 2; ++i) meta.stages.push_back({e8p::Codebook::kE8P, 1, 0.25f});
  if (bits % 2) meta.stages.push_back({e8p::Codebook::kE81B, 1, 0.5f});
  return meta;
}

}  // namespace glq
