/* opt_none - an optional that holds nothing. */
#include "../src/internal.h"

WHIT_OP(opt_none, .version = 1, .in = "", .out = "y", .attr = "kind:i32", .flags = "sequence",
        .doc = "An absent optional; kind says of what (0 tensor, 1 sequence) and changes "
               "nothing.");

whit_status whit_opt_none_shape(whit_call *c) {
  c->out[0]->kind = WHIT_ABSENT;
  c->out[0]->rank = c->out[0]->dtype = 0;
  return WHIT_OK;
}

whit_status whit_opt_none_run(whit_call *c) {
  (void)c;
  return WHIT_OK;
}
