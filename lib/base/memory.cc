#include "holdfast/base/memory.h"

#include <malloc.h>

namespace holdfast {
namespace {
constexpr int kMappedFrom = 4 << 20;  // larger ones still come and go by mmap(2)
constexpr int kKept = 64 << 20;       // at the heap's end
}  // namespace

void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  ::mallopt(M_TRIM_THRESHOLD, kKept);
}

void return_freed_memory() {
  ::malloc_trim(0);
}

}  // namespace holdfast
