/* dates.c - reads a date in C: opens dates.whit, plans for the text's length, runs, grows the arena if the answer needs it.
 *
 *   make lib && whit convert examples/models/dates.onnx dates.whit
 *   cc -O2 -Iruntime_c/include -Iruntime_c/platform examples/c/dates.c build/libwhit.a -lpthread -o dates
 *   ./dates dates.whit "sunday 22 november 2026"
 */
#include "whit.h"
#include "whit_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *arena_of(size_t n_bytes) { return aligned_alloc(64, (n_bytes + 63) / 64 * 64); }

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: %s dates.whit TEXT\n", argv[0]), 2;

  whit_file file;
  whit_model model;
  const int missing = whit_file_map(&file, argv[1]);
  if (missing) return fprintf(stderr, "%s: %s\n", argv[1], strerror(missing)), 1;
  whit_status s = whit_open(&model, file.data, file.n_bytes);
  if (s) return fprintf(stderr, "%s: %s\n", argv[1], whit_status_text(s)), 1;

  whit_host host = whit_host_with(NULL);
  size_t n_bytes = whit_instance_bytes(&model), n_arena;
  void *memory = arena_of(n_bytes);
  whit_instance *i = whit_instance_init(memory, n_bytes, &model, 0, &host);

  int32_t length = (int32_t)strlen(argv[2]);
  int64_t codes[256];
  for (int32_t k = 0; k < length && k < 256; k++) codes[k] = argv[2][k];
  s = whit_input_set(i, 0, WHIT_I64, 1, &length, codes);
  if (!s) s = whit_plan(i, &n_arena);
  void *arena = s ? NULL : arena_of(n_arena);
  if (!s) s = whit_arena_set(i, arena, n_arena);
  if (!s) s = whit_run(i);
  while (s == WHIT_E_MEMORY) {            /* the answer's length is known only while running */
    const size_t larger = whit_arena_needed(i) * 2;
    void *next = arena_of(larger);
    memcpy(next, arena, n_arena);
    s = whit_arena_set(i, next, larger);
    free(arena);
    arena = next;
    n_arena = larger;
    if (!s) s = whit_run(i);
  }
  if (s) {
    fprintf(stderr, "%s: %s (%s)\n", whit_status_text(s), whit_error_text(i),
            whit_node_name(&model, whit_error_node(i)));
    return 1;
  }
  const whit_tensor *answer = whit_output(i, 0);
  for (int32_t k = 0; k < answer->shape[0]; k++) putchar((int)((const int64_t *)answer->data)[k]);
  printf("   (%llu nodes executed, %zu bytes of arena)\n", (unsigned long long)whit_steps(i), n_arena);
  free(arena);
  free(memory);
  whit_file_unmap(&file);
  return 0;
}
