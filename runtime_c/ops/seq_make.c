/* seq_make - a sequence of tensors. */
#include "../src/internal.h"

WHIT_OP(seq_make, .version = 1, .in = "x*", .out = "s", .flags = "sequence",
        .doc = "The sequence of its inputs; it may be empty.");

whit_status whit_seq_make_shape(whit_call *c) {
  for (unsigned i = 0; i < c->n_in; i++)
    if (!c->in[i] || c->in[i]->kind != WHIT_TENSOR)
      return whit_fail(c, WHIT_E_TYPE, "an element of a sequence must be a tensor");
  return whit_out_sequence(c, 0, c->n_in);
}

whit_status whit_seq_make_run(whit_call *c) {
  whit_item *items = whit_sequence_make(c, c->out[0], c->n_in);
  if (!items) return WHIT_E_MEMORY;
  for (unsigned i = 0; i < c->n_in; i++) WHIT_TRY(whit_item_set(c, &items[i], c->in[i]));
  return WHIT_OK;
}
