/* seq_insert - a sequence with one more tensor. */
#include "shared.h"

WHIT_OP(seq_insert, .version = 1, .in = "s x i?", .out = "y", .flags = "sequence",
        .doc = "The sequence with x before element number i (at the end); negative i counts from"
               " the end. Elements are shared, not copied.");

whit_status whit_seq_insert_shape(whit_call *c) {
  int32_t n;
  int64_t at;
  WHIT_TRY(whit_sequence_place(c, 2, 1, &n, &at));
  if (c->in[1]->kind != WHIT_TENSOR)
    return whit_fail(c, WHIT_E_TYPE, "an element of a sequence must be a tensor");
  if (n == INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "seq_insert: the sequence is too long");
  return whit_out_sequence(c, 0, n + 1);
}

whit_status whit_seq_insert_run(whit_call *c) {
  int32_t n;
  int64_t at;
  whit_item *items;
  WHIT_TRY(whit_sequence_place(c, 2, 1, &n, &at));
  WHIT_TRY(whit_sequence_share(c, at, 1, &items));
  return whit_item_set(c, &items[at], c->in[1]);
}
