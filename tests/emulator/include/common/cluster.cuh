// Stands for kernels/common/cluster.cuh.
#pragma once

#include "common/bulk_copy.cuh"

namespace glq::ptx {

inline void ClusterSync() { emulator::SyncCluster(); }
inline void ClusterSyncRelaxed() { emulator::SyncCluster(); }
template <typename T>
const T* InBlock(const T* shared, int rank) {
  return static_cast<const T*>(emulator::PointerInBlock(shared, static_cast<unsigned>(rank)));
}
inline int ClusterRank() { return static_cast<int>(emulator::ClusterRank()); }
inline int ClusterIndex() { return static_cast<int>(emulator::BlockIdx().x / emulator::ClusterSize()); }
inline uint32_t AddressInBlock(uint32_t shared, int rank) {
  return (shared & 0xFFFFFF) | static_cast<uint32_t>(rank) << 24;
}
inline void Send(uint32_t address, uint32_t v, uint32_t barrier) {
  *static_cast<uint32_t*>(emulator::Pointer(address)) = v;
  emulator::BarrierComplete(barrier, 4);
}
template <int kWords>
void Send(uint32_t address, const uint32_t (&v)[kWords], uint32_t barrier) {
  for (uint32_t i = 0; i < kWords; ++i) Send(address + 4 * i, v[i], barrier);
}
inline void Receive(uint32_t barrier) { BarrierWait(barrier, 0); }

}  // namespace glq::ptx
