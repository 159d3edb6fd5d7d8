/* join.h - tensors one after the other: the inputs of a call, or the items of a sequence that is its only one. */
#ifndef WHIT_JOIN_H
#define WHIT_JOIN_H

#include "../src/internal.h"

/* Along an axis (attribute 0), or, if attribute 1 is there and not 0, along a new one. */
whit_status whit_join_shape(whit_call *c);
whit_status whit_join_run(whit_call *c);

#endif
