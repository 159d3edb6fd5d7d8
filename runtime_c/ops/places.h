/* places.h - what gathers and scatters other than gather.c share: places in a tensor, named by positions along some of its axes. */
#ifndef WHIT_PLACES_H
#define WHIT_PLACES_H

#include "../src/internal.h"

typedef struct whit_places {
  const whit_tensor *x, *index;
  int32_t axis, n_axes;         /* index holds, for each place, the positions along so many axes of x from this one on */
  int32_t rank;                 /* places are counted along so many axes; what is moved has the rest of its axes for each */
  uint32_t own;                 /* of these axes, a bit each: x is moved along with it, it is an axis of x */
} whit_places;

/* Places of the _elements operators, one for each index; of the _nd operators, one for each row of the last axis of indices.
 * They check inputs and attributes; shapes of updates apart. */
whit_status whit_places_elements(whit_call *c, whit_places *p);
whit_status whit_places_nd(whit_call *c, whit_places *p);
/* Types of indices and updates, and the reduction, which is the last attribute. */
whit_status whit_places_check(whit_call *c);
/* The shape of a slice of x for each place. Returns the rank, at most twice the largest one. */
unsigned whit_places_shape(const whit_places *p, int32_t *shape);
/* Moves elements at the places. WHIT_PLACES_READ: from x to slices; else from slices to x: 0 replaces, other kinds are 1 + one of
 * whit_combine. */
enum { WHIT_PLACES_READ = -1 };
whit_status whit_places_move(whit_call *c, const whit_places *p, const whit_tensor *slices, int32_t kind);

#endif
