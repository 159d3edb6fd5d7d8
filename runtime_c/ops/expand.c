/* expand - repeats a tensor by broadcasting, without a copy. */
#include "../src/internal.h"

WHIT_OP(expand, .version = 1, .in = "x shape", .out = "y", .strided = "x", .flags = "view",
        .doc = "The input broadcast with shape, in both directions, as in NumPy.");

whit_status whit_expand_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int64_t asked[WHIT_MAX_RANK];
  int32_t shape[WHIT_MAX_RANK];
  uint32_t n;
  WHIT_TRY(whit_ints(c, 1, asked, WHIT_MAX_RANK, &n));
  for (uint32_t a = 0; a < n; a++) {
    if (asked[a] < 0 || asked[a] > INT32_MAX)
      return whit_fail(c, WHIT_E_VALUE, "expand to a size that is out of range");
    shape[a] = (int32_t)asked[a];
  }
  uint8_t rank = (uint8_t)n;
  if (whit_broadcast(&rank, shape, x))
    return whit_fail(c, WHIT_E_SHAPE, "expand: shapes do not broadcast");
  WHIT_TRY(whit_out(c, 0, x->dtype, rank, shape));
  const unsigned more = rank - (unsigned)x->rank;
  for (unsigned a = 0; a < rank; a++)
    c->out[0]->stride[a] = a < more || x->shape[a - more] != shape[a] ? 0 : x->stride[a - more];
  c->view = true;
  c->view_offset = 0;
  return WHIT_OK;
}
