// Who keeps whom alive, who is called back and when, and where memory and messages go.
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>

#include "api/dlpack_structs.h"
#include "api/fixture.h"
#include "api/safetensors_builder.h"

namespace glq::test {
namespace {

// An allocator that knows what it gave out.
struct Ledger {
  std::map<void*, size_t> blocks;
  size_t live = 0, total = 0;
  bool refuse = false, destroyed = false;
  size_t skew = 0;

  glq_allocator allocator() {
    return {this,
            [](void* user, size_t bytes, size_t alignment, int32_t kind) -> void* {
              auto& l = *static_cast<Ledger*>(user);
              EXPECT_FALSE(l.destroyed);
              EXPECT_EQ(kind, GLQ_MEMORY_HOST);
              EXPECT_GT(bytes, 0u);
              EXPECT_TRUE(alignment <= 256 && (alignment & (alignment - 1)) == 0);
              if (l.refuse) return nullptr;
              void* p = nullptr;
              EXPECT_EQ(posix_memalign(&p, alignment, bytes + l.skew), 0);
              p = static_cast<char*>(p) + l.skew;
              l.blocks[p] = bytes, l.live += bytes, ++l.total;
              return p;
            },
            [](void* user, void* p, size_t bytes, int32_t) {
              auto& l = *static_cast<Ledger*>(user);
              EXPECT_FALSE(l.destroyed);
              EXPECT_EQ(l.blocks.at(p), bytes);
              l.blocks.erase(p), l.live -= bytes;
              std::free(static_cast<char*>(p) - l.skew);
            }};
  }
};

glq_context* CreateWith(const std::function<void(glq_context_desc&)>& change) {
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.num_threads = 2;
  change(desc);
  glq_context* context = nullptr;
  EXPECT_EQ(glq_context_create(&desc, &context), GLQ_OK) << LastMessage();
  return context;
}

TEST(Lifetime, HandlesGoInAnyOrder) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_48x80/b3");
  for (int order = 0; order < 24; ++order) {
    Ledger ledger;
    const glq_allocator allocator = ledger.allocator();
    glq_context* context = CreateWith([&](auto& d) {
      d.allocator = &allocator;
      d.destroyed = [](void* user) { static_cast<Ledger*>(user)->destroyed = true; };
      d.destroyed_user = &ledger;
    });
    Array a(GLQ_DTYPE_F32, {8, 8});
    const glq_view v = a.view();
    glq_tensor *weight = nullptr, *dense = nullptr;
    glq_quantizer* quantizer = nullptr;
    glq_quantizer_desc qd = GLQ_QUANTIZER_DESC_INIT;
    qd.in_features = 64, qd.out_features = 16, qd.bits = 2;
    ASSERT_EQ(glq_tensor_create_e8p(context, nullptr, &layer.Desc(), &weight), GLQ_OK);
    ASSERT_EQ(glq_tensor_create_copy(context, nullptr, &v, &dense), GLQ_OK);
    ASSERT_EQ(glq_quantizer_create(context, &qd, &quantizer), GLQ_OK);
    glq_context_info info = GLQ_CONTEXT_INFO_INIT;
    ASSERT_EQ(glq_context_get_info(context, &info), GLQ_OK);
    EXPECT_EQ(static_cast<size_t>(info.host_bytes), ledger.live);
    EXPECT_GT(ledger.live, 0u);
    std::vector<std::function<void()>> ends = {[&] { glq_context_destroy(context); },
                                               [&] { glq_tensor_destroy(weight); }, [&] { glq_tensor_destroy(dense); },
                                               [&] { glq_quantizer_destroy(quantizer); }};
    std::vector<int> sequence = {0, 1, 2, 3};
    for (int i = 0; i < order; ++i) std::next_permutation(sequence.begin(), sequence.end());
    for (const int i : sequence) {
      EXPECT_FALSE(ledger.destroyed);
      ends[static_cast<size_t>(i)]();
    }
    EXPECT_TRUE(ledger.destroyed);
    EXPECT_EQ(ledger.live, 0u);
  }
}

TEST(Lifetime, AHandleOfADestroyedContextIsDeadThoughItsObjectsLive) {
  ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_F32, {8});
  const TensorPtr tensor = MakeDense(context.get(), a);
  glq_context* address = context.get();
  ASSERT_EQ(glq_context_retain(address), GLQ_OK);
  context.reset();
  EXPECT_EQ(glq_context_synchronize(address, nullptr), GLQ_OK);  // one reference is left
  glq_context_destroy(address);
  EXPECT_EQ(glq_context_synchronize(address, nullptr), GLQ_E_BAD_HANDLE);
  glq_tensor_info info = GLQ_TENSOR_INFO_INIT;
  EXPECT_EQ(glq_tensor_get_info(tensor.get(), &info), GLQ_OK);
}

TEST(Lifetime, RetainedTensorsNeedAsManyDestroys) {
  const ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_F32, {8});
  const glq_view v = a.view();
  int released = 0;
  glq_tensor* t = nullptr;
  ASSERT_EQ(glq_tensor_borrow(
                context.get(), &v, [](void* user) { ++*static_cast<int*>(user); }, &released, &t),
            GLQ_OK);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(glq_tensor_retain(t), GLQ_OK);
  for (int i = 0; i < 3; ++i) glq_tensor_destroy(t);
  EXPECT_EQ(released, 0);
  glq_tensor_info info = GLQ_TENSOR_INFO_INIT;
  ASSERT_EQ(glq_tensor_get_info(t, &info), GLQ_OK);
  EXPECT_EQ(info.host_bytes, 0);  // borrowed
  glq_tensor_destroy(t);
  EXPECT_EQ(released, 1);
  EXPECT_EQ(glq_tensor_retain(t), GLQ_E_BAD_HANDLE);
}

TEST(Lifetime, AReleaseFunctionMayDestroyFurtherTensors) {
  const ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_F32, {8});
  const glq_view v = a.view();
  struct Chain {
    glq_tensor* next = nullptr;
    bool called = false;
  } chain;
  ASSERT_EQ(glq_tensor_create_copy(context.get(), nullptr, &v, &chain.next), GLQ_OK);
  glq_tensor* t = nullptr;
  const auto release = [](void* user) {
    auto& c = *static_cast<Chain*>(user);
    glq_tensor_destroy(c.next);
    c.called = true;
  };
  ASSERT_EQ(glq_tensor_borrow(context.get(), &v, release, &chain, &t), GLQ_OK);
  glq_tensor_destroy(t);
  EXPECT_TRUE(chain.called);
  EXPECT_EQ(glq_tensor_retain(chain.next), GLQ_E_BAD_HANDLE);
}

TEST(Lifetime, DlpackGoesInAndOut) {
  ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_BF16, {3, 5});
  for (int i = 0; i < 15; ++i) a.as<uint16_t>()[i] = static_cast<uint16_t>(i);
  DlpackArray producer(a);
  producer.managed.flags = 1;  // read-only
  glq_tensor* t = nullptr;
  ASSERT_EQ(glq_tensor_import_dlpack(context.get(), producer.get(), &t), GLQ_OK) << LastMessage();
  glq_view v;
  ASSERT_EQ(glq_tensor_view(t, &v), GLQ_OK);
  EXPECT_TRUE(v.data == a.data() && v.dtype == GLQ_DTYPE_BF16 && v.shape[1] == 5 && v.flags == GLQ_VIEW_READ_ONLY);
  // A read-only import is no output.
  Array source(GLQ_DTYPE_BF16, {3, 5});
  const glq_view sv = source.view();
  EXPECT_EQ(glq_view_copy(context.get(), nullptr, &sv, &v), GLQ_E_INVALID_ARGUMENT);
  DLManagedTensorVersioned* out = nullptr;
  ASSERT_EQ(glq_tensor_export_dlpack(t, &out), GLQ_OK) << LastMessage();
  const auto& d = *reinterpret_cast<Dlpack*>(out);
  EXPECT_EQ(d.version_major, 1u);
  EXPECT_EQ(d.flags & 1, 1u);
  EXPECT_EQ(d.data, a.data());
  EXPECT_TRUE(d.device_type == 1 && d.device_id == 0 && d.ndim == 2 && d.code == 4 && d.bits == 16 && d.lanes == 1);
  ASSERT_NE(d.strides, nullptr);
  EXPECT_TRUE(d.shape[0] == 3 && d.shape[1] == 5 && d.strides[0] == 5 && d.strides[1] == 1 && d.byte_offset == 0);
  // The export outlives tensor and context.
  glq_tensor_destroy(t);
  context.reset();
  EXPECT_EQ(producer.deleted, 0);
  EXPECT_EQ(static_cast<uint16_t*>(d.data)[14], 14);
  d.deleter(out);
  EXPECT_EQ(producer.deleted, 1);
}

TEST(Lifetime, DlpackWithoutStridesWithAnOffsetAndWithoutADeleter) {
  const ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_F32, {4, 6});
  DlpackArray producer(a);
  producer.managed.strides = nullptr, producer.managed.byte_offset = 24, producer.shape[0] = 3,
  producer.managed.deleter = nullptr;
  glq_tensor* t = nullptr;
  ASSERT_EQ(glq_tensor_import_dlpack(context.get(), producer.get(), &t), GLQ_OK) << LastMessage();
  glq_view v;
  ASSERT_EQ(glq_tensor_view(t, &v), GLQ_OK);
  EXPECT_TRUE(v.data == a.as<float>() + 6 && v.strides[0] == 6 && v.strides[1] == 1);
  glq_tensor_destroy(t);
}

TEST(Lifetime, CopiesOfAnyStrides) {
  const ContextPtr context = MakeContext();
  Array a(GLQ_DTYPE_I32, {2, 3, 4}), b(GLQ_DTYPE_I32, {4, 3, 2}), reversed(GLQ_DTYPE_I32, {24}),
      row(GLQ_DTYPE_I32, {4});
  for (int i = 0; i < 24; ++i) a.as<int32_t>()[i] = i;
  const glq_view av = a.view();
  glq_view turned = b.view();  // b as [2, 3, 4]
  turned.shape[0] = 2, turned.shape[1] = 3, turned.shape[2] = 4, turned.strides[0] = 1, turned.strides[1] = 2,
  turned.strides[2] = 6;
  ASSERT_EQ(glq_view_copy(context.get(), nullptr, &av, &turned), GLQ_OK) << LastMessage();
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 4; ++k) EXPECT_EQ(b.as<int32_t>()[i + 2 * j + 6 * k], i * 12 + j * 4 + k);
    }
  }
  glq_view backwards = a.view();
  backwards.ndim = 1, backwards.shape[0] = 24, backwards.strides[0] = -1, backwards.data = a.as<int32_t>() + 23;
  const glq_view rv = reversed.view();
  ASSERT_EQ(glq_view_copy(context.get(), nullptr, &backwards, &rv), GLQ_OK) << LastMessage();
  for (int i = 0; i < 24; ++i) EXPECT_EQ(reversed.as<int32_t>()[i], 23 - i);
  glq_view repeated = row.view();  // one element, four times
  row.as<int32_t>()[0] = 9, repeated.strides[0] = 0;
  Array four(GLQ_DTYPE_I32, {4});
  const glq_view fv = four.view();
  ASSERT_EQ(glq_view_copy(context.get(), nullptr, &repeated, &fv), GLQ_OK) << LastMessage();
  EXPECT_EQ(four.as<int32_t>()[3], 9);
  EXPECT_TRUE(b.GuardsIntact() && reversed.GuardsIntact() && four.GuardsIntact());
}

TEST(Lifetime, AnAllocatorThatRefusesOrErrsIsReported) {
  Ledger ledger;
  const glq_allocator allocator = ledger.allocator();
  const ContextPtr context(CreateWith([&](auto& d) { d.allocator = &allocator; }));
  const Golden golden;
  GoldenLayer layer(golden, "bd_48x80/b3");
  Array a(GLQ_DTYPE_F32, {8});
  const glq_view v = a.view();
  glq_tensor* t = nullptr;
  ledger.refuse = true;
  EXPECT_FAILS(glq_tensor_create, (context.get(), &v, &t), GLQ_E_OUT_OF_HOST_MEMORY,
               "cannot allocate 32 bytes of host memory");
  EXPECT_FAILS(glq_tensor_create_e8p, (context.get(), nullptr, &layer.Desc(), &t), GLQ_E_OUT_OF_HOST_MEMORY,
               "cannot allocate");
  ledger.refuse = false, ledger.skew = 64;
  EXPECT_FAILS(glq_tensor_create, (context.get(), &v, &t), GLQ_E_ALIGNMENT, "allocator.alloc returned 0x",
               "alignment = 256");
  ledger.skew = 0;
  EXPECT_EQ(ledger.live, 0u);
  ASSERT_EQ(glq_tensor_create(context.get(), &v, &t), GLQ_OK);
  glq_tensor_destroy(t);
  EXPECT_EQ(ledger.live, 0u);
}

TEST(Lifetime, DestroyedIsNotCalledForAContextThatWasNeverMade) {
  bool destroyed = false;
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.destroyed = [](void* user) { *static_cast<bool*>(user) = true; };
  desc.destroyed_user = &destroyed;
  desc.flags = 0x80;
  glq_context* context = nullptr;
  EXPECT_EQ(glq_context_create(&desc, &context), GLQ_E_INVALID_ARGUMENT);
  EXPECT_FALSE(destroyed);
}

struct Message {
  int32_t level;
  std::string category, text;
};

TEST(Lifetime, TheLoggerHearsOfFailuresAndPlans) {
  const Golden golden;
  GoldenLayer layer(golden, "bd_48x80/b3");
  std::vector<Message> messages;
  const auto log = [](void* user, int32_t level, const char* category, const char* message) {
    static_cast<std::vector<Message>*>(user)->push_back({level, category, message});
  };
  for (const int32_t level : {GLQ_LOG_ERROR, GLQ_LOG_INFO, GLQ_LOG_DEBUG}) {
    messages.clear();
    const glq_logger logger{&messages, log, level, 0};
    {
      const ContextPtr context(CreateWith([&](auto& d) { d.logger = &logger; }));
      const TensorPtr weight = MakeWeight(context.get(), layer.Desc());
      FusedLinear(context.get(), weight.get(), ArrayOf(golden, "bd_48x80/x"), GLQ_DTYPE_F32);
      EXPECT_EQ(glq_fused_linear_e8p(context.get(), nullptr, weight.get(), nullptr, nullptr, nullptr, nullptr),
                GLQ_E_INVALID_ARGUMENT);
    }
    const auto count = [&](int32_t l) {
      return std::count_if(messages.begin(), messages.end(), [l](const Message& m) { return m.level == l; });
    };
    EXPECT_EQ(count(GLQ_LOG_ERROR), 1);
    EXPECT_EQ(count(GLQ_LOG_INFO), level >= GLQ_LOG_INFO ? 2 : 0);
    EXPECT_EQ(count(GLQ_LOG_DEBUG), level >= GLQ_LOG_DEBUG ? 1 : 0);
    for (const Message& m : messages) {
      EXPECT_EQ(m.text.find('\n'), std::string::npos) << m.text;
      if (m.level == GLQ_LOG_ERROR) {
        EXPECT_EQ(m.category, "glq_fused_linear_e8p");
        EXPECT_THAT(m.text, testing::HasSubstr("x = NULL"));
      }
    }
  }
}

TEST(Lifetime, NothingIsPrintedUnlessTheEnvironmentAsks) {
  const auto provoke = [] {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    {
      const ContextPtr context = MakeContext();
      EXPECT_EQ(glq_tensor_create(context.get(), nullptr, nullptr), GLQ_E_INVALID_ARGUMENT);
    }
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(provoke(), "");
  setenv("GLQ_LOG", "info", 1);
  EXPECT_THAT(provoke(), testing::HasSubstr("glq info: context: created on the CPU"));
  unsetenv("GLQ_LOG");
}

TEST(Lifetime, ManyHandlesComeAndGo) {
  const ContextPtr context = MakeContext(1);
  Array a(GLQ_DTYPE_F32, {2});
  const glq_view v = a.view();
  std::vector<glq_tensor*> live;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3000; ++i) {
      glq_tensor* t = nullptr;
      ASSERT_EQ(glq_tensor_borrow(context.get(), &v, nullptr, nullptr, &t), GLQ_OK);
      live.push_back(t);
    }
    for (size_t i = 0; i < live.size(); ++i) ASSERT_EQ(glq_tensor_retain(live[i]), GLQ_OK) << i;
    for (glq_tensor* t : live) glq_tensor_destroy(t);
    std::vector<glq_tensor*> rest;
    for (size_t i = 0; i < live.size(); ++i) {
      if (i % 3 == 0) {
        rest.push_back(live[i]);
      } else {
        glq_tensor_destroy(live[i]);
      }
    }
    live = rest;
  }
  for (glq_tensor* t : live) {
    glq_tensor_destroy(t);
    EXPECT_EQ(glq_tensor_retain(t), GLQ_E_BAD_HANDLE);
  }
}

}  // namespace
}  // namespace glq::test
