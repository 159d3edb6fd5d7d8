/* system.h - what the library for Android asks Linux for: memory, the time, and sleep. Straight from the kernel, so that the library
 * needs no other one. All of these calls are among those that Android lets apps make. */
#ifndef WHIT_SYSTEM_H
#define WHIT_SYSTEM_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#if defined __aarch64__
enum { SYS_MMAP = 222, SYS_MUNMAP = 215, SYS_FUTEX = 98, SYS_CLOCK = 113, SYS_YIELD = 124 };
static inline long system_call(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d,
       x4 __asm__("x4") = e, x5 __asm__("x5") = f;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
  return x0;
}
#elif defined __x86_64__
enum { SYS_MMAP = 9, SYS_MUNMAP = 11, SYS_FUTEX = 202, SYS_CLOCK = 228, SYS_YIELD = 24 };
static inline long system_call(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return n;
}
#elif defined __arm__
enum { SYS_MMAP = 192, SYS_MUNMAP = 91, SYS_FUTEX = 240, SYS_CLOCK = 263, SYS_YIELD = 158 };
/* r7 holds the number, and may be Thumb's frame pointer. */
static inline long system_call(long n, long a, long b, long c, long d, long e, long f) {
  register long r0 __asm__("r0") = a, r1 __asm__("r1") = b, r2 __asm__("r2") = c, r3 __asm__("r3") = d, r4 __asm__("r4") = e,
       r5 __asm__("r5") = f, r6 __asm__("r6") = n;
  __asm__ volatile("mov r12, r7\n\tmov r7, r6\n\tsvc #0\n\tmov r7, r12"
                   : "+r"(r0) : "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5), "r"(r6) : "r12", "memory", "cc");
  return r0;
}
#elif defined __i386__
enum { SYS_MMAP = 192, SYS_MUNMAP = 91, SYS_FUTEX = 240, SYS_CLOCK = 265, SYS_YIELD = 158 };
/* The sixth argument is 0 in every call here: it goes in ebp, which cannot be named. */
static inline long system_call(long n, long a, long b, long c, long d, long e, long f) {
  (void)f;
  __asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
                   : "+a"(n) : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "cc");
  return n;
}
#else
#error "no system call for this processor"
#endif

/* Zeroed memory at a page's start, or NULL. */
static inline void *pages_take(size_t n_bytes) {
  enum { READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22 };
  if (n_bytes > PTRDIFF_MAX) return NULL;
  const long at = system_call(SYS_MMAP, 0, (long)n_bytes, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
  return (unsigned long)at > -4096ul ? NULL : (void *)at;
}
static inline void pages_give(void *pages, size_t n_bytes) {
  if (pages) system_call(SYS_MUNMAP, (long)pages, (long)n_bytes, 0, 0, 0, 0);
}

/* Sleeps as long as *word is value. May wake for no reason. */
static inline void word_wait(const volatile uint32_t *word, uint32_t value) {
  enum { WAIT_PRIVATE = 128 };
  system_call(SYS_FUTEX, (long)word, WAIT_PRIVATE, (long)value, 0, 0, 0);
}
static inline void word_wake(const volatile uint32_t *word, int n) {
  enum { WAKE_PRIVATE = 129 };
  system_call(SYS_FUTEX, (long)word, WAKE_PRIVATE, n, 0, 0, 0);
}
#endif
