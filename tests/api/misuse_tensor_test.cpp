// Every way to misuse the functions of tensor.h that can be told apart.
#include <cmath>

#include "api/dlpack_structs.h"
#include "api/fixture.h"

namespace glq::test {
namespace {

int not_a_handle[64];

class MisuseTensor : public testing::Test {
 protected:
  ContextPtr context_ = MakeContext();
  Array array_{GLQ_DTYPE_F32, {4, 6}};
  glq_view view_ = array_.view();
  glq_context* bogus_context_ = reinterpret_cast<glq_context*>(&not_a_handle[0]);
  glq_tensor* bogus_ = reinterpret_cast<glq_tensor*>(&not_a_handle[0]);
};

// What is wrong with a view by itself.
struct BadView {
  const char* what;
  void (*change)(glq_view&);
  glq_status status;
  std::vector<std::string> parts;
};

const BadView kBadViews[] = {
    {"rank below 0", [](glq_view& v) { v.ndim = -1; }, GLQ_E_SHAPE, {".ndim = -1", "0 to 4"}},
    {"rank above 4", [](glq_view& v) { v.ndim = 5; }, GLQ_E_SHAPE, {".ndim = 5", "0 to 4"}},
    {"no dtype", [](glq_view& v) { v.dtype = 0; }, GLQ_E_DTYPE, {".dtype = 0x00000000"}},
    {"an unknown dtype", [](glq_view& v) { v.dtype = 0x00022002; }, GLQ_E_DTYPE, {".dtype = 0x00022002", "F32"}},
    {"unknown flags", [](glq_view& v) { v.flags = 6; }, GLQ_E_INVALID_ARGUMENT, {".flags = 0x6", "0x1"}},
    {"a reserved field", [](glq_view& v) { v.reserved = 3; }, GLQ_E_INVALID_ARGUMENT, {".reserved = 3", "expected 0"}},
    {"a device type",
     [](glq_view& v) { v.device.type = 0; },
     GLQ_E_INVALID_ARGUMENT,
     {".device.type = 0", "expected 1"}},
    {"a device index",
     [](glq_view& v) { v.device.index = 2; },
     GLQ_E_INVALID_ARGUMENT,
     {".device.index = 2", "expected 0"}},
    {"a negative extent", [](glq_view& v) { v.shape[1] = -6; }, GLQ_E_SHAPE, {".shape[1] = -6", "at least 0"}},
    {"an extent too large", [](glq_view& v) { v.shape[0] = int64_t{1} << 61; }, GLQ_E_SHAPE, {".shape[", "2^63"}},
    {"no memory", [](glq_view& v) { v.data = nullptr; }, GLQ_E_INVALID_ARGUMENT, {".data = NULL", "96 bytes"}},
    {"a stride too large",
     [](glq_view& v) { v.strides[0] = int64_t{1} << 61; },
     GLQ_E_LAYOUT,
     {".strides[0] = 2305843009213693952"}},
    {"the smallest stride",
     [](glq_view& v) { v.strides[0] = INT64_MIN; },
     GLQ_E_LAYOUT,
     {".strides[0] = -9223372036854775808"}},
    {"a stride below the address space",
     [](glq_view& v) { v.strides[1] = -(int64_t{1} << 58); },
     GLQ_E_LAYOUT,
     {".strides[1] = -288230376151711744"}},
};

TEST_F(MisuseTensor, ViewCheck) {
  EXPECT_FAILS(glq_view_check, (nullptr), GLQ_E_INVALID_ARGUMENT, "view = NULL");
  EXPECT_EQ(glq_view_check(&view_), GLQ_OK);
  for (const BadView& bad : kBadViews) {
    SCOPED_TRACE(bad.what);
    glq_view v = view_;
    bad.change(v);
    ExpectFailure("glq_view_check", glq_view_check(&v), bad.status, bad.parts, __LINE__);
  }
  glq_view v = view_;
  v.data = static_cast<char*>(v.data) + 2;
  EXPECT_FAILS(glq_view_check, (&v), GLQ_E_ALIGNMENT, "view.data = 0x", "multiple of 4");
  // With an extent of 0 nothing else of the memory matters.
  v.shape[0] = 0, v.strides[0] = INT64_MIN, v.shape[1] = INT64_MAX;
  EXPECT_EQ(glq_view_check(&v), GLQ_OK) << LastMessage();
  v.data = nullptr;
  EXPECT_EQ(glq_view_check(&v), GLQ_OK) << LastMessage();
  // The stride of an extent of 1 is ignored.
  v = view_;
  v.shape[0] = 1, v.strides[0] = INT64_MIN;
  EXPECT_EQ(glq_view_check(&v), GLQ_OK) << LastMessage();
}

TEST_F(MisuseTensor, ViewInit) {
  glq_view v;
  std::memset(&v, 0x5A, sizeof(v));
  const glq_view before = v;
  const int64_t shape[] = {4, 6, 1, 1, 1}, negative[] = {4, -6}, huge[] = {int64_t{1} << 40, int64_t{1} << 40};
  const glq_device other{12, 0};
  EXPECT_FAILS(glq_view_init, (nullptr, array_.data(), GLQ_DTYPE_F32, nullptr, 2, shape), GLQ_E_INVALID_ARGUMENT,
               "view = NULL");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, nullptr, 5, shape), GLQ_E_SHAPE, "ndim = 5", "0 to 4");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, nullptr, -1, shape), GLQ_E_SHAPE, "ndim = -1",
               "0 to 4");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, nullptr, 2, nullptr), GLQ_E_INVALID_ARGUMENT,
               "shape = NULL");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), 99, nullptr, 2, shape), GLQ_E_DTYPE, ".dtype = 0x00000063");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, &other, 2, shape), GLQ_E_INVALID_ARGUMENT,
               ".device.type = 12");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, nullptr, 2, negative), GLQ_E_SHAPE, ".shape[1] = -6");
  EXPECT_FAILS(glq_view_init, (&v, array_.data(), GLQ_DTYPE_F32, nullptr, 2, huge), GLQ_E_SHAPE,
               ".shape[1] = 1099511627776");
  EXPECT_FAILS(glq_view_init, (&v, nullptr, GLQ_DTYPE_F32, nullptr, 2, shape), GLQ_E_INVALID_ARGUMENT, "data = NULL",
               "96 bytes");
  EXPECT_EQ(std::memcmp(&v, &before, sizeof(v)), 0);
  EXPECT_EQ(glq_view_init(&v, array_.data(), GLQ_DTYPE_F32, nullptr, 0, nullptr), GLQ_OK);
}

TEST_F(MisuseTensor, ViewCopy) {
  Array to(GLQ_DTYPE_F32, {4, 6});
  const glq_view tv = to.view();
  const auto copy = [&](const glq_view* s, const glq_view* d) { return glq_view_copy(context_.get(), nullptr, s, d); };
  EXPECT_FAILS(glq_view_copy, (nullptr, nullptr, &view_, &tv), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_view_copy, (bogus_context_, nullptr, &view_, &tv), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_view_copy, (context_.get(), &not_a_handle, &view_, &tv), GLQ_E_INVALID_ARGUMENT, "stream = 0x",
               "NULL on a CPU context");
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, nullptr, &tv), GLQ_E_INVALID_ARGUMENT, "source = NULL");
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, nullptr), GLQ_E_INVALID_ARGUMENT, "destination = NULL");
  for (const BadView& bad : kBadViews) {
    SCOPED_TRACE(bad.what);
    glq_view s = view_, d = tv;
    bad.change(s), bad.change(d);
    auto named = bad.parts;
    named[0] = "source" + named[0];
    ExpectFailure("glq_view_copy", copy(&s, &tv), bad.status, named, __LINE__);
    named[0] = "destination" + bad.parts[0];
    ExpectFailure("glq_view_copy", copy(&view_, &d), bad.status, named, __LINE__);
  }
  glq_view v = tv;
  v.dtype = GLQ_DTYPE_I32;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_DTYPE, "destination.dtype = I32",
               "expected F32");
  v = tv, v.shape[0] = 3;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_SHAPE, "destination.shape[0] = 3",
               "source = 4");
  v = tv, v.ndim = 1;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_SHAPE, "destination.ndim = 1", "expected 2");
  v = tv, v.strides[0] = 5;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_LAYOUT, "destination.strides[0] = 5",
               "more than 5");
  v = tv, v.strides[1] = 0;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_LAYOUT, "destination.strides[1] = 0");
  v = tv, v.flags = GLQ_VIEW_READ_ONLY;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_INVALID_ARGUMENT, "destination.flags = 1",
               "READ_ONLY");
  v = view_, v.data = array_.as<float>() + 1, v.shape[0] = 3;
  glq_view s = view_;
  s.shape[0] = 3;
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &s, &v), GLQ_E_ALIASING, "destination = [0x",
               "overlaps source = [0x");
  v = tv, v.device = {GLQ_DEVICE_CUDA, 0};
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &view_, &v), GLQ_E_DEVICE_MISMATCH,
               "destination.device = cuda:0", "expected cpu");
  v = view_, v.device = {GLQ_DEVICE_CUDA, 3};
  EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &v, &tv), GLQ_E_DEVICE_MISMATCH, "source.device = cuda:3",
               "expected cpu");
  EXPECT_TRUE(to.Untouched());
}

TEST_F(MisuseTensor, ExtentsBesideAnEmptyOneAndStridesOfSingleRows) {
  constexpr int64_t kHuge = int64_t{1} << 62;
  const int64_t shapes[][3] = {{0, kHuge, kHuge}, {kHuge, kHuge, 0}, {kHuge, 0, kHuge}, {2, 0, INT64_MAX}};
  for (const auto& shape : shapes) {
    glq_view v{};
    v.dtype = GLQ_DTYPE_F32, v.ndim = 3, v.device = {GLQ_DEVICE_CPU, 0};
    std::copy_n(shape, 3, v.shape);
    EXPECT_EQ(glq_view_copy(context_.get(), nullptr, &v, &v), GLQ_OK) << LastMessage();
    glq_tensor* out = bogus_;
    EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_SHAPE, "shape[", "strides below 2^63");
    EXPECT_EQ(out, nullptr);
    EXPECT_FAILS(glq_tensor_create_copy, (context_.get(), nullptr, &v, &out), GLQ_E_SHAPE, "strides below 2^63");
    // As many as strides can tell.
    v.shape[0] = v.shape[1] = 0, v.shape[2] = kHuge;
    ASSERT_EQ(glq_tensor_create(context_.get(), &v, &out), GLQ_OK) << LastMessage();
    glq_view made;
    ASSERT_EQ(glq_tensor_view(out, &made), GLQ_OK);
    EXPECT_TRUE(made.strides[0] == kHuge && made.strides[1] == kHuge && made.strides[2] == 1);
    glq_tensor_destroy(out);
  }

  // Single rows whose stride is anything overlap where their elements do.
  float row[12] = {1, 2, 3, 4, 5, 6};
  const int64_t shape[] = {1, 6};
  glq_view from, to;
  ASSERT_EQ(glq_view_init(&from, row, GLQ_DTYPE_F32, nullptr, 2, shape), GLQ_OK);
  ASSERT_EQ(glq_view_init(&to, row + 6, GLQ_DTYPE_F32, nullptr, 2, shape), GLQ_OK);
  for (const int64_t stride : {int64_t{INT64_MAX}, int64_t{INT64_MIN}, int64_t{12}, int64_t{0}}) {
    from.strides[0] = to.strides[0] = stride;
    row[11] = 0;
    EXPECT_EQ(glq_view_copy(context_.get(), nullptr, &from, &to), GLQ_OK) << LastMessage();
    EXPECT_EQ(row[11], 6);
    glq_view near = to;
    near.data = row + 5;
    EXPECT_FAILS(glq_view_copy, (context_.get(), nullptr, &from, &near), GLQ_E_ALIASING, "destination");
  }
}

TEST_F(MisuseTensor, Create) {
  glq_tensor* out = bogus_;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &view_, nullptr), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_tensor_create, (nullptr, &view_, &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_EQ(out, nullptr);
  out = bogus_;
  EXPECT_FAILS(glq_tensor_create, (bogus_context_, &view_, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_tensor_create, (context_.get(), nullptr, &out), GLQ_E_INVALID_ARGUMENT, "spec = NULL");
  EXPECT_EQ(out, nullptr);
  glq_view v = view_;
  v.ndim = 6;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_SHAPE, "spec.ndim = 6", "0 to 4");
  v = view_, v.dtype = 1;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_DTYPE, "spec.dtype = 0x00000001");
  v = view_, v.shape[0] = -2;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_SHAPE, "spec.shape[0] = -2");
  v = view_, v.shape[0] = v.shape[1] = int64_t{1} << 32;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_SHAPE, "spec.shape[1] = 4294967296");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  v = view_, v.shape[0] = int64_t{1} << 50;
  EXPECT_FAILS(glq_tensor_create, (context_.get(), &v, &out), GLQ_E_OUT_OF_HOST_MEMORY,
               "cannot allocate 27021597764222976 bytes of host memory");
#endif
  // Only type, rank and extents are looked at.
  v = view_;
  v.data = nullptr, v.flags = 0xFFFF, v.device = {77, 77}, v.strides[0] = INT64_MIN, v.reserved = 5;
  ASSERT_EQ(glq_tensor_create(context_.get(), &v, &out), GLQ_OK) << LastMessage();
  glq_tensor_destroy(out);
}

TEST_F(MisuseTensor, CreateCopy) {
  glq_tensor* out = bogus_;
  EXPECT_FAILS(glq_tensor_create_copy, (context_.get(), nullptr, &view_, nullptr), GLQ_E_INVALID_ARGUMENT,
               "tensor = NULL");
  EXPECT_FAILS(glq_tensor_create_copy, (bogus_context_, nullptr, &view_, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_EQ(out, nullptr);
  EXPECT_FAILS(glq_tensor_create_copy, (nullptr, nullptr, &view_, &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_tensor_create_copy, (context_.get(), nullptr, nullptr, &out), GLQ_E_INVALID_ARGUMENT,
               "source = NULL");
  EXPECT_FAILS(glq_tensor_create_copy, (context_.get(), &not_a_handle, &view_, &out), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x");
  for (const BadView& bad : kBadViews) {
    SCOPED_TRACE(bad.what);
    glq_view v = view_;
    bad.change(v);
    out = bogus_;
    ExpectFailure("glq_tensor_create_copy", glq_tensor_create_copy(context_.get(), nullptr, &v, &out), bad.status,
                  bad.parts, __LINE__);
    EXPECT_EQ(out, nullptr);
  }
  glq_view v = view_;
  v.device = {GLQ_DEVICE_CUDA, 0};
  EXPECT_FAILS(glq_tensor_create_copy, (context_.get(), nullptr, &v, &out), GLQ_E_DEVICE_MISMATCH,
               "source.device = cuda:0", "expected cpu");
}

TEST_F(MisuseTensor, Borrow) {
  glq_tensor* out = bogus_;
  int released = 0;
  const auto release = [](void* user) { ++*static_cast<int*>(user); };
  EXPECT_FAILS(glq_tensor_borrow, (context_.get(), &view_, release, &released, nullptr), GLQ_E_INVALID_ARGUMENT,
               "tensor = NULL");
  EXPECT_FAILS(glq_tensor_borrow, (bogus_context_, &view_, release, &released, &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_EQ(out, nullptr);
  EXPECT_FAILS(glq_tensor_borrow, (nullptr, &view_, release, &released, &out), GLQ_E_INVALID_ARGUMENT,
               "context = NULL");
  EXPECT_FAILS(glq_tensor_borrow, (context_.get(), nullptr, release, &released, &out), GLQ_E_INVALID_ARGUMENT,
               "view = NULL");
  for (const BadView& bad : kBadViews) {
    SCOPED_TRACE(bad.what);
    glq_view v = view_;
    bad.change(v);
    ExpectFailure("glq_tensor_borrow", glq_tensor_borrow(context_.get(), &v, release, &released, &out), bad.status,
                  bad.parts, __LINE__);
  }
  glq_view v = view_;
  v.device = {GLQ_DEVICE_CUDA, 1};
  EXPECT_FAILS(glq_tensor_borrow, (context_.get(), &v, release, &released, &out), GLQ_E_DEVICE_MISMATCH,
               "view.device = cuda:1", "expected cpu");
  v = view_, v.data = static_cast<char*>(v.data) + 1;
  EXPECT_FAILS(glq_tensor_borrow, (context_.get(), &v, release, &released, &out), GLQ_E_ALIGNMENT, "view.data",
               "multiple of 4");
  EXPECT_EQ(released, 0);
}

TEST_F(MisuseTensor, ImportDlpack) {
  DlpackArray managed(array_);
  glq_tensor* out = bogus_;
  EXPECT_FAILS(glq_tensor_import_dlpack, (context_.get(), managed.get(), nullptr), GLQ_E_INVALID_ARGUMENT,
               "tensor = NULL");
  EXPECT_FAILS(glq_tensor_import_dlpack, (nullptr, managed.get(), &out), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_EQ(out, nullptr);
  EXPECT_FAILS(glq_tensor_import_dlpack, (bogus_context_, managed.get(), &out), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_tensor_import_dlpack, (context_.get(), nullptr, &out), GLQ_E_INVALID_ARGUMENT, "managed = NULL");
  const auto refused = [&](void (*change)(DlpackArray&), glq_status status, std::vector<std::string> parts) {
    DlpackArray m(array_);
    change(m);
    out = bogus_;
    ExpectFailure("glq_tensor_import_dlpack", glq_tensor_import_dlpack(context_.get(), m.get(), &out), status, parts,
                  0);
    EXPECT_EQ(out, nullptr);
    EXPECT_EQ(m.deleted, 0);
  };
  refused([](auto& m) { m.managed.version_major = 2; }, GLQ_E_UNSUPPORTED, {"version.major = 2", "expected 1"});
  refused([](auto& m) { m.managed.version_major = 0; }, GLQ_E_UNSUPPORTED, {"version.major = 0", "expected 1"});
  refused([](auto& m) { m.managed.ndim = 5; }, GLQ_E_SHAPE, {"ndim = 5", "0 to 4"});
  refused([](auto& m) { m.managed.ndim = -1; }, GLQ_E_SHAPE, {"ndim = -1", "0 to 4"});
  refused([](auto& m) { m.managed.shape = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"shape = NULL"});
  refused([](auto& m) { m.managed.bits = 128; }, GLQ_E_DTYPE, {".dtype = 0x"});
  refused([](auto& m) { m.managed.lanes = 4; }, GLQ_E_DTYPE, {".dtype = 0x0004"});
  refused([](auto& m) { m.managed.device_type = 2; }, GLQ_E_DEVICE_MISMATCH,
          {"device = {type 2, id 0}", "expected {type 1, id 0}"});
  refused([](auto& m) { m.managed.device_type = 8; }, GLQ_E_DEVICE_MISMATCH, {"device = {type 8"});
  refused([](auto& m) { m.shape[1] = -1; }, GLQ_E_SHAPE, {"shape[1] = -1"});
  refused([](auto& m) { m.shape[0] = m.shape[1] = int64_t{1} << 40, m.managed.strides = nullptr; }, GLQ_E_SHAPE,
          {"shape[1] = 1099511627776"});
  refused([](auto& m) { m.strides[0] = int64_t{1} << 62; }, GLQ_E_LAYOUT, {"strides[0] = 4611686018427387904"});
  refused([](auto& m) { m.managed.byte_offset = 2; }, GLQ_E_ALIGNMENT, {"data = 0x", "multiple of 4"});
  refused([](auto& m) { m.managed.data = nullptr; }, GLQ_E_INVALID_ARGUMENT, {"data = NULL", "96 bytes"});
}

TEST_F(MisuseTensor, TheRest) {
  Golden golden;
  GoldenLayer layer(golden, "bd_48x80/b3");
  const TensorPtr e8p = MakeWeight(context_.get(), layer.Desc()), dense = MakeDense(context_.get(), array_);
  TensorPtr gone = MakeDense(context_.get(), array_);
  glq_tensor* dead = gone.get();
  gone.reset();
  auto* wrong = reinterpret_cast<glq_tensor*>(context_.get());
  glq_tensor_info info = GLQ_TENSOR_INFO_INIT;
  glq_view view;
  std::memset(&view, 0x11, sizeof(view));
  const glq_view before = view;
  auto* marker = reinterpret_cast<DLManagedTensorVersioned*>(&not_a_handle[0]);
  DLManagedTensorVersioned* managed = marker;

  EXPECT_FAILS(glq_tensor_export_dlpack, (dense.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "managed = NULL");
  for (glq_tensor* handle : {dead, wrong, bogus_}) {
    managed = marker;
    EXPECT_FAILS(glq_tensor_export_dlpack, (handle, &managed), GLQ_E_BAD_HANDLE, "tensor = 0x", "glq_tensor");
    EXPECT_EQ(managed, nullptr);
    EXPECT_FAILS(glq_tensor_get_info, (handle, &info), GLQ_E_BAD_HANDLE, "tensor = 0x", "glq_tensor");
    EXPECT_FAILS(glq_tensor_view, (handle, &view), GLQ_E_BAD_HANDLE, "tensor = 0x", "glq_tensor");
    EXPECT_FAILS(glq_tensor_retain, (handle), GLQ_E_BAD_HANDLE, "tensor = 0x", "glq_tensor");
    glq_tensor_destroy(handle);
    EXPECT_EQ(LastFunction(), "glq_tensor_destroy");
  }
  EXPECT_FAILS(glq_tensor_export_dlpack, (nullptr, &managed), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_tensor_export_dlpack, (e8p.get(), &managed), GLQ_E_UNSUPPORTED, "tensor.encoding = 2",
               "expected 1 (dense)");
  EXPECT_FAILS(glq_tensor_get_info, (nullptr, &info), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_tensor_get_info, (dense.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  info.struct_size = 71;
  EXPECT_FAILS(glq_tensor_get_info, (dense.get(), &info), GLQ_E_STRUCT_SIZE, "info.struct_size = 71", "expected 72");
  EXPECT_FAILS(glq_tensor_view, (nullptr, &view), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  EXPECT_FAILS(glq_tensor_view, (dense.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "view = NULL");
  EXPECT_FAILS(glq_tensor_view, (e8p.get(), &view), GLQ_E_UNSUPPORTED, "tensor.encoding = 2", "expected 1 (dense)");
  EXPECT_EQ(std::memcmp(&view, &before, sizeof(view)), 0);
  EXPECT_FAILS(glq_tensor_retain, (nullptr), GLQ_E_INVALID_ARGUMENT, "tensor = NULL");
  glq_tensor_destroy(nullptr);
}

}  // namespace
}  // namespace glq::test
