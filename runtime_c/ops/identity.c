/* identity - the same tensor; a copy where the result needs memory of its own. */
#include "../src/internal.h"

WHIT_OP(identity, .version = 1, .in = "x", .out = "y", .strided = "x", .flags = "view no_larger",
        .doc = "The input itself; a copy where the result needs memory of its own.");

whit_status whit_identity_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  return whit_out_view(c, x->rank, x->shape, x->stride);
}
