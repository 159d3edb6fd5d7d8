/* window.c - the geometry of sliding windows over channels-last tensors. */
#include "window.h"
#include "gemm.h"

whit_status whit_window_read(whit_call *c, whit_window *w, unsigned first, const int32_t *weights) {
  int32_t pads[2 * WHIT_WINDOW_AXES] = { 0 };
  int32_t *const lists[] = { w->kernel, w->stride, pads, w->dilation };
  const whit_tensor *x = c->in[0];
  const uint32_t n = x->rank - 2u;
  w->n = n;
  if (WHIT_HAS_bottleneck) w->ring = 0;
  w->in = x->shape + 1;
  for (uint32_t a = 0; a < n; a++) {
    w->kernel[a] = weights ? weights[a] : 1;
    w->stride[a] = w->dilation[a] = 1;
  }
  for (unsigned k = 0; k < 4; k++) {      /* an empty one leaves what stands there */
    uint32_t count;
    const int32_t *list = whit_attr_list(c, first, k, &count), least = lists[k] != pads;
    if (count && count != n << !least) return whit_fail(c, WHIT_E_VALUE, "kernel, strides, pads or dilations: not one number an axis");
    for (uint32_t a = 0; a < count; a++) {
      if (list[a] < least) return whit_fail(c, WHIT_E_VALUE, "kernel, strides, pads or dilations: a number is too small");
      lists[k][a] = list[a];
    }
  }
  int64_t taps = 1;
  w->outer = 1;
  for (uint32_t a = 0; a < n; a++) {
    if (weights && w->kernel[a] != weights[a])
      return whit_fail(c, WHIT_E_SHAPE, "the weights do not have the size of the kernel");
    if (w->kernel[a] < 1) return whit_fail(c, WHIT_E_SHAPE, "the kernel is empty");
    w->before[a] = pads[a];
    w->after[a] = pads[n + a];
    w->outer = (int32_t)taps;
    taps *= w->kernel[a];
    if (taps > INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "the kernel is too large");
  }
  w->taps = (int32_t)taps;
  return WHIT_OK;
}

/* One axis, as ONNX has it; 64 bits hold every intermediate result. */
static whit_status window_axis(whit_call *c, whit_window *w, uint32_t a, int32_t auto_pad, bool ceil_mode, int32_t *out) {
  const int64_t in = w->in[a], stride = w->stride[a], extent = (int64_t)w->dilation[a] * (w->kernel[a] - 1) + 1;
  int64_t before = w->before[a], after = w->after[a], n;
  if (auto_pad == WHIT_PAD_VALID) before = after = 0;
  if (auto_pad == WHIT_PAD_SAME_UPPER || auto_pad == WHIT_PAD_SAME_LOWER) {
    n = (in + stride - 1) / stride;
    const int64_t pad = n > 0 && (n - 1) * stride + extent > in ? (n - 1) * stride + extent - in : 0;
    before = auto_pad == WHIT_PAD_SAME_UPPER ? pad / 2 : pad - pad / 2;
    after = pad - before;
  } else {
    const int64_t free = before + in + after - extent;
    if (free < -stride) return whit_fail(c, WHIT_E_SHAPE, "the window is larger than the padded input");
    n = free < 0 ? 0 : (ceil_mode ? free + stride - 1 : free) / stride + 1;
    if (ceil_mode && n > 0 && (n - 1) * stride >= in + before) n--;  /* no window starts in the padding at the end */
  }
  /* so that positions of windows, with one step to spare, fit in 32 bits */
  if (before + in + after + extent + stride > INT32_MAX)
    return whit_fail(c, WHIT_E_SIZE, "kernel, strides, pads or dilations are too large");
  w->whole &= w->kernel[a] == 1 && stride == 1 && !(before | after);
  w->before[a] = (int32_t)before;
  w->after[a] = (int32_t)after;
  out[a] = (int32_t)n;
  return WHIT_OK;
}

whit_status whit_window_fit(whit_call *c, whit_window *w, int32_t auto_pad, bool ceil_mode, int32_t *out) {
  if (auto_pad < WHIT_PAD_NOTSET || auto_pad > WHIT_PAD_VALID) return whit_fail(c, WHIT_E_VALUE, "no such auto_pad");
  if (!WHIT_AUTO_PADS && (auto_pad || ceil_mode))
    return whit_fail(c, WHIT_E_OPERATOR, "this build of the runtime lacks auto_pad and ceil_mode");
  w->whole = true;
  for (uint32_t a = 0; a < w->n; a++)
    WHIT_TRY(window_axis(c, w, a, WHIT_AUTO_PADS ? auto_pad : WHIT_PAD_NOTSET, WHIT_AUTO_PADS && ceil_mode, out));
  w->out = out;
  return WHIT_OK;
}

static void window_lines(const whit_window *w, int32_t o, int32_t *lines) {
  int32_t start[WHIT_WINDOW_AXES];
  if (!WHIT_SMALL && w->n == 2) { /* most are; divisions are slow */
    const int32_t item = o / w->out[0];
    int32_t at = (o - item * w->out[0]) * w->stride[0] - w->before[0];
    for (int32_t t = 0; t < w->outer; t++, at += w->dilation[0])
      lines[t] = at < 0 || at >= w->in[0] ? -1 : at + item * w->in[0];
    return;
  }
  for (uint32_t a = w->n - 1; a-- > 0; o /= w->out[a]) start[a] = o % w->out[a] * w->stride[a] - w->before[a];
  for (int32_t t = 0; t < w->outer; t++) {
    int32_t rest = t, line = 0, step = 1;
    for (uint32_t a = w->n - 1; a-- > 0; rest /= w->kernel[a]) {
      const int32_t at = start[a] + rest % w->kernel[a] * w->dilation[a];
      if (at < 0 || at >= w->in[a]) line = -1;
      if (line >= 0) line += at * step;
      step *= w->in[a];
    }
    lines[t] = line < 0 ? -1 : line + o * step;  /* o is the batch item now */
  }
}

void whit_window_lines(const whit_window *w, int32_t o, int32_t *lines) {
  window_lines(w, o, lines);
  for (int32_t t = 0; WHIT_HAS_bottleneck && w->ring && t < w->outer; t++)
    if (lines[t] >= 0) lines[t] %= w->ring;
}

#if WHIT_SMALL
uint64_t whit_rows_floats(int32_t taps) {
  return WHIT_ROWS_STRIP / 4 * WHIT_LISTED * (uint64_t)taps * sizeof(float *) / sizeof(float);
}

/* What of picture x lies under tap t of a window that begins at `start`. */
static const float *rows_at(const whit_rows *r, const float *x, const int32_t *start, int32_t t) {
  const whit_window *w = r->w;
  ptrdiff_t at = 0, step = r->pitch;
  bool outside = false, skipped = false;
  for (uint32_t a = w->n; a--; t /= w->kernel[a]) {
    const int32_t i = start[a] + t % w->kernel[a] * w->dilation[a];
    if ((uint32_t)i < (uint32_t)w->in[a]) at += (WHIT_HAS_bottleneck && w->ring && !a ? i % w->ring : i) * step;
    else if (a == (r->turned ? 0 : w->n - 1)) outside = true;
    else skipped = true;
    step *= w->in[a];
  }
  return skipped ? r->skipped : outside ? r->zeros : x + at;
}

void whit_rows_list(const whit_rows *r, const float **list, int32_t first, int32_t n) {
  const whit_window *w = r->w;
  const int32_t turn = r->turned ? w->kernel[1] : 1;
  ptrdiff_t picture = r->pitch;
  for (uint32_t a = 0; a < w->n; a++) picture *= w->in[a];
  for (int32_t k = 0; k < ((n + 3) & ~3); k++) {
    int32_t start[WHIT_WINDOW_AXES], o = first + whit_min_i32(k, n - 1);
    const float **to = list + (ptrdiff_t)(k / 4) * w->taps * WHIT_LISTED;
    for (uint32_t a = w->n; a--; o /= w->out[a]) start[a] = o % w->out[a] * w->stride[a] - w->before[a];
    for (int32_t q = 0, t = 0; q < w->taps; q++, t += turn, to += WHIT_LISTED) {
      if (t >= w->taps) t -= w->taps - 1;
      to[k % 4] = rows_at(r, r->x + o * picture, start, t);
      to[4] = r->weights + t * r->n;
    }
  }
}
#endif

/* Positions low ... high - 1 of y, of lines that begin at position 0. */
static void window_positions(const whit_window *w, const whit_kernels *k, unsigned kind, const float *const *lines,
                             int32_t n_lines, int32_t channels, const float **at, int32_t low, int32_t high, float *y) {
  const uint32_t last = w->n - 1;
  const int32_t start = whit_window_start(w, low);
  whit_fold f = { .lines = at, .n_lines = n_lines, .n = channels, .n_out = high - low };
  int32_t first;
  f.n_taps = n_lines ? whit_window_inside(w, start, &first) : 0;
  if (f.n_taps) f.n_taps -= first;
  f.step = (ptrdiff_t)w->dilation[last] * channels;
  f.x_step = (ptrdiff_t)w->stride[last] * channels;
  for (int32_t l = 0; f.n_taps && l < n_lines; l++)
    at[l] = lines[l] + (ptrdiff_t)(start + first * w->dilation[last]) * channels;
  WHIT_KERNEL(k, fold_f32)(&f, kind, y + (ptrdiff_t)low * channels);
}

/* Windows inside x have all their taps: one call does them. Where windows overlap much, lines are combined first, in one
 * run: kernel height + width operations instead of their product. */
void whit_window_fold(const whit_window *w, const whit_kernels *k, unsigned kind, const float *x, int32_t channels,
                      const int32_t *lines, float *row, float *y) {
  const uint32_t last = w->n - 1;
  const int32_t in = w->in[last], out = w->out[last], stride = w->stride[last], width = w->kernel[last];
  const int32_t extent = w->dilation[last] * (width - 1) + 1, before = w->before[last];
  const float **from = whit_pool_pointers(w, row, channels), **at = from + w->outer;
  int32_t n_lines = 0;
  for (int32_t t = 0; t < w->outer; t++)
    if (lines[t] >= 0) from[n_lines++] = x + (ptrdiff_t)lines[t] * in * channels;
  if (!WHIT_SMALL && n_lines > 1 && (int64_t)n_lines * width > (int64_t)n_lines * stride + width + 4) {
    const whit_fold f = { from, n_lines, 1, in * channels, 1, 0, 0 };
    WHIT_KERNEL(k, fold_f32)(&f, kind, row);
    from[0] = row;
    n_lines = 1;
  }
  const int32_t low = WHIT_SMALL ? out : whit_min_i32(out, (before + stride - 1) / stride);
  const int32_t high = WHIT_SMALL ? out : whit_max_i32(low, whit_min_i32(out, in + before < extent ? 0 : (in + before - extent) / stride + 1));
  for (int32_t j = 0; j < low; j++) window_positions(w, k, kind, from, n_lines, channels, at, j, j + 1, y);
  if (low < high) window_positions(w, k, kind, from, n_lines, channels, at, low, high, y);
  for (int32_t j = high; j < out; j++) window_positions(w, k, kind, from, n_lines, channels, at, j, j + 1, y);
}

whit_status whit_pool_shape(whit_pool *p, whit_call *c) {
  const whit_tensor *x = c->in[0];
  if (x->rank < 3) return whit_fail(c, WHIT_E_SHAPE, "the input has no spatial axis");
  WHIT_TRY(whit_window_read(c, &p->w, 3, NULL));
  WHIT_TRY(whit_window_fit(c, &p->w, c->attr[0], c->attr[1], p->shape + 1));
  const int32_t length = p->w.in[p->w.n - 1] * x->shape[x->rank - 1];
  p->c = c;
  p->shape[0] = p->lines = x->shape[0];
  p->shape[x->rank - 1] = p->channels = x->shape[x->rank - 1];
  WHIT_TRY(whit_out(c, 0, x->dtype, x->rank, p->shape));
  for (uint32_t a = 0; a + 1 < p->w.n; a++) p->lines *= p->w.out[a];
  p->n_jobs = whit_min_i32(p->lines, whit_workers(c, (double)p->lines * p->w.outer * length));
  const size_t pointers = 2 * (size_t)p->w.outer * sizeof(float *) / sizeof(float);
  p->slot = ((size_t)p->w.outer + (size_t)length + 1 + pointers + 15) / 16 * 16;
  return whit_scratch(c, whit_count(c->out[0]) ? (uint64_t)p->n_jobs * p->slot : 0);
}

static void pool_job(void *arg, uint32_t job) {
  const whit_pool *p = (const whit_pool *)arg;
  const whit_tensor *x = p->c->in[0], *y = p->c->out[0];
  float *row = (float *)p->c->scratch + job * p->slot;
  int32_t *lines = (int32_t *)(void *)(row + p->w.in[p->w.n - 1] * p->channels), end;
  for (int32_t o = whit_part(job, p->n_jobs, p->lines, &end); o < end; o++) {
    whit_window_lines(&p->w, o, lines);
    if (p->fold != WHIT_POOL_NONE)
      whit_window_fold(&p->w, p->c->k, (unsigned)p->fold, (const float *)x->data, p->channels, lines, row,
                       (float *)y->data + (ptrdiff_t)o * p->w.out[p->w.n - 1] * p->channels);
    if (p->line) p->line(p, o, lines);
  }
}

whit_status whit_pool_run(whit_call *c, int fold, void (*line)(const whit_pool *p, int32_t o, const int32_t *lines)) {
  whit_pool p;
  WHIT_TRY(whit_pool_shape(&p, c));
  p.fold = fold;
  p.line = line;
  if (whit_count(c->out[0])) whit_parallel(c, pool_job, &p, (uint32_t)p.n_jobs);
  return WHIT_OK;
}
