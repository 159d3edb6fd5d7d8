/* runner.c - runs a model in C: inputs from a file, outputs to another. Built for every machine that can be executed here, so that
 * their answers can be compared bit by bit.
 *
 *   runner MODEL.whit INPUTS OUTPUTS [scalar|avx2|avx512|neon|auto] [times] [plain|stop|move|nodes] [threads]
 *   runner --list LIST [scalar|avx2|avx512|neon]      many models in one process, quick under an emulator
 *
 * stop: the observer stops the run at every node boundary. move: and the arena moves to another block each time.
 * nodes: the observer writes down which nodes began and ended ("node after" lines in OUTPUTS.nodes), and calls node_boundary.
 *
 * INPUTS and OUTPUTS: a record a value: dtype, rank, kind (u8), a zero byte, dims (i32), data. A sequence has no type and
 * its length as the only dim, and is followed by the records of its items; an absent optional has no type, dims or data. */
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

typedef struct {
  const char *isa, *mode;
  int times, n_threads;
} options;

/* A record of INPUTS as a dense tensor; its data is a block of its own, aligned as an app's would be. */
static whit_tensor read_tensor(const unsigned char **at) {
  whit_tensor t = { .dtype = (*at)[0], .rank = (*at)[1], .kind = (*at)[2] };
  memcpy(t.shape, *at + 4, t.rank * 4u);
  *at += 4 + t.rank * 4u;
  if (t.kind != WHIT_TENSOR) return t;
  const size_t size = tensor_bytes(t.dtype, t.rank, t.shape);
  t.data = aligned_alloc(64, (size + 127) / 64 * 64);
  memcpy(t.data, *at, size);
  *at += size;
  return t;
}

typedef struct {
  whit_tensor value, *items;
} feed;

/* Reads a feed and gives it to the instance as input k. */
static whit_status feed_read(feed *f, whit_instance *i, uint32_t k, const unsigned char **at) {
  f->value = read_tensor(at);
  if (f->value.kind == WHIT_ABSENT) return whit_input_absent(i, k);
  if (f->value.kind == WHIT_TENSOR)
    return whit_input_set(i, k, f->value.dtype, f->value.rank, f->value.shape, f->value.data);
  const uint32_t n = (uint32_t)f->value.shape[0];
  f->items = calloc(n + 1, sizeof *f->items);
  for (uint32_t e = 0; e < n; e++) f->items[e] = read_tensor(at);
  return whit_input_sequence(i, k, f->items, n);
}

static void feed_free(feed *f) {
  if (f->items)
    for (int32_t e = 0; e < f->value.shape[0]; e++) free(f->items[e].data);
  free(f->items), free(f->value.data);
}

static void write_value(FILE *out, const whit_tensor *t) {
  const int is_tensor = t->kind == WHIT_TENSOR;
  const unsigned rank = is_tensor ? t->rank : t->kind == WHIT_SEQUENCE;
  const unsigned char head[4] = { is_tensor ? t->dtype : 0, (unsigned char)rank, t->kind };
  fwrite(head, 1, 4, out);
  fwrite(t->shape, 4, rank, out);
  if (is_tensor) fwrite(t->data, 1, tensor_bytes(t->dtype, t->rank, t->shape), out);
}

static void write_output(FILE *out, const whit_instance *i, const whit_tensor *t) {
  write_value(out, t);
  for (uint32_t e = 0; t->kind == WHIT_SEQUENCE && e < (uint32_t)t->shape[0]; e++) {
    whit_tensor item = { 0 };
    if (whit_sequence_at(i, t, e, &item)) exit(fprintf(stderr, "item %u of a sequence cannot be read\n", e));
    write_value(out, &item);
  }
}

/* Plans and runs the instance, whose inputs are set, and writes its outputs. */
static whit_status run_to(const char *path, const whit_model *model, whit_instance *i, const options *o) {
  size_t n;
  whit_status s = whit_plan(i, &n);
  if (s) return s;
  n = (n + 63) / 64 * 64;
  void *arena = aligned_alloc(64, n);
  memset(arena, 0x5a, n);
  s = whit_arena_set(i, arena, n);
  if (strcmp(o->mode, "plain")) whit_observe(i, strcmp(o->mode, "nodes") ? stop_always : note_node, NULL);
  for (int times = o->times; times > 0 && !s; times--) s = run(i, &arena, &n, !strcmp(o->mode, "move"));
  run_is_over();
  if (!s) {
    FILE *out = fopen(path, "wb");
    if (!out) exit(fprintf(stderr, "cannot write %s\n", path));
    for (uint32_t k = 0; k < whit_port_count(model, 0, 1); k++) write_output(out, i, whit_output(i, k));
    fclose(out);
    if (!strcmp(o->mode, "nodes") && write_notes(path)) exit(1);
  }
  free(arena);
  return s;
}

/* Runs one model; says what went wrong, if anything did. */
static whit_status job(const char *model_path, const char *inputs_path, const char *outputs_path, const options *o) {
  whit_threads *threads = o->n_threads > 1 ? whit_threads_create((uint32_t)o->n_threads) : NULL;
  whit_host host = whit_host_with(threads);
  host.cpu = !strcmp(o->isa, "avx2") ? WHIT_CPU_AVX2
           : !strcmp(o->isa, "avx512") ? WHIT_CPU_AVX2 | WHIT_CPU_AVX512
           : !strcmp(o->isa, "neon") ? WHIT_CPU_NEON
           : !strcmp(o->isa, "auto") ? whit_cpu_features() : 0;
  size_t n_model, n_inputs, n;
  whit_model model;
  void *bytes = read_file(model_path, &n_model);
  unsigned char *inputs = read_file(inputs_path, &n_inputs);
  const unsigned char *at = inputs;
  whit_status s = whit_open(&model, bytes, n_model);
  if (s) return fprintf(stderr, "%s: %s\n", model_path, whit_status_text(s)), s;
  n = whit_instance_bytes(&model);
  void *memory = aligned_alloc(64, (n + 63) / 64 * 64);
  whit_instance *i = whit_instance_init(memory, n, &model, 0, &host);
  n = whit_state_bytes(&model);
  void *state = aligned_alloc(64, (n + 127) / 64 * 64);
  s = whit_state_set(i, state, n, 1);
  const uint32_t n_feeds = whit_port_count(&model, 0, 0);
  feed *feeds = calloc(n_feeds + 1, sizeof *feeds);
  for (uint32_t k = 0; k < n_feeds && !s; k++) s = feed_read(&feeds[k], i, k, &at);
  if (!s) s = run_to(outputs_path, &model, i, o);
  if (s) fprintf(stderr, "%s: %s: %s\n", model_path, whit_status_text(s), whit_error_text(i));
  for (uint32_t k = 0; k < n_feeds; k++) feed_free(&feeds[k]);
  free(feeds), free(memory), free(state), free(bytes), free(inputs);
  whit_threads_destroy(threads);
  return s;
}

/* A line a job, MODEL INPUTS OUTPUTS; answers with the status of each, at once, so that a reader knows which one crashed. */
static int run_list(const char *path, const options *o) {
  FILE *list = fopen(path, "r");
  if (!list) return fprintf(stderr, "cannot read %s\n", path), 1;
  char model[1024], inputs[1024], outputs[1024];
  while (fscanf(list, "%1023s %1023s %1023s", model, inputs, outputs) == 3) {
    printf("%d\n", (int)job(model, inputs, outputs, o));
    fflush(stdout);
  }
  fclose(list);
  return 0;
}

int main(int argc, char **argv) {
  options o = { "scalar", "plain", 1, 1 };
  if (argc > 2 && !strcmp(argv[1], "--list")) {
    if (argc > 3) o.isa = argv[3];
    return run_list(argv[2], &o);
  }
  if (argc < 4) return fprintf(stderr, "usage: runner MODEL INPUTS OUTPUTS [isa] [times] [mode] [threads]\n"), 2;
  if (argc > 4) o.isa = argv[4];
  if (argc > 5) o.times = atoi(argv[5]);
  if (argc > 6) o.mode = argv[6];
  if (argc > 7) o.n_threads = atoi(argv[7]);
  return job(argv[1], argv[2], argv[3], &o) != WHIT_OK;
}
