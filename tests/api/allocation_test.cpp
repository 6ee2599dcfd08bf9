// Operations allocate nothing: every allocation of the process is counted while they run.
#include <cstdlib>
#include <functional>

#include "api/fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define GLQ_COUNTS_ALLOCATIONS 0  // sanitizers replace malloc themselves
#else
#define GLQ_COUNTS_ALLOCATIONS 1
#endif

#if GLQ_COUNTS_ALLOCATIONS
#include <cerrno>

#include <atomic>

namespace {
std::atomic<int64_t> allocations{0};
}

// The program's definitions take the place of the C library's, also for libglq.so and its threads.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) {
  ++allocations;
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  ++allocations;
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  ++allocations;
  return __libc_realloc(p, n);
}
void* memalign(size_t alignment, size_t n) {
  ++allocations;
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  ++allocations;
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
  ++allocations;
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : ENOMEM;
}
}

namespace glq::test {
namespace {

TEST(Allocation, TheCounterCounts) {
  const int64_t before = allocations;
  const ContextPtr context = MakeContext(2);
  EXPECT_GT(allocations, before);
}

TEST(Allocation, OperationsMakeNone) {
  const Golden golden;
  GoldenLayer la(golden, "bd_100x200/b3"), lb(golden, "bd_100x200/b4");
  const ContextPtr context = MakeContext(3);
  const TensorPtr a = MakeWeight(context.get(), la.Desc()), b = MakeWeight(context.get(), lb.Desc());
  constexpr int64_t kTokens = 40;
  Array x(GLQ_DTYPE_F16, {kTokens, 200}), y(GLQ_DTYPE_F16, {kTokens, 200}), v(GLQ_DTYPE_F32, {kTokens, 256}),
      z(GLQ_DTYPE_F32, {kTokens, 112});
  Array w(GLQ_DTYPE_F32, {100, 200}), rows(GLQ_DTYPE_F32, {112, 256}), dense_array(GLQ_DTYPE_BF16, {33, 200}),
      few(GLQ_DTYPE_F32, {16, 33});
  Array codes(GLQ_DTYPE_U16, {16, 8}), packed(GLQ_DTYPE_I64, {1, 1, 8, 4}), copy(GLQ_DTYPE_F16, {kTokens, 200}),
      scratch(GLQ_DTYPE_U8, {1 << 22});
  std::memset(x.data(), 0x35, x.bytes());
  std::memset(dense_array.data(), 0, dense_array.bytes());
  const TensorPtr dense = MakeDense(context.get(), dense_array);
  const glq_view xv = x.view(), vv = v.view(), zv = z.view(), wv = w.view(), rv = rows.view(), fv = few.view(),
                 cv = codes.view(), pv = packed.view(), copyv = copy.view();
  glq_view yv[2] = {y.view(), y.view()}, xb = x.view(), xg = x.view();
  for (int i = 0; i < 2; ++i) yv[i].shape[1] = 100, yv[i].data = y.as<uint16_t>() + 100 * i;
  xb.dtype = GLQ_DTYPE_BF16, xb.shape[0] = 16;
  const glq_workspace workspace{scratch.data(), scratch.bytes()};
  const glq_launch_opts opts = GLQ_LAUNCH_OPTS_INIT;
  const glq_tensor* group[] = {a.get(), b.get()};
  size_t bytes;
  struct Named {
    const char* name;
    std::function<glq_status()> call;
  };
  glq_context* c = context.get();
  const std::vector<Named> calls = {
      {"fused_linear", [&] { return glq_fused_linear_e8p(c, nullptr, a.get(), &xv, &yv[0], &workspace, &opts); }},
      {"fused_linear_group",
       [&] { return glq_fused_linear_e8p_group(c, nullptr, group, 2, &xv, yv, &workspace, nullptr); }},
      {"rht_input", [&] { return glq_rht_input(c, nullptr, a.get(), &xv, &vv, &workspace, nullptr); }},
      {"matmul", [&] { return glq_matmul_e8p(c, nullptr, a.get(), &vv, &zv, &workspace, nullptr); }},
      {"rht_output", [&] { return glq_rht_output(c, nullptr, a.get(), &zv, &yv[0], &workspace, nullptr); }},
      {"decode", [&] { return glq_decode_e8p(c, nullptr, a.get(), 0, &rv, nullptr); }},
      {"dequantize", [&] { return glq_dequantize(c, nullptr, b.get(), &wv, &workspace, nullptr); }},
      {"gemv", [&] { return glq_gemv_bf16(c, nullptr, dense.get(), &xb, &fv, &workspace, nullptr); }},
      {"pack", [&] { return glq_e8p_pack(c, nullptr, GLQ_CODEBOOK_E8P, &cv, &pv); }},
      {"unpack", [&] { return glq_e8p_unpack(c, nullptr, GLQ_CODEBOOK_E8P, &pv, &cv); }},
      {"copy", [&] { return glq_view_copy(c, nullptr, &xg, &copyv); }},
      {"workspace", [&] { return glq_fused_linear_e8p_workspace(c, a.get(), 77, nullptr, &bytes); }},
      {"group_workspace", [&] { return glq_fused_linear_e8p_group_workspace(c, group, 2, 77, nullptr, &bytes); }},
      {"matmul_workspace", [&] { return glq_matmul_e8p_workspace(c, a.get(), 77, nullptr, &bytes); }},
      {"dequantize_workspace", [&] { return glq_dequantize_workspace(c, a.get(), nullptr, &bytes); }},
      {"view_check", [&] { return glq_view_check(&xv); }},
  };
  for (const Named& n : calls) {
    ASSERT_EQ(n.call(), GLQ_OK) << n.name << ": " << LastMessage();  // the pool's threads start here
    const int64_t before = allocations;
    for (int i = 0; i < 5; ++i) {
      if (n.call() != GLQ_OK) FAIL() << n.name;
    }
    EXPECT_EQ(allocations - before, 0) << n.name;
  }
}

}  // namespace
}  // namespace glq::test

#else

TEST(Allocation, NeedsTheCLibrarysMalloc) { GTEST_SKIP() << "a sanitizer replaces malloc, or this is not glibc"; }

#endif
