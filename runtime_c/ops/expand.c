/* expand - repeats a tensor by broadcasting, without a copy. */
#include "../src/internal.h"

WHIT_OP(expand, .version = 1, .in = "x shape", .out = "y", .strided = "x", .flags = "view",
        .doc = "The input broadcast with shape, in both directions, as in NumPy.");

whit_status whit_expand_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t shape[WHIT_MAX_RANK], stride[WHIT_MAX_RANK];
  uint32_t n;
  WHIT_TRY(whit_sizes(c, 1, shape, &n));
  uint8_t rank = (uint8_t)n;
  if (whit_broadcast(&rank, shape, x))
    return whit_fail(c, WHIT_E_SHAPE, "expand: shapes do not broadcast");
  const unsigned more = rank - (unsigned)x->rank;
  for (unsigned a = 0; a < rank; a++) stride[a] = a < more || x->shape[a - more] != shape[a] ? 0 : x->stride[a - more];
  return whit_out_view(c, rank, shape, stride);
}
