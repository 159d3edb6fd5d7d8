/* avx2.h - eight lanes: AVX2, FMA and F16C (WHIT_CPU_AVX2 stands for all three). The primitives are explained in
 * scalar.h. */
#define _MM_MALLOC_H_INCLUDED /* gcc's immintrin.h would include stdlib.h for _mm_malloc */
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define NAME(x) x##_avx2
#define ISA "avx2"
#define VL 8
#define TARGET /* the region says it */
typedef int32_t int_avx2 __attribute__((vector_size(32)));
#define V __m256
#define VI int_avx2
#define VM int_avx2

#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, x) _mm256_storeu_ps(p, x)
#define v_loadi(p) ((VI)_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define v_storei(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), (__m256i)(x))
#define v_set1(x) _mm256_set1_ps(x)
#define v_seti(x) ((VI)_mm256_set1_epi32(x))
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_first(x) _mm256_cvtss_f32(x)
#define v_quad(p) _mm256_broadcast_ps((const __m128 *)(const void *)(p))
#define v_fma_lane(q, i, b, c) _mm256_fmadd_ps(_mm256_permute_ps(q, (i) * 0x55), b, c)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_sqrt(x) _mm256_sqrt_ps(x)
#define v_round(x) _mm256_round_ps(x, 8)  /* 8: no exception */
#define v_floor(x) _mm256_round_ps(x, 9)
#define v_trunc(x) _mm256_round_ps(x, 11)
#define v_eq(a, b) ((VM)_mm256_cmp_ps(a, b, 0))  /* ordered, quiet */
#define v_lt(a, b) ((VM)_mm256_cmp_ps(a, b, 17))
#define v_le(a, b) ((VM)_mm256_cmp_ps(a, b, 18))
#define v_select(m, a, b) _mm256_blendv_ps(b, a, (V)(m))
#define v_any(m) (_mm256_movemask_ps((V)(m)) != 0)
#define v_bits(x) ((VI)(x))
#define v_float(i) ((V)(i))
#define v_to_int(x) ((VI)_mm256_cvttps_epi32(x))
#define v_to_float(i) _mm256_cvtepi32_ps((__m256i)(i))
