/* seq_at - one tensor of a sequence. */
#include "items.h"

WHIT_OP(seq_at, .version = 1, .in = "s i", .out = "y", .flags = "sequence",
        .doc = "Element number i of a sequence; negative i counts from the end.");

static whit_status seq_at_item(whit_call *c, whit_tensor *t) {
  int32_t n, i;
  WHIT_TRY(whit_items_place(c, 1, 0, &n, &i));
  whit_item_get(c, &whit_sequence_items(c, c->in[0])[i], t);
  return t->kind == WHIT_TENSOR ? WHIT_OK : whit_fail(c, WHIT_E_TYPE, "seq_at: the element is not a tensor");
}

whit_status whit_seq_at_shape(whit_call *c) {
  whit_tensor t;
  WHIT_TRY(seq_at_item(c, &t));
  return whit_out_like(c, 0, &t);
}

whit_status whit_seq_at_run(whit_call *c) {
  whit_tensor t;
  WHIT_TRY(seq_at_item(c, &t));
  whit_copy(c->out[0], &t);
  return WHIT_OK;
}
