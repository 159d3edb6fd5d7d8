/* seq_concat - the tensors of a sequence as one. */
#include "join.h"

WHIT_OP(seq_concat, .version = 1, .in = "s", .out = "y", .attr = "axis:i32 new_axis:i32",
        .flags = "sequence",
        .doc = "Joins the elements of a sequence along an axis, or along a new one.");

whit_status whit_seq_concat_shape(whit_call *c) {
  int32_t n;
  WHIT_TRY(whit_in_sequence(c, 0, &n));
  return whit_join_shape(c);
}

whit_status whit_seq_concat_run(whit_call *c) { return whit_join_run(c); }
