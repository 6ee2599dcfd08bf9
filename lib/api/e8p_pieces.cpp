// glq/e8p.h: the pieces of the E8P linear, packing, and the codebooks as data.
#include <cinttypes>
#include <cstring>

#include "api/boundary.h"
#include "e8p/codebook.h"

using namespace glq;       // NOLINT: this file is C functions only
using namespace glq::api;  // NOLINT

namespace {

constexpr DtypeSet kF32 = DtypeBit(GLQ_DTYPE_F32);

void CheckCodebook(int32_t codebook) {
  if (codebook != GLQ_CODEBOOK_E8P && codebook != GLQ_CODEBOOK_E81B) {
    Fail(GLQ_E_INVALID_ARGUMENT, "codebook = %d, expected %d (E8P) or %d (E81B)", codebook, GLQ_CODEBOOK_E8P,
         GLQ_CODEBOOK_E81B);
  }
}

void CheckArray(const ArgName& name, const glq_view* view, const glq_device& device, DtypeSet accepted) {
  CheckView(name, view);
  CheckDtype(name, *view, accepted);
  CheckDevice(name, *view, device, false);
}

// The size of a code matrix and whether its packed form fits.
struct Codes {
  int64_t rows, cols;
};

Codes CheckCodes(const glq_device& device, int32_t codebook, const glq_view* codes, const glq_view* packed) {
  CheckCodebook(codebook);
  const bool e8p = codebook == GLQ_CODEBOOK_E8P;
  CheckArray("codes", codes, device, DtypeBit(e8p ? GLQ_DTYPE_U16 : GLQ_DTYPE_U8));
  if (codes->ndim != 2) Fail(GLQ_E_SHAPE, "codes.ndim = %d, expected 2", codes->ndim);
  if (e8p && codes->shape[0] % 16 != 0) {
    Fail(GLQ_E_SHAPE, "codes.shape[0] = %" PRId64 ", expected a multiple of 16", codes->shape[0]);
  }
  if (codes->shape[1] % 8 != 0) {
    Fail(GLQ_E_SHAPE, "codes.shape[1] = %" PRId64 ", expected a multiple of 8", codes->shape[1]);
  }
  CheckCompact("codes", *codes);
  CheckArray("packed", packed, device, DtypeBit(GLQ_DTYPE_I64));
  const int64_t rows = codes->shape[0], words = codes->shape[1] / 8;
  if (e8p) {
    const Extent extents[] = {
        {"codes.shape[0] / 16", rows / 16}, {"codes.shape[1] / 8", words}, {"words", 8}, {"words", 4}};
    CheckShape("packed", *packed, extents, 4);
  } else {
    const Extent extents[] = {{"codes.shape[0]", rows}, {"codes.shape[1] / 8", words}};
    CheckShape("packed", *packed, extents, 2);
  }
  CheckCompact("packed", *packed);
  return {rows, words * 64};
}

// An E81B tensor is its own packed form: the same bytes as 64-bit words.
glq_view AsWords(const glq_view& codes) {
  glq_view view = codes;
  view.dtype = GLQ_DTYPE_U8;
  view.ndim = 1;
  view.shape[0] = codes.shape[0] * codes.shape[1] * DtypeSize(codes.dtype);
  view.strides[0] = 1;
  return view;
}

}  // namespace

glq_status glq_rht_input_workspace(const glq_context* context, const glq_tensor* weight, int64_t max_tokens,
                                   const glq_launch_opts* opts, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const E8pStorage& w = E8pOf(call, c, "weight", weight);
    CheckMaxTokens(max_tokens);
    CheckOpts(opts);
    *bytes = c.backend().RhtInputWorkspace(*w.weight, max_tokens);
  });
}

glq_status glq_rht_input(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* x,
                         const glq_view* v, const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const E8pWeight& w = *E8pOf(call, c, "weight", weight).weight;
    c.CheckStream(stream);
    CheckOpts(opts);
    const MatrixArg in =
        CheckMatrix("x", x, c.device(), Access::kRead, kFloats, kAnyExtent, {"in_features", w.meta().in_features});
    const MatrixArg out = CheckMatrix("v", v, c.device(), Access::kWrite, kF32, {"x.shape[0]", in.matrix.rows},
                                      {"padded_in", w.meta().padded_in});
    CheckDisjoint("v", out.range, "x", in.range);
    if (in.matrix.rows == 0) return;
    const WorkspaceArg scratch = CheckWorkspace(workspace, c.backend().RhtInputWorkspace(w, in.matrix.rows));
    CheckDisjoint("workspace", scratch.range, "x", in.range);
    CheckDisjoint("workspace", scratch.range, "v", out.range);
    Launch(c, stream, [&](Backend& backend) { backend.RhtInput(stream, w, in.matrix, out.matrix, scratch.data); });
  });
}

glq_status glq_matmul_e8p_workspace(const glq_context* context, const glq_tensor* weight, int64_t max_tokens,
                                    const glq_launch_opts* opts, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const E8pStorage& w = E8pOf(call, c, "weight", weight);
    CheckMaxTokens(max_tokens);
    *bytes = c.backend().MatmulE8pWorkspace(*w.weight, max_tokens, MathModeOf(opts));
  });
}

glq_status glq_matmul_e8p(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* v,
                          const glq_view* z, const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const E8pWeight& w = *E8pOf(call, c, "weight", weight).weight;
    c.CheckStream(stream);
    const int32_t math_mode = MathModeOf(opts);
    const MatrixArg in =
        CheckMatrix("v", v, c.device(), Access::kRead, kF32, kAnyExtent, {"padded_in", w.meta().padded_in});
    const MatrixArg out = CheckMatrix("z", z, c.device(), Access::kWrite, kF32, {"v.shape[0]", in.matrix.rows},
                                      {"padded_out", w.meta().padded_out});
    CheckDisjoint("z", out.range, "v", in.range);
    if (in.matrix.rows == 0) return;
    const WorkspaceArg scratch =
        CheckWorkspace(workspace, c.backend().MatmulE8pWorkspace(w, in.matrix.rows, math_mode));
    CheckDisjoint("workspace", scratch.range, "v", in.range);
    CheckDisjoint("workspace", scratch.range, "z", out.range);
    Launch(c, stream,
           [&](Backend& backend) { backend.MatmulE8p(stream, w, in.matrix, out.matrix, scratch.data, math_mode); });
  });
}

glq_status glq_rht_output_workspace(const glq_context* context, const glq_tensor* weight, int64_t max_tokens,
                                    const glq_launch_opts* opts, size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const E8pStorage& w = E8pOf(call, c, "weight", weight);
    CheckMaxTokens(max_tokens);
    CheckOpts(opts);
    *bytes = c.backend().RhtOutputWorkspace(*w.weight, max_tokens);
  });
}

glq_status glq_rht_output(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* z,
                          const glq_view* y, const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const E8pWeight& w = *E8pOf(call, c, "weight", weight).weight;
    c.CheckStream(stream);
    CheckOpts(opts);
    const MatrixArg in =
        CheckMatrix("z", z, c.device(), Access::kRead, kF32, kAnyExtent, {"padded_out", w.meta().padded_out});
    const MatrixArg out = CheckMatrix("y", y, c.device(), Access::kWrite, kFloats, {"z.shape[0]", in.matrix.rows},
                                      {"out_features", w.meta().out_features});
    CheckDisjoint("y", out.range, "z", in.range);
    if (in.matrix.rows == 0) return;
    const WorkspaceArg scratch = CheckWorkspace(workspace, c.backend().RhtOutputWorkspace(w, in.matrix.rows));
    CheckDisjoint("workspace", scratch.range, "z", in.range);
    CheckDisjoint("workspace", scratch.range, "y", out.range);
    Launch(c, stream, [&](Backend& backend) { backend.RhtOutput(stream, w, in.matrix, out.matrix, scratch.data); });
  });
}

glq_status glq_decode_e8p(glq_context* context, glq_stream stream, const glq_tensor* weight, int64_t row_begin,
                          const glq_view* w, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const E8pWeight& e8p = *E8pOf(call, c, "weight", weight).weight;
    c.CheckStream(stream);
    CheckOpts(opts);
    const int64_t rows = e8p.meta().padded_out;
    if (row_begin < 0 || row_begin > rows) {
      Fail(GLQ_E_INVALID_ARGUMENT, "row_begin = %" PRId64 ", expected 0 to padded_out = %" PRId64, row_begin, rows);
    }
    const MatrixArg out =
        CheckMatrix("w", w, c.device(), Access::kWrite, kFloats, kAnyExtent, {"padded_in", e8p.meta().padded_in});
    if (out.matrix.rows > rows - row_begin) {
      Fail(GLQ_E_SHAPE, "w.shape[0] = %" PRId64 ", expected at most padded_out - row_begin = %" PRId64, out.matrix.rows,
           rows - row_begin);
    }
    if (out.matrix.rows == 0) return;
    Launch(c, stream, [&](Backend& backend) { backend.DecodeE8p(stream, e8p, row_begin, out.matrix); });
  });
}

glq_status glq_dequantize_workspace(const glq_context* context, const glq_tensor* weight, const glq_launch_opts* opts,
                                    size_t* bytes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    CheckNotNull("bytes", bytes);
    const glq_context& c = call.ContextOf(context);
    const E8pStorage& w = E8pOf(call, c, "weight", weight);
    CheckOpts(opts);
    *bytes = c.backend().DequantizeWorkspace(*w.weight);
  });
}

glq_status glq_dequantize(glq_context* context, glq_stream stream, const glq_tensor* weight, const glq_view* w,
                          const glq_workspace* workspace, const glq_launch_opts* opts) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    const E8pWeight& e8p = *E8pOf(call, c, "weight", weight).weight;
    c.CheckStream(stream);
    CheckOpts(opts);
    const MatrixArg out =
        CheckMatrix("w", w, c.device(), Access::kWrite, kFloats, {"out_features", e8p.meta().out_features},
                    {"in_features", e8p.meta().in_features});
    const WorkspaceArg scratch = CheckWorkspace(workspace, c.backend().DequantizeWorkspace(e8p));
    CheckDisjoint("workspace", scratch.range, "w", out.range);
    Launch(c, stream, [&](Backend& backend) { backend.Dequantize(stream, e8p, out.matrix, scratch.data); });
  });
}

glq_status glq_e8p_pack(glq_context* context, glq_stream stream, int32_t codebook, const glq_view* codes,
                        const glq_view* packed) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    c.CheckStream(stream);
    const Codes size = CheckCodes(c.device(), codebook, codes, packed);
    CheckWritable("packed", *packed);
    CheckDisjoint("packed", RangeOf(*packed), "codes", RangeOf(*codes));
    if (size.rows == 0 || size.cols == 0) return;
    Launch(c, stream, [&](Backend& backend) {
      if (codebook == GLQ_CODEBOOK_E81B) return backend.Copy(stream, AsWords(*codes), AsWords(*packed));
      backend.PackE8p(stream, static_cast<const uint16_t*>(codes->data), size.rows, size.cols,
                      static_cast<uint64_t*>(packed->data));
    });
  });
}

glq_status glq_e8p_unpack(glq_context* context, glq_stream stream, int32_t codebook, const glq_view* packed,
                          const glq_view* codes) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call& call) {
    const glq_context& c = call.ContextOf(context);
    c.CheckStream(stream);
    const Codes size = CheckCodes(c.device(), codebook, codes, packed);
    CheckWritable("codes", *codes);
    CheckDisjoint("codes", RangeOf(*codes), "packed", RangeOf(*packed));
    if (size.rows == 0 || size.cols == 0) return;
    Launch(c, stream, [&](Backend& backend) {
      if (codebook == GLQ_CODEBOOK_E81B) return backend.Copy(stream, AsWords(*packed), AsWords(*codes));
      backend.UnpackE8p(stream, static_cast<const uint64_t*>(packed->data), size.rows, size.cols,
                        static_cast<uint16_t*>(codes->data));
    });
  });
}

glq_status glq_e8p_codebook(int32_t codebook, const glq_view* table) GLQ_NOEXCEPT {
  return Boundary(__func__, [&](Call&) {
    CheckCodebook(codebook);
    const bool e8p = codebook == GLQ_CODEBOOK_E8P;
    CheckArray("table", table, {GLQ_DEVICE_CPU, 0}, DtypeBit(GLQ_DTYPE_I8));
    const Extent extents[] = {{"codes", e8p ? 65536 : 256}, {"weights", 8}};
    CheckShape("table", *table, extents, 2);
    CheckCompact("table", *table);
    CheckWritable("table", *table);
    auto* rows = static_cast<int8_t*>(table->data);
    for (int code = 0; code < extents[0].value; ++code) {
      if (e8p) {
        e8p::DecodeE8p(static_cast<uint16_t>(code), rows + code * 8);
      } else {
        e8p::DecodeE81b(static_cast<uint8_t>(code), rows + code * 8);
      }
    }
  });
}
