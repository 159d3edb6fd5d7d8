/* cpu.c - which of the instruction sets that there are kernels for this processor and operating system have. Calls no libc, so that
 * a library without one (an Android app's) can hold this file too.
 *
 * arm64 (Linux, Android, iOS, macOS): NEON is part of the architecture and nothing else is used, so there is nothing to read.
 * x86-64: the processor's own words. 32-bit ARM: only the operating system may read them. */
#include "whit_platform.h"

#if defined(__aarch64__)
uint32_t whit_cpu_features(void) { return WHIT_CPU_NEON; }

#elif defined(__x86_64__)
#include <cpuid.h>

/* c1: ecx of leaf 1; b7: ebx of leaf 7; xcr0: registers that the operating system keeps when it switches between programs. */
static uint32_t cpu_of_words(uint32_t c1, uint32_t b7, uint32_t xcr0) {
  enum { FMA = 1 << 12, AVX = 1 << 28, F16C = 1 << 29, AVX2 = 1 << 5 };
  const uint32_t lower = FMA | AVX | F16C, avx512 = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */;
  if ((c1 & lower) != lower || !(b7 & AVX2) || (xcr0 & 0x6) != 0x6) return 0;
  return WHIT_CPU_AVX2 | ((b7 & avx512) == avx512 && (xcr0 & 0xe6) == 0xe6 ? WHIT_CPU_AVX512 : 0);
}

uint32_t whit_cpu_features(void) {
  uint32_t a, b, c1, d, b7, c, low, high;
  if (!__get_cpuid(1, &a, &b, &c1, &d) || !(c1 & 1u << 27 /* xgetbv is there */) || !__get_cpuid_count(7, 0, &a, &b7, &c, &d)) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return cpu_of_words(c1, b7, low);
}

#elif defined(__arm__) && defined(__linux__)
static long cpu_call(long number, long a, const void *b, long c) {
  register long r0 __asm__("r0") = a, r2 __asm__("r2") = c;
  register const void *r1 __asm__("r1") = b;
  __asm__ volatile("mov ip, r7\n\tmov r7, %1\n\tsvc #0\n\tmov r7, ip" /* Thumb's frame pointer */
                   : "+r"(r0) : "r"(number), "r"(r1), "r"(r2) : "ip", "memory");
  return r0;
}

/* The first n_bytes of a file, or as many as it has; none if it cannot be read. */
static uint32_t cpu_file(const char *path, void *bytes, uint32_t n_bytes) {
  enum { READ = 3, CLOSE = 6, OPENAT = 322, HERE = -100, CLOEXEC = 02000000 };
  uint32_t at = 0;
  const long file = cpu_call(OPENAT, HERE, path, CLOEXEC);
  if (file < 0) return 0;
  for (long n; at < n_bytes && (n = cpu_call(READ, file, (char *)bytes + at, (long)(n_bytes - at))) > 0;) at += (uint32_t)n;
  cpu_call(CLOSE, file, NULL, 0);
  return at;
}

/* NEON and VFPv4 (fused multiply-add) of AT_HWCAP; pairs of a number and a value. */
static uint32_t cpu_of_auxv(const uint32_t *pairs, uint32_t n_pairs) {
  enum { HWCAP = 16, NEON = 1 << 12, VFPV4 = 1 << 16 };
  for (uint32_t k = 0; k < n_pairs; k++)
    if (pairs[2 * k] == HWCAP) return (pairs[2 * k + 1] & (NEON | VFPV4)) == (NEON | VFPV4) ? WHIT_CPU_NEON : 0;
  return 0;
}

static int cpu_has_word(const char *text, uint32_t n, const char *word) {
  for (uint32_t at = 0, k = 0; at < n; at++) {
    k = text[at] == word[k] ? k + 1 : text[at] == word[0];  /* a word begins with a space, and has no other */
    if (!word[k] && at + 1 < n && (text[at + 1] == ' ' || text[at + 1] == '\n')) return 1;
    if (!word[k]) k = 0;
  }
  return 0;
}

/* What Linux says of the first core. */
static uint32_t cpu_of_text(const char *text, uint32_t n) {
  return cpu_has_word(text, n, " neon") && cpu_has_word(text, n, " vfpv4") ? WHIT_CPU_NEON : 0;
}

/* Apps that cannot be debugged may not read their own auxv on some versions of Android. */
uint32_t whit_cpu_features(void) {
  uint32_t bytes[512], n = cpu_file("/proc/self/auxv", bytes, sizeof bytes);
  if (n) return cpu_of_auxv(bytes, n / 8);
  n = cpu_file("/proc/cpuinfo", bytes, sizeof bytes);
  return cpu_of_text((const char *)bytes, n);
}

#else
uint32_t whit_cpu_features(void) { return 0; }
#endif
