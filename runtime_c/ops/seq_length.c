/* seq_length - how many tensors a sequence has. */
#include "../src/internal.h"

WHIT_OP(seq_length, .version = 1, .in = "s", .out = "y", .flags = "sequence",
        .doc = "Number of elements of a sequence, i64.");

whit_status whit_seq_length_shape(whit_call *c) {
  int32_t n;
  WHIT_TRY(whit_in_sequence(c, 0, &n));
  return whit_out(c, 0, WHIT_I64, 0, NULL);
}

whit_status whit_seq_length_run(whit_call *c) {
  *(int64_t *)c->out[0]->data = c->in[0]->shape[0];
  return WHIT_OK;
}
