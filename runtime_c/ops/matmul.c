/* matmul - matrix products, over any batch axes. */
#include "epilogue.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"

WHIT_OP(matmul, .version = 1, .in = "a b bias? more*", .out = "y",
        .attr = "panels:i32 n:i32 trans_a:i32 trans_b:i32 epilogue:i32[] finish:f32[]",
        .strided = "a b",
        .doc = "y = a b + bias with numpy's broadcasting over batch axes. trans_a, trans_b swap the last two axes. panels = "
               "1: b is a matrix [k, n] stored as [ceil(n/16)][k][16], f32. bias [n] is for f32 only. Types below f32 are "
               "summed in f32, integers in i64 and wrap. epilogue: a tile program on y (its input 0) and more; finish: what "
               "it does, in numbers (epilogue.h).");

/* The product as a list of units: batch item x block of columns x block of rows. A unit packs its block of b into panels
 * in scratch of the thread's own, where it stays in the cache, and multiplies. Panels that b is stored in are units only where
 * bytes count (WHIT_SMALL), else gemm.c divides them. */
typedef struct matmul {
  const whit_call *c;
  whit_epilogue e;
  size_t at_epilogue;           /* bytes of scratch */
  whit_tensor a;                /* as multiplied: after trans_a, after copying; without WHIT_BATCHES the plan has made it dense */
  const whit_tensor *b;
  ptrdiff_t b_k, b_n;           /* strides */
  whit_gemm g;                  /* the first batch item, but for b */
  float *panels;
  size_t slot;                  /* floats of scratch per thread */
  int32_t batch, block, column_parts, row_parts;
  int32_t n_units, n_jobs;
  bool copy_a, packed;
} matmul;

/* Columns of a unit: a panel where bytes count. */
static inline int32_t matmul_block(const matmul *p) { return WHIT_SMALL ? 16 : p->block; }

/* Are the operands of a narrower type that this build has? */
static inline bool matmul_converts(const matmul *p) { return WHIT_DTYPES & WHIT_NARROW_FLOATS && p->a.dtype != WHIT_F32; }

static inline bool matmul_copies(const matmul *p) { return (WHIT_BATCHES || matmul_converts(p)) && p->copy_a; }

static void matmul_swap(whit_tensor *t) {
  const unsigned r = t->rank;
  const int32_t n = t->shape[r - 1], stride = t->stride[r - 1];
  t->shape[r - 1] = t->shape[r - 2];
  t->stride[r - 1] = t->stride[r - 2];
  t->shape[r - 2] = n;
  t->stride[r - 2] = stride;
}

/* Sees a's batch axes as more rows, if that can be. */
static bool matmul_merge(matmul *p) {
  whit_tensor *a = &p->a;
  const unsigned row = a->rank - 2u;
  int32_t stride = a->stride[row], n = a->shape[row];
  for (unsigned k = row; k-- > 0;) {
    if (a->shape[k] == 1) continue;
    if (n == 1) stride = a->stride[k];
    else if ((int64_t)stride * n != a->stride[k]) return false;
    n *= a->shape[k];
  }
  a->stride[row] = stride;
  p->g.m = n;
  return true;
}

/* How the product is divided. 32K floats of panels stay in a second-level cache, 4K, for few rows, in the first; but four panels
 * at least. */
static void matmul_units(matmul *p) {
  const whit_gemm *g = &p->g;
  const int32_t threads = whit_workers(p->c, (double)p->batch * g->m * g->n * g->k);
#if !WHIT_SMALL
  const int32_t n_panels = whit_max_i32(4, (g->m > 8 ? 2048 : 256) / whit_max_i32(g->k, 1));
  p->block = whit_max_i32(1, whit_min_i32(n_panels * 16, g->n));
#endif
  p->column_parts = (g->n - 1) / matmul_block(p) + 1;
  p->n_units = p->batch * p->column_parts;
#if !WHIT_SMALL
  p->row_parts = 1;
  if (p->n_units && p->n_units < threads)
    p->row_parts = whit_max_i32(1, whit_min_i32((threads + p->n_units - 1) / p->n_units, g->m / 24));
  p->n_units *= p->row_parts;
#endif
  p->n_jobs = whit_min_i32(threads, p->n_units);
  if (!p->packed) p->slot = (size_t)whit_panels_floats(g->k, matmul_block(p));
}

/* Everything about the call that follows from types, shapes and strides. */
static whit_status matmul_plan(matmul *p, whit_call *c) {
  const whit_tensor *y = c->out[0];
  whit_tensor *a = &p->a;
  whit_gemm *g = &p->g;
  p->c = c;
  *a = *c->in[0];
  p->b = c->in[1];
  if (WHIT_BATCHES && c->attr[2]) matmul_swap(a);
  p->packed = !WHIT_PACKS || c->attr[0];
  g->k = a->shape[a->rank - 1];
  g->n = y->shape[y->rank - 1];
  g->m = WHIT_BATCHES ? a->shape[a->rank - 2] : whit_product(y->shape, y->rank - 1u);
  g->rows = NULL;
  g->pieces = 1;
  if (WHIT_PACKS) {
    const int32_t *strides = p->b->stride + p->b->rank - 2;
    p->b_k = strides[c->attr[3] != 0];
    p->b_n = strides[c->attr[3] == 0];
  }
  p->copy_a = matmul_converts(p) || (WHIT_BATCHES && a->stride[a->rank - 1] != 1 && g->k != 1);
  if (WHIT_BATCHES && p->copy_a)  /* dense from now on, but for the data */
    for (unsigned d = a->rank, n = 1; d--; n *= (unsigned)whit_max_i32(1, a->shape[d])) a->stride[d] = (int32_t)n;
  p->batch = WHIT_BATCHES ? whit_product(y->shape, y->rank - 2u) : 1;
  if (WHIT_BATCHES && (p->packed || whit_product(p->b->shape, p->b->rank - 2u) == 1) && matmul_merge(p)) p->batch = 1;
  g->a_row = WHIT_BATCHES ? a->stride[a->rank - 2] : g->k;
  g->c_row = g->n;
  p->slot = 0;
  if (!WHIT_SMALL && p->packed) p->n_jobs = (int32_t)whit_gemm_parts(c, g->m, g->n, g->k);
  else matmul_units(p);
  WHIT_TRY(whit_epilogue_read(&p->e, c, 3, 4, 0, a->dtype == WHIT_F32 ? WHIT_EPILOGUE_ALL : 0));
  if (WHIT_FINISHES) g->finish = p->e.finish;
  return WHIT_OK;
}

static uint64_t matmul_round(int64_t n_floats) { return ((uint64_t)n_floats + 15) / 16 * 16; }

static whit_status matmul_scratch(matmul *p, whit_call *c) {
  WHIT_TRY(matmul_plan(p, c));
  WHIT_TRY(whit_scratch(c, WHIT_WIDE && !whit_in_f32(p->a.dtype) ? 0 : (matmul_copies(p) ? matmul_round(whit_count(&p->a)) : 0) +
                                         (matmul_converts(p) ? matmul_round(whit_count(c->out[0])) : 0) +
                                         (uint64_t)p->n_jobs * p->slot));
  p->at_epilogue = whit_round(c->scratch_bytes, 64);
  c->scratch_bytes = p->at_epilogue + whit_epilogue_bytes(&p->e, (uint32_t)whit_max_i32(1, p->n_jobs));
  return WHIT_OK;
}

whit_status whit_matmul_shape(whit_call *c) {
  const whit_tensor *a = c->in[0], *b = c->in[1], *bias = whit_in(c, 2);
  const bool packed = !WHIT_PACKS || c->attr[0], trans_a = WHIT_BATCHES && c->attr[2], trans_b = c->attr[3];
  whit_tensor y = *a;
  if (a->dtype != b->dtype || (WHIT_WIDE && a->dtype == WHIT_BOOL)) return whit_fail(c, WHIT_E_TYPE, "matmul: types do not fit");
  if (!WHIT_WIDE && !whit_in_f32(a->dtype))
    return whit_fail(c, WHIT_E_OPERATOR, "matmul: this build of the runtime lacks products of this type");
  if (a->rank < 2 || b->rank < 2) return whit_fail(c, WHIT_E_SHAPE, "matmul: an operand has fewer than two axes");
  const int32_t *a_sizes = a->shape + a->rank - 2, *b_sizes = b->shape + b->rank - 2;
  const int32_t m = a_sizes[trans_a], k = a_sizes[!trans_a], n = packed ? c->attr[1] : b_sizes[!trans_b];
  if ((!WHIT_PACKS && !c->attr[0]) || (!WHIT_BATCHES && (c->attr[2] || (!packed && b->rank > 2))))
    return whit_fail(c, WHIT_E_OPERATOR, "matmul: this build of the runtime lacks products of matrices that lie like this");
  if (packed) {
    if (a->dtype != WHIT_F32) return whit_fail(c, WHIT_E_TYPE, "matmul: panels must be f32");
    const bool shaped = WHIT_SMALL || (b->rank == 3 && b->shape[1] == k && b->shape[2] == 16);    /* else their number will do */
    if (n < 0 || !shaped || (uint64_t)whit_count(b) != whit_panels_floats(k, n) || !whit_is_dense(b))
      return whit_fail(c, WHIT_E_SHAPE, "matmul: panels of b do not fit a and n");
  } else {
    if (b_sizes[trans_b] != k)
      return whit_fail(c, WHIT_E_SHAPE, "matmul: the inner sizes of a and b differ");
    whit_tensor batch = *b;
    batch.rank = (uint8_t)(b->rank - 2);
    y.rank = (uint8_t)(y.rank - 2);
    if (WHIT_BATCHES && whit_broadcast(&y.rank, y.shape, &batch))
      return whit_fail(c, WHIT_E_SHAPE, "matmul: batch axes do not fit");
    y.rank = (uint8_t)(y.rank + 2);
  }
  y.shape[y.rank - 2] = m;
  y.shape[y.rank - 1] = n;
  if (bias && (bias->dtype != WHIT_F32 || a->dtype != WHIT_F32 || whit_count(bias) != n || (!WHIT_SMALL && bias->rank != 1)))
    return whit_fail(c, WHIT_E_SHAPE, "matmul: bias must be f32 [n]");
  matmul p;
  WHIT_TRY(whit_out_like(c, 0, &y));
  return matmul_scratch(&p, c);
}

/* The product of a batch item from a column on; b apart. */
static void matmul_item(const matmul *p, int32_t item, int32_t column, whit_gemm *g) {
  const ptrdiff_t to = (ptrdiff_t)item * p->g.m * p->g.n + column;
  *g = p->g;
  if (WHIT_BATCHES && p->batch > 1) g->a += whit_offset(&p->a, p->c->out[0], 2, item);
  if (g->bias) g->bias += column;
  g->c += to;
  g->n -= column;
  if (WHIT_EPILOGUES && g->finish.add) g->finish.add += to;
}

static void matmul_job(void *arg, uint32_t job) {
  const matmul *p = (const matmul *)arg;
  float *panels = p->panels + job * p->slot;
  ptrdiff_t had = PTRDIFF_MIN;  /* the block that panels holds */
  const int32_t row_parts = WHIT_SMALL ? 1 : p->row_parts;
  int32_t last;
  for (int32_t u = whit_part(job, p->n_jobs, p->n_units, &last); u < last; u++) {
    const int32_t item = WHIT_BATCHES ? u / row_parts / p->column_parts : 0;
    const int32_t column = (u / row_parts - item * p->column_parts) * matmul_block(p);
    int32_t row0 = 0, row1 = p->g.m;
    whit_gemm g;
    matmul_item(p, item, column, &g);
    g.n = whit_min_i32(matmul_block(p), g.n);
    g.b = p->packed ? (const float *)p->b->data + (ptrdiff_t)column * g.k : panels;
    if (WHIT_PACKS && !p->packed) {
      const ptrdiff_t at = (WHIT_BATCHES && p->batch > 1 ? whit_offset(p->b, p->c->out[0], 2, item) : 0) + column * p->b_n;
      const void *from = whit_at(p->b, at);
      if (WHIT_SMALL) whit_panel_pack(panels, p->b->dtype, from, g.k, g.n, p->b_k, p->b_n);
      else if (at != had) whit_panels_pack(panels, p->b->dtype, from, g.k, g.n, p->b_k, p->b_n);
      had = at;
    }
    if (!WHIT_SMALL) row0 = whit_part((uint32_t)(u % row_parts), row_parts, g.m, &row1);
    whit_gemm_rows(p->c->k, &g, row0, row1);
    if (whit_epilogue_runs(&p->e) && !matmul_converts(p)) whit_epilogue_after(&p->e, job, &g, row0, row1, 0, g.n);
  }
}

/* f64 and integers: element by element. */
static void matmul_wide(const matmul *p) {
  const whit_tensor *a = &p->a, *b = p->b, *y = p->c->out[0];
  const int32_t count = whit_count(y), m = y->shape[y->rank - 2], n = p->g.n;
  for (int32_t i = 0; i < count; i++) {
    const int32_t row = i / n, item = row / m;
    whit_sum sum = whit_sum_begin(a->dtype, NULL);
    whit_sum_add(&sum, a->dtype, whit_at(a, whit_offset(a, y, 2, item) + row % m * (ptrdiff_t)a->stride[a->rank - 2]),
                 a->stride[a->rank - 1], whit_at(b, whit_offset(b, y, 2, item) + i % n * p->b_n), p->b_k, p->g.k);
    whit_sum_end(sum, a->dtype, whit_at(y, i));
  }
}

/* a, dense and as floats, in scratch. */
static void matmul_copy(matmul *p, float *dst) {
  whit_tensor from = *p->c->in[0];
  if (WHIT_BATCHES && p->c->attr[2]) matmul_swap(&from);
  p->a.data = dst;
  if (!matmul_converts(p)) {
    whit_copy(&p->a, &from);
    return;
  }
  const int32_t k = p->g.k, rows = k ? whit_count(&from) / k : 0;
  for (int32_t i = 0; i < rows; i++, dst += k)
    whit_load_f32(dst, from.dtype, whit_at(&from, whit_offset(&from, &from, 1, i)), from.stride[from.rank - 1], k);
}

whit_status whit_matmul_run(whit_call *c) {
  const whit_tensor *y = c->out[0];
  const int32_t count = whit_count(y);
  matmul p;
  if (!count) return WHIT_OK;
  WHIT_TRY(matmul_scratch(&p, c));
  whit_epilogue_begin(&p.e, (uint8_t *)c->scratch + p.at_epilogue, (uint32_t)p.n_jobs);
  if (WHIT_WIDE && !whit_in_f32(y->dtype)) {
    p.a = *c->in[0];
    if (WHIT_BATCHES && c->attr[2]) matmul_swap(&p.a);
    matmul_wide(&p);
    whit_epilogue_run(&p.e, 0, 0, count);
    return WHIT_OK;
  }
  p.g.c = (float *)y->data;
  p.panels = (float *)c->scratch;
  if (matmul_copies(&p)) {
    matmul_copy(&p, p.panels);
    p.panels += matmul_round(whit_count(&p.a));
  }
  p.g.a = (const float *)p.a.data;
  p.g.bias = (const float *)whit_in_data(c, 2);
  if (matmul_converts(&p)) {
    p.g.c = p.panels;
    p.panels += matmul_round(count);
  }
  if (WHIT_SMALL || !p.packed) {
    whit_parallel(c, matmul_job, &p, (uint32_t)p.n_jobs);
  } else {
    for (int32_t item = 0; item < p.batch; item++) {
      whit_gemm g;
      matmul_item(&p, item, 0, &g);
      g.b = (const float *)p.b->data;
      whit_gemm_all(c, &g, whit_epilogue_runs(&p.e) && !matmul_converts(&p) ? whit_epilogue_after : NULL, &p.e);
    }
  }
  if (matmul_converts(&p)) {
    whit_store_f32(y->data, y->dtype, p.g.c, count);
    whit_epilogue_run(&p.e, 0, 0, count);
  }
  return WHIT_OK;
}
