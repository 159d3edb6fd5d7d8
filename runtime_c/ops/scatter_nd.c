/* scatter_nd - a copy of x with slices replaced or combined. */
#include "places.h"

WHIT_OP(scatter_nd, .version = 1, .in = "x indices updates", .out = "y", .attr = "reduction:i32",
        .strided = "x",
        .doc = "x with each slice of updates put where the last axis of indices says; in order. "
               "reduction 0 replaces, 1 adds, 2 multiplies, 3 takes the maximum, 4 the minimum.");

whit_status whit_scatter_nd_shape(whit_call *c) {
  const whit_tensor *updates = c->in[2];
  whit_places p;
  int32_t shape[2 * WHIT_MAX_RANK];
  WHIT_TRY(whit_places_nd(c, &p));
  bool fits = whit_places_shape(&p, shape) == updates->rank;
  for (unsigned a = 0; fits && a < updates->rank; a++) fits = updates->shape[a] == shape[a];
  if (!fits) return whit_fail(c, WHIT_E_SHAPE, "scatter_nd: updates must have a slice of x for each index");
  return whit_out_like(c, 0, p.x);
}

whit_status whit_scatter_nd_run(whit_call *c) {
  whit_places p;
  WHIT_TRY(whit_places_nd(c, &p));
  whit_copy(c->out[0], p.x);
  p.x = c->out[0];
  return whit_places_move(c, &p, c->in[2], c->attr[0]);
}
