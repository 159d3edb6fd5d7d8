/* order.h - what sorts and selects: a heap of numbers of things, by a key and, of equal ones, by a comparison. */
#ifndef WHIT_ORDER_H
#define WHIT_ORDER_H

#include "../src/internal.h"

typedef struct whit_ranked {
  uint64_t key;
  int32_t index;
} whit_ranked;

typedef struct whit_ranking {
  whit_ranked *at;              /* [0] is the highest: none below it in the heap is higher */
  int32_t n;
  int (*tie)(const void *context, int32_t a, int32_t b); /* like memcmp, where keys are equal; NULL or 0: the greater index is higher */
  const void *context;
} whit_ranking;

/* Sets scratch for n of them. */
whit_status whit_ranked_scratch(whit_call *c, int32_t n);
bool whit_ranked_above(const whit_ranking *r, const whit_ranked *a, const whit_ranked *b);
/* Puts e in place of what stands at position i, and moves it down to where it belongs. */
void whit_ranking_put(const whit_ranking *r, int32_t i, whit_ranked e);
/* Makes a heap of at[0] to at[n - 1]. */
void whit_ranking_make(const whit_ranking *r);
/* Takes the highest out of the heap: it is at[n] then. */
void whit_ranking_pop(whit_ranking *r);
/* Takes out all, so that they stand in order, the highest last; n is as before. */
void whit_ranking_sort(whit_ranking *r);

#endif
