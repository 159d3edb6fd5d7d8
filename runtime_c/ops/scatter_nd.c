/* scatter_nd - a copy of x with slices replaced or combined. */
#include "../src/internal.h"

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
  const whit_tensor *y = c->out[0], *index = c->in[1];
  const size_t size = whit_type_size(y->dtype), index_size = whit_type_size(index->dtype);
  const int32_t last = index->rank - 1, n_axes = index->shape[last];
  int32_t n = 1, slice = 1;
  for (int32_t a = 0; a < last; a++) n *= index->shape[a];
  for (int32_t a = n_axes; a < y->rank; a++) slice *= y->shape[a];
  const uint8_t *p = (const uint8_t *)index->data, *update = (const uint8_t *)c->in[2]->data;
  whit_copy(y, c->in[0]);
  for (int32_t k = 0; k < n; k++) {
    uint8_t *to = (uint8_t *)y->data;
    for (int32_t a = 0; a < n_axes; a++, p += index_size) {
      const int64_t dim = y->shape[a];
      int64_t i = whit_get_i64(index->dtype, p);
      if (i < -dim || i >= dim)
        return whit_fail(c, WHIT_E_INDEX, "scatter_nd: an index is out of range");
      if (i < 0) i += dim;
      to += (size_t)(i * y->stride[a]) * size;
    }
    if (!c->attr[0]) {
      whit_bytes_copy(to, update, (size_t)slice * size);
      update += (size_t)slice * size;
      continue;
    }
    for (int32_t j = 0; j < slice; j++, to += size, update += size)
      whit_combine((unsigned)c->attr[0] - 1, y->dtype, to, update);
  }
  return WHIT_OK;
}
