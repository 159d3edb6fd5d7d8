/* opt_get - what an optional holds. */
#include "items.h"

WHIT_OP(opt_get, .version = 1, .in = "x", .out = "y", .flags = "sequence",
        .doc = "The tensor or sequence that the optional x holds; an error if it holds nothing.");

whit_status whit_opt_get_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  if (x->kind == WHIT_ABSENT) return whit_fail(c, WHIT_E_VALUE, "opt_get: the optional holds nothing");
  return x->kind == WHIT_SEQUENCE ? whit_out_sequence(c, 0, x->shape[0]) : whit_out_like(c, 0, x);
}

whit_status whit_opt_get_run(whit_call *c) {
  if (c->in[0]->kind == WHIT_SEQUENCE) return whit_items_share(c, 0, 0);
  whit_copy(c->out[0], c->in[0]);
  return WHIT_OK;
}
