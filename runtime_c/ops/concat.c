/* concat - tensors one after the other along an axis. */
#include "../src/internal.h"

WHIT_OP(concat, .version = 1, .in = "x+", .out = "y", .attr = "axis:i32", .strided = "x",
        .doc = "Joins tensors along an axis; their other axes must agree.");

whit_status whit_concat_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0], shape[WHIT_MAX_RANK];
  int64_t sum = 0;
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "concat: no such axis");
  for (unsigned i = 0; i < c->n_in; i++) {
    const whit_tensor *t = c->in[i];
    if (!t || t->rank != x->rank)
      return whit_fail(c, WHIT_E_SHAPE, "concat: inputs must have the same number of axes");
    if (t->dtype != x->dtype)
      return whit_fail(c, WHIT_E_TYPE, "concat: inputs must have the same type");
    for (int32_t a = 0; a < x->rank; a++)
      if (a != axis && t->shape[a] != x->shape[a])
        return whit_fail(c, WHIT_E_SHAPE, "concat: sizes of another axis differ");
    sum += t->shape[axis];
  }
  if (sum > INT32_MAX)
    return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
  for (unsigned a = 0; a < x->rank; a++) shape[a] = x->shape[a];
  shape[axis] = (int32_t)sum;
  bool whole = true;
  for (int32_t a = 0; a < axis; a++) whole = whole && shape[a] == 1;
  c->joins = whole ? WHIT_JOINS_WHOLE : axis + 1 == x->rank ? WHIT_JOINS_ROWS : 0;
  c->spaced = true;
  return whit_out(c, 0, x->dtype, x->rank, shape);
}

whit_status whit_concat_run(whit_call *c) {
  const whit_tensor *y = c->out[0];
  int32_t axis = c->attr[0];
  whit_axis(&axis, y->rank);
  const size_t step = (size_t)y->stride[axis] * whit_type_size(y->dtype);
  whit_tensor part = *y;
  for (unsigned i = 0; i < c->n_in; i++) {
    part.shape[axis] = c->in[i]->shape[axis];
    if (part.data != c->in[i]->data) whit_copy_all(c, &part, c->in[i]); /* else it has been written there */
    part.data = (uint8_t *)part.data + step * (size_t)part.shape[axis];
  }
  return WHIT_OK;
}
