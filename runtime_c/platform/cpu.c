/* cpu.c - which instruction sets this processor has. */
#include "whit_platform.h"

#if defined(__aarch64__)
uint32_t whit_cpu_features(void) { return WHIT_CPU_NEON; }   /* part of the architecture */
#elif defined(__x86_64__)
uint32_t whit_cpu_features(void) {
  uint32_t cpu = 0;
  __builtin_cpu_init();                                      /* looks at the operating system's part as well */
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
    cpu |= WHIT_CPU_AVX2;
  if (cpu && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    cpu |= WHIT_CPU_AVX512;
  return cpu;
}
#else
uint32_t whit_cpu_features(void) { return 0; }
#endif
