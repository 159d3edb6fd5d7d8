/* seq_insert - a sequence with one more tensor. */
#include "../src/internal.h"

WHIT_OP(seq_insert, .version = 1, .in = "s x i?", .out = "y", .flags = "sequence",
        .doc = "The sequence with x before element number i (at the end); negative i counts from"
               " the end. Elements are shared, not copied.");

static whit_status seq_insert_place(whit_call *c, int32_t *n, int64_t *at) {
  WHIT_TRY(whit_in_sequence(c, 0, n));
  *at = *n;
  if (c->n_in > 2 && c->in[2]) WHIT_TRY(whit_int(c, 2, at));
  if (*at < -*n || *at > *n) return whit_fail(c, WHIT_E_INDEX, "seq_insert: no such place");
  if (*at < 0) *at += *n;
  return WHIT_OK;
}

whit_status whit_seq_insert_shape(whit_call *c) {
  int32_t n;
  int64_t at;
  WHIT_TRY(seq_insert_place(c, &n, &at));
  if (c->in[1]->kind != WHIT_TENSOR)
    return whit_fail(c, WHIT_E_TYPE, "an element of a sequence must be a tensor");
  if (n == INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "seq_insert: the sequence is too long");
  return whit_out_sequence(c, 0, n + 1);
}

whit_status whit_seq_insert_run(whit_call *c) {
  int32_t n;
  int64_t at;
  WHIT_TRY(seq_insert_place(c, &n, &at));
  whit_item *items = whit_sequence_make(c, c->out[0], (uint32_t)n + 1);
  if (!items) return WHIT_E_MEMORY;
  const whit_item *old = whit_sequence_items(c, c->in[0]);
  WHIT_TRY(whit_item_set(c, &items[at], c->in[1]));
  for (int32_t k = 0; k < n; k++) whit_item_share(c, &items[k < at ? k : k + 1], &old[k]);
  return WHIT_OK;
}
