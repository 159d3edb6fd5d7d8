/* slice - part of a tensor, by steps along its axes. */
#include "../src/internal.h"

WHIT_OP(slice, .version = 1, .in = "x starts ends axes? steps?", .out = "y", .strided = "x",
        .flags = "view no_larger",
        .doc = "Elements starts to ends (exclusive) by steps (1) along axes (the first ones); "
               "negative positions count from the end, positions outside are moved to the "
               "nearest end.");

/* Most slices are of one axis and leave nothing out. */
enum { SLICE_AXES = WHIT_SLICES > 1 ? WHIT_MAX_RANK : 1, SLICE_LISTS = WHIT_SLICES > 1 ? 4 : 3 };

/* A position, from the end if it is negative, within limits. */
static int64_t slice_position(int64_t x, int32_t dim, int64_t low, int64_t high) {
  if (x < 0) x += dim;
  if (x < low) x = low;
  return x > high ? high : x;
}

whit_status whit_slice_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  whit_tensor *y = c->out[0];
  int64_t v[4][SLICE_AXES];     /* starts, ends, axes, steps */
  uint32_t n = 1, n_read, seen = 0;
  if (WHIT_SLICES < 2 && (whit_in(c, 4) || whit_count(c->in[1]) != 1))
    return whit_fail(c, WHIT_E_OPERATOR, "slice: this build of the runtime lacks slices of several axes, or by steps");
  for (unsigned k = 0; k < SLICE_AXES; k++) {
    v[2][k] = k;
    v[3][k] = 1;
  }
  for (unsigned i = 0; i < SLICE_LISTS; i++) {
    if (i > 1 && !whit_in(c, i + 1)) continue;
    WHIT_TRY(whit_ints(c, i + 1, v[i], SLICE_AXES, &n_read));
    if (WHIT_SLICES > 1 && !i) n = n_read;
    if (n_read != n) return whit_fail(c, WHIT_E_SHAPE, "slice: starts, ends, axes and steps must have the same length");
  }
  WHIT_TRY(whit_out_view(c, x->rank, x->shape, x->stride)); /* all of it; now it is cut */
  c->view_offset = 0;
  for (uint32_t k = 0; k < n; k++) {
    const int32_t axis = whit_position(v[2][k], x->rank);
    const int64_t step = WHIT_SLICES > 1 ? v[3][k] : 1, low = step < 0 ? -1 : 0, one = low | 1; /* backwards: end before 0 */
    if (axis < 0 || seen >> axis & 1) return whit_fail(c, WHIT_E_VALUE, "slice: no such axis, or named twice");
    if (!step) return whit_fail(c, WHIT_E_VALUE, "slice: a step of 0");
    seen |= 1u << axis;
    const int32_t dim = x->shape[axis];
    const int64_t start = slice_position(v[0][k], dim, 0, dim + low), length = slice_position(v[1][k], dim, low, dim + low) - start;
    const int64_t size = length * one > 0 ? (length - one) / step + 1 : 0;
    y->shape[axis] = (int32_t)size;
    if (size) c->view_offset += (ptrdiff_t)start * x->stride[axis];
    if (size > 1) y->stride[axis] = (int32_t)(step * x->stride[axis]); /* of fewer a step may be larger than any stride */
  }
  return WHIT_OK;
}
