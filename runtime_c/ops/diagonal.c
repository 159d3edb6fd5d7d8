/* diagonal - elements whose positions along two axes are equal. */
#include "../src/internal.h"

WHIT_OP(diagonal, .version = 1, .in = "x", .out = "y", .attr = "axis1:i32 axis2:i32",
        .strided = "x", .flags = "view no_larger",
        .doc = "Elements whose positions along axis1 and axis2 are equal: both axes go, the "
               "diagonal comes last.");

whit_status whit_diagonal_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const int32_t a1 = whit_position(c->attr[0], x->rank), a2 = whit_position(c->attr[1], x->rank);
  int32_t shape[WHIT_MAX_RANK], stride[WHIT_MAX_RANK];
  if (a1 < 0 || a2 < 0 || a1 == a2) return whit_fail(c, WHIT_E_VALUE, "diagonal: needs two axes of the input");
  unsigned rank = 0;
  for (int32_t a = 0; a < x->rank; a++) {
    if (a == a1 || a == a2) continue;
    shape[rank] = x->shape[a];
    stride[rank++] = x->stride[a];
  }
  shape[rank] = x->shape[a1] < x->shape[a2] ? x->shape[a1] : x->shape[a2];
  /* The sum of strides may overflow where there is no second element. */
  stride[rank] = shape[rank] > 1 ? x->stride[a1] + x->stride[a2] : 1;
  return whit_out_view(c, rank + 1, shape, stride);
}
