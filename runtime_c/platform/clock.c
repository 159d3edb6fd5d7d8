/* clock.c - time, and the profiler that is nothing but an observer with a clock. */
#define _POSIX_C_SOURCE 200809L
#include "whit_platform.h"

#include <time.h>

uint64_t whit_clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int whit_profile_observe(void *context, whit_instance *i, uint32_t node, int after) {
  whit_profile *p = context;
  (void)i;
  if (!after) {
    if (p->depth > WHIT_MAX_DEPTH + 1) p->depth = 0;   /* an earlier run was given up */
    p->inside[p->depth] = 0;
    p->start[p->depth++] = whit_clock_ns();
    return 0;
  }
  const uint64_t now = whit_clock_ns();
  if (!p->depth) return 0;
  const uint64_t total = now - p->start[--p->depth];
  p->ns[node] += total - p->inside[p->depth];
  p->count[node]++;
  if (p->depth) p->inside[p->depth - 1] += total;
  return 0;
}
