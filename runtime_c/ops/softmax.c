/* softmax - along the last axis. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"

WHIT_OP(softmax, .version = 1, .in = "x", .out = "y", .attr = "log:i32",
        .doc = "y = e^(x - max x) over its sum, along the last axis, f32; or the logarithm of that. A row is NaN if an element "
               "is, or if all are -inf.");

whit_status whit_softmax_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  if (x->dtype != WHIT_F32) return whit_fail(c, WHIT_E_TYPE, "softmax: x must be f32");
  if (!x->rank) return whit_fail(c, WHIT_E_SHAPE, "softmax: x has no axis");
  if (!WHIT_LOGS && c->attr[0]) return whit_fail(c, WHIT_E_OPERATOR, "softmax: this build of the runtime lacks its logarithm");
  if (c->attr[0] & ~1) return whit_fail(c, WHIT_E_VALUE, "softmax: log must be 0 or 1");
  return whit_out_like(c, 0, x);
}

/* One pass reads the row from memory, what follows finds it in the first-level cache. In the size profile one thread does all. */
static void softmax_rows(const whit_call *c, int32_t n, int32_t row, int32_t end) {
  const float *x = (const float *)c->in[0]->data + (ptrdiff_t)row * n;
  float *y = (float *)c->out[0]->data + (ptrdiff_t)row * n, found[2];
  for (; row < end; row++, x += n, y += n) {
    WHIT_KERNEL(c->k, exp_row_f32)(y, x, NULL, 1.0f, n, found);
    if (WHIT_LOGS && c->attr[0]) {
      const float p[3] = { found[0], 1.0f, -(float)whit_log_f64((double)found[1]) };
      WHIT_KERNEL(c->k, affine_rows_f32)(y, x, p, NULL, NULL, 1, n);
    } else {
      const float p[3] = { 0.0f, 1.0f / found[1], 0.0f };
      WHIT_KERNEL(c->k, affine_rows_f32)(y, y, p, NULL, NULL, 1, n);
    }
  }
}

#if !WHIT_SMALL
typedef struct softmax { const whit_call *c; int32_t n, n_rows, n_parts; } softmax;

static void softmax_part(void *arg, uint32_t part) {
  const softmax *s = (const softmax *)arg;
  int32_t end;
  const int32_t first = whit_part(part, s->n_parts, s->n_rows, &end);
  softmax_rows(s->c, s->n, first, end);
}
#endif

whit_status whit_softmax_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const int32_t count = whit_count(x), n = x->shape[x->rank - 1];
  if (!count) return WHIT_OK;
#if WHIT_SMALL
  softmax_rows(c, n, 0, count / n);
#else
  softmax s = { .c = c, .n = n, .n_rows = count / n };
  s.n_parts = whit_min_i32(whit_workers(c, 16.0 * count), s.n_rows);
  whit_parallel(c, softmax_part, &s, (uint32_t)s.n_parts);
#endif
  return WHIT_OK;
}
