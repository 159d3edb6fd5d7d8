/* items.c - sequences that share items. */
#include "items.h"

whit_status whit_items_place(whit_call *c, unsigned i, int32_t more, int32_t *n, int32_t *place) {
  int64_t asked;
  WHIT_TRY(whit_in_sequence(c, 0, n));
  asked = (int64_t)*n + more - 1;
  if (whit_in(c, i)) WHIT_TRY(whit_int(c, i, &asked));
  if (asked < 0) asked += *n;
  *place = (int32_t)asked;
  return asked < 0 || asked >= (int64_t)*n + more ? whit_fail(c, WHIT_E_INDEX, "the sequence has no such element") : WHIT_OK;
}

whit_status whit_items_share(whit_call *c, int32_t place, int32_t more) {
  const int32_t n = c->in[0]->shape[0];
  whit_item *items = whit_sequence_make(c, c->out[0], (uint32_t)(n + more));
  if (!items) return WHIT_E_MEMORY;
  const whit_item *old = whit_sequence_items(c, c->in[0]);
  for (int32_t k = 0; k < n; k++)
    if (k != place || more >= 0) whit_item_share(c, &items[k < place ? k : k + more], &old[k]);
  return WHIT_OK;
}
