/* micro_wide.c - the f64 and i64 micro-operations in plain C, and the f64 functions they stand on. Results are the
 * same on every machine because only + - * / and exact steps are used, never a fused multiply-add. Polynomials:
 * minimax fits (weighted for relative error, coefficients rounded one after another). */
#include "tile.h"

/* ---- exact steps -------------------------------------------------------------------------------- */

#define F64_INFINITY __builtin_inf()

static inline double f64_abs(double x) { return whit_bits_f64(whit_f64_bits(x) & (UINT64_MAX >> 1)); }

static inline double f64_sign_of(double size, double sign) {
  return whit_bits_f64((whit_f64_bits(size) & (UINT64_MAX >> 1)) | (whit_f64_bits(sign) >> 63 << 63));
}

/* 2^n for n in -1022..1023. */
static inline double f64_power2(int32_t n) { return whit_bits_f64((uint64_t)(n + 1023) << 52); }

/* x 2^n where one factor could overflow or be subnormal; the result is rounded once. */
static double f64_scale(double x, int32_t n) { return x * f64_power2(n / 2) * f64_power2(n - n / 2); }

static double f64_round(double x) {
  const double size = f64_abs(x);
  return size < 0x1p52 ? f64_sign_of((size + 0x1p52) - 0x1p52, x) : x;
}

static double f64_floor(double x) {
  const double r = f64_round(x);
  return r > x ? r - 1 : r;
}

static double f64_ceil(double x) { return -f64_floor(-x); }
static double f64_trunc(double x) { return f64_sign_of(f64_floor(f64_abs(x)), x); }

/* x y = result + *low exactly (Dekker), |x| and |y| below 2^996. */
static double f64_product(double x, double y, double *low) {
  const double p = x * y, x1 = x * 0x1.0000002p27, y1 = y * 0x1.0000002p27;
  const double xh = x1 - (x1 - x), yh = y1 - (y1 - y), xl = x - xh, yl = y - yh;
  *low = ((xh * yh - p) + xh * yl + xl * yh) + xl * yl;
  return p;
}

static double f64_polynomial(double x, const double *c, int32_t n) {
  double y = c[n - 1];
  for (n -= 2; n >= 0; n--) y = y * x + c[n];
  return y;
}
#define F64_POLYNOMIAL(x, c) f64_polynomial(x, c, (int32_t)(sizeof(c) / sizeof *(c)))

double whit_sqrt_f64(double x) {
#if defined __SSE2__
  typedef double pair __attribute__((vector_size(16)));
  return __builtin_ia32_sqrtsd((pair){ x, 0 })[0];
#elif defined __aarch64__
  __asm__("fsqrt %d0, %d1" : "=w"(x) : "w"(x)); /* the compilers' builtin may call sqrt to set errno */
  return x;
#else
  /* Bit by bit: the root r of a 106-bit number m, m - r^2 kept in rest. */
  if (!(x > 0) || x - x != 0) return x < 0 ? (x - x) / (x - x) : x;
  int32_t e = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    e = -54;
  }
  e += (int32_t)(whit_f64_bits(x) >> 52) - 1023;
  uint64_t m = (whit_f64_bits(x) & (UINT64_MAX >> 12)) | (uint64_t)1 << 52, root = 0, rest = 0;
  m <<= 10 + (e & 1); /* x = m 2^(e' - 62), e' even, so that two bits at a time come from the top */
  for (int32_t i = 0; i < 54; i++, m <<= 2) {
    rest = rest << 2 | m >> 62;
    root <<= 1;
    if (rest > 2 * root) {
      rest -= 2 * root + 1;
      root++;
    }
  }
  root = (root >> 1) + (root & 1); /* 54 bits to 53; a tie is impossible */
  return (double)root * f64_power2(((e - (e & 1)) / 2) - 52);
#endif
}

/* ---- exp and its kin ---------------------------------------------------------------------------- */

/* e^(x + low) = (1 + result) 2^*n, |x| < 2000. */
static double f64_exp_parts(double x, double low, int32_t *n) {
  static const double c[] = { 0.1666666666666668, 0.041666666666666366, 0.008333333333319278, 0.001388888888905893,
                              0.0001984126989180163, 2.4801586974564167e-05, 2.755723877401608e-06,
                              2.7557568707817697e-07, 2.5110842346621028e-08, 2.0825749497552427e-09 };
  const double k = f64_round(x * 1.4426950408889634);
  const double a = x - k * 0x1.62e42feep-1;                 /* exact: 32 and 11 bits */
  const double b = k * 0x1.a39ef35793c76p-33 - low;         /* ln 2 = 0x1.62e42fee00000p-1 + this */
  const double r = a - b, r_low = (a - r) - b;
  *n = (int32_t)k;
  return r + (r_low + r * r * (0.5 + r * F64_POLYNOMIAL(r, c)));
}

static double f64_exp(double x, double low) {
  int32_t n;
  if (x != x) return x;
  x = x > 710 ? 710 : x < -746 ? -746 : x;
  const double q = f64_exp_parts(x, low, &n);
  return f64_scale(1 + q, n);
}

double whit_exp_f64(double x) { return f64_exp(x, 0); }

static double f64_tanh(double x) {
  int32_t n;
  double e = 2 * f64_abs(x);
  if (e != e) return x;
  const double q = f64_exp_parts(e > 40 ? 40 : e, 0, &n), s = f64_power2(n);
  e = s * q + (s - 1); /* e^|2x| - 1 */
  return f64_sign_of(e / (e + 2), x);
}

static double f64_sigmoid(double x) {
  const double e = whit_exp_f64(-f64_abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/* Below 3 the series e^-xx (x + 2/3 x^3 + 4/15 x^5 ...), all terms of one sign; what xx lacks is the same in both
 * factors and all but cancels. Above, a continued fraction for 1 - erf. */
static double f64_erf(double x) {
  const double a = f64_abs(x);
  double low, sum = a;
  if (x != x) return x;
  if (a > 6) return f64_sign_of(1, x);
  const double xx = f64_product(a, a, &low);
  if (a < 3) {
    double term = a;
    for (double k = 3; term > sum * 0x1p-56; k += 2) {
      term *= 2 * xx / k;
      sum += term;
    }
    return f64_sign_of(f64_exp(-xx, 0) * sum * 1.1283791670955126, x);
  }
  for (double k = 20; k > 0; k -= 0.5) sum = a + k / sum;
  return f64_sign_of(1 - f64_exp(-xx, -low) / (sum * 1.7724538509055161), x);
}

/* ---- log and pow -------------------------------------------------------------------------------- */

/* log x = result + *low to about 2^-62 of it, for finite x > 0. log m = 2s + s^3 P(s^2) with s = (m - 1) / (m + 1).
 * */
static double f64_log_parts(double x, double *low) {
  static const double c[] = { 0.6666666666666666, 0.4000000000000492, 0.2857142856941222, 0.22222222606824327,
                              0.18181778365095702, 0.15386988490271308, 0.1325215518740987, 0.13234719094439704 };
  int32_t n = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    n = -54;
  }
  const uint64_t bits = whit_f64_bits(x);
  double m = whit_bits_f64((bits & (UINT64_MAX >> 12)) | (uint64_t)1023 << 52);
  n += (int32_t)(bits >> 52) - 1023;
  if (m > 1.4142135623730951) {
    m *= 0.5;
    n++;
  }
  const double f = m - 1, d = m + 1, d_low = m - (d - 1), s = f / d;
  double p_low;
  const double p = f64_product(s, d, &p_low), s_low = (((f - p) - p_low) - s * d_low) / d;
  const double k = n, a = k * 0x1.62e42feep-1, b = 2 * s; /* a exact as in f64_exp_parts */
  const double hi = a + b, t = hi - a, rounding = (a - (hi - t)) + (b - t), z = s * s;
  const double tail = rounding + (k * 0x1.a39ef35793c76p-33 + (2 * s_low + s * z * F64_POLYNOMIAL(z, c)));
  const double sum = hi + tail;
  *low = (hi - sum) + tail;
  return sum;
}

double whit_log_f64(double x) {
  double low;
  if (!(x > 0)) return x == 0 ? -1 / (x * x) : (x - x) / (x - x);
  return x - x == 0 ? f64_log_parts(x, &low) : x;
}

double whit_pow_f64(double x, double y) {
  const double size = f64_abs(x), y_size = f64_abs(y);
  const bool whole = f64_trunc(y) == y, odd = whole && y_size < 0x1p53 && f64_trunc(y * 0.5) != y * 0.5;
  double r;
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return x + y;
  if (y_size - y_size != 0) return size == 1 ? 1 : (size > 1) == (y > 0) ? y_size : 0;
  if (x < 0 && !whole && size - size == 0) return (x - x) / (x - x);
  if (size == 0 || size - size != 0) r = (size == 0) == (y < 0) ? F64_INFINITY : 0;
  else {
    double low, p_low = 0;
    const double l = f64_log_parts(size, &low);
    double p = y * l;
    if (f64_abs(p) < 800) {
      p = f64_product(y, l, &p_low);
      p_low += y * low;
    }
    r = f64_exp(p, p_low);
  }
  return odd && (x < 0 || whit_f64_bits(x) >> 63) ? -r : r;
}

/* ---- sin, cos, atan ----------------------------------------------------------------------------- */

/* |x| = (result + 4 i) pi/2 + *r, |*r| <= pi/4 (Payne, Hanek): x is an integer M times 2^e. The bits of 2/pi whose
 * products with it are multiples of 4 are left out, then 224 are taken: at least 138 of them count after the point.
 * */
static unsigned f64_quarter_turns(double x, double *r) {
  static const uint32_t two_over_pi[] = { 0, 0, /* 64 bits above the point */
    0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
    0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
    0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
    0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
    0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046
  };
  const uint64_t bits = whit_f64_bits(x), m = (bits & (UINT64_MAX >> 12)) | (uint64_t)1 << 52;
  const int32_t start = (int32_t)(bits >> 52) - 1023 - 52 - 2 + 64, up = start & 31;
  const uint32_t *w = two_over_pi + (start >> 5);
  const uint64_t mid = (m >> 32) << up;
  const uint64_t low = (m & UINT32_MAX) << up;
  const uint64_t upper = mid + (low >> 32);
  const uint32_t factor[] = { (uint32_t)low, (uint32_t)upper, (uint32_t)(upper >> 32) };
  uint32_t p[7] = { 0 };
  for (int32_t i = 0; i < 3; i++) {
    uint64_t carry = 0;
    for (int32_t k = i; k < 7; k++) {
      carry += (uint64_t)factor[i] * w[6 - k + i] + p[k];
      p[k] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  const uint64_t fraction = (uint64_t)p[6] << 34 | (uint64_t)p[5] << 2 | p[4] >> 30;
  const uint64_t rest = (uint64_t)p[4] << 34 | (uint64_t)p[3] << 2 | p[2] >> 30;
  *r = ((double)(int64_t)fraction * 0x1p-64 + (double)rest * 0x1p-128) * 1.5707963267948966;
  return (p[6] >> 30) + (unsigned)(fraction >> 63);
}

double whit_sin_f64(double x, int quarter_turns) {
  static const double s[] = { -0.1666666666666663, 0.00833333333332192, -0.0001984126982946132, 2.7557313583676396e-06,
                              -2.505074260129242e-08, 1.58959629337305e-10 };
  static const double c[] = { 0.041666666666666595, -0.0013888888888873353, 2.4801587289012355e-05,
                              -2.755731422056398e-07, 2.087570591758142e-09, -1.1358777449131692e-11 };
  unsigned turns = (unsigned)quarter_turns;
  if (x - x != 0) return x - x;
  double r = f64_abs(x);
  if (r > 0.7853981633974483) turns += f64_quarter_turns(r, &r) + (x < 0 && !quarter_turns ? 2 : 0);
  else if (!quarter_turns) r = x;
  const double z = r * r, half = 0.5 * z, w = 1 - half;
  const double y = turns & 1 ? w + (((1 - w) - half) + z * z * F64_POLYNOMIAL(z, c)) : r + r * z * F64_POLYNOMIAL(z, s);
  return turns & 2 ? -y : y;
}

static double f64_sin(double x) { return whit_sin_f64(x, 0); }
static double f64_cos(double x) { return whit_sin_f64(x, 1); }

/* atan a = base + atan t with |t| <= tan(pi/8). */
static double f64_atan(double x) {
  static const double c[] = { -0.333333333333332, 0.199999999999537, -0.14285714280203424, 0.11111110783722207,
                              -0.09090897764762296, 0.076920603460702, -0.06663105684984484, 0.05847902490567681,
                              -0.05039370341893896, 0.03806639203619725, -0.017909396596050006 };
  double t = f64_abs(x), base = 0;
  if (t > 2.414213562373095) {
    t = -1 / t;
    base = 1.5707963267948966;
  } else if (t > 0.41421356237309503) {
    t = (t - 1) / (t + 1);
    base = 0.7853981633974483;
  }
  const double z = t * t, low = base * 3.8981718325193755e-17; /* what base leaves out, relative to it */
  return f64_sign_of(base + (t + (t * z * F64_POLYNOMIAL(z, c) + low)), x);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

double whit_fmod_f64(double x, double y) {
  uint64_t a = whit_f64_bits(f64_abs(x)), b = whit_f64_bits(f64_abs(y));
  const uint64_t infinite = (uint64_t)0x7ff << 52, one = (uint64_t)1 << 52;
  if (a >= infinite || b > infinite || !b) return (x - x) / (x - x) + (y - y);
  if (a < b) return x;
  int32_t e = (int32_t)(a >> 52), to = (int32_t)(b >> 52);
  a = e ? (a & (one - 1)) | one : a;
  b = to ? (b & (one - 1)) | one : b;
  e -= e > 0; /* values are now a 2^(e - 1074) and b 2^(to - 1074) */
  to -= to > 0;
  a %= b;
  while (e > to && a) {
    const int32_t n = e - to < 11 ? e - to : 11;
    a = (a << n) % b;
    e -= n;
  }
  const double r = (double)a * whit_bits_f64(1) * f64_power2(to / 2) * f64_power2(to - to / 2); /* exact */
  return f64_sign_of(r, x);
}

static double f64_mod(double x, double y) {
  const double r = whit_fmod_f64(x, y);
  if (r == 0) return f64_sign_of(0, y);
  return (r < 0) != (y < 0) ? r + y : r;
}

/* To n_bits after the leading one; the exponent is at least e_min; beyond max is infinite. */
static double f64_round_to(double x, int32_t n_bits, int32_t e_min, double max) {
  const double size = f64_abs(x);
  if (!(size < 2 * max)) return x != x ? x : f64_sign_of(F64_INFINITY, x);
  int32_t e = (int32_t)(whit_f64_bits(size) >> 52) - 1023;
  e = e < e_min ? e_min : e;
  const double c = f64_power2(e - n_bits + 52), y = (size + c) - c; /* its last place is the one to round to */
  return f64_sign_of(y > max ? F64_INFINITY : y, x);
}

static double f64_round_f16(double x) { return f64_round_to(x, 10, -14, 65504); }
static double f64_round_bf16(double x) { return f64_round_to(x, 7, -126, 0x1.fep127); }

#define MICRO_WRITE(value) y[i] = (value)
#define MICRO_WIDE(name, value) case WHIT_MICRO_##name: MICRO_CASE(MICRO_HAS(name), 1, value)

#define MICRO_READ const double x = a[i], z = b[i], w = c[i]; (void)z, (void)w;
#define MICRO_HAS(name) WHIT_HAS_MICRO(F64, name)
void whit_micro_f64(unsigned op, double *y, const double *a, const double *b, const double *c, int32_t n) {
  int32_t i = 0;
  MICRO_BEGIN(1)
  switch (op) {
    MICRO_WIDE(neg, -x)
    MICRO_WIDE(abs, f64_abs(x))
    MICRO_WIDE(sign, x > 0 ? 1 : x < 0 ? -1 : x)
    MICRO_WIDE(not, x == 0)
    MICRO_WIDE(add, x + z)
    MICRO_WIDE(sub, x - z)
    MICRO_WIDE(mul, x * z)
    MICRO_WIDE(div, x / z)
    MICRO_WIDE(min, x != x || x < z ? x : z)
    MICRO_WIDE(max, x != x || x > z ? x : z)
    MICRO_WIDE(mod, f64_mod(x, z))
    MICRO_WIDE(fmod, whit_fmod_f64(x, z))
    MICRO_WIDE(eq, x == z)
    MICRO_WIDE(lt, x < z)
    MICRO_WIDE(le, x <= z)
    MICRO_WIDE(where, x != 0 ? z : w)
    MICRO_WIDE(pow, whit_pow_f64(x, z))
    MICRO_WIDE(is_nan, x != x)
    MICRO_WIDE(is_inf, whit_f64_bits(f64_abs(x)) == (uint64_t)0x7ff << 52)
    MICRO_WIDE(sqrt, whit_sqrt_f64(x))
    MICRO_WIDE(exp, whit_exp_f64(x))
    MICRO_WIDE(log, whit_log_f64(x))
    MICRO_WIDE(sin, f64_sin(x))
    MICRO_WIDE(cos, f64_cos(x))
    MICRO_WIDE(atan, f64_atan(x))
    MICRO_WIDE(tanh, f64_tanh(x))
    MICRO_WIDE(erf, f64_erf(x))
    MICRO_WIDE(sigmoid, f64_sigmoid(x))
    MICRO_WIDE(floor, f64_floor(x))
    MICRO_WIDE(ceil, f64_ceil(x))
    MICRO_WIDE(round, f64_round(x))
    MICRO_WIDE(trunc, f64_trunc(x))
    MICRO_WIDE(round_f16, f64_round_f16(x))
    MICRO_WIDE(round_bf16, f64_round_bf16(x))
    default: return;
  }
  MICRO_END
}
#undef MICRO_HAS
#undef MICRO_READ

void whit_micro_f32_slow(unsigned op, float *y, const float *a, const float *b, int32_t n) {
  double (*const f)(double, double) = WHIT_HAS_MICRO(F32, pow) && op == WHIT_MICRO_pow     ? whit_pow_f64
                                      : WHIT_HAS_MICRO(F32, fmod) && op == WHIT_MICRO_fmod ? whit_fmod_f64
                                                                                           : f64_mod;
  for (int32_t i = 0; i < n; i++) y[i] = (float)f((double)a[i], (double)b[i]);
}

/* ---- integers ----------------------------------------------------------------------------------- */

static int64_t i64_div(int64_t a, int64_t b) {
  if (b == 0 || b == -1) return b ? (int64_t)(0 - (uint64_t)a) : 0;
  return a / b;
}

static int64_t i64_fmod(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

static int64_t i64_mod(int64_t a, int64_t b) {
  const int64_t r = i64_fmod(a, b);
  return r && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t i64_pow(int64_t a, int64_t b) {
  uint64_t y = 1, x = (uint64_t)a, e = (uint64_t)b;
  if (b < 0) {
    if (a != 1 && a != -1) return 0;
    e &= 1;
  }
  for (; e; e >>= 1, x *= x)
    if (e & 1) y *= x;
  return (int64_t)y;
}

#define MICRO_UNSIGNED(name, value) MICRO_WIDE(name, (int64_t)(value))
#define MICRO_WRAP(name, type) MICRO_WIDE(wrap_##name, (type)x)

#define MICRO_READ                                                                      \
  const int64_t x = a[i], z = b[i], w = c[i];                                           \
  const uint64_t u = (uint64_t)x, v = (uint64_t)z;                                      \
  (void)w, (void)u, (void)v;
#define MICRO_HAS(name) (WHIT_MICRO_##name < 64 ? WHIT_HAS_MICRO(I64, name) : WHIT_HAS_MICRO(64, name))
void whit_micro_i64(unsigned op, int64_t *y, const int64_t *a, const int64_t *b, const int64_t *c, int32_t n) {
  int32_t i = 0;
  MICRO_BEGIN(1)
  switch (op) {
    MICRO_WIDE(neg, (int64_t)(0 - (uint64_t)x))
    MICRO_WIDE(abs, x < 0 ? (int64_t)(0 - (uint64_t)x) : x)
    MICRO_WIDE(sign, (x > 0) - (x < 0))
    MICRO_WIDE(not, !x)
    MICRO_UNSIGNED(add, u + v)
    MICRO_UNSIGNED(sub, u - v)
    MICRO_UNSIGNED(mul, u * v)
    MICRO_WIDE(div, i64_div(x, z))
    MICRO_WIDE(min, x < z ? x : z)
    MICRO_WIDE(max, x > z ? x : z)
    MICRO_WIDE(mod, i64_mod(x, z))
    MICRO_WIDE(fmod, i64_fmod(x, z))
    MICRO_WIDE(eq, x == z)
    MICRO_WIDE(lt, x < z)
    MICRO_WIDE(le, x <= z)
    MICRO_WIDE(where, x ? z : w)
    MICRO_WIDE(pow, i64_pow(x, z))
    MICRO_WIDE(and, x & z)
    MICRO_WIDE(or, x | z)
    MICRO_WIDE(xor, x ^ z)
    MICRO_WIDE(bitnot, ~x)
    MICRO_UNSIGNED(shl, v < 64 ? u << v : 0)
    MICRO_WIDE(shr, x >> ((uint64_t)z < 64 ? z : 63))
    MICRO_UNSIGNED(divu, v ? u / v : 0)
    MICRO_UNSIGNED(modu, v ? u % v : 0)
    MICRO_UNSIGNED(ltu, u < v)
    MICRO_UNSIGNED(leu, u <= v)
    MICRO_UNSIGNED(minu, u < v ? u : v)
    MICRO_UNSIGNED(maxu, u > v ? u : v)
    MICRO_UNSIGNED(shru, v < 64 ? u >> v : 0)
    MICRO_WRAP(i8, int8_t)
    MICRO_WRAP(u8, uint8_t)
    MICRO_WRAP(i16, int16_t)
    MICRO_WRAP(u16, uint16_t)
    MICRO_WRAP(i32, int32_t)
    MICRO_WRAP(u32, uint32_t)
    default: return;
  }
  MICRO_END
}
