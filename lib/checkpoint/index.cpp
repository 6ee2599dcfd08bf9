#include "checkpoint/index.h"

#include "checkpoint/json_events.h"
#include "core/error.h"
#include "glq/base.h"

namespace glq::checkpoint {
namespace {

// A plain name: an index must not lead out of its directory.
bool IsFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

// { "metadata": <anything>, "weight_map": {"tensor": "file", ...} }
class IndexReader final : public JsonEvents {
 public:
  explicit IndexReader(std::map<std::string, std::string>& map) : map_(map) {}
  bool found() const { return found_; }

  bool null() override { return Skip(); }
  bool boolean(bool) override { return Skip(); }
  bool number_integer(Json::number_integer_t) override { return Skip(); }
  bool number_unsigned(Json::number_unsigned_t) override { return Skip(); }
  bool number_float(Json::number_float_t, const std::string&) override { return Skip(); }

  bool string(std::string& text) override {
    if (!in_map_) return Skip();
    if (!IsFileName(text))
      return Problem("weight_map: the file \"" + text + "\" of \"" + tensor_ + "\" is not a plain file name");
    if (!map_.emplace(tensor_, text).second)
      return Problem("weight_map: the tensor \"" + tensor_ + "\" is there twice");
    return true;
  }

  bool start_object(size_t) override {
    if (in_map_) return Unexpected("an object");
    if (AtMap()) {
      if (found_) return Problem("weight_map is there twice");
      in_map_ = found_ = true;
    }
    ++depth_;
    return true;
  }

  bool end_object() override {
    --depth_;
    in_map_ = false;
    return true;
  }

  bool start_array(size_t) override {
    if (in_map_ || AtMap() || depth_ == 0) return Unexpected("an array");
    ++depth_;
    return true;
  }
  bool end_array() override { return end_object(); }

  bool key(std::string& text) override {
    if (in_map_) {
      tensor_ = text;
      if (text.find('\0') != std::string::npos) return Problem("weight_map: a tensor's name holds a NUL");
    } else if (depth_ == 1) {
      map_next_ = text == "weight_map";
    }
    return true;
  }

 private:
  // Whether the value that comes is that of the key weight_map.
  bool AtMap() const { return depth_ == 1 && map_next_; }
  // A value outside the map, which nobody needs.
  bool Skip() { return in_map_ || AtMap() || depth_ == 0 ? Unexpected("a value") : true; }
  std::string Where() const override { return in_map_ || AtMap() ? "weight_map" : "the index"; }

  std::map<std::string, std::string>& map_;
  std::string tensor_;
  int64_t depth_ = 0;
  bool map_next_ = false, in_map_ = false, found_ = false;
};

}  // namespace

std::map<std::string, std::string> ParseIndex(const std::string& path, std::string_view text) {
  std::map<std::string, std::string> map;
  IndexReader reader(map);
  std::string problem = reader.Read(text);
  if (problem.empty() && !reader.found()) problem = "there is no weight_map";
  if (!problem.empty()) throw Error(GLQ_E_BAD_FILE, "\"" + path + "\": " + problem);
  return map;
}

}  // namespace glq::checkpoint
