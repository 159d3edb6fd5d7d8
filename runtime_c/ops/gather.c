/* gather - slices of a tensor by their positions along an axis. */
#include "../src/internal.h"

WHIT_OP(gather, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32",
        .doc = "Replaces an axis by the axes of indices: y[.., i.., ..] = x[.., indices[i..], "
               "..].");

whit_status whit_gather_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  int32_t axis = c->attr[0], shape[2 * WHIT_MAX_RANK];
  unsigned rank = 0;
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "gather: no such axis");
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "gather: indices must be i32 or i64");
  for (int32_t a = 0; a < axis; a++) shape[rank++] = x->shape[a];
  for (unsigned a = 0; a < index->rank; a++) shape[rank++] = index->shape[a];
  for (int32_t a = axis + 1; a < x->rank; a++) shape[rank++] = x->shape[a];
  return whit_out(c, 0, x->dtype, rank, shape);
}

whit_status whit_gather_run(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const size_t size = whit_type_size(x->dtype), index_size = whit_type_size(index->dtype);
  const int32_t n = whit_count(index);
  int32_t axis = c->attr[0], outer = 1;
  whit_axis(&axis, x->rank);
  for (int32_t a = 0; a < axis; a++) outer *= x->shape[a];
  const int64_t dim = x->shape[axis];
  size_t slice = size;
  for (int32_t a = axis + 1; a < x->rank; a++) slice *= (size_t)x->shape[a];
  uint8_t *y = c->out[0]->data;
  const uint8_t *from = x->data;
  for (int32_t o = 0; o < outer; o++, from += slice * (size_t)dim) {
    const uint8_t *at = index->data;
    for (int32_t k = 0; k < n; k++, at += index_size, y += slice) {
      int64_t i = whit_get_i64(index->dtype, at);
      if (i < -dim || i >= dim)
        return whit_fail(c, WHIT_E_INDEX, "gather: an index is out of range");
      if (i < 0) i += dim;
      whit_bytes_copy(y, from + slice * (size_t)i, slice);
    }
  }
  return WHIT_OK;
}
