// Runs CUDA kernels on the CPU, thread by thread: for tests of what they compute where there is no GPU.
//
// The kernels' sources are compiled as C++ (device.h in front, include/ before kernels/ in the search path). A thread
// is a fiber; the threads of a block take turns on one thread of the operating system and change where they wait: at a
// barrier, in a warp's or warpgroup's common instruction, for a word in shared memory. The blocks of a cluster are
// threads of the operating system, blocks or clusters of a grid come one after another, and so do the launches of a
// stream.
//
// What this cannot show: races (a turn ends only where a thread waits), missing fences, misaligned or stray addresses
// that are mapped, time. Those need a GPU and compute-sanitizer.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>

namespace glq::emulator {

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;
  unsigned cluster = 1;  // blocks along x
};

// Bytes of dynamic shared memory that a launch of a kernel may ask for: 48 KiB unless more were allowed.
void AllowDynamicShared(const void* kernel, size_t bytes);
size_t AllowedDynamicShared(const void* kernel);

// Runs the kernel over the whole grid. Aborts with a message if its threads wait for each other for ever.
void Run(const char* name, const LaunchShape& shape, const std::function<void()>& kernel);

// Whether the calling thread may launch: the library makes its device's primary context current for that.
bool PrimaryContextIsCurrent();

// --- For the thread that is running ---
const uint3& ThreadIdx();
const uint3& BlockIdx();
const dim3& BlockDim();
const dim3& GridDim();
unsigned ClusterRank();
unsigned ClusterSize();

// Lets others run. To be called in a loop around a condition that they change.
void Yield();

void SyncBlock();                          // bar.sync 0: all threads that have not ended
void SyncNamed(int barrier, int threads);  // bar.sync: `threads` threads
void SyncCluster();

// Threads of the calling thread's group of `size` (32: its warp, 128: its warpgroup) meet; each shows a pointer,
// `compute` sees those of all, and none goes on before all have computed.
using Shown = const void* const*;
void Meet(int size, const void* shown, const std::function<void(Shown)>& compute);
int LaneIn(int size);

// The shared window: addresses as the device code sees them. Bits 24 and up are the rank of a block in its cluster.
uint8_t* DynamicShared();
uint32_t WindowAddress(const void* p);
void* Pointer(uint32_t window_address);
void* PointerInBlock(const void* p, unsigned rank);  // the same place of another block

// Barrier objects of shared memory (mbarrier), of any block of the cluster.
void BarrierInit(uint32_t address, uint32_t arrivals);
void BarrierArrive(uint32_t address, uint32_t expected_bytes);
void BarrierComplete(uint32_t address, uint32_t bytes);
bool BarrierPhaseDone(uint32_t address, uint32_t parity);

}  // namespace glq::emulator
