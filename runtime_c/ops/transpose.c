/* transpose - axes in another order. */
#include "../src/internal.h"

WHIT_OP(transpose, .version = 1, .in = "x", .out = "y", .attr = "perm:i32[]", .strided = "x",
        .flags = "view no_larger",
        .doc = "Axis k of the output is axis perm[k] of the input; without perm the axes are "
               "reversed.");

whit_status whit_transpose_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const unsigned rank = x->rank;
  int32_t shape[WHIT_MAX_RANK], stride[WHIT_MAX_RANK];
  uint32_t n, seen = 0;
  const int32_t *perm = whit_attr_list(c, 0, 0, &n);
  if (n && n != rank) return whit_fail(c, WHIT_E_SHAPE, "transpose: perm must name every axis");
  for (unsigned a = 0; a < rank; a++) {
    const int32_t from = whit_position(n ? perm[a] : (int32_t)(rank - 1 - a), (int32_t)rank);
    if (from < 0 || seen >> from & 1) return whit_fail(c, WHIT_E_VALUE, "transpose: perm must name every axis once");
    seen |= 1u << from;
    shape[a] = x->shape[from];
    stride[a] = x->stride[from];
  }
  return whit_out_view(c, rank, shape, stride);
}
