// Numbers the input transforms of one context: weights whose transforms are equal get equal numbers,
// weights whose transforms differ get different ones.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "e8p/linear.h"

namespace glq {

class InputTransforms {
 public:
  struct Entry {
    uint64_t id;
    bool has_sv;
    std::vector<uint16_t> sv;
    std::vector<int64_t> blocks;
  };

  // The entry of this transform, which lasts as long as a weight keeps it. sv: fp16 bits on the host,
  // any alignment, or null. One caller at a time, of all contexts: see platform/fork.h.
  std::shared_ptr<const Entry> Find(const e8p::LinearMeta& meta, const void* sv);

 private:
  std::vector<std::weak_ptr<const Entry>> entries_;
  uint64_t next_id_ = 1;
};

}  // namespace glq
