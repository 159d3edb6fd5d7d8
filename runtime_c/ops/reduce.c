/* reduce - sum, product, maximum, minimum or mean over axes. */
#include "../src/internal.h"

WHIT_OP(reduce, .version = 1, .in = "x axes?", .out = "y",
        .attr = "kind:i32 keepdims:i32 noop:i32 axes:i32[]",
        .doc = "kind 0 sum, 1 product, 2 maximum, 3 minimum, 4 mean over axes (none given: all, "
               "or none if noop). Types below f64 accumulate in f32, integers in i64. Maximum "
               "and minimum are NaN if an element is.");

enum { RED_SUM, RED_PROD, RED_MAX, RED_MIN, RED_MEAN, RED_ANY, RED_ROWS };
#define RED_HAS_ANY (WHIT_REDUCES >> RED_ANY & 1)    /* also products, other types than f32, of nothing */
#define RED_HAS_ROWS (WHIT_REDUCES >> RED_ROWS & 1)  /* the last axis of more than one element among the reduced ones */

/* Is p of this kind, which this build has? */
#define RED_IS(p, which) ((WHIT_REDUCES >> RED_##which & 1) && (p)->kind == RED_##which)

/* The input's axes with neighbours that share a fate merged: reduced and kept ones in turn. */
typedef struct red_plan {
  const whit_call *c;
  const void *x;
  void *y;
  int32_t shape[WHIT_MAX_RANK];       /* of y */
  unsigned rank, n, kind, dtype;
  bool first_reduced; /* group k is reduced if (k is odd) != first_reduced */
  int32_t size[WHIT_MAX_RANK];
  int32_t n_reduced, n_kept; /* elements */
  uint32_t n_parts;
} red_plan;

static bool red_reduced(const red_plan *p, unsigned group) {
  return (group & 1) != p->first_reduced;
}

static bool red_rows(const red_plan *p) { return RED_HAS_ROWS && red_reduced(p, p->n - 1); }

/* A bit per axis that is reduced. */
static whit_status red_axes(whit_call *c, uint32_t *mask) {
  int64_t given[WHIT_MAX_RANK];
  const int32_t rank = c->in[0]->rank;
  const bool is_given = whit_in(c, 1);
  uint32_t n;
  const int32_t *list = whit_attr_list(c, 3, 0, &n);
  if (is_given) WHIT_TRY(whit_ints(c, 1, given, WHIT_MAX_RANK, &n));
  *mask = n || c->attr[2] ? 0 : ~0u;
  for (uint32_t k = 0; k < n; k++) {
    const int32_t axis = whit_position(is_given ? given[k] : list[k], rank);
    if (axis < 0) return whit_fail(c, WHIT_E_VALUE, "reduce: no such axis");
    *mask |= 1u << axis;
  }
  return WHIT_OK;
}

static whit_status red_read(red_plan *p, whit_call *c) {
  const whit_tensor *x = c->in[0];
  uint32_t mask;
  unsigned n = 0;
  bool last = false;            /* is group n - 1 reduced? */
  WHIT_TRY(red_axes(c, &mask));
  p->c = c;
  p->x = x->data;
  p->kind = (unsigned)c->attr[0];
  p->dtype = x->dtype;
  p->rank = 0;
  p->first_reduced = false;
  p->size[0] = p->n_reduced = p->n_kept = 1;
  p->n_parts = 1;
  for (unsigned a = 0; a < x->rank; a++, mask >>= 1) {
    const bool reduced = mask & 1;
    const int32_t dim = x->shape[a];
    if (!reduced || c->attr[1]) p->shape[p->rank++] = reduced ? 1 : dim;
    *(reduced ? &p->n_reduced : &p->n_kept) *= dim;
    if (dim == 1) continue;
    if (!n) p->first_reduced = reduced;
    if (!n || last != reduced) p->size[n++] = 1;
    last = reduced;
    p->size[n - 1] *= dim;
  }
  p->n = n ? n : 1;
  return WHIT_OK;
}

/* Element by element? */
static bool red_is_any(const red_plan *p) {
  return p->dtype != WHIT_F32 || p->kind == RED_PROD || !p->n_reduced || !p->n_kept;
}

whit_status whit_reduce_shape(whit_call *c) {
  red_plan p;
  WHIT_TRY(red_read(&p, c));
  if (p.kind > RED_MEAN) return whit_fail(c, WHIT_E_VALUE, "reduce: no such kind");
  if (!(WHIT_REDUCES >> p.kind & 1) || (!RED_HAS_ANY && red_is_any(&p)) || (!RED_HAS_ROWS && red_reduced(&p, p.n - 1)))
    return whit_fail(c, WHIT_E_OPERATOR, "reduce: this build of the runtime lacks this kind of it");
  return whit_out(c, 0, p.dtype, p.rank, p.shape);
}

/* ---- any type ----------------------------------------------------------------------- */

/* Offset of element number index among those of the reduced, or of the kept, groups. */
static ptrdiff_t red_offset(const red_plan *p, bool reduced, int32_t index) {
  ptrdiff_t at = 0, stride = 1;
  for (unsigned g = p->n; g--;) {
    if (red_reduced(p, g) == reduced) {
      at += index % p->size[g] * stride;
      index /= p->size[g];
    }
    stride *= p->size[g];
  }
  return at;
}

static void red_any(const red_plan *p) {
  const unsigned dtype = p->dtype, kind = p->kind == RED_MEAN ? RED_SUM : p->kind;
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(dtype);
  const bool is_float = whit_type_is_float(dtype);
  const uint8_t *x = (const uint8_t *)p->x;
  uint8_t *y = (uint8_t *)p->y;
  whit_number start = { (double)kind };
  if (kind == RED_MAX) start.f = is_float || whit_type_is_signed(dtype) ? -__builtin_inf() : 0;
  if (kind == RED_MIN) start.f = __builtin_inf();
  for (int32_t k = 0; k < p->n_kept; k++, y += size) {
    const ptrdiff_t at = p->n_reduced ? red_offset(p, false, k) : 0;
    whit_number acc = start;
    if (!is_float) {            /* infinities become the ends of the type */
      whit_set_f64(dtype, y, start.f);
      acc = whit_get(dtype, y);
    }
    for (int32_t j = 0; j < p->n_reduced; j++) {
      acc = whit_combined(kind, dtype, acc, whit_get(dtype, x + (at + red_offset(p, true, j)) * size));
      if (is_float && dtype != WHIT_F64) acc.f = (double)(float)acc.f; /* the same as f32 arithmetic */
    }
    if (p->kind == RED_MEAN) {
      if (is_float) acc.f /= p->n_reduced;
      else if (p->n_reduced)
        acc.i = dtype == WHIT_U64 ? (int64_t)((uint64_t)acc.i / (uint64_t)p->n_reduced) : acc.i / p->n_reduced;
    }
    whit_set(dtype, y, acc);
  }
}

/* ---- f32 ---------------------------------------------------------------------------- */

static WHIT_CALLED float red_max1(float acc, float x, unsigned kind) {
  return (kind == WHIT_FOLD_MIN ? x < acc : x > acc) || x != x ? x : acc;
}

/* acc and a row: of whole 16 numbers first the best of 16 columns, all at once. */
static float red_max_row(const whit_kernels *k, float acc, const float *x, int32_t n, unsigned kind) {
  const int32_t whole = n & ~15;
  const whit_fold f = { &x, 1, whole / 16, 16, 1, 16, 0 };
  float c[16];
  if (whole) WHIT_KERNEL(k, fold_f32)(&f, kind, c);
  for (int32_t j = 0; j < 4 && whole; j++)
    acc = red_max1(acc, red_max1(red_max1(c[j], c[j + 4], kind), red_max1(c[j + 8], c[j + 12], kind), kind), kind);
  for (int32_t j = whole; j < n; j++) acc = red_max1(acc, x[j], kind);
  return acc;
}

/* Rows that are combined element by element, as when pixels of channels are reduced: one call if nothing is reduced
 * around them. */
static inline bool red_fold_f32(const red_plan *p, const float *x, float *y, unsigned kind) {
  const unsigned last = p->n - 1;
  if (red_reduced(p, last) || last < 1 || last > 2) return false;
  const int32_t n = p->size[last], taps = p->size[last - 1];
  const whit_fold f = { &x, 1, taps, n, last == 2 ? p->size[0] : 1, n, (ptrdiff_t)taps * n };
  WHIT_KERNEL(p->c->k, fold_f32)(&f, kind, y);
  return true;
}

/* Which element of y the run of x's last group number `run` belongs to. */
static ptrdiff_t red_home(const red_plan *p, int32_t run) {
  const unsigned last = p->n - 1;
  ptrdiff_t at = 0, step = red_rows(p) ? 1 : p->size[last];
  for (unsigned g = last; g--; run /= p->size[g]) {
    if (red_reduced(p, g)) continue;
    at += run % p->size[g] * step;
    step *= p->size[g];
  }
  return at;
}

/* Walks x once, in order, a run of its last group at a time. Each y starts at the identity and takes the runs, or the sums
 * of runs, in that order: the only freedom is inside sum_rows_f32, which fixes its own order. */
static void red_walk_f32(const red_plan *p, const float *x, float *y, int32_t n_kept, unsigned kind) {
  const unsigned last = p->n - 1;
  const bool sum = kind == WHIT_FOLD_SUM, rows = red_rows(p);
  const int32_t n = p->size[last], n_runs = n_kept * p->n_reduced / n;
  const float start = sum ? 0 : kind == WHIT_FOLD_MAX ? -__builtin_inff() : __builtin_inff();
  for (int32_t k = 0; k < n_kept; k++) y[k] = start;
  if (!WHIT_SMALL && rows && sum && last < 2) {
    WHIT_KERNEL(p->c->k, sum_rows_f32)(y, x, n_kept, n, n);
    return;
  }
  for (int32_t run = 0; run < n_runs; run++, x += n) {
    float *to = y + red_home(p, run), part;
    const float *lines[] = { to, x };
    const whit_fold f = { lines, 2, 1, n, 1, 0, 0 };
    if (!rows && sum) WHIT_KERNEL(p->c->k, add_to_f32)(to, x, n);
    else if (!rows) WHIT_KERNEL(p->c->k, fold_f32)(&f, kind, to); /* in place: once more changes nothing */
    else if (sum) WHIT_KERNEL(p->c->k, sum_rows_f32)(&part, x, 1, n, n), *to += part;
    else *to = red_max_row(p->c->k, *to, x, n, kind);
  }
}

static void red_all_f32(const red_plan *p, const float *x, float *y, int32_t n_kept) {
  const unsigned kind = RED_IS(p, MAX) ? WHIT_FOLD_MAX : RED_IS(p, MIN) ? WHIT_FOLD_MIN : WHIT_FOLD_SUM;
  if (WHIT_SMALL || !red_fold_f32(p, x, y, kind)) red_walk_f32(p, x, y, n_kept, kind);
  for (int32_t k = 0; p->kind == RED_MEAN && k < n_kept; k++) y[k] /= (float)p->n_reduced;
}

/* A part of the first group's elements, where that is a kept one: parts share nothing. */
static void red_part_f32(void *arg, uint32_t part) {
  red_plan p = *(const red_plan *)arg;
  const int64_t all = p.size[0], low = all * part / p.n_parts, high = all * (part + 1) / p.n_parts;
  const int64_t kept = p.n_kept / all, whole = kept * p.n_reduced;
  if (low == high) return;
  p.size[0] = (int32_t)(high - low);
  p.n_kept = (int32_t)(kept * (high - low));
  red_all_f32(&p, (const float *)p.x + whole * low, (float *)p.y + kept * low, p.n_kept);
}

enum { RED_PARALLEL = 1 << 15 }; /* elements; below, waking threads costs more than it saves */

whit_status whit_reduce_run(whit_call *c) {
  red_plan p;
  WHIT_TRY(red_read(&p, c));
  p.y = c->out[0]->data;
  if (RED_HAS_ANY && red_is_any(&p)) {
    red_any(&p);
    return WHIT_OK;
  }
  if (!WHIT_SMALL && !p.first_reduced && p.n > 1 && (int64_t)p.n_reduced * p.n_kept >= RED_PARALLEL)
    p.n_parts = whit_threads(c);
  if (!WHIT_SMALL && p.n_parts > 1) whit_parallel(c, red_part_f32, &p, p.n_parts);
  else red_all_f32(&p, (const float *)p.x, (float *)p.y, p.n_kept);
  return WHIT_OK;
}
