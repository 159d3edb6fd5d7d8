/* max_pool - the maximum of each window, channels last. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/window.h"

WHIT_OP(max_pool, .version = 1, .in = "x", .out = "y indices?",
        .attr = "auto_pad:i32 ceil_mode:i32 storage_order:i32 kernel:i32[] strides:i32[] pads:i32[] dilations:i32[]",
        .doc = "x [N, spatial, C]. Padding never wins; NaN does. indices: where each maximum lies in x as [N, C, spatial] "
               "(storage_order 1: spatial axes column by column), the first of equals; -1 for a window of padding only.");

/* Done by rows? */
static bool max_pool_folds(const whit_call *c) { return c->in[0]->dtype == WHIT_F32 && !(c->n_out > 1 && c->out[1]); }

whit_status whit_max_pool_shape(whit_call *c) {
  whit_pool p;
  if (!WHIT_POOLS && !max_pool_folds(c))
    return whit_fail(c, WHIT_E_OPERATOR, "max_pool: this build of the runtime lacks this kind of it");
  if (c->in[0]->dtype == WHIT_BOOL) return whit_fail(c, WHIT_E_TYPE, "max_pool: x must be of numbers");
  WHIT_TRY(whit_pool_shape(&p, c));
  return whit_out(c, 1, WHIT_I64, c->in[0]->rank, p.shape);
}

/* Place of position `at` of a line of x in x as [N, C, spatial]. */
static int64_t max_pool_index(const whit_pool *p, int32_t line, int32_t at, int32_t channel) {
  const whit_window *w = &p->w;
  int64_t in_order = 0, by_column = 0, step = 1, size = 1;
  int32_t rest = line;
  for (uint32_t a = 0; a < w->n; a++) size *= w->in[a];
  for (uint32_t a = w->n; a-- > 0;) {
    const int32_t i = a + 1 == w->n ? at : rest % w->in[a];
    if (a + 1 < w->n) rest /= w->in[a];
    in_order += i * step;
    step *= w->in[a];
    by_column += i * (size / step);
  }
  return ((int64_t)rest * p->channels + channel) * size + (p->c->attr[2] ? by_column : in_order);
}

/* Any type, and indices: element by element. */
static void max_pool_line(const whit_pool *p, int32_t o, const int32_t *lines) {
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0], *y = p->c->out[0], *indices = p->c->n_out > 1 ? p->c->out[1] : NULL;
  const uint32_t last = w->n - 1;
  const int32_t length = w->out[last] * p->channels;
  for (int32_t i = 0; i < length; i++) {
    const int32_t channel = i % p->channels, start = whit_window_start(w, i / p->channels);
    const uint8_t *best = NULL;
    uint64_t most = 0;
    int64_t where = -1;
    int32_t low;
    const int32_t high = whit_window_inside(w, start, &low);
    uint8_t *to = (uint8_t *)whit_at(y, o * length + i);
    for (int32_t t = 0; t < w->outer; t++)
      for (int32_t k = low; k < high && lines[t] >= 0; k++) {
        const int32_t at = start + k * w->dilation[last];
        const uint8_t *e = (const uint8_t *)whit_at(x, (lines[t] * w->in[last] + at) * p->channels + channel);
        const uint64_t order = whit_order(x->dtype, e);
        if (best && order <= most) continue;
        best = e;
        most = order;
        if (indices) where = max_pool_index(p, lines[t], at, channel);
      }
    if (best) whit_bytes_copy(to, best, whit_type_size(x->dtype));
    else whit_set_f64(x->dtype, to, -__builtin_inf());
    if (indices) ((int64_t *)indices->data)[o * length + i] = where;
  }
}

whit_status whit_max_pool_run(whit_call *c) {
  if (!WHIT_POOLS || max_pool_folds(c)) return whit_pool_run(c, WHIT_FOLD_MAX, NULL);
  return whit_pool_run(c, WHIT_POOL_NONE, max_pool_line);
}
