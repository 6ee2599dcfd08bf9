#include "core/text.h"

#include <cstdint>
#include <cstring>

namespace glq {

size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<unsigned char>(text[i]); };
  const uint32_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
      (first == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return length;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

void CopyText(char* to, size_t size, const char* from) {
  std::string_view text(from);
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    const size_t take = n == 0 ? 1 : n;
    if (take + 1 > size) break;
    if (n == 0) {
      *to = '?';
    } else {
      std::memcpy(to, text.data(), n);
    }
    to += take;
    size -= take;
    text.remove_prefix(take);
  }
  *to = '\0';
}

}  // namespace glq
