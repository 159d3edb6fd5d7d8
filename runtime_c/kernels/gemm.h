/* gemm.h - what the operators that end in gemm_f32 share: panels, scratch, and dividing the work among threads. */
#ifndef WHIT_GEMM_H
#define WHIT_GEMM_H

#include "../src/internal.h"

static inline int32_t whit_min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t whit_max_i32(int32_t a, int32_t b) { return a > b ? a : b; }

/* Is this a type whose products are summed in f32? */
static inline bool whit_in_f32(unsigned dtype) { return dtype != WHIT_F64 && whit_type_is_float(dtype); }

/* Floats of a matrix [k, n] in panels of 16 columns. */
static inline uint64_t whit_panels_floats(int32_t k, int32_t n) { return ((uint64_t)n + 15) / 16 * 16 * (uint64_t)k; }

/* Panels of the matrix b[k, n] of any type of whit_in_f32. Strides are in elements; columns past n become zeros. */
void whit_panels_pack(float *panels, unsigned dtype, const void *b, int32_t k, int32_t n, ptrdiff_t k_stride,
                      ptrdiff_t n_stride);

/* Asks for scratch of so many floats (shape functions). */
whit_status whit_scratch(whit_call *c, uint64_t n_floats);

/* On how many of the host's threads a task of `work` multiply-adds (or steps of like cost) is worth dividing. */
int32_t whit_workers(const whit_call *c, double work);

/* Where part i of n_parts of [0, total) begins; borders are multiples of unit. */
int32_t whit_border(int32_t i, int32_t n_parts, int32_t total, int32_t unit);

/* All rows of g, on the host's threads. */
void whit_gemm_all(const whit_call *c, const whit_gemm *g);

#endif
