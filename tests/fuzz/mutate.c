#define _POSIX_C_SOURCE 200112L
/* mutate.c - a hostile model file ends in a clean error or a result. For each file given: every prefix, and every byte of it
 * changed in several ways, is attempted (attempt.h). Constants begin at multiples of 64 bytes: of these the first 8 are tried, and if a
 * change ever led to an error, so that values matter, the others too.
 *
 *   mutate [-s STRIDE] FILE.whit ...        prints a line a file: what became of the mutants
 */
#include "attempt.h"

enum { LINE = 64, TRIED_OF_LINE = 8 };

static int mutate_file(const char *path, size_t stride) {
  FILE *f = fopen(path, "rb");
  if (!f) return fprintf(stderr, "cannot read %s\n", path), 1;
  fseek(f, 0, SEEK_END);
  const size_t n = (size_t)ftell(f);
  rewind(f);
  unsigned char *bytes = aligned(n);
  if (fread(bytes, 1, n, f) != n) return 1;
  fclose(f);
  memset(counts, 0, sizeof counts);
  whit_model whole;
  try_bytes(bytes, n);
  if (counts[0] != 1 || whit_open(&whole, bytes, n)) return fprintf(stderr, "%s: the file itself does not run\n", path), 1;
  const size_t data = (size_t)((const unsigned char *)whole.data - bytes), few = stride > TRIED_OF_LINE ? stride : TRIED_OF_LINE;
  size_t tried = 1;
  for (size_t k = 0; k < n; k += stride) {
    if (k >= data && k % LINE >= few) continue;
    try_bytes(bytes, k);
    tried++;
  }
  int matters = 0;                          /* has a change in this line led to an error? */
  for (size_t k = 0; k < n; k += stride) {
    if (k % LINE < stride) matters = 0;
    if (k >= data && k % LINE >= few && !matters) continue;
    const unsigned char was = bytes[k], ways[] = { was ^ 1, was ^ 0x80, was ^ 0xff, 0, 0x7f, (unsigned char)(was + 1) };
    const size_t failed = tried - counts[0];
    for (size_t w = 0; w < sizeof ways; w++) {
      if (ways[w] == was) continue;
      bytes[k] = ways[w];
      try_bytes(bytes, n);
      tried++;
    }
    bytes[k] = was;
    matters |= tried - counts[0] != failed;
  }
  printf("%s: %zu mutants:", path, tried);
  for (unsigned s = 0; s < 128; s++)
    if (counts[s]) printf(" %u %s;", counts[s], s ? whit_status_text((whit_status)s) : "run");
  printf("\n");
  free(bytes);
  return 0;
}

int main(int argc, char **argv) {
  size_t stride = 1;
  int bad = 0;
  for (int k = 1; k < argc; k++) {
    if (!strcmp(argv[k], "-s") && k + 1 < argc)
      stride = (size_t)atoi(argv[++k]);
    else
      bad |= mutate_file(argv[k], stride);
  }
  return bad;
}
