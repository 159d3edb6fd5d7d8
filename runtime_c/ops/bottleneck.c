/* bottleneck - a depthwise convolution with the 1x1 convolution behind it, and perhaps the one before it, line by line. */
#include "../src/internal.h"
#include "epilogue.h"
#include "../kernels/depthwise.h"
#include "../kernels/gemm.h"
#include "../kernels/window.h"

WHIT_OP(bottleneck, .version = 1, .in = "x depth project depth_bias? project_bias? expand? expand_bias? add?", .out = "y",
        .attr = "channels:i32 kernel:i32[] strides:i32[] pads:i32[] dilations:i32[] expand_finish:f32[] depth_finish:f32[] "
                "project_finish:f32[]",
        .doc = "f32: x [N, H, W, C] times expand (none: x itself), convolved with depth [h, w, 1, E] channel by channel, times "
               "project, plus add: y [N, H', W', M], M = channels. The same bits as three nodes of conv, whose results are never "
               "held as a whole. expand and project are stored as conv's, panels = 1; each result has a finish, as conv's.");

/* Threads take bands of y's lines and go through them by strips so short that what lies between the convolutions stays in a
 * second-level cache: a ring of the expanded lines that a strip's windows touch, each expanded once in a band, and a strip of
 * depthwise results. Depthwise taps come line by line here, and a product of one row is gemm_f32's too: the exporter leaves
 * alone what conv does in another order. */
enum { BOTTLENECK_FLOATS = 48 << 10 };  /* 3/4 of 256 KB; a core with 2 MB is as fast with 16K to 128K */

enum { IN_X, IN_DEPTH, IN_PROJECT, IN_DEPTH_BIAS, IN_PROJECT_BIAS, IN_EXPAND, IN_EXPAND_BIAS, IN_ADD };

typedef struct bottleneck_plan {
  const whit_call *c;
  whit_window w;                /* of the depthwise convolution */
  int32_t shape[WHIT_MAX_RANK]; /* of y */
  int32_t between;              /* channels */
  bool expands;
  whit_gemm expand, project;    /* but for rows */
  whit_finish depth;
  int32_t strip, n_bands;       /* most lines of a strip; bands of a picture */
  int32_t n_jobs;
  uint64_t at_depth, at_rest, slot;   /* floats of a job's scratch: behind the ring, behind the strip, all */
} bottleneck_plan;

/* Input k, if there is one, must be f32 of this shape. */
static whit_status bottleneck_input(whit_call *c, unsigned k, unsigned rank, const int32_t *shape) {
  const whit_tensor *t = whit_in(c, k);
  whit_tensor want;
  if (!t) return WHIT_OK;
  WHIT_TRY(whit_tensor_set(&want, WHIT_F32, rank, shape));
  return t->kind == WHIT_TENSOR && t->dtype == WHIT_F32 && whit_same_shape(t, &want)
             ? WHIT_OK : whit_fail(c, WHIT_E_SHAPE, "bottleneck: an input does not fit x and channels");
}

/* List number `list` of what is done to a result; add: what is added, or NULL. */
static whit_status bottleneck_finish(whit_call *c, unsigned list, const whit_tensor *add, whit_finish *f) {
  static const whit_finish none = WHIT_FINISH_NONE;
  uint32_t n;
  const int32_t *numbers = whit_attr_list(c, 1, list, &n);
  *f = none;
  if ((!n && !add) || whit_finish_read(f, numbers, n, add, c->out[0], WHIT_EPILOGUE_ALL)) return WHIT_OK;
  return whit_fail(c, WHIT_E_OPERATOR, "bottleneck: a finish does not fit, or this build of the runtime lacks it");
}

/* The product of rows of k with input `w`, [k, n] in panels. */
static whit_status bottleneck_product(whit_call *c, whit_gemm *g, unsigned w, unsigned bias, int32_t k, int32_t n) {
  const int32_t panels[4] = { 1, (int32_t)(((int64_t)n + 15) / 16), k, 16 };
  *g = (whit_gemm){ .b = (const float *)whit_in_data(c, w), .bias = (const float *)whit_in_data(c, bias), .n = n, .k = k,
                    .a_row = k, .c_row = n, .pieces = 1 };
  WHIT_TRY(bottleneck_input(c, w, 4, panels));
  return bottleneck_input(c, bias, 1, &n);
}

/* Reads and checks the task. describe: the shape function asks, so y is described. */
static whit_status bottleneck_read(bottleneck_plan *p, whit_call *c, bool describe) {
  const whit_tensor *x = c->in[IN_X], *depth = c->in[IN_DEPTH];
  whit_tensor whole;
  if (x->rank != 4 || depth->rank != 4 || depth->shape[2] != 1)
    return whit_fail(c, WHIT_E_SHAPE, "bottleneck: x and depth must have four axes");
  if (x->dtype != WHIT_F32 || depth->dtype != WHIT_F32) return whit_fail(c, WHIT_E_TYPE, "bottleneck: operands must be f32");
  p->c = c;
  p->expands = whit_in(c, IN_EXPAND) != NULL;
  p->between = depth->shape[3];
  if (x->shape[3] < 1 || p->between < 1 || c->attr[0] < 1 || (!p->expands && x->shape[3] != p->between))
    return whit_fail(c, WHIT_E_SHAPE, "bottleneck: channels do not fit");
  WHIT_TRY(bottleneck_product(c, &p->expand, IN_EXPAND, IN_EXPAND_BIAS, x->shape[3], p->between));
  WHIT_TRY(bottleneck_input(c, IN_DEPTH_BIAS, 1, &p->between));
  WHIT_TRY(bottleneck_product(c, &p->project, IN_PROJECT, IN_PROJECT_BIAS, p->between, c->attr[0]));
  WHIT_TRY(whit_window_read(c, &p->w, 1, depth->shape));
  WHIT_TRY(whit_window_fit(c, &p->w, WHIT_PAD_NOTSET, false, p->shape + 1));
  /* what is never held as a whole is no larger than what could be, so that 32 bits count it */
  p->shape[0] = x->shape[0];
  p->shape[3] = p->between;
  const int32_t expanded[4] = { x->shape[0], x->shape[1], x->shape[2], p->between };
  if (whit_tensor_set(&whole, WHIT_F32, 4, expanded) || whit_tensor_set(&whole, WHIT_F32, 4, p->shape))
    return whit_fail(c, WHIT_E_SIZE, "bottleneck: too large between the convolutions");
  p->shape[3] = c->attr[0];
  if (describe) WHIT_TRY(whit_out(c, 0, WHIT_F32, 4, p->shape));
  WHIT_TRY(bottleneck_finish(c, 4, NULL, &p->expand.finish));
  WHIT_TRY(bottleneck_finish(c, 5, NULL, &p->depth));
  return bottleneck_finish(c, 6, whit_in(c, IN_ADD), &p->project.finish);
}

/* The lines of x that the windows of y's lines [from, to) touch: [*low, return value), the padding counted in. */
static int32_t bottleneck_touched(const whit_window *w, int32_t from, int32_t to, int32_t *low) {
  *low = from * w->stride[0] - w->before[0];
  return (to - 1) * w->stride[0] - w->before[0] + w->dilation[0] * (w->kernel[0] - 1) + 1;
}

/* The depthwise convolution to y's lines [from, to), with w and its output sizes. Returns the floats of its scratch. */
static uint64_t bottleneck_depthwise(const bottleneck_plan *p, whit_depthwise *d, whit_window *w, int32_t *sizes, int32_t from,
                                     int32_t to) {
  *w = p->w;
  sizes[0] = to - from;
  sizes[1] = p->w.out[1];
  w->out = sizes;
  w->before[0] -= from * w->stride[0];
  *d = (whit_depthwise){ .w = w, .weights = (const float *)whit_in_data(p->c, IN_DEPTH),
                         .bias = (const float *)whit_in_data(p->c, IN_DEPTH_BIAS), .channels = p->between, .lines = to - from, .pitch = p->between, .finish = &p->depth };
  return whit_depthwise_plan(d, 1, true);  /* taps come line by line */
}

/* Bands of equal height for the threads, in them strips of equal height, at least a line; and the ring that these need. */
static void bottleneck_divide(bottleneck_plan *p, uint64_t in_line, uint64_t out_line, int32_t threads) {
  const int32_t items = p->shape[0], lines = p->shape[1], in = p->w.in[0];
  int32_t low;
  p->n_bands = whit_min_i32(lines, items < threads ? (threads - 1) / items + 1 : 1);
  p->n_jobs = whit_min_i32(threads, p->n_bands * items);
  /* the windows of a strip's first line touch more lines than those of the next */
  const uint64_t first = in_line * (uint64_t)whit_min_i32(in, bottleneck_touched(&p->w, 0, 1, &low) - low) + out_line;
  const uint64_t next = in_line * (uint64_t)p->w.stride[0] + out_line;
  const int32_t most = first < BOTTLENECK_FLOATS ? 1 + (int32_t)((BOTTLENECK_FLOATS - first) / next) : 1;
  const int32_t band = (lines - 1) / p->n_bands + 1, n_strips = (band - 1) / most + 1;
  p->strip = (band - 1) / n_strips + 1;
  if (p->expands) p->w.ring = whit_min_i32(in, bottleneck_touched(&p->w, 0, p->strip, &low) - low);
}

static whit_status bottleneck_plan_make(bottleneck_plan *p, whit_call *c, bool describe) {
  whit_window w;
  whit_depthwise d;
  int32_t sizes[2];
  WHIT_TRY(bottleneck_read(p, c, describe));
  if (!whit_count(c->out[0])) return WHIT_OK;
  const uint64_t in_line = (uint64_t)p->w.in[1] * (uint64_t)p->between, out_line = (uint64_t)p->shape[2] * (uint64_t)p->between;
  bottleneck_divide(p, in_line, out_line, whit_workers(c, (double)whit_count(c->out[0]) * p->between));
  p->at_depth = (in_line * (uint64_t)p->w.ring + 15) / 16 * 16;
  p->at_rest = p->at_depth + (out_line * (uint64_t)p->strip + 15) / 16 * 16;
  p->slot = p->at_rest + bottleneck_depthwise(p, &d, &w, sizes, 0, p->strip);
  p->project.c_row = c->out[0]->stride[2];
  if (WHIT_SHARES) c->spaced = true;
  return whit_scratch(c, p->slot * (uint64_t)p->n_jobs);
}

whit_status whit_bottleneck_shape(whit_call *c) {
  bottleneck_plan p;
  return bottleneck_plan_make(&p, c, true);
}

/* Lines [from, to) of picture x, expanded into the ring. */
static void bottleneck_expand(const bottleneck_plan *p, const float *x, int32_t from, int32_t to, float *ring) {
  whit_gemm g = p->expand;
  for (int32_t n; from < to; from += n) {
    const int32_t at = from % p->w.ring;
    n = whit_min_i32(to - from, p->w.ring - at);
    g.a = x + (ptrdiff_t)from * p->w.in[1] * g.k;
    g.c = ring + (ptrdiff_t)at * p->w.in[1] * g.n;
    g.m = n * p->w.in[1];
    if (g.m) WHIT_KERNEL(p->c->k, gemm_f32)(&g, 0, g.m);
  }
}

/* Lines [from, to) of a picture of y. */
static void bottleneck_band(const bottleneck_plan *p, int32_t item, int32_t from, int32_t to, float *scratch) {
  const float *x = (const float *)p->c->in[IN_X]->data + (ptrdiff_t)item * p->w.in[0] * p->w.in[1] * p->expand.k;
  const int32_t n_strips = (to - from - 1) / p->strip + 1;
  int32_t expanded = 0, end;
  for (int32_t s = 0; s < n_strips; s++) {
    const int32_t first = from + whit_part((uint32_t)s, n_strips, to - from, &end), last = from + end;
    whit_window w;
    whit_depthwise d;
    whit_gemm g = p->project;
    int32_t sizes[2], low;
    const int32_t high = whit_min_i32(bottleneck_touched(&p->w, first, last, &low), p->w.in[0]);
    if (p->expands) {
      bottleneck_expand(p, x, whit_max_i32(low, expanded), high, scratch);
      expanded = whit_max_i32(high, 0);
    }
    bottleneck_depthwise(p, &d, &w, sizes, first, last);
    d.x = p->expands ? scratch : x;
    d.y = scratch + p->at_depth;
    d.scratch = scratch + p->at_rest;
    whit_depthwise_do(p->c, &d);
    const ptrdiff_t pixel = ((ptrdiff_t)item * p->w.out[0] + first) * p->w.out[1];
    g.a = d.y;
    g.c = (float *)p->c->out[0]->data + pixel * g.c_row;
    g.m = (last - first) * p->w.out[1];
    if (g.finish.add) g.finish.add += pixel * g.finish.add_row;
    WHIT_KERNEL(p->c->k, gemm_f32)(&g, 0, g.m);
  }
}

static void bottleneck_job(void *arg, uint32_t job) {
  const bottleneck_plan *p = (const bottleneck_plan *)arg;
  int32_t end, to;
  for (int32_t i = whit_part(job, p->n_jobs, p->n_bands * p->shape[0], &end); i < end; i++) {
    const int32_t from = whit_part((uint32_t)(i % p->n_bands), p->n_bands, p->shape[1], &to);
    bottleneck_band(p, i / p->n_bands, from, to, (float *)p->c->scratch + p->slot * job);
  }
}

whit_status whit_bottleneck_run(whit_call *c) {
  bottleneck_plan p;
  if (!whit_count(c->out[0])) return WHIT_OK;
  WHIT_TRY(bottleneck_plan_make(&p, c, false));
  whit_parallel(c, bottleneck_job, &p, (uint32_t)p.n_jobs);
  return WHIT_OK;
}
