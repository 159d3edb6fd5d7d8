/* conv_transpose - transposed convolution over any number of axes, channels last. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/window.h"

WHIT_OP(conv_transpose, .version = 1, .in = "x w bias?", .out = "y",
        .attr = "group:i32 auto_pad:i32 kernel:i32[] strides:i32[] pads:i32[] dilations:i32[] output_padding:i32[] "
                "output_shape:i32[]",
        .doc = "x [N, spatial, C], w [spatial, C, M/group], y [N, spatial, M]. auto_pad 0 as given, 1 same, upper, 2 same, "
               "lower, 3 none. output_shape, if given, decides the padding. Types below f32 are summed in f32, integers in "
               "i64.");

/* Input pixel i adds x[i] w[k] to the output at i * stride + k * dilation - before. A unit of work is a part of an output
 * line; for each tap along the other axes it multiplies the pixels of the one input line that can reach it by the
 * weights of the taps along the line, side by side [C/group, kernel * M/group], and adds up what falls into the part. So
 * no two units write the same place, and each product is computed once, but for some at the borders of parts. */
typedef struct transposed {
  const whit_call *c;
  whit_window w;                /* in and out as in the operator, not exchanged */
  int32_t shape[WHIT_MAX_RANK]; /* of y */
  int32_t n_in, n_out, group, columns; /* channels of a group; columns of the product */
  int32_t lines, part, parts, most;    /* part: output positions; most: input positions that reach one */
  int32_t n_jobs;
  bool direct;                  /* no two windows touch, and they fill the output */
  uint64_t panels, slot;        /* floats: of one group and tap of the other axes; of one thread */
} transposed;

static whit_status transposed_axis(whit_call *c, whit_window *w, uint32_t a, const int32_t *extra, const int32_t *want,
                                   int32_t *out) {
  const int32_t auto_pad = c->attr[1];
  const int64_t in = w->in[a], stride = w->stride[a], extent = (int64_t)w->dilation[a] * (w->kernel[a] - 1) + 1;
  const int64_t full = (in - 1) * stride + (extra ? extra[a] : 0) + extent;
  int64_t before = auto_pad == WHIT_PAD_VALID ? 0 : w->before[a], n = full - before;
  if (auto_pad != WHIT_PAD_VALID) n -= w->after[a];
  if (want || auto_pad == WHIT_PAD_SAME_UPPER || auto_pad == WHIT_PAD_SAME_LOWER) {
    n = want ? want[a] : in * stride;
    const int64_t pad = full > n ? full - n : 0;
    before = auto_pad == WHIT_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
  }
  if (n < 0) return whit_fail(c, WHIT_E_SHAPE, "conv_transpose: the padding is larger than the output");
  if (in * stride + extent + before + n > INT32_MAX || (extra && extra[a] < 0))
    return whit_fail(c, WHIT_E_SIZE, "conv_transpose: kernel, strides, pads or output are out of range");
  w->before[a] = (int32_t)before;
  out[a] = (int32_t)n;
  return WHIT_OK;
}

static whit_status transposed_geometry(transposed *p, whit_call *c) {
  const whit_tensor *x = c->in[0];
  whit_window *w = &p->w;
  uint32_t n_extra, n_want;
  const int32_t *extra = whit_attr_list(c, 2, 4, &n_extra), *want = whit_attr_list(c, 2, 5, &n_want);
  if ((n_extra && n_extra != w->n) || (n_want && n_want != w->n))
    return whit_fail(c, WHIT_E_VALUE, "conv_transpose: output_padding or output_shape: not one number an axis");
  if (c->attr[1] < WHIT_PAD_NOTSET || c->attr[1] > WHIT_PAD_VALID)
    return whit_fail(c, WHIT_E_VALUE, "no such auto_pad");
  for (uint32_t a = 0; a < w->n; a++)
    WHIT_TRY(transposed_axis(c, w, a, n_extra ? extra : NULL, n_want ? want : NULL, p->shape + 1));
  w->out = p->shape + 1;
  p->shape[0] = x->shape[0];
  p->shape[x->rank - 1] = p->group * p->n_out;
  return whit_out(c, 0, x->dtype, x->rank, p->shape);
}

static whit_status transposed_read(transposed *p, whit_call *c) {
  const whit_tensor *x = c->in[0], *k = c->in[1], *bias = whit_in(c, 2);
  whit_window *w = &p->w;
  const int32_t group = c->attr[0];
  p->c = c;
  if (x->dtype != k->dtype || x->dtype == WHIT_BOOL || (bias && bias->dtype != x->dtype))
    return whit_fail(c, WHIT_E_TYPE, "conv_transpose: types do not fit");
  if (x->rank < 3 || k->rank != x->rank || k->shape[k->rank - 2] != x->shape[x->rank - 1])
    return whit_fail(c, WHIT_E_SHAPE, "conv_transpose: w must be [spatial, C, M/group]");
  if (group < 1 || x->shape[x->rank - 1] % group || (int64_t)k->shape[k->rank - 1] * group > INT32_MAX)
    return whit_fail(c, WHIT_E_VALUE, "conv_transpose: channels do not divide into groups");
  p->group = group;
  p->n_in = x->shape[x->rank - 1] / group;
  p->n_out = k->shape[k->rank - 1];
  if (bias && (bias->rank != 1 || bias->shape[0] != group * p->n_out))
    return whit_fail(c, WHIT_E_SHAPE, "conv_transpose: bias must be [M]");
  WHIT_TRY(whit_window_read(c, w, 2, k->shape));
  WHIT_TRY(transposed_geometry(p, c));
  /* parts whose product takes 32K floats, 64 KB to a second-level cache and 128 to the first-level one of many */
  const uint32_t last = w->n - 1;
  const int32_t stride = w->stride[last], reach = (w->kernel[last] - 1) * w->dilation[last] / stride + 2;
  const int32_t out = whit_max_i32(1, w->out[last]);
  p->columns = w->kernel[last] * p->n_out;  /* fits: no more than w has */
  const int32_t wide = whit_max_i32(24, whit_min_i32(512, 32768 / whit_max_i32(1, p->columns)));
  p->part = (int32_t)((int64_t)wide * stride < out ? (int64_t)wide * stride : out);
  p->parts = (out + p->part - 1) / p->part;
  p->most = (int32_t)((int64_t)p->part / stride + reach < w->in[last] ? p->part / stride + reach : w->in[last]);
  p->lines = p->shape[0];
  p->direct = group == 1;
  for (uint32_t a = 0; a < w->n; a++)
    p->direct = p->direct && w->kernel[a] == w->stride[a] && w->dilation[a] == 1 && !w->before[a] &&
                w->out[a] == (int64_t)w->in[a] * w->stride[a];
  for (uint32_t a = 0; a < last; a++) p->lines *= w->out[a];
  const double work = (double)whit_count(x) * p->n_out * w->taps;
  p->n_jobs = whit_min_i32(p->lines * p->parts, whit_workers(c, work));
  p->panels = whit_panels_floats(p->n_in, p->columns);
  p->slot = ((uint64_t)p->most * (uint64_t)p->columns + 15) / 16 * 16;
  return WHIT_OK;
}

whit_status whit_conv_transpose_shape(whit_call *c) {
  transposed p;
  WHIT_TRY(transposed_read(&p, c));
  if (c->in[0]->dtype != WHIT_F32 || !whit_count(c->out[0])) return WHIT_OK;
  if (p.panels > INT64_MAX / 64 / ((uint64_t)p.w.outer * (uint64_t)p.group))
    return whit_fail(c, WHIT_E_SIZE, "conv_transpose: too large for this machine");
  return whit_scratch(c, p.panels * (uint64_t)p.w.outer * (uint64_t)p.group + (uint64_t)p.n_jobs * p.slot);
}

/* Panels of the weights of group and tap number i: column k * n_out + m is tap k of the line, channel m. */
static void transposed_pack(void *arg, uint32_t i) {
  const transposed *p = (const transposed *)arg;
  const int32_t kernel = p->w.kernel[p->w.n - 1], channels = p->n_in * p->group;
  const int32_t tap = (int32_t)i / p->group, g = (int32_t)i % p->group;
  float *panels = (float *)p->c->scratch + i * p->panels;
  const float *w = (const float *)p->c->in[1]->data + ((ptrdiff_t)tap * kernel * channels + g * p->n_in) * p->n_out;
  whit_bytes_zero(panels, (size_t)p->panels * sizeof *panels);
  for (int32_t k = 0; k < kernel; k++)
    for (int32_t l = 0; l < p->n_in; l++) {
      const float *from = w + ((ptrdiff_t)k * channels + l) * p->n_out;
      for (int32_t m = 0, run; m < p->n_out; m += run) {
        const int32_t column = k * p->n_out + m;
        run = whit_min_i32(16 - column % 16, p->n_out - m);
        whit_bytes_copy(panels + ((ptrdiff_t)(column / 16) * p->n_in + l) * 16 + column % 16, from + m,
                        (size_t)run * sizeof *panels);
      }
    }
}

/* The line of x that reaches output line o through tap t of the other axes, or -1. */
static int32_t transposed_line(const whit_window *w, int32_t o, int32_t t) {
  int32_t line = 0, step = 1;
  for (uint32_t a = w->n - 1; a-- > 0; o /= w->out[a], t /= w->kernel[a]) {
    const int32_t at = o % w->out[a] + w->before[a] - t % w->kernel[a] * w->dilation[a];
    if (at < 0 || at % w->stride[a] || at / w->stride[a] >= w->in[a]) return -1;
    line += at / w->stride[a] * step;
    step *= w->in[a];
  }
  return line + o * step;
}

/* Rows [low, low + n) of the line x times the panels. */
WHIT_CALLED static void transposed_product(const transposed *p, const float *x, const float *panels, const float *bias, float *to,
                                           int32_t low, int32_t n) {
  const int32_t channels = p->n_in * p->group;
  const whit_gemm gemm = { .a = x + (ptrdiff_t)low * channels, .b = panels, .bias = bias, .c = to, .m = n, .n = p->columns,
                           .k = p->n_in, .a_row = channels, .c_row = p->columns, .pieces = 1, .finish = WHIT_FINISH_NONE };
  WHIT_KERNEL(p->c->k, gemm_f32)(&gemm, 0, n);
}

/* y[j] += x[j]; short runs, a window's taps of few channels, are not worth a call. */
static void transposed_sum(const transposed *p, float *y, const float *x, int32_t n) {
  if (WHIT_SMALL || n > 64 || n % 4) {
    WHIT_KERNEL(p->c->k, add_to_f32)(y, x, n);
    return;
  }
  for (; n; n -= 4, x += 4, y += 4) *(gemm_four *)(void *)y += *(const gemm_four *)(const void *)x;
}

/* Adds what group g of one input line gives to output positions [first, end) of the line y. */
static void transposed_add(const transposed *p, const float *x, const float *panels, float *product, float *y, int32_t first,
                           int32_t end) {
  const whit_window *w = &p->w;
  const uint32_t last = w->n - 1;
  const int32_t stride = w->stride[last], before = w->before[last], span = (w->kernel[last] - 1) * w->dilation[last];
  const int32_t low = first + before - span > 0 ? (first + before - span + stride - 1) / stride : 0;
  const int32_t high = whit_min_i32(w->in[last], (end - 1 + before) / stride + 1);
  if (low >= high) return;
  transposed_product(p, x, panels, NULL, product, low, high - low);
  const int32_t run = p->group == 1 && w->dilation[last] == 1 ? w->kernel[last] : 1; /* taps side by side in y */
  for (int32_t i = low; i < high; i++)
    for (int32_t k = 0; k < w->kernel[last]; k += run) {
      const int32_t at = i * stride + k * w->dilation[last] - before;
      const int32_t from = whit_max_i32(first - at, 0), to = whit_min_i32(end - at, run);
      if (from < to)
        transposed_sum(p, y + (ptrdiff_t)(at + from) * p->n_out * p->group,
                       product + (ptrdiff_t)(i - low) * p->columns + (k + from) * p->n_out, (to - from) * p->n_out);
    }
}

/* Windows that lie side by side: each output has one product, so the product of a line goes straight to its place. The
 * bias is repeated for each tap, in the place of the product that nobody needs. */
static void transposed_direct(const transposed *p, const float *x, const float *panels, float *biases, float *y, int32_t first,
                              int32_t end) {
  const void *bias = whit_in_data(p->c, 2);
  const int32_t stride = p->w.stride[p->w.n - 1];
  for (int32_t k = 0; bias && k < p->columns; k += p->n_out)
    whit_bytes_copy(biases + k, bias, (size_t)p->n_out * sizeof *biases);
  transposed_product(p, x, panels, bias ? biases : NULL, y + (ptrdiff_t)first * p->n_out, first / stride, (end - first) / stride);
}

static void transposed_job(void *arg, uint32_t job) {
  const transposed *p = (const transposed *)arg;
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0];
  const void *bias = whit_in_data(p->c, 2);
  const int32_t channels = p->n_out * p->group, in = w->in[w->n - 1], out = w->out[w->n - 1];
  const float *panels = (const float *)p->c->scratch;
  float *product = (float *)p->c->scratch + p->panels * (uint64_t)w->outer * (uint64_t)p->group + job * p->slot;
  int32_t stop;
  for (int32_t u = whit_part(job, p->n_jobs, p->lines * p->parts, &stop); u < stop; u++) {
    const int32_t first = u % p->parts * p->part, end = whit_min_i32(first + p->part, out);
    float *y = (float *)p->c->out[0]->data + (ptrdiff_t)(u / p->parts) * out * channels;
    for (int32_t j = first; !p->direct && j < end; j++)
      if (bias) whit_bytes_copy(y + (ptrdiff_t)j * channels, bias, (size_t)channels * sizeof *y);
      else whit_bytes_zero(y + (ptrdiff_t)j * channels, (size_t)channels * sizeof *y);
    for (int32_t t = 0; t < w->outer; t++) {
      const int32_t line = transposed_line(w, u / p->parts, t);
      for (int32_t g = 0; line >= 0 && g < p->group; g++)
        (p->direct ? transposed_direct : transposed_add)(
            p, (const float *)x->data + ((ptrdiff_t)line * in * p->group + g) * p->n_in,
            panels + ((uint64_t)t * (uint64_t)p->group + (uint64_t)g) * p->panels, product, y + g * p->n_out, first, end);
    }
  }
}

/* One element of the output, of any type. */
static void transposed_element(const transposed *p, int32_t i) {
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0], *y = p->c->out[0], *bias = whit_in(p->c, 2);
  const int32_t m = i % (p->n_out * p->group), position = i / (p->n_out * p->group), first = m / p->n_out * p->n_in;
  const int32_t channels = p->n_in * p->group, kernel = w->kernel[w->n - 1], stride = w->stride[w->n - 1];
  const int32_t o = position / w->out[w->n - 1], j = position % w->out[w->n - 1] + w->before[w->n - 1];
  whit_sum sum = whit_sum_begin(x->dtype, bias ? whit_at(bias, m) : NULL);
  for (int32_t t = 0; t < w->taps; t++) {
    const int32_t line = transposed_line(w, o, t / kernel), at = j - t % kernel * w->dilation[w->n - 1];
    if (line >= 0 && at >= 0 && at % stride == 0 && at / stride < w->in[w->n - 1])
      whit_sum_add(&sum, x->dtype, whit_at(x, (line * w->in[w->n - 1] + at / stride) * channels + first), 1,
                   whit_at(p->c->in[1], (t * channels + first) * p->n_out + m % p->n_out), p->n_out, p->n_in);
  }
  whit_sum_end(sum, x->dtype, whit_at(y, i));
}

whit_status whit_conv_transpose_run(whit_call *c) {
  transposed p;
  const whit_tensor *y = c->out[0];
  WHIT_TRY(transposed_read(&p, c));
  if (!whit_count(y)) return WHIT_OK;
  if (y->dtype == WHIT_F32) {
    whit_parallel(c, transposed_pack, &p, (uint32_t)(p.w.outer * p.group));
    whit_parallel(c, transposed_job, &p, (uint32_t)p.n_jobs);
    return WHIT_OK;
  }
  const int32_t count = whit_count(y);
  for (int32_t i = 0; i < count; i++) transposed_element(&p, i);
  return WHIT_OK;
}
