#include "core/input_transforms.h"

#include <cstring>
#include <mutex>

#include "platform/fork.h"

namespace glq {

std::shared_ptr<const InputTransforms::Entry> InputTransforms::Find(const e8p::LinearMeta& meta, const void* sv) {
  const size_t bytes = sv ? static_cast<size_t>(meta.padded_in) * sizeof(uint16_t) : 0;
  ForkMutex<InputTransforms> mutex;
  const std::lock_guard lock(mutex);
  std::erase_if(entries_, [](const auto& e) { return e.expired(); });
  for (const auto& weak : entries_) {
    const auto e = weak.lock();
    if (e && e->has_sv == (sv != nullptr) && e->blocks == meta.in_blocks && e->sv.size() * sizeof(uint16_t) == bytes &&
        (bytes == 0 || std::memcmp(e->sv.data(), sv, bytes) == 0)) {
      return e;
    }
  }
  auto entry = std::make_shared<Entry>(Entry{next_id_, sv != nullptr, {}, meta.in_blocks});
  entry->sv.resize(bytes / sizeof(uint16_t));
  if (bytes) std::memcpy(entry->sv.data(), sv, bytes);
  entries_.push_back(entry);
  ++next_id_;
  return entry;
}

}  // namespace glq
