// Damaged and hostile safetensors files: each is either refused with a sentence or safe to use.
#include <random>

#include "api/fixture.h"
#include "api/safetensors_builder.h"

namespace glq::test {
namespace {

// Opens the file; if that succeeds, reads every byte that it offers and makes every weight.
glq_status Use(const std::string& path, glq_context* context) {
  glq_checkpoint* file = nullptr;
  const glq_status status = glq_checkpoint_open(path.c_str(), &file);
  if (status != GLQ_OK) {
    EXPECT_EQ(file, nullptr);
    EXPECT_TRUE(status == GLQ_E_BAD_FILE || status == GLQ_E_IO) << glq_status_name(status) << " " << LastMessage();
    EXPECT_NE(LastMessage(), "");
    return status;
  }
  const CheckpointPtr owner(file);
  int64_t tensors = 0, layers = 0;
  unsigned sum = 0;
  EXPECT_EQ(glq_checkpoint_tensor_count(file, &tensors), GLQ_OK);
  for (int64_t i = 0; i < tensors; ++i) {
    const char* name = nullptr;
    EXPECT_EQ(glq_checkpoint_tensor_name(file, i, &name), GLQ_OK);
    glq_view view;
    if (glq_checkpoint_tensor(file, name, &view) != GLQ_OK) continue;
    int64_t bytes = SizeOf(view.dtype);
    for (int d = 0; d < view.ndim; ++d) bytes *= view.shape[d];
    const auto* p = static_cast<const unsigned char*>(view.data);
    for (int64_t b = 0; b < bytes; ++b) sum += p[b];
  }
  EXPECT_EQ(glq_checkpoint_layer_count(file, &layers), GLQ_OK);
  for (int64_t i = 0; i < layers; ++i) {
    const char* name = nullptr;
    EXPECT_EQ(glq_checkpoint_layer_name(file, i, &name), GLQ_OK);
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    EXPECT_EQ(glq_checkpoint_layer(file, name, &desc), GLQ_OK);
    glq_tensor* weight = nullptr;
    const glq_status made = glq_tensor_create_e8p(context, nullptr, &desc, &weight);
    EXPECT_TRUE(made == GLQ_OK || made == GLQ_E_NOT_FINITE) << LastMessage();
    glq_tensor_destroy(weight);
  }
  EXPECT_GE(sum, 0u);
  return GLQ_OK;
}

class HostileCheckpoint : public testing::Test {
 protected:
  TempDir dir_;
  std::string path_ = dir_ / "m.safetensors";
  ContextPtr context_ = MakeContext(1);

  void Refused(const std::string& bytes, const std::string& part) {
    WriteFile(path_, bytes);
    glq_checkpoint* file = nullptr;
    ExpectFailure("glq_checkpoint_open", glq_checkpoint_open(path_.c_str(), &file), GLQ_E_BAD_FILE, {part}, 0);
  }
};

TEST_F(HostileCheckpoint, TruncationsOfEveryLength) {
  const std::string good = LayerFile("l", 3).Bytes();
  WriteFile(path_, good);
  ASSERT_EQ(Use(path_, context_.get()), GLQ_OK) << LastMessage();
  for (size_t n = 0; n < good.size(); ++n) {
    WriteFile(path_, good.substr(0, n));
    ASSERT_EQ(Use(path_, context_.get()), GLQ_E_BAD_FILE) << n;
  }
}

TEST_F(HostileCheckpoint, EveryBitOfTheHeaderFlipped) {
  StFile f = LayerFile("l", 5);
  f.metadata["glq.layers"] = R"({"l":[30,100]})";
  const std::string good = f.Bytes();
  uint64_t header;
  std::memcpy(&header, good.data(), 8);
  int accepted = 0;
  for (size_t bit = 0; bit < (8 + header) * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    WriteFile(path_, bad);
    accepted += Use(path_, context_.get()) == GLQ_OK;
  }
  EXPECT_LT(accepted, static_cast<int>(header));  // what is still a well-formed file, such as another tensor's name
}

TEST_F(HostileCheckpoint, RandomMutationsOfTheHeader) {
  std::mt19937 random(7);
  StFile f = LayerFile("l", 4);
  f.tensors["x"] = {"F8_E4M3", {4}, "abcd"};
  const std::string good = f.Bytes();
  uint64_t length;
  std::memcpy(&length, good.data(), 8);
  const std::string header = good.substr(8, length), data = good.substr(8 + length);
  const char* pieces[] = {"{",
                          "}",
                          "[",
                          "]",
                          ",",
                          ":",
                          "\"",
                          "null",
                          "true",
                          "-1",
                          "1e999",
                          "0",
                          "18446744073709551615",
                          "9223372036854775808",
                          "99999999999999999999999",
                          "\"shape\"",
                          "\"dtype\"",
                          "\"data_offsets\"",
                          "\"__metadata__\"",
                          "\"I64\"",
                          "\\u0000",
                          "\xC0\x80",
                          "\xFF",
                          " "};
  for (int i = 0; i < 6000; ++i) {
    std::string h = header;
    for (unsigned edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % h.size();
      switch (random() % 5) {
        case 0:
          h[at] = static_cast<char>(random());
          break;
        case 1:
          h.erase(at, 1 + random() % 8);
          break;
        case 2:
          h.insert(at, pieces[random() % (sizeof(pieces) / sizeof(pieces[0]))]);
          break;
        case 3:
          h.insert(at, h.substr(random() % h.size(), random() % 40));
          break;
        default: {  // another number
          const size_t digit = h.find_first_of("0123456789", at);
          if (digit != std::string::npos) h[digit] = static_cast<char>('0' + random() % 10);
        }
      }
      if (h.empty()) h = " ";
    }
    WriteFile(path_, WithHeader(h, data));
    static_cast<void>(Use(path_, context_.get()));
  }
}

TEST_F(HostileCheckpoint, RandomBytes) {
  std::mt19937 random(11);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    WriteFile(path_, i % 2 ? bytes : WithHeader(bytes));
    EXPECT_EQ(Use(path_, context_.get()), GLQ_E_BAD_FILE);
  }
}

TEST_F(HostileCheckpoint, Lengths) {
  Refused("", "has 0 bytes");
  Refused("1234567", "has 7 bytes");
  for (const uint64_t n : {uint64_t{1}, uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &n, 8);
    Refused(bytes, "length is " + std::to_string(n));
  }
  Refused(WithHeader(""), "not valid JSON");
}

TEST_F(HostileCheckpoint, Headers) {
  const auto entry = [](const std::string& fields) {
    return WithHeader("{\"a\": {" + fields + "}}", "0123456789abcdef");
  };
  Refused(WithHeader("[]"), "an array is not expected");
  Refused(WithHeader("3"), "a number is not expected");
  Refused(WithHeader("{\"a\": 3}"), "a number is not expected");
  Refused(WithHeader("{} {}"), "not valid JSON");
  Refused(WithHeader(std::string(200000, '[')), "not expected");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  Refused(WithHeader(deep), "not expected");
  Refused(entry(""), "missing");
  Refused(entry(R"("dtype": "F16", "shape": [2])"), "missing");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [0, 4], "dtype": "F16")"), "twice");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [0, 4], "more": 1)"), "\"more\" is not expected");
  Refused(entry(R"("dtype": 3, "shape": [2], "data_offsets": [0, 4])"), "a number is not expected");
  Refused(entry(R"("dtype": "F16", "shape": [-2], "data_offsets": [0, 4])"), "a negative number");
  Refused(entry(R"("dtype": "F16", "shape": [2.0], "data_offsets": [0, 4])"), "not an integer");
  Refused(entry(R"("dtype": "F16", "shape": [[2]], "data_offsets": [0, 4])"), "an array is not expected");
  Refused(entry(R"("dtype": "F16", "shape": 2, "data_offsets": [0, 4])"), "a number is not expected");
  Refused(entry(R"("dtype": "F16", "shape": [18446744073709551615], "data_offsets": [0, 4])"), "too large");
  Refused(entry(R"("dtype": "F16", "shape": [9223372036854775807, 2], "data_offsets": [0, 4])"), "2^63");
  Refused(entry(R"("dtype": "F16", "shape": [4294967296, 4294967296], "data_offsets": [0, 4])"), "2^63");
  Refused(entry(R"("dtype": "F16", "shape": [3], "data_offsets": [0, 4])"), "4 bytes, expected 6");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [4, 0])"), "data_offsets [4, 0]");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [13, 17])"), "offsets up to 16");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [18446744073709551612, 0])"), "data_offsets");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [0])"), "two numbers");
  Refused(entry(R"("dtype": "F16", "shape": [2], "data_offsets": [0, 4, 8])"), "a number is not expected");
  std::string shape = "1";
  for (int i = 0; i < 64; ++i) shape += ", 1";
  Refused(entry("\"dtype\": \"U8\", \"shape\": [" + shape + "], \"data_offsets\": [0, 1]"), "rank");
  Refused(
      WithHeader(
          R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]}})",
          "01234567"),
      "\"b\" begins at 3, expected at least 4, where \"a\" ends");
  Refused(
      WithHeader(
          R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}})",
          "01234567"),
      "\"a\" is there twice");
  Refused(WithHeader(R"({"a\u0000b": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", "0123"), "NUL");
  Refused(WithHeader("{\"a\xFF\": {\"dtype\": \"U8\", \"shape\": [4], \"data_offsets\": [0, 4]}}", "0123"),
          "not valid JSON");
  Refused(WithHeader(R"({"\uD800": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", "0123"), "not valid JSON");
  Refused(WithHeader(R"({"__metadata__": 3})"), "a number is not expected");
  Refused(WithHeader(R"({"__metadata__": {"a": 3}})"), "a number is not expected");
  Refused(WithHeader(R"({"__metadata__": {"a": "b", "a": "c"}})"), "twice");
  Refused(WithHeader(R"({"__metadata__": {}, "__metadata__": {}})"), "twice");
  Refused(WithHeader(R"({"__metadata__": {"a": "\u0000"}})"), "NUL");
}

TEST_F(HostileCheckpoint, WellFormedOddities) {
  for (
      const std::string& header :
      {std::string("{}"), std::string("{}        "), std::string(R"({"__metadata__": {}})"),
       std::string(
           R"({"a": {"data_offsets": [0, 0], "shape": [0, 9223372036854775807, 9223372036854775807], "dtype": "F64"}})"),
       std::string("{\"\": {\"dtype\": \"U8\", \"shape\": [], \"data_offsets\": [1, 2]}}")}) {
    WriteFile(path_, WithHeader(header, "abc"));
    EXPECT_EQ(Use(path_, context_.get()), GLQ_OK) << header << LastMessage();
  }
}

}  // namespace
}  // namespace glq::test
