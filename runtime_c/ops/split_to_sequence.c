/* split_to_sequence - the pieces of a tensor along an axis. */
#include "../src/internal.h"

WHIT_OP(split_to_sequence, .version = 1, .in = "x split?", .out = "s",
        .attr = "axis:i32 keepdims:i32", .strided = "x", .flags = "sequence",
        .doc = "Cuts a tensor along an axis: split holds the sizes, or one number (no axes): the"
               " size of all but the last; without it the pieces have size 1 and, unless "
               "keepdims, lose the axis.");

/* Goes from piece to piece; items NULL: to count them only. */
static whit_status split_pieces(whit_call *c, whit_item *items, int32_t *n) {
  const whit_tensor *x = c->in[0], *split = whit_in(c, 1);
  const int32_t axis = whit_position(c->attr[0], x->rank);
  const bool listed = split && split->rank;
  const uint8_t *p = split ? (const uint8_t *)split->data : NULL;
  if (x->kind != WHIT_TENSOR) return whit_fail(c, WHIT_E_TYPE, "split_to_sequence: takes a tensor");
  if (axis < 0) return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: no such axis");
  if (split && (split->kind != WHIT_TENSOR || split->rank > 1 || whit_type_is_float(split->dtype) || split->dtype == WHIT_BOOL))
    return whit_fail(c, WHIT_E_TYPE, "split_to_sequence: sizes must be a list of integers");
  whit_tensor part = *x;
  if (!split && !c->attr[1]) {
    part.rank--;
    for (int32_t a = axis; a < part.rank; a++) {
      part.shape[a] = x->shape[a + 1];
      part.stride[a] = x->stride[a + 1];
    }
  }
  int32_t rest = x->shape[axis], k = 0;
  for (; listed ? k < split->shape[0] : rest > 0; k++) {
    int64_t size = split ? whit_get_i64(split->dtype, p) : 1;
    if (listed) p += whit_type_size(split->dtype);
    else if (size < 1) return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: a size must be positive");
    else if (size > rest) size = rest;
    if (size < 0 || size > rest) break;
    rest -= (int32_t)size;
    if (!items) continue;
    if (split || c->attr[1]) part.shape[axis] = (int32_t)size;
    WHIT_TRY(whit_item_set(c, &items[k], &part));
    part.data = (uint8_t *)part.data + (ptrdiff_t)size * x->stride[axis] * (ptrdiff_t)whit_type_size(x->dtype);
  }
  *n = k;
  if (rest || (listed && k < split->shape[0]))
    return whit_fail(c, WHIT_E_VALUE, "split_to_sequence: sizes do not add up to the axis");
  return WHIT_OK;
}

whit_status whit_split_to_sequence_shape(whit_call *c) {
  int32_t n;
  WHIT_TRY(split_pieces(c, NULL, &n));
  return whit_out_sequence(c, 0, n);
}

whit_status whit_split_to_sequence_run(whit_call *c) {
  int32_t n = c->out[0]->shape[0];
  whit_item *items = whit_sequence_make(c, c->out[0], (uint32_t)n);
  return items ? split_pieces(c, items, &n) : WHIT_E_MEMORY;
}
