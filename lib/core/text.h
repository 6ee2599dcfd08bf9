// Text for callers: always valid UTF-8, always terminated.
#pragma once

#include <cstddef>
#include <string_view>

namespace glq {

// Length of the character at the front of `text` (not empty) in bytes; 0 if it is not valid UTF-8.
size_t Utf8Length(std::string_view text);
bool IsUtf8(std::string_view text);

// As much of `from` as `size` bytes hold, cut at a character boundary; bytes that are no UTF-8 become '?'.
void CopyText(char* to, size_t size, const char* from);

}  // namespace glq
