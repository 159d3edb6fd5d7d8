/* opt_has - is there something in an optional? */
#include "../src/internal.h"

WHIT_OP(opt_has, .version = 1, .in = "x?", .out = "y", .flags = "sequence",
        .doc = "Whether the optional x holds a tensor or a sequence, as a bool without axes.");

whit_status whit_opt_has_shape(whit_call *c) { return whit_out(c, 0, WHIT_BOOL, 0, NULL); }

whit_status whit_opt_has_run(whit_call *c) {
  const whit_tensor *x = whit_in(c, 0);
  *(uint8_t *)c->out[0]->data = x && x->kind != WHIT_ABSENT;
  return WHIT_OK;
}
