/* neon.h - four lanes: the Advanced SIMD that every arm64 processor has, and 32-bit ones with VFPv4 (on those WHIT_CPU_NEON stands
 * for both). There it takes subnormal numbers for zeros: the stated exception to "the same bits everywhere". The primitives are
 * explained in scalar.h. */
#ifdef __arm__
#ifdef __clang__ /* fp16 and the parts of vfp4 by name, for the command line's own list says no to each of them */
#pragma clang attribute push(__attribute__((target("vfp4,vfp4sp,vfp4d16,vfp4d16sp,fp16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("fpu=neon-vfpv4")
#endif
#endif
#include <arm_neon.h>

#define NAME(x) x##_neon
#define ISA "neon"
#define VL 4
#define TARGET /* the region says it */
#define V float32x4_t
#define VI int32x4_t
#define VM uint32x4_t

#define v_load(p) vld1q_f32(p)
#define v_store(p, x) vst1q_f32(p, x)
#define v_loadi(p) vld1q_s32(p)
#define v_storei(p, x) vst1q_s32(p, x)
#define v_set1(x) vdupq_n_f32(x)
#define v_seti(x) vdupq_n_s32(x)
#ifdef __aarch64__
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
/* a times element lane of x, plus c; the lane is a constant once loops are unrolled */
#define v_fma_lane(x, lane, a, c)                                                                             \
  ((lane) == 0 ? vfmaq_laneq_f32(c, a, x, 0) : (lane) == 1 ? vfmaq_laneq_f32(c, a, x, 1)                      \
   : (lane) == 2 ? vfmaq_laneq_f32(c, a, x, 2) : vfmaq_laneq_f32(c, a, x, 3))
#define v_sqrt(x) vsqrtq_f32(x)
#define v_round(x) vrndnq_f32(x)
#define v_floor(x) vrndmq_f32(x)
#define v_trunc(x) vrndq_f32(x)
#define v_any(m) (vmaxvq_u32(m) != 0)
#else
#ifdef __clang__ /* whose header looks at the command line only */
#define v_fma(a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#endif
#define v_fma_lane(x, lane, a, c) v_fma(a, vdupq_lane_f32((lane) < 2 ? vget_low_f32(x) : vget_high_f32(x), (lane) & 1), c)
#define v_sqrt(x) neon_sqrt(x)
#define v_round(x) neon_round(x)
#define v_floor(x) neon_floor(x)
#define v_trunc(x) neon_trunc(x)
#define v_any(m) neon_any(m)
#endif
#define v_first(x) vgetq_lane_f32(x, 0)
#define v_quad(p) vld1q_f32(p)
#define v_min(a, b) neon_min(a, b)
#define v_max(a, b) neon_max(a, b)
#define v_eq(a, b) vceqq_f32(a, b)
#define v_lt(a, b) vcltq_f32(a, b)
#define v_le(a, b) vcleq_f32(a, b)
#define v_select(m, a, b) vbslq_f32(m, a, b)
#define v_bits(x) vreinterpretq_s32_f32(x)
#define v_float(i) vreinterpretq_f32_s32(i)
#define v_to_int(x) vcvtq_s32_f32(x)
#define v_to_float(i) vcvtq_f32_s32(i)

/* fmin and fmax would treat NaN and signed zeros in their own way. */
static inline float32x4_t neon_min(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float32x4_t neon_max(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

#ifdef __arm__ /* the same ways as in scalar.h */
static inline float32x4_t neon_sqrt(float32x4_t x) {
  float lane[4];
  vst1q_f32(lane, x);
  for (int i = 0; i < 4; i++) __asm__("vsqrt.f32 %0, %0" : "+t"(lane[i])); /* the compilers' builtin may call sqrtf to set errno */
  return vld1q_f32(lane);
}

static inline float32x4_t neon_signed(float32x4_t magnitude, float32x4_t sign) {
  return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}

static inline float32x4_t neon_round(float32x4_t x) {
  const float32x4_t m = vabsq_f32(x), whole = vdupq_n_f32(8388608.0f);
  return neon_signed(vbslq_f32(vcltq_f32(m, whole), vsubq_f32(vaddq_f32(m, whole), whole), m), x);
}

static inline float32x4_t neon_floor(float32x4_t x) {
  const float32x4_t r = neon_round(x);
  return vbslq_f32(vcgtq_f32(r, x), vsubq_f32(r, vdupq_n_f32(1.0f)), r);
}

static inline float32x4_t neon_trunc(float32x4_t x) { return neon_signed(neon_floor(vabsq_f32(x)), x); }

static inline int neon_any(uint32x4_t m) {
  return vget_lane_u64(vreinterpret_u64_u32(vorr_u32(vget_low_u32(m), vget_high_u32(m))), 0) != 0;
}
#endif
