/* unique - each different element, or slice, once. */
#include "order.h"

WHIT_OP(unique, .version = 1, .in = "x", .out = "y? indices? inverse? counts?",
        .attr = "axis:i32 sorted:i32",
        .doc = "The different slices along axis (0x7fffffff: elements), in order of value, or of"
               " appearance if not sorted; where each is first, which one each of x is, and how "
               "often each is there (i64). NaN equals NaN.");

/* Element e of slice i of n lies at (e / n_inner * n + i) * n_inner + e % n_inner. */
typedef struct uniq {
  const whit_tensor *x;
  int32_t n, n_each, n_inner;
} uniq;

static void uniq_of(uniq *u, const whit_tensor *x, int32_t axis) {
  *u = (uniq){ x, whit_count(x), 1, 1 };
  if (axis == INT32_MAX) return;
  axis = whit_position(axis, x->rank);
  u->n_each = x->shape[axis] ? u->n / x->shape[axis] : 0;
  u->n = x->shape[axis];
  u->n_inner = x->stride[axis];
}

static uint8_t *uniq_at(const uniq *u, void *data, int32_t n, int32_t i, int32_t e) {
  const size_t at = ((size_t)(e / u->n_inner) * (size_t)n + (size_t)i) * (size_t)u->n_inner + (size_t)(e % u->n_inner);
  return (uint8_t *)data + at * whit_type_size(u->x->dtype);
}

static uint64_t uniq_key(const uniq *u, int32_t i, int32_t e) {
  return whit_order(u->x->dtype, uniq_at(u, u->x->data, u->n, i, e));
}

/* Like memcmp, element by element. */
static int uniq_compare(const void *context, int32_t a, int32_t b) {
  const uniq *u = (const uniq *)context;
  for (int32_t e = 1; e < u->n_each; e++) {
    const uint64_t x = uniq_key(u, a, e), y = uniq_key(u, b, e);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

/* Slices in order of value, or of the appearance of the first equal one; the keys of equal ones are the same. Returns how many
 * different ones there are. */
static int32_t uniq_sort(const uniq *u, whit_ranked *at, bool by_value) {
  whit_ranking r = { .at = at, .n = u->n, .tie = uniq_compare, .context = u };
  int32_t n = 0;
  for (int32_t k = 0; k < u->n; k++) at[k] = (whit_ranked){ u->n_each ? uniq_key(u, k, 0) : 0, k };
  whit_ranking_make(&r);
  whit_ranking_sort(&r);
  uint64_t key = 0;
  int32_t first = 0;
  for (int32_t k = 0; k < u->n; k++) {
    if (!k || at[k].key != key || uniq_compare(u, first, at[k].index)) {
      key = at[k].key;
      first = at[k].index;
      n++;
    }
    at[k].key = (uint64_t)(by_value ? n : first);
  }
  r.tie = NULL;
  if (!by_value) {
    whit_ranking_make(&r);
    whit_ranking_sort(&r);
  }
  return n;
}

whit_status whit_unique_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const int32_t axis = c->attr[0];
  uniq u;
  if (axis != INT32_MAX && whit_position(axis, x->rank) < 0) return whit_fail(c, WHIT_E_VALUE, "unique: no such axis");
  if (!c->running) return WHIT_LATER; /* counting needs memory, which is there only in a run */
  uniq_of(&u, x, axis);
  WHIT_TRY(whit_ranked_scratch(c, u.n));
  const size_t block = whit_heap_take(c->instance, c->scratch_bytes);
  if (!block) return WHIT_E_MEMORY;
  const int32_t n = uniq_sort(&u, (whit_ranked *)(void *)(c->instance->arena + block), true);
  whit_heap_drop(c->instance, block);
  if (axis == INT32_MAX) WHIT_TRY(whit_out(c, 0, x->dtype, 1, &n));
  else WHIT_TRY(whit_out_axes(c, 0, x->dtype, x, axis, &n, 1));
  WHIT_TRY(whit_out(c, 1, WHIT_I64, 1, &n));
  WHIT_TRY(whit_out(c, 2, WHIT_I64, 1, &u.n));
  return whit_out(c, 3, WHIT_I64, 1, &n);
}

whit_status whit_unique_run(whit_call *c) {
  uniq u;
  uniq_of(&u, c->in[0], c->attr[0]);
  void *y = whit_out_data(c, 0);
  int64_t *indices = (int64_t *)whit_out_data(c, 1), *inverse = (int64_t *)whit_out_data(c, 2), *counts = (int64_t *)whit_out_data(c, 3);
  const whit_ranked *at = (const whit_ranked *)c->scratch;
  const int32_t n = uniq_sort(&u, (whit_ranked *)c->scratch, c->attr[1] != 0);
  int32_t to = -1;
  for (int32_t k = 0; k < u.n; k++) {
    const int32_t i = at[k].index;
    if (!k || at[k].key != at[k - 1].key) {
      to++;
      if (indices) indices[to] = i;
      if (counts) counts[to] = 0;
      for (int32_t e = 0; y && e < u.n_each; e++)
        whit_bytes_copy(uniq_at(&u, y, n, to, e), uniq_at(&u, u.x->data, u.n, i, e), whit_type_size(u.x->dtype));
    }
    if (inverse) inverse[i] = to;
    if (counts) counts[to]++;
  }
  return WHIT_OK;
}
