/* tile.h - what tile programs run on: conversion of blocks (src/convert.c), f64 and i64 micro-operations and the f64
 * functions (kernels/micro_wide.c). f32 micro-operations are in whit_kernels. */
#ifndef WHIT_TILE_H
#define WHIT_TILE_H

#include "../src/internal.h"
#include "micro.h"

/* y[i] = x[i * stride], i < n, converted as whit_get_* does; stride is in elements. store: y is dense. */
void whit_load_f32(float *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n);
void whit_load_f64(double *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n);
void whit_load_i64(int64_t *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n);
void whit_store_f32(void *y, unsigned dtype, const float *x, int32_t n);
void whit_store_f64(void *y, unsigned dtype, const double *x, int32_t n);
void whit_store_i64(void *y, unsigned dtype, const int64_t *x, int32_t n);

/* y = op(a, b, c) on n elements; y may be a, b or c. All three must be there, whatever op reads. */
void whit_micro_f64(unsigned op, double *y, const double *a, const double *b, const double *c, int32_t n);
void whit_micro_i64(unsigned op, int64_t *y, const int64_t *a, const int64_t *b, const int64_t *c, int32_t n);

/* How the switch over op is written: each operation is a loop of its own, from i on; or, where bytes count, a case inside a single
 * loop, which reads what any of them may need. has: does this build have the operation? MICRO_READ declares elements i of a, b, c;
 * MICRO_WRITE(value) stores that of y. */
#if WHIT_SMALL
#define MICRO_BEGIN(step) for (; i < n; i += (step)) { MICRO_READ
#define MICRO_CASE(has, step, value) if (has) MICRO_WRITE(value); break;
#define MICRO_END }
#else
#define MICRO_BEGIN(step)
#define MICRO_CASE(has, step, value) for (; (has) && i < n; i += (step)) { MICRO_READ MICRO_WRITE(value); } break;
#define MICRO_END
#endif

/* pow, mod and fmod by way of double. */
void whit_micro_f32_slow(unsigned op, float *y, const float *a, const float *b, int32_t n);

/* As in C's math.h, about 1 ULP. */
double whit_exp_f64(double x);
double whit_log_f64(double x);
double whit_sin_f64(double x, int quarter_turns); /* 1: cosine */
double whit_pow_f64(double x, double y);
double whit_fmod_f64(double x, double y);         /* exact */
double whit_sqrt_f64(double x);                   /* exactly rounded */

static inline uint64_t whit_f64_bits(double x) {
  const union { double f; uint64_t i; } u = { x };
  return u.i;
}

static inline double whit_bits_f64(uint64_t i) {
  const union { uint64_t i; double f; } u = { i };
  return u.f;
}

#endif
