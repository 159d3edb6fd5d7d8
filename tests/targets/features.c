/* features.c - the decisions of platform/cpu.c on words that no processor here gives. Exit code: the line that is wrong. */
#include "../../runtime_c/platform/cpu.c"

#define NEED(x) do { if (!(x)) return __LINE__ & 0xff; } while (0)

int main(void) {
#if defined(__x86_64__)
  const uint32_t c1 = 1u << 12 | 1u << 28 | 1u << 29, b7 = 1u << 5, b512 = b7 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const uint32_t all = WHIT_CPU_AVX2 | WHIT_CPU_AVX512;
  NEED(cpu_of_words(c1, b7, 7) == WHIT_CPU_AVX2);
  NEED(cpu_of_words(c1, b512, 0xe7) == all);
  NEED(cpu_of_words(~0u, ~0u, ~0u) == all);
  for (uint32_t bit = 1; bit; bit <<= 1) {
    NEED(cpu_of_words(c1 & ~bit, b512, 0xe7) == (c1 & bit ? 0 : all));                   /* FMA, AVX, F16C */
    NEED(cpu_of_words(c1, b512 & ~bit, 0xe7) == (bit == b7 ? 0 : b512 & bit ? WHIT_CPU_AVX2 : all)); /* AVX2; one of AVX-512 */
    NEED(cpu_of_words(c1, b512, 0xe7 & ~bit) == (bit & 6 ? 0 : bit & 0xe0 ? WHIT_CPU_AVX2 : all));   /* the system's part */
  }
#elif defined(__arm__)
  NEED(cpu_of_auxv((const uint32_t[]){ 6, 4096, 16, 0x11007, 0, 0 }, 3) == WHIT_CPU_NEON);
  NEED(cpu_of_auxv((const uint32_t[]){ 16, 0x1007, 26, 0x11000 }, 2) == 0);    /* NEON without VFPv4; AT_HWCAP2 is another word */
  NEED(cpu_of_auxv((const uint32_t[]){ 16, 0x10007 }, 1) == 0);                /* VFPv4 without NEON */
  NEED(cpu_of_auxv((const uint32_t[]){ 6, 0x11007 }, 1) == 0);
#define TEXT(s) cpu_of_text(s, sizeof s - 1)
  NEED(TEXT("processor\t: 0\nFeatures\t: half thumb neon vfpv3 vfpv4 idiva\n") == WHIT_CPU_NEON);
  NEED(TEXT("Features\t: swp neon vfpv3 tls vfpv4\n") == WHIT_CPU_NEON);
  NEED(TEXT("Features\t: half neon vfpv3\n") == 0);
  NEED(TEXT("Features\t: vfpv4\n") == 0);
  NEED(TEXT("Features\t: neonish vfpv4\n") == 0 && TEXT("Features\t: xneon vfpv4\n") == 0 && TEXT("Features\t: neon vfpv4x\n") == 0);
  NEED(TEXT("Features\t:  neon vfpvfpv4 vfpv4\n") == WHIT_CPU_NEON);
  NEED(TEXT("Features\t: neon vfpv4") == 0);                                   /* cut off: perhaps of a longer word */
  NEED(cpu_of_text("", 0) == 0);
  uint32_t words[512];
  NEED(cpu_file("/proc/self/auxv", words, sizeof words) >= 64 && cpu_file("/nothing/here", words, sizeof words) == 0);
  NEED(cpu_file("/proc/self/auxv", words, 20) == 20);
#else
  NEED(whit_cpu_features() == WHIT_CPU_NEON);
#endif
  return 0;
}
