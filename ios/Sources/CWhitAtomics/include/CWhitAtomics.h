/* CWhitAtomics.h - the two atomic operations that Swift lacks before its version 6: ending a run from another thread, and
 * sharing out the pieces of a node's work. */
#ifndef CWHITATOMICS_H
#define CWHITATOMICS_H

#include <stdint.h>

static inline void whit_flag_store(int32_t *_Nonnull flag, int32_t value) { __atomic_store_n(flag, value, __ATOMIC_RELAXED); }

/* The counter's value before one is added to it. */
static inline uint32_t whit_counter_next(uint32_t *_Nonnull counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

#endif
