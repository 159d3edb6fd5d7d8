/* shape - the sizes of a tensor's axes. */
#include "../src/internal.h"

WHIT_OP(shape, .version = 1, .in = "x", .out = "y", .attr = "start:i32 end:i32", .strided = "x",
        .doc = "Sizes of axes start to end (exclusive; 0x7fffffff: all) as an i64 vector; "
               "negative ones count from the end.");

static int32_t shape_bound(int32_t axis, int32_t rank) {
  if (axis < 0) axis += rank;
  return axis < 0 ? 0 : axis > rank ? rank : axis;
}

whit_status whit_shape_shape(whit_call *c) {
  const int32_t rank = c->in[0]->rank;
  const int32_t n = shape_bound(c->attr[1], rank) - shape_bound(c->attr[0], rank);
  const int32_t length = n < 0 ? 0 : n;
  return whit_out(c, 0, WHIT_I64, 1, &length);
}

whit_status whit_shape_run(whit_call *c) {
  const int32_t *dims = c->in[0]->shape + shape_bound(c->attr[0], c->in[0]->rank);
  int64_t *y = (int64_t *)c->out[0]->data;
  for (int32_t k = 0; k < c->out[0]->shape[0]; k++) y[k] = dims[k];
  return WHIT_OK;
}
