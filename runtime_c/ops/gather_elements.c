/* gather_elements - one element of x for each index, along an axis. */
#include "places.h"

WHIT_OP(gather_elements, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32",
        .doc = "y has the shape of indices; each element comes from its own position in x, with "
               "indices' value as the position along axis.");

whit_status whit_gather_elements_shape(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_elements(c, &p));
  return whit_out(c, 0, p.x->dtype, p.index->rank, p.index->shape);
}

whit_status whit_gather_elements_run(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_elements(c, &p));
  return whit_places_move(c, &p, c->out[0], WHIT_PLACES_READ);
}
