// Failures inside the library: an exception that carries a status and a sentence. Turned into a return
// code and the thread's error detail at the C boundary (api/boundary.h), and nowhere else.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "glq/base.h"

namespace glq {

class Error : public std::exception {
 public:
  Error(glq_status status, std::string message, int32_t native_domain = GLQ_NATIVE_NONE, int32_t native_code = 0)
      : status_(status), domain_(native_domain), code_(native_code), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  glq_status status() const { return status_; }
  int32_t native_domain() const { return domain_; }
  int32_t native_code() const { return code_; }

 private:
  glq_status status_;
  int32_t domain_, code_;
  std::string message_;
};

// Throws an Error whose message is formatted as by printf.
[[noreturn]] __attribute__((format(printf, 2, 3))) void Fail(glq_status status, const char* format, ...);

}  // namespace glq
