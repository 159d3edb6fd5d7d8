/* window.h - the geometry of sliding windows over channels-last tensors, shared by convolution and pooling. */
#ifndef WHIT_WINDOW_H
#define WHIT_WINDOW_H

#include "../src/internal.h"

enum { WHIT_WINDOW_AXES = WHIT_MAX_RANK - 2 };
enum { WHIT_PAD_NOTSET, WHIT_PAD_SAME_UPPER, WHIT_PAD_SAME_LOWER, WHIT_PAD_VALID };

/* A "line" is what the last spatial axis runs along: line number l of x begins at element l * in[n - 1] * channels. */
typedef struct whit_window {
  uint32_t n;                   /* spatial axes, at most 6 */
  int32_t taps, outer;          /* product of kernel; the same without the last axis: lines that a window touches */
  const int32_t *in, *out;      /* spatial sizes */
  int32_t kernel[WHIT_WINDOW_AXES], stride[WHIT_WINDOW_AXES], dilation[WHIT_WINDOW_AXES];
  int32_t before[WHIT_WINDOW_AXES], after[WHIT_WINDOW_AXES];  /* padding */
  bool whole;                   /* windows are the positions of x, one by one */
  int32_t ring;                 /* line l of x lies where line l % ring would; 0: where it is */
} whit_window;

/* Reads and checks the lists kernel, strides, pads, dilations, which start at attribute word `first`; an absent list
 * means ones (pads: zeros). weights: the kernel that the weights have, or NULL; the list must agree. x: c->in[0], of two axes or more. */
whit_status whit_window_read(whit_call *c, whit_window *w, unsigned first, const int32_t *weights);

/* Computes the output's spatial sizes into out (which w goes on using), and the padding if it is automatic. */
whit_status whit_window_fit(whit_call *c, whit_window *w, int32_t auto_pad, bool ceil_mode, int32_t *out);

/* lines[t], t < w->outer: the line of x that tap t of output line o falls on (batch counted in), or -1: padding. */
void whit_window_lines(const whit_window *w, int32_t o, int32_t *lines);

#if WHIT_SMALL
/* The rows that kernels of the size profile read x by: see whit_gemm. */
typedef struct whit_rows {
  const whit_window *w;
  const float *x, *zeros;
  const float *skipped;         /* of a tap on a line that is not there: zeros, or NULL */
  const float *weights;         /* n floats a tap */
  int32_t pitch, n;             /* floats from pixel to pixel of x; of zeros, and of weights */
  bool turned;                  /* lines, and taps in their sequence, run along the first of two axes */
} whit_rows;

/* Pixels of a strip, at most: few, so that threads get equal shares of small pictures; a multiple of four. */
enum { WHIT_ROWS_STRIP = 24 };

/* Floats of a strip's list. */
uint64_t whit_rows_floats(int32_t taps);

/* Lists pixels [first, first + n) of y, a strip or less. */
void whit_rows_list(const whit_rows *r, const float **list, int32_t first, int32_t n);
#endif

/* y[position][channel] of one output line = maximum (NaN if there is one; -infinity without taps) or sum over the window.
 * lines: of the whole window. row: a job's scratch. */
void whit_window_fold(const whit_window *w, const whit_kernels *k, unsigned kind, const float *x, int32_t channels,
                      const int32_t *lines, float *row, float *y);

/* Of a job's scratch: room for two pointers a line of the window, behind the line of x and the list of lines. */
static inline const float **whit_pool_pointers(const whit_window *w, float *row, int32_t channels) {
  const size_t floats = (size_t)w->in[w->n - 1] * (size_t)channels + (size_t)w->outer;
  return (const float **)(void *)(row + (floats + 1) / 2 * 2);
}

/* Position along the last axis of tap 0 of output position j; tap t is t * dilation further. */
static inline int32_t whit_window_start(const whit_window *w, int32_t j) {
  return j * w->stride[w->n - 1] - w->before[w->n - 1];
}

/* Taps [*first, return value) of a window that starts at `start` fall inside the last axis. */
static inline int32_t whit_window_inside(const whit_window *w, int32_t start, int32_t *first) {
  const int32_t size = w->in[w->n - 1], kernel = w->kernel[w->n - 1], dilation = w->dilation[w->n - 1];
  *first = 0;
  if (start >= 0 && start < size - (kernel - 1) * dilation) return kernel;  /* most are; divisions are slow */
  const int32_t low = start < 0 ? (-start - 1) / dilation + 1 : 0;
  const int32_t end = start < size ? (size - 1 - start) / dilation + 1 : 0;
  const int32_t high = end < kernel ? end : kernel;
  *first = low < high ? low : high;
  return high;
}

/* What max_pool and avg_pool share. Their first two attributes are auto_pad and ceil_mode; the lists start at word 3. */
typedef struct whit_pool {
  const whit_call *c;
  whit_window w;
  int32_t shape[WHIT_MAX_RANK]; /* of y */
  int32_t channels, lines, n_jobs;
  size_t slot;                  /* floats of scratch a job: a line of x, the list of lines, pointers to them */
  int fold;                     /* of whit_pool_run */
  void (*line)(const struct whit_pool *p, int32_t o, const int32_t *lines);
} whit_pool;

/* Sets output 0, and the scratch. */
whit_status whit_pool_shape(whit_pool *p, whit_call *c);

/* Each line of y: folded (f32, WHIT_FOLD_*) unless fold is WHIT_POOL_NONE; then `line`, if given, is called with the number of
 * the line and the lines of x that its windows touch. */
enum { WHIT_POOL_NONE = -1 };
whit_status whit_pool_run(whit_call *c, int fold, void (*line)(const whit_pool *p, int32_t o, const int32_t *lines));

#endif
