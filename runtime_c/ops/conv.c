/* conv - convolution over any number of axes, channels last. */
#include "../src/internal.h"
#include "epilogue.h"
#include "../kernels/depthwise.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"
#include "../kernels/window.h"
#include "../kernels/winograd.h"

WHIT_OP(conv, .version = 1, .in = "x w bias? more*", .out = "y",
        .attr = "group:i32 panels:i32 channels:i32 auto_pad:i32 kernel:i32[] strides:i32[] pads:i32[] dilations:i32[] "
                "epilogue:i32[] finish:f32[]",
        .doc = "x [N, spatial, C], w [spatial, C/group, M], y [N, spatial, M]; of f32 also rows [N, C]. panels = 1 (f32): w is stored as [group]"
               "[ceil(M/group/16)][kernel * C/group][16], M = channels; not where C/group = 1 and M = C (depthwise). panels = 2 "
               "(f32, 3x3, group, strides and dilations 1, C from 16 on): w is stored as [36][ceil(M/16)][C][16], transformed for Winograd's "
               "F(4x4, 3x3) at the points 0, +-11/16, +-3/2 and infinity; panels = 3: the same of w stored as for 1. auto_pad 0 as given, 1 same, upper, 2 same, lower, 3 none. "
               "Types below f32 are summed in f32, integers in i64. epilogue: a tile program on y (its input 0) and more; "
               "finish: what it does, in numbers (epilogue.h).");

/* Convolution is a product of patches [pixels, k] and weights [k, M/group], k = kernel * C/group. Where a patch is one
 * pixel, x itself is the matrix. Else a patch is a list of pointers into x, one a tap; with few channels one a line of taps,
 * and patches that hang over the border are copied, or, if they are many, x with its padding. Threads take strips of pixels.
 * Depthwise convolution is one multiply-add a weight, and has a file of its own; so has Winograd's.
 * Where bytes count (WHIT_SMALL) all of these are strips and a pointer a tap, into x or a copy of it in f32. */
enum { CONV_DIRECT, CONV_STRIPS, CONV_WINOGRAD, CONV_DEPTHWISE, CONV_WIDE };

/* Does this build have this kind; and is p of it? */
#define CONV_HAS(which) (WHIT_CONVS >> CONV_##which & 1)
#define CONV_IS(p, which) (CONV_HAS(which) && (p)->kind == CONV_##which)
#define CONV_IN_STRIPS(p) (CONV_IS(p, STRIPS) || (WHIT_SMALL && (CONV_IS(p, DIRECT) || CONV_IS(p, DEPTHWISE))))

typedef struct conv_plan {
  const whit_call *c;
  whit_window w;
  int32_t shape[WHIT_MAX_RANK]; /* of y */
  float *panels, *bias, *zeros, *slots;  /* in scratch, or the operand itself */
  uint64_t slot, at_bias, at_x, at_slots; /* floats: of one thread; where each part of scratch begins */
  whit_epilogue e;
#if WHIT_SMALL
  whit_rows rows;
#else
  const float *x;               /* padded: in scratch */
  whit_depthwise depthwise;
#endif
  size_t at_epilogue;           /* bytes */
  uint8_t kind;
  bool convert, pack, copies;   /* copies: patches, or at least those that hang over an end of a line, are copied */
  bool padded;                  /* no patch hangs over the end of a line, for x has been copied with its padding there */
  int32_t width;                /* positions of a line of x */
  int32_t group, n_in, n_out;   /* channels of a group */
  int32_t k, pieces;            /* floats of a patch; pointers to it */
  int32_t pixels;               /* of y */
  ptrdiff_t pitch;              /* floats from pixel to pixel of y */
  int32_t n_strips, strip;      /* and most pixels of one */
  int32_t n_jobs;
} conv_plan;

/* Is it a type that this build convolves? */
static bool conv_takes(unsigned dtype) {
  return CONV_HAS(WIDE) ? dtype != WHIT_BOOL : whit_in_f32(dtype);
}

/* Reads and checks the task: window, shape and channels, what kind it is and whether w must be packed. */
static whit_status conv_read(conv_plan *p, whit_call *c) {
  const whit_tensor *x = c->in[0], *k = c->in[1], *bias = whit_in(c, 2);
  const unsigned axes = x->rank - 2u, dtype = x->dtype;
  if (x->rank < 2) return whit_fail(c, WHIT_E_SHAPE, "conv: x must be [N, spatial, C]");
  if (dtype != k->dtype || (bias && bias->dtype != dtype) || !conv_takes(dtype))
    return whit_fail(c, WHIT_E_TYPE, "conv: types do not fit, or are not in this build of the runtime");
  const bool transformed = c->attr[1] == 2, winograd = transformed || c->attr[1] == 3;
  if (!CONV_HAS(WINOGRAD) && winograd) return whit_fail(c, WHIT_E_OPERATOR, "conv: this build of the runtime lacks Winograd's");
  const int32_t group = c->attr[0], n_in = x->shape[x->rank - 1];
  const int32_t channels = c->attr[1] ? c->attr[2] : k->shape[axes + 1];
  if (group < 1 || channels < 0 || n_in % group || channels % group)
    return whit_fail(c, WHIT_E_VALUE, "conv: channels do not divide into groups");
  const bool depthwise = n_in == group && channels == group, panels = winograd || (c->attr[1] && !depthwise);
  if (!panels && (k->rank != x->rank || k->shape[axes] != n_in / group || k->shape[axes + 1] != channels))
    return whit_fail(c, WHIT_E_SHAPE, "conv: w must be [spatial, C/group, M]");
  WHIT_TRY(whit_window_read(c, &p->w, 4, panels ? NULL : k->shape));
  p->c = c;
  p->group = group;
  p->n_in = n_in / group;
  p->n_out = channels / group;
  if ((int64_t)p->w.taps * p->n_in > INT32_MAX) return whit_fail(c, WHIT_E_SIZE, "conv: the kernel is too large");
  if (winograd) WHIT_TRY(whit_winograd_check(c, &p->w));
  p->k = p->w.taps * p->n_in;
  const whit_tensor stored = { .rank = 4, .shape = { transformed ? 36 : group, (int32_t)(((int64_t)p->n_out + 15) / 16),
                                                     transformed ? n_in : p->k, 16 } };
  if (panels && (dtype != WHIT_F32 || !whit_same_shape(k, &stored)))
    return whit_fail(c, WHIT_E_SHAPE, "conv: panels of w do not fit x and channels");
  if (bias && (bias->rank != 1 || bias->shape[0] != channels))
    return whit_fail(c, WHIT_E_SHAPE, "conv: bias must be [M]");
  WHIT_TRY(whit_window_fit(c, &p->w, c->attr[3], false, p->shape + 1));
  p->shape[0] = x->shape[0];
  p->shape[axes + 1] = channels;
  p->convert = dtype != WHIT_F32;
  p->kind = winograd ? CONV_WINOGRAD
            : CONV_HAS(WIDE) && !whit_in_f32(dtype) ? CONV_WIDE
            : WHIT_CONVERTS(p) ? CONV_STRIPS
            : depthwise ? CONV_DEPTHWISE
            : p->w.whole ? CONV_DIRECT : CONV_STRIPS;
  if (!axes && p->kind != CONV_DIRECT)
    return whit_fail(c, WHIT_E_UNSUPPORTED, "conv: without a spatial axis x must be f32, and not each channel by itself");
  if (!(WHIT_CONVS >> p->kind & 1)) return whit_fail(c, WHIT_E_OPERATOR, "conv: this build of the runtime lacks this kind of it");
  p->pack = p->kind <= CONV_STRIPS && !panels;
  if (!WHIT_PACKS && p->pack)
    return whit_fail(c, WHIT_E_OPERATOR, "conv: this build of the runtime lacks weights that are not stored in panels");
  if (WHIT_SMALL && CONV_IS(p, DEPTHWISE)) {    /* as one group, whose products are element by element */
    p->group = 1;
    p->n_in = p->n_out = channels;
  }
  return WHIT_OK;
}

/* Floats of a job's scratch: pointers, patches, sums that are converted afterwards. */
#if WHIT_SMALL
static uint64_t conv_at_sums(const conv_plan *p) { return whit_rows_floats(p->pieces); }
#else
static uint64_t conv_at_patches(const conv_plan *p) {
  return (uint64_t)p->strip * (uint64_t)p->pieces * sizeof(float *) / sizeof(float);
}
/* Patches of a line that hang over an end of it, at most. */
static int32_t conv_hanging(const conv_plan *p) {
  const uint32_t last = p->w.n - 1;
  return p->w.out[last] - whit_max_i32(0, p->w.in[last] - p->w.kernel[last] + 1) / p->w.stride[last];
}
/* Patches of a strip that are copied, at most. */
static int32_t conv_patches(const conv_plan *p) {
  if (!p->copies) return 0;
  if (WHIT_CONVERTS(p)) return p->strip;
  return p->padded ? 0 : whit_min_i32(p->strip, (p->strip / p->w.out[p->w.n - 1] + 2) * conv_hanging(p));
}
static uint64_t conv_at_sums(const conv_plan *p) {
  return conv_at_patches(p) + (uint64_t)conv_patches(p) * (uint64_t)p->k;
}
#endif

static void conv_plan_strips(conv_plan *p, int32_t threads) {
#if WHIT_SMALL
  p->pieces = p->w.taps;
  p->strip = WHIT_ROWS_STRIP;
  p->n_strips = (p->pixels + p->strip - 1) / p->strip;
#else
  const uint32_t last = p->w.n - 1;
  const int32_t in = p->w.in[last];
  p->copies = CONV_IS(p, STRIPS) && (WHIT_CONVERTS(p) || (p->n_in <= 16 && p->group == 1 && p->w.dilation[last] == 1));
  /* a few of a line's patches are copied faster than the line */
  p->padded = p->copies && !WHIT_CONVERTS(p) && conv_hanging(p) > p->w.out[last] / 8;
  p->width = p->padded ? in + p->w.before[last] + p->w.after[last] : in;
  p->pieces = p->copies ? p->w.outer : p->w.taps;
  /* 64K floats of patches, a multiple of the tile heights 6 and 8 if it can be; a whole number of rounds for all threads */
  const int32_t most = p->copies ? whit_max_i32(24, whit_min_i32(96, 65536 / whit_max_i32(p->k, 1) / 24 * 24)) : 192;
  p->n_strips = (p->pixels + most - 1) / most;
  if (p->pixels / 8 >= threads) p->n_strips = (p->n_strips + threads - 1) / threads * threads;
  p->strip = p->n_strips ? (p->pixels + p->n_strips - 1) / p->n_strips : 0;
#endif
  p->n_jobs = whit_min_i32(threads, p->n_strips);
  p->slot = conv_at_sums(p) + (WHIT_CONVERTS(p) ? (uint64_t)p->strip * (uint64_t)p->n_out : 0);
}

/* Floats of zeros that pointers into the padding point at. */
static uint64_t conv_zeros(const conv_plan *p) {
  if (WHIT_SMALL) return (uint64_t)p->n_in;
  return p->kind == CONV_STRIPS ? (uint64_t)(p->k / p->pieces + 15) / 16 * 16 : 0;
}

#if !WHIT_SMALL
/* Lines of x, over the whole batch. */
static int32_t conv_lines(const conv_plan *p) {
  int32_t n = p->c->in[0]->shape[0];
  for (uint32_t a = 0; a + 1 < p->w.n; a++) n *= p->w.in[a];
  return n;
}
#endif

/* Floats of x, if it is copied: in f32, or with its padding. */
static uint64_t conv_copied(const conv_plan *p) {
#if WHIT_SMALL
  return WHIT_CONVERTS(p) ? (uint64_t)whit_count(p->c->in[0]) : 0;
#else
  return p->padded ? (uint64_t)conv_lines(p) * (uint64_t)p->width * (uint64_t)p->n_in : 0;
#endif
}

/* describe: the shape function asks, so y is described. */
static whit_status conv_plan_make(conv_plan *p, whit_call *c, bool describe) {
  const whit_tensor *x = c->in[0];
  const whit_window *w = &p->w;
  WHIT_TRY(conv_read(p, c));
  if (describe) WHIT_TRY(whit_out(c, 0, x->dtype, x->rank, p->shape));
  const int32_t count = whit_count(c->out[0]), channels = p->group * p->n_out;
  if (!count) return WHIT_OK;
  p->pixels = count / channels;
  p->pitch = WHIT_SHARES ? c->out[0]->stride[w->n] : channels;
  const int32_t threads = whit_workers(c, (double)count * p->k);
  p->slot = 0;
  p->n_jobs = 1;
  p->copies = p->padded = false;
  if (CONV_IN_STRIPS(p)) conv_plan_strips(p, threads);
  if (!WHIT_SMALL || CONV_IS(p, WIDE)) p->slot += (uint64_t)w->outer;  /* the list of lines */
  p->slot = (p->slot + 15) / 16 * 16;
  /* scratch: panels; zeros and, of other types, the bias behind them; the copy of x; a slot a job; the epilogue */
  p->at_bias = WHIT_PACKS && p->pack ? (uint64_t)p->group * whit_panels_floats(p->k, p->n_out) : 0;
  p->at_x = p->at_bias + (conv_zeros(p) + (uint64_t)(WHIT_CONVERTS(p) ? channels : 0) + 15) / 16 * 16;
  p->at_slots = p->at_x + (conv_copied(p) + 15) / 16 * 16;
  const unsigned can = WHIT_CONVERTS(p) || CONV_IS(p, WIDE) ? 0
                       : CONV_IS(p, WINOGRAD) ? WHIT_EPILOGUE_LIMIT | WHIT_EPILOGUE_ADD
                       : !WHIT_SMALL && CONV_IS(p, DEPTHWISE) ? WHIT_EPILOGUE_LIMIT | WHIT_EPILOGUE_GATE : WHIT_EPILOGUE_ALL;
  WHIT_TRY(whit_epilogue_read(&p->e, c, 3, 4, 4, can));
  const bool program = WHIT_PROGRAMS && p->e.program;
  uint64_t slots = CONV_IS(p, WINOGRAD) ? whit_winograd_floats(c, w, &p->n_jobs) : (uint64_t)p->n_jobs * p->slot;
#if WHIT_SMALL
  p->rows.turned = CONV_IS(p, DEPTHWISE) && whit_depthwise_turns(w, program);
#else
  if (CONV_IS(p, DIRECT)) {
    slots = 0;
    p->n_jobs = (int32_t)whit_gemm_parts(c, p->pixels, p->n_out, p->k);
  }
  if (CONV_IS(p, DEPTHWISE)) {
    whit_depthwise *d = &p->depthwise;
    d->w = w;
    d->channels = channels;
    d->lines = p->pixels / p->shape[w->n];
    d->pitch = p->pitch;
    slots = whit_depthwise_plan(d, threads, program);
    p->n_jobs = d->n_jobs;
  }
#endif
  WHIT_TRY(whit_scratch(c, p->at_slots + slots));
  if (WHIT_SHARES) c->spaced = can && !program && !(CONV_IS(p, WINOGRAD) && p->e.finish.add_row);
  p->at_epilogue = whit_round(c->scratch_bytes, 64);
  c->scratch_bytes = p->at_epilogue + whit_epilogue_bytes(&p->e, (uint32_t)p->n_jobs);
  return WHIT_OK;
}

whit_status whit_conv_shape(whit_call *c) {
  conv_plan p;
  return conv_plan_make(&p, c, true);
}

#if !WHIT_SMALL
/* n numbers of x's type as floats; small n is the rule (3 channels, 3 x 3 channels). */
static void conv_copy(const conv_plan *p, float *dst, int32_t at, int32_t n) {
  typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
  const whit_tensor *x = p->c->in[0];
  if (WHIT_CONVERTS(p)) {
    whit_load_f32(dst, x->dtype, (const uint8_t *)x->data + (size_t)at * whit_type_size(x->dtype), 1, n);
    return;
  }
  const float *src = (const float *)x->data + at;
  if (n < 4) {
    for (int32_t i = 0; i < n; i++) dst[i] = src[i];
    return;
  }
  for (int32_t i = 0; i < n; i += 4) {
    if (i > n - 4) i = n - 4;
    *(four *)(void *)(dst + i) = *(const four *)(const void *)(src + i);
  }
}

static void conv_patch(const conv_plan *p, float *row, const int32_t *lines, int32_t j, int32_t g) {
  const whit_window *w = &p->w;
  const uint32_t last = w->n - 1;
  const int32_t n = p->n_in, channels = n * p->group, dilation = w->dilation[last], start = whit_window_start(w, j);
  int32_t low;
  const int32_t high = whit_window_inside(w, start, &low);
  for (int32_t t = 0; t < w->outer; t++, row += w->kernel[last] * n) {
    if (lines[t] < 0) {
      whit_bytes_zero(row, (size_t)(w->kernel[last] * n) * sizeof *row);
      continue;
    }
    const int32_t at = (lines[t] * w->in[last] + start + low * dilation) * channels + g * n;
    if (low > 0) whit_bytes_zero(row, (size_t)(low * n) * sizeof *row);
    if (dilation == 1 && p->group == 1) {
      conv_copy(p, row + low * n, at, (high - low) * n);
    } else {
      for (int32_t k = low; k < high; k++) conv_copy(p, row + k * n, at + (k - low) * dilation * channels, n);
    }
    if (high < w->kernel[last]) whit_bytes_zero(row + high * n, (size_t)((w->kernel[last] - high) * n) * sizeof *row);
  }
}

/* Pointers of pixels [i, i + n) of a strip of `pitch`, all on one output line from position j on: a pointer a tap. */
static void conv_point(const conv_plan *p, const float **rows, const int32_t *lines, int32_t j, int32_t n, int32_t pitch,
                       int32_t g) {
  const whit_window *w = &p->w;
  const uint32_t last = w->n - 1;
  const int32_t in = w->in[last], stride = w->stride[last], channels = p->n_in * p->group;
  const float *x = (const float *)p->c->in[0]->data + g * p->n_in;
  for (int32_t t = 0; t < w->outer; t++)
    for (int32_t k = 0, at = whit_window_start(w, j); k < w->kernel[last]; k++, at += w->dilation[last], rows += pitch) {
      /* positions [low, high) fall inside the line */
      int32_t low = at < 0 ? (-at + stride - 1) / stride : 0, high = at < in ? (in - 1 - at) / stride + 1 : 0, i = 0;
      if (lines[t] < 0 || high > n) high = lines[t] < 0 ? 0 : n;
      if (low > high) low = high;
      const ptrdiff_t step = (ptrdiff_t)stride * channels;
      for (; i < low; i++) rows[i] = p->zeros;
      if (i < high) rows[i] = x + ((ptrdiff_t)lines[t] * in + at + (ptrdiff_t)low * stride) * channels;
      for (i++; i < high; i++) rows[i] = rows[i - 1] + step;
      for (i = high; i < n; i++) rows[i] = p->zeros;
    }
}

/* The same, a pointer a line of taps: into x, or into a copy of the patch where it hangs over an end. Returns where the next copy
 * goes. */
static float *conv_point_lines(const conv_plan *p, const float **rows, float *patch, const int32_t *lines, int32_t j, int32_t n,
                               int32_t pitch, int32_t g) {
  const whit_window *w = &p->w;
  const uint32_t last = w->n - 1;
  const int32_t in = p->width, kernel = w->kernel[last], stride = w->stride[last];
  const int32_t at = whit_window_start(w, j) + (p->padded ? w->before[last] : 0);
  const ptrdiff_t step = (ptrdiff_t)stride * p->n_in, piece = (ptrdiff_t)kernel * p->n_in;
  int32_t low = at < 0 ? (-at + stride - 1) / stride : 0, high = in - kernel >= at ? (in - kernel - at) / stride + 1 : 0;
  if (high > n) high = n;
  if (WHIT_CONVERTS(p) || low >= high) low = high = n;
  for (int32_t i = 0; i < n; i++) {
    if (i == low) i = high;     /* all of these lie inside */
    if (i >= n) break;
    conv_patch(p, patch, lines, j + i, g);
    for (int32_t t = 0; t < w->outer; t++, patch += piece) rows[(ptrdiff_t)t * pitch + i] = patch;
  }
  if (low == high) return patch;
  for (int32_t t = 0; t < w->outer; t++, rows += pitch) {
    const float *x = p->zeros;
    if (lines[t] >= 0) x = p->x + ((ptrdiff_t)lines[t] * in + at) * p->n_in + low * step;
    for (int32_t i = low; i < high; i++, x += lines[t] < 0 ? 0 : step) rows[i] = x;
  }
  return patch;
}

#endif

/* The product of pixels [first, first + n), group g, but for what it reads of x. */
static whit_gemm conv_gemm(const conv_plan *p, int32_t first, int32_t n, int32_t g) {
  whit_gemm gemm = { .b = p->panels + (size_t)g * (size_t)whit_panels_floats(p->k, p->n_out),
                     .bias = p->bias ? p->bias + g * p->n_out : NULL,
                     .c = (float *)p->c->out[0]->data + first * p->pitch + g * p->n_out, .m = n, .n = p->n_out, .k = p->k,
                     .c_row = p->pitch, .pieces = 1, .finish = p->e.finish };
  if (gemm.finish.add) gemm.finish.add += ((ptrdiff_t)first * p->group + g) * p->n_out;
  return gemm;
}

/* What the product of a strip reads: pixels [first, first + n), for group g. */
static void conv_rows(const conv_plan *p, whit_gemm *gemm, float *slot, int32_t first, int32_t n, int32_t g) {
  const float **rows = (const float **)(void *)slot;
  gemm->rows = rows;
  gemm->pieces = p->pieces;
#if WHIT_SMALL
  whit_rows from = p->rows;
  from.x += g * p->n_in;
  whit_rows_list(&from, rows, first, n);
  if (CONV_IS(p, DIRECT) && p->pixels == 1) {   /* one row is x itself, and its sums have an order of their own */
    gemm->a = *rows;
    gemm->rows = NULL;
  }
#else
  const int32_t width = p->w.out[p->w.n - 1];
  int32_t *lines = (int32_t *)(void *)(slot + p->slot) - p->w.outer;
  float *patch = slot + conv_at_patches(p);
  for (int32_t i = 0, m; i < n; i += m) {
    const int32_t line = (first + i) / width, j = (first + i) % width;
    m = whit_min_i32(n - i, width - j);
    whit_window_lines(&p->w, line, lines);
    if (p->copies) patch = conv_point_lines(p, rows + i, patch, lines, j, m, n, g);
    else conv_point(p, rows + i, lines, j, m, n, g);
  }
#endif
}

static void conv_strips_job(void *arg, uint32_t job) {
  const conv_plan *p = (const conv_plan *)arg;
  const whit_tensor *y = p->c->out[0];
  const int32_t channels = p->n_out * p->group;
  float *slot = p->slots + job * p->slot, *sums = slot + conv_at_sums(p);
  int32_t end;
  for (int32_t s = whit_part(job, p->n_jobs, p->n_strips, &end); s < end; s++) {
#if WHIT_SMALL
    const int32_t first = s * p->strip, n = whit_min_i32(p->strip, p->pixels - first);
#else
    int32_t stop;
    const int32_t first = whit_part((uint32_t)s, p->n_strips, p->pixels, &stop), n = stop - first;
#endif
    for (int32_t g = 0; g < p->group; g++) {
      whit_gemm gemm = conv_gemm(p, first, n, g);
      conv_rows(p, &gemm, slot, first, n, g);
      if (WHIT_CONVERTS(p)) {
        gemm.c = sums;
        gemm.c_row = p->n_out;
      }
#if WHIT_SMALL
      if (CONV_IS(p, DEPTHWISE)) WHIT_KERNEL(p->c->k, depthwise_f32)(&gemm);
      else
#endif
        whit_gemm_rows(p->c->k, &gemm, 0, n);
      for (int32_t i = 0; WHIT_CONVERTS(p) && i < n; i++)
        whit_store_f32(whit_at(y, (first + i) * channels + g * p->n_out), y->dtype, sums + (ptrdiff_t)i * p->n_out, p->n_out);
    }
    whit_epilogue_run(&p->e, job, first * channels, n * channels);
  }
}

/* f64 and integers: element by element. */
static void conv_wide(const conv_plan *p) {
  const whit_window *w = &p->w;
  const whit_tensor *x = p->c->in[0], *y = p->c->out[0], *bias = whit_in(p->c, 2);
  const int32_t channels = p->n_out * p->group, width = w->out[w->n - 1], kernel = w->kernel[w->n - 1], in = w->in[w->n - 1];
  int32_t *lines = (int32_t *)(void *)p->slots;
  const int32_t count = whit_count(y);
  for (int32_t i = 0; i < count; i++) {
    const int32_t m = i % channels, j = i / channels % width;
    whit_sum sum = whit_sum_begin(x->dtype, bias ? whit_at(bias, m) : NULL);
    if (m == 0 && j == 0) whit_window_lines(w, i / channels / width, lines);
    for (int32_t t = 0; t < w->taps; t++) {
      const int32_t line = lines[t / kernel], at = whit_window_start(w, j) + t % kernel * w->dilation[w->n - 1];
      if (line >= 0 && at >= 0 && at < in)
        whit_sum_add(&sum, x->dtype, whit_at(x, ((line * in + at) * p->group + m / p->n_out) * p->n_in), 1,
                     whit_at(p->c->in[1], t * p->n_in * channels + m), channels, p->n_in);
    }
    whit_sum_end(sum, x->dtype, whit_at(y, i));
  }
}

#if !WHIT_SMALL
/* x with the padding of its lines. */
static void conv_pad(const conv_plan *p, float *to) {
  const uint32_t last = p->w.n - 1;
  const size_t line = (size_t)(p->w.in[last] * p->n_in), before = (size_t)(p->w.before[last] * p->n_in);
  const size_t after = (size_t)(p->width * p->n_in) - line - before;
  const float *x = p->x;
  for (int32_t n = conv_lines(p); n; n--, x += line, to += before + line + after) {
    whit_bytes_zero(to, before * sizeof *to);
    whit_bytes_copy(to + before, x, line * sizeof *to);
    whit_bytes_zero(to + before + line, after * sizeof *to);
  }
}
#endif

/* w in panels and bias in f32, x with its padding, if they are not yet. */
static void conv_prepare(conv_plan *p) {
  const whit_tensor *w = p->c->in[1], *bias = whit_in(p->c, 2);
  float *scratch = (float *)p->c->scratch;
  const int32_t channels = p->group * p->n_out;
  p->slots = scratch + p->at_slots;
  p->zeros = scratch + p->at_bias;
  p->bias = (float *)(bias ? bias->data : NULL);
  p->panels = (float *)w->data;
#if WHIT_SMALL
  p->rows.w = &p->w;
  p->rows.x = (const float *)p->c->in[0]->data;
  if (WHIT_CONVERTS(p)) {
    whit_load_f32(scratch + p->at_x, p->c->in[0]->dtype, p->rows.x, 1, whit_count(p->c->in[0]));
    p->rows.x = scratch + p->at_x;
  }
  p->rows.zeros = p->zeros;
  p->rows.skipped = CONV_IS(p, DEPTHWISE) ? NULL : p->zeros;    /* the fast one leaves lines out, too */
  p->rows.weights = p->panels;
  p->rows.n = p->n_in;
  p->rows.pitch = p->n_in * p->group;
#else
  p->x = (const float *)p->c->in[0]->data;
  if (p->padded) {
    conv_pad(p, scratch + p->at_x);
    p->x = scratch + p->at_x;
  }
#endif
  whit_epilogue_begin(&p->e, (uint8_t *)p->c->scratch + p->at_epilogue, (uint32_t)p->n_jobs);
  whit_bytes_zero(p->zeros, (size_t)conv_zeros(p) * sizeof(float));
  if (p->kind >= CONV_DEPTHWISE) return;
  if (WHIT_CONVERTS(p) && bias) {
    p->bias = p->zeros + conv_zeros(p);
    whit_load_f32(p->bias, bias->dtype, bias->data, 1, channels);
  }
  if (!WHIT_PACKS || !p->pack) return;
  p->panels = scratch;
  for (int32_t g = 0; g < p->group; g++)
    whit_panels_pack(p->panels + (size_t)g * (size_t)whit_panels_floats(p->k, p->n_out), w->dtype,
                     (const uint8_t *)w->data + (size_t)(g * p->n_out) * whit_type_size(w->dtype), p->k, p->n_out, channels, 1);
}

#if !WHIT_SMALL
/* Where a patch is a pixel. */
static void conv_direct(const conv_plan *p) {
  for (int32_t g = 0; g < p->group; g++) {
    whit_gemm gemm = conv_gemm(p, 0, p->pixels, g);
    gemm.a = (const float *)p->c->in[0]->data + g * p->n_in;
    gemm.a_row = p->n_in * p->group;
    whit_gemm_all(p->c, &gemm, whit_epilogue_runs(&p->e) ? whit_epilogue_after : NULL, &p->e);
  }
}

static void conv_after(const void *epilogue, uint32_t job, int32_t start, int32_t n) {
  whit_epilogue_run((const whit_epilogue *)epilogue, job, start, n);
}

static void conv_depthwise(conv_plan *p) {
  whit_depthwise *d = &p->depthwise;
  d->x = (const float *)p->c->in[0]->data;
  d->weights = (const float *)p->c->in[1]->data;
  d->bias = p->bias;
  d->y = (float *)p->c->out[0]->data;
  d->finish = &p->e.finish;
  d->after = whit_epilogue_runs(&p->e) ? conv_after : NULL;
  d->context = &p->e;
  d->scratch = p->slots;
  whit_depthwise_do(p->c, d);
}
#endif

whit_status whit_conv_run(whit_call *c) {
  conv_plan p;
  if (!whit_count(c->out[0])) return WHIT_OK;
  WHIT_TRY(conv_plan_make(&p, c, false));
  conv_prepare(&p);
  if (CONV_IS(&p, WIDE)) {
    conv_wide(&p);
    whit_epilogue_run(&p.e, 0, 0, whit_count(c->out[0]));
#if !WHIT_SMALL
  } else if (CONV_IS(&p, DIRECT)) {
    conv_direct(&p);
  } else if (CONV_IS(&p, DEPTHWISE)) {
    conv_depthwise(&p);
#endif
  } else if (CONV_IS(&p, WINOGRAD)) {
    whit_winograd_run(c, &p.w, &p.e.finish, whit_epilogue_runs(&p.e) ? whit_epilogue_after : NULL, &p.e);
  } else if (CONV_IN_STRIPS(&p)) {
    whit_parallel(c, conv_strips_job, &p, (uint32_t)p.n_jobs);
  }
  return WHIT_OK;
}
