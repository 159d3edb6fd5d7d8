/* topk - the largest or smallest elements along an axis. */
#include "../src/internal.h"

WHIT_OP(topk, .version = 1, .in = "x k", .out = "values? indices?",
        .attr = "axis:i32 largest:i32 sorted:i32",
        .doc = "The k largest (or smallest) elements along an axis and their positions (i64), "
               "best first; of equal ones the first comes first, NaN counts as the largest. The "
               "order is the same whatever sorted is.");

typedef struct topk_entry {
  uint64_t key;
  int32_t index;
} topk_entry; /* the smaller, the better */

static bool topk_worse(const topk_entry *a, const topk_entry *b) {
  return a->key > b->key || (a->key == b->key && a->index > b->index);
}

/* Puts e into the heap of n in place of what stands at position i; no entry is worse than its
 * parent. */
static void topk_sift(topk_entry *heap, int32_t n, int32_t i, topk_entry e) {
  for (int64_t child; (child = 2 * (int64_t)i + 1) < n; i = (int32_t)child) {
    if (child + 1 < n && topk_worse(&heap[child + 1], &heap[child])) child++;
    if (!topk_worse(&heap[child], &e)) break;
    heap[i] = heap[child];
  }
  heap[i] = e;
}

whit_status whit_topk_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0], shape[WHIT_MAX_RANK];
  int64_t k;
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "topk: no such axis");
  WHIT_TRY(whit_int(c, 1, &k));
  if (k < 0 || k > x->shape[axis])
    return whit_fail(c, WHIT_E_INDEX, "topk: k is more than there is");
  for (unsigned a = 0; a < x->rank; a++) shape[a] = x->shape[a];
  shape[axis] = (int32_t)k;
  if ((uint64_t)k * sizeof(topk_entry) > PTRDIFF_MAX)
    return whit_fail(c, WHIT_E_SIZE, "topk: k is too large");
  c->scratch_bytes = (size_t)k * sizeof(topk_entry);
  WHIT_TRY(whit_out(c, 0, x->dtype, x->rank, shape));
  return whit_out(c, 1, WHIT_I64, x->rank, shape);
}

/* The k best of n elements into heap, best first. In most rows few elements get past the first
 * comparison. */
static void topk_row(topk_entry *heap, const uint8_t *x, size_t step, int32_t n, int32_t k,
                     unsigned dtype, uint64_t flip) {
  for (int32_t i = 0; i < n; i++, x += step) {
    const topk_entry e = { whit_order(dtype, x) ^ flip, i };
    if (i < k)
      heap[i] = e;
    else if (topk_worse(&heap[0], &e))
      topk_sift(heap, k, 0, e);
    if (i == k - 1)
      for (int32_t j = k / 2; j-- > 0;) topk_sift(heap, k, j, heap[j]);
  }
  for (int32_t left = k - 1; left > 0; left--) {
    const topk_entry worst = heap[0];
    topk_sift(heap, left, 0, heap[left]);
    heap[left] = worst;
  }
}

whit_status whit_topk_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const size_t size = whit_type_size(x->dtype);
  uint8_t *values = (uint8_t *)(c->n_out > 0 && c->out[0] ? c->out[0]->data : NULL);
  int64_t *indices = (int64_t *)(c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL);
  int32_t axis = c->attr[0];
  int64_t k64;
  WHIT_TRY(whit_int(c, 1, &k64));
  whit_axis(&axis, x->rank);
  const int32_t n = x->shape[axis], k = (int32_t)k64, inner = x->stride[axis];
  const int32_t count = whit_count(x);
  if (!k || !count) return WHIT_OK;
  const size_t step = (size_t)inner * size;
  topk_entry *heap = (topk_entry *)c->scratch;
  for (int32_t o = 0; o < count / n / inner; o++) {
    for (int32_t j = 0; j < inner; j++) {
      const uint8_t *row = (const uint8_t *)x->data +
                           ((size_t)o * (size_t)n * (size_t)inner + (size_t)j) * size;
      topk_row(heap, row, step, n, k, x->dtype, c->attr[1] ? UINT64_MAX : 0);
      for (int32_t i = 0; i < k; i++) {
        const size_t to = ((size_t)o * (size_t)k + (size_t)i) * (size_t)inner + (size_t)j;
        if (values) whit_bytes_copy(values + to * size, row + step * (size_t)heap[i].index, size);
        if (indices) indices[to] = heap[i].index;
      }
    }
  }
  return WHIT_OK;
}
