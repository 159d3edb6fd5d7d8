/* items.h - what operators share that make a sequence of another one. */
#ifndef WHIT_ITEMS_H
#define WHIT_ITEMS_H

#include "../src/internal.h"

/* The place in sequence s (input 0, of n items) that input i names, or where that is not given, the last one. more: how many
 * places there are beyond the items. */
whit_status whit_items_place(whit_call *c, unsigned i, int32_t more, int32_t *n, int32_t *place);
/* Makes out[0] a sequence that shares input 0's items: more = -1: without the one at `place`; 1: with an empty place there. */
whit_status whit_items_share(whit_call *c, int32_t place, int32_t more);

#endif
