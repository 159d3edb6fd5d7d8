/* gemm.c - packing for gemm_f32, and dividing it among threads. */
#include "gemm.h"
#include "tile.h"

/* A square of 4 x 4, rows for columns. */
static inline void floats_transpose(gemm_four *a) {
  const gemm_four p = a[0], q = a[1], r = a[2], s = a[3];
#if defined __clang__ || __GNUC__ >= 12
  const gemm_four pr = __builtin_shufflevector(p, r, 0, 4, 1, 5), qs = __builtin_shufflevector(q, s, 0, 4, 1, 5),
                pr2 = __builtin_shufflevector(p, r, 2, 6, 3, 7), qs2 = __builtin_shufflevector(q, s, 2, 6, 3, 7);
  a[0] = __builtin_shufflevector(pr, qs, 0, 4, 1, 5);
  a[1] = __builtin_shufflevector(pr, qs, 2, 6, 3, 7);
  a[2] = __builtin_shufflevector(pr2, qs2, 0, 4, 1, 5);
  a[3] = __builtin_shufflevector(pr2, qs2, 2, 6, 3, 7);
#else
  for (int l = 0; l < 4; l++) a[l] = (gemm_four){ p[l], q[l], r[l], s[l] };
#endif
}

/* Four lines of a panel from columns that lie in sequence: squares, transposed in registers. */
static void panels_transpose(float *panel, const float *b, ptrdiff_t n_stride) {
  for (int j = 0; j < 16; j += 4, b += 4 * n_stride, panel += 4) {
    gemm_four a[4];
    for (int l = 0; l < 4; l++) a[l] = *(const gemm_four *)(const void *)(b + l * n_stride);
    floats_transpose(a);
    for (int l = 0; l < 4; l++) *(gemm_four *)(void *)(panel + l * 16) = a[l];
  }
}

void whit_trees(float *sums) {
  gemm_four a[4];
  for (int i = 0; i < 4; i++) {
    const gemm_four *q = (const gemm_four *)(const void *)(sums + 16 * i);
    a[i] = (q[0] + q[2]) + (q[1] + q[3]);
  }
  floats_transpose(a);
  *(gemm_four *)(void *)sums = (a[0] + a[2]) + (a[1] + a[3]);
}

void whit_panel_pack(float *panel, unsigned dtype, const void *b, int32_t k, int32_t n, ptrdiff_t k_stride, ptrdiff_t n_stride) {
  const ptrdiff_t step = k_stride * (ptrdiff_t)whit_type_size(dtype);
  const uint8_t *line = (const uint8_t *)b;
  int32_t l = 0;
  if (!WHIT_SMALL && dtype == WHIT_F32 && k_stride == 1 && n == 16)
    for (; k - l >= 4; l += 4, line += 4 * step, panel += 64)
      panels_transpose(panel, (const float *)(const void *)line, n_stride);
  for (; !WHIT_SMALL && dtype == WHIT_F32 && n_stride == 1 && n == 16 && l < k; l++, line += step, panel += 16)
    whit_bytes_copy(panel, line, 16 * sizeof *panel);
  for (; l < k; l++, line += step, panel += 16) {
    whit_load_f32(panel, dtype, line, n_stride, n);
    for (int32_t i = n; i < 16; i++) panel[i] = 0;
  }
}

void whit_panels_pack(float *panels, unsigned dtype, const void *b, int32_t k, int32_t n, ptrdiff_t k_stride,
                      ptrdiff_t n_stride) {
  const uint8_t *column = (const uint8_t *)b;
  for (; n > 0; n -= 16, panels += 16 * (size_t)k, column += 16 * n_stride * (ptrdiff_t)whit_type_size(dtype))
    whit_panel_pack(panels, dtype, column, k, whit_min_i32(n, 16), k_stride, n_stride);
}

whit_status whit_scratch(whit_call *c, uint64_t n_floats) {
  if (n_floats > PTRDIFF_MAX / sizeof(float)) return whit_fail(c, WHIT_E_SIZE, "too large for this machine");
  c->scratch_bytes = (size_t)n_floats * sizeof(float);
  return WHIT_OK;
}

int32_t whit_workers(const whit_call *c, double work) {
  const double worth = 1 << 15;  /* 0.5 us of a fast core; handing a part to a thread that waits for it costs less */
  const uint32_t threads = whit_threads(c);
  const double parts = work / worth;
  if (parts < 2) return 1;
  return parts < threads ? (int32_t)parts : (int32_t)threads;
}

WHIT_CALLED int32_t whit_border(int32_t i, int32_t n_parts, int32_t total, int32_t unit) {
  const int64_t units = ((int64_t)total + unit - 1) / unit, at = units * i / n_parts * unit;
  return at < total ? (int32_t)at : total;
}

WHIT_CALLED int32_t whit_part(uint32_t i, int32_t n_parts, int32_t total, int32_t *end) {
  *end = whit_border((int32_t)i + 1, n_parts, total, 1);
  return whit_border((int32_t)i, n_parts, total, 1);
}

void whit_gemm_rows(const whit_kernels *k, const whit_gemm *g, int32_t row0, int32_t row1) {
  if (g->m == 1 && !(WHIT_LISTS && g->rows)) WHIT_KERNEL(k, gemv_f32)(g);
  else WHIT_KERNEL(k, gemm_f32)(g, row0, row1);
}

typedef struct gemm_job {
  const whit_kernels *k;
  const whit_gemm *g;
  whit_gemm_after after;
  const void *context;
  int32_t row_parts, column_parts;
} gemm_job;

/* Twice as many parts as threads: cores differ. Rows first, while a part keeps tiles. A multiply-add of a single row counts
 * twice, for its weight comes from a far cache or from memory. */
static uint32_t gemm_divide(const whit_call *c, gemm_job *job, int32_t m, int32_t n, int32_t k) {
  const int32_t threads = whit_workers(c, (double)m * n * k * (m == 1 ? 2 : 1));
  job->row_parts = job->column_parts = 1;
  if (threads > 1) {
    const int32_t parts = (double)m * n * k < 1e6 * threads ? threads : 2 * threads;
    job->row_parts = whit_max_i32(1, whit_min_i32(parts, m / 24));
    job->column_parts = whit_min_i32((parts + job->row_parts - 1) / job->row_parts, (n + 15) / 16);
  }
  return (uint32_t)(job->row_parts * job->column_parts);
}

static void gemm_part(void *arg, uint32_t i) {
  enum { BLOCK = 192 };         /* rows that are still in the cache when they are finished; the kernel's own block */
  const gemm_job *job = (const gemm_job *)arg;
  whit_gemm g = *job->g;
  const int32_t row = (int32_t)i % job->row_parts, column = (int32_t)i / job->row_parts;
  const int32_t from = whit_border(column, job->column_parts, g.n, 16);
  int32_t row1, row0 = whit_part((uint32_t)row, job->row_parts, g.m, &row1);
  const int32_t n = g.n;
  g.n = whit_border(column + 1, job->column_parts, n, 16) - from;
  g.b += (ptrdiff_t)from * g.k;
  g.c += from;
  if (g.bias) g.bias += from;
  if (g.finish.add) g.finish.add += from;
  if (g.n <= 0) return;
  const int32_t blocks = job->after ? (row1 - row0 + BLOCK - 1) / BLOCK : 1;
  for (int32_t left = blocks, rows; left > 0 && row0 < row1; left--, row0 += rows) {
    rows = (row1 - row0 + left - 1) / left;
    whit_gemm_rows(job->k, &g, row0, row0 + rows);
    if (job->after) job->after(job->context, i, job->g, row0, row0 + rows, from, g.n);
  }
}

uint32_t whit_gemm_parts(const whit_call *c, int32_t m, int32_t n, int32_t k) {
  gemm_job job;
  return gemm_divide(c, &job, m, n, k);
}

void whit_gemm_all(const whit_call *c, const whit_gemm *g, whit_gemm_after after, const void *context) {
  gemm_job job = { .k = c->k, .g = g, .after = after, .context = context };
  const uint32_t n_parts = gemm_divide(c, &job, g->m, g->n, g->k);
  if (n_parts == 1 && !after) whit_gemm_rows(c->k, g, 0, g->m);
  else whit_parallel(c, gemm_part, &job, n_parts);
}
