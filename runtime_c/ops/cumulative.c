/* cumulative - running sum or product along an axis. */
#include "../src/internal.h"

WHIT_OP(cumulative, .version = 1, .in = "x axis?", .out = "y",
        .attr = "axis:i32 product:i32 exclusive:i32 reverse:i32",
        .doc = "Sum (or product) of the elements up to each one along an axis, itself left out "
               "if exclusive; from the end if reverse. The axis input wins over the attribute. "
               "Types below f64 accumulate in f32, integers in i64.");

static whit_status cumulative_axis(whit_call *c, int32_t *axis) {
  int64_t v = c->attr[0];
  if (whit_in(c, 1)) WHIT_TRY(whit_int(c, 1, &v));
  *axis = whit_position(v, c->in[0]->rank);
  if (*axis < 0) return whit_fail(c, WHIT_E_VALUE, "cumulative: no such axis");
  return WHIT_OK;
}

whit_status whit_cumulative_shape(whit_call *c) {
  int32_t axis;
  const whit_status s = cumulative_axis(c, &axis);
  if (s && s != WHIT_LATER) return s; /* the shape does not depend on the axis */
  return whit_out_like(c, 0, c->in[0]);
}

whit_status whit_cumulative_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const unsigned dtype = x->dtype, kind = c->attr[1] != 0;
  const bool exclusive = c->attr[2] != 0, is_float = whit_type_is_float(dtype);
  int32_t axis;
  WHIT_TRY(cumulative_axis(c, &axis));
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(dtype), n = x->shape[axis], inner = x->stride[axis];
  const ptrdiff_t step = c->attr[3] ? -inner * size : inner * size;
  const int32_t n_rows = n ? whit_count(x) / x->shape[axis] : 0;
  for (int32_t k = 0; k < n_rows; k++) {
    const ptrdiff_t at = k + k / inner * inner * (n - 1), start = c->attr[3] ? at + (n - 1) * inner : at;
    const uint8_t *p = (const uint8_t *)whit_at(x, start);
    uint8_t *y = (uint8_t *)whit_at(c->out[0], start);
    whit_number sum = { (double)kind }, next;
    if (!is_float) sum.i = (int64_t)kind;
    for (ptrdiff_t i = 0; i < n; i++, p += step, y += step, sum = next) {
      next = whit_combined(kind, dtype, sum, whit_get(dtype, p));
      if (is_float && dtype != WHIT_F64) next.f = (double)(float)next.f;
      whit_set(dtype, y, exclusive ? sum : next);
    }
  }
  return WHIT_OK;
}
