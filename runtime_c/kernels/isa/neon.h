/* neon.h - four lanes: the Advanced SIMD that every arm64 processor has. The primitives are explained in scalar.h. */
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
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
/* a times element lane of x, plus c; the lane is a constant once loops are unrolled */
#define v_fma_lane(x, lane, a, c)                                                                             \
  ((lane) == 0 ? vfmaq_laneq_f32(c, a, x, 0) : (lane) == 1 ? vfmaq_laneq_f32(c, a, x, 1)                      \
   : (lane) == 2 ? vfmaq_laneq_f32(c, a, x, 2) : vfmaq_laneq_f32(c, a, x, 3))
#define v_quad(p) vld1q_f32(p)
#define v_min(a, b) neon_min(a, b)
#define v_max(a, b) neon_max(a, b)
#define v_sqrt(x) vsqrtq_f32(x)
#define v_round(x) vrndnq_f32(x)
#define v_floor(x) vrndmq_f32(x)
#define v_trunc(x) vrndq_f32(x)
#define v_eq(a, b) vceqq_f32(a, b)
#define v_lt(a, b) vcltq_f32(a, b)
#define v_le(a, b) vcleq_f32(a, b)
#define v_select(m, a, b) vbslq_f32(m, a, b)
#define v_any(m) (vmaxvq_u32(m) != 0)
#define v_bits(x) vreinterpretq_s32_f32(x)
#define v_float(i) vreinterpretq_f32_s32(i)
#define v_to_int(x) vcvtq_s32_f32(x)
#define v_to_float(i) vcvtq_f32_s32(i)

/* fmin and fmax would treat NaN and signed zeros in their own way. */
static inline float32x4_t neon_min(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float32x4_t neon_max(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
