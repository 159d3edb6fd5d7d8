/* loop - repeats a region. Stepping is in src/flow.c. */
#include "../src/internal.h"

WHIT_OP(loop, .version = 1, .in = "trips? cond? init*", .out = "y*", .attr = "n_carried:i32 scans:i32[]",
        .strided = "trips", .flags = "control loop",
        .doc = "Repeats its region trips times (one i64; of another type: as often as it has rows) or while the region's first result "
               "is true. Region parameters: iteration, carried values; results: condition, carried values, one slice of each "
               "stacked output.");

/* Counts that do not depend on types: carried values in and out, and the well-formed list of slice types. */
whit_status whit_loop_shape(whit_call *c) {
  const int32_t n = c->attr[0];
  if (n < 0 || n != c->n_in - 2 || n > c->n_out) return WHIT_E_FORMAT;
  uint32_t n_words, used = 0;
  const int32_t *words = whit_attr_list(c, 1, 0, &n_words);
  for (int32_t k = n; WHIT_HEAP && k < c->n_out; k++) {       /* else nobody reads them */
    if (n_words - used < 2) return WHIT_E_FORMAT;
    const int32_t rank = words[used + 1];
    used += 2;
    if (rank == 255) continue;
    if (rank < 0 || rank >= WHIT_MAX_RANK || n_words - used < (uint32_t)rank) return WHIT_E_FORMAT;
    used += (uint32_t)rank;
  }
  return WHIT_OK;
}
