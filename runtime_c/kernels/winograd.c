/* winograd.c - 3x3 convolution by F(4x4, 3x3): tiles of 6x6 pixels to 36 points, at each point a product over the channels, and
 * back to 4x4 pixels. A quarter of the multiplications.
 *
 * A block is some tiles. Its 36 matrices V [tiles, C] are made in scratch, then for some output channels at a time the products
 * M [tiles, channels], which are transformed back straight into y. Filters are many times what the caches near a core hold
 * (590 KB for 64 x 64, 9.4 MB for 256 x 256) and each block streams them all: more tiles are better, as long as V and M find
 * room in the second-level cache. 24 to 96 tiles are all within 5 % on one Zen 5 core, so this takes what little cores have.
 *
 * Sums run over C in sequence whatever the blocks are, so that their bits do not depend on threads. */
#include "winograd.h"

enum { WINOGRAD_POINTS = 36, WINOGRAD_TILE = 4, WINOGRAD_LANES = 16,
       WINOGRAD_FLOATS = 128 * 1024 };  /* of V, and of M, at most; but never fewer than 24 tiles in V */

typedef struct winograd_plan {
  const whit_call *c;
  const whit_window *w;
  const whit_finish *finish;
  whit_gemm_after after;
  const void *context;
  const float *zeros, *bias;
  float *slots;
  int32_t n_in, n_out, padded;          /* channels; n_out up to a multiple of 16 */
  int32_t wide, high, n_tiles;          /* tiles of a line, lines of tiles of an image, tiles of all images */
  int32_t n_blocks, n_parts, n_jobs;    /* the output channels of a block are made in so many parts */
  int32_t row, columns;                 /* floats from tile to tile in V, in M */
  uint64_t v_step, m_step, slot;        /* floats from point to point; of a job: V, M, and a tile of few channels */
} winograd_plan;

whit_status whit_winograd_check(whit_call *c, const whit_window *w, int32_t channels) {
  const whit_tensor *x = c->in[0], *k = c->in[1];
  bool fits = w->n == 2 && x->dtype == WHIT_F32 && c->attr[0] == 1;
  for (uint32_t a = 0; a < w->n; a++) fits = fits && w->kernel[a] == 3 && w->stride[a] == 1 && w->dilation[a] == 1;
  if (!fits) return whit_fail(c, WHIT_E_VALUE, "conv: panels = 2 is for f32, one group, 3 x 3, no stride and no dilation");
  if (k->rank != 4 || k->shape[0] != WINOGRAD_POINTS || k->shape[1] != ((int64_t)channels + 15) / 16 ||
      k->shape[2] != x->shape[3] || k->shape[3] != 16)
    return whit_fail(c, WHIT_E_SHAPE, "conv: w of panels = 2 must be [36, ceil(channels/16), C, 16]");
  return WHIT_OK;
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
  p->row = whit_max_i32(p->n_in, WINOGRAD_LANES);
  const int32_t panels = winograd_ceil(p->n_out, 16);
  const int32_t threads = whit_workers(c, (double)p->n_tiles * WINOGRAD_POINTS * p->n_in * p->n_out);
  const int32_t most = whit_max_i32(24, whit_min_i32(48, WINOGRAD_FLOATS / WINOGRAD_POINTS / p->row / 24 * 24));
  /* Threads share the tiles; if there are few of them, the output channels, and each makes V for itself. */
  const bool share = p->n_tiles / 24 >= threads;
  p->n_blocks = winograd_ceil(p->n_tiles, most);
  if (share) p->n_blocks = winograd_ceil(p->n_blocks, threads) * threads;
  const int32_t tiles = winograd_ceil(p->n_tiles, p->n_blocks);
  const int64_t floats = (int64_t)WINOGRAD_POINTS * tiles * panels * 16;
  p->n_parts = whit_max_i32(share ? 1 : threads, (int32_t)(floats / WINOGRAD_FLOATS));
  p->n_parts = whit_min_i32(p->n_parts, panels);
  p->n_jobs = (int32_t)(share ? threads : whit_min_i32(threads, p->n_parts));
  p->padded = panels * 16;
  p->columns = winograd_ceil(panels, p->n_parts) * 16;
  p->v_step = (uint64_t)tiles * (uint64_t)p->row + 16;  /* + 16: points must not all fall on the same lines of the cache */
  p->m_step = (uint64_t)tiles * (uint64_t)p->columns + 16;
  p->slot = WINOGRAD_POINTS * (p->v_step + p->m_step + WINOGRAD_LANES);
}

/* Scratch: zeros for a pixel outside x, the bias up to a multiple of 16 channels, a slot a job. */
uint64_t whit_winograd_floats(const whit_call *c, const whit_window *w, int32_t *n_jobs) {
  winograd_plan p;
  winograd_make(&p, c, w);
  *n_jobs = p.n_jobs;
  return ((uint64_t)p.row + 15) / 16 * 16 + (uint64_t)p.padded + p.slot * (uint64_t)p.n_jobs;
}

/* Asks for n floats of each pixel of a rectangle: what the next tile needs lies in lines far apart, which no processor guesses. */
static void winograd_fetch(const float *p, ptrdiff_t line, int32_t n_lines, ptrdiff_t pixel, int32_t n_pixels, int32_t n) {
  for (int32_t i = 0; i < n_lines; i++)
    for (int32_t j = 0; j < n_pixels; j++)
      for (int32_t c = 0; c < n; c += 16) __builtin_prefetch(p + i * line + j * pixel + c);
}

/* Pointers to the 36 pixels of a tile, to zeros outside; y0, x0: the image's line and column of the first. */
static void winograd_pixels(const winograd_plan *p, const float **pixels, const float *image, int32_t y0, int32_t x0) {
  const int32_t lines = p->w->in[0], columns = p->w->in[1];
  const ptrdiff_t pixel = p->n_in, line = columns * pixel;
  for (int32_t y = y0; y < y0 + 6; y++)
    for (int32_t x = x0; x < x0 + 6; x++)
      *pixels++ = y >= 0 && y < lines && x >= 0 && x < columns ? image + y * line + x * pixel : p->zeros;
  const int32_t top = whit_max_i32(y0, 0), left = whit_max_i32(x0 + 6, 0);
  winograd_fetch(image + top * line + left * pixel, line, whit_min_i32(y0 + 6, lines) - top, pixel,
                 whit_min_i32(WINOGRAD_TILE, columns - left), p->n_in);
}

/* few: room for the pixels of a tile with fewer channels than a vector has, zero where they end. */
static void winograd_inputs(const winograd_plan *p, float *v, float *few, int32_t first, int32_t end) {
  const float *x = p->c->in[0]->data, *pixels[WINOGRAD_POINTS];
  const ptrdiff_t image = (ptrdiff_t)p->w->in[0] * p->w->in[1] * p->n_in;
  for (int32_t t = first; t < end; t++, v += p->row) {
    const int32_t line = t / p->wide;
    winograd_pixels(p, pixels, x + line / p->high * image, line % p->high * WINOGRAD_TILE - p->w->before[0],
                    t % p->wide * WINOGRAD_TILE - p->w->before[1]);
    for (int32_t i = 0; p->n_in < WINOGRAD_LANES && i < WINOGRAD_POINTS; i++) {
      whit_bytes_copy(few + i * WINOGRAD_LANES, pixels[i], (size_t)p->n_in * sizeof *few);
      pixels[i] = few + i * WINOGRAD_LANES;
    }
    p->c->k->winograd_in_f32(v, (ptrdiff_t)p->v_step, pixels, p->row);
  }
}

static void winograd_outputs(const winograd_plan *p, uint32_t job, const float *m, int32_t first, int32_t end, int32_t column,
                             int32_t width) {
  const int32_t *out = p->w->out;
  const whit_finish *f = p->finish;
  const whit_gemm y = { .c = p->c->out[0]->data, .c_row = p->n_out };
  whit_winograd_out o = { .y_line = (ptrdiff_t)out[1] * p->n_out, .y_pixel = p->n_out, .add_line = out[1] * f->add_row,
                          .add_pixel = f->add_row, .m_step = (ptrdiff_t)p->m_step, .bias = p->bias + column,
                          .low = f->low, .high = f->high, .n_channels = width };
  for (int32_t t = first, from = 0; t < end; t++, m += p->columns) {
    const int32_t line = t / p->wide, y0 = line % p->high * WINOGRAD_TILE, x0 = t % p->wide * WINOGRAD_TILE;
    const int32_t pixel = (line / p->high * out[0] + y0) * out[1] + x0;
    if (t == first || !x0) from = pixel;
    o.m = m;
    o.y = y.c + (ptrdiff_t)pixel * p->n_out + column;
    o.add = f->add ? f->add + pixel * f->add_row + column : NULL;
    o.lines = whit_min_i32(WINOGRAD_TILE, out[0] - y0);
    o.columns = whit_min_i32(WINOGRAD_TILE, out[1] - x0);
    winograd_fetch(o.y + WINOGRAD_TILE * o.y_pixel, o.y_line, o.lines, o.y_pixel,
                   whit_min_i32(WINOGRAD_TILE, out[1] - x0 - WINOGRAD_TILE), width);
    p->c->k->winograd_out_f32(&o);
    if (p->after && (t + 1 == end || x0 + o.columns == out[1]))
      for (int32_t i = 0; i < o.lines; i++)
        p->after(p->context, job, &y, from + i * out[1], pixel + i * out[1] + o.columns, column, width);
  }
}

static void winograd_job(void *arg, uint32_t job) {
  const winograd_plan *p = arg;
  const ptrdiff_t matrix = (ptrdiff_t)p->padded * p->n_in;
  float *v = p->slots + job * p->slot, *m = v + WINOGRAD_POINTS * p->v_step, *few = m + WINOGRAD_POINTS * p->m_step;
  const int32_t n_units = p->n_blocks * p->n_parts, stop = whit_border((int32_t)job + 1, p->n_jobs, n_units, 1);
  int32_t block = -1, first = 0, end = 0;
  whit_bytes_zero(few, WINOGRAD_POINTS * WINOGRAD_LANES * sizeof *few);
  for (int32_t u = whit_border((int32_t)job, p->n_jobs, n_units, 1); u < stop; u++) {
    if (block != u / p->n_parts) {
      block = u / p->n_parts;
      first = whit_border(block, p->n_blocks, p->n_tiles, 1);
      end = whit_border(block + 1, p->n_blocks, p->n_tiles, 1);
      winograd_inputs(p, v, few, first, end);
    }
    const int32_t column = whit_border(u % p->n_parts, p->n_parts, p->padded, 16);
    const int32_t width = whit_border(u % p->n_parts + 1, p->n_parts, p->padded, 16) - column;
    whit_gemm g = { .a = v, .a_row = p->row, .pieces = 1, .m = end - first, .n = width, .k = p->n_in, .c = m,
                    .c_row = p->columns, .finish = WHIT_FINISH_NONE,
                    .b = (const float *)p->c->in[1]->data + (ptrdiff_t)column * p->n_in };
    for (int32_t i = 0; i < WINOGRAD_POINTS; i++, g.a += p->v_step, g.b += matrix, g.c += p->m_step)
      p->c->k->gemm_f32(&g, 0, g.m);
    winograd_outputs(p, job, m, first, end, column, whit_min_i32(width, p->n_out - column));
  }
}

void whit_winograd_run(const whit_call *c, const whit_window *w, const whit_finish *finish, whit_gemm_after after,
                       const void *context) {
  winograd_plan p;
  winograd_make(&p, c, w);
  p.finish = finish;
  p.after = after;
  p.context = context;
  float *zeros = c->scratch, *bias = zeros + ((size_t)p.row + 15) / 16 * 16;
  p.zeros = zeros;
  p.bias = bias;
  p.slots = bias + p.padded;
  whit_bytes_zero(zeros, (size_t)(p.slots - zeros) * sizeof *zeros);
  if (c->n_in > 2 && c->in[2]) whit_bytes_copy(bias, c->in[2]->data, (size_t)p.n_out * sizeof *bias);
  whit_parallel(c, winograd_job, &p, (uint32_t)p.n_jobs);
}
