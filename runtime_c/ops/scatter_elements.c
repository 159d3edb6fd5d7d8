/* scatter_elements - a copy of x with single elements replaced or combined. */
#include "places.h"

WHIT_OP(scatter_elements, .version = 1, .in = "x indices updates", .out = "y",
        .attr = "axis:i32 reduction:i32", .strided = "x",
        .doc = "x with each update put at its own position, the index's value along axis; in "
               "order. reduction 0 replaces, 1 adds, 2 multiplies, 3 takes the maximum, 4 the "
               "minimum.");

whit_status whit_scatter_elements_shape(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_elements(c, &p));
  if (!whit_same_shape(p.index, c->in[2]))
    return whit_fail(c, WHIT_E_SHAPE, "scatter_elements: indices and updates must have one shape");
  return whit_out_like(c, 0, p.x);
}

whit_status whit_scatter_elements_run(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_elements(c, &p));
  whit_copy(c->out[0], p.x);
  p.x = c->out[0];
  return whit_places_move(c, &p, c->in[2], c->attr[1]);
}
