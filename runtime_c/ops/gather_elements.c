/* gather_elements - one element of x for each index, along an axis. */
#include "../src/internal.h"

WHIT_OP(gather_elements, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32",
        .doc = "y has the shape of indices; each element comes from its own position in x, with "
               "indices' value as the position along axis.");

whit_status whit_gather_elements_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  int32_t axis = c->attr[0];
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "gather_elements: indices must be i32 or i64");
  if (index->rank != x->rank)
    return whit_fail(c, WHIT_E_SHAPE, "gather_elements: indices must have as many axes as x");
  if (!whit_axis(&axis, x->rank))
    return whit_fail(c, WHIT_E_VALUE, "gather_elements: no such axis");
  for (int32_t a = 0; a < x->rank; a++)
    if (a != axis && index->shape[a] > x->shape[a])
      return whit_fail(c, WHIT_E_SHAPE,
                       "gather_elements: indices are larger than x along another axis");
  return whit_out(c, 0, x->dtype, index->rank, index->shape);
}

whit_status whit_gather_elements_run(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const size_t size = whit_type_size(x->dtype), index_size = whit_type_size(index->dtype);
  int32_t axis = c->attr[0], at[WHIT_MAX_RANK] = { 0 };
  whit_axis(&axis, x->rank);
  const int64_t dim = x->shape[axis];
  const uint8_t *p = (const uint8_t *)index->data, *from = (const uint8_t *)x->data; /* from: x at the position, 0 along axis */
  uint8_t *y = (uint8_t *)c->out[0]->data;
  for (int32_t k = whit_count(index); k > 0; k--, p += index_size, y += size) {
    int64_t i = whit_get_i64(index->dtype, p);
    if (i < -dim || i >= dim)
      return whit_fail(c, WHIT_E_INDEX, "gather_elements: an index is out of range");
    if (i < 0) i += dim;
    whit_bytes_copy(y, from + (size_t)(i * x->stride[axis]) * size, size);
    for (int32_t a = x->rank; a-- > 0;) {
      const ptrdiff_t step = a == axis ? 0 : x->stride[a] * (ptrdiff_t)size;
      if (++at[a] < index->shape[a]) {
        from += step;
        break;
      }
      from -= step * (index->shape[a] - 1);
      at[a] = 0;
    }
  }
  return WHIT_OK;
}
