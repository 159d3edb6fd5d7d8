/* arena.c - the largest set of bytes that a plan has to hold at once: values of known shape, and the scratch of the node that runs. */
#include "../../runtime_c/src/internal.h"

static size_t item_bytes(const whit_value *v, uint32_t pc) {
  if ((v->flags & (WHIT_V_PLACED | WHIT_V_INSIDE | WHIT_V_BOUND)) != WHIT_V_PLACED) return 0;
  return v->birth <= pc && pc <= v->death ? (v->flags & WHIT_V_TWICE ? 2 : 1) * v->n_bytes : 0;
}

__attribute__((visibility("default"))) size_t arena_living(const whit_instance *i) {
  const whit_region *entry = i->region;
  size_t most = 0;
  for (uint32_t pc = entry->begin; pc < entry->end; pc++) {
    size_t sum = i->steps[pc].mode == WHIT_STEP_READY ? (size_t)i->steps[pc].scratch * 64 : 0;
    for (uint32_t v = 0; v < i->model.n_values; v++) sum += item_bytes(&i->values[v], pc);
    if (most < sum) most = sum;
  }
  return most;
}
