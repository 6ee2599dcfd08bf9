#include "core/handle.h"

#include <cstddef>
#include <mutex>
#include <new>

#include "platform/fork.h"

namespace glq {
namespace {

// Open addressing with linear probing. Writers hold the mutex; readers only load. A word is the
// handle's address with its kind in the low bits.
using Word = std::atomic<uintptr_t>;
constexpr uintptr_t kEmpty = 0, kGone = 1;

struct Table {
  size_t capacity;  // a power of two
  Word* words;
  const Table* outgrown;  // the one before; keeps it reachable for leak checkers
};

constexpr size_t kFirstCapacity = 1024;
Word first_words[kFirstCapacity];
constinit Table first_table{kFirstCapacity, first_words, nullptr};

// Neither the tables nor the mutex are ever destroyed: a host may destroy its handles from its own
// static destructors, after this library's have run. A table that was outgrown stays, because a
// reader may still be in it; each is half of the next.
constinit std::atomic<Table*> current{&first_table};
ForkMutex<Table> mutex;
size_t occupied = 0;  // words that are not kEmpty; guarded by `mutex`

uintptr_t Key(const void* handle, Kind kind) {
  return reinterpret_cast<uintptr_t>(handle) | static_cast<uintptr_t>(kind);
}

size_t Start(uintptr_t key, const Table& table) {
  return static_cast<size_t>((key >> 4) * 0x9E3779B97F4A7C15ull >> 20) & (table.capacity - 1);
}

Word* Find(const Table& table, uintptr_t key) {
  for (size_t i = Start(key, table);; i = (i + 1) & (table.capacity - 1)) {
    const uintptr_t word = table.words[i].load(std::memory_order_acquire);
    if (word == key) return &table.words[i];
    if (word == kEmpty) return nullptr;
  }
}

void Insert(const Table& table, uintptr_t key) {
  for (size_t i = Start(key, table);; i = (i + 1) & (table.capacity - 1)) {
    const uintptr_t word = table.words[i].load(std::memory_order_relaxed);
    if (word != kEmpty && word != kGone) continue;
    if (word == kEmpty) ++occupied;
    table.words[i].store(key, std::memory_order_release);
    return;
  }
}

void MakeRoom() {
  const Table& old = *current.load(std::memory_order_relaxed);
  if ((occupied + 1) * 4 <= old.capacity * 3) return;
  // Always twice as large: in an emptier table gone words are soon cleared, so that this ends.
  const size_t capacity = old.capacity * 2;
  Word* words = new Word[capacity]();
  Table* table;
  try {
    table = new Table{capacity, words, &old};
  } catch (...) {
    delete[] words;
    throw;
  }
  occupied = 0;
  for (size_t i = 0; i < old.capacity; ++i) {
    const uintptr_t word = old.words[i].load(std::memory_order_relaxed);
    if (word != kEmpty && word != kGone) Insert(*table, word);
  }
  current.store(table, std::memory_order_release);
}

}  // namespace

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kContext:
      return "glq_context";
    case Kind::kTensor:
      return "glq_tensor";
    case Kind::kQuantizer:
      return "glq_quantizer";
    case Kind::kCheckpoint:
      return "glq_checkpoint";
  }
  return "handle";
}

namespace handles {

void Add(const void* handle, Kind kind) {
  const std::lock_guard lock(mutex);
  MakeRoom();
  Insert(*current.load(std::memory_order_relaxed), Key(handle, kind));
}

bool Remove(const void* handle, Kind kind) noexcept {
  const std::lock_guard lock(mutex);
  const Table& table = *current.load(std::memory_order_relaxed);
  Word* word = Find(table, Key(handle, kind));
  if (!word) return false;
  word->store(kGone, std::memory_order_release);
  // A gone word before an empty one ends no search: it may become empty, too.
  const size_t mask = table.capacity - 1;
  size_t i = static_cast<size_t>(word - table.words);
  if (table.words[(i + 1) & mask].load(std::memory_order_relaxed) != kEmpty) return true;
  for (; table.words[i].load(std::memory_order_relaxed) == kGone; i = (i - 1) & mask) {
    table.words[i].store(kEmpty, std::memory_order_release);
    --occupied;
  }
  return true;
}

bool IsLive(const void* handle, Kind kind) noexcept {
  const uintptr_t address = reinterpret_cast<uintptr_t>(handle);
  if (address % alignof(std::max_align_t) != 0) return false;
  return Find(*current.load(std::memory_order_acquire), Key(handle, kind)) != nullptr;
}

}  // namespace handles
}  // namespace glq
