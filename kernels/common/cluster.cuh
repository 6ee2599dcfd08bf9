// Blocks of a cluster (sm_90): meeting, and distributed shared memory. Without clusters none of this is reached.
#pragma once

#include <cooperative_groups.h>

#include <cstdint>

#include "common/ptx.cuh"

namespace glq::ptx {

// All threads of the cluster. What they wrote to shared memory before is seen by all afterwards.
__device__ __forceinline__ void ClusterSync() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cooperative_groups::this_cluster().sync();
#endif
}
// The same without that promise, where only barriers have been initialised before (bulk_copy.cuh): a release to the
// cluster is a memory barrier of the whole GPU and an emptied L1.
__device__ __forceinline__ void ClusterSyncRelaxed() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// A launch whose clusters lie along x: the cluster's number, and the block's in it. Without clusters every block is
// one.
__device__ __forceinline__ int ClusterIndex() {
  uint32_t index = blockIdx.x;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(index));
#endif
  return static_cast<int>(index);
}
__device__ __forceinline__ int ClusterRank() {
  uint32_t rank = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return static_cast<int>(rank);
}

// The place in the shared memory of block `rank` that is `shared` in this block's.
template <typename T>
__device__ __forceinline__ const T* InBlock(const T* shared, int rank) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  return cooperative_groups::this_cluster().map_shared_rank(shared, static_cast<unsigned>(rank));
#else
  return shared;
#endif
}
__device__ __forceinline__ uint32_t AddressInBlock(uint32_t shared, int rank) {
  uint32_t address = shared;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared), "r"(rank));
#endif
  return address;
}

// Stores a word, or 1, 2 or 4 of them that are aligned as a whole, and tells the barrier that their bytes have come.
// Both addresses: of the same block.
__device__ __forceinline__ void Send(uint32_t address, uint32_t v, uint32_t barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(address), "r"(v),
               "r"(barrier)
               : "memory");
#endif
}
template <int kWords>
__device__ __forceinline__ void Send(uint32_t address, const uint32_t (&v)[kWords], uint32_t barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  static_assert(kWords == 1 || kWords == 2 || kWords == 4);
  if constexpr (kWords == 1) {
    Send(address, v[0], barrier);
  } else if constexpr (kWords == 2) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u32 [%0], {%1,%2}, [%3];" ::"r"(address),
                 "r"(v[0]), "r"(v[1]), "r"(barrier)
                 : "memory");
  } else {
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%0], {%1,%2,%3,%4}, [%5];" ::"r"(address),
        "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]), "r"(barrier)
        : "memory");
  }
#endif
}
// Waits for all that others send, once.
__device__ __forceinline__ void Receive(uint32_t barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n\t.reg .pred done;\n"
      "RECEIVE_%=:\n\t"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], 0;\n\t"
      "@!done bra RECEIVE_%=;\n\t}" ::"r"(barrier)
      : "memory");
#endif
}

}  // namespace glq::ptx
