/* shared.c - what several operators do: gather and scatter are one walk over indices in two directions; sequences; sorting. */
#include "shared.h"

static void put_elements(int32_t reduction, unsigned dtype, uint8_t *to, const uint8_t *from, int32_t n) {
  const size_t size = whit_type_size(dtype);
  if (!reduction) {
    whit_bytes_copy(to, from, size * (size_t)n);
    return;
  }
  for (; n > 0; n--, to += size, from += size) whit_combine((unsigned)reduction - 1, dtype, to, from);
}

whit_status whit_elements_fit(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  int32_t axis = c->attr[0];
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64) return whit_fail(c, WHIT_E_TYPE, "indices must be i32 or i64");
  if (index->rank != x->rank) return whit_fail(c, WHIT_E_SHAPE, "indices must have as many axes as x");
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "no such axis");
  for (int32_t a = 0; a < x->rank; a++)
    if (a != axis && index->shape[a] > x->shape[a])
      return whit_fail(c, WHIT_E_SHAPE, "indices are larger than x along another axis");
  return WHIT_OK;
}

whit_status whit_elements_run(whit_call *c, const whit_tensor *table, uint8_t *others, bool put) {
  const whit_tensor *index = c->in[1];
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(table->dtype);
  const size_t index_size = whit_type_size(index->dtype);
  int32_t axis = c->attr[0], at[WHIT_MAX_RANK] = { 0 };
  whit_axis(&axis, table->rank);
  const uint8_t *p = (const uint8_t *)index->data;
  uint8_t *base = (uint8_t *)table->data; /* at the position, 0 along axis */
  for (int32_t k = whit_count(index); k > 0; k--, others += size, p += index_size) {
    int64_t i;
    WHIT_TRY(shared_position(c, index, p, table->shape[axis], &i));
    uint8_t *element = base + (ptrdiff_t)i * table->stride[axis] * size;
    if (put)
      put_elements(c->attr[1], table->dtype, element, others, 1);
    else
      whit_bytes_copy(others, element, (size_t)size);
    for (int32_t a = table->rank; a-- > 0;) {
      const ptrdiff_t step = a == axis ? 0 : table->stride[a] * size;
      if (++at[a] < index->shape[a]) {
        base += step;
        break;
      }
      base -= step * (index->shape[a] - 1);
      at[a] = 0;
    }
  }
  return WHIT_OK;
}

whit_status whit_slices_run(whit_call *c, const whit_tensor *table, int32_t batch, uint8_t *others, bool put, int32_t reduction) {
  const whit_tensor *index = c->in[1];
  const size_t size = whit_type_size(table->dtype), index_size = whit_type_size(index->dtype);
  const int32_t last = index->rank - 1, n_axes = index->shape[last];
  int32_t n_batches = 1, n = 1, slice = 1, block = 1;
  for (int32_t a = 0; a < last; a++) *(a < batch ? &n_batches : &n) *= index->shape[a];
  for (int32_t a = batch; a < table->rank; a++) {
    block *= table->shape[a];
    if (a >= batch + n_axes) slice *= table->shape[a];
  }
  const uint8_t *p = (const uint8_t *)index->data;
  uint8_t *base = (uint8_t *)table->data;
  for (int32_t b = 0; b < n_batches; b++, base += (size_t)block * size)
    for (int32_t k = 0; k < n; k++, others += (size_t)slice * size) {
      uint8_t *at = base;
      for (int32_t a = batch; a < batch + n_axes; a++, p += index_size) {
        int64_t i;
        WHIT_TRY(shared_position(c, index, p, table->shape[a], &i));
        at += (size_t)(i * table->stride[a]) * size;
      }
      if (put)
        put_elements(reduction, table->dtype, at, others, slice);
      else
        whit_bytes_copy(others, at, (size_t)slice * size);
    }
  return WHIT_OK;
}

whit_status whit_sequence_place(whit_call *c, unsigned k, int32_t more, int32_t *n, int64_t *at) {
  WHIT_TRY(whit_in_sequence(c, 0, n));
  *at = (int64_t)*n - 1 + more;
  if (k < c->n_in && c->in[k]) WHIT_TRY(whit_int(c, k, at));
  if (*at < -*n || *at >= (int64_t)*n + more) return whit_fail(c, WHIT_E_INDEX, "the sequence has no such place");
  if (*at < 0) *at += *n;
  return WHIT_OK;
}

whit_status whit_sequence_share(whit_call *c, int64_t at, int32_t shift, whit_item **items) {
  const int32_t n = c->in[0]->shape[0];
  *items = whit_sequence_make(c, c->out[0], (uint32_t)(n + shift));
  if (!*items) return WHIT_E_MEMORY;
  const whit_item *old = whit_sequence_items(c, c->in[0]);
  for (int32_t k = 0; k < n; k++)
    if (shift >= 0 || k != at) whit_item_share(c, *items + (k < at ? k : k + shift), &old[k]);
  return WHIT_OK;
}

/* Puts `number` into the heap of n in place of what stands at i; no entry comes after its parent. */
static void sort_sift(int32_t *heap, int32_t n, int32_t i, int32_t number, whit_before before, const void *context) {
  for (int64_t child; (child = 2 * (int64_t)i + 1) < n; i = (int32_t)child) {
    if (child + 1 < n && before(context, heap[child], heap[child + 1])) child++;
    if (!before(context, number, heap[child])) break;
    heap[i] = heap[child];
  }
  heap[i] = number;
}

void whit_sort(int32_t *numbers, int32_t n, whit_before before, const void *context) {
  for (int32_t i = n / 2; i-- > 0;) sort_sift(numbers, n, i, numbers[i], before, context);
  while (n > 1) {
    const int32_t last = numbers[--n];
    numbers[n] = numbers[0];
    sort_sift(numbers, n, 0, last, before, context);
  }
}
