/* unique - each different element, or slice, once. */
#include "shared.h"

WHIT_OP(unique, .version = 1, .in = "x", .out = "y? indices? inverse? counts?",
        .attr = "axis:i32 sorted:i32",
        .doc = "The different slices along axis (0x7fffffff: elements), in order of value, or of"
               " appearance if not sorted; where each is first, which one each of x is, and how "
               "often each is there (i64). NaN equals NaN.");

/* Slice i is, for each of n_outer, the n_inner elements at (outer * n + i) * n_inner. */
typedef struct uniq {
  const uint8_t *x;
  unsigned dtype;
  size_t size;
  int32_t n, n_outer, n_inner;
} uniq;

static uniq uniq_of(const whit_tensor *x, int32_t axis) {
  uniq u = { (const uint8_t *)x->data, x->dtype, whit_type_size(x->dtype), whit_count(x), 1, 1 };
  if (axis == INT32_MAX) return u;
  u.n = x->shape[axis];
  for (int32_t a = 0; a < x->rank; a++)
    if (a != axis) *(a < axis ? &u.n_outer : &u.n_inner) *= x->shape[a];
  return u;
}

static size_t uniq_slice(int32_t n, int32_t n_inner, int32_t outer, int32_t i) {
  return ((size_t)outer * (size_t)n + (size_t)i) * (size_t)n_inner;
}

/* Like memcmp, element by element. */
static int uniq_compare(const uniq *u, int32_t a, int32_t b) {
  for (int32_t o = 0; o < u->n_outer; o++) {
    const uint8_t *p = u->x + uniq_slice(u->n, u->n_inner, o, a) * u->size;
    const uint8_t *q = u->x + uniq_slice(u->n, u->n_inner, o, b) * u->size;
    for (int32_t j = 0; j < u->n_inner; j++, p += u->size, q += u->size) {
      const uint64_t x = whit_order(u->dtype, p), y = whit_order(u->dtype, q);
      if (x != y) return x < y ? -1 : 1;
    }
  }
  return 0;
}

/* By value, equal ones in order of appearance. */
static bool uniq_before(const void *u, int32_t a, int32_t b) {
  const int order = uniq_compare((const uniq *)u, a, b);
  return order ? order < 0 : a < b;
}

/* Sorts, and numbers the different ones in order of value: head[i] is the first slice equal to
 * slice i, id[head] the number. Returns how many there are. id: NULL, then only counts. */
static int32_t uniq_number(const uniq *u, int32_t *order, int32_t *head, int32_t *id) {
  int32_t n = 0, first = 0;
  for (int32_t k = 0; k < u->n; k++) order[k] = k;
  whit_sort(order, u->n, uniq_before, u);
  for (int32_t k = 0; k < u->n; k++) {
    if (!k || uniq_compare(u, order[k - 1], order[k])) {
      first = order[k];
      if (id) id[first] = n;
      n++;
    }
    head[order[k]] = first;
  }
  return n;
}

whit_status whit_unique_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0], shape[WHIT_MAX_RANK], n = 0;
  if (axis != INT32_MAX && !whit_axis(&axis, x->rank))
    return whit_fail(c, WHIT_E_VALUE, "unique: no such axis");
  if (!c->running) return WHIT_LATER; /* counting needs memory, which is there only in a run */
  const uniq u = uniq_of(x, axis);
  if ((uint64_t)u.n * 3 * sizeof(int32_t) > PTRDIFF_MAX)
    return whit_fail(c, WHIT_E_SIZE, "unique: too many to sort");
  if (u.n) {
    const size_t block = whit_heap_take(c->instance, (size_t)u.n * 2 * sizeof(int32_t));
    if (!block) return WHIT_E_MEMORY;
    int32_t *order = (int32_t *)(void *)(c->instance->arena + block);
    n = uniq_number(&u, order, order + u.n, NULL);
    whit_heap_drop(c->instance, block);
  }
  c->scratch_bytes = (size_t)u.n * 3 * sizeof(int32_t);
  for (unsigned a = 0; a < x->rank; a++) shape[a] = x->shape[a];
  if (axis == INT32_MAX)
    WHIT_TRY(whit_out(c, 0, x->dtype, 1, &n));
  else
    WHIT_TRY((shape[axis] = n, whit_out(c, 0, x->dtype, x->rank, shape)));
  WHIT_TRY(whit_out(c, 1, WHIT_I64, 1, &n));
  WHIT_TRY(whit_out(c, 2, WHIT_I64, 1, &u.n));
  return whit_out(c, 3, WHIT_I64, 1, &n);
}

static void *uniq_out(const whit_call *c, unsigned k) {
  return k < c->n_out && c->out[k] ? c->out[k]->data : NULL;
}

whit_status whit_unique_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0];
  if (axis != INT32_MAX) whit_axis(&axis, x->rank);
  const uniq u = uniq_of(x, axis);
  uint8_t *y = (uint8_t *)uniq_out(c, 0);
  int64_t *indices = (int64_t *)uniq_out(c, 1), *inverse = (int64_t *)uniq_out(c, 2),
          *counts = (int64_t *)uniq_out(c, 3);
  int32_t *order = (int32_t *)c->scratch, *head = order + u.n, *id = head + u.n, next = 0;
  const int32_t n = uniq_number(&u, order, head, id);
  for (int32_t i = 0; i < u.n; i++) {
    if (head[i] == i) {
      if (!c->attr[1]) id[i] = next++;
      const int32_t k = id[i];
      if (indices) indices[k] = i;
      if (counts) counts[k] = 0;
      for (int32_t o = 0; y && o < u.n_outer; o++)
        whit_bytes_copy(y + uniq_slice(n, u.n_inner, o, k) * u.size,
                        u.x + uniq_slice(u.n, u.n_inner, o, i) * u.size,
                        (size_t)u.n_inner * u.size);
    }
    if (inverse) inverse[i] = id[head[i]];
    if (counts) counts[id[head[i]]]++;
  }
  return WHIT_OK;
}
