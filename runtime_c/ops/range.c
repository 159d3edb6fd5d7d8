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
  double count;
  if (whit_type_is_float(dtype)) {
    const double start = whit_get_f64(dtype, c->in[0]->data),
                 limit = whit_get_f64(dtype, c->in[1]->data);
    double span = limit - start;
    if (dtype != WHIT_F64) span = (double)(float)span;
    count = span / whit_get_f64(dtype, c->in[2]->data);
    if (!(count < 0x1p31)) return whit_fail(c, WHIT_E_VALUE, "range: endless, or too long");
  } else {
    const int64_t start = whit_get_i64(dtype, c->in[0]->data),
                  limit = whit_get_i64(dtype, c->in[1]->data);
    const int64_t delta = whit_get_i64(dtype, c->in[2]->data);
    if (!delta) return whit_fail(c, WHIT_E_VALUE, "range: endless, or too long");
    const bool up = delta > 0;
    const uint64_t span = up ? (uint64_t)limit - (uint64_t)start
                             : (uint64_t)start - (uint64_t)limit;
    const uint64_t step = up ? (uint64_t)delta : 0 - (uint64_t)delta;
    const uint64_t steps = (up ? start < limit : limit < start) ? (span - 1) / step + 1 : 0;
    if (steps > INT32_MAX)
      return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
    count = (double)steps;
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
  const size_t size = whit_type_size(dtype);
  uint8_t *y = (uint8_t *)c->out[0]->data;
  const int32_t n = c->out[0]->shape[0];
  if (whit_type_is_float(dtype)) {
    const double start = whit_get_f64(dtype, c->in[0]->data),
                 delta = whit_get_f64(dtype, c->in[2]->data);
    for (int32_t k = 0; k < n; k++, y += size) whit_set_f64(dtype, y, start + k * delta);
  } else {
    const int64_t delta = whit_get_i64(dtype, c->in[2]->data);
    uint64_t x = (uint64_t)whit_get_i64(dtype, c->in[0]->data);
    for (int32_t k = 0; k < n; k++, y += size, x += (uint64_t)delta)
      whit_set_i64(dtype, y, (int64_t)x);
  }
  return WHIT_OK;
}
