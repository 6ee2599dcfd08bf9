// Bulk copies from global to shared memory and the barriers they report to (sm_90). One thread starts a copy; the
// copy engine does the rest, so that bytes in flight cost no registers. What clusters make of barriers, too, is nothing
// before sm_90; the rest is not there.
#pragma once

#include <cstdint>

#include "common/ptx.cuh"

namespace glq::ptx {

// Barriers are 64-bit words of shared memory; all addresses are in the shared window.
__device__ __forceinline__ void BarrierInit(uint32_t barrier, uint32_t arrivals) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
#endif
}
// Makes initialised barriers visible to the copy engine and to other blocks of the cluster.
__device__ __forceinline__ void BarrierInitFence() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ __forceinline__ void BarrierArrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and lets the phase also wait for `bytes` of copies.
__device__ __forceinline__ void BarrierArriveExpect(uint32_t barrier, uint32_t bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
#endif
}
// Waits until the phase of this parity has completed.
__device__ __forceinline__ void BarrierWait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n\t.reg .pred done;\n"
      "WAIT_%=:\n\t"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t"
      "@!done bra WAIT_%=;\n\t}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Copies `bytes` (a multiple of 16, both ends 16-byte aligned); the barrier is told when they have arrived.
__device__ __forceinline__ void BulkCopy(uint32_t shared, const void* global, uint32_t bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}

// Between ordinary stores to shared memory and bulk copies to the same place.
__device__ __forceinline__ void BulkCopyFence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

}  // namespace glq::ptx
