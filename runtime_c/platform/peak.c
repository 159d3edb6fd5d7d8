/* peak.c - the most that a core can do, as work to be timed: multiply-adds in registers, and reading memory.
 *
 * Twelve chains of multiply-adds hide their latency (4 cycles, 2 a cycle: 8 chains), 24 on arm64 (4 a cycle: 16). Reads walk eight
 * parts of the block at once, because one stream does not keep the memory busy. */
#include "whit_platform.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#define NEON 1
#ifdef __arm__                  /* as in kernels/isa/neon.h */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("vfp4,vfp4sp,vfp4d16,vfp4d16sp,fp16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("fpu=neon-vfpv4")
#endif
#endif
#include <arm_neon.h>
#endif

/* The compiler must believe that x is used here, and may be another one afterwards. */
#define KEEP(x, in) __asm__ volatile("" : "+" in(x))

#define PEAK(isa, attribute, V, lanes, chains, in, set1, fma, load, add)                                            \
  attribute static void fma_##isa(uint64_t n_flops) {                                                               \
    V acc[chains], one = set1(1.0f);                                                                                \
    KEEP(one, in);                                                                                                  \
    _Pragma("GCC unroll 24") for (int k = 0; k < chains; k++) acc[k] = set1(0.0f);                                  \
    for (uint64_t n = n_flops / (2 * lanes * chains); n; n--) {                                                     \
      _Pragma("GCC unroll 24") for (int k = 0; k < chains; k++) acc[k] = fma(one, one, acc[k]);                     \
      _Pragma("GCC unroll 24") for (int k = 0; k < chains; k++) KEEP(acc[k], in);                                   \
    }                                                                                                               \
  }                                                                                                                 \
  attribute static void read_##isa(const float *p, size_t n_floats) {                                               \
    V acc[8];                                                                                                       \
    const size_t part = n_floats / 8;                                                                               \
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) acc[k] = set1(0.0f);                                        \
    for (size_t i = 0; i < part; i += 2 * lanes)                                                                    \
      _Pragma("GCC unroll 8") for (size_t k = 0; k < 8; k++)                                                        \
        acc[k] = add(add(acc[k], load(p + k * part + i)), load(p + k * part + i + lanes));                          \
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) KEEP(acc[k], in);                                           \
  }

#define PLAIN_SET1(x) (x)
#define PLAIN_FMA(a, b, c) ((a) * (b) + (c))
#define PLAIN_LOAD(p) (*(p))
#define PLAIN_ADD(a, b) ((a) + (b))

#if defined(__x86_64__)
PEAK(avx512, __attribute__((target("avx512f"))), __m512, 16, 12, "v", _mm512_set1_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
     _mm512_add_ps)
PEAK(avx2, __attribute__((target("avx2,fma"))), __m256, 8, 12, "x", _mm256_set1_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
     _mm256_add_ps)
PEAK(plain, , float, 1, 12, "x", PLAIN_SET1, PLAIN_FMA, PLAIN_LOAD, PLAIN_ADD)
#elif defined(__aarch64__)
#define NEON_FMA(a, b, c) vfmaq_f32(c, a, b)
PEAK(neon, , float32x4_t, 4, 24, "w", vdupq_n_f32, NEON_FMA, vld1q_f32, vaddq_f32)
PEAK(plain, , float, 1, 24, "w", PLAIN_SET1, PLAIN_FMA, PLAIN_LOAD, PLAIN_ADD)
#elif defined(NEON)
#ifdef __clang__
#define NEON_FMA(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define NEON_FMA(a, b, c) vfmaq_f32(c, a, b)
#endif
PEAK(neon, , float32x4_t, 4, 12, "w", vdupq_n_f32, NEON_FMA, vld1q_f32, vaddq_f32)
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
PEAK(plain, , float, 1, 4, "m", PLAIN_SET1, PLAIN_FMA, PLAIN_LOAD, PLAIN_ADD)
#else
PEAK(plain, , float, 1, 4, "m", PLAIN_SET1, PLAIN_FMA, PLAIN_LOAD, PLAIN_ADD)
#endif

void whit_peak_flops(void *peak, uint32_t i) {
  const whit_peak *p = peak;
  (void)i;
#if defined(__x86_64__)
  if (p->cpu & WHIT_CPU_AVX512) { fma_avx512(p->n_flops); return; }
  if (p->cpu & WHIT_CPU_AVX2) { fma_avx2(p->n_flops); return; }
#elif defined(NEON)
  if (p->cpu & WHIT_CPU_NEON) { fma_neon(p->n_flops); return; }
#endif
  fma_plain(p->n_flops);
}

void whit_peak_read(void *peak, uint32_t i) {
  const whit_peak *p = peak;
  const size_t n_floats = (size_t)(p->n_bytes / sizeof(float));
  const float *data = p->data + i * n_floats;
  for (uint32_t n = p->n_times; n; n--) {
#if defined(__x86_64__)
    if (p->cpu & WHIT_CPU_AVX512) { read_avx512(data, n_floats); continue; }
    if (p->cpu & WHIT_CPU_AVX2) { read_avx2(data, n_floats); continue; }
#elif defined(NEON)
    if (p->cpu & WHIT_CPU_NEON) { read_neon(data, n_floats); continue; }
#endif
    read_plain(data, n_floats);
  }
}
