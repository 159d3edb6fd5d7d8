/* gather_nd - slices of a tensor by positions along several axes. */
#include "shared.h"

WHIT_OP(gather_nd, .version = 1, .in = "x indices", .out = "y", .attr = "batch_dims:i32",
        .doc = "The last axis of indices holds positions along the axes of x that follow the "
               "batch axes, which both share; y has a slice of x for each.");

whit_status whit_gather_nd_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t batch = c->attr[0], last = index->rank - 1;
  int32_t shape[2 * WHIT_MAX_RANK];
  unsigned rank = 0;
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "gather_nd: indices must be i32 or i64");
  if (batch < 0 || batch > last || batch > x->rank)
    return whit_fail(c, WHIT_E_VALUE, "gather_nd: too many batch axes");
  if (index->shape[last] > x->rank - batch)
    return whit_fail(c, WHIT_E_SHAPE, "gather_nd: indices name more axes than x has");
  for (int32_t a = 0; a < batch; a++)
    if (x->shape[a] != index->shape[a])
      return whit_fail(c, WHIT_E_SHAPE, "gather_nd: batch axes differ");
  for (int32_t a = 0; a < last; a++) shape[rank++] = index->shape[a];
  for (int32_t a = batch + index->shape[last]; a < x->rank; a++) shape[rank++] = x->shape[a];
  return whit_out(c, 0, x->dtype, rank, shape);
}

whit_status whit_gather_nd_run(whit_call *c) {
  return whit_slices_run(c, c->in[0], c->attr[0], (uint8_t *)c->out[0]->data, false, 0);
}
