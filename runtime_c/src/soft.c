/* soft.c - arithmetic that a 32-bit processor lacks and its compilers call instead: 64-bit division, conversions between 64-bit
 * integers and floats; on ARM without a divider 32-bit division; on cores with a single-precision unit everything on doubles.
 * As in memory.c, the assembler binds the calls here. Numbers are passed as the integers that hold their bits, which is the
 * convention of these calls on ARM, so that the same code can be tested on any machine. Rounded to nearest, half to
 * even; NaN in, quiet NaN out. What nothing calls is left out by the linker. */
#include "internal.h"

#ifndef __cplusplus /* whose programs link a compiler's library */

#if defined __arm__ || defined __i386__ || defined WHIT_SOFT_TEST
/* gcc makes a name that it calls by itself a global one; weak and hidden it stands in no library's way, and is not exported. */
#if defined __clang__ || defined WHIT_SOFT_TEST
#define SOFT_LOCAL(name)
#else
#define SOFT_LOCAL(name) __asm__(".weak " name "\n\t.hidden " name);
#endif
#define SOFT(type, name) SOFT_LOCAL(#name) static __attribute__((used, noinline)) type name

/* ---- shifts of 64 bits by 0 to 63, in words: clang calls for them where code is to be small ---- */

#ifdef __i386__
#define SOFT_LEFT __ashldi3
#define SOFT_RIGHT __lshrdi3
#define SOFT_SIGNED_RIGHT __ashrdi3
#else
#define SOFT_LEFT __aeabi_llsl
#define SOFT_RIGHT __aeabi_llsr
#define SOFT_SIGNED_RIGHT __aeabi_lasr
#endif
#define SOFT_NAMED(type, name) SOFT(type, name)

static uint64_t soft_words(uint32_t high, uint32_t low) { return (uint64_t)high << 32 | low; }

SOFT_NAMED(uint64_t, SOFT_LEFT)(uint64_t x, uint32_t n) {
  const uint32_t high = (uint32_t)(x >> 32), low = (uint32_t)x;
  if (n > 31) return soft_words(low << (n - 32), 0);
  return n ? soft_words(high << n | low >> (32 - n), low << n) : x;
}
SOFT_NAMED(uint64_t, SOFT_RIGHT)(uint64_t x, uint32_t n) {
  const uint32_t high = (uint32_t)(x >> 32), low = (uint32_t)x;
  if (n > 31) return high >> (n - 32);
  return n ? soft_words(high >> n, high << (32 - n) | low >> n) : x;
}
SOFT_NAMED(uint64_t, SOFT_SIGNED_RIGHT)(uint64_t x, uint32_t n) {
  const int32_t high = (int32_t)(x >> 32);
  const uint32_t low = (uint32_t)x;
  if (n > 31) return soft_words((uint32_t)(high >> 31), (uint32_t)(high >> (n - 32)));
  return n ? soft_words((uint32_t)(high >> n), (uint32_t)high << (32 - n) | low >> n) : x;
}

static uint64_t soft_divide(uint64_t n, uint64_t d, uint64_t *rest) {
  uint64_t q = 0;
  if (d && n >= d) {
    int s = __builtin_clzll(d) - __builtin_clzll(n);
    for (d <<= s; s >= 0; s--, d >>= 1) {
      q <<= 1;
      if (n >= d) n -= d, q |= 1;
    }
  }
  *rest = n;
  return q;
}

/* The rest has the sign of n. */
static __attribute__((used, noinline)) uint64_t soft_divide_signed(uint64_t n, uint64_t d, uint64_t *rest) {
  const uint64_t sn = 0 - (n >> 63), sd = 0 - (d >> 63);
  const uint64_t q = soft_divide((n ^ sn) - sn, (d ^ sd) - sd, rest);
  *rest = (*rest ^ sn) - sn;
  return (q ^ sn ^ sd) - (sn ^ sd);
}
static __attribute__((used, noinline)) uint64_t soft_divide_unsigned(uint64_t n, uint64_t d, uint64_t *rest) { return soft_divide(n, d, rest); }
#endif

#ifdef __i386__
SOFT(uint64_t, __udivdi3)(uint64_t n, uint64_t d) { return soft_divide_unsigned(n, d, &(uint64_t){ 0 }); }
SOFT(uint64_t, __divdi3)(uint64_t n, uint64_t d) { return soft_divide_signed(n, d, &(uint64_t){ 0 }); }
SOFT(uint64_t, __udivmoddi4)(uint64_t n, uint64_t d, uint64_t *rest) { return soft_divide_unsigned(n, d, rest); }
SOFT(uint64_t, __divmoddi4)(uint64_t n, uint64_t d, uint64_t *rest) { return soft_divide_signed(n, d, rest); }
SOFT(uint64_t, __umoddi3)(uint64_t n, uint64_t d) {
  uint64_t rest;
  soft_divide_unsigned(n, d, &rest);
  return rest;
}
SOFT(uint64_t, __moddi3)(uint64_t n, uint64_t d) {
  uint64_t rest;
  soft_divide_signed(n, d, &rest);
  return rest;
}
#endif

#ifdef __arm__
/* Quotient in r0 r1, rest in r2 r3: no C function returns that. */
#define SOFT_DIVMOD(name, divide)                                                                             \
  SOFT_LOCAL(#name) static __attribute__((used, naked)) void name(void) {                                               \
    __asm__("push {r4, lr}\n\tsub sp, sp, #16\n\tadd r4, sp, #8\n\tstr r4, [sp]\n\tbl " #divide "\n\t"        \
            "ldr r2, [sp, #8]\n\tldr r3, [sp, #12]\n\tadd sp, sp, #16\n\tpop {r4, pc}");                      \
  }
SOFT_DIVMOD(__aeabi_uldivmod, soft_divide_unsigned)
SOFT_DIVMOD(__aeabi_ldivmod, soft_divide_signed)

#ifndef __ARM_FEATURE_IDIV
/* Quotient in r0, rest in r1. */
SOFT(uint64_t, __aeabi_uidivmod)(uint32_t n, uint32_t d) {
  uint32_t q = 0;
  if (d && n >= d) {
    int s = __builtin_clz(d) - __builtin_clz(n);
    for (d <<= s; s >= 0; s--, d >>= 1) {
      q <<= 1;
      if (n >= d) n -= d, q |= 1;
    }
  }
  return (uint64_t)n << 32 | q;
}
SOFT(uint64_t, __aeabi_idivmod)(uint32_t n, uint32_t d) {
  const uint32_t sn = 0 - (n >> 31), sd = 0 - (d >> 31);
  const uint64_t both = __aeabi_uidivmod((n ^ sn) - sn, (d ^ sd) - sd);
  const uint32_t q = (uint32_t)both, rest = (uint32_t)(both >> 32);
  return (uint64_t)((rest ^ sn) - sn) << 32 | ((q ^ sn ^ sd) - (sn ^ sd));
}
SOFT(uint32_t, __aeabi_uidiv)(uint32_t n, uint32_t d) { return (uint32_t)__aeabi_uidivmod(n, d); }
SOFT(uint32_t, __aeabi_idiv)(uint32_t n, uint32_t d) { return (uint32_t)__aeabi_idivmod(n, d); }
#endif
#endif

#if defined __arm__ || defined WHIT_SOFT_TEST
#define SOFT_SIGN ((uint64_t)1 << 63)
#define SOFT_INF ((uint64_t)0x7ff << 52)
#define SOFT_QUIET ((uint64_t)1 << 51)

/* The bits, without sign, of m * 2^e rounded to a float of so many binary digits: 53 of a double, 24 of a float. The last bit of
 * an m that came out longer stands for all that were cut. */
static __attribute__((used, noinline)) uint64_t soft_pack(uint64_t m, int32_t e, int32_t digits) {
  if (!m) return 0;
  const int32_t n_cut = 64 - digits, bias = digits == 53 ? 1023 : 127, s = __builtin_clzll(m);
  m <<= s;
  e += 63 - s + bias;
  if (e > 2 * bias) return (uint64_t)(2 * bias + 1) << (digits - 1);
  if (e < 1) {
    const int32_t down = 1 - e < 63 ? 1 - e : 63;
    m = m >> down | (m << (64 - down) != 0);
    e = 1;
  }
  const uint64_t half = (uint64_t)1 << (n_cut - 1), cut = m & (2 * half - 1);
  m >>= n_cut;
  m += cut > half || (cut == half && (m & 1));
  return ((uint64_t)(e - 1) << (digits - 1)) + m; /* a carry goes into the exponent, as it should */
}

static int32_t soft_exponent(uint64_t x) { return (int32_t)(x >> 52) & 0x7ff; }

/* A finite double is *m * 2^result. */
static int32_t soft_open(uint64_t x, uint64_t *m) {
  const int32_t e = soft_exponent(x);
  *m = (x & (SOFT_QUIET * 2 - 1)) | (e ? SOFT_QUIET * 2 : 0);
  return (e ? e : 1) - 1075;
}

/* ---- conversions ---- */

SOFT(uint64_t, __aeabi_ul2d)(uint64_t x) { return soft_pack(x, 0, 53); }
SOFT(uint32_t, __aeabi_ul2f)(uint64_t x) { return (uint32_t)soft_pack(x, 0, 24); }
SOFT(uint64_t, __aeabi_l2d)(uint64_t x) { return x >> 63 ? soft_pack(0 - x, 0, 53) | SOFT_SIGN : soft_pack(x, 0, 53); }
SOFT(uint32_t, __aeabi_l2f)(uint64_t x) {
  return (uint32_t)(x >> 63 ? soft_pack(0 - x, 0, 24) | SOFT_SIGN >> 32 : soft_pack(x, 0, 24));
}

/* Towards zero; out of range is the caller's mistake. */
SOFT(uint64_t, __aeabi_d2ulz)(uint64_t x) {
  uint64_t m;
  const int32_t e = soft_open(x, &m);
  return e > 11 || e < -63 ? 0 : e < 0 ? m >> -e : m << e;
}
SOFT(uint64_t, __aeabi_d2lz)(uint64_t x) {
  const uint64_t m = __aeabi_d2ulz(x & ~SOFT_SIGN);
  return x & SOFT_SIGN ? 0 - m : m;
}

SOFT(uint64_t, __aeabi_f2d)(uint32_t x) {
  const uint64_t sign = (uint64_t)(x >> 31) << 63, m = x & 0x7fffff;
  const int32_t e = (int32_t)(x >> 23) & 0xff;
  if (e == 0xff) return sign | SOFT_INF | (m ? m << 29 | SOFT_QUIET : 0);
  return sign | soft_pack(e ? m | 0x800000 : m, (e ? e : 1) - 150, 53);
}
SOFT(uint64_t, __aeabi_f2ulz)(uint32_t x) { return __aeabi_d2ulz(__aeabi_f2d(x)); }
SOFT(uint64_t, __aeabi_f2lz)(uint32_t x) { return __aeabi_d2lz(__aeabi_f2d(x)); }
#endif

#if (defined __arm__ && !(__ARM_FP & 8)) || defined WHIT_SOFT_TEST
/* soft_open with the highest bit of m set; it is not 0. */
static int32_t soft_open_high(uint64_t x, uint64_t *m) {
  const int32_t e = soft_open(x, m), s = __builtin_clzll(*m);
  *m <<= s;
  return e - s;
}

static int soft_is_nan(uint64_t x) { return (x & ~SOFT_SIGN) > SOFT_INF; }
static uint64_t soft_nan_of(uint64_t a, uint64_t b) { return (soft_is_nan(a) ? a : b) | SOFT_QUIET; }

SOFT(uint64_t, __aeabi_i2d)(int32_t x) { return __aeabi_l2d((uint64_t)(int64_t)x); }
SOFT(uint64_t, __aeabi_ui2d)(uint32_t x) { return __aeabi_ul2d(x); }
SOFT(uint32_t, __aeabi_d2iz)(uint64_t x) { return (uint32_t)__aeabi_d2lz(x); }
SOFT(uint32_t, __aeabi_d2uiz)(uint64_t x) { return (uint32_t)__aeabi_d2ulz(x); }

SOFT(uint32_t, __aeabi_d2f)(uint64_t x) {
  uint64_t m;
  const int32_t e = soft_open(x, &m);
  const uint32_t sign = (uint32_t)(x >> 63) << 31;
  if (soft_exponent(x) == 0x7ff)
    return sign | 0x7f800000 | (soft_is_nan(x) ? 0x400000 | (uint32_t)(x >> 29 & 0x3fffff) : 0);
  return sign | (uint32_t)soft_pack(m, e, 24);
}

/* ---- + - * / ---- */

SOFT(uint64_t, __aeabi_dadd)(uint64_t a, uint64_t b) {
  if ((a & ~SOFT_SIGN) < (b & ~SOFT_SIGN)) {
    const uint64_t other = a;
    a = b;
    b = other;
  }
  const uint64_t sign = a & SOFT_SIGN, differ = (a ^ b) & SOFT_SIGN;
  if (soft_exponent(a) == 0x7ff) { /* inf - inf is NaN */
    if (soft_is_nan(a)) return a | SOFT_QUIET;
    return differ && soft_exponent(b) == 0x7ff ? SOFT_INF | SOFT_QUIET : a;
  }
  uint64_t ma, mb;
  const int32_t ea = soft_open(a, &ma), down = ea - soft_open(b, &mb);
  ma <<= 10; /* ten digits more than are kept: enough to round by, with the last one standing for the rest */
  mb <<= 10;
  if (down > 63)
    mb = mb != 0;
  else if (down)
    mb = mb >> down | (mb << (64 - down) != 0);
  ma = differ ? ma - mb : ma + mb;
  if (!ma) return differ ? 0 : sign;
  return sign | soft_pack(ma, ea - 10, 53);
}
SOFT(uint64_t, __aeabi_dsub)(uint64_t a, uint64_t b) { return __aeabi_dadd(a, b ^ SOFT_SIGN); }
SOFT(uint64_t, __aeabi_drsub)(uint64_t a, uint64_t b) { return __aeabi_dadd(a ^ SOFT_SIGN, b); }

SOFT(uint64_t, __aeabi_dmul)(uint64_t a, uint64_t b) {
  const uint64_t sign = (a ^ b) & SOFT_SIGN, pa = a & ~SOFT_SIGN, pb = b & ~SOFT_SIGN;
  if (pa >= SOFT_INF || pb >= SOFT_INF) {
    if (soft_is_nan(a) || soft_is_nan(b)) return soft_nan_of(a, b);
    return pa && pb ? sign | SOFT_INF : SOFT_INF | SOFT_QUIET; /* inf * 0 */
  }
  if (!pa || !pb) return sign;
  uint64_t x, y;
  const int32_t e = soft_open_high(a, &x) + soft_open_high(b, &y);
  const uint64_t xl = (uint32_t)x, xh = x >> 32, yl = (uint32_t)y, yh = y >> 32;
  const uint64_t low = xl * yl, middle = xh * yl + (low >> 32), cross = xl * yh + (uint32_t)middle;
  const uint64_t high = xh * yh + (middle >> 32) + (cross >> 32);
  return sign | soft_pack(high | ((uint32_t)low || (uint32_t)cross), e + 64, 53);
}

SOFT(uint64_t, __aeabi_ddiv)(uint64_t a, uint64_t b) {
  const uint64_t sign = (a ^ b) & SOFT_SIGN, pa = a & ~SOFT_SIGN, pb = b & ~SOFT_SIGN;
  if (soft_is_nan(a) || soft_is_nan(b)) return soft_nan_of(a, b);
  if (pa == pb && (!pa || pa == SOFT_INF)) return SOFT_INF | SOFT_QUIET;
  if (pa == SOFT_INF || !pb) return sign | SOFT_INF;
  if (!pa || pb == SOFT_INF) return sign;
  uint64_t rest, d, q = 0;
  const int32_t e = soft_open_high(a, &rest) - soft_open_high(b, &d);
  rest >>= 1;
  d >>= 1;
  for (int k = 0; k < 60; k++, rest <<= 1) {
    q <<= 1;
    if (rest >= d) rest -= d, q |= 1;
  }
  return sign | soft_pack(q | (rest != 0), e - 59, 53);
}

/* ---- comparisons ---- */

static int64_t soft_place(uint64_t x) { return x & SOFT_SIGN ? -(int64_t)(x & ~SOFT_SIGN) : (int64_t)x; }
SOFT(int, __aeabi_dcmpun)(uint64_t a, uint64_t b) { return soft_is_nan(a) || soft_is_nan(b); }
SOFT(int, __aeabi_dcmpeq)(uint64_t a, uint64_t b) { return !__aeabi_dcmpun(a, b) && soft_place(a) == soft_place(b); }
SOFT(int, __aeabi_dcmplt)(uint64_t a, uint64_t b) { return !__aeabi_dcmpun(a, b) && soft_place(a) < soft_place(b); }
SOFT(int, __aeabi_dcmple)(uint64_t a, uint64_t b) { return !__aeabi_dcmpun(a, b) && soft_place(a) <= soft_place(b); }
SOFT(int, __aeabi_dcmpgt)(uint64_t a, uint64_t b) { return __aeabi_dcmplt(b, a); }
SOFT(int, __aeabi_dcmpge)(uint64_t a, uint64_t b) { return __aeabi_dcmple(b, a); }
#endif
#endif
