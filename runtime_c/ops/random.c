/* random - numbers that look like chance. */
#include "../src/internal.h"

WHIT_OP(random, .version = 1, .in = "shape", .out = "y", .attr = "dtype:i32 seed:i32",
        .flags = "impure",
        .doc = "Numbers from 0 up to but not including 1, all equally likely, f32 or f64. The same "
               "seed gives the same numbers, run by run, to every new instance.");

/* SplitMix64 (Steele, Lea and Flood 2014): number i is a hash of seed + i * 2^64 / golden ratio.
 * Counting, instead of keeping a generator for each node, makes the state one number of the
 * instance. */
static uint64_t random_mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

whit_status whit_random_shape(whit_call *c) {
  int32_t shape[WHIT_MAX_RANK];
  uint32_t rank;
  if (c->attr[0] != WHIT_F32 && c->attr[0] != WHIT_F64)
    return whit_fail(c, WHIT_E_TYPE, "random: makes f32 or f64");
  WHIT_TRY(whit_sizes(c, 0, shape, &rank));
  return whit_out(c, 0, (unsigned)c->attr[0], rank, shape);
}

whit_status whit_random_run(whit_call *c) {
  const whit_tensor *y = c->out[0];
  const int32_t n = whit_count(y);
  float *f32 = (float *)y->data;
  double *f64 = (double *)y->data;
  uint64_t x = random_mix((uint32_t)c->attr[1] + 1u) + c->instance->random_counter;
  c->instance->random_counter += (uint64_t)n * 0x9e3779b97f4a7c15u;
  for (int32_t k = 0; k < n; k++) {
    x += 0x9e3779b97f4a7c15u;
    const uint64_t bits = random_mix(x);
    if (y->dtype == WHIT_F32)
      f32[k] = (float)(bits >> 40) * 0x1p-24f;
    else
      f64[k] = (double)(bits >> 11) * 0x1p-53;
  }
  return WHIT_OK;
}
