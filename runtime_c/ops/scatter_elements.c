/* scatter_elements - a copy of x with single elements replaced or combined. */
#include "../src/internal.h"

WHIT_OP(scatter_elements, .version = 1, .in = "x indices updates", .out = "y",
        .attr = "axis:i32 reduction:i32", .strided = "x",
        .doc = "x with each update put at its own position, the index's value along axis; in "
               "order. reduction 0 replaces, 1 adds, 2 multiplies, 3 takes the maximum, 4 the "
               "minimum.");

whit_status whit_scatter_elements_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1], *updates = c->in[2];
  int32_t axis = c->attr[0];
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "scatter_elements: indices must be i32 or i64");
  if (updates->dtype != x->dtype)
    return whit_fail(c, WHIT_E_TYPE, "scatter_elements: updates must have the type of x");
  if (c->attr[1] < 0 || c->attr[1] > 4)
    return whit_fail(c, WHIT_E_VALUE, "scatter_elements: no such reduction");
  if (index->rank != x->rank || !whit_same_shape(index, updates))
    return whit_fail(
        c, WHIT_E_SHAPE,
        "scatter_elements: indices and updates must have one shape, with as many axes as x");
  if (!whit_axis(&axis, x->rank))
    return whit_fail(c, WHIT_E_VALUE, "scatter_elements: no such axis");
  for (int32_t a = 0; a < x->rank; a++)
    if (a != axis && index->shape[a] > x->shape[a])
      return whit_fail(c, WHIT_E_SHAPE,
                       "scatter_elements: indices are larger than x along another axis");
  return whit_out_like(c, 0, x);
}

whit_status whit_scatter_elements_run(whit_call *c) {
  const whit_tensor *y = c->out[0], *index = c->in[1];
  const size_t size = whit_type_size(y->dtype), index_size = whit_type_size(index->dtype);
  int32_t axis = c->attr[0], at[WHIT_MAX_RANK] = { 0 };
  whit_copy(y, c->in[0]);
  whit_axis(&axis, y->rank);
  const int64_t dim = y->shape[axis];
  const uint8_t *p = (const uint8_t *)index->data, *update = (const uint8_t *)c->in[2]->data;
  uint8_t *to = (uint8_t *)y->data; /* y at the position, 0 along axis */
  for (int32_t k = whit_count(index); k > 0; k--, p += index_size, update += size) {
    int64_t i = whit_get_i64(index->dtype, p);
    if (i < -dim || i >= dim)
      return whit_fail(c, WHIT_E_INDEX, "scatter_elements: an index is out of range");
    if (i < 0) i += dim;
    uint8_t *element = to + (size_t)(i * y->stride[axis]) * size;
    if (c->attr[1])
      whit_combine((unsigned)c->attr[1] - 1, y->dtype, element, update);
    else
      whit_bytes_copy(element, update, size);
    for (int32_t a = y->rank; a-- > 0;) {
      const ptrdiff_t step = a == axis ? 0 : y->stride[a] * (ptrdiff_t)size;
      if (++at[a] < index->shape[a]) {
        to += step;
        break;
      }
      to -= step * (index->shape[a] - 1);
      at[a] = 0;
    }
  }
  return WHIT_OK;
}
