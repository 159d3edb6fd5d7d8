/* bitcast - the same bytes read as another type. */
#include "../src/internal.h"

WHIT_OP(bitcast, .version = 1, .in = "x", .out = "y", .attr = "to:i32", .flags = "view",
        .doc = "The same bytes as elements of another type, which takes as many bytes each.");

whit_status whit_bitcast_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const unsigned to = (unsigned)c->attr[0];
  if (!whit_type_size(to) || whit_type_size(to) != whit_type_size(x->dtype))
    return whit_fail(c, WHIT_E_TYPE, "bitcast: the types differ in size");
  c->view = true;
  return whit_out(c, 0, to, x->rank, x->shape);
}
