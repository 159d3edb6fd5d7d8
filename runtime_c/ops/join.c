/* join.c - tensors one after the other along an axis. */
#include "join.h"

static bool join_of_sequence(const whit_call *c) { return WHIT_SEQUENCES && c->in[0]->kind == WHIT_SEQUENCE; }

static int32_t join_count(const whit_call *c) { return join_of_sequence(c) ? c->in[0]->shape[0] : c->n_in; }

/* Tensor k of them; space: for an item. */
static whit_tensor *join_get(const whit_call *c, int32_t k, whit_tensor *space) {
  if (!join_of_sequence(c)) return c->in[k];
  whit_item_get(c, &whit_sequence_items(c, c->in[0])[k], space);
  return space;
}

/* Attribute 1: tensors are joined along a new axis; this gives it to one. */
static bool join_stacks(const whit_call *c) { return WHIT_SEQUENCES && c->n_attr > 1 && c->attr[1]; }

static void join_stack(whit_tensor *t, int32_t axis) {
  for (int32_t a = t->rank++; a > axis; a--) {
    t->shape[a] = t->shape[a - 1];
    t->stride[a] = t->stride[a - 1];
  }
  t->shape[axis] = t->stride[axis] = 1;
}

whit_status whit_join_shape(whit_call *c) {
  const int32_t n = join_count(c);
  const bool stack = join_stacks(c);
  whit_tensor first, space;
  int64_t sum = 0;
  if (join_of_sequence(c) && !n) return whit_fail(c, WHIT_E_SHAPE, "the sequence is empty");
  first = *join_get(c, 0, &space);
  const int32_t axis = whit_position(c->attr[0], first.rank + stack);
  if (axis < 0 || (stack && first.rank == WHIT_MAX_RANK)) return whit_fail(c, WHIT_E_VALUE, "there is no such axis");
  for (int32_t k = 0; k < n; k++) {
    const whit_tensor *t = join_get(c, k, &space);
    if (!t || !whit_is_tensor(t) || t->dtype != first.dtype)
      return whit_fail(c, WHIT_E_TYPE, "tensors that are joined must have one type");
    if (!stack) first.shape[axis] = t->shape[axis];
    if (!whit_same_shape(t, &first)) return whit_fail(c, WHIT_E_SHAPE, "tensors that are joined must agree in their other axes");
    sum += stack ? 1 : t->shape[axis];
  }
  if (sum > INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
  if (stack) join_stack(&first, axis);
  if (WHIT_SHARES) {
    const bool whole = whit_product(first.shape, (unsigned)axis) == 1;
    c->joins = whole ? WHIT_JOINS_WHOLE : axis + 1 == first.rank ? WHIT_JOINS_ROWS : 0;
    c->spaced = true;
  }
  first.shape[axis] = (int32_t)sum;
  return whit_out_like(c, 0, &first);
}

whit_status whit_join_run(whit_call *c) {
  const whit_tensor *y = c->out[0];
  const int32_t axis = whit_axis(c->attr[0], y->rank);
  const size_t step = (size_t)y->stride[axis] * whit_type_size(y->dtype);
  const bool sequence = join_of_sequence(c);
  const int32_t n = sequence ? c->in[0]->shape[0] : c->n_in;
  uint8_t *to = (uint8_t *)y->data;
  whit_tensor space;
  for (int32_t k = 0; k < n; k++) {
    whit_tensor *t = sequence ? &space : c->in[k];
    if (sequence) {
      join_get(c, k, t);
      if (join_stacks(c)) join_stack(t, axis);
    }
    if (!WHIT_SHARES || to != t->data) whit_copy_all(c, to, y->stride, t); /* else it has been written there */
    to += step * (size_t)t->shape[axis];
  }
  return WHIT_OK;
}
