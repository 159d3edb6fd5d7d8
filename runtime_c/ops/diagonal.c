/* diagonal - elements whose positions along two axes are equal. */
#include "../src/internal.h"

WHIT_OP(diagonal, .version = 1, .in = "x", .out = "y", .attr = "axis1:i32 axis2:i32",
        .strided = "x", .flags = "view",
        .doc = "Elements whose positions along axis1 and axis2 are equal: both axes go, the "
               "diagonal comes last.");

whit_status whit_diagonal_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t a1 = c->attr[0], a2 = c->attr[1], shape[WHIT_MAX_RANK], stride[WHIT_MAX_RANK];
  if (!whit_axis(&a1, x->rank) || !whit_axis(&a2, x->rank) || a1 == a2)
    return whit_fail(c, WHIT_E_VALUE, "diagonal: needs two axes of the input");
  unsigned rank = 0;
  for (int32_t a = 0; a < x->rank; a++) {
    if (a == a1 || a == a2) continue;
    shape[rank] = x->shape[a];
    stride[rank++] = x->stride[a];
  }
  shape[rank] = x->shape[a1] < x->shape[a2] ? x->shape[a1] : x->shape[a2];
  /* The sum of strides may overflow where there is no second element. */
  stride[rank] = shape[rank] > 1 ? x->stride[a1] + x->stride[a2] : 1;
  WHIT_TRY(whit_out(c, 0, x->dtype, rank + 1, shape));
  for (unsigned a = 0; a <= rank; a++) c->out[0]->stride[a] = stride[a];
  c->view = true;
  c->view_offset = 0;
  return WHIT_OK;
}
