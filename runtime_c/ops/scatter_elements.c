/* scatter_elements - a copy of x with single elements replaced or combined. */
#include "shared.h"

WHIT_OP(scatter_elements, .version = 1, .in = "x indices updates", .out = "y",
        .attr = "axis:i32 reduction:i32", .strided = "x",
        .doc = "x with each update put at its own position, the index's value along axis; in "
               "order. reduction 0 replaces, 1 adds, 2 multiplies, 3 takes the maximum, 4 the "
               "minimum.");

whit_status whit_scatter_elements_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *updates = c->in[2];
  WHIT_TRY(whit_elements_fit(c));
  if (updates->dtype != x->dtype)
    return whit_fail(c, WHIT_E_TYPE, "scatter_elements: updates must have the type of x");
  if (c->attr[1] < 0 || c->attr[1] > 4)
    return whit_fail(c, WHIT_E_VALUE, "scatter_elements: no such reduction");
  if (!whit_same_shape(c->in[1], updates))
    return whit_fail(c, WHIT_E_SHAPE, "scatter_elements: indices and updates must have one shape");
  return whit_out_like(c, 0, x);
}

whit_status whit_scatter_elements_run(whit_call *c) {
  whit_copy(c->out[0], c->in[0]);
  return whit_elements_run(c, c->out[0], (uint8_t *)c->in[2]->data, true);
}
