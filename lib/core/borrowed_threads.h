// The caller's thread pool as ours.
#pragma once

#include <memory>

#include "glq/context.h"
#include "platform/parallel.h"

namespace glq {

std::unique_ptr<Parallel> BorrowThreads(const glq_threading& threading);

}  // namespace glq
