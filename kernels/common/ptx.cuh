// The few PTX instructions the kernels need, one function each.
#pragma once

#include <cstdint>

namespace glq::ptx {

// D(16x8, s32) += A(16x32, u8 row-major) * B(32x8, s8 column-major). With p = lane / 4 and q = lane % 4:
//   a[0] = A[p][4q..4q+3]      a[1] = A[p+8][4q..]      a[2] = A[p][16+4q..]      a[3] = A[p+8][16+4q..]
//   b0   = B[4q..4q+3][p]      b1   = B[16+4q..][p]
//   d[0] = D[p][2q]  d[1] = D[p][2q+1]  d[2] = D[p+8][2q]  d[3] = D[p+8][2q+1]
__device__ __forceinline__ void MmaU8S8(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// D(16x8, f32) += A(16x16, bf16 row-major) * B(16x8, bf16 column-major); each register holds two elements:
//   a[0] = A[p][2q,2q+1]  a[1] = A[p+8][2q,2q+1]  a[2] = A[p][2q+8,2q+9]  a[3] = A[p+8][2q+8,2q+9]
//   b0 = B[2q,2q+1][p]    b1 = B[2q+8,2q+9][p]
__device__ __forceinline__ void MmaBf16(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                                        uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// (a ^ b) & mask in one instruction. The compiler shares a ^ b between two masks and takes three.
__device__ __forceinline__ uint32_t XorAnd(uint32_t a, uint32_t b, uint32_t mask) {
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0x28;" : "=r"(d) : "r"(a), "r"(b), "r"(mask));
  return d;
}

// (a & mask) | bits in one instruction, also where both are constants.
__device__ __forceinline__ uint32_t AndOr(uint32_t a, uint32_t mask, uint32_t bits) {
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(d) : "r"(a), "r"(mask), "r"(bits));
  return d;
}

// Two fp16 a word, each rounded to nearest: a - b, a * b + c.
__device__ __forceinline__ uint32_t SubHalves(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
__device__ __forceinline__ uint32_t FmaHalves(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

// The larger, NaN if one is.
__device__ __forceinline__ float MaxNan(float a, float b) {
  asm("max.NaN.f32 %0, %0, %1;" : "+f"(a) : "f"(b));
  return a;
}

// Whether one of the values is NaN, two an instruction.
__device__ __forceinline__ bool AnyNan(const float (&r)[8]) {
  uint32_t any;
  asm("{ .reg .pred p;\n\t"
      "setp.nan.f32 p, %1, %2;\n\t"
      "setp.nan.or.f32 p, %3, %4, p;\n\t"
      "setp.nan.or.f32 p, %5, %6, p;\n\t"
      "setp.nan.or.f32 p, %7, %8, p;\n\t"
      "selp.u32 %0, 1, 0, p; }"
      : "=r"(any)
      : "f"(r[0]), "f"(r[1]), "f"(r[2]), "f"(r[3]), "f"(r[4]), "f"(r[5]), "f"(r[6]), "f"(r[7]));
  return any != 0;
}

// Has the value computed here: the compiler would leave it for the first use, or carry that use across.
template <typename T>
__device__ __forceinline__ void ComputeNow(T*& pointer) {
  asm volatile("" : "+l"(pointer)::"memory");
}
__device__ __forceinline__ void ComputeNow(uint32_t& v) { asm volatile("" : "+r"(v)::"memory"); }
__device__ __forceinline__ void ComputeNow(float& v) { asm volatile("" : "+f"(v)::"memory"); }
__device__ __forceinline__ void ComputeNow(int& v) { asm volatile("" : "+r"(v)::"memory"); }

// Has an address and a word in registers here, not where they are used, to which the assembler moves what makes them: a
// prefetch needs both, if `v` is all ones. It never is.
__device__ __forceinline__ void HaveNow(const void* p, uint32_t v) {
  asm volatile(
      "{ .reg .pred any;\n\t"
      "setp.eq.u32 any, %1, 0xFFFFFFFF;\n\t"
      "@any prefetch.global.L2 [%0]; }" ::"l"(p),
      "r"(v));
}

// `threads` threads of the block that all name this barrier (1 to 15; __syncthreads is 0).
template <int kBarrier>
__device__ __forceinline__ void SyncThreads(int threads) {
  asm volatile("bar.sync %0, %1;" ::"n"(kBarrier), "r"(threads) : "memory");
}

// The same where the barrier is decided at run time.
__device__ __forceinline__ void SyncSome(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

__device__ __forceinline__ uint8_t* DynamicShared() {
  extern __shared__ __align__(128) uint8_t shared[];
  return shared;
}
__device__ __forceinline__ uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

template <int kOffset = 0>
__device__ __forceinline__ uint32_t LoadShared32(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1 + %2];" : "=r"(v) : "r"(address), "n"(kOffset));
  return v;
}

// Adds to a word, in any order with others.
template <int kOffset>
__device__ __forceinline__ void AddShared(uint32_t address, int v) {
  asm volatile("red.shared.add.s32 [%0 + %1], %2;" ::"r"(address), "n"(kOffset), "r"(v));
}

__device__ __forceinline__ uint4 LoadShared128(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address));
  return v;
}

// In one instruction: the compiler takes an ordinary store of 16 bytes apart where registers are few.
__device__ __forceinline__ void Store128(void* p, const uint4& v) {
  asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

// Weights are read once: keep them out of L1 and let L2 drop them first.
__device__ __forceinline__ uint4 LoadStream128(const void* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

__device__ __forceinline__ uint2 LoadStream64(const void* p) {
  uint2 v;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}

// The same where `any`; otherwise the value stays. In place, so that a register that is loaded again and again is never
// copied.
template <int kOffset>
__device__ __forceinline__ void LoadStreamIf(bool any, const void* p, uint4& v) {
  asm volatile(
      "{ .reg .pred any;\n\t"
      "setp.ne.u32 any, %5, 0;\n\t"
      "@any ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4 + %6]; }"
      : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w)
      : "l"(p), "r"(static_cast<uint32_t>(any)), "n"(kOffset));
}
template <int kOffset>
__device__ __forceinline__ void LoadStreamIf(bool any, const void* p, uint2& v) {
  asm volatile(
      "{ .reg .pred any;\n\t"
      "setp.ne.u32 any, %3, 0;\n\t"
      "@any ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2 + %4]; }"
      : "+r"(v.x), "+r"(v.y)
      : "l"(p), "r"(static_cast<uint32_t>(any)), "n"(kOffset));
}

// Issued here, not where the word is used first.
__device__ __forceinline__ uint32_t LoadConstant32(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}

// Where `any`; otherwise the value stays. Of global memory, where the compiler has lost sight of what a pointer points
// to.
template <int kOffset>
__device__ __forceinline__ void LoadGlobalIf(bool any, const void* p, uint4& v) {
  asm volatile(
      "{ .reg .pred any;\n\t"
      "setp.ne.u32 any, %5, 0;\n\t"
      "@any ld.global.v4.u32 {%0,%1,%2,%3}, [%4 + %6]; }"
      : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w)
      : "l"(p), "r"(static_cast<uint32_t>(any)), "n"(kOffset));
}
// Some value, for no instruction.
__device__ __forceinline__ void TakeAnything(uint4& v) {
  asm volatile("" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w));
}

// a | b | c as an instruction of its own: what depends on it is issued when a, b and c are there. Loads of a warp whose
// results are used behind a branch share a scoreboard, and waiting for one of them is waiting for all on their way, so
// that some are better waited for before others are issued.
__device__ __forceinline__ uint32_t Behind(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t any;
  asm volatile("lop3.b32 %0, %1, %2, %3, 0xFE;" : "=r"(any) : "r"(a), "r"(b), "r"(c));
  return any;
}

// Multiples of 16 bytes. No-op before sm_90.
__device__ __forceinline__ void PrefetchBulk(const void* p, uint32_t bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(p), "r"(bytes));
#endif
}
__device__ __forceinline__ void PrefetchL2(const void* p) { asm volatile("prefetch.global.L2 [%0];" ::"l"(p)); }

// Nobody reads these 128 bytes again, aligned to as many: they need not go to memory.
__device__ __forceinline__ void Discard128(void* p) {
  asm volatile("discard.global.L2 [%0], 128;" ::"l"(p) : "memory");
}

__device__ __forceinline__ void CopyAsync16(uint32_t shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(valid ? 16 : 0));
}
__device__ __forceinline__ void CopyAsync8(uint32_t shared, const void* global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared), "l"(global));
}
__device__ __forceinline__ void CopyAsyncCommit() { asm volatile("cp.async.commit_group;"); }
template <int kPending>
__device__ __forceinline__ void CopyAsyncWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending));
}

// A word that other blocks watch: neither store nor load is kept or repeated by the compiler, both go to the L2.
__device__ __forceinline__ void StoreRelaxed(float* p, float v) {
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(p), "f"(v) : "memory");
}
__device__ __forceinline__ void StoreRelaxed(uint32_t* p, uint32_t v) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}
__device__ __forceinline__ uint4 LoadRelaxed128(const void* p) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p)
               : "memory");
  return v;
}
__device__ __forceinline__ uint32_t LoadRelaxed32(const void* p) {
  uint32_t v;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}

// Programmatic dependent launch (sm_90): wait for the kernels before this one in the stream to finish and
// their writes to be visible; tell the next kernel that it may be put on the machine. No-ops elsewhere.
__device__ __forceinline__ void WaitForPredecessor() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void LetSuccessorStart() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace glq::ptx
