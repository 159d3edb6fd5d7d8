#define _POSIX_C_SOURCE 200112L
/* guided.c - the same for what libFuzzer makes of files: it keeps mutants that reach new code. make fuzz */
#include "attempt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  try_bytes(bytes, n);
  return 0;
}
