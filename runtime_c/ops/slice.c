/* slice - part of a tensor, by steps along its axes. */
#include "../src/internal.h"

WHIT_OP(slice, .version = 1, .in = "x starts ends axes? steps?", .out = "y", .strided = "x",
        .flags = "view",
        .doc = "Elements starts to ends (exclusive) by steps (1) along axes (the first ones); "
               "negative positions count from the end, positions outside are moved to the "
               "nearest end.");

/* Cuts one axis: its new size, the first element's position, and the step (1 where it does not
 * matter). */
static int32_t slice_axis(int32_t dim, int64_t *start, int64_t end, int64_t *step) {
  const int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? dim - 1 : dim;
  if (*start < 0) *start += dim;
  if (end < 0) end += dim;
  if (*start < 0) *start = 0;
  if (*start > high) *start = high;
  if (end < low) end = low;
  if (end > high) end = high;
  if (*step > INT32_MAX) *step = INT32_MAX; /* no axis is longer, and the rest must not overflow */
  if (*step < -INT32_MAX) *step = -INT32_MAX;
  const int64_t n = (end - *start + *step - (*step < 0 ? -1 : 1)) / *step;
  if (n <= 1) *step = 1;
  if (n <= 0) *start = 0;
  return n < 0 ? 0 : (int32_t)n;
}

whit_status whit_slice_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int64_t start[WHIT_MAX_RANK], end[WHIT_MAX_RANK], axes[WHIT_MAX_RANK], step[WHIT_MAX_RANK];
  int32_t shape[WHIT_MAX_RANK], by[WHIT_MAX_RANK];
  uint32_t n, n_other, seen = 0;
  WHIT_TRY(whit_ints(c, 1, start, x->rank, &n));
  WHIT_TRY(whit_ints(c, 2, end, x->rank, &n_other));
  if (n_other != n)
    return whit_fail(c, WHIT_E_SHAPE, "slice: starts and ends must have the same length");
  for (uint32_t k = 0; k < n; k++) axes[k] = k, step[k] = 1;
  if (c->n_in > 3 && c->in[3]) WHIT_TRY(whit_ints(c, 3, axes, x->rank, &n_other));
  if (n_other != n)
    return whit_fail(c, WHIT_E_SHAPE, "slice: starts and axes must have the same length");
  if (c->n_in > 4 && c->in[4]) WHIT_TRY(whit_ints(c, 4, step, x->rank, &n_other));
  if (n_other != n)
    return whit_fail(c, WHIT_E_SHAPE, "slice: starts and steps must have the same length");
  for (unsigned a = 0; a < x->rank; a++) {
    shape[a] = x->shape[a];
    by[a] = x->stride[a];
  }
  c->view_offset = 0;
  for (uint32_t k = 0; k < n; k++) {
    int32_t axis = (int32_t)axes[k];
    if (axis != axes[k] || !whit_axis(&axis, x->rank) || seen >> axis & 1)
      return whit_fail(c, WHIT_E_VALUE, "slice: no such axis, or named twice");
    if (!step[k]) return whit_fail(c, WHIT_E_VALUE, "slice: a step of 0");
    seen |= 1u << axis;
    shape[axis] = slice_axis(x->shape[axis], &start[k], end[k], &step[k]);
    c->view_offset += (ptrdiff_t)start[k] * x->stride[axis];
    by[axis] = (int32_t)(step[k] * x->stride[axis]);
  }
  WHIT_TRY(whit_out(c, 0, x->dtype, x->rank, shape));
  for (unsigned a = 0; a < x->rank; a++) c->out[0]->stride[a] = by[a];
  c->view = true;
  return WHIT_OK;
}
