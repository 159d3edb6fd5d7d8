/* gather_elements - one element of x for each index, along an axis. */
#include "shared.h"

WHIT_OP(gather_elements, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32",
        .doc = "y has the shape of indices; each element comes from its own position in x, with "
               "indices' value as the position along axis.");

whit_status whit_gather_elements_shape(whit_call *c) {
  WHIT_TRY(whit_elements_fit(c));
  return whit_out(c, 0, c->in[0]->dtype, c->in[1]->rank, c->in[1]->shape);
}

whit_status whit_gather_elements_run(whit_call *c) {
  return whit_elements_run(c, c->in[0], (uint8_t *)c->out[0]->data, false);
}
