// Every way to misuse the functions of version.h and context.h that can be told apart.
#include <cstdlib>

#include "api/fixture.h"

namespace glq::test {
namespace {

int not_a_handle[64];

class MisuseContext : public testing::Test {
 protected:
  ContextPtr context_ = MakeContext();
  glq_context* bogus_ = reinterpret_cast<glq_context*>(&not_a_handle[0]);
  glq_context* out_ = bogus_;  // must become NULL on failure
};

TEST_F(MisuseContext, LastErrorReportsItsOwnFailuresAndRecordsNone) {
  EXPECT_EQ(glq_device_count(7, nullptr), GLQ_E_INVALID_ARGUMENT);
  const std::string recorded = LastMessage();
  EXPECT_EQ(glq_last_error(nullptr), GLQ_E_INVALID_ARGUMENT);
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  info.struct_size = 31;
  EXPECT_EQ(glq_last_error(&info), GLQ_E_STRUCT_SIZE);
  EXPECT_EQ(LastMessage(), recorded);
  glq_clear_error();
  EXPECT_EQ(LastMessage(), "");
  info = GLQ_ERROR_INFO_INIT;
  EXPECT_EQ(glq_last_error(&info), GLQ_OK);
  EXPECT_EQ(info.status, GLQ_OK);
  EXPECT_STREQ(info.function, "");
}

TEST_F(MisuseContext, ASuccessLeavesTheDetailAlone) {
  int32_t count;
  EXPECT_EQ(glq_device_count(7, &count), GLQ_E_INVALID_ARGUMENT);
  EXPECT_EQ(glq_device_count(GLQ_DEVICE_CPU, &count), GLQ_OK);
  EXPECT_EQ(LastFunction(), "glq_device_count");
}

TEST_F(MisuseContext, StatusTextsKnowEverything) {
  EXPECT_STREQ(glq_status_name(GLQ_E_SHAPE), "GLQ_E_SHAPE");
  EXPECT_STREQ(glq_status_name(0), "GLQ_OK");
  for (const glq_status s : {-1, 1, 99, 113, 204, 599, 1000000, INT32_MIN}) {
    EXPECT_STREQ(glq_status_name(s), "GLQ_E_UNKNOWN") << s;
    EXPECT_STRNE(glq_status_string(s), "") << s;
  }
}

TEST_F(MisuseContext, CudaInfo) {
  EXPECT_FAILS(glq_get_cuda_info, (nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  glq_cuda_info info = GLQ_CUDA_INFO_INIT;
  info.struct_size = 39;
  EXPECT_FAILS(glq_get_cuda_info, (&info), GLQ_E_STRUCT_SIZE, "info.struct_size = 39", "expected 40");
  info.struct_size = 1u << 30;
  EXPECT_FAILS(glq_get_cuda_info, (&info), GLQ_E_STRUCT_SIZE, "info.struct_size = 1073741824");
}

TEST_F(MisuseContext, DeviceCount) {
  int32_t count = 77;
  EXPECT_FAILS(glq_device_count, (3, &count), GLQ_E_INVALID_ARGUMENT, "type = 3", "expected 1 (CPU) or 2 (CUDA)");
  EXPECT_FAILS(glq_device_count, (1, nullptr), GLQ_E_INVALID_ARGUMENT, "count = NULL");
  EXPECT_EQ(count, 77);
}

TEST_F(MisuseContext, DeviceParse) {
  glq_device device{5, 6};
  EXPECT_FAILS(glq_device_parse, (nullptr, &device), GLQ_E_INVALID_ARGUMENT, "text = NULL");
  EXPECT_FAILS(glq_device_parse, ("cpu", nullptr), GLQ_E_INVALID_ARGUMENT, "device = NULL");
  for (const char* text : {"", "CPU", "cpu:0", "cpu ", "cuda:", "cuda:-1", "cuda:+1", "cuda:1x", "cuda 1", "cuda1",
                           "cuda: 1", "cuda:99999999999", "\xFF\xFE"}) {
    EXPECT_FAILS(glq_device_parse, (text, &device), GLQ_E_INVALID_ARGUMENT, "text = \"", "expected \"cpu\"");
  }
  EXPECT_TRUE(device.type == 5 && device.index == 6);
  ASSERT_EQ(glq_device_parse("cuda:12", &device), GLQ_OK);
  EXPECT_TRUE(device.type == GLQ_DEVICE_CUDA && device.index == 12);
}

TEST_F(MisuseContext, DeviceInfo) {
  glq_device_info info = GLQ_DEVICE_INFO_INIT;
  const glq_device cpu{GLQ_DEVICE_CPU, 0}, cpu1{GLQ_DEVICE_CPU, 1}, other{9, 0}, far{GLQ_DEVICE_CUDA, 4000};
  EXPECT_FAILS(glq_device_get_info, (nullptr, &info), GLQ_E_INVALID_ARGUMENT, "device = NULL");
  EXPECT_FAILS(glq_device_get_info, (&cpu, nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  EXPECT_FAILS(glq_device_get_info, (&cpu1, &info), GLQ_E_NO_DEVICE, "device.index = 1", "expected 0");
  EXPECT_FAILS(glq_device_get_info, (&other, &info), GLQ_E_INVALID_ARGUMENT, "device.type = 9");
  EXPECT_NE(glq_device_get_info(&far, &info), GLQ_OK);
  info.struct_size = 8;
  EXPECT_FAILS(glq_device_get_info, (&cpu, &info), GLQ_E_STRUCT_SIZE, "info.struct_size = 8", "expected 304");
  info.struct_size = sizeof(info);
  ASSERT_EQ(glq_device_get_info(&cpu, &info), GLQ_OK);
  EXPECT_GE(info.multiprocessors, 1);
  EXPECT_STRNE(info.name, "");
}

TEST_F(MisuseContext, ACudaContextFailsWithTheReasonThatTheInfoGives) {
  glq_cuda_info info = GLQ_CUDA_INFO_INIT;
  ASSERT_EQ(glq_get_cuda_info(&info), GLQ_OK);
  EXPECT_STRNE(info.message, "");
  ASSERT_NE(info.architectures, nullptr);
  int32_t count = -1;
  ASSERT_EQ(glq_device_count(GLQ_DEVICE_CUDA, &count), GLQ_OK);
  EXPECT_EQ(count > 0, info.status == GLQ_OK);
  // With a usable GPU: one that is not there. Without: any.
  glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
  desc.device = {GLQ_DEVICE_CUDA, count};
  const glq_status want = count > 0 ? glq_status{GLQ_E_NO_DEVICE} : info.status;
  const glq_status got = glq_context_create(&desc, &out_);
  EXPECT_STREQ(glq_status_name(got), glq_status_name(want)) << LastMessage();
  EXPECT_EQ(out_, nullptr);
  EXPECT_NE(LastMessage(), "");
}

TEST_F(MisuseContext, DescInit) {
  glq_context_desc desc;
  EXPECT_FAILS(glq_context_desc_init, (nullptr, sizeof(desc)), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  EXPECT_FAILS(glq_context_desc_init, (&desc, 0), GLQ_E_STRUCT_SIZE, "struct_size = 0");
  EXPECT_FAILS(glq_context_desc_init, (&desc, sizeof(desc) - 1), GLQ_E_STRUCT_SIZE, "struct_size = 71", "expected 72");
  ASSERT_EQ(glq_context_desc_init(&desc, sizeof(desc)), GLQ_OK);
  EXPECT_EQ(desc.device.type, GLQ_DEVICE_CPU);
}

TEST_F(MisuseContext, Create) {
  EXPECT_FAILS(glq_context_create, (nullptr, nullptr), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  const auto refused = [&](void (*change)(glq_context_desc&), glq_status status, std::vector<std::string> parts) {
    glq_context_desc desc = GLQ_CONTEXT_DESC_INIT;
    change(desc);
    out_ = bogus_;
    ExpectFailure("glq_context_create", glq_context_create(&desc, &out_), status, parts, 0);
    EXPECT_EQ(out_, nullptr);
  };
  refused([](auto& d) { d.struct_size = 71; }, GLQ_E_STRUCT_SIZE, {"desc.struct_size = 71", "expected 72"});
  refused([](auto& d) { d.struct_size = 0; }, GLQ_E_STRUCT_SIZE, {"desc.struct_size = 0"});
  refused([](auto& d) { d.flags = 8; }, GLQ_E_INVALID_ARGUMENT, {"desc.flags = 0x8", "0x3"});
  refused([](auto& d) { d.reserved = 2; }, GLQ_E_INVALID_ARGUMENT, {"desc.reserved = 2", "expected 0"});
  refused([](auto& d) { d.num_threads = -1; }, GLQ_E_INVALID_ARGUMENT, {"desc.num_threads = -1", "0 to 1024"});
  refused([](auto& d) { d.num_threads = 1025; }, GLQ_E_INVALID_ARGUMENT, {"desc.num_threads = 1025", "0 to 1024"});
  refused([](auto& d) { d.device.type = 3; }, GLQ_E_INVALID_ARGUMENT, {"desc.device.type = 3", "expected 1"});
  refused([](auto& d) { d.device.index = 1; }, GLQ_E_NO_DEVICE, {"desc.device.index = 1", "expected 0"});
  refused([](auto& d) { d.device = {GLQ_DEVICE_CUDA, -1}; }, GLQ_E_NO_DEVICE, {"desc.device.index = -1"});
  static glq_allocator allocator;
  static glq_logger logger;
  static glq_threading threading;
  const auto alloc = [](void*, size_t, size_t, int32_t) -> void* { return nullptr; };
  const auto log = [](void*, int32_t, const char*, const char*) {};
  const auto loop = [](void*, int64_t, glq_task_fn, void*) {};
  allocator = {nullptr, nullptr, [](void*, void*, size_t, int32_t) {}};
  refused([](auto& d) { d.allocator = &allocator; }, GLQ_E_INVALID_ARGUMENT, {"allocator->alloc = NULL"});
  allocator = {nullptr, alloc, nullptr};
  refused([](auto& d) { d.allocator = &allocator; }, GLQ_E_INVALID_ARGUMENT, {"allocator->free = NULL"});
  logger = {nullptr, nullptr, 1, 0};
  refused([](auto& d) { d.logger = &logger; }, GLQ_E_INVALID_ARGUMENT, {"logger->log = NULL"});
  logger = {nullptr, log, 5, 0};
  refused([](auto& d) { d.logger = &logger; }, GLQ_E_INVALID_ARGUMENT, {"logger->level = 5", "1 to 4"});
  logger = {nullptr, log, 1, 1};
  refused([](auto& d) { d.logger = &logger; }, GLQ_E_INVALID_ARGUMENT, {"logger->reserved = 1", "expected 0"});
  threading = {nullptr, nullptr, 1, 0};
  refused([](auto& d) { d.threading = &threading; }, GLQ_E_INVALID_ARGUMENT, {"threading->parallel_for = NULL"});
  threading = {nullptr, loop, 0, 0};
  refused([](auto& d) { d.threading = &threading; }, GLQ_E_INVALID_ARGUMENT, {"max_parallelism = 0", "1 to 1024"});
  threading = {nullptr, loop, 1, 9};
  refused([](auto& d) { d.threading = &threading; }, GLQ_E_INVALID_ARGUMENT, {"threading->reserved = 9", "expected 0"});
  setenv("GLQ_NUM_THREADS", "many", 1);
  refused([](auto&) {}, GLQ_E_INVALID_ARGUMENT, {"GLQ_NUM_THREADS = \"many\"", "1 to 1024"});
  setenv("GLQ_NUM_THREADS", "3", 1);
  out_ = nullptr;
  ASSERT_EQ(glq_context_create(nullptr, &out_), GLQ_OK);
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  EXPECT_EQ(glq_context_get_info(out_, &info), GLQ_OK);
  EXPECT_EQ(info.num_threads, 3);
  glq_context_destroy(out_);
  unsetenv("GLQ_NUM_THREADS");
  setenv("GLQ_LOG", "verbose", 1);
  refused([](auto&) {}, GLQ_E_INVALID_ARGUMENT, {"GLQ_LOG = \"verbose\"", "expected error"});
  unsetenv("GLQ_LOG");
}

TEST_F(MisuseContext, StructsFromTheFutureAreReadByTheirKnownPart) {
  struct Longer {
    glq_context_desc known;
    unsigned char more[24];
  } desc{};
  desc.known.struct_size = sizeof(desc);
  ASSERT_EQ(glq_context_create(&desc.known, &out_), GLQ_OK) << LastMessage();
  struct {
    glq_context_info known;
    unsigned char more[16];
  } info;
  std::memset(&info, 0xFF, sizeof(info));
  info.known.struct_size = sizeof(info);
  ASSERT_EQ(glq_context_get_info(out_, &info.known), GLQ_OK);
  EXPECT_EQ(info.known.struct_size, sizeof(info));
  for (const unsigned char c : info.more) EXPECT_EQ(c, 0);
  glq_context_destroy(out_);
  desc.more[5] = 1;
  EXPECT_FAILS(glq_context_create, (&desc.known, &out_), GLQ_E_STRUCT_SIZE, "desc.struct_size = 96", "byte 77 = 1");
}

TEST_F(MisuseContext, HandlesThatAreNone) {
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  EXPECT_FAILS(glq_context_retain, (nullptr), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_context_retain, (bogus_), GLQ_E_BAD_HANDLE, "context = 0x", "live glq_context");
  EXPECT_FAILS(glq_context_get_info, (nullptr, &info), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_context_get_info, (bogus_, &info), GLQ_E_BAD_HANDLE, "live glq_context");
  EXPECT_FAILS(glq_context_synchronize, (nullptr, nullptr), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_context_synchronize, (bogus_, nullptr), GLQ_E_BAD_HANDLE, "live glq_context");
  auto* unaligned = reinterpret_cast<glq_context*>(reinterpret_cast<char*>(context_.get()) + 1);
  EXPECT_FAILS(glq_context_retain, (unaligned), GLQ_E_BAD_HANDLE, "live glq_context");
  Array a(GLQ_DTYPE_F32, {3});
  const TensorPtr tensor = MakeDense(context_.get(), a);
  EXPECT_FAILS(glq_context_retain, (reinterpret_cast<glq_context*>(tensor.get())), GLQ_E_BAD_HANDLE, "is a glq_tensor",
               "expected a glq_context");
  ContextPtr dead = MakeContext();
  glq_context* address = dead.get();
  dead.reset();
  EXPECT_FAILS(glq_context_retain, (address), GLQ_E_BAD_HANDLE, "live glq_context");
  EXPECT_FAILS(glq_context_synchronize, (address, nullptr), GLQ_E_BAD_HANDLE, "live glq_context");
  // Destroying something twice does no harm and is recorded.
  glq_context_destroy(address);
  EXPECT_EQ(LastFunction(), "glq_context_destroy");
  glq_context_destroy(nullptr);
}

TEST_F(MisuseContext, InfoAndSynchronize) {
  glq_context_info info = GLQ_CONTEXT_INFO_INIT;
  EXPECT_FAILS(glq_context_get_info, (context_.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  info.struct_size = 1;
  EXPECT_FAILS(glq_context_get_info, (context_.get(), &info), GLQ_E_STRUCT_SIZE, "info.struct_size = 1", "expected 48");
  EXPECT_FAILS(glq_context_synchronize, (context_.get(), reinterpret_cast<glq_stream>(1)), GLQ_E_INVALID_ARGUMENT,
               "stream = 0x1", "NULL on a CPU context");
  EXPECT_EQ(glq_context_synchronize(context_.get(), nullptr), GLQ_OK);
}

TEST_F(MisuseContext, OpSupport) {
  glq_op_query query = GLQ_OP_QUERY_INIT;
  glq_op_support_info info = GLQ_OP_SUPPORT_INFO_INIT;
  query.op = GLQ_OP_DECODE_E8P, query.in_features = query.out_features = 64, query.bits = 2;
  EXPECT_FAILS(glq_op_support, (nullptr, &query, &info), GLQ_E_INVALID_ARGUMENT, "context = NULL");
  EXPECT_FAILS(glq_op_support, (bogus_, &query, &info), GLQ_E_BAD_HANDLE, "glq_context");
  EXPECT_FAILS(glq_op_support, (context_.get(), nullptr, &info), GLQ_E_INVALID_ARGUMENT, "query = NULL");
  EXPECT_FAILS(glq_op_support, (context_.get(), &query, nullptr), GLQ_E_INVALID_ARGUMENT, "info = NULL");
  const auto refused = [&](void (*change)(glq_op_query&), glq_status status, std::vector<std::string> parts) {
    glq_op_query q = query;
    change(q);
    ExpectFailure("glq_op_support", glq_op_support(context_.get(), &q, &info), status, parts, 0);
  };
  refused([](auto& q) { q.struct_size = 44; }, GLQ_E_STRUCT_SIZE, {"query.struct_size = 44", "expected 48"});
  refused([](auto& q) { q.op = 0; }, GLQ_E_INVALID_ARGUMENT, {"query.op = 0", "1 to 7"});
  refused([](auto& q) { q.op = 8; }, GLQ_E_INVALID_ARGUMENT, {"query.op = 8", "1 to 7"});
  refused([](auto& q) { q.bits = 1; }, GLQ_E_INVALID_ARGUMENT, {"query.bits = 1", "2 to 8"});
  refused([](auto& q) { q.bits = 9; }, GLQ_E_INVALID_ARGUMENT, {"query.bits = 9", "2 to 8"});
  refused([](auto& q) { q.op = GLQ_OP_GEMV_BF16; }, GLQ_E_INVALID_ARGUMENT, {"query.bits = 2", "expected 0"});
  refused([](auto& q) { q.math_mode = 7; }, GLQ_E_INVALID_ARGUMENT, {"query.math_mode = 7"});
  info.struct_size = 279;
  EXPECT_FAILS(glq_op_support, (context_.get(), &query, &info), GLQ_E_STRUCT_SIZE, "info.struct_size = 279",
               "expected 280");
}

}  // namespace
}  // namespace glq::test
