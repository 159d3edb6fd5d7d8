/* range - numbers at equal distances. */
#include "../src/internal.h"

WHIT_OP(range, .version = 1, .in = "start limit delta", .out = "y",
        .doc = "start, start + delta, ... below limit (above it if delta is negative); three "
               "numbers of one type.");

static whit_status range_count(whit_call *c, int32_t *n) {
  const unsigned dtype = c->in[0]->dtype;
  bool known = true;
  for (unsigned i = 0; i < 3; i++) {
    if (c->in[i]->dtype != dtype || dtype == WHIT_BOOL)
      return whit_fail(c, WHIT_E_TYPE, "range: needs numbers of one type");
    if (whit_count(c->in[i]) != 1) return whit_fail(c, WHIT_E_SHAPE, "range: needs single numbers");
    known &= whit_known(c, i);
  }
  if (!known) return WHIT_LATER;
  const whit_number start = whit_get(dtype, c->in[0]->data), limit = whit_get(dtype, c->in[1]->data),
                    delta = whit_get(dtype, c->in[2]->data);
  double count;
  if (whit_type_is_float(dtype)) {
    double span = limit.f - start.f;
    if (dtype != WHIT_F64) span = (double)(float)span;
    count = span / delta.f;
    if (!(count < 0x1p31)) return whit_fail(c, WHIT_E_VALUE, "range: endless, or too long");
  } else {
    if (!delta.i) return whit_fail(c, WHIT_E_VALUE, "range: endless, or too long");
    const bool up = delta.i > 0;
    const uint64_t span = up ? (uint64_t)limit.i - (uint64_t)start.i : (uint64_t)start.i - (uint64_t)limit.i;
    const uint64_t step = up ? (uint64_t)delta.i : 0 - (uint64_t)delta.i;
    count = (up ? start.i < limit.i : limit.i < start.i) ? (double)((span - 1) / step + 1) : 0;
    if (!(count < 0x1p31)) return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
  }
  const int64_t whole = count > 0 ? (int64_t)count : 0;
  const int64_t up = whole + ((double)whole < count);
  if (up > INT32_MAX)
    return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
  *n = (int32_t)up;
  return WHIT_OK;
}

whit_status whit_range_shape(whit_call *c) {
  int32_t n;
  WHIT_TRY(range_count(c, &n));
  return whit_out(c, 0, c->in[0]->dtype, 1, &n);
}

whit_status whit_range_run(whit_call *c) {
  const unsigned dtype = c->in[0]->dtype;
  const whit_number start = whit_get(dtype, c->in[0]->data), delta = whit_get(dtype, c->in[2]->data);
  const bool is_float = whit_type_is_float(dtype);
  const int32_t n = c->out[0]->shape[0];
  for (int32_t k = 0; k < n; k++) {
    whit_number y;
    if (is_float) y.f = start.f + k * delta.f;
    else y.i = (int64_t)((uint64_t)start.i + (uint64_t)k * (uint64_t)delta.i);
    whit_set(dtype, whit_at(c->out[0], k), y);
  }
  return WHIT_OK;
}
