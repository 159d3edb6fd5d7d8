/* seq_erase - a sequence with one tensor less. */
#include "../src/internal.h"

WHIT_OP(seq_erase, .version = 1, .in = "s i?", .out = "y", .flags = "sequence",
        .doc = "The sequence without element number i (the last); negative i counts from the "
               "end. Elements are shared.");

static whit_status seq_erase_place(whit_call *c, int32_t *n, int64_t *at) {
  *at = -1;
  WHIT_TRY(whit_in_sequence(c, 0, n));
  if (c->n_in > 1 && c->in[1]) WHIT_TRY(whit_int(c, 1, at));
  if (*at < -*n || *at >= *n) return whit_fail(c, WHIT_E_INDEX, "seq_erase: no such element");
  if (*at < 0) *at += *n;
  return WHIT_OK;
}

whit_status whit_seq_erase_shape(whit_call *c) {
  int32_t n;
  int64_t at;
  WHIT_TRY(seq_erase_place(c, &n, &at));
  return whit_out_sequence(c, 0, n - 1);
}

whit_status whit_seq_erase_run(whit_call *c) {
  int32_t n;
  int64_t at;
  WHIT_TRY(seq_erase_place(c, &n, &at));
  whit_item *items = whit_sequence_make(c, c->out[0], (uint32_t)n - 1);
  if (!items) return WHIT_E_MEMORY;
  const whit_item *old = whit_sequence_items(c, c->in[0]);
  for (int32_t k = 0; k < n; k++)
    if (k != at) whit_item_share(c, &items[k < at ? k : k - 1], &old[k]);
  return WHIT_OK;
}
