/* slice - part of a tensor, by steps along its axes. */
#include "../src/internal.h"

WHIT_OP(slice, .version = 1, .in = "x starts ends axes? steps?", .out = "y", .strided = "x",
        .flags = "view",
        .doc = "Elements starts to ends (exclusive) by steps (1) along axes (the first ones); "
               "negative positions count from the end, positions outside are moved to the "
               "nearest end.");

/* A position, from the end if it is negative, within limits. */
static int64_t slice_position(int64_t x, int32_t dim, int64_t low, int64_t high) {
  if (x < 0) x += dim;
  if (x < low) x = low;
  return x > high ? high : x;
}

/* Cuts one axis: its new size, the first element's position, and the step (1 where it does not matter, for a step may be larger
 * than any stride). */
static int32_t slice_axis(int32_t dim, int64_t *start, int64_t end, int64_t *step) {
  const int64_t low = *step < 0 ? -1 : 0, high = dim + low, one = *step < 0 ? -1 : 1;
  *start = slice_position(*start, dim, 0, high);
  const int64_t length = slice_position(end, dim, low, high) - *start, n = length * one > 0 ? (length - one) / *step + 1 : 0;
  if (n <= 1) *step = 1;
  if (!n) *start = 0;
  return (int32_t)n;
}

whit_status whit_slice_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int64_t v[4][WHIT_MAX_RANK];  /* starts, ends, axes, steps */
  whit_tensor y = *x;
  uint32_t n = 0, n_read, seen = 0;
  for (unsigned k = 0; k < WHIT_MAX_RANK; k++) {
    v[2][k] = k;
    v[3][k] = 1;
  }
  for (unsigned i = 0; i < 4; i++) {
    if (i > 1 && !whit_in(c, i + 1)) continue;
    WHIT_TRY(whit_ints(c, i + 1, v[i], x->rank, &n_read));
    if (i && n_read != n) return whit_fail(c, WHIT_E_SHAPE, "slice: starts, ends, axes and steps must have the same length");
    n = n_read;
  }
  c->view_offset = 0;
  for (uint32_t k = 0; k < n; k++) {
    const int32_t axis = whit_position(v[2][k], x->rank);
    if (axis < 0 || seen >> axis & 1) return whit_fail(c, WHIT_E_VALUE, "slice: no such axis, or named twice");
    if (!v[3][k]) return whit_fail(c, WHIT_E_VALUE, "slice: a step of 0");
    seen |= 1u << axis;
    y.shape[axis] = slice_axis(x->shape[axis], &v[0][k], v[1][k], &v[3][k]);
    c->view_offset += (ptrdiff_t)v[0][k] * x->stride[axis];
    y.stride[axis] = (int32_t)(v[3][k] * x->stride[axis]);
  }
  return whit_out_view(c, x->rank, y.shape, y.stride);
}
