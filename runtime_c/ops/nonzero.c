/* nonzero - where a tensor is not zero. */
#include "../src/internal.h"

WHIT_OP(nonzero, .version = 1, .in = "x", .out = "y",
        .doc = "Positions of the elements that are not zero, in order: an i64 row for each axis "
               "of x.");

/* Counts, and writes positions if y is not NULL. */
static int32_t nonzero_walk(const whit_tensor *x, int64_t *y, int32_t n) {
  const uint8_t *p = (const uint8_t *)x->data;
  const int32_t count = whit_count(x);
  int32_t found = 0;
  for (int32_t k = 0; k < count; k++, p += whit_type_size(x->dtype)) {
    if (whit_get_f64(x->dtype, p) == 0) continue;
    for (int32_t a = 0; y && a < x->rank; a++) y[(ptrdiff_t)a * n + found] = k / x->stride[a] % x->shape[a];
    found++;
  }
  return found;
}

whit_status whit_nonzero_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t shape[2] = { x->rank, 0 };
  if (whit_count(x) && !whit_known(c, 0)) return WHIT_LATER;
  shape[1] = nonzero_walk(x, NULL, 0);
  return whit_out(c, 0, WHIT_I64, 2, shape);
}

whit_status whit_nonzero_run(whit_call *c) {
  nonzero_walk(c->in[0], (int64_t *)c->out[0]->data, c->out[0]->shape[1]);
  return WHIT_OK;
}
