/* split_to_sequence - the pieces of a tensor along an axis. */
#include "../src/internal.h"

WHIT_OP(split_to_sequence, .version = 1, .in = "x split?", .out = "s",
        .attr = "axis:i32 keepdims:i32", .strided = "x", .flags = "sequence",
        .doc = "Cuts a tensor along an axis: split holds the sizes, or one number (no axes): the"
               " size of all but the last; without it the pieces have size 1 and, unless "
               "keepdims, lose the axis.");

/* How many pieces there are; *each: the size of all, 0 if the input says it one by one. */
static whit_status split_plan(whit_call *c, int32_t *axis, int32_t *n, int32_t *each) {
  const whit_tensor *x = c->in[0], *split = c->n_in > 1 ? c->in[1] : NULL;
  if (x->kind != WHIT_TENSOR || (split && split->kind != WHIT_TENSOR))
    return whit_fail(c, WHIT_E_TYPE, "split_to_sequence: takes a tensor");
  *axis = c->attr[0];
  if (!whit_axis(axis, x->rank))
    return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: no such axis");
  const int64_t dim = x->shape[*axis];
  *n = (int32_t)dim;
  *each = 1;
  if (!split) return WHIT_OK;
  if (split->rank > 1 || whit_type_is_float(split->dtype) || split->dtype == WHIT_BOOL)
    return whit_fail(c, WHIT_E_TYPE, "split_to_sequence: sizes must be a list of integers");
  const uint8_t *p = (const uint8_t *)split->data;
  if (!split->rank) {
    const int64_t size = whit_get_i64(split->dtype, p);
    if (size < 1) return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: a size must be positive");
    *each = size < dim ? (int32_t)size : dim ? (int32_t)dim : 1;
    *n = (int32_t)((dim + *each - 1) / *each);
    return WHIT_OK;
  }
  int64_t rest = dim;
  *n = split->shape[0];
  *each = 0;
  for (int32_t k = 0; k < *n; k++, p += whit_type_size(split->dtype)) {
    const int64_t size = whit_get_i64(split->dtype, p);
    if (size < 0 || size > rest)
      return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: sizes do not add up to the axis");
    rest -= size;
  }
  return rest ? whit_fail(c, WHIT_E_VALUE, "split_to_sequence: sizes do not add up to the axis")
              : WHIT_OK;
}

whit_status whit_split_to_sequence_shape(whit_call *c) {
  int32_t axis, n, each;
  WHIT_TRY(split_plan(c, &axis, &n, &each));
  return whit_out_sequence(c, 0, n);
}

whit_status whit_split_to_sequence_run(whit_call *c) {
  const whit_tensor *x = c->in[0], *split = c->n_in > 1 ? c->in[1] : NULL;
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(x->dtype);
  int32_t axis, n, each;
  WHIT_TRY(split_plan(c, &axis, &n, &each));
  whit_item *items = whit_sequence_make(c, c->out[0], (uint32_t)n);
  if (!items) return WHIT_E_MEMORY;
  whit_tensor part = *x;
  if (!split && !c->attr[1]) {
    part.rank--;
    for (int32_t a = axis; a < part.rank; a++) {
      part.shape[a] = x->shape[a + 1];
      part.stride[a] = x->stride[a + 1];
    }
  }
  int32_t rest = x->shape[axis];
  for (int32_t k = 0; k < n; k++) {
    int32_t piece = each < rest ? each : rest;
    if (!each)
      piece = (int32_t)whit_get_i64(split->dtype, (const uint8_t *)split->data +
                                                      (size_t)k * whit_type_size(split->dtype));
    if (split || c->attr[1]) part.shape[axis] = piece;
    WHIT_TRY(whit_item_set(c, &items[k], &part));
    part.data = (uint8_t *)part.data + (ptrdiff_t)piece * x->stride[axis] * size;
    rest -= piece;
  }
  return WHIT_OK;
}
