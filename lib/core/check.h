// Checks of what callers hand over. Each throws an Error whose sentence names the argument, the value
// it has and the value it should have. Nothing here touches the memory that a view describes.
#pragma once

#include <cstdarg>
#include <cstdint>

#include "core/backend.h"
#include "core/dtype.h"
#include "core/error.h"
#include "glq.h"

namespace glq {

// How an argument is called in a message: `x`, `y[2]`, `desc.stages[1].indices`.
struct ArgName {
  ArgName(const char* name) : head(name) {}  // NOLINT: implicit by design
  ArgName(const char* name, int i, const char* rest = "") : head(name), index(i), tail(rest) {}
  const char* head;
  int index = -1;
  const char* tail = "";
};

// The message starts with the argument's name.
[[noreturn]] __attribute__((format(printf, 3, 4))) void FailArg(glq_status status, const ArgName& name,
                                                                const char* format, ...);

// An extent that a view must have, and what it is called in messages; a negative value accepts any.
struct Extent {
  const char* what;
  int64_t value;
};
inline constexpr Extent kAnyExtent{"", -1};

// The bytes of a matrix in memory: rows of `width` bytes, `stride` bytes apart, from `begin` to `end`.
struct Range {
  uintptr_t begin, end;
  int64_t stride, width;
};

bool Overlap(const Range& a, const Range& b);

enum class Access { kRead, kWrite };
// kAny is for host memory that is only copied.
enum class Alignment { kElement, kAny };

// Largest number of rows of an activation: keeps every size in bytes below 2^63.
inline constexpr int64_t kMaxTokens = INT32_MAX;

// Well formed by itself: rank, extents, strides, type, flags, device, alignment, no overflow.
void CheckView(const ArgName& name, const glq_view* view, Alignment alignment = Alignment::kElement);
void CheckDtype(const ArgName& name, const glq_view& view, DtypeSet accepted);
// `name` is the data type itself.
void CheckDtype(const ArgName& name, glq_dtype dtype, DtypeSet accepted);
// On `device`, or (where `or_host`) on the host.
void CheckDevice(const ArgName& name, const glq_view& view, const glq_device& device, bool or_host);
void CheckWritable(const ArgName& name, const glq_view& view);
void CheckCompact(const ArgName& name, const glq_view& view);
// No two elements in one place.
void CheckNoSelfOverlap(const ArgName& name, const glq_view& view);
// Rank 'n' and these extents.
void CheckShape(const ArgName& name, const glq_view& view, const Extent* extents, int n);

// Of a checked view.
int64_t NumElements(const glq_view& view);
bool IsCompact(const glq_view& view);
Range RangeOf(const glq_view& view);

struct MatrixArg {
  Matrix matrix;
  Range range;
};

// A matrix on `device` with unit column stride; a vector stands for one row.
MatrixArg CheckMatrix(const ArgName& name, const glq_view* view, const glq_device& device, Access access,
                      DtypeSet accepted, Extent rows, Extent cols, Alignment alignment = Alignment::kElement);

void CheckDisjoint(const ArgName& output, const Range& a, const ArgName& other, const Range& b);

// A workspace of at least `needed` bytes; its memory, or null if none is needed.
struct WorkspaceArg {
  void* data;
  Range range;
};
WorkspaceArg CheckWorkspace(const glq_workspace* workspace, size_t needed);

void CheckMaxTokens(int64_t max_tokens);
void CheckNotNull(const ArgName& name, const void* pointer);

}  // namespace glq
