/* memory.c - what compilers call unasked: struct copies and zeroed arrays become calls of these. First in the amalgamation, so that
 * the assembler binds the calls here and the library has no undefined symbol. */
#include "internal.h"

#ifndef __cplusplus             /* whose programs have a libc, and whose names are not those that compilers call */
#define WHIT_LOCAL static __attribute__((used, noinline))
#define WHIT_BARRIER __asm__ volatile("" ::: "memory") /* keeps the loop from becoming a call of itself */

WHIT_LOCAL void *memcpy(void *restrict dst, const void *restrict src, size_t n) {
  uint8_t *d = (uint8_t *)dst;
  const uint8_t *s = src;
  for (; n >= 16; n -= 16, d += 16, s += 16) {
    __builtin_memcpy(d, s, 8);
    __builtin_memcpy(d + 8, s + 8, 8);
    WHIT_BARRIER;
  }
  for (; !WHIT_SMALL && n >= 4; n -= 4, d += 4, s += 4) {
    __builtin_memcpy(d, s, 4);
    WHIT_BARRIER;
  }
  for (; n; n--) {
    *d++ = *s++;
    WHIT_BARRIER;
  }
  return dst;
}

WHIT_LOCAL void *memmove(void *dst, const void *src, size_t n) {
  uint8_t *d = (uint8_t *)dst;
  const uint8_t *s = src;
  if ((uintptr_t)d - (uintptr_t)s >= n) return memcpy(dst, src, n);
  while (n--) {
    d[n] = s[n];
    WHIT_BARRIER;
  }
  return dst;
}

static void memory_fill(void *dst, size_t n, int value) {
  uint8_t *d = (uint8_t *)dst;
  const uint64_t v = (uint8_t)value * 0x0101010101010101u;
  for (; n >= 8; n -= 8, d += 8) {
    __builtin_memcpy(d, &v, 8);
    WHIT_BARRIER;
  }
  for (; n; n--) {
    *d++ = (uint8_t)value;
    WHIT_BARRIER;
  }
}

/* The names below call the loop above and not one another: a compiler would make one of them out of any other. */
WHIT_LOCAL void *memset(void *dst, int value, size_t n) {
  memory_fill(dst, n, value);
  return dst;
}

#ifdef __arm__ /* clang's names there; the digit is an alignment that dst and src have */
#define MEMORY_ARM(suffix)                                                                                    \
  WHIT_LOCAL void __aeabi_memcpy##suffix(void *dst, const void *src, size_t n) { memcpy(dst, src, n); }        \
  WHIT_LOCAL void __aeabi_memmove##suffix(void *dst, const void *src, size_t n) { memmove(dst, src, n); }      \
  WHIT_LOCAL void __aeabi_memset##suffix(void *dst, size_t n, int value) { memory_fill(dst, n, value); }       \
  WHIT_LOCAL void __aeabi_memclr##suffix(void *dst, size_t n) { memory_fill(dst, n, 0); }
MEMORY_ARM()
MEMORY_ARM(4)
MEMORY_ARM(8)
#elif defined __APPLE__ && defined __x86_64__
WHIT_LOCAL void __bzero(void *dst, size_t n) { memory_fill(dst, n, 0); }
#elif defined __APPLE__
WHIT_LOCAL void bzero(void *dst, size_t n) { memory_fill(dst, n, 0); }
#endif
#endif
