// Floating-point control of the calling thread, set to the default for the length of a scope.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace glq {

// Round to nearest, subnormals kept, exceptions masked; restored at the end of the scope, together
// with the exception flags that the caller had.
class ScopedDefaultFp {
 public:
  ScopedDefaultFp() : saved_(Get()) { Set(kDefault); }
  ~ScopedDefaultFp() { Set(saved_); }
  ScopedDefaultFp(const ScopedDefaultFp&) = delete;
  ScopedDefaultFp& operator=(const ScopedDefaultFp&) = delete;

 private:
#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
  using Control = uint32_t;
  static constexpr Control kDefault = 0x1F80;  // all exceptions masked
  static Control Get() { return _mm_getcsr(); }
  static void Set(Control c) { _mm_setcsr(c); }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kDefault = 0;
  static Control Get() {
    Control c;
    asm volatile("mrs %0, fpcr" : "=r"(c));
    return c;
  }
  static void Set(Control c) { asm volatile("msr fpcr, %0" : : "r"(c)); }
#else
  using Control = int;
  static constexpr Control kDefault = 0;
  static Control Get() { return 0; }
  static void Set(Control) {}
#endif
  Control saved_;
};

}  // namespace glq
