/* gemm.h - what the operators that end in gemm_f32 share: panels, scratch, and dividing the work among threads. */
#ifndef WHIT_GEMM_H
#define WHIT_GEMM_H

#include "../src/internal.h"

static inline int32_t whit_min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t whit_max_i32(int32_t a, int32_t b) { return a > b ? a : b; }

typedef float gemm_four __attribute__((vector_size(16), aligned(4), may_alias));

typedef struct gemm_tile {      /* what a micro-kernel of gemm_f32.inc gets */
  const float *const *a;        /* a pointer a row for the first piece; those of the next are a_piece further */
  ptrdiff_t a_piece, a_from;    /* a_from: floats to skip in each piece */
  int32_t pieces, k;            /* k: floats of a piece to go over */
  int32_t last;                 /* columns of the last panel */
  const float *b, *from, *add;  /* from: where the sums start; add: part of the finish */
  float *c;
  ptrdiff_t b_panel, c_row, from_row, add_row;
  const whit_finish *finish;    /* NULL: the sums go on */
  const float *ahead;           /* what to ask for meanwhile, ahead_step further with each k */
  ptrdiff_t ahead_step;
} gemm_tile;

/* Rows [row0, row1) of g, not none. One row is gemv_f32's by shape alone, for its sums have an order of their own. */
void whit_gemm_rows(const whit_kernels *k, const whit_gemm *g, int32_t row0, int32_t row1);

/* Is there anything to do? */
static inline bool whit_finishes(const whit_finish *f) {
  return f->gate || f->add || f->low > -__builtin_inff() || f->high < __builtin_inff() || f->leak < 1 || f->leak > 1;
}

/* Is this a type whose products are summed in f32? */
static inline bool whit_in_f32(unsigned dtype) {
  return dtype == WHIT_F32 || (WHIT_DTYPES & WHIT_NARROW_FLOATS && dtype != WHIT_F64 && whit_type_is_float(dtype));
}

/* Does plan p convert its operands, of a narrower type that this build has? */
#define WHIT_CONVERTS(p) ((WHIT_DTYPES & WHIT_NARROW_FLOATS) && (p)->convert)

/* Floats of a matrix [k, n] in panels of 16 columns. */
static inline uint64_t whit_panels_floats(int32_t k, int32_t n) { return ((uint64_t)n + 15) / 16 * 16 * (uint64_t)k; }

/* Panels of the matrix b[k, n] of any type of whit_in_f32. Strides are in elements; columns past n become zeros. */
void whit_panels_pack(float *panels, unsigned dtype, const void *b, int32_t k, int32_t n, ptrdiff_t k_stride,
                      ptrdiff_t n_stride);
/* One panel, n <= 16. */
void whit_panel_pack(float *panel, unsigned dtype, const void *b, int32_t k, int32_t n, ptrdiff_t k_stride, ptrdiff_t n_stride);

/* sums[i] = the sum of the 16 partial sums sums[16 i ...], i < 4, each by the tree of sum_rows_f32. */
void whit_trees(float *sums);

/* Asks for scratch of so many floats (shape functions). */
whit_status whit_scratch(whit_call *c, uint64_t n_floats);

/* On how many of the host's threads a task of `work` multiply-adds (or steps of like cost) is worth dividing. */
int32_t whit_workers(const whit_call *c, double work);

/* Where part i of n_parts of [0, total) begins; borders are multiples of unit. */
int32_t whit_border(int32_t i, int32_t n_parts, int32_t total, int32_t unit);

/* Where part i begins, and *end, where it ends; unit is 1. */
int32_t whit_part(uint32_t i, int32_t n_parts, int32_t total, int32_t *end);

/* All rows of g, on the host's threads, in whit_gemm_parts parts. after: what is to be done with a block of the result that a
 * part has finished, rows [row, end) and columns [column, column + n); NULL: nothing. */
typedef void (*whit_gemm_after)(const void *context, uint32_t part, const whit_gemm *g, int32_t row, int32_t end, int32_t column,
                                int32_t n);
uint32_t whit_gemm_parts(const whit_call *c, int32_t m, int32_t n, int32_t k);
void whit_gemm_all(const whit_call *c, const whit_gemm *g, whit_gemm_after after, const void *context);

#endif
