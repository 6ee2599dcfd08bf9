// Structs that grow by appending: the caller's `struct_size` says how much of one is there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "glq.h"

namespace glq {

// Size of a struct in the release that introduced it: no caller's can be smaller.
template <typename T>
inline constexpr uint32_t kFirstSize = 0;
template <>
inline constexpr uint32_t kFirstSize<glq_error_info> = 32;
template <>
inline constexpr uint32_t kFirstSize<glq_cuda_info> = 40;
template <>
inline constexpr uint32_t kFirstSize<glq_device_info> = 304;
template <>
inline constexpr uint32_t kFirstSize<glq_context_desc> = 72;
template <>
inline constexpr uint32_t kFirstSize<glq_context_info> = 48;
template <>
inline constexpr uint32_t kFirstSize<glq_op_query> = 48;
template <>
inline constexpr uint32_t kFirstSize<glq_op_support_info> = 280;
template <>
inline constexpr uint32_t kFirstSize<glq_tensor_info> = 72;
template <>
inline constexpr uint32_t kFirstSize<glq_e8p_desc> = 112;
template <>
inline constexpr uint32_t kFirstSize<glq_e8p_info> = 144;
template <>
inline constexpr uint32_t kFirstSize<glq_e8p_parts> = 64;
template <>
inline constexpr uint32_t kFirstSize<glq_launch_opts> = 16;
template <>
inline constexpr uint32_t kFirstSize<glq_quantizer_desc> = 80;
template <>
inline constexpr uint32_t kFirstSize<glq_quantizer_report> = 96;

// More than any struct will have; a garbage size is refused instead of followed.
inline constexpr uint32_t kMaxStructSize = 4096;

template <typename T>
constexpr void CheckGrowing() {
  static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
  static_assert(kFirstSize<T> != 0 && sizeof(T) >= kFirstSize<T>);
}

template <typename T>
void CheckStructSize(const char* name, uint32_t size) {
  CheckGrowing<T>();
  if (size < kFirstSize<T> || size > kMaxStructSize) {
    Fail(GLQ_E_STRUCT_SIZE, "%s = %u, expected %u", name, size, static_cast<uint32_t>(sizeof(T)));
  }
}

// Refuses a struct of the caller that is null or of an impossible size.
template <typename T>
void CheckStruct(const char* name, const T* given) {
  if (!given) Fail(GLQ_E_INVALID_ARGUMENT, "%s = NULL, expected a struct", name);
  CheckGrowing<T>();
  if (given->struct_size < kFirstSize<T> || given->struct_size > kMaxStructSize) {
    Fail(GLQ_E_STRUCT_SIZE, "%s.struct_size = %u, expected %u", name, given->struct_size,
         static_cast<uint32_t>(sizeof(T)));
  }
}

// The fields that both sides know; what an older caller does not have is zero. A newer caller's
// unknown fields must be zero: they ask for something that this library cannot do.
template <typename T>
T ReadStruct(const char* name, const T* given) {
  CheckStruct(name, given);
  T out{};
  std::memcpy(&out, given, std::min<size_t>(given->struct_size, sizeof(T)));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (uint32_t i = sizeof(T); i < given->struct_size; ++i) {
    if (bytes[i] != 0) {
      Fail(GLQ_E_STRUCT_SIZE,
           "%s.struct_size = %u with byte %u = %u, expected 0 beyond the %u bytes this library knows", name,
           given->struct_size, i, bytes[i], static_cast<uint32_t>(sizeof(T)));
    }
  }
  return out;
}

// Fills what the caller's struct has room for; fields that only the caller knows become 0. `given`
// has passed CheckStruct.
template <typename T>
void WriteStruct(T* given, const T& value) {
  const uint32_t size = given->struct_size;
  const size_t head = sizeof(uint32_t), known = std::min<size_t>(size, sizeof(T));
  std::memcpy(reinterpret_cast<char*>(given) + head, reinterpret_cast<const char*>(&value) + head, known - head);
  if (size > sizeof(T)) std::memset(reinterpret_cast<char*>(given) + sizeof(T), 0, size - sizeof(T));
}

// All zero but for `struct_size`.
template <typename T>
void InitStruct(T* given, uint32_t size) {
  std::memset(static_cast<void*>(given), 0, size);
  given->struct_size = size;
}

}  // namespace glq
