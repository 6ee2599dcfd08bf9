// The base of readers that take JSON as it is parsed. What a reader does not expect is an error, so
// neither depth nor size of unexpected parts matters, and nothing is built that is not wanted.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace glq::checkpoint {

class JsonEvents {
 public:
  using Json = nlohmann::json;
  virtual ~JsonEvents() = default;

  // Each says whether the event fits; if not it has called Unexpected or set problem_.
  virtual bool null() { return Unexpected("null"); }
  virtual bool boolean(bool) { return Unexpected("a boolean"); }
  virtual bool number_integer(Json::number_integer_t) { return Unexpected("a negative number"); }
  virtual bool number_unsigned(Json::number_unsigned_t) { return Unexpected("a number"); }
  virtual bool number_float(Json::number_float_t, const std::string&) {
    return Unexpected("a number that is not an integer");
  }
  virtual bool string(std::string&) { return Unexpected("a string"); }
  virtual bool binary(Json::binary_t&) { return Unexpected("binary data"); }
  virtual bool start_object(size_t) { return Unexpected("an object"); }
  virtual bool key(std::string&) { return Unexpected("a key"); }
  virtual bool end_object() { return true; }
  virtual bool start_array(size_t) { return Unexpected("an array"); }
  virtual bool end_array() { return true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    return Problem("not valid JSON at byte " + std::to_string(position));
  }

  // Feeds `text` to this reader. Empty if all went well, else what is wrong.
  std::string Read(std::string_view text) {
    if (!Json::sax_parse(text.begin(), text.end(), this) && problem_.empty()) problem_ = "not valid JSON";
    return problem_;
  }

 protected:
  virtual std::string Where() const = 0;
  bool Unexpected(const char* what) { return Problem(Where() + ": " + what + " is not expected"); }
  bool Problem(std::string text) {
    std::replace(text.begin(), text.end(), '\0', '?');  // names come from the file
    if (problem_.empty()) problem_ = std::move(text);
    return false;
  }

 private:
  std::string problem_;
};

}  // namespace glq::checkpoint
