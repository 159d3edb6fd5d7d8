/* kernels.c - every kernel, compiled once per instruction set that the compiler's target can have, and the choice
 * between the tables. No -m flags are needed: the headers of isa/ set the target. */
#include "gemm.h"
#include "tile.h"

#ifdef __clang__
#define MICRO_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MICRO_UNROLL _Pragma("GCC unroll 16")
#endif

/* Finishes are as many bytes as the products before them. Where bytes count they are not done in registers but on what has just been
 * stored, which gives the same bits. */
#ifdef __OPTIMIZE_SIZE__
#define FINISH_LATER 1
#else
#define FINISH_LATER 0
#endif

#if WHIT_SMALL
typedef void small_tile(float *sums, const whit_gemm *g, const float *const *a, int32_t j, int32_t n);
typedef void small_finish(const whit_finish *f, const float *add, float *sums, float *y, int32_t n);

/* The walk over the tiles of a product, whose code is an instruction set's. Callers come with one panel or with few rows, so that what
 * is read again stays in a cache. */
static void small_gemm(const whit_gemm *g, int32_t row0, int32_t row1, small_tile *tile, small_finish *finish) {
  for (int32_t j = 0; j < g->n; j += 16) {
    const int32_t width = whit_min_i32(g->n - j, 16);
    float from[16] = { 0 }, sums[64];
    if (g->bias) whit_bytes_copy(from, g->bias + j, (size_t)width * sizeof *from);
    for (int32_t row = row0; row < row1; row += 4) {
      const float *a[4];
      for (int32_t r = 0; r < 4; r++) {
        __builtin_memcpy(sums + r * 16, from, sizeof from);
        a[r] = g->a + whit_min_i32(row + r, row1 - 1) * g->a_row;
      }
      tile(sums, g, WHIT_LISTS && g->rows ? g->rows + (ptrdiff_t)(row / 4) * g->pieces * WHIT_LISTED : a, j, width);
      for (int32_t r = 0; r < 4 && row + r < row1; r++)
        finish(&g->finish, WHIT_EPILOGUES && g->finish.add ? g->finish.add + (row + r) * g->finish.add_row + j : NULL, sums + r * 16,
               g->c + (row + r) * g->c_row + j, width);
    }
  }
}
#else
/* One element of a fold: rows that are shorter than a vector. */
static float fold_sum_one(const whit_fold *f, int32_t flip, ptrdiff_t at) {
  float acc = 0;
  (void)flip;
  for (int32_t k = 0; k < f->n_taps; k++, at += f->step) {
    float sum = f->lines[0][at];
    for (int32_t l = 1; l < f->n_lines; l++) sum += f->lines[l][at];
    acc += sum;
  }
  return acc;
}

static float fold_max_one(const whit_fold *f, int32_t flip, ptrdiff_t at) {
  float acc = -__builtin_inff();
  for (int32_t k = 0; k < f->n_taps; k++, at += f->step)
    for (int32_t l = 0; l < f->n_lines; l++) {
      const float x = flip ? -f->lines[l][at] : f->lines[l][at];
      acc = !(x <= acc) && acc == acc ? x : acc;
    }
  return flip ? -acc : acc;
}
#endif

/* Partial sums in memory: a vector that is stored across two lines of the cache cannot be read back at once. */
#define ROWS_LANES float __attribute__((aligned(64)))

typedef int32_t rows_four __attribute__((vector_size(16)));

/* The sum of 16 partial sums by a tree of fixed shape. */
static inline float rows_sum(const float *lane) {
  const gemm_four *q = (const gemm_four *)(const void *)lane, s = (q[0] + q[2]) + (q[1] + q[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}

/* The larger of each pair; where one is NaN, b. */
static inline gemm_four rows_max4(const gemm_four *a, const gemm_four *b) {
  const rows_four take = (rows_four)(*a > *b);
  return (gemm_four)((take & (rows_four)*a) | (~take & (rows_four)*b));
}

/* The maximum of 16 numbers. */
static inline float rows_max(const float *lane) {
  const gemm_four *q = (const gemm_four *)(const void *)lane, a = rows_max4(&q[0], &q[2]), b = rows_max4(&q[1], &q[3]),
              m = rows_max4(&a, &b);
  const float low = m[0] > m[2] ? m[0] : m[2], high = m[1] > m[3] ? m[1] : m[3];
  return low > high ? low : high;
}

#if WHIT_ISAS & WHIT_ISA_SCALAR
/* On x86 they make a fused multiply-add of many instructions, and there is nothing to lose. */
#if WHIT_SMALL && defined __clang__ && (defined __x86_64__ || defined __i386__)
#define WHIT_LEAST
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
#include "isa/scalar.h"
#include "every.inc"
#ifdef WHIT_LEAST
#pragma clang attribute pop
#undef WHIT_LEAST
#endif
#endif
#if WHIT_ISAS & WHIT_ISA_AVX2
#include "isa/avx2.h"
#include "every.inc"
#endif
#if WHIT_ISAS & WHIT_ISA_AVX512
#include "isa/avx512.h"
#include "every.inc"
#endif
#if WHIT_ISAS & WHIT_ISA_NEON
#include "isa/neon.h"
#include "every.inc"
#endif
#if WHIT_ISAS & WHIT_ISA_SIMD128
#include "isa/simd128.h"
#include "every.inc"
#endif

#if !WHIT_TABLES                /* this file then stands before those that call kernels */
#if WHIT_ISAS & WHIT_ISA_AVX512
#define WHIT_KERNEL(k, name) ((k) == &kernels_avx512 ? name##_avx512 : (k) == &kernels_avx2 ? name##_avx2 : name##_scalar)
#elif WHIT_ISAS & WHIT_ISA_AVX2
#define WHIT_KERNEL(k, name) ((k) == &kernels_avx2 ? name##_avx2 : name##_scalar)
#elif WHIT_ISAS & WHIT_ISA_NEON && WHIT_ISAS & WHIT_ISA_SCALAR
#define WHIT_KERNEL(k, name) ((k) == &kernels_neon ? name##_neon : name##_scalar)
#elif WHIT_ISAS & WHIT_ISA_NEON
#define WHIT_KERNEL(k, name) ((void)(k), name##_neon)
#elif WHIT_ISAS & WHIT_ISA_SIMD128
#define WHIT_KERNEL(k, name) ((void)(k), name##_simd128)
#else
#define WHIT_KERNEL(k, name) ((void)(k), name##_scalar)
#endif
#endif

const whit_kernels *whit_kernels_for(uint32_t cpu) {
#if WHIT_ISAS & WHIT_ISA_AVX512
  if (cpu & WHIT_CPU_AVX512) return &kernels_avx512;
#endif
#if WHIT_ISAS & WHIT_ISA_AVX2
  if (cpu & WHIT_CPU_AVX2) return &kernels_avx2;
#endif
#if WHIT_ISAS & WHIT_ISA_NEON
  if (cpu & WHIT_CPU_NEON || !(WHIT_ISAS & WHIT_ISA_SCALAR)) return &kernels_neon;
#endif
  (void)cpu;
#if WHIT_ISAS & WHIT_ISA_SIMD128
  return &kernels_simd128;
#elif WHIT_ISAS & WHIT_ISA_SCALAR
  return &kernels_scalar;
#endif
}
