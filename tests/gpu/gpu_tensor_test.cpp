// Views, tensors, DLPack and the dense product on the GPU, and what is current around the calls.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "gpu/support.h"

// As DLPack's specification of version 1 lays it out.
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  uint64_t flags;
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint32_t dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};

namespace glq::gpu {
namespace {

// --- Copies ---

constexpr size_t kArena = 1 << 16;

struct Strided {
  glq_view view{};  // data: offset in bytes
  int64_t low = 0;  // elements below the first one
};

// Strides of a random order of the dimensions, with gaps, of any sign.
Strided RandomStrides(Rng& rng, const glq_view& shape, bool may_repeat) {
  Strided s{shape};
  std::vector<int> order;
  for (int d = 0; d < shape.ndim; ++d) order.push_back(d);
  if (rng.Uniform(0, 2) > 0) {
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[static_cast<size_t>(rng.Uniform(0, static_cast<int64_t>(i) - 1))]);
  }
  int64_t stride = rng.Uniform(0, 3) == 0 ? 2 : 1;
  for (size_t i = order.size(); i > 0; --i) {
    const int d = order[i - 1];
    const int64_t extent = shape.shape[d];
    if (may_repeat && rng.Uniform(0, 7) == 0) {
      s.view.strides[d] = 0;
      continue;
    }
    const bool down = rng.Uniform(0, 4) == 0;
    s.view.strides[d] = down ? -stride : stride;
    if (down && extent > 0) s.low += (extent - 1) * stride;
    stride = stride * std::max<int64_t>(extent, 1) + rng.Uniform(0, 2);
  }
  return s;
}

template <typename F>
void ForEachElement(const glq_view& v, const F& f) {
  int64_t at[GLQ_MAX_NDIM] = {}, count = 1;
  for (int d = 0; d < v.ndim; ++d) count *= v.shape[d];
  for (int64_t i = 0; i < count; ++i) {
    f(at);
    for (int d = v.ndim - 1; d >= 0 && ++at[d] == v.shape[d]; --d) at[d] = 0;
  }
}

int64_t Offset(const glq_view& v, const int64_t* at) {
  int64_t offset = 0;
  for (int d = 0; d < v.ndim; ++d) offset += at[d] * v.strides[d];
  return offset;
}

void CheckCopies(int cases) {
  std::vector<uint64_t> random(kArena / 8);
  FillRandom(random, 8);
  std::vector<std::byte> source(kArena + 1), destination(kArena + 1), want(kArena), got(kArena);
  std::memcpy(source.data() + 1, random.data(), kArena);  // an odd address
  const DeviceBuffer device_source(kArena), device_destination(kArena);
  GLQ_ASSERT_CUDA(cudaMemcpy(device_source.data(), random.data(), kArena, cudaMemcpyHostToDevice));
  GLQ_ASSERT_CUDA(cudaDeviceSynchronize());
  for (int i = 0; i < cases; ++i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    glq_view shape{};
    shape.dtype = rng.Pick(
        {glq_dtype{GLQ_DTYPE_U8}, glq_dtype{GLQ_DTYPE_BF16}, glq_dtype{GLQ_DTYPE_F32}, glq_dtype{GLQ_DTYPE_I64}});
    shape.ndim = static_cast<int32_t>(rng.Uniform(0, 4));
    for (int d = 0; d < shape.ndim; ++d) shape.shape[d] = rng.Uniform(0, 20) == 0 ? 0 : rng.Uniform(1, 6);
    const int64_t size = SizeOf(shape.dtype);
    const Strided from = RandomStrides(rng, shape, true), to = RandomStrides(rng, shape, false);
    const bool from_device = rng.Next() & 1, to_device = !from_device || rng.Next() & 1;
    SCOPED_TRACE("case " + std::to_string(i) + (from_device ? ", device" : ", host") +
                 (to_device ? " to device" : " to host"));
    const int64_t from_at = from.low + rng.Uniform(0, 3), to_at = to.low + rng.Uniform(0, 3);
    std::fill(want.begin(), want.end(), std::byte{0xFF});
    std::fill(destination.begin(), destination.end(), std::byte{0xFF});
    ForEachElement(shape, [&](const int64_t* at) {
      std::memcpy(want.data() + (to_at + Offset(to.view, at)) * size,
                  source.data() + 1 + (from_at + Offset(from.view, at)) * size, static_cast<size_t>(size));
    });
    glq_view s = from.view, d = to.view;
    s.device = from_device ? kGpu : kCpu, d.device = to_device ? kGpu : kCpu;
    s.flags = GLQ_VIEW_READ_ONLY;
    s.data = (from_device ? device_source.data() : source.data() + 1) + from_at * size;
    d.data = (to_device ? device_destination.data() : destination.data() + 1) + to_at * size;
    GLQ_ASSERT_CUDA(cudaMemsetAsync(device_destination.data(), 0xFF, kArena, GpuStream()));
    GLQ_ASSERT_OK(glq_view_copy(GpuContext(), GpuStream(), &s, &d));
    GLQ_ASSERT_OK(glq_context_synchronize(GpuContext(), GpuStream()));
    if (to_device) {
      GLQ_ASSERT_CUDA(cudaMemcpy(got.data(), device_destination.data(), kArena, cudaMemcpyDeviceToHost));
    } else {
      std::memcpy(got.data(), destination.data() + 1, kArena);
    }
    ASSERT_EQ(std::memcmp(want.data(), got.data(), kArena), 0);
  }
}

TEST(GpuTensor, ViewCopySmoke) { CheckCopies(12); }
TEST(GpuTensor, ViewCopy) { CheckCopies(400); }

TEST(GpuTensor, LargeStridedCopy) {
  // A transposition of some millions of elements.
  constexpr int64_t kRows = 3000, kCols = 5000;
  Image a(GLQ_DTYPE_F32, kRows, kCols), b(GLQ_DTYPE_F32, kCols, kRows), want(GLQ_DTYPE_F32, kCols, kRows);
  a.FillNormal(1);
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kCols; ++c) want.Set(c, r, a.Get<float>(r, c));
  }
  const DeviceImage da(a), db(b);
  glq_view from = da.View(), to = db.View();
  std::swap(from.shape[0], from.shape[1]);
  std::swap(from.strides[0], from.strides[1]);
  GLQ_ASSERT_OK(glq_view_copy(GpuContext(), GpuStream(), &from, &to));
  db.Download(b, GpuStream());
  EXPECT_TRUE(SameRows(want, b, kCols));
}

// --- Tensors ---

TEST(GpuTensor, CreateCopyAndView) {
  Image a(GLQ_DTYPE_BF16, 30, 50, 57, 3), back(GLQ_DTYPE_BF16, 30, 50);
  a.FillNormal(1);
  const DeviceImage device(a);
  for (const glq_view& source : {a.View(), device.View()}) {
    glq_tensor* made = nullptr;
    GLQ_ASSERT_OK(glq_tensor_create_copy(GpuContext(), GpuStream(), &source, &made));
    const Tensor tensor(made);
    glq_view view, to = back.View();
    GLQ_ASSERT_OK(glq_tensor_view(made, &view));
    EXPECT_EQ(view.device.type, GLQ_DEVICE_CUDA);
    EXPECT_EQ(view.strides[0], 50);
    GLQ_ASSERT_OK(glq_view_copy(GpuContext(), GpuStream(), &view, &to));
    Settle();
    EXPECT_TRUE(SameRows(a, back, 30));
    glq_tensor_info info = GLQ_TENSOR_INFO_INIT;
    GLQ_ASSERT_OK(glq_tensor_get_info(made, &info));
    EXPECT_GE(info.device_bytes, 30 * 50 * 2);
    EXPECT_EQ(info.host_bytes, 0);
  }
}

TEST(GpuTensor, DlpackExportAndImport) {
  Image a(GLQ_DTYPE_F32, 7, 9), back(GLQ_DTYPE_F32, 7, 9);
  a.FillNormal(2);
  const glq_view source = a.View();
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_create_copy(GpuContext(), GpuStream(), &source, &made));
  Tensor tensor(made);
  glq_view view;
  GLQ_ASSERT_OK(glq_tensor_view(made, &view));
  DLManagedTensorVersioned* managed = nullptr;
  GLQ_ASSERT_OK(glq_tensor_export_dlpack(made, &managed));
  EXPECT_EQ(managed->major, 1u);
  EXPECT_EQ(managed->device_type, GLQ_DEVICE_CUDA);
  EXPECT_EQ(managed->device_id, 0);
  EXPECT_EQ(managed->dtype, static_cast<uint32_t>(GLQ_DTYPE_F32));
  ASSERT_EQ(managed->ndim, 2);
  EXPECT_EQ(managed->shape[0], 7);
  EXPECT_EQ(managed->shape[1], 9);
  ASSERT_NE(managed->strides, nullptr);
  EXPECT_EQ(managed->strides[0], 9);
  EXPECT_EQ(static_cast<std::byte*>(managed->data) + managed->byte_offset, view.data);
  tensor.reset();  // the export keeps the memory
  glq_tensor* imported = nullptr;
  GLQ_ASSERT_OK(glq_tensor_import_dlpack(GpuContext(), managed, &imported));
  const Tensor again(imported);
  glq_view to = back.View();
  GLQ_ASSERT_OK(glq_tensor_view(imported, &view));
  GLQ_ASSERT_OK(glq_view_copy(GpuContext(), GpuStream(), &view, &to));
  Settle();
  EXPECT_TRUE(SameRows(a, back, 7));
  glq_tensor* refused = nullptr;
  const Context other = MakeContext(kCpu);
  GLQ_ASSERT_OK(glq_tensor_export_dlpack(imported, &managed));
  EXPECT_EQ(glq_tensor_import_dlpack(other.get(), managed, &refused), GLQ_E_DEVICE_MISMATCH);
  managed->deleter(managed);
}

int released = 0;

TEST(GpuTensor, BorrowedMemoryIsReleasedAfterItsWork) {
  released = 0;
  const DeviceBuffer memory(1024);
  const int64_t n = 256;
  glq_view view;
  GLQ_ASSERT_OK(glq_view_init(&view, memory.data(), GLQ_DTYPE_F32, &kGpu, 1, &n));
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_borrow(
      GpuContext(), &view, [](void* counter) { ++*static_cast<int*>(counter); }, &released, &made));
  glq_tensor_destroy(made);
  EXPECT_EQ(released, 0);
  Settle();
  EXPECT_EQ(released, 1);
}

// A release function may take its time, and work may be queued meanwhile: what is destroyed then needs a wait of its
// own.
TEST(GpuTensor, WhatIsDestroyedDuringAReleaseWaitsSmoke) {
  released = 0;
  Settle();
  const DeviceBuffer memory(2048);
  const int64_t n = 256;
  glq_view view;
  GLQ_ASSERT_OK(glq_view_init(&view, memory.data(), GLQ_DTYPE_F32, &kGpu, 1, &n));
  glq_tensor *first = nullptr, *second = nullptr;
  static glq_tensor* owned;
  GLQ_ASSERT_OK(glq_tensor_create(GpuContext(), &view, &owned));
  GLQ_ASSERT_OK(glq_tensor_borrow(
      GpuContext(), &view, [](void*) { ++released; }, nullptr, &second));
  GLQ_ASSERT_OK(glq_tensor_borrow(
      GpuContext(), &view,
      [](void* other) {
        glq_tensor_destroy(static_cast<glq_tensor*>(other));
        glq_tensor_destroy(owned);
      },
      second, &first));
  const auto held = [] {
    glq_context_info info = GLQ_CONTEXT_INFO_INIT;
    GLQ_EXPECT_OK(glq_context_get_info(GpuContext(), &info));
    return info.device_bytes;
  };
  const int64_t before = held();
  glq_tensor_destroy(first);
  Settle();
  EXPECT_EQ(released, 0);
  EXPECT_EQ(held(), before);
  Settle();
  EXPECT_EQ(released, 1);
  EXPECT_EQ(held(), before - n * 4);
}

// --- The dense product ---

struct Gemv {
  int64_t n, k;
  int64_t w_stride = 0, x_stride = 0, y_stride = 0, w_offset = 0, x_offset = 0, y_offset = 0;
};

void CheckGemv(const Gemv& g, const std::vector<int64_t>& tokens, glq_dtype type) {
  SCOPED_TRACE(std::to_string(g.n) + " x " + std::to_string(g.k) + ", stride " + std::to_string(g.w_stride) +
               ", offset " + std::to_string(g.w_offset) + ", y " + Name(type));
  const int64_t rows = tokens.back();
  Image w(GLQ_DTYPE_BF16, g.n, g.k, g.w_stride, g.w_offset), x(GLQ_DTYPE_BF16, rows, g.k, g.x_stride, g.x_offset);
  w.FillNormal(1);
  x.FillNormal(2);
  const DeviceImage dw(w), dx(x);
  const glq_view wv = dw.View();
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_borrow(GpuContext(), &wv, nullptr, nullptr, &made));
  const Tensor weight(made);
  // The reference in double, and the sum of magnitudes its error is measured by.
  std::vector<double> sums(static_cast<size_t>(rows * g.n)), sizes(sums.size());
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t i = 0; i < g.n; ++i) {
      double sum = 0, size = 0;
      for (int64_t c = 0; c < g.k; ++c) {
        const double p =
            static_cast<double>(FromBf16(w.Get<uint16_t>(i, c))) * static_cast<double>(FromBf16(x.Get<uint16_t>(t, c)));
        sum += p, size += std::fabs(p);
      }
      sums[static_cast<size_t>(t * g.n + i)] = sum, sizes[static_cast<size_t>(t * g.n + i)] = size;
    }
  }
  const auto run = [&](const glq_view& from, Image& got) {
    const DeviceImage dy(got);
    size_t bytes = 0;
    GLQ_ASSERT_OK(glq_gemv_bf16_workspace(GpuContext(), made, from.shape[0], nullptr, &bytes));
    Workspace workspace(bytes);
    const glq_workspace* poisoned = workspace.Poisoned(GpuStream());
    const glq_view to = dy.View(from.shape[0]);
    GLQ_ASSERT_OK(glq_gemv_bf16(GpuContext(), GpuStream(), made, &from, &to, bytes ? poisoned : nullptr, nullptr));
    dy.Download(got, GpuStream());
    EXPECT_TRUE(workspace.Intact(GpuStream()));
  };
  Image all(type, rows, g.n, g.y_stride, g.y_offset);
  run(dx.View(), all);
  const double unit = type == GLQ_DTYPE_F32   ? 0
                      : type == GLQ_DTYPE_F16 ? 0x1p-11
                                              : 0x1p-8,
               accumulate = (16 + static_cast<double>(g.k) / 8) * 0x1p-23;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t i = 0; i < g.n; ++i) {
      const auto at = static_cast<size_t>(t * g.n + i);
      const double v = type == GLQ_DTYPE_F32    ? static_cast<double>(all.Get<float>(t, i))
                       : type == GLQ_DTYPE_BF16 ? static_cast<double>(FromBf16(all.Get<uint16_t>(t, i)))
                                                : sums[at];  // FP16 is compared with FP32 below
      ASSERT_LE(std::fabs(v - sums[at]), accumulate * sizes[at] + unit * std::fabs(sums[at]))
          << "row " << t << ", column " << i;
    }
  }
  if (type == GLQ_DTYPE_F16) {
    Image exact(GLQ_DTYPE_F32, rows, g.n), rounded(type, rows, g.n);
    run(dx.View(), exact);
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < g.n; ++i) rounded.Set(t, i, exact.Get<float>(t, i));
    }
    EXPECT_TRUE(SameRows(rounded, all, rows));
  }
  // Batches and repetitions have the same bytes.
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (const int64_t n : tokens) {
      Image got(type, rows, g.n, g.y_stride, g.y_offset);
      run(dx.View(n), got);
      EXPECT_TRUE(SameRows(all, got, n)) << n << " tokens";
    }
  }
  for (int64_t t = 0; t < rows; t += 5) {
    Image one(type, 1, g.n), want(type, 1, g.n);
    glq_view from = dx.View(1);
    from.data = static_cast<std::byte*>(from.data) + t * x.stride() * 2;
    run(from, one);
    std::memcpy(want.data(), all.Row(t), static_cast<size_t>(g.n * SizeOf(type)));
    EXPECT_TRUE(SameRows(want, one, 1)) << "row " << t << " alone";
  }
}

const std::vector<int64_t> kUpTo16 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

TEST(GpuGemv, RaggedSmoke) {
  CheckGemv({.n = 33, .k = 100, .w_stride = 101, .w_offset = 1}, {1, 5, 16}, GLQ_DTYPE_F32);
}

TEST(GpuGemv, Shapes) {
  int i = 0;
  for (const int64_t n : {1, 3, 16, 17, 100, 257}) {
    for (const int64_t k : {1, 7, 8, 31, 64, 100, 1000, 4099})
      CheckGemv({.n = n, .k = k}, kUpTo16, kFloatTypes[i++ % 3]);
  }
  CheckGemv({.n = 1000, .k = 2048}, {1, 8, 16}, GLQ_DTYPE_BF16);
  CheckGemv({.n = 5000, .k = 384}, {1, 4, 16}, GLQ_DTYPE_F32);
  CheckGemv({.n = 8, .k = 65536}, {1, 2, 16}, GLQ_DTYPE_F32);
}

// Rows of 16-byte pieces and 512 columns or more: where there is a kernel for large weights, it takes these.
TEST(GpuGemv, LargeShapes) {
  int i = 0;
  for (const int64_t n : {1, 7, 8, 9, 17, 300}) {
    for (const int64_t k : {512, 520, 1000, 1024, 4104, 6144})
      CheckGemv({.n = n, .k = k}, kUpTo16, kFloatTypes[i++ % 3]);
  }
  CheckGemv({.n = 2113, .k = 1544}, {1, 8, 9, 16}, GLQ_DTYPE_BF16);
  CheckGemv({.n = 4100, .k = 600}, {1, 5, 13}, GLQ_DTYPE_F32);
  CheckGemv({.n = 14339, .k = 520}, {1, 9}, GLQ_DTYPE_F16);
  CheckGemv({.n = 31000, .k = 528}, {2, 9}, GLQ_DTYPE_F32);
}

// Aligned and unaligned rows, in one batch or alone, give the same bytes.
TEST(GpuGemv, LargeLayouts) {
  for (const glq_dtype type : kFloatTypes) {
    CheckGemv({.n = 70,
               .k = 1032,
               .w_stride = 1048,
               .x_stride = 1040,
               .y_stride = 75,
               .w_offset = 8,
               .x_offset = 16,
               .y_offset = 3},
              {1, 3, 9, 16}, type);
    CheckGemv({.n = 70, .k = 1032, .x_stride = 1035}, {1, 3, 9, 16}, type);
    CheckGemv({.n = 70, .k = 1032, .x_offset = 1}, {1, 3, 9, 16}, type);
    CheckGemv({.n = 70, .k = 1027, .w_stride = 1032, .x_stride = 1032}, {1, 3, 9, 16}, type);
  }
}

// A call reads what the call before it in the stream wrote, and overwrites what that one read.
TEST(GpuGemv, Chain) {
  for (const int64_t size : {200, 1024, 4096}) {
    for (const int64_t tokens : {1, 16}) {
      SCOPED_TRACE(std::to_string(size) + ", " + std::to_string(tokens) + " tokens");
      Image w(GLQ_DTYPE_BF16, size, size), start(GLQ_DTYPE_BF16, tokens, size);
      w.FillNormal(1, 1.0f / std::sqrt(static_cast<float>(size)));
      start.FillNormal(2);
      const DeviceImage dw(w);
      const glq_view wv = dw.View();
      glq_tensor* made = nullptr;
      GLQ_ASSERT_OK(glq_tensor_borrow(GpuContext(), &wv, nullptr, nullptr, &made));
      const Tensor weight(made);
      Image results[2] = {Image(GLQ_DTYPE_BF16, tokens, size), Image(GLQ_DTYPE_BF16, tokens, size)};
      for (const bool waits : {true, false}) {
        DeviceImage even(start), odd(start);
        const glq_view a = even.View(), b = odd.View();
        for (int i = 0; i < 60; ++i) {
          GLQ_ASSERT_OK(
              glq_gemv_bf16(GpuContext(), GpuStream(), made, i % 2 ? &b : &a, i % 2 ? &a : &b, nullptr, nullptr));
          if (waits) {
            GLQ_ASSERT_CUDA(cudaStreamSynchronize(GpuStream()));
          }
        }
        even.Download(results[waits], GpuStream());
      }
      EXPECT_NE(results[0].Get<uint16_t>(0, 0), 0);
      EXPECT_TRUE(SameRows(results[1], results[0], tokens));
    }
  }
}

TEST(GpuGemv, Layouts) {
  for (const glq_dtype type : kFloatTypes) {
    for (const int64_t offset : {0, 1, 2, 3, 5, 8}) {
      CheckGemv({.n = 50,
                 .k = 300,
                 .w_stride = 300 + offset,
                 .x_stride = 307,
                 .y_stride = 51,
                 .w_offset = offset,
                 .x_offset = 1,
                 .y_offset = 3},
                {1, 3, 16}, type);
      CheckGemv({.n = 50,
                 .k = 304,
                 .w_stride = 320,
                 .x_stride = 304,
                 .y_stride = 64,
                 .w_offset = 8,
                 .x_offset = offset,
                 .y_offset = offset},
                {1, 9, 16}, type);
    }
  }
}

TEST(GpuGemv, NothingToAdd) {
  const int64_t shape[2] = {20, 0};
  glq_view spec, x;
  GLQ_ASSERT_OK(glq_view_init(&spec, nullptr, GLQ_DTYPE_BF16, &kGpu, 2, shape));
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_create(GpuContext(), &spec, &made));
  const Tensor weight(made);
  const int64_t x_shape[2] = {3, 0};
  GLQ_ASSERT_OK(glq_view_init(&x, nullptr, GLQ_DTYPE_BF16, &kGpu, 2, x_shape));
  Image want(GLQ_DTYPE_F32, 3, 20), got(GLQ_DTYPE_F32, 3, 20);
  for (int64_t i = 0; i < 60; ++i) want.Set(i / 20, i % 20, 0);
  const DeviceImage dy(got);
  const glq_view y = dy.View();
  GLQ_ASSERT_OK(glq_gemv_bf16(GpuContext(), GpuStream(), made, &x, &y, nullptr, nullptr));
  dy.Download(got, GpuStream());
  EXPECT_TRUE(SameRows(want, got, 3));
}

// Rows with NaN and infinity do not reach their neighbours.
TEST(GpuGemv, SpecialRows) {
  Image w(GLQ_DTYPE_BF16, 40, 200), x(GLQ_DTYPE_BF16, 16, 200), clean(GLQ_DTYPE_F32, 16, 40),
      got(GLQ_DTYPE_F32, 16, 40);
  w.FillNormal(1);
  x.FillNormal(2);
  const DeviceImage dw(w);
  const glq_view wv = dw.View();
  glq_tensor* made = nullptr;
  GLQ_ASSERT_OK(glq_tensor_borrow(GpuContext(), &wv, nullptr, nullptr, &made));
  const Tensor weight(made);
  for (Image* y : {&clean, &got}) {
    if (y == &got) {
      x.Set(3, 7, NAN), x.Set(11, 199, INFINITY);
    }
    const DeviceImage dx(x), dy(*y);
    const glq_view from = dx.View(), to = dy.View();
    GLQ_ASSERT_OK(glq_gemv_bf16(GpuContext(), GpuStream(), made, &from, &to, nullptr, nullptr));
    dy.Download(*y, GpuStream());
  }
  for (int64_t t = 0; t < 16; ++t) {
    for (int64_t i = 0; i < 40; ++i) {
      if (t == 3) {
        EXPECT_EQ(got.Get<uint32_t>(t, i), 0x7FC00000u);
      } else if (t == 11) {
        EXPECT_TRUE(std::isinf(got.Get<float>(t, i)) || std::isnan(got.Get<float>(t, i)));
      } else {
        EXPECT_EQ(got.Get<uint32_t>(t, i), clean.Get<uint32_t>(t, i));
      }
    }
  }
}

// --- What is current ---

// In a thread that has made no CUDA call, and with a context of the host's own: the work is done in the device's
// primary context, and what was current stays so.
TEST(GpuCurrentContext, StaysSmoke) {
  std::thread([] {
    EXPECT_EQ(CurrentContext(), nullptr);
    UseTheLibraryAlone(kGpu, nullptr, [] { EXPECT_EQ(CurrentContext(), nullptr); });
    void* own = nullptr;
    ASSERT_EQ(DriverFunction<int(void**, unsigned, int)>("cuCtxCreate_v2")(&own, 0, 0), 0);
    UseTheLibraryAlone(kGpu, nullptr, [own] { EXPECT_EQ(CurrentContext(), own); });
    EXPECT_EQ(DriverFunction<int(void*)>("cuCtxDestroy_v2")(own), 0);
    EXPECT_EQ(CurrentContext(), nullptr);
  }).join();
}

// Also behind an allocator that leaves another context current, as one that calls cudaSetDevice would.
TEST(GpuCurrentContext, StaysBehindAnAllocatorSmoke) {
  static void* other = nullptr;  // what it leaves
  static const auto set = DriverFunction<int(void*)>("cuCtxSetCurrent");
  const auto alloc = [](void*, size_t bytes, size_t alignment, int32_t kind) {
    if (kind == GLQ_MEMORY_HOST) return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    void* p = nullptr;
    EXPECT_EQ(cudaMalloc(&p, bytes), cudaSuccess);
    EXPECT_EQ(other ? set(other) : 0, 0);
    return p;
  };
  const auto free = [](void*, void* p, size_t, int32_t kind) {
    if (kind == GLQ_MEMORY_HOST) return std::free(p);
    EXPECT_EQ(cudaFree(p), cudaSuccess);
    EXPECT_EQ(other ? set(other) : 0, 0);
  };
  const glq_allocator allocator{nullptr, alloc, free};
  const Context context = MakeContext(kGpu, 0, &allocator);
  Image image(GLQ_DTYPE_F16, 3, 5);
  const glq_view spec = image.ViewAt(image.data(), kGpu, 3);  // the memory is not looked at
  std::thread([&] {
    const auto create = DriverFunction<int(void**, unsigned, int)>("cuCtxCreate_v2");
    void *own = nullptr, *left = nullptr, *primary = nullptr;
    ASSERT_EQ(create(&left, 0, 0), 0);
    ASSERT_EQ(create(&own, 0, 0), 0);
    // Never released: the library keeps it, too.
    ASSERT_EQ(DriverFunction<int(void**, int)>("cuDevicePrimaryCtxRetain")(&primary, 0), 0);
    for (void* current : {static_cast<void*>(nullptr), own, primary}) {
      ASSERT_EQ(set(nullptr), 0);
      ASSERT_EQ(set(nullptr), 0);
      ASSERT_EQ(set(current), 0);
      other = left;
      glq_tensor* made = nullptr;
      GLQ_EXPECT_OK(glq_tensor_create(context.get(), &spec, &made));
      EXPECT_EQ(CurrentContext(), current);
      glq_tensor_destroy(made);
      GLQ_EXPECT_OK(glq_context_synchronize(context.get(), nullptr));
      EXPECT_EQ(CurrentContext(), current);
      other = nullptr;
    }
    EXPECT_EQ(DriverFunction<int(void*)>("cuCtxDestroy_v2")(own), 0);
    EXPECT_EQ(DriverFunction<int(void*)>("cuCtxDestroy_v2")(left), 0);
  }).join();
}

}  // namespace
}  // namespace glq::gpu
