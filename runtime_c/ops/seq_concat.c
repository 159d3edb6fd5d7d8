/* seq_concat - the tensors of a sequence as one. */
#include "../src/internal.h"

WHIT_OP(seq_concat, .version = 1, .in = "s", .out = "y", .attr = "axis:i32 new_axis:i32",
        .flags = "sequence",
        .doc = "Joins the elements of a sequence along an axis, or along a new one.");

whit_status whit_seq_concat_shape(whit_call *c) {
  int32_t n, axis = c->attr[0], shape[WHIT_MAX_RANK];
  whit_tensor first, t;
  int64_t sum = 0;
  WHIT_TRY(whit_in_sequence(c, 0, &n));
  if (!n) return whit_fail(c, WHIT_E_SHAPE, "seq_concat: the sequence is empty");
  const whit_item *items = whit_sequence_items(c, c->in[0]);
  whit_item_get(c, &items[0], &first);
  const int32_t stack = c->attr[1] != 0, rank = first.rank + stack;
  if (first.kind != WHIT_TENSOR || rank > WHIT_MAX_RANK || !whit_axis(&axis, (unsigned)rank))
    return whit_fail(c, WHIT_E_VALUE, "seq_concat: no such axis");
  for (int32_t k = 0; k < n; k++) {
    whit_item_get(c, &items[k], &t);
    if (t.kind != WHIT_TENSOR || t.dtype != first.dtype)
      return whit_fail(c, WHIT_E_TYPE, "seq_concat: elements of several types");
    sum += stack ? 1 : t.shape[axis];
    if (!stack && t.rank == first.rank) t.shape[axis] = first.shape[axis];
    if (!whit_same_shape(&t, &first))
      return whit_fail(c, WHIT_E_SHAPE, "seq_concat: shapes of elements do not fit");
  }
  if (sum > INT32_MAX)
    return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
  for (int32_t a = 0; a < rank; a++)
    shape[a] = a == axis ? (int32_t)sum : first.shape[a > axis ? a - stack : a];
  return whit_out(c, 0, first.dtype, (unsigned)rank, shape);
}

whit_status whit_seq_concat_run(whit_call *c) {
  const whit_tensor *y = c->out[0];
  const whit_item *items = whit_sequence_items(c, c->in[0]);
  int32_t axis = c->attr[0];
  whit_axis(&axis, y->rank);
  const size_t step = (size_t)y->stride[axis] * whit_type_size(y->dtype);
  whit_tensor part = *y, t;
  for (int32_t k = 0; k < c->in[0]->shape[0]; k++) {
    whit_item_get(c, &items[k], &t);
    part.shape[axis] = c->attr[1] ? 1 : t.shape[axis];
    if (c->attr[1]) { /* gives the element the new axis too */
      for (int32_t a = t.rank; a > axis; a--) {
        t.shape[a] = t.shape[a - 1];
        t.stride[a] = t.stride[a - 1];
      }
      t.shape[axis] = t.stride[axis] = 1;
      t.rank++;
    }
    whit_copy(&part, &t);
    part.data = (uint8_t *)part.data + step * (size_t)part.shape[axis];
  }
  return WHIT_OK;
}
