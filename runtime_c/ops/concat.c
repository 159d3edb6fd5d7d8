/* concat - tensors one after the other along an axis. */
#include "join.h"

WHIT_OP(concat, .version = 1, .in = "x+", .out = "y", .attr = "axis:i32", .strided = "x",
        .doc = "Joins tensors along an axis; their other axes must agree.");

whit_status whit_concat_shape(whit_call *c) { return whit_join_shape(c); }

whit_status whit_concat_run(whit_call *c) { return whit_join_run(c); }
