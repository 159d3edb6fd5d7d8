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
  if (!whit_type_is_float(c->in[0]->dtype)) return whit_fail(c, WHIT_E_TYPE, "avg_pool: x must be of a float type");
  WHIT_TRY(whit_pool_read(&p, c));
  return whit_pool_scratch(c, &p);
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

/* Sums of one output line, of any type but f32, as means: element by element. */
static void avg_pool_wide(const whit_pool *p, const int32_t *lines, int32_t j, double n, uint8_t *y) {
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0];
  const size_t size = whit_type_size(x->dtype);
  const int32_t start = whit_window_start(w, j);
  int32_t low;
  const int32_t high = whit_window_inside(w, start, &low);
  for (int32_t channel = 0; channel < p->channels; channel++, y += size) {
    double sum = 0;
    for (int32_t t = 0; t < w->outer; t++)
      for (int32_t k = low; k < high && lines[t] >= 0; k++) {
        const int32_t at = lines[t] * w->in[w->n - 1] + start + k * w->dilation[w->n - 1];
        sum += whit_get_f64(x->dtype, (const uint8_t *)x->data + (size_t)(at * p->channels + channel) * size);
        if (x->dtype != WHIT_F64) sum = (double)(float)sum;
      }
    if (x->dtype != WHIT_F64) sum = (double)((float)sum / (float)n);
    else sum /= n;
    whit_set_f64(x->dtype, y, sum);
  }
}

static void avg_pool_job(void *arg, uint32_t job) {
  const whit_pool *p = (const whit_pool *)arg;
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0], *y = p->c->out[0];
  const int32_t length = w->out[w->n - 1] * p->channels;
  float *row;
  int32_t *lines, end;
  for (int32_t o = whit_pool_part(p, job, &end, &lines, &row); o < end; o++) {
    int32_t rest = o, outer = 1;
    for (uint32_t a = w->n - 1; a-- > 0; rest /= w->out[a]) outer *= avg_pool_taps(p, a, rest % w->out[a]);
    uint8_t *to = (uint8_t *)y->data + (size_t)o * (size_t)length * whit_type_size(y->dtype);
    whit_window_lines(w, o, lines);
    if (x->dtype == WHIT_F32)
      whit_window_fold(w, p->c->k, WHIT_FOLD_SUM, (const float *)x->data, p->channels, lines, row, (float *)(void *)to);
    for (int32_t j = 0; j < w->out[w->n - 1]; j++) {
      const int32_t n = whit_max_i32(1, outer * avg_pool_taps(p, w->n - 1, j));
      float *sums = (float *)(void *)to + (ptrdiff_t)j * p->channels;
      if (x->dtype != WHIT_F32)
        avg_pool_wide(p, lines, j, n, to + (size_t)(j * p->channels) * whit_type_size(y->dtype));
      else
        for (int32_t channel = 0; channel < p->channels; channel++) sums[channel] /= (float)n;
    }
  }
}

whit_status whit_avg_pool_run(whit_call *c) {
  whit_pool p;
  WHIT_TRY(whit_pool_read(&p, c));
  if (whit_count(c->out[0])) whit_parallel(c, avg_pool_job, &p, (uint32_t)p.n_jobs);
  return WHIT_OK;
}
