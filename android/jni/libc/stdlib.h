/* Memory for threads.c: pages, the first 64 bytes of which say how many there are. */
#ifndef WHIT_STDLIB_H
#define WHIT_STDLIB_H
#include "../system.h"
static inline void *aligned_alloc(size_t to, size_t n_bytes) {
  (void)to; /* 64 */
  size_t *at = (size_t *)pages_take(n_bytes + 64);
  if (!at) return NULL;
  *at = n_bytes + 64;
  return (char *)at + 64;
}
static inline void free(void *p) {
  if (p) pages_give((char *)p - 64, *(size_t *)((char *)p - 64));
}
#endif
