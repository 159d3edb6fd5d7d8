/* runner.c - runs a model in C: inputs from a file, outputs to another. Built for every machine that can be executed here, so that
 * their answers can be compared bit by bit.
 *
 *   runner MODEL.whit INPUTS OUTPUTS [scalar|avx2|avx512|neon|auto] [times] [plain|stop|move|nodes] [threads]
 *
 * stop: the observer stops the run at every node boundary. move: and the arena moves to another block each time.
 * nodes: the observer writes down which nodes began and ended ("node after" lines in OUTPUTS.nodes), and calls node_boundary.
 *
 * INPUTS and OUTPUTS: a record a tensor: dtype, rank (u8), two zero bytes, dims (i32), data. */
#include "whit_platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *read_file(const char *path, size_t *n_bytes) {
  FILE *f = fopen(path, "rb");
  if (!f) exit(fprintf(stderr, "cannot read %s\n", path));
  fseek(f, 0, SEEK_END);
  *n_bytes = (size_t)ftell(f);
  rewind(f);
  void *bytes = aligned_alloc(64, (*n_bytes + 127) / 64 * 64);
  if (fread(bytes, 1, *n_bytes, f) != *n_bytes) exit(1);
  fclose(f);
  return bytes;
}

static size_t type_size(unsigned dtype) {
  static const unsigned char size[27] = { 0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  return size[dtype];
}

static size_t tensor_bytes(unsigned dtype, unsigned rank, const int32_t *dims) {
  size_t n = type_size(dtype);
  for (unsigned a = 0; a < rank; a++) n *= (size_t)dims[a];
  return n;
}

static int fail(const whit_instance *i, whit_status s) {
  return fprintf(stderr, "%s: %s\n", whit_status_text(s), whit_error_text(i)), 1;
}

/* Continues a run in a larger or another block; the old one is overwritten, so that a pointer into it would show. */
static whit_status move(whit_instance *i, void **arena, size_t *n, size_t n_next) {
  void *next = aligned_alloc(64, n_next);
  memset(next, 0x5a, n_next);
  memcpy(next, *arena, *n);
  memset(*arena, 0xdd, *n);
  free(*arena);
  *arena = next;
  *n = n_next;
  return whit_arena_set(i, next, n_next);
}

static int stop_always(void *context, whit_instance *i, uint32_t node, int after) {
  (void)context, (void)i, (void)node, (void)after;
  return 1;
}

/* Places that tests/bench/insn_plugin.c recognises; what these do themselves does not count. */
__attribute__((noinline)) void node_boundary(void);
void node_boundary(void) { __asm__ volatile(""); }

static struct { uint32_t node; int after; } notes[1 << 16];
static size_t n_notes;

static int note_node(void *context, whit_instance *i, uint32_t node, int after) {
  (void)context, (void)i;
  if (n_notes == sizeof notes / sizeof *notes) exit(fprintf(stderr, "too many nodes in a run\n"));
  notes[n_notes].node = node;
  notes[n_notes++].after = after;
  node_boundary();
  return 0;
}

static int write_notes(const char *outputs) {
  char path[4096];
  snprintf(path, sizeof path, "%s.nodes", outputs);
  FILE *f = fopen(path, "w");
  if (!f) return fprintf(stderr, "cannot write %s\n", path), 1;
  for (size_t k = 0; k < n_notes; k++) fprintf(f, "%u %d\n", (unsigned)notes[k].node, notes[k].after);
  return fclose(f);
}

static whit_status run(whit_instance *i, void **arena, size_t *n, int moves) {
  whit_status s = whit_run(i);
  while (s == WHIT_E_MEMORY || s == WHIT_STOPPED) {
    if (s == WHIT_E_MEMORY)
      s = move(i, arena, n, (whit_arena_needed(i) + 63) / 64 * 64);
    else
      s = moves ? move(i, arena, n, *n) : WHIT_OK;
    if (!s) s = whit_run(i);
  }
  return s;
}

/* A place that tests/bench/insn_plugin.c recognises. */
__attribute__((noinline)) void run_is_over(void);
void run_is_over(void) { __asm__ volatile(""); }

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "usage: runner MODEL INPUTS OUTPUTS [isa] [times] [mode] [threads]\n"), 2;
  const char *isa = argc > 4 ? argv[4] : "scalar", *mode = argc > 6 ? argv[6] : "plain";
  const int n_threads = argc > 7 ? atoi(argv[7]) : 1;
  whit_threads *threads = n_threads > 1 ? whit_threads_create((uint32_t)n_threads) : NULL;
  whit_host host = whit_host_with(threads);
  host.cpu = !strcmp(isa, "avx2") ? WHIT_CPU_AVX2
           : !strcmp(isa, "avx512") ? WHIT_CPU_AVX2 | WHIT_CPU_AVX512
           : !strcmp(isa, "neon") ? WHIT_CPU_NEON
           : !strcmp(isa, "auto") ? whit_cpu_features() : 0;
  size_t n_model, n_inputs, n;
  whit_model model;
  void *bytes = read_file(argv[1], &n_model);
  unsigned char *inputs = read_file(argv[2], &n_inputs);
  whit_status s = whit_open(&model, bytes, n_model);
  if (s) return fprintf(stderr, "%s: %s\n", argv[1], whit_status_text(s)), 1;
  n = whit_instance_bytes(&model);
  void *memory = aligned_alloc(64, (n + 63) / 64 * 64);
  whit_instance *i = whit_instance_init(memory, n, &model, 0, &host);
  n = whit_state_bytes(&model);
  void *state = aligned_alloc(64, (n + 127) / 64 * 64);
  s = whit_state_set(i, state, n, 1);
  void **held = calloc(whit_port_count(&model, 0, 0) + 1, sizeof *held);
  size_t at = 0;
  for (uint32_t k = 0; k < whit_port_count(&model, 0, 0) && !s; k++) {
    const unsigned dtype = inputs[at], rank = inputs[at + 1];
    int32_t dims[WHIT_MAX_RANK] = { 0 };
    memcpy(dims, inputs + at + 4, rank * 4);
    at += 4 + rank * 4;
    const size_t size = tensor_bytes(dtype, rank, dims);
    held[k] = aligned_alloc(64, (size + 127) / 64 * 64);
    memcpy(held[k], inputs + at, size);
    at += size;
    s = whit_input_set(i, k, (int)dtype, (int)rank, dims, held[k]);
  }
  if (!s) s = whit_plan(i, &n);
  if (s) return fail(i, s);
  n = (n + 63) / 64 * 64;
  void *arena = aligned_alloc(64, n);
  memset(arena, 0x5a, n);
  s = whit_arena_set(i, arena, n);
  if (strcmp(mode, "plain")) whit_observe(i, strcmp(mode, "nodes") ? stop_always : note_node, NULL);
  for (int times = argc > 5 ? atoi(argv[5]) : 1; times > 0 && !s; times--) s = run(i, &arena, &n, !strcmp(mode, "move"));
  run_is_over();
  if (s) return fail(i, s);
  if (!strcmp(mode, "nodes") && write_notes(argv[3])) return 1;
  FILE *out = fopen(argv[3], "wb");
  if (!out) return fprintf(stderr, "cannot write %s\n", argv[3]), 1;
  for (uint32_t k = 0; k < whit_port_count(&model, 0, 1); k++) {
    const whit_tensor *t = whit_output(i, k);
    const unsigned char head[4] = { t->dtype, t->rank };
    fwrite(head, 1, 4, out);
    fwrite(t->shape, 4, t->rank, out);
    fwrite(t->data, 1, tensor_bytes(t->dtype, t->rank, t->shape), out);
  }
  fclose(out);
  for (uint32_t k = 0; k < whit_port_count(&model, 0, 0); k++) free(held[k]);
  free(held), free(arena), free(memory), free(state), free(bytes), free(inputs);
  whit_threads_destroy(threads);
  return 0;
}
