/* seq_insert - a sequence with one more tensor. */
#include "items.h"

WHIT_OP(seq_insert, .version = 1, .in = "s x i?", .out = "y", .flags = "sequence",
        .doc = "The sequence with x before element number i (at the end); negative i counts from"
               " the end. Elements are shared, not copied.");

whit_status whit_seq_insert_shape(whit_call *c) {
  int32_t n, i;
  WHIT_TRY(whit_items_place(c, 2, 1, &n, &i));
  if (n == INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "seq_insert: the sequence is too long");
  return whit_out_sequence(c, 0, n + 1);
}

whit_status whit_seq_insert_run(whit_call *c) {
  int32_t n, i;
  WHIT_TRY(whit_items_place(c, 2, 1, &n, &i));
  WHIT_TRY(whit_items_share(c, i, 1));
  return whit_item_set(c, &whit_sequence_items(c, c->out[0])[i], c->in[1]);
}
