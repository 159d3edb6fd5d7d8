/* avg_pool - the mean of each window, channels last. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/window.h"

WHIT_OP(avg_pool, .version = 1, .in = "x", .out = "y",
        .attr = "auto_pad:i32 ceil_mode:i32 count_include_pad:i32 kernel:i32[] strides:i32[] pads:i32[] dilations:i32[]",
        .doc = "x [N, spatial, C], a float type; below f64 it sums in f32. Padding counts as zeros if count_include_pad, else "
               "not at all; what ceil_mode adds beyond it never counts.");

whit_status whit_avg_pool_shape(whit_call *c) {
  whit_pool p;
  if (!WHIT_POOLS && c->in[0]->dtype != WHIT_F32)
    return whit_fail(c, WHIT_E_OPERATOR, "avg_pool: this build of the runtime lacks this type of it");
  if (!whit_type_is_float(c->in[0]->dtype)) return whit_fail(c, WHIT_E_TYPE, "avg_pool: x must be of a float type");
  return whit_pool_shape(&p, c);
}

/* How many taps along axis a count, for output coordinate o. */
static int32_t avg_pool_taps(const whit_pool *p, uint32_t a, int32_t o) {
  const whit_window *w = &p->w;
  const bool padding = p->c->attr[2];
  const int32_t start = o * w->stride[a] - w->before[a], dilation = w->dilation[a];
  const int32_t size = w->in[a] + (padding ? w->after[a] : 0);
  const int32_t low = start < 0 && !padding ? (-start - 1) / dilation + 1 : 0;
  const int32_t high = start < size ? whit_min_i32(w->kernel[a], (size - 1 - start) / dilation + 1) : 0;
  return high > low ? high - low : 0;
}

/* One mean, of any type but f32. */
static void avg_pool_wide(const whit_pool *p, const int32_t *lines, int32_t j, int32_t channel, int32_t n, void *y) {
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0];
  const int32_t start = whit_window_start(w, j), dilation = w->dilation[w->n - 1];
  double one;
  whit_set_f64(x->dtype, &one, 1);
  whit_sum sum = whit_sum_begin(x->dtype, NULL);
  int32_t low;
  const int32_t high = whit_window_inside(w, start, &low);
  for (int32_t t = 0; t < w->outer; t++)
    if (lines[t] >= 0)
      whit_sum_add(&sum, x->dtype, whit_at(x, (lines[t] * w->in[w->n - 1] + start + low * dilation) * p->channels + channel),
                   dilation * p->channels, &one, 0, high - low);
  if (x->dtype == WHIT_F64) sum.real /= n;
  else sum.real = (double)((float)sum.real / (float)n);
  whit_sum_end(sum, x->dtype, y);
}

static void avg_pool_line(const whit_pool *p, int32_t o, const int32_t *lines) {
  const whit_window *w = &p->w;
  const whit_tensor *y = p->c->out[0];
  const int32_t width = w->out[w->n - 1];
  int32_t rest = o, outer = 1;
  for (uint32_t a = w->n - 1; a-- > 0; rest /= w->out[a]) outer *= avg_pool_taps(p, a, rest % w->out[a]);
  for (int32_t j = 0; j < width; j++) {
    const int32_t n = whit_max_i32(1, outer * avg_pool_taps(p, w->n - 1, j)), at = (o * width + j) * p->channels;
    float *sums = (float *)y->data + at;
    for (int32_t channel = 0; (!WHIT_POOLS || y->dtype == WHIT_F32) && channel < p->channels; channel++) sums[channel] /= (float)n;
    for (int32_t channel = 0; WHIT_POOLS && y->dtype != WHIT_F32 && channel < p->channels; channel++)
      avg_pool_wide(p, lines, j, channel, n, whit_at(y, at + channel));
  }
}

whit_status whit_avg_pool_run(whit_call *c) {
  return whit_pool_run(c, !WHIT_POOLS || c->in[0]->dtype == WHIT_F32 ? (int)WHIT_FOLD_SUM : (int)WHIT_POOL_NONE, avg_pool_line);
}
