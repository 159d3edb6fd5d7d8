/* topk - the largest or smallest elements along an axis. */
#include "order.h"

WHIT_OP(topk, .version = 1, .in = "x k", .out = "values? indices?",
        .attr = "axis:i32 largest:i32 sorted:i32",
        .doc = "The k largest (or smallest) elements along an axis and their positions (i64), "
               "best first; of equal ones the first comes first, NaN counts as the largest. The "
               "order is the same whatever sorted is.");

static whit_status topk_read(whit_call *c, int32_t *axis, int32_t *k) {
  const whit_tensor *x = c->in[0];
  int64_t asked;
  *axis = whit_position(c->attr[0], x->rank);
  if (*axis < 0) return whit_fail(c, WHIT_E_VALUE, "topk: no such axis");
  WHIT_TRY(whit_int(c, 1, &asked));
  *k = (int32_t)asked;
  return asked < 0 || asked > x->shape[*axis] ? whit_fail(c, WHIT_E_INDEX, "topk: k is more than there is") : WHIT_OK;
}

whit_status whit_topk_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis, k;
  WHIT_TRY(topk_read(c, &axis, &k));
  WHIT_TRY(whit_ranked_scratch(c, k));
  WHIT_TRY(whit_out_axes(c, 0, x->dtype, x, axis, &k, 1));
  return whit_out_axes(c, 1, WHIT_I64, x, axis, &k, 1);
}

/* The k best of n elements, in order; the lower the better. In most rows few elements get past the first comparison. */
static void topk_row(whit_ranking *r, const uint8_t *x, size_t step, int32_t n, unsigned dtype, uint64_t flip) {
  for (int32_t i = 0; i < n; i++, x += step) {
    const whit_ranked e = { whit_order(dtype, x) ^ flip, i };
    if (i < r->n) r->at[i] = e;
    else if (whit_ranked_above(r, &r->at[0], &e)) whit_ranking_put(r, 0, e);
    if (i == r->n - 1) whit_ranking_make(r);
  }
  whit_ranking_sort(r);
}

whit_status whit_topk_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  uint8_t *values = (uint8_t *)whit_out_data(c, 0);
  int64_t *indices = (int64_t *)whit_out_data(c, 1);
  const size_t size = whit_type_size(x->dtype);
  int32_t axis, k;
  WHIT_TRY(topk_read(c, &axis, &k));
  const int32_t n = x->shape[axis], inner = x->stride[axis], count = whit_count(x);
  const uint64_t flip = c->attr[1] ? UINT64_MAX : 0;
  const size_t step = (size_t)inner * size;
  whit_ranking r = { .at = (whit_ranked *)c->scratch, .n = k };
  for (int32_t o = 0; k && o < count / n; o++) {
    const size_t outer = (size_t)(o / inner) * (size_t)inner, j = (size_t)(o % inner);
    const uint8_t *row = (const uint8_t *)x->data + (outer * (size_t)n + j) * size;
    topk_row(&r, row, step, n, x->dtype, flip);
    for (int32_t i = 0; i < k; i++) {
      const size_t to = outer * (size_t)k + (size_t)(i * inner) + j;
      if (values) whit_bytes_copy(values + to * size, row + step * (size_t)r.at[i].index, size);
      if (indices) indices[to] = r.at[i].index;
    }
  }
  return WHIT_OK;
}
