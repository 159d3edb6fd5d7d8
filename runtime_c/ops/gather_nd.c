/* gather_nd - slices of a tensor by positions along several axes. */
#include "places.h"

WHIT_OP(gather_nd, .version = 1, .in = "x indices", .out = "y", .attr = "batch_dims:i32",
        .doc = "The last axis of indices holds positions along the axes of x that follow the "
               "batch axes, which both share; y has a slice of x for each.");

whit_status whit_gather_nd_shape(whit_call *c) {
  whit_places p;
  int32_t shape[2 * WHIT_MAX_RANK];
  WHIT_TRY(whit_places_nd(c, &p));
  return whit_out(c, 0, p.x->dtype, whit_places_shape(&p, shape), shape);
}

whit_status whit_gather_nd_run(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_nd(c, &p));
  return whit_places_move(c, &p, c->out[0], WHIT_PLACES_READ);
}
