/* soft.c (test) - arithmetic of runtime_c/src/soft.c beside the machine's own, on edge cases and random bits. Prints ok. */
#define WHIT_SOFT_TEST
#include "../../runtime_c/src/soft.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;
static uint64_t noise(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state;
}

static double d(uint64_t x) { double y; memcpy(&y, &x, 8); return y; }
static float f(uint32_t x) { float y; memcpy(&y, &x, 4); return y; }
static uint64_t du(double x) { uint64_t y; memcpy(&y, &x, 8); return y; }
static uint32_t fu(float x) { uint32_t y; memcpy(&y, &x, 4); return y; }

static void say(const char *what, uint64_t a, uint64_t b, uint64_t got, uint64_t want) {
  fprintf(stderr, "%s(%016llx, %016llx) is %016llx, not %016llx\n", what, (unsigned long long)a, (unsigned long long)b,
          (unsigned long long)got, (unsigned long long)want);
  exit(1);
}

/* A NaN's sign and payload are the machine's own affair. */
static void same64(const char *what, uint64_t a, uint64_t b, uint64_t got, double want) {
  if (got != du(want) && !(soft_is_nan(got) && want != want)) say(what, a, b, got, du(want));
}
static void same32(const char *what, uint64_t a, uint32_t got, float want) {
  if (got != fu(want) && !(f(got) != f(got) && want != want)) say(what, a, 0, got, fu(want));
}
static void equal(const char *what, uint64_t a, uint64_t b, uint64_t got, uint64_t want) {
  if (got != want) say(what, a, b, got, want);
}

static void pair(uint64_t a, uint64_t b) {
  const volatile double x = d(a), y = d(b);
  same64("dadd", a, b, __aeabi_dadd(a, b), x + y);
  same64("dsub", a, b, __aeabi_dsub(a, b), x - y);
  same64("drsub", a, b, __aeabi_drsub(a, b), y - x);
  same64("dmul", a, b, __aeabi_dmul(a, b), x * y);
  same64("ddiv", a, b, __aeabi_ddiv(a, b), x / y);
  equal("dcmpeq", a, b, (uint64_t)__aeabi_dcmpeq(a, b), x == y);
  equal("dcmplt", a, b, (uint64_t)__aeabi_dcmplt(a, b), x < y);
  equal("dcmple", a, b, (uint64_t)__aeabi_dcmple(a, b), x <= y);
  equal("dcmpgt", a, b, (uint64_t)__aeabi_dcmpgt(a, b), x > y);
  equal("dcmpge", a, b, (uint64_t)__aeabi_dcmpge(a, b), x >= y);
  equal("dcmpun", a, b, (uint64_t)__aeabi_dcmpun(a, b), x != x || y != y);
  const uint32_t n = b & 63;
  equal("llsl", a, n, __aeabi_llsl(a, n), a << n);
  equal("llsr", a, n, __aeabi_llsr(a, n), a >> n);
  equal("lasr", a, n, __aeabi_lasr(a, n), (uint64_t)((int64_t)a >> n));
  /* n = q d + rest, rest < d, defines a division. */
  uint64_t rest, q = soft_divide_unsigned(a, b, &rest);
  if (b && (q * b + rest != a || rest >= b)) say("uldivmod", a, b, q, rest);
  if (!b) return;
  const int64_t sa = (int64_t)a, sb = (int64_t)b;
  q = soft_divide_signed(a, b, &rest);
  const int64_t sr = (int64_t)rest;
  const uint64_t size = sr < 0 ? 0 - rest : rest, limit = sb < 0 ? 0 - b : b;
  if (q * b + rest != a || size >= limit || (sr && (sr < 0) != (sa < 0))) say("ldivmod", a, b, q, rest);
#ifdef __arm__ /* by the compiler's own calls, which come here */
  equal("/", a, b, a / b, soft_divide_unsigned(a, b, &rest));
  equal("%", a, b, a % b, rest);
  if (sa != INT64_MIN || sb != -1) {
    equal("signed /", a, b, (uint64_t)(sa / sb), soft_divide_signed(a, b, &rest));
    equal("signed %", a, b, (uint64_t)(sa % sb), rest);
  }
  const volatile uint32_t na = (uint32_t)a, nb = (uint32_t)b;
  if (nb) {
    equal("32-bit /", na, nb, na / nb, soft_divide_unsigned(na, nb, &rest));
    equal("32-bit %", na, nb, na % nb, rest);
    const volatile int32_t ia = (int32_t)na, ib = (int32_t)nb;
    if (ia != INT32_MIN || ib != -1) {
      equal("signed 32-bit /", na, nb, (uint64_t)(ia / ib), soft_divide_signed((uint64_t)ia, (uint64_t)ib, &rest));
      equal("signed 32-bit %", na, nb, (uint64_t)(ia % ib), rest);
    }
  }
#endif
}

static void one(uint64_t a) {
  same32("d2f", a, __aeabi_d2f(a), (float)d(a));
  same64("f2d", a, 0, __aeabi_f2d((uint32_t)a), (double)f((uint32_t)a));
  same64("i2d", a, 0, __aeabi_i2d((int32_t)a), (double)(int32_t)a);
  same64("ui2d", a, 0, __aeabi_ui2d((uint32_t)a), (double)(uint32_t)a);
  for (uint64_t x = a; x; x >>= 7) {
    /* In two exact parts: where this runs on ARM a plain conversion would be the code under test. */
    const double high = (double)(uint32_t)(x >> 32) * 0x1p32, low = (double)(uint32_t)x;
    same64("ul2d", x, 0, __aeabi_ul2d(x), high + low);
    same64("l2d", x, 0, __aeabi_l2d(x), (double)(int32_t)(x >> 32) * 0x1p32 + low);
#ifndef __arm__
    same32("ul2f", x, __aeabi_ul2f(x), (float)x);
    same32("l2f", x, __aeabi_l2f(x), (float)(int64_t)x);
#endif
  }
  const double x = d(a);
  const float y = f((uint32_t)a);
#ifndef __arm__
  if (x > -0x1p63 && x < 0x1p63) equal("d2lz", a, 0, __aeabi_d2lz(a), (uint64_t)(int64_t)x);
  if (x > -1 && x < 0x1p64) equal("d2ulz", a, 0, __aeabi_d2ulz(a), (uint64_t)x);
  if (y > -0x1p63f && y < 0x1p63f) equal("f2lz", a, 0, __aeabi_f2lz((uint32_t)a), (uint64_t)(int64_t)y);
  if (y > -1 && y < 0x1p64f) equal("f2ulz", a, 0, __aeabi_f2ulz((uint32_t)a), (uint64_t)y);
#endif
  if (x > -0x1p31 && x < 0x1p31) equal("d2iz", a, 0, __aeabi_d2iz(a), (uint32_t)(int32_t)x);
  if (x > -1 && x < 0x1p32) equal("d2uiz", a, 0, __aeabi_d2uiz(a), (uint32_t)x);
  (void)y;
}

int main(int argc, char **argv) {
  static const uint64_t edge[] = {
    0, 1, 2, 3, 0xffffffff, 0x100000000, 0x000fffffffffffff, 0x0010000000000000, 0x0010000000000001, 0x3690000000000000,
    0x36a0000000000000, 0x380fffffe0000000, 0x3810000000000000, 0x3fefffffffffffff, 0x3ff0000000000000, 0x3ff0000000000001,
    0x3ff0000010000000, 0x3ff0000030000000, 0x43dfffffffffffff, 0x43e0000000000000, 0x43efffffffffffff, 0x47efffffe0000000,
    0x47effffff0000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000, 0x7fffffffffffffff };
  enum { N = sizeof edge / sizeof *edge };
  for (int i = 0; i < 2 * N; i++) {
    const uint64_t a = edge[i / 2] | (uint64_t)(i & 1) << 63;
    one(a);
    for (int k = 0; k < 2 * N; k++) pair(a, edge[k / 2] | (uint64_t)(k & 1) << 63);
  }
  const long n = argc > 1 ? atol(argv[1]) : 1000000;
  for (long i = 0; i < n; i++) {
    const uint64_t a = noise(), far = noise(), near = (far >> 12) | (((a >> 52) + (far & 127) - 64) & 0xfff) << 52;
    pair(a, far);
    pair(a, near);                                  /* exponents close enough for the digits to meet */
    pair(a, a ^ (far & 7));                         /* most digits cancel */
    pair(a & 0x801fffffffffffff, near & 0xbfffffffffffffff); /* subnormal */
    pair(a, near >> (far & 63));
    one(a);
    one((a & 0x800fffffffffffff) | (0x340 + (far & 0x1ff)) << 52); /* in reach of floats and integers */
    one(a >> (far & 63));
  }
  puts("ok");
  return 0;
}
