/* winograd.c - 3x3 convolution by F(4x4, 3x3): tiles of 6x6 pixels to 36 points, at each point a product over the channels, and
 * back to 4x4 pixels. A quarter of the multiplications.
 *
 * A block is some tiles. Its 36 matrices V [tiles, C] are made in scratch, then for some output channels at a time the products
 * M [tiles, channels], which are transformed back straight into y. Filters are many times what the caches near a core hold
 * (590 KB for 64 x 64, 9.4 MB for 256 x 256) and each block streams them all: more tiles are better, as long as V and M find
 * room in the second-level cache. 24 to 96 tiles are all within 5 % on one Zen 5 core, 24 and 48 on an Emerald Rapids, so it is 24.
 *
 * Filters that are not stored so are transformed each time: first of all, a hundredth of the work where there are hundreds of tiles; or
 * if there are few, V is made first, all of it, and filters before the products that they are for, so that they are still in the cache.
 * Threads share the blocks, or what is made of one.
 *
 * Sums run over C in sequence whatever the blocks are, so that their bits do not depend on threads. */
#include "winograd.h"

enum { WINOGRAD_POINTS = 36, WINOGRAD_TILE = 4,
       WINOGRAD_TILES = 24,             /* of a block, at most */
       WINOGRAD_FLOATS = 128 * 1024 };  /* of M, at most; of filters that are made for it */

typedef struct winograd_plan {
  const whit_call *c;
  const whit_window *w;
  const whit_finish *finish;
  whit_gemm_after after;
  const void *context;
  const float *zeros, *bias;
  float *first, *slots;                 /* first: what is made before all others: V or filters */
  int32_t n_in, n_out, padded;          /* channels; n_out up to a multiple of 16 */
  int32_t wide, high, n_tiles;          /* tiles of a line, lines of tiles of an image, tiles of all images */
  int32_t n_blocks, n_parts, n_jobs;    /* the output channels of a block are made in so many parts */
  int32_t columns;                      /* floats from tile to tile in M */
  bool transforms, together;            /* together: jobs share the parts of the only block, else the blocks */
  uint64_t u_step, v_step, m_step;      /* floats from point to point; u: of the filters */
  uint64_t n_first, slot;               /* floats of `first`, and of a job's */
} winograd_plan;

whit_status whit_winograd_check(whit_call *c, const whit_window *w) {
  bool fits = w->n == 2 && c->attr[0] == 1 && c->in[0]->shape[3] >= 16;
  for (uint32_t a = 0; a < w->n; a++) fits = fits && w->kernel[a] == 3 && w->stride[a] == 1 && w->dilation[a] == 1;
  if (fits) return WHIT_OK;
  return whit_fail(c, WHIT_E_SHAPE, "conv: panels = 2 and 3 take C from 16 on, one group, 3 x 3, no stride, no dilation");
}

static int32_t winograd_ceil(int64_t a, int64_t b) { return (int32_t)((a + b - 1) / b); }

static void winograd_make(winograd_plan *p, const whit_call *c, const whit_window *w) {
  const whit_tensor *x = c->in[0];
  p->c = c;
  p->w = w;
  p->n_in = x->shape[3];
  p->n_out = c->attr[2];
  p->high = winograd_ceil(w->out[0], WINOGRAD_TILE);
  p->wide = winograd_ceil(w->out[1], WINOGRAD_TILE);
  p->n_tiles = x->shape[0] * p->high * p->wide;
  const int32_t panels = winograd_ceil(p->n_out, 16);
  const int32_t threads = whit_workers(c, 36.0 * p->n_tiles * p->n_in * p->n_out);
  p->transforms = c->attr[1] == 3;
  p->together = !WHIT_SMALL && (p->n_tiles / WINOGRAD_TILES < threads || (p->transforms && p->n_tiles <= p->n_out / 2));
  p->n_jobs = p->together ? whit_min_i32(threads, panels) : threads;
  p->n_blocks = p->together ? 1 : winograd_ceil(winograd_ceil(p->n_tiles, WINOGRAD_TILES), p->n_jobs) * p->n_jobs;
  const int32_t tiles = winograd_ceil(p->n_tiles, p->n_blocks);
  const int32_t rows = p->together && p->transforms ? whit_max_i32(tiles, p->n_in) : tiles;
  p->n_parts = (int32_t)((int64_t)WINOGRAD_POINTS * rows * panels * 16 / WINOGRAD_FLOATS);
  p->n_parts = whit_min_i32(panels, whit_max_i32(p->together ? p->n_jobs : 1, p->n_parts));
  p->padded = panels * 16;
  p->columns = winograd_ceil(panels, p->n_parts) * 16;
  /* + 16: points must not all fall on the same lines of the cache */
  p->u_step = (uint64_t)(p->together ? p->columns : p->padded) * (uint64_t)p->n_in + 16;
  p->v_step = (uint64_t)tiles * (uint64_t)p->n_in + 16;
  p->m_step = (uint64_t)tiles * (uint64_t)p->columns + 16;
  const uint64_t filters = p->transforms ? WINOGRAD_POINTS * p->u_step : 0, v = WINOGRAD_POINTS * p->v_step;
  p->n_first = p->together ? v : filters;
  p->slot = (p->together ? filters : v) + WINOGRAD_POINTS * p->m_step;
}

/* Scratch: zeros for a pixel outside x, the bias up to a multiple of 16 channels, what is made first, the jobs' slots. */
uint64_t whit_winograd_floats(const whit_call *c, const whit_window *w, int32_t *n_jobs) {
  winograd_plan p;
  winograd_make(&p, c, w);
  *n_jobs = p.n_jobs;
  return (uint64_t)p.n_in + (uint64_t)p.padded + p.n_first + p.slot * (uint64_t)p.n_jobs;
}

/* Where tile t begins in y: its image, line and column. */
typedef struct winograd_at { int32_t image, y, x; } winograd_at;
static winograd_at winograd_find(const winograd_plan *p, int32_t t) {
  const int32_t line = t / p->wide;
  return (winograd_at){ line / p->high, line % p->high * WINOGRAD_TILE, t % p->wide * WINOGRAD_TILE };
}

/* Asks for n floats of each line: what the next tile needs lies in lines far apart, which no processor guesses. */
static void winograd_fetch(const float *p, ptrdiff_t line, int32_t n_lines, int32_t n) {
  for (; !WHIT_SMALL && n_lines > 0; n_lines--, p += line)
    for (int32_t i = 0; i < n; i += 16) __builtin_prefetch(p + i);
}

static void winograd_inputs(const winograd_plan *p, float *v, int32_t first, int32_t end) {
  const int32_t lines = p->w->in[0], columns = p->w->in[1];
  const ptrdiff_t pixel = p->n_in, line = columns * pixel;
  const float *pixels[WINOGRAD_POINTS];
  for (int32_t t = first; t < end; t++, v += pixel) {
    const winograd_at at = winograd_find(p, t);
    const float *image = (const float *)p->c->in[0]->data + at.image * lines * line, **to = pixels;
    const int32_t y0 = at.y - p->w->before[0], x0 = at.x - p->w->before[1];
    for (int32_t y = y0; y < y0 + 6; y++)
      for (int32_t x = x0; x < x0 + 6; x++)
        *to++ = y >= 0 && y < lines && x >= 0 && x < columns ? image + y * line + x * pixel : p->zeros;
    const int32_t top = whit_max_i32(y0, 0), left = whit_max_i32(x0 + 6, 0);
    winograd_fetch(image + top * line + left * pixel, line, whit_min_i32(y0 + 6, lines) - top,
                   whit_min_i32(WINOGRAD_TILE, columns - left) * p->n_in);
    WHIT_KERNEL(p->c->k, winograd_in_f32)(v, (ptrdiff_t)p->v_step, pixels, p->n_in);
  }
}

static void winograd_outputs(const winograd_plan *p, uint32_t job, const float *m, int32_t first, int32_t end, int32_t column,
                             int32_t width) {
  const int32_t lines = p->w->out[0], columns = p->w->out[1];
  const ptrdiff_t pitch = p->c->out[0]->stride[2];
  const whit_gemm y = { .c = (float *)p->c->out[0]->data, .c_row = pitch };
  whit_winograd_out o = { .y = y.c, .bias = p->bias + column, .finish = p->finish, .m_step = (ptrdiff_t)p->m_step,
                          .line = columns * pitch, .pixel = pitch, .n_channels = width };
  for (int32_t t = first, from = 0; t < end; t++, m += p->columns) {
    const winograd_at at = winograd_find(p, t);
    const int32_t pixel = (at.image * lines + at.y) * columns + at.x;
    if (t == first || !at.x) from = pixel;
    o.m = m;
    o.at = pixel * pitch + column;
    o.lines = whit_min_i32(WINOGRAD_TILE, lines - at.y);
    o.columns = whit_min_i32(WINOGRAD_TILE, columns - at.x);
    if (p->n_parts == 1)
      winograd_fetch(y.c + o.at + WINOGRAD_TILE * o.pixel, o.line, o.lines,
                     whit_min_i32(WINOGRAD_TILE, columns - at.x - WINOGRAD_TILE) * p->n_out);
    WHIT_KERNEL(p->c->k, winograd_out_f32)(&o);
    if (p->after && (t + 1 == end || at.x + o.columns == columns))
      for (int32_t i = 0; i < o.lines; i++)
        p->after(p->context, job, &y, from + i * columns, pixel + i * columns + o.columns, column, width);
  }
}

/* Transforms filters for so many output channels from `column` on, of some of the input channels. */
static void winograd_filters(const winograd_plan *p, float *u, int32_t column, int32_t width, int32_t first, int32_t end) {
  const ptrdiff_t panel = (ptrdiff_t)p->n_in * 16, begin = (ptrdiff_t)first * 16;
  const float *w = (const float *)p->c->in[1]->data + (ptrdiff_t)column * p->n_in * 9;
  for (int32_t k = 0; k < width; k += 16, u += panel, w += panel * 9)
    WHIT_KERNEL(p->c->k, winograd_filters_f32)(u + begin, (ptrdiff_t)p->u_step, w + begin, panel, (end - first) * 16);
}

/* A share of what is made first. */
static void winograd_first_job(void *arg, uint32_t job) {
  const winograd_plan *p = (const winograd_plan *)arg;
  int32_t end;
  const int32_t first = whit_part(job, p->n_jobs, p->together ? p->n_tiles : p->n_in, &end);
  if (p->together) winograd_inputs(p, p->first + (ptrdiff_t)first * p->n_in, first, end);
  else winograd_filters(p, p->first, 0, p->padded, first, end);
}

static void winograd_job(void *arg, uint32_t job) {
  const winograd_plan *p = (const winograd_plan *)arg;
  float *m = p->slots + p->slot * job, *own = m + WINOGRAD_POINTS * p->m_step, *v = p->together ? p->first : own;
  int32_t end, last_block = 1, last_part = p->n_parts;
  int32_t b = p->together ? 0 : whit_part(job, p->n_jobs, p->n_blocks, &last_block);
  for (; b < last_block; b++) {
    const int32_t first = whit_part((uint32_t)b, p->n_blocks, p->n_tiles, &end);
    if (!p->together) winograd_inputs(p, v, first, end);
    for (int32_t k = p->together ? whit_part(job, p->n_jobs, p->n_parts, &last_part) : 0; k < last_part; k++) {
      const int32_t column = whit_border(k, p->n_parts, p->padded, 16);
      const int32_t width = whit_border(k + 1, p->n_parts, p->padded, 16) - column;
      whit_gemm g = { .a = v, .c = m, .m = end - first, .n = width, .k = p->n_in, .a_row = p->n_in, .c_row = p->columns, .pieces = 1,
                      .finish = WHIT_FINISH_NONE };
      ptrdiff_t step = (ptrdiff_t)p->u_step;
      if (!p->transforms) {
        g.b = (const float *)p->c->in[1]->data + (ptrdiff_t)column * p->n_in;
        step = (ptrdiff_t)p->padded * p->n_in;
      } else if (p->together) {
        winograd_filters(p, own, column, width, 0, p->n_in);
        g.b = own;
      } else {
        g.b = p->first + (ptrdiff_t)column * p->n_in;
      }
      for (int32_t i = 0; i < WINOGRAD_POINTS; i++, g.a += p->v_step, g.b += step, g.c += p->m_step)
        WHIT_KERNEL(p->c->k, gemm_f32)(&g, 0, g.m);
      winograd_outputs(p, job, m, first, end, column, whit_min_i32(width, p->n_out - column));
    }
  }
}

void whit_winograd_run(const whit_call *c, const whit_window *w, const whit_finish *finish, whit_gemm_after after,
                       const void *context) {
  winograd_plan p;
  winograd_make(&p, c, w);
  p.finish = finish;
  p.after = after;
  p.context = context;
  float *zeros = (float *)c->scratch, *bias = zeros + p.n_in;
  p.zeros = zeros;
  p.bias = bias;
  p.first = bias + p.padded;
  p.slots = p.first + p.n_first;
  whit_bytes_zero(zeros, ((size_t)p.n_in + (size_t)p.padded) * sizeof *zeros);
  if (whit_in(c, 2)) whit_bytes_copy(bias, c->in[2]->data, (size_t)p.n_out * sizeof *bias);
  if (p.n_first) whit_parallel(c, winograd_first_job, &p, (uint32_t)p.n_jobs);
  whit_parallel(c, winograd_job, &p, (uint32_t)p.n_jobs);
}
