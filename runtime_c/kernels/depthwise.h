/* depthwise.h - convolution of each channel by itself: plan, scratch and threads around the kernel depthwise_f32. */
#ifndef WHIT_DEPTHWISE_H
#define WHIT_DEPTHWISE_H

#include "window.h"

typedef struct whit_depthwise {
  /* the task */
  const whit_window *w;         /* its output sizes too; at least one output; the plan may put `turned` in its place */
  const float *x, *weights, *bias;  /* weights: [taps][channels]; bias may be NULL */
  float *y;
  int32_t channels, lines;      /* lines of y, over the whole batch */
  ptrdiff_t pitch;              /* floats from position to position of y */
  const whit_finish *finish;    /* adds nothing */
  /* What else becomes of y: called for whole positions, elements [start, start + n), while they are cached; or NULL. */
  void (*after)(const void *context, uint32_t job, int32_t start, int32_t n);
  const void *context;
  /* the plan: whit_depthwise_plan fills it in from w, channels, lines */
  float *scratch;
  uint64_t slot;                /* floats of scratch a job */
  int32_t n_jobs, n_chunks, n_bands;
  int32_t taps, columns;        /* of a piece */
  whit_window turned;           /* w with its two axes exchanged: lines are columns of the picture */
  int32_t turned_sizes[4];
  ptrdiff_t x_line, x_at, y_line, y_at, w_line, w_tap;  /* floats from line to line, from position (tap) to position */
  ptrdiff_t x_item, y_item;     /* and, where turned, from picture to picture; else 0: lines go on */
  int32_t step, runs;           /* positions are taken `step` apart, so in `step` phases; runs: parts of a phase */
} whit_depthwise;

/* Do lines run along the first of two axes, for tiles fit that one better? It decides the order of taps. after: will it be given? */
bool whit_depthwise_turns(const whit_window *w, bool after);

/* Floats of scratch that the task needs on so many threads. after: will it be given, or must lines run along the last axis? */
uint64_t whit_depthwise_plan(whit_depthwise *d, int32_t threads, bool after);

/* Does the task; d->scratch is set. */
void whit_depthwise_do(const whit_call *c, whit_depthwise *d);

#endif
