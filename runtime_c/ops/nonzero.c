/* nonzero - where a tensor is not zero. */
#include "../src/internal.h"

WHIT_OP(nonzero, .version = 1, .in = "x", .out = "y",
        .doc = "Positions of the elements that are not zero, in order: an i64 row for each axis "
               "of x.");

static bool nonzero_at(unsigned dtype, const uint8_t *p) {
  return whit_type_is_float(dtype) ? whit_get_f64(dtype, p) != 0 : whit_get_i64(dtype, p) != 0;
}

whit_status whit_nonzero_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const size_t size = whit_type_size(x->dtype);
  int32_t shape[2] = { x->rank, 0 };
  const int32_t count = whit_count(x);
  if (count && !whit_known(c, 0)) return WHIT_LATER;
  const uint8_t *p = (const uint8_t *)x->data;
  for (int32_t k = 0; k < count; k++, p += size) shape[1] += nonzero_at(x->dtype, p);
  return whit_out(c, 0, WHIT_I64, 2, shape);
}

whit_status whit_nonzero_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const size_t size = whit_type_size(x->dtype);
  const int32_t count = whit_count(x), n = c->out[0]->shape[1];
  int32_t at[WHIT_MAX_RANK] = { 0 };
  int64_t *y = (int64_t *)c->out[0]->data;
  const uint8_t *p = (const uint8_t *)x->data;
  for (int32_t k = 0; k < count; k++, p += size) {
    if (nonzero_at(x->dtype, p)) {
      for (unsigned a = 0; a < x->rank; a++) y[(ptrdiff_t)a * n] = at[a];
      y++;
    }
    for (unsigned a = x->rank; a-- > 0;) {
      if (++at[a] < x->shape[a]) break;
      at[a] = 0;
    }
  }
  return WHIT_OK;
}
