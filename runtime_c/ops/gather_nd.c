/* gather_nd - slices of a tensor by positions along several axes. */
#include "../src/internal.h"

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
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const size_t size = whit_type_size(x->dtype), index_size = whit_type_size(index->dtype);
  const int32_t batch = c->attr[0], last = index->rank - 1, n_axes = index->shape[last];
  int32_t n_batches = 1, n = 1;
  for (int32_t a = 0; a < last; a++) *(a < batch ? &n_batches : &n) *= index->shape[a];
  size_t slice = size, block = size;
  for (int32_t a = batch; a < x->rank; a++) {
    block *= (size_t)x->shape[a];
    if (a >= batch + n_axes) slice *= (size_t)x->shape[a];
  }
  const uint8_t *p = (const uint8_t *)index->data, *from = (const uint8_t *)x->data;
  uint8_t *y = (uint8_t *)c->out[0]->data;
  for (int32_t b = 0; b < n_batches; b++, from += block) {
    for (int32_t k = 0; k < n; k++, y += slice) {
      int64_t at = 0;
      for (int32_t a = batch; a < batch + n_axes; a++, p += index_size) {
        const int64_t dim = x->shape[a];
        int64_t i = whit_get_i64(index->dtype, p);
        if (i < -dim || i >= dim)
          return whit_fail(c, WHIT_E_INDEX, "gather_nd: an index is out of range");
        if (i < 0) i += dim;
        at += i * x->stride[a];
      }
      whit_bytes_copy(y, from + (size_t)at * size, slice);
    }
  }
  return WHIT_OK;
}
