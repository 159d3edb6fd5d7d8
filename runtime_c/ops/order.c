/* order.c - sorting and selecting by a heap. */
#include "order.h"

whit_status whit_ranked_scratch(whit_call *c, int32_t n) {
  c->scratch_bytes = (size_t)n * sizeof(whit_ranked);
  return (uint64_t)n * sizeof(whit_ranked) > PTRDIFF_MAX ? whit_fail(c, WHIT_E_SIZE, "too many to sort") : WHIT_OK;
}

WHIT_CALLED bool whit_ranked_above(const whit_ranking *r, const whit_ranked *a, const whit_ranked *b) {
  if (a->key != b->key) return a->key > b->key;
  const int tie = r->tie ? r->tie(r->context, a->index, b->index) : 0;
  return tie ? tie > 0 : a->index > b->index;
}

WHIT_CALLED void whit_ranking_put(const whit_ranking *r, int32_t i, whit_ranked e) {
  whit_ranked *const at = r->at;
  for (int64_t child; (child = 2 * (int64_t)i + 1) < r->n; i = (int32_t)child) {
    if (child + 1 < r->n && whit_ranked_above(r, &at[child + 1], &at[child])) child++;
    if (!whit_ranked_above(r, &at[child], &e)) break;
    at[i] = at[child];
  }
  at[i] = e;
}

WHIT_CALLED void whit_ranking_make(const whit_ranking *r) {
  for (int32_t i = r->n / 2; i-- > 0;) whit_ranking_put(r, i, r->at[i]);
}

WHIT_CALLED void whit_ranking_pop(whit_ranking *r) {
  const whit_ranked highest = r->at[0];
  r->n--;
  whit_ranking_put(r, 0, r->at[r->n]);
  r->at[r->n] = highest;
}

WHIT_CALLED void whit_ranking_sort(whit_ranking *r) {
  const int32_t n = r->n;
  while (r->n > 0) whit_ranking_pop(r);
  r->n = n;
}
