/* scatter_nd - a copy of x with slices replaced or combined. */
#include "shared.h"

WHIT_OP(scatter_nd, .version = 1, .in = "x indices updates", .out = "y", .attr = "reduction:i32",
        .strided = "x",
        .doc = "x with each slice of updates put where the last axis of indices says; in order. "
               "reduction 0 replaces, 1 adds, 2 multiplies, 3 takes the maximum, 4 the minimum.");

whit_status whit_scatter_nd_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1], *updates = c->in[2];
  const int32_t last = index->rank - 1;
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "scatter_nd: indices must be i32 or i64");
  if (updates->dtype != x->dtype)
    return whit_fail(c, WHIT_E_TYPE, "scatter_nd: updates must have the type of x");
  if (c->attr[0] < 0 || c->attr[0] > 4)
    return whit_fail(c, WHIT_E_VALUE, "scatter_nd: no such reduction");
  if (last < 0 || index->shape[last] > x->rank)
    return whit_fail(c, WHIT_E_SHAPE,
                     "scatter_nd: indices must name axes of x along their last axis");
  const int32_t n_axes = index->shape[last];
  bool fits = updates->rank == last + x->rank - n_axes;
  for (int32_t a = 0; fits && a < updates->rank; a++)
    fits = updates->shape[a] == (a < last ? index->shape[a] : x->shape[a - last + n_axes]);
  if (!fits)
    return whit_fail(c, WHIT_E_SHAPE, "scatter_nd: updates must have a slice of x for each index");
  return whit_out_like(c, 0, x);
}

whit_status whit_scatter_nd_run(whit_call *c) {
  whit_copy(c->out[0], c->in[0]);
  return whit_slices_run(c, c->out[0], 0, (uint8_t *)c->in[2]->data, true, c->attr[0]);
}
