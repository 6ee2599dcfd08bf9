// glq/context.h
#include <cinttypes>
#include <cstring>
#include <memory>

#include "api/boundary.h"
#include "core/cpu_device.h"
#include "core/e8p_weight.h"
#include "core/text.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

glq_status glq_device_count(int32_t type, int32_t* count) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("count", count);
    if (type != GLQ_DEVICE_CPU && type != GLQ_DEVICE_CUDA) {
      Fail(GLQ_E_INVALID_ARGUMENT, "type = %d, expected %d (CPU) or %d (CUDA)", type, GLQ_DEVICE_CPU, GLQ_DEVICE_CUDA);
    }
    *count = type == GLQ_DEVICE_CPU ? 1 : cuda::DeviceCount();
  });
}

glq_status glq_device_parse(const char* text, glq_device* device) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("text", text);
    CheckNotNull("device", device);
    if (!ParseDevice(text, device)) {
      Fail(GLQ_E_INVALID_ARGUMENT, "text = \"%.64s\", expected \"cpu\", \"cuda\" or \"cuda:N\"", text);
    }
  });
}

glq_status glq_device_get_info(const glq_device* device, glq_device_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("device", device);
    CheckStruct("info", info);
    glq_device_info found{};
    if (device->type == GLQ_DEVICE_CPU) {
      if (device->index != 0) Fail(GLQ_E_NO_DEVICE, "device.index = %d, expected 0 for the CPU", device->index);
      FillCpuInfo(&found);
    } else if (device->type == GLQ_DEVICE_CUDA) {
      cuda::FillDeviceInfo(device->index, &found);
    } else {
      Fail(GLQ_E_INVALID_ARGUMENT, "device.type = %d, expected %d (CPU) or %d (CUDA)", device->type, GLQ_DEVICE_CPU,
           GLQ_DEVICE_CUDA);
    }
    WriteStruct(info, found);
  });
}

glq_status glq_context_desc_init(glq_context_desc* desc, uint32_t struct_size) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckNotNull("desc", desc);
    CheckStructSize<glq_context_desc>("struct_size", struct_size);
    InitStruct(desc, struct_size);
    desc->device = {GLQ_DEVICE_CPU, 0};
  });
}

glq_status glq_context_create(const glq_context_desc* desc, glq_context** context) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    ClearOut("context", context);
    glq_context_desc d = GLQ_CONTEXT_DESC_INIT;
    if (desc) d = ReadStruct("desc", desc);
    auto made = std::make_unique<glq_context>(d);
    handles::Add(made.get(), Kind::kContext);
    made->OnDestroyed(d.destroyed, d.destroyed_user);
    *context = made.release();
  });
}

glq_status glq_context_retain(glq_context* context) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) { call.ContextOf(context).counts.AddUser(); });
}

void glq_context_destroy(glq_context* context) GLQ_NOEXCEPT {
  if (!context) return;
  if (!handles::IsLive(context, Kind::kContext)) return RecordDeadHandle(__func__, context, Kind::kContext);
  if (context->counts.DropUser() && handles::Remove(context, Kind::kContext)) ContextRef::Drop(context);
}

glq_status glq_context_get_info(const glq_context* context, glq_context_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    CheckStruct("info", info);
    glq_context_info found{};
    found.flags = c.flags();
    found.device = c.device();
    found.num_threads = c.parallel().workers();
    c.backend().FillInfo(&found);
    found.host_bytes = c.memory().host_bytes();
    found.device_bytes = c.memory().device_bytes();
    WriteStruct(info, found);
  });
}

glq_status glq_context_synchronize(glq_context* context, glq_stream stream) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    glq_context& c = call.ContextOf(context);
    c.CheckNotCapturing(stream);
    c.backend().Synchronize(stream);
    c.ReleaseBuried();
  });
}

namespace {

// Types and sizes that a call of the operation accepts. Throws what the call would return.
struct OpRule {
  DtypeSet x, y;  // 0: the operation has no such argument
  glq_dtype x_default, y_default;
};

OpRule RuleOf(int32_t op) {
  constexpr DtypeSet kF32 = DtypeBit(GLQ_DTYPE_F32), kBf16 = DtypeBit(GLQ_DTYPE_BF16);
  switch (op) {
    case GLQ_OP_FUSED_LINEAR_E8P:
      return {kFloats, kFloats, GLQ_DTYPE_F16, GLQ_DTYPE_F16};
    case GLQ_OP_RHT_INPUT:
      return {kFloats, kF32, GLQ_DTYPE_F16, GLQ_DTYPE_F32};
    case GLQ_OP_RHT_OUTPUT:
      return {kF32, kFloats, GLQ_DTYPE_F32, GLQ_DTYPE_F16};
    case GLQ_OP_MATMUL_E8P:
      return {kF32, kF32, GLQ_DTYPE_F32, GLQ_DTYPE_F32};
    case GLQ_OP_DECODE_E8P:
    case GLQ_OP_DEQUANTIZE:
      return {0, kFloats, 0, GLQ_DTYPE_F16};
    case GLQ_OP_GEMV_BF16:
      return {kBf16, kFloats, GLQ_DTYPE_BF16, GLQ_DTYPE_F16};
    default:
      Fail(GLQ_E_INVALID_ARGUMENT, "query.op = %d, expected %d to %d", op, GLQ_OP_FUSED_LINEAR_E8P, GLQ_OP_GEMV_BF16);
  }
}

void CheckFeatures(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) {
    Fail(GLQ_E_SHAPE, "query.%s = %" PRId64 ", expected %" PRId64 " to %" PRId64, name, value, least, most);
  }
}

Backend::Support Answer(const glq_context& context, glq_op_query query, const OpRule& rule) {
  const bool gemv = query.op == GLQ_OP_GEMV_BF16;
  const int64_t least = gemv ? 0 : 1, most = gemv ? int64_t{kMaxTokens} : e8p::kMaxDim;
  CheckFeatures("in_features", query.in_features, least, most);
  CheckFeatures("out_features", query.out_features, least, most);
  CheckFeatures("max_tokens", query.max_tokens, 0, gemv ? int64_t{GLQ_GEMV_MAX_TOKENS} : kMaxTokens);
  if (query.x_dtype == 0) query.x_dtype = rule.x_default;
  if (query.y_dtype == 0) query.y_dtype = rule.y_default;
  if (rule.x != 0) CheckDtype("query.x_dtype", query.x_dtype, rule.x);
  CheckDtype("query.y_dtype", query.y_dtype, rule.y);
  return context.backend().OpSupport(
      query, gemv ? e8p::LinearMeta{} : CheckpointMeta(query.in_features, query.out_features, query.bits));
}

}  // namespace

glq_status glq_op_support(const glq_context* context, const glq_op_query* query,
                          glq_op_support_info* info) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const glq_op_query q = ReadStruct("query", query);
    CheckStruct("info", info);
    const OpRule rule = RuleOf(q.op);
    const bool gemv = q.op == GLQ_OP_GEMV_BF16;
    if (gemv ? q.bits != 0 : q.bits < 2 || q.bits > 8) {
      Fail(GLQ_E_INVALID_ARGUMENT, "query.bits = %d, expected %s", q.bits, gemv ? "0" : "2 to 8");
    }
    if (q.math_mode != GLQ_MATH_EXACT && q.math_mode != GLQ_MATH_FP16_EXPANDED) {
      Fail(GLQ_E_INVALID_ARGUMENT, "query.math_mode = %d, expected %d or %d", q.math_mode, GLQ_MATH_EXACT,
           GLQ_MATH_FP16_EXPANDED);
    }
    glq_op_support_info found{};
    try {
      const Backend::Support support = Answer(c, q, rule);
      found.workspace_bytes = support.workspace_bytes;
      found.fast_alignment = support.fast_alignment;
      CopyText(found.path, sizeof(found.path), support.path.c_str());
    } catch (const Error& e) {
      found.status = e.status();
      CopyText(found.reason, sizeof(found.reason), e.what());
    }
    WriteStruct(info, found);
  });
}
