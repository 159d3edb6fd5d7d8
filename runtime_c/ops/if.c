/* if - runs one of two regions; the other costs nothing. Stepping is in src/flow.c. */
#include "../src/internal.h"

WHIT_OP(if, .version = 1, .in = "cond", .out = "y*", .flags = "control",
        .doc = "Runs its first region if cond is true, else its second; the outputs are that region's results.");

whit_status whit_if_shape(whit_call *c) { return c->n_attr ? WHIT_E_FORMAT : WHIT_OK; }
