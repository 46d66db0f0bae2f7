// Preloaded, it is in the place of libc's allocator, as jemalloc is.
#include <errno.h>
#include <stdlib.h>

int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = aligned_alloc(alignment, size);
  return *memory == NULL ? ENOMEM : 0;
}
