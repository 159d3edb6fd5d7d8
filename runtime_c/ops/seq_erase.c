/* seq_erase - a sequence with one tensor less. */
#include "items.h"

WHIT_OP(seq_erase, .version = 1, .in = "s i?", .out = "y", .flags = "sequence",
        .doc = "The sequence without element number i (the last); negative i counts from the "
               "end. Elements are shared.");

whit_status whit_seq_erase_shape(whit_call *c) {
  int32_t n, i;
  WHIT_TRY(whit_items_place(c, 1, 0, &n, &i));
  return whit_out_sequence(c, 0, n - 1);
}

whit_status whit_seq_erase_run(whit_call *c) {
  int32_t n, i;
  WHIT_TRY(whit_items_place(c, 1, 0, &n, &i));
  return whit_items_share(c, i, -1);
}
