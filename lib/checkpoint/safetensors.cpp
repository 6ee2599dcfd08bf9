#include "checkpoint/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <string_view>

#include "checkpoint/json_events.h"
#include "core/error.h"

namespace glq::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used where they lie");

// The limit of the reference reader.
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 64;

struct Type {
  std::string_view name;
  int64_t bytes;
  glq_dtype dtype;
};

constexpr Type kTypes[] = {
    {"BOOL", 1, 0},
    {"F8_E4M3", 1, 0},
    {"F8_E5M2", 1, 0},
    {"F8_E8M0", 1, 0},
    {"U32", 4, 0},
    {"U64", 8, 0},
    {"C64", 8, 0},
    {"I8", 1, GLQ_DTYPE_I8},
    {"U8", 1, GLQ_DTYPE_U8},
    {"I16", 2, GLQ_DTYPE_I16},
    {"U16", 2, GLQ_DTYPE_U16},
    {"F16", 2, GLQ_DTYPE_F16},
    {"BF16", 2, GLQ_DTYPE_BF16},
    {"I32", 4, GLQ_DTYPE_I32},
    {"F32", 4, GLQ_DTYPE_F32},
    {"I64", 8, GLQ_DTYPE_I64},
    {"F64", 8, GLQ_DTYPE_F64},
};

struct Header {
  struct Item {
    TensorEntry entry;
    uint64_t begin = 0, end = 0;
  };
  std::vector<Item> items;
  std::map<std::string, std::string> metadata;
};

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

// { "name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, ..., "__metadata__": {"key": "text"} }
class HeaderReader final : public JsonEvents {
 public:
  explicit HeaderReader(Header& header) : header_(header) {}

  bool start_object(size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kNames;
        return true;
      case State::kTensor:
        state_ = State::kFields;
        fields_ = 0;
        return true;
      case State::kMetadata:
        state_ = State::kMetadataKeys;
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool end_object() override {
    if (state_ == State::kFields) {
      if (fields_ != (kType | kShape | kOffsets)) return Problem(Where() + ": dtype, shape or data_offsets is missing");
      header_.items.push_back(std::move(item_));
    }
    state_ = state_ == State::kNames ? State::kEnd : State::kNames;
    return true;
  }

  bool key(std::string& text) override {
    if (state_ == State::kNames) return StartEntry(text);
    if (state_ == State::kMetadataKeys) {
      metadata_key_ = text;
      if (HasNul(text)) return Problem("__metadata__: a key holds a NUL");
      if (header_.metadata.contains(text)) return Problem("__metadata__: the key \"" + text + "\" is there twice");
      state_ = State::kMetadataText;
      return true;
    }
    if (state_ == State::kFields) {
      if (text == "dtype") return StartField(kType, State::kTypeText);
      if (text == "shape") return StartField(kShape, State::kShapeArray);
      if (text == "data_offsets") return StartField(kOffsets, State::kOffsetsArray);
      return Problem(Where() + ": the field \"" + text + "\" is not expected");
    }
    return Unexpected("a key");
  }

  bool string(std::string& text) override {
    if (state_ == State::kTypeText) {
      if (HasNul(text)) return Problem(Where() + ": the dtype holds a NUL");
      item_.entry.type = text;
      state_ = State::kFields;
      return true;
    }
    if (state_ == State::kMetadataText) {
      if (HasNul(text)) return Problem("__metadata__: a value holds a NUL");
      header_.metadata.emplace(metadata_key_, text);
      state_ = State::kMetadataKeys;
      return true;
    }
    return Unexpected("a string");
  }

  bool start_array(size_t) override {
    if (state_ == State::kShapeArray) {
      state_ = State::kShapeItems;
      return true;
    }
    if (state_ == State::kOffsetsArray) {
      state_ = State::kOffsetItems;
      offsets_ = 0;
      return true;
    }
    return Unexpected("an array");
  }

  bool end_array() override {
    if (state_ == State::kOffsetItems && offsets_ != 2)
      return Problem(Where() + ": data_offsets does not hold two numbers");
    state_ = State::kFields;
    return true;
  }

  bool number_unsigned(Json::number_unsigned_t n) override {
    if (state_ == State::kShapeItems) {
      if (n > INT64_MAX) return Problem(Where() + ": the extent " + std::to_string(n) + " is too large");
      if (item_.entry.shape.size() == kMaxRank)
        return Problem(Where() + ": the rank is above " + std::to_string(kMaxRank));
      item_.entry.shape.push_back(static_cast<int64_t>(n));
      return true;
    }
    if (state_ == State::kOffsetItems && offsets_ < 2) {
      (offsets_ == 0 ? item_.begin : item_.end) = n;
      ++offsets_;
      return true;
    }
    return Unexpected("a number");
  }

 private:
  enum class State {
    kStart,
    kNames,
    kTensor,
    kFields,
    kTypeText,
    kShapeArray,
    kShapeItems,
    kOffsetsArray,
    kOffsetItems,
    kMetadata,
    kMetadataKeys,
    kMetadataText,
    kEnd
  };
  enum Field : unsigned { kType = 1, kShape = 2, kOffsets = 4 };

  bool StartEntry(const std::string& name) {
    if (HasNul(name)) return Problem("a tensor's name holds a NUL");
    if (!names_.insert(name).second) return Problem("the tensor \"" + name + "\" is there twice");
    if (name == "__metadata__") {
      state_ = State::kMetadata;
      return true;
    }
    item_ = {};
    item_.entry.name = name;
    state_ = State::kTensor;
    return true;
  }

  bool StartField(Field field, State state) {
    if (fields_ & field) return Problem(Where() + ": a field is there twice");
    fields_ |= field;
    state_ = state;
    return true;
  }

  std::string Where() const override {
    switch (state_) {
      case State::kStart:
      case State::kNames:
      case State::kEnd:
        return "the header";
      case State::kMetadata:
      case State::kMetadataKeys:
      case State::kMetadataText:
        return "__metadata__";
      default:
        return "tensor \"" + item_.entry.name + "\"";
    }
  }

  Header& header_;
  State state_ = State::kStart;
  std::set<std::string> names_;
  std::string metadata_key_;
  Header::Item item_;
  unsigned fields_ = 0;
  int offsets_ = 0;
};

[[noreturn]] void FailFile(const std::string& path, const std::string& what) {
  throw Error(GLQ_E_BAD_FILE, "\"" + path + "\": " + what);
}

// Bounds, size, and that no two tensors share a byte.
void CheckOffsets(const std::string& path, std::vector<Header::Item>& items, uint64_t data_bytes) {
  for (Header::Item& item : items) {
    TensorEntry& t = item.entry;
    if (item.begin > item.end || item.end > data_bytes) {
      FailFile(path, "tensor \"" + t.name + "\" has data_offsets [" + std::to_string(item.begin) + ", " +
                         std::to_string(item.end) + "], expected offsets up to " + std::to_string(data_bytes));
    }
    t.bytes = static_cast<int64_t>(item.end - item.begin);
    const Type* type =
        std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& k) { return k.name == t.type; });
    if (type == std::end(kTypes)) continue;
    t.dtype = type->dtype;
    int64_t bytes = type->bytes;
    const bool empty = std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end();
    for (const int64_t n : t.shape) {
      if (!empty && __builtin_mul_overflow(bytes, n, &bytes))
        FailFile(path, "tensor \"" + t.name + "\" has a shape of more than 2^63 bytes");
    }
    if (empty) bytes = 0;
    if (bytes != t.bytes) {
      FailFile(path, "tensor \"" + t.name + "\" has " + std::to_string(t.bytes) + " bytes, expected " +
                         std::to_string(bytes) + " for its shape and type " + t.type);
    }
  }
  std::vector<const Header::Item*> order;
  for (const Header::Item& item : items) {
    if (item.begin != item.end) order.push_back(&item);
  }
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i]->begin < order[i - 1]->end) {
      FailFile(path, "tensor \"" + order[i]->entry.name + "\" begins at " + std::to_string(order[i]->begin) +
                         ", expected at least " + std::to_string(order[i - 1]->end) + ", where \"" +
                         order[i - 1]->entry.name + "\" ends");
    }
  }
}

}  // namespace

SafetensorsFile ParseSafetensors(const std::string& path, const std::byte* data, size_t size) {
  uint64_t length;
  if (size < sizeof(length)) FailFile(path, "the file has " + std::to_string(size) + " bytes, expected at least 8");
  std::memcpy(&length, data, sizeof(length));
  const uint64_t limit = std::min<uint64_t>(kMaxHeader, size - sizeof(length));
  if (length > limit) {
    FailFile(path, "the header's length is " + std::to_string(length) + ", expected at most " + std::to_string(limit));
  }
  Header header;
  const std::string_view text(reinterpret_cast<const char*>(data) + sizeof(length), length);
  if (const std::string problem = HeaderReader(header).Read(text); !problem.empty()) FailFile(path, problem);
  const std::byte* tensors = data + sizeof(length) + length;
  CheckOffsets(path, header.items, size - sizeof(length) - length);
  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (Header::Item& item : header.items) {
    item.entry.data = tensors + item.begin;
    file.tensors.push_back(std::move(item.entry));
  }
  return file;
}

}  // namespace glq::checkpoint
