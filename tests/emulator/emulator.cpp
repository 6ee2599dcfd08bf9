#include "emulator.h"

#include <atomic>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace glq::emulator {
namespace {

namespace context = boost::context;

std::mutex g_allowed_mutex;
std::map<const void*, size_t> g_allowed;  // by kernel

constexpr uint32_t kWindowStart = 1024;      // where dynamic shared memory begins, as on current GPUs
constexpr uint32_t kStaticStart = 0x800000;  // stands for the address of kAnchor
constexpr size_t kStackBytes = 128 * 1024;

// Meeting points count who has come; the last one opens them for all.
struct Meeting {
  int came = 0;
  uint64_t round = 0;
};

struct MemoryBarrier {
  int64_t arrivals = 0, pending = 0, bytes = 0;
  uint64_t phases = 0;  // completed
};

struct Thread {
  uint3 index{};
  int linear = 0;
  bool done = false;
  context::fiber fiber, sink;
};

struct Group {
  Meeting entry, exit;
  std::vector<const void*> shown;
};

struct Cluster;

struct Block {
  Cluster* cluster = nullptr;
  unsigned rank = 0;
  uint3 index{};
  std::vector<uint8_t> storage;
  uint8_t* dynamic = nullptr;
  const char* anchor = nullptr;  // kAnchor of the operating system's thread that runs the block
  std::vector<Thread> threads;
  int live = 0;
  Meeting all;
  std::map<int, Meeting> named;
  std::vector<Group> warps, warpgroups;
  std::map<uint32_t, MemoryBarrier> barriers;  // by address without the rank
  uint64_t events = 0;                         // steps forward, to notice when there are none
};

struct Cluster {
  std::mutex mutex;
  std::vector<std::unique_ptr<Block>> blocks;
  int live = 0, came = 0;
  std::atomic<uint64_t> round{0}, events{0};
};

struct Launch {
  const char* name;
  LaunchShape shape;
  const std::function<void()>* kernel;
};

thread_local char kAnchor = 0;
thread_local Block* t_block = nullptr;
thread_local Thread* t_thread = nullptr;
thread_local const Launch* t_launch = nullptr;

[[noreturn]] void Stop(const std::string& why) {
  std::fprintf(stderr, "emulator: %s, block %u %u %u, thread %d: %s\n", t_launch->name, t_block->index.x,
               t_block->index.y, t_block->index.z, t_thread == nullptr ? -1 : t_thread->linear, why.c_str());
  std::abort();
}

template <typename Done>
void WaitUntil(const Done& done) {
  while (!done()) Yield();
}

void PassMeeting(Meeting& m, int threads) {
  const uint64_t round = m.round;
  ++t_block->events;
  if (++m.came == threads) {
    m.came = 0;
    ++m.round;
    return;
  }
  WaitUntil([&] { return m.round != round; });
}

// Until it waits or ends.
void RunThread(Thread& thread) {
  t_thread = &thread;
  thread.fiber = std::move(thread.fiber).resume();
  t_thread = nullptr;
}

void RunBlock(const Launch& launch, Block& block) {
  t_launch = &launch;
  t_block = &block;
  block.anchor = &kAnchor;
  static thread_local context::pooled_fixedsize_stack stacks(kStackBytes);
  for (Thread& thread : block.threads) {
    thread.fiber = context::fiber(std::allocator_arg, stacks, [&](context::fiber&& sink) {
      thread.sink = std::move(sink);
      (*launch.kernel)();
      thread.done = true;
      --block.live;
      {
        const std::lock_guard<std::mutex> lock(block.cluster->mutex);
        --block.cluster->live;
      }
      // Those that wait for all threads wait for one less.
      if (block.all.came > 0 && block.all.came == block.live) block.all.came = 0, ++block.all.round;
      ++block.events;
      return std::move(thread.sink);
    });
  }
  const size_t warps = (block.threads.size() + 31) / 32;
  auto last_progress = std::chrono::steady_clock::now();
  uint64_t seen = 0;
  while (block.live > 0) {
    const uint64_t before = block.events;
    for (size_t w = 0; w < warps; ++w) {
      uint64_t warp_before;
      do {
        warp_before = block.events;
        for (size_t i = w * 32; i < std::min(block.threads.size(), w * 32 + 32); ++i) {
          if (!block.threads[i].done) RunThread(block.threads[i]);
        }
      } while (block.events != warp_before);
    }
    const uint64_t cluster_events = block.cluster->events.load();
    if (block.events != before || cluster_events != seen) {
      seen = cluster_events;
      last_progress = std::chrono::steady_clock::now();
    } else {
      if (block.cluster->blocks.size() > 1) std::this_thread::yield();
      const auto limit = std::chrono::seconds(block.cluster->blocks.size() > 1 ? 60 : 5);
      if (std::chrono::steady_clock::now() - last_progress > limit) Stop("its threads wait for each other");
    }
  }
  t_block = nullptr;
}

Block& BlockOfRank(unsigned rank) {
  if (rank >= t_block->cluster->blocks.size()) Stop("an address of a block outside the cluster");
  return *t_block->cluster->blocks[rank];
}

MemoryBarrier& BarrierAt(uint32_t address) { return BlockOfRank(address >> 24).barriers[address & 0xFFFFFF]; }

// A phase ends when all have arrived and all announced bytes are there. Bytes may come before they are announced.
void EndPhaseIfComplete(MemoryBarrier& b) {
  if (b.pending != 0 || b.bytes != 0) return;
  b.pending = b.arrivals;
  ++b.phases;
}

}  // namespace

void AllowDynamicShared(const void* kernel, size_t bytes) {
  const std::lock_guard lock(g_allowed_mutex);
  g_allowed[kernel] = bytes;
}
size_t AllowedDynamicShared(const void* kernel) {
  const std::lock_guard lock(g_allowed_mutex);
  const auto it = g_allowed.find(kernel);
  return it != g_allowed.end() ? it->second : size_t{48} << 10;
}

void Run(const char* name, const LaunchShape& shape, const std::function<void()>& kernel) {
  const Launch launch{name, shape, &kernel};
  const unsigned threads = shape.block.x * shape.block.y * shape.block.z;
  for (unsigned z = 0; z < shape.grid.z; ++z) {
    for (unsigned y = 0; y < shape.grid.y; ++y) {
      for (unsigned x = 0; x < shape.grid.x; x += shape.cluster) {
        Cluster cluster;
        for (unsigned rank = 0; rank < shape.cluster; ++rank) {
          auto block = std::make_unique<Block>();
          block->cluster = &cluster;
          block->rank = rank;
          block->index = {x + rank, y, z};
          block->storage.assign(shape.shared_bytes + 1024, 0xA5);  // not zero: kernels must not count on it
          const auto at = reinterpret_cast<uintptr_t>(block->storage.data());
          block->dynamic = block->storage.data() + ((1024 - at % 1024) % 1024);
          block->threads.resize(threads);
          for (unsigned i = 0; i < threads; ++i) {
            Thread& t = block->threads[i];
            t.linear = static_cast<int>(i);
            t.index = {i % shape.block.x, i / shape.block.x % shape.block.y, i / (shape.block.x * shape.block.y)};
          }
          block->live = static_cast<int>(threads);
          cluster.live += static_cast<int>(threads);
          block->warps.resize((threads + 31) / 32);
          block->warpgroups.resize((threads + 127) / 128);
          for (Group& g : block->warps) g.shown.resize(32);
          for (Group& g : block->warpgroups) g.shown.resize(128);
          cluster.blocks.push_back(std::move(block));
        }
        if (shape.cluster == 1) {
          RunBlock(launch, *cluster.blocks[0]);
          continue;
        }
        std::vector<std::thread> workers;
        for (auto& block : cluster.blocks) workers.emplace_back([&launch, &block] { RunBlock(launch, *block); });
        for (std::thread& w : workers) w.join();
      }
    }
  }
}

const uint3& ThreadIdx() { return t_thread->index; }
const uint3& BlockIdx() { return t_block->index; }
const dim3& BlockDim() { return t_launch->shape.block; }
const dim3& GridDim() { return t_launch->shape.grid; }
unsigned ClusterRank() { return t_block->rank; }
unsigned ClusterSize() { return static_cast<unsigned>(t_block->cluster->blocks.size()); }

void Yield() {
  Thread& thread = *t_thread;
  thread.sink = std::move(thread.sink).resume();
}

void SyncBlock() { PassMeeting(t_block->all, t_block->live); }
void SyncNamed(int barrier, int threads) { PassMeeting(t_block->named[barrier], threads); }

void SyncCluster() {
  Cluster& c = *t_block->cluster;
  const uint64_t round = c.round.load();
  ++t_block->events;
  {
    const std::lock_guard<std::mutex> lock(c.mutex);
    ++c.came;
  }
  WaitUntil([&] {
    if (c.round.load() != round) return true;
    const std::lock_guard<std::mutex> lock(c.mutex);
    if (c.round.load() != round) return true;
    if (c.came < c.live) return false;
    c.came = 0;
    ++c.round;
    ++c.events;
    return true;
  });
  ++t_block->events;
}

int LaneIn(int size) { return t_thread->linear % size; }

void Meet(int size, const void* shown, const std::function<void(Shown)>& compute) {
  Group& g = (size == 32 ? t_block->warps : t_block->warpgroups)[static_cast<size_t>(t_thread->linear / size)];
  g.shown[static_cast<size_t>(LaneIn(size))] = shown;
  PassMeeting(g.entry, size);
  compute(g.shown.data());
  PassMeeting(g.exit, size);
}

uint8_t* DynamicShared() { return t_block->dynamic; }

uint32_t WindowAddress(const void* p) {
  const auto* byte = static_cast<const uint8_t*>(p);
  const uint32_t rank = t_block->rank << 24;
  if (byte >= t_block->dynamic && byte < t_block->storage.data() + t_block->storage.size()) {
    return rank | (kWindowStart + static_cast<uint32_t>(byte - t_block->dynamic));
  }
  const auto offset = reinterpret_cast<intptr_t>(p) - reinterpret_cast<intptr_t>(&kAnchor);
  if (offset < -0x400000 || offset > 0x400000) Stop("an address that is not in shared memory");
  return rank | static_cast<uint32_t>(kStaticStart + offset);
}

void* Pointer(uint32_t address) {
  Block& block = BlockOfRank(address >> 24);
  const uint32_t at = address & 0xFFFFFF;
  if (at >= 0x400000) return const_cast<char*>(block.anchor) + (static_cast<intptr_t>(at) - kStaticStart);
  if (at < kWindowStart || at - kWindowStart >= t_launch->shape.shared_bytes)
    Stop("an address outside dynamic shared memory");
  return block.dynamic + (at - kWindowStart);
}

void* PointerInBlock(const void* p, unsigned rank) { return Pointer((WindowAddress(p) & 0xFFFFFF) | rank << 24); }

void BarrierInit(uint32_t address, uint32_t arrivals) {
  const std::lock_guard<std::mutex> lock(t_block->cluster->mutex);
  BarrierAt(address) = {arrivals, arrivals, 0, 0};
}

void BarrierArrive(uint32_t address, uint32_t expected_bytes) {
  const std::lock_guard<std::mutex> lock(t_block->cluster->mutex);
  MemoryBarrier& b = BarrierAt(address);
  b.bytes += expected_bytes;
  if (--b.pending < 0) Stop("more arrivals at a barrier than it was made for");
  EndPhaseIfComplete(b);
  ++t_block->events, ++t_block->cluster->events;
}

void BarrierComplete(uint32_t address, uint32_t bytes) {
  const std::lock_guard<std::mutex> lock(t_block->cluster->mutex);
  MemoryBarrier& b = BarrierAt(address);
  b.bytes -= bytes;
  EndPhaseIfComplete(b);
  ++t_block->events, ++t_block->cluster->events;
}

bool BarrierPhaseDone(uint32_t address, uint32_t parity) {
  const std::lock_guard<std::mutex> lock(t_block->cluster->mutex);
  return (BarrierAt(address).phases & 1) != parity;
}

}  // namespace glq::emulator
