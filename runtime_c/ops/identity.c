/* identity - the same tensor; a copy where the result needs memory of its own. */
#include "../src/internal.h"

WHIT_OP(identity, .version = 1, .in = "x", .out = "y", .strided = "x", .flags = "view",
        .doc = "The input itself; a copy where the result needs memory of its own.");

whit_status whit_identity_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  WHIT_TRY(whit_out_like(c, 0, x));
  for (unsigned a = 0; a < x->rank; a++) c->out[0]->stride[a] = x->stride[a];
  c->view = true;
  c->view_offset = 0;
  return WHIT_OK;
}
