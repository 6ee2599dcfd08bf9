// Stands for kernels/common/bulk_copy.cuh: copies are there as soon as they are started.
#pragma once

#include "common/ptx.cuh"

namespace glq::ptx {

inline void BarrierInit(uint32_t barrier, uint32_t arrivals) { emulator::BarrierInit(barrier, arrivals); }
inline void BarrierInitFence() {}
inline void BarrierArrive(uint32_t barrier) { emulator::BarrierArrive(barrier, 0); }
inline void BarrierArriveExpect(uint32_t barrier, uint32_t bytes) { emulator::BarrierArrive(barrier, bytes); }
inline void BarrierWait(uint32_t barrier, uint32_t parity) {
  while (!emulator::BarrierPhaseDone(barrier, parity)) emulator::Yield();
}

inline void BulkCopy(uint32_t shared, const void* global, uint32_t bytes, uint32_t barrier) {
  std::memcpy(emulator::Pointer(shared), global, bytes);
  emulator::BarrierComplete(barrier, bytes);
}
inline void BulkCopyFence() {}

}  // namespace glq::ptx
