/* topk - the largest or smallest elements along an axis. */
#include "../src/internal.h"

WHIT_OP(topk, .version = 1, .in = "x k", .out = "values? indices?", .attr = "axis:i32 largest:i32 sorted:i32",
        .doc = "The k largest (or smallest) elements along an axis and their positions (i64), best first; of equal ones the "
               "first comes first, NaN counts as the largest. The order is the same whatever sorted is.");

uint64_t whit_order(unsigned dtype, const void *p);                                      /* tensor.c */
whit_status whit_int(whit_call *c, unsigned i, int64_t *v);                              /* tensor.c */
void whit_sort(int32_t *index, int32_t *spare, int32_t n,                                /* tensor.c */
               bool (*after)(const void *context, int32_t a, int32_t b), const void *context);

enum { TOPK_INSERT = 32 };      /* up to here, insertion into a list of k: nearly always one comparison an element */

typedef struct topk_row { const uint8_t *x; size_t step; uint64_t flip; unsigned dtype; } topk_row;

/* The smaller, the better. */
static uint64_t topk_key(const topk_row *r, int32_t i) { return whit_order(r->dtype, r->x + r->step * (size_t)i) ^ r->flip; }

static bool topk_after(const void *row, int32_t a, int32_t b) { return topk_key(row, a) > topk_key(row, b); }

whit_status whit_topk_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0], shape[WHIT_MAX_RANK];
  int64_t k;
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "topk: no such axis");
  WHIT_TRY(whit_int(c, 1, &k));
  if (k < 0 || k > x->shape[axis]) return whit_fail(c, WHIT_E_INDEX, "topk: k is more than there is");
  for (unsigned a = 0; a < x->rank; a++) shape[a] = x->shape[a];
  shape[axis] = (int32_t)k;
  const uint64_t scratch = k <= TOPK_INSERT ? (uint64_t)k * (sizeof(uint64_t) + sizeof(int32_t))
                                            : (uint64_t)x->shape[axis] * 2 * sizeof(int32_t);
  if (scratch > PTRDIFF_MAX) return whit_fail(c, WHIT_E_SIZE, "topk: an axis is too long to sort");
  c->scratch_bytes = (size_t)scratch;
  WHIT_TRY(whit_out(c, 0, x->dtype, x->rank, shape));
  return whit_out(c, 1, WHIT_I64, x->rank, shape);
}

/* The k best of n in order: keys and best hold them. */
static void topk_insert(const topk_row *r, int32_t n, int32_t k, uint64_t *keys, int32_t *best) {
  int32_t have = 0;
  for (int32_t i = 0; i < n; i++) {
    const uint64_t key = topk_key(r, i);
    if (have == k && key >= keys[k - 1]) continue;
    int32_t at = have < k ? have++ : k - 1;
    for (; at > 0 && keys[at - 1] > key; at--) {
      keys[at] = keys[at - 1];
      best[at] = best[at - 1];
    }
    keys[at] = key;
    best[at] = i;
  }
}

whit_status whit_topk_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const size_t size = whit_type_size(x->dtype);
  uint8_t *values = c->n_out > 0 && c->out[0] ? c->out[0]->data : NULL;
  int64_t *indices = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
  int32_t axis = c->attr[0];
  int64_t k64;
  WHIT_TRY(whit_int(c, 1, &k64));
  whit_axis(&axis, x->rank);
  const int32_t n = x->shape[axis], k = (int32_t)k64, inner = x->stride[axis];
  const int32_t count = whit_count(x);
  if (!k || !count) return WHIT_OK;
  topk_row row = { .step = (size_t)inner * size, .flip = c->attr[1] ? UINT64_MAX : 0, .dtype = x->dtype };
  uint64_t *keys = c->scratch;
  int32_t *best = k <= TOPK_INSERT ? (int32_t *)(void *)(keys + k) : c->scratch;
  for (int32_t o = 0; o < count / n / inner; o++) {
    for (int32_t j = 0; j < inner; j++) {
      row.x = (const uint8_t *)x->data + ((size_t)o * (size_t)n * (size_t)inner + (size_t)j) * size;
      if (k <= TOPK_INSERT)
        topk_insert(&row, n, k, keys, best);
      else
        whit_sort(best, best + n, n, topk_after, &row);
      for (int32_t i = 0; i < k; i++) {
        const size_t to = ((size_t)o * (size_t)k + (size_t)i) * (size_t)inner + (size_t)j;
        if (values) whit_bytes_copy(values + to * size, row.x + row.step * (size_t)best[i], size);
        if (indices) indices[to] = best[i];
      }
    }
  }
  return WHIT_OK;
}
