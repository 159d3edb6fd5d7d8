/* scalar.h - one lane in plain C: the reading copy of the primitives, and the only ones on processors without a
 * header of their own. Gives the same bits as the others.
 *
 * Every header of this folder opens a region (closed by end.h) in which kernels are compiled for one instruction set:
 *   NAME(x)       x with the instruction set's suffix
 *   VL            lanes; divides 16. TARGET is empty where the region sets the target for all that follows
 *   V VI VM       vectors of float and int32_t, and a mask. + - * / unary - work on V; + - & | ^ ~ << >> (the
 *                 arithmetic one) with VI or a plain int on the right work on VI; & and | work on VM.
 *   v_load v_store           any alignment; v_loadi v_storei the same for VI
 *   v_load_some(p, m) v_store_some(p, m, x)   lanes whose bit of m is set; other memory is not touched, other lanes are 0.
 *                            v_mask(n): the first n, none if it is negative. AVX-512 alone; see some_f32.inc for the others
 *   v_set1 v_seti            all lanes equal
 *   v_first(x)               the first lane
 *   v_fma(a, b, c)           a * b + c, rounded once
 *   v_quad(p)                four numbers in every four lanes; v_fma_lane(x, i, b, c): x[i] * b + c, i a literal. Not here
 *   v_min(a, b) v_max(a, b)  a < b ? a : b and a > b ? a : b. So b if either is NaN or both are zeros
 *   v_sqrt v_round v_floor v_trunc   IEEE; v_round is to nearest, half to even
 *   v_eq v_lt v_le           masks, false for NaN
 *   v_select(m, a, b)        m ? a : b;  v_any(m): is any lane set?
 *   v_bits v_float           the same bits as the other type
 *   v_to_int v_to_float      by value; v_to_int truncates, |x| must be below 2^31 (else any result, no trap) */
#define NAME(x) x##_scalar
#define ISA "scalar"
#define VL 1
#define TARGET /* the region says it */
#define V float
#define VI int32_t
#define VM int

#define v_load(p) (*(const float *)(p))
#define v_store(p, x) ((void)(*(float *)(p) = (x)))
#define v_loadi(p) (*(const int32_t *)(p))
#define v_storei(p, x) ((void)(*(int32_t *)(p) = (x)))
#define v_set1(x) ((float)(x))
#define v_seti(x) ((int32_t)(x))
#define v_first(x) ((float)(x))
#define v_fma(a, b, c) scalar_fma(a, b, c)
#define v_min(a, b) scalar_min(a, b)
#define v_max(a, b) scalar_max(a, b)
#define v_sqrt(x) ((float)whit_sqrt_f64((double)(x))) /* rounding twice is harmless: 53 >= 2 * 24 + 2 */
#define v_round(x) scalar_round(x)
#define v_floor(x) scalar_floor(x)
#define v_trunc(x) scalar_trunc(x)
#define v_eq(a, b) ((a) == (b))
#define v_lt(a, b) ((a) < (b))
#define v_le(a, b) ((a) <= (b))
#define v_select(m, a, b) ((m) ? (a) : (b))
#define v_any(m) (m)
#define v_bits(x) scalar_bits(x)
#define v_float(i) scalar_float(i)
#define v_to_int(x) scalar_to_int(x)
#define v_to_float(i) ((float)(i))

static inline int32_t scalar_bits(float x) {
  const union { float f; int32_t i; } u = { x };
  return u.i;
}

static inline float scalar_float(int32_t i) {
  const union { int32_t i; float f; } u = { i };
  return u.f;
}

#if !(defined __FMA__ || defined __aarch64__ || defined __ARM_FEATURE_FMA || defined __FP_FAST_FMAF || defined __wasm__)
/* The sum s of p and d, rounded to odd: its error decides the last bit, which makes a second rounding right. An infinite or NaN sum has
 * a NaN error and stays as it is. */
static __attribute__((noinline)) float scalar_odd(double p, double d, double s) {
  const double t = s - p, e = (p - (s - t)) + (d - t);
  union { double f; uint64_t i; } u = { s };
  if ((e > 0 || e < 0) && !(u.i & 1)) u.i += (e > 0) == (s > 0) ? 1 : UINT64_MAX;
  return (float)u.f;
}
#endif

static inline float scalar_fma(float a, float b, float c) {
#if defined __FMA__ || defined __aarch64__ || defined __ARM_FEATURE_FMA || defined __FP_FAST_FMAF
  return __builtin_fmaf(a, b, c);
#elif defined __wasm__ /* the stated exception to "the same bits everywhere" */
  return a * b + c;
#else
  /* The product is exact in double, the sum is rounded, and rounded again to float. That errs only where the first rounding hits the
   * middle between two floats, which normal ones have where the last 29 bits begin. */
  const double p = (double)a * (double)b, d = (double)c;
  const union { double f; uint64_t i; } s = { p + d };
  const int safe = (s.i & 0x1fffffff) != 0x10000000 && (uint32_t)(s.i >> 32) << 1 >= 0x70200000u; /* from 2^-126 on */
  return __builtin_expect(safe, 1) ? (float)s.f : scalar_odd(p, d, s.f);
#endif
}

static inline float scalar_min(float a, float b) { return a < b ? a : b; }
static inline float scalar_max(float a, float b) { return a > b ? a : b; }

static inline float scalar_round(float x) {
  const int32_t sign = scalar_bits(x) & INT32_MIN;
  const float m = scalar_float(scalar_bits(x) ^ sign);
  if (!(m < 8388608.0f)) return x; /* 2^23: already whole, or NaN */
  return scalar_float(scalar_bits((m + 8388608.0f) - 8388608.0f) | sign);
}

static inline float scalar_floor(float x) {
  const float r = scalar_round(x);
  return r > x ? r - 1.0f : r;
}

static inline float scalar_trunc(float x) {
  const int32_t sign = scalar_bits(x) & INT32_MIN;
  return scalar_float(scalar_bits(scalar_floor(scalar_float(scalar_bits(x) ^ sign))) | sign);
}

static inline int32_t scalar_to_int(float x) { return x > -2147483648.0f && x < 2147483648.0f ? (int32_t)x : 0; }
