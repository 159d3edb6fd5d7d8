/* shared.h - see shared.c. */
#ifndef WHIT_SHARED_H
#define WHIT_SHARED_H

#include "../src/internal.h"

/* A position along an axis of dim elements, from the end if it is negative, at p: 0 <= *i < dim, or WHIT_E_INDEX. */
static WHIT_INLINE whit_status shared_position(whit_call *c, const whit_tensor *indices, const uint8_t *p, int64_t dim, int64_t *i) {
  int64_t at = whit_get_i64(indices->dtype, p);
  (void)c;
  if (at < 0) at += dim;
  *i = at;
  return (uint64_t)at < (uint64_t)dim ? WHIT_OK : whit_fail(c, WHIT_E_INDEX, "an index is out of range");
}

/* Indices name single elements of x, input 0, along an axis. */
whit_status whit_elements_fit(whit_call *c);
/* Elements of table that the indices of c name, in order: fetched into others, or (put) written from there. */
whit_status whit_elements_run(whit_call *c, const whit_tensor *table, uint8_t *others, bool put);
/* The same of slices: the last axis of the indices names axes of table behind `batch` ones that both share. reduction of put as in
 * scatter_nd. */
whit_status whit_slices_run(whit_call *c, const whit_tensor *table, int32_t batch, uint8_t *others, bool put, int32_t reduction);

/* A place in the sequence of *n tensors that input 0 is: input k, or the last one; `more` ones behind its end count too. */
whit_status whit_sequence_place(whit_call *c, unsigned k, int32_t more, int32_t *n, int64_t *at);
/* Makes out[0] a sequence that shares the items of input 0: from `at` on each is `shift` places further (by -1 over its neighbour). */
whit_status whit_sequence_share(whit_call *c, int64_t at, int32_t shift, whit_item **items);

/* Sorts numbers; before: a comes before b. Of two different ones one does. */
typedef bool (*whit_before)(const void *context, int32_t a, int32_t b);
void whit_sort(int32_t *numbers, int32_t n, whit_before before, const void *context);

#endif
