/* depthwise.c - convolution of each channel by itself.
 *
 * The work is divided into chunks of channels, so that their part of the lines that windows touch stays cached, then
 * into runs (parts of a line) and lines. Bands are parts of the sequence of runs and lines. Where taps are dilated but
 * positions are not strided, a run takes positions that are as far apart as the taps, so that they share columns.
 *
 * Where tiles of seven positions fit the first of two axes better (25 x 5: 20 tiles instead of 25), lines run along that one,
 * and so do taps. */
#include "depthwise.h"
#include "gemm.h"

enum { DEPTHWISE_CHUNK = 160,   /* most channels of a chunk, a multiple of 16 */
       DEPTHWISE_TILE = 7,      /* positions of the kernel's tile */
       DEPTHWISE_RUN = 16 };    /* most tiles of a run */

/* Tiles of a picture if lines run along this axis of two. */
static int64_t depthwise_tiles(const whit_window *w, uint32_t axis) {
  return (int64_t)w->out[1 - axis] * ((w->out[axis] + DEPTHWISE_TILE - 1) / DEPTHWISE_TILE);
}

/* after: positions of a line must lie side by side. */
bool whit_depthwise_turns(const whit_window *w, bool after) {
  return w->n == 2 && !after && (w->kernel[0] == 3 || w->kernel[0] == 5) && w->stride[0] <= 2 && w->dilation[0] == 1 &&
         depthwise_tiles(w, 0) < depthwise_tiles(w, 1);
}

#if WHIT_SMALL
/* For bottleneck, whose lines are never turned and whose threads are its own: conv does depthwise convolutions as it does products. */
uint64_t whit_depthwise_plan(whit_depthwise *d, int32_t threads, bool after) {
  (void)threads, (void)after;
  d->slot = ((uint64_t)d->channels + 15) / 16 * 16 + whit_rows_floats(d->w->taps);
  return d->slot;
}

void whit_depthwise_do(const whit_call *c, whit_depthwise *d) {
  const int32_t pixels = d->lines * d->w->out[d->w->n - 1];
  const float **list = (const float **)(void *)(d->scratch + (d->channels + 15) / 16 * 16);
  const whit_rows rows = { .w = d->w, .x = d->x, .zeros = d->scratch, .weights = d->weights, .pitch = d->channels, .n = d->channels };
  whit_gemm g = { .bias = d->bias, .n = d->channels, .k = d->w->taps, .c_row = d->pitch, .rows = list, .pieces = d->w->taps,
                  .finish = *d->finish };
  whit_bytes_zero(d->scratch, (size_t)d->channels * sizeof(float));
  for (int32_t first = 0; first < pixels; first += WHIT_ROWS_STRIP) {
    g.m = whit_min_i32(WHIT_ROWS_STRIP, pixels - first);
    g.c = d->y + first * d->pitch;
    whit_rows_list(&rows, list, first, g.m);
    WHIT_KERNEL(c->k, depthwise_f32)(&g);
  }
}

#else

/* Exchanges the axes. */
static void depthwise_turn(whit_depthwise *d) {
  const whit_window *w = d->w;
  d->turned = *w;
  d->turned.outer = w->kernel[1];
  d->turned.in = d->turned_sizes;
  d->turned.out = d->turned_sizes + 2;
  for (int a = 0; a < 2; a++) {
    d->turned_sizes[a] = w->in[1 - a];
    d->turned_sizes[2 + a] = w->out[1 - a];
    d->turned.kernel[a] = w->kernel[1 - a];
    d->turned.stride[a] = w->stride[1 - a];
    d->turned.dilation[a] = w->dilation[1 - a];
    d->turned.before[a] = w->before[1 - a];
  }
  d->lines = d->lines / w->out[0] * w->out[1];
  d->w = &d->turned;
}

typedef struct depthwise_task { const whit_call *c; const whit_depthwise *d; } depthwise_task;

static void depthwise_strides(whit_depthwise *d, bool turned) {
  const whit_window *w = d->w;
  const uint32_t last = w->n - 1;
  const ptrdiff_t c = d->channels;
  d->x_item = d->y_item = 0;
  if (turned) {
    d->x_line = d->w_line = c;
    d->y_line = d->pitch;
    d->x_at = w->in[0] * c;
    d->y_at = w->out[0] * d->pitch;
    d->w_tap = w->kernel[0] * c;
    d->x_item = w->in[1] * d->x_at - w->in[0] * d->x_line;    /* beyond what the lines are apart */
    d->y_item = w->out[1] * d->y_at - w->out[0] * d->y_line;
  } else {
    d->x_at = d->w_tap = c;
    d->y_at = d->pitch;
    d->x_line = w->in[last] * c;
    d->y_line = w->out[last] * d->pitch;
    d->w_line = w->kernel[last] * c;
  }
}

/* Where line number `line` begins; n: lines of a picture. */
static ptrdiff_t depthwise_begin_of(int32_t line, ptrdiff_t step, ptrdiff_t item, int32_t n) {
  return line * step + (line >= n && item ? line / n * item : 0);  /* divisions are slow */
}

uint64_t whit_depthwise_plan(whit_depthwise *d, int32_t threads, bool after) {
  const bool turned = whit_depthwise_turns(d->w, after);
  if (turned) depthwise_turn(d);
  depthwise_strides(d, turned);
  const whit_window *w = d->w;
  const uint32_t last = w->n - 1;
  const int32_t width = w->out[last];
  const bool shared = w->dilation[last] == 1 ? w->stride[last] <= 2
                      : w->stride[last] == 1 && w->dilation[last] <= width / 4 && !after;
  const bool known = (w->kernel[last] == 3 || w->kernel[last] == 5) && d->channels >= 16;
  d->taps = shared && known ? w->kernel[last] : 1;
  d->step = d->taps > 1 ? w->dilation[last] : 1;
  d->columns = d->taps > 1 ? 6 * w->stride[last] + d->taps : 7;
  d->runs = ((width + d->step - 1) / d->step + DEPTHWISE_RUN * DEPTHWISE_TILE - 1) / (DEPTHWISE_RUN * DEPTHWISE_TILE);
  if (turned) d->runs = whit_max_i32(d->runs, threads); /* so that threads get the lines of y that they get of its neighbours */
  d->n_chunks = (d->channels + DEPTHWISE_CHUNK - 1) / DEPTHWISE_CHUNK;
  /* bands: enough for the threads; so small that `after` finds y in second-level cache */
  const int32_t pairs = d->step * d->runs * d->lines;
  int32_t bands = threads > 1 ? (4 * threads + d->n_chunks - 1) / d->n_chunks : 1;
  const int64_t y_floats = (int64_t)d->lines * width * d->channels;
  if (after) bands = whit_max_i32(threads > 1 ? 2 * threads : 1, (int32_t)(y_floats >> 15));
  d->n_bands = whit_max_i32(1, whit_min_i32(bands, pairs));
  d->n_jobs = whit_min_i32(threads, d->n_bands * (after ? 1 : d->n_chunks));
  /* of a job: pointers of pieces, zeros, the list of lines */
  d->slot = (uint64_t)(w->taps / d->taps) * (uint64_t)(d->columns + 1) * sizeof(float *) / sizeof(float);
  d->slot += DEPTHWISE_CHUNK + (uint64_t)w->outer;
  d->slot = (d->slot + 15) / 16 * 16;
  return d->slot * (uint64_t)d->n_jobs;
}

/* A job at work on a chunk. */
typedef struct depthwise_state {
  const whit_depthwise *d;
  const whit_kernels *k;
  const float *x, **columns, **weights;  /* x: from the chunk's first channel on */
  float *zeros;
  int32_t *lines;
  whit_depthwise_run run;
} depthwise_state;

static void depthwise_begin(depthwise_state *s, const whit_depthwise *d, const whit_kernels *k, uint32_t job) {
  const int32_t pieces = d->w->taps / d->taps;
  s->d = d;
  s->k = k;
  s->columns = (const float **)(void *)(d->scratch + job * d->slot);
  s->weights = s->columns + (ptrdiff_t)pieces * d->columns;
  s->zeros = (float *)(void *)(s->weights + pieces);
  s->lines = (int32_t *)(void *)(s->zeros + DEPTHWISE_CHUNK);
  whit_bytes_zero(s->zeros, DEPTHWISE_CHUNK * sizeof(float));
  s->run = (whit_depthwise_run){ .columns = s->columns, .weights = s->weights,
                                 .x_step = d->w->stride[d->w->n - 1] * d->step * d->x_at, .w_step = d->w_tap,
                                 .y_step = d->step * d->y_at, .taps = d->taps, .n_columns = d->columns, .finish = d->finish };
}

/* Points at the columns of seven positions: column `start` is the first tap of the first. */
static void depthwise_point(const depthwise_state *s, int64_t start) {
  const whit_depthwise *d = s->d;
  const uint32_t last = d->w->n - 1;
  const int64_t in = d->w->in[last], step = d->taps > 1 ? d->w->dilation[last] : d->w->stride[last];
  const int32_t n = d->columns, pieces = d->w->kernel[last] / d->taps;  /* of a line */
  const ptrdiff_t x_step = (ptrdiff_t)step * d->x_at;
  for (int32_t k = 0; k < pieces; k++, start += (int64_t)d->taps * d->w->dilation[last]) {
    int64_t low = 0, high = n;  /* columns [low, high) lie in x */
    while (low < n && start + low * step < 0) low++;
    while (high > low && start + (high - 1) * step >= in) high--;
    const float **to = s->columns + (ptrdiff_t)k * n;
    for (int32_t t = 0; t < d->w->outer; t++) {
      if (s->lines[t] < 0) continue;
      const ptrdiff_t line = depthwise_begin_of(s->lines[t], d->x_line, d->x_item, d->w->in[0]);
      const float *x = s->x + (line + (ptrdiff_t)(start + low * step) * d->x_at), *const zeros = s->zeros;
      int64_t i = 0;
      for (; i < low; i++) to[i] = zeros;
      for (; i < high; i++, x += x_step) to[i] = x;
      for (; i < n; i++) to[i] = zeros;
      to += (ptrdiff_t)pieces * n;
    }
  }
}

/* n positions of an output line from `at` on. Tiles that hang over the border go one by one, the others together. */
static void depthwise_line(const depthwise_state *s, float *y, int32_t at, int32_t n) {
  const whit_depthwise *d = s->d;
  const uint32_t last = d->w->n - 1;
  const int64_t stride = d->w->stride[last], step = d->step * stride;
  const int64_t start = at * stride - d->w->before[last];
  const int64_t extent = (int64_t)(d->w->kernel[last] - 1) * d->w->dilation[last];
  for (int32_t i = 0, m; i < n; i += m) {
    const int64_t here = start + i * step;
    const int64_t room = d->w->in[last] - 1 - here - extent;
    int64_t inside = n - i;     /* positions */
    if (here < 0) inside = 0;
    else if (room < (inside - 1) * step) inside = (room + step) / step;
    m = (int32_t)inside / DEPTHWISE_TILE * DEPTHWISE_TILE;
    if (m <= 0) m = whit_min_i32(n - i, DEPTHWISE_TILE);
    depthwise_point(s, here);
    WHIT_KERNEL(s->k, depthwise_f32)(&s->run, y + i * s->run.y_step, m);
  }
}

/* Run number `run` of any line: its first position and how many. */
static int32_t depthwise_run(const whit_depthwise *d, int32_t run, int32_t *n) {
  const int32_t phase = run / d->runs, part = run % d->runs;
  const int32_t all = (d->w->out[d->w->n - 1] - phase + d->step - 1) / d->step;
  const int32_t first = whit_border(part, d->runs, all, DEPTHWISE_TILE);
  *n = whit_border(part + 1, d->runs, all, DEPTHWISE_TILE) - first;
  return phase + first * d->step;
}

/* Pairs of run and line, the lines of a run in sequence. */
typedef struct depthwise_pair {
  int32_t run, line;
  int32_t at, n;                /* as depthwise_run */
} depthwise_pair;

static depthwise_pair depthwise_first(const whit_depthwise *d, int32_t i) {
  depthwise_pair p = { .run = i / d->lines, .line = i % d->lines };
  p.at = depthwise_run(d, p.run, &p.n);
  return p;
}

static void depthwise_next(const whit_depthwise *d, depthwise_pair *p) {
  if (++p->line < d->lines) return;
  p->line = 0;
  if (++p->run < d->step * d->runs) p->at = depthwise_run(d, p->run, &p->n);
}

/* Where a pair's first position lies in y. */
static ptrdiff_t depthwise_place(const whit_depthwise *d, const depthwise_pair *p) {
  return depthwise_begin_of(p->line, d->y_line, d->y_item, d->w->out[0]) + p->at * d->y_at;
}

static void depthwise_band(depthwise_state *s, int32_t chunk, int32_t begin, int32_t end) {
  const whit_depthwise *d = s->d;
  const int32_t c0 = whit_border(chunk, d->n_chunks, d->channels, 16), kernel = d->w->kernel[d->w->n - 1];
  s->x = d->x + c0;
  s->run.bias = d->bias ? d->bias + c0 : NULL;
  s->run.n_channels = whit_border(chunk + 1, d->n_chunks, d->channels, 16) - c0;
  if (begin == end) return;
  for (depthwise_pair p = depthwise_first(d, begin); begin < end; begin++, depthwise_next(d, &p)) {
    whit_window_lines(d->w, p.line, s->lines);
    s->run.n_pieces = 0;
    for (int32_t t = 0; t < d->w->outer; t++)
      for (int32_t k = 0; k < kernel && s->lines[t] >= 0; k += d->taps)
        s->weights[s->run.n_pieces++] = d->weights + t * d->w_line + k * d->w_tap + c0;
    depthwise_line(s, d->y + depthwise_place(d, &p) + c0, p.at, p.n);
  }
}

/* Positions of a run lie side by side (step is 1). */
static void depthwise_after(const whit_depthwise *d, uint32_t job, int32_t begin, int32_t end) {
  if (begin == end) return;
  for (depthwise_pair p = depthwise_first(d, begin); begin < end; begin++, depthwise_next(d, &p))
    if (p.n) d->after(d->context, job, (int32_t)depthwise_place(d, &p), p.n * d->channels);
}

static void depthwise_job(void *arg, uint32_t job) {
  const depthwise_task *task = (const depthwise_task *)arg;
  const whit_depthwise *d = task->d;
  const int32_t pairs = d->step * d->runs * d->lines, together = d->after ? d->n_chunks : 1;
  int32_t end, to;
  depthwise_state s;
  depthwise_begin(&s, d, task->c->k, job);
  for (int32_t i = whit_part(job, d->n_jobs, d->n_bands * (d->n_chunks / together), &end); i < end; i++) {
    const int32_t from = whit_part((uint32_t)(i % d->n_bands), d->n_bands, pairs, &to);
    for (int32_t k = 0; k < together; k++) depthwise_band(&s, i / d->n_bands + k, from, to);
    if (d->after) depthwise_after(d, job, from, to);
  }
}

void whit_depthwise_do(const whit_call *c, whit_depthwise *d) {
  depthwise_task task = { c, d };
  whit_parallel(c, depthwise_job, &task, (uint32_t)d->n_jobs);
}

#endif
