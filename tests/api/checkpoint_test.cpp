// Checkpoints through the C interface: the golden ones, sizes from metadata, shards, and what is refused.
#include <cmath>
#include <functional>
#include <set>

#include "api/fixture.h"
#include "api/safetensors_builder.h"

namespace glq::test {
namespace {

CheckpointPtr Open(const std::string& path) {
  glq_checkpoint* file = nullptr;
  EXPECT_EQ(glq_checkpoint_open(path.c_str(), &file), GLQ_OK) << LastMessage();
  return CheckpointPtr(file);
}

std::vector<std::string> Layers(const glq_checkpoint* file) {
  int64_t count = -1;
  EXPECT_EQ(glq_checkpoint_layer_count(file, &count), GLQ_OK);
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    EXPECT_EQ(glq_checkpoint_layer_name(file, i, &name), GLQ_OK);
    names.push_back(name);
  }
  return names;
}

class GoldenCheckpoint : public testing::TestWithParam<const char*> {};

TEST_P(GoldenCheckpoint, LayersGiveTheExpectedOutputs) {
  const Golden golden;
  const std::string name = GetParam();
  const ContextPtr context = MakeContext();
  CheckpointPtr file = Open(Golden::Dir() + name);
  const std::vector<std::string> layers = Layers(file.get());
  std::set<std::string> expected;
  for (const std::string& n : golden.names()) {
    if (n.rfind(name + "/", 0) == 0) expected.insert(n.substr(name.size() + 1, n.rfind('/') - name.size() - 1));
  }
  ASSERT_EQ(std::set<std::string>(layers.begin(), layers.end()), expected);
  ASSERT_TRUE(std::is_sorted(layers.begin(), layers.end()));
  struct Loaded {
    std::string name;
    TensorPtr weight;
    int64_t rows, cols;
  };
  std::vector<Loaded> loaded;
  for (const std::string& layer : layers) {
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    ASSERT_EQ(glq_checkpoint_layer(file.get(), layer.c_str(), &desc), GLQ_OK) << LastMessage();
    // The file does not know the unpadded sizes; the outputs do.
    desc.in_features = golden.Load(name + "/" + layer + "/x").shape[1];
    desc.out_features = golden.Load(name + "/" + layer + "/y_ref_f64").shape[1];
    EXPECT_LE(desc.in_features, desc.padded_in);
    loaded.push_back({layer, MakeWeight(context.get(), desc), desc.out_features, desc.in_features});
  }
  file.reset();  // weights have their own copies
  for (const Loaded& l : loaded) {
    const Array x = ArrayOf(golden, name + "/" + l.name + "/x");
    const auto want = golden.Load<double>(name + "/" + l.name + "/y_ref_f64");
    Array y = FusedLinear(context.get(), l.weight.get(), x, GLQ_DTYPE_F32);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      difference += std::pow(y.as<float>()[i] - want[i], 2);
      norm += std::pow(want[i], 2);
    }
    EXPECT_LT(std::sqrt(difference / norm), 1e-4) << l.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenCheckpoint, testing::Values("ckpt_e8p_blockdiag", "ckpt_e8p_pow2_legacy"));

TEST(Checkpoint, TensorsAreViewsOfTheFile) {
  const std::string path = Golden::Dir() + "ckpt_e8p_blockdiag/model.safetensors";
  const CheckpointPtr file = Open(path);
  const std::string bytes = ReadFile(path);
  uint64_t n;
  std::memcpy(&n, bytes.data(), 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, n));
  int64_t count = 0;
  ASSERT_EQ(glq_checkpoint_tensor_count(file.get(), &count), GLQ_OK);
  EXPECT_EQ(count, static_cast<int64_t>(header.size()) - 1);
  std::string last;
  for (int64_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    ASSERT_EQ(glq_checkpoint_tensor_name(file.get(), i, &name), GLQ_OK);
    EXPECT_LT(last, name);
    last = name;
    glq_view view;
    ASSERT_EQ(glq_checkpoint_tensor(file.get(), name, &view), GLQ_OK) << LastMessage();
    const auto& entry = header.at(name);
    EXPECT_EQ(std::vector<int64_t>(view.shape, view.shape + view.ndim), entry["shape"].get<std::vector<int64_t>>());
    EXPECT_EQ(view.flags, GLQ_VIEW_READ_ONLY);
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    EXPECT_EQ(std::memcmp(view.data, bytes.data() + 8 + n + begin, end - begin), 0) << name;
    // Any alignment will do for a copy.
    const ContextPtr context = MakeContext(1);
    glq_tensor* copy = nullptr;
    ASSERT_EQ(glq_tensor_create_copy(context.get(), nullptr, &view, &copy), GLQ_OK) << LastMessage();
    glq_view copied;
    ASSERT_EQ(glq_tensor_view(copy, &copied), GLQ_OK);
    EXPECT_EQ(std::memcmp(view.data, copied.data, end - begin), 0);
    glq_tensor_destroy(copy);
  }
}

TEST(Checkpoint, WeightsFromTheFileAreTheContractsBytes) {
  // The golden layer's tensors under checkpoint names, at odd addresses.
  const Golden golden, exact("exact.tsv");
  const TempDir dir;
  for (const char* layer : {"bd_96x192/b7", "bd_100x200/b3", "pow2_48x80/b4"}) {
    StFile f;
    f.tensors["a"] = {"U8", {1}, "x"};
    for (const std::string& name : golden.names()) {
      const std::string prefix = std::string(layer) + "/";
      if (name.rfind(prefix, 0) != 0) continue;
      const std::string key = name.substr(prefix.size());
      if (key.rfind("Q", 0) != 0 && key.rfind("S", 0) != 0 && key.rfind("inv", 0) != 0 && key != "Wscale") continue;
      const GoldenArray a = golden.Load(name);
      StTensor t{a.dtype == "i64"   ? "I64"
                 : a.dtype == "f16" ? "F16"
                                    : "F32",
                 a.shape,
                 {reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()}};
      if (t.dtype == "F32") t.shape.clear();
      f.tensors["model.l." + key] = t;
    }
    const std::string dims = std::string(layer).substr(std::string(layer).find('_') + 1);
    const int64_t out = std::stoll(dims), in = std::stoll(dims.substr(dims.find('x') + 1));
    f.metadata["format"] = "pt";
    f.metadata["glq.layers"] = nlohmann::json{{"model.l", {out, in}}}.dump();
    WriteFile(dir / "model.safetensors", f.Bytes());
    const CheckpointPtr file = Open(dir.path());
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    ASSERT_EQ(glq_checkpoint_layer(file.get(), "model.l", &desc), GLQ_OK) << LastMessage();
    EXPECT_EQ(desc.in_features, in);
    EXPECT_EQ(desc.out_features, out);
    const ContextPtr context = MakeContext();
    const TensorPtr weight = MakeWeight(context.get(), desc);
    const std::string shape = std::string(layer).substr(0, std::string(layer).find('/'));
    EXPECT_EQ(FusedLinear(context.get(), weight.get(), ArrayOf(golden, shape + "/x"), GLQ_DTYPE_F32).values(),
              ArrayOf(exact, std::string(layer) + "/y_exact_f32").values());
  }
}

TEST(Checkpoint, SizesComeFromMetadataThenBiasThenPadding) {
  const TempDir dir;
  const std::string path = dir / "m.safetensors";
  const auto sizes = [&](const StFile& f) {
    WriteFile(path, f.Bytes());
    const CheckpointPtr file = Open(path);
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    EXPECT_EQ(glq_checkpoint_layer(file.get(), "l", &desc), GLQ_OK) << LastMessage();
    return std::pair(desc.out_features, desc.in_features);
  };
  StFile f = LayerFile("l", 5);
  EXPECT_EQ(sizes(f), std::pair(int64_t{32}, int64_t{128}));
  f.tensors["l.bias"] = {"BF16", {20}, std::string(40, '\0')};
  EXPECT_EQ(sizes(f), std::pair(int64_t{20}, int64_t{128}));
  f.metadata["glq.layers"] = R"({"l": [20, 100], "elsewhere": [1, 1]})";
  EXPECT_EQ(sizes(f), std::pair(int64_t{20}, int64_t{100}));
}

TEST(Checkpoint, ShardsAreOneCheckpoint) {
  const TempDir dir;
  StFile whole = LayerFile("model.a", 4), one, two;
  nlohmann::json index;
  index["metadata"] = {{"total_size", 17}, {"deep", {1, {{"x", nullptr}}, "weight_map"}}};
  bool first = true;
  for (const auto& [name, t] : whole.tensors) {
    (first ? one : two).tensors[name] = t;
    index["weight_map"][name] = first ? "m-1.safetensors" : "m-2.safetensors";
    first = !first;
  }
  two.tensors["not.in.the.map"] = {"F16", {1}, "ab"};
  two.metadata["glq.layers"] = R"({"model.a": [30, 99]})";
  WriteFile(dir / "m-1.safetensors", one.Bytes());
  WriteFile(dir / "m-2.safetensors", two.Bytes());
  WriteFile(dir / "model.safetensors.index.json", index.dump());
  for (const std::string& path : {dir.path(), dir / "model.safetensors.index.json"}) {
    const CheckpointPtr file = Open(path);
    EXPECT_EQ(Layers(file.get()), std::vector<std::string>{"model.a"});
    int64_t count = 0;
    ASSERT_EQ(glq_checkpoint_tensor_count(file.get(), &count), GLQ_OK);
    EXPECT_EQ(count, static_cast<int64_t>(whole.tensors.size()));
    glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
    ASSERT_EQ(glq_checkpoint_layer(file.get(), "model.a", &desc), GLQ_OK);
    EXPECT_EQ(desc.out_features, 30);
    MakeWeight(MakeContext(1).get(), desc);
  }
  const auto refused = [&](const std::string& text, std::vector<std::string> parts) {
    WriteFile(dir / "model.safetensors.index.json", text);
    glq_checkpoint* out = nullptr;
    ExpectFailure("glq_checkpoint_open", glq_checkpoint_open(dir.path().c_str(), &out), GLQ_E_BAD_FILE, parts, 0);
    EXPECT_EQ(out, nullptr);
  };
  refused("", {"not valid JSON"});
  refused("[]", {"an array is not expected"});
  refused("{}", {"no weight_map"});
  refused(R"({"weight_map": 3})", {"weight_map"});
  refused(R"({"weight_map": ["a"]})", {"weight_map"});
  refused(R"({"weight_map": {"a": {"b": "c"}}})", {"weight_map", "an object"});
  refused(R"({"weight_map": {"a": "../m-1.safetensors"}})", {"\"../m-1.safetensors\"", "plain file name"});
  refused(R"({"weight_map": {"a": "/etc/passwd"}})", {"plain file name"});
  refused(R"({"weight_map": {"a": "x\u0000"}})", {"plain file name"});
  refused(R"({"weight_map": {"a": ".."}})", {"plain file name"});
  refused(R"({"weight_map": {"a": ""}})", {"plain file name"});
  refused(R"({"weight_map": {"a": "m-1.safetensors", "a": "m-2.safetensors"}})", {"\"a\" is there twice"});
  refused(R"({"weight_map": {"a": "m-1.safetensors"}})", {"\"m-1.safetensors\" holds a"});
  refused(std::string(100000, '['), {"an array is not expected"});
  glq_checkpoint* out = nullptr;
  WriteFile(dir / "model.safetensors.index.json", R"({"weight_map": {"a": "absent.safetensors"}})");
  EXPECT_FAILS(glq_checkpoint_open, (dir.path().c_str(), &out), GLQ_E_IO, "absent.safetensors", "No such file");
}

TEST(Checkpoint, IndexesOfManyTensors) {
  const TempDir dir;
  constexpr int64_t kTensors = 20000;
  std::string header = "{", map;
  for (int64_t i = 0; i < kTensors; ++i) {
    const std::string name = "\"t" + std::to_string(100000 + i) + "\"";
    header += (i ? "," : "") + name + R"(:{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    map += name + ":\"" + (i % 2 ? "a" : "b") + "\",";
  }
  for (const char* name : {"a", "b"}) WriteFile(dir / name, WithHeader(header + "}"));
  const auto write = [&](const std::string& more) {
    WriteFile(dir / "model.safetensors.index.json", "{\"weight_map\":{" + map + more + "}}");
  };
  write("\"t100000x\":\"b\",\"t100001x\":\"b\"");
  glq_checkpoint* out = nullptr;
  EXPECT_FAILS(glq_checkpoint_open, (dir.path().c_str(), &out), GLQ_E_BAD_FILE, "\"b\" holds t100000x, which");
  map.pop_back();
  write("");
  const CheckpointPtr file = Open(dir.path());
  int64_t count = 0;
  ASSERT_EQ(glq_checkpoint_tensor_count(file.get(), &count), GLQ_OK);
  EXPECT_EQ(count, kTensors);
  const char* name = nullptr;
  ASSERT_EQ(glq_checkpoint_tensor_name(file.get(), kTensors - 1, &name), GLQ_OK);
  EXPECT_STREQ(name, "t119999");
}

TEST(Checkpoint, OtherFormatsAreOrdinaryTensors) {
  StFile f = LayerFile("l", 2);
  f.tensors["emb.Qidxs"] = {"I16", {2, 2}, std::string(8, '\0')};
  f.tensors["emb.Qidxs2"] = {"I16", {2, 2}, std::string(8, '\0')};
  f.tensors["q.trellis_packed"] = {"I16", {2}, std::string(4, '\0')};
  f.tensors["q.inv_resid_scale2"] = {"F32", {}, F32(1)};
  f.tensors["Qidxs_e8p"] = {"I64", {1}, std::string(8, '\0')};
  f.tensors["fp8"] = {"F8_E4M3", {3}, "abc"};
  f.tensors["new"] = {"F4", {3}, "ab"};
  f.tensors["deep"] = {"U8", {1, 1, 1, 1, 1}, "a"};
  f.tensors["empty"] = {"F32", {0, 7}, ""};
  const TempDir dir;
  WriteFile(dir / "x.safetensors", f.Bytes());
  const CheckpointPtr file = Open(dir / "x.safetensors");
  EXPECT_EQ(Layers(file.get()), std::vector<std::string>{"l"});
  glq_view view;
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), "fp8", &view), GLQ_E_DTYPE, "\"fp8\" is of type F8_E4M3");
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), "new", &view), GLQ_E_DTYPE, "\"new\" is of type F4");
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), "deep", &view), GLQ_E_SHAPE, "rank 5", "at most 4");
  ASSERT_EQ(glq_checkpoint_tensor(file.get(), "empty", &view), GLQ_OK);
  EXPECT_EQ(glq_view_check(&view), GLQ_OK);
}

TEST(Checkpoint, Misuse) {
  const TempDir dir;
  WriteFile(dir / "l.safetensors", LayerFile("l", 3).Bytes());
  int not_a_handle[16] = {};
  auto* bogus = reinterpret_cast<glq_checkpoint*>(not_a_handle);
  glq_checkpoint* out = bogus;
  EXPECT_FAILS(glq_checkpoint_open, ("x", nullptr), GLQ_E_INVALID_ARGUMENT, "checkpoint = NULL");
  EXPECT_FAILS(glq_checkpoint_open, (nullptr, &out), GLQ_E_INVALID_ARGUMENT, "path = NULL");
  EXPECT_EQ(out, nullptr);
  out = bogus;
  EXPECT_FAILS(glq_checkpoint_open, ((dir / "absent").c_str(), &out), GLQ_E_IO, "absent", "No such file");
  EXPECT_EQ(out, nullptr);
  glq_error_info info = GLQ_ERROR_INFO_INIT;
  EXPECT_EQ(glq_checkpoint_open((dir / "absent").c_str(), &out), GLQ_E_IO);
  ASSERT_EQ(glq_last_error(&info), GLQ_OK);
  EXPECT_EQ(info.native_domain, GLQ_NATIVE_OS);
  EXPECT_EQ(info.native_code, ENOENT);
  EXPECT_FAILS(glq_checkpoint_open, ("", &out), GLQ_E_IO, "No such file");
  EXPECT_FAILS(glq_checkpoint_open, (dir.path().c_str(), &out), GLQ_E_IO, "model.safetensors");
  EXPECT_FAILS(glq_checkpoint_open, ("/dev/null", &out), GLQ_E_IO, "not a regular file");

  CheckpointPtr file = Open(dir / "l.safetensors");
  CheckpointPtr gone = Open(dir / "l.safetensors");
  glq_checkpoint* dead = gone.get();
  gone.reset();
  int64_t count = 7;
  const char* name = "seven";
  glq_view view;
  std::memset(&view, 0x33, sizeof(view));
  const glq_view before = view;
  glq_e8p_desc desc = GLQ_E8P_DESC_INIT;
  for (glq_checkpoint* handle : {bogus, dead}) {
    EXPECT_FAILS(glq_checkpoint_tensor_count, (handle, &count), GLQ_E_BAD_HANDLE, "checkpoint = 0x",
                 "live glq_checkpoint");
    EXPECT_FAILS(glq_checkpoint_tensor_name, (handle, 0, &name), GLQ_E_BAD_HANDLE, "live glq_checkpoint");
    EXPECT_FAILS(glq_checkpoint_tensor, (handle, "l.SU", &view), GLQ_E_BAD_HANDLE, "live glq_checkpoint");
    EXPECT_FAILS(glq_checkpoint_layer_count, (handle, &count), GLQ_E_BAD_HANDLE, "live glq_checkpoint");
    EXPECT_FAILS(glq_checkpoint_layer_name, (handle, 0, &name), GLQ_E_BAD_HANDLE, "live glq_checkpoint");
    EXPECT_FAILS(glq_checkpoint_layer, (handle, "l", &desc), GLQ_E_BAD_HANDLE, "live glq_checkpoint");
    glq_checkpoint_destroy(handle);
    EXPECT_EQ(LastFunction(), "glq_checkpoint_destroy");
  }
  EXPECT_FAILS(glq_checkpoint_tensor_count, (nullptr, &count), GLQ_E_INVALID_ARGUMENT, "checkpoint = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor_count, (file.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "count = NULL");
  EXPECT_FAILS(glq_checkpoint_layer_count, (nullptr, &count), GLQ_E_INVALID_ARGUMENT, "checkpoint = NULL");
  EXPECT_FAILS(glq_checkpoint_layer_count, (file.get(), nullptr), GLQ_E_INVALID_ARGUMENT, "count = NULL");
  EXPECT_EQ(count, 7);
  EXPECT_FAILS(glq_checkpoint_tensor_name, (file.get(), 0, nullptr), GLQ_E_INVALID_ARGUMENT, "name = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor_name, (file.get(), -1, &name), GLQ_E_NOT_FOUND, "index = -1",
               "expected 0 to 6 - 1");
  EXPECT_FAILS(glq_checkpoint_tensor_name, (file.get(), 6, &name), GLQ_E_NOT_FOUND, "index = 6", "expected 0 to 6 - 1");
  EXPECT_FAILS(glq_checkpoint_layer_name, (file.get(), 0, nullptr), GLQ_E_INVALID_ARGUMENT, "name = NULL");
  EXPECT_FAILS(glq_checkpoint_layer_name, (file.get(), 1, &name), GLQ_E_NOT_FOUND, "index = 1", "expected 0 to 1 - 1");
  EXPECT_FAILS(glq_checkpoint_layer_name, (nullptr, 0, &name), GLQ_E_INVALID_ARGUMENT, "checkpoint = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor, (nullptr, "l.SU", &view), GLQ_E_INVALID_ARGUMENT, "checkpoint = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), nullptr, &view), GLQ_E_INVALID_ARGUMENT, "name = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), "l.SU", nullptr), GLQ_E_INVALID_ARGUMENT, "view = NULL");
  EXPECT_FAILS(glq_checkpoint_tensor, (file.get(), "l.S", &view), GLQ_E_NOT_FOUND, "name = \"l.S\"", "6 tensors");
  EXPECT_EQ(std::memcmp(&view, &before, sizeof(view)), 0);
  EXPECT_FAILS(glq_checkpoint_layer, (file.get(), nullptr, &desc), GLQ_E_INVALID_ARGUMENT, "name = NULL");
  EXPECT_FAILS(glq_checkpoint_layer, (file.get(), "l", nullptr), GLQ_E_INVALID_ARGUMENT, "desc = NULL");
  EXPECT_FAILS(glq_checkpoint_layer, (file.get(), "m", &desc), GLQ_E_NOT_FOUND, "name = \"m\"", "1 E8P layers");
  desc.struct_size = 7;
  EXPECT_FAILS(glq_checkpoint_layer, (file.get(), "l", &desc), GLQ_E_STRUCT_SIZE, "desc.struct_size = 7",
               "expected 112");
  glq_checkpoint_destroy(nullptr);
}

// Files whose tensors do not make a layer.
TEST(Checkpoint, LayersThatDoNotFitAreRefusedByName) {
  const TempDir dir;
  const std::string path = dir / "m.safetensors";
  const auto refused = [&](int bits, const std::function<void(StFile&)>& change, std::vector<std::string> parts) {
    StFile f = LayerFile("l", bits);
    change(f);
    WriteFile(path, f.Bytes());
    glq_checkpoint* out = nullptr;
    ExpectFailure("glq_checkpoint_open", glq_checkpoint_open(path.c_str(), &out), GLQ_E_BAD_FILE, parts, bits);
    EXPECT_EQ(out, nullptr);
  };
  using F = StFile;
  refused(2, [](F& f) { f.tensors.erase("l.SU"); }, {"l.SU is missing"});
  refused(2, [](F& f) { f.tensors.erase("l.SV"); }, {"l.SV is missing"});
  refused(2, [](F& f) { f.tensors.erase("l.Wscale"); }, {"l.Wscale is missing"});
  refused(3, [](F& f) { f.tensors.erase("l.Qidxs_e8p"); }, {"l.Qidxs_e8p is missing"});
  refused(3, [](F& f) { f.tensors.erase("l.inv_resid_scale"); }, {"l.Qidxs2_e81b is there without l.inv_resid_scale"});
  refused(5, [](F& f) { f.tensors.erase("l.inv_resid_scale2"); },
          {"l.Qidxs3_e81b is there without l.inv_resid_scale2"});
  refused(8, [](F& f) { f.tensors.erase("l.inv_resid_scale3"); }, {"l.Qidxs4_e8p is there without l.inv_resid_scale3"});
  refused(3, [](F& f) { f.tensors.erase("l.Qidxs2_e81b"); },
          {"l.inv_resid_scale is there without l.Qidxs2_e8p or l.Qidxs2_e81b"});
  refused(6, [](F& f) { f.tensors.erase("l.Qidxs2_e8p"), f.tensors.erase("l.inv_resid_scale"); },
          {"l.Qidxs3_e8p is there without l.Qidxs2_e8p"});
  refused(4,
          [](F& f) {
            f.tensors["l.Qidxs2_e81b"] = {"I64", {32, 2}, std::string(512, '\0')};
          },
          {"l.Qidxs2_e8p and l.Qidxs2_e81b are both there"});
  refused(3,
          [](F& f) {
            f.tensors["l.Qidxs3_e8p"] = f.tensors["l.Qidxs_e8p"],
            f.tensors["l.inv_resid_scale2"] = f.tensors["l.inv_resid_scale"];
          },
          {"l.Qidxs3_e8p follows an E81B stage"});
  refused(2,
          [](F& f) {
            f.tensors["l.Qidxs_e81b"] = {"I64", {32, 2}, std::string(512, '\0')};
          },
          {"l.Qidxs_e8p and l.Qidxs_e81b"});
  refused(4, [](F& f) { f.tensors["l.inv_resid_scale"].bytes = F32(0); }, {"l.inv_resid_scale is 0", "l.Qidxs2_e8p"});
  refused(4, [](F& f) { f.tensors["l.inv_resid_scale"].bytes = F32(NAN); }, {"l.inv_resid_scale is", "nan"});
  refused(2, [](F& f) { f.tensors["l.Wscale"].bytes = F32(INFINITY); }, {"l.Wscale is inf"});
  refused(2, [](F& f) { f.tensors["l.Wscale"] = {"F32", {2}, F32(1) + F32(1)}; }, {"l.Wscale is not a single number"});
  refused(2, [](F& f) { f.tensors["l.Wscale"] = {"F16", {}, "ab"}; }, {"l.Wscale is F16, expected F32"});
  refused(2, [](F& f) { f.tensors["l.SU"].dtype = "BF16"; }, {"l.SU is BF16, expected F16"});
  refused(2,
          [](F& f) {
            f.tensors["l.SU"] = {"F16", {31}, std::string(62, 'a')};
          },
          {"l.SU is of shape [31], expected [32]"});
  refused(2,
          [](F& f) {
            f.tensors["l.SV"] = {"F16", {64, 2}, std::string(256, 'a')};
          },
          {"l.SV is of shape [64, 2], expected [128]"});
  refused(4,
          [](F& f) {
            f.tensors["l.Qidxs2_e8p"] = {"I64", {2, 1, 8, 4}, std::string(512, 'a')};
          },
          {"l.Qidxs2_e8p is of shape [2, 1, 8, 4], expected [2, 2, 8, 4]"});
  refused(2,
          [](F& f) {
            f.tensors["l.Qidxs_e8p"].shape = {2, 2, 4, 8};
          },
          {"l.Qidxs_e8p is of shape [2, 2, 4, 8], expected [2, 2, 8, 4]"});
  refused(2, [](F& f) { f.tensors["l.Qidxs_e8p"].shape = {4, 8, 4}; }, {"l.Qidxs_e8p is not I64 of rank 4"});
  refused(2, [](F& f) { f.tensors["l.Qidxs_e8p"].dtype = "U64"; }, {"l.Qidxs_e8p is not I64"});
  refused(2,
          [](F& f) {
            f.tensors["l.Qidxs_e8p"] = {"I64", {0, 2, 8, 4}, ""};
          },
          {"l.Qidxs_e8p is of a dimension that is 0"});
  refused(2, [](F& f) { f.tensors["l.bias"] = {"I64", {1}, std::string(8, 'a')}; }, {"l.bias is I64"});
  refused(2,
          [](F& f) {
            f.tensors["l.bias"] = {"F32", {33}, std::string(132, 'a')};
          },
          {"l.bias has 33 elements, expected 1 to 32"});
  refused(2, [](F& f) { f.tensors["l.bias"] = {"F32", {}, F32(1)}; }, {"l.bias is not of rank 1"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = "nonsense"; }, {"glq.layers", "not valid JSON"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [33, 1]})"; }, {"padded [32, 128]", "[33, 1]"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [32]})"; }, {"glq.layers", "\"l\""});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [1, 2, 3]})"; }, {"glq.layers"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [0, 3]})"; }, {"size 0"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [-1, 3]})"; }, {"glq.layers"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": {"a": 1}})"; }, {"glq.layers"});
  refused(2, [](F& f) { f.metadata["glq.layers"] = R"({"l": [3, 3], "l": [4, 3]})"; }, {"contradict"});
  refused(2,
          [](F& f) {
            f.metadata["glq.layers"] = R"({"l": [8, 3]})", f.tensors["l.bias"] = {"F16", {9}, std::string(18, 'a')};
          },
          {"l.bias has 9 elements", "says 8 rows"});
}

}  // namespace
}  // namespace glq::test
