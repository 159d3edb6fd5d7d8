/* avx512.h - sixteen lanes: AVX-512 F, VL, BW and DQ, and what avx2.h needs (WHIT_CPU_AVX512 stands for all of
 * them). The primitives are explained in scalar.h. */
#define _MM_MALLOC_H_INCLUDED
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")
#endif

#define NAME(x) x##_avx512
#define ISA "avx512"
#define VL 16
#define TARGET /* the region says it */
typedef int32_t int_avx512 __attribute__((vector_size(64)));
#define V __m512
#define VI int_avx512
#define VM __mmask16

#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, x) _mm512_storeu_ps(p, x)
#define v_mask(n) avx512_mask(n)
#define v_load_some(p, m) _mm512_maskz_loadu_ps(m, p)
#define v_store_some(p, m, x) _mm512_mask_storeu_ps(p, m, x)
#define v_loadi(p) ((VI)_mm512_loadu_si512(p))
#define v_storei(p, x) _mm512_storeu_si512(p, (__m512i)(x))
#define v_set1(x) _mm512_set1_ps(x)
#define v_seti(x) ((VI)_mm512_set1_epi32(x))
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_first(x) _mm512_cvtss_f32(x)
#define v_quad(p) _mm512_broadcast_f32x4(_mm_loadu_ps(p))
#define v_fma_lane(q, i, b, c) _mm512_fmadd_ps(_mm512_permute_ps(q, (i) * 0x55), b, c)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_sqrt(x) _mm512_sqrt_ps(x)
#define v_round(x) avx512_round(x)
#define v_floor(x) avx512_floor(x)
#define v_trunc(x) avx512_trunc(x)
#define v_eq(a, b) _mm512_cmp_ps_mask(a, b, 0) /* ordered, quiet */
#define v_lt(a, b) _mm512_cmp_ps_mask(a, b, 17)
#define v_le(a, b) _mm512_cmp_ps_mask(a, b, 18)
#define v_select(m, a, b) _mm512_mask_blend_ps((__mmask16)(m), b, a)
#define v_any(m) ((m) != 0)
#define v_bits(x) ((VI)(x))
#define v_float(i) ((V)(i))
#define v_to_int(x) ((VI)_mm512_cvttps_epi32(x))
#define v_to_float(i) _mm512_cvtepi32_ps((__m512i)(i))

/* 8: no exception. gcc's macro, used at -O0, does not pass -Wconversion. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
static inline __m512 avx512_round(__m512 x) { return _mm512_roundscale_ps(x, 8); }
static inline __m512 avx512_floor(__m512 x) { return _mm512_roundscale_ps(x, 9); }
static inline __m512 avx512_trunc(__m512 x) { return _mm512_roundscale_ps(x, 11); }
static inline __mmask16 avx512_mask(int32_t n) {
  if (n <= 0) return 0;
  return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif
