/* whit_bench.c - the on-device benchmark: one static program for adb push or scp. Times and memory of a model, per-node times, the
 * processor's features and clock, and how speed falls while the device warms up. `whit_bench --help` and docs/on_device.md say how. */
#define _POSIX_C_SOURCE 200809L
#include "whit_bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { N_LOADS = 20, MAX_SAMPLES = 1 << 16, MAX_PROFILES = 200, MIN_PROFILES = 5 };

const uint64_t bench_blocks[BENCH_BLOCKS] = { 1 << 15, 1 << 19, 1 << 22, 1 << 24, 1 << 27 };

static const char help[] =
  "usage: whit_bench MODEL.whit [options]\n"
  "\n"
  "How long a model takes on this machine, and where the time goes.\n"
  "\n"
  "  --runs N              timed runs (default: as many as fit in --seconds, at least 5)\n"
  "  --seconds S           time for the timed runs (default 1)\n"
  "  --warmup N            runs before them (default: a tenth of them, at least 3)\n"
  "  --threads N           threads to compute with (default 1)\n"
  "  --minutes M           then run on for M minutes, and show the minimum and median of twenty intervals\n"
  "  --input NAME=FILE     an input: a .npy file, or the elements alone, little-endian. Again for a sequence's next item\n"
  "  --shape NAME=N,N,...  shape of an input, or size of a named dimension (default: 1)\n"
  "  --fixed-seed N        of the inputs that are made up (default 0)\n"
  "  --entry NAME          entry point (default: the first)\n"
  "  --cpu NAME            use these instructions: scalar, neon, avx2, avx512 (default: the best there are)\n"
  "  --profile             measure the machine's peak too, and the nodes for as long as --seconds says\n"
  "  --top N               rows of the per-node table (default 15)\n"
  "  --max-steps N         give up after N nodes in one run (default: no limit)\n"
  "  --json FILE           write the numbers there as JSON, as whit bench --json does; -: instead of the tables\n"
  "\n"
  "Exit code: 0; 1 if the model cannot be read or run; 2 if the arguments are wrong.\n";

_Noreturn void bench_fail(int code, const char *format, ...) {
  va_list more;
  char sentence[1024], shown[1024];
  va_start(more, format);
  vsnprintf(sentence, sizeof sentence, format, more);
  va_end(more);
  bench_plain(shown, sizeof shown, sentence);
  fprintf(stderr, "whit_bench: %s%s\n", shown, code == 2 ? " (see whit_bench --help)" : "");
  exit(code);
}

void *bench_memory(uint64_t n_bytes, const char *what) {
  const uint64_t n = (n_bytes + 63) / 64 * 64;
  void *memory = n < n_bytes || n > SIZE_MAX ? NULL : aligned_alloc(64, n ? (size_t)n : 64);
  if (!memory) bench_fail(1, "%s: no memory for %llu bytes", what, (unsigned long long)n_bytes);
  return memory;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static double number(const char *option, const char *text, double least, double most) {
  char *end;
  errno = 0;
  const double v = strtod(text, &end);
  if (end == text || *end || errno || !(v >= least && v <= most))
    bench_fail(2, "%s %s: expected a number from %g to %g", option, text, least, most);
  return v;
}

static int count(const char *option, const char *text, int least, int most) {
  const double v = number(option, text, least, most);
  if (v != (double)(int)v) bench_fail(2, "%s %s: expected a whole number", option, text);
  return (int)v;
}

static uint64_t large_count(const char *option, const char *text) {
  char *end;
  errno = 0;
  const unsigned long long v = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno) bench_fail(2, "%s %s: expected a whole number", option, text);
  return v;
}

static bench_pair pair(const char *option, const char *text, bool last) {
  const char *equals = last ? strrchr(text, '=') : strchr(text, '=');
  if (!equals || equals == text) bench_fail(2, "%s %s: expected NAME=%s", option, text, last ? "N,N,..." : "FILE");
  return (bench_pair){ .name = text, .value = equals + 1, .n_name = (size_t)(equals - text) };
}

static void set_option(bench_options *o, const char *name, const char *value) {
  int32_t numbers[WHIT_MAX_RANK];
  int n;
  if (!strcmp(name, "--runs")) o->n_runs = count(name, value, 1, 1000000000);
  else if (!strcmp(name, "--seconds")) o->seconds = number(name, value, 1e-6, 1e6);
  else if (!strcmp(name, "--warmup")) o->n_warmup = count(name, value, 0, 1000000000);
  else if (!strcmp(name, "--threads")) o->n_threads = count(name, value, 1, 256);
  else if (!strcmp(name, "--minutes")) o->minutes = number(name, value, 1e-6, 1e5);
  else if (!strcmp(name, "--fixed-seed")) o->seed = large_count(name, value);
  else if (!strcmp(name, "--max-steps")) o->max_steps = large_count(name, value);
  else if (!strcmp(name, "--top")) o->top = count(name, value, 0, 1000000000);
  else if (!strcmp(name, "--entry")) o->entry = value;
  else if (!strcmp(name, "--cpu")) o->cpu = value;
  else if (!strcmp(name, "--json")) o->json = value;
  else if (!strcmp(name, "--input")) o->inputs[o->n_inputs++] = pair(name, value, false);
  else if (!strcmp(name, "--shape")) {
    o->shapes[o->n_shapes] = pair(name, value, true);
    if (!bench_numbers(o->shapes[o->n_shapes++].value, numbers, &n))
      bench_fail(2, "--shape %s: expected NAME=N,N,... of at most %d numbers", value, WHIT_MAX_RANK);
  } else bench_fail(2, "%s: no such option", name);
}

static bench_options parse(int argc, char **argv) {
  bench_options o = { .n_warmup = -1, .n_threads = 1, .top = 15, .seconds = 1 };
  o.inputs = calloc((size_t)argc, sizeof *o.inputs);
  o.shapes = calloc((size_t)argc, sizeof *o.shapes);
  if (!o.inputs || !o.shapes) bench_fail(1, "no memory");
  for (int k = 1; k < argc; k++) {
    char *name = argv[k], *equals = strchr(name, '=');
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
      fputs(help, stdout);
      exit(0);
    }
    if (name[0] != '-') {
      if (o.model) bench_fail(2, "%s: one model at a time", name);
      o.model = name;
    } else if (!strcmp(name, "--profile")) o.profile = true;
    else if (equals) {                     /* --runs=5 */
      *equals = 0;
      set_option(&o, name, equals + 1);
    } else if (k + 1 < argc) set_option(&o, name, argv[++k]);
    else bench_fail(2, "%s: a value is missing, or there is no such option", name);
  }
  if (!o.model) bench_fail(2, "which model? whit_bench MODEL.whit");
  return o;
}

static uint32_t features(const char *wanted) {
  static const struct { const char *name; uint32_t cpu; } known[] = {
    { "scalar", 0 }, { "neon", WHIT_CPU_NEON }, { "avx2", WHIT_CPU_AVX2 }, { "avx512", WHIT_CPU_AVX2 | WHIT_CPU_AVX512 } };
  const uint32_t found = whit_cpu_features();
  if (!wanted) return found;
  for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    if (!strcmp(known[k].name, wanted)) {
      if (known[k].cpu & ~found) bench_fail(2, "--cpu %s: this processor does not have it", wanted);
      return known[k].cpu;
    }
  bench_fail(2, "--cpu %s: expected scalar, neon, avx2 or avx512", wanted);
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

/* What this program is made for: a 32-bit one runs on 64-bit systems too. Named as uname names such machines. */
#if defined(__aarch64__)
static const char machine[] = "aarch64";
#elif defined(__arm__)
static const char machine[] = "armv7l";
#elif defined(__x86_64__)
static const char machine[] = "x86_64";
#elif defined(__i386__)
static const char machine[] = "i686";
#else
static const char machine[] = "unknown";
#endif

/* Bytes that the kernel says this process has, 0 if it does not tell. */
static uint64_t memory_of(const char *key) {
  char line[256];
  unsigned long long kb = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') kb = strtoull(line + strlen(key) + 1, NULL, 10);
  if (f) fclose(f);
  return kb << 10;
}

/* The clock of each processor in MHz, as far as the kernel tells; how many. */
static uint32_t clocks(uint32_t *mhz) {
  uint32_t n = 0;
  for (unsigned k = 0; k < BENCH_CPUS; k++) {
    char path[80], line[32];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_cur_freq", k);
    FILE *f = fopen(path, "r");
    if (!f) continue;                      /* a processor that is off, or none */
    if (fgets(line, sizeof line, f)) mhz[n++] = (uint32_t)(strtoul(line, NULL, 10) / 1000);
    fclose(f);
  }
  return n;
}

static uint32_t fastest_clock(void) {
  uint32_t mhz[BENCH_CPUS], best = 0;
  for (uint32_t n = clocks(mhz); n; n--) best = mhz[n - 1] > best ? mhz[n - 1] : best;
  return best;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static void samples_start(bench_samples *s) {
  if (!s->ns) s->ns = bench_memory(MAX_SAMPLES * sizeof *s->ns, "times");
  s->n = 0;
  s->runs = s->min = 0;
  s->stride = 1;
}

static void samples_add(bench_samples *s, uint64_t ns) {
  if (!s->runs || ns < s->min) s->min = ns;
  if (s->runs++ % s->stride) return;
  if (s->n == MAX_SAMPLES) {               /* this one comes at an even multiple of the stride */
    for (size_t k = 0; k < MAX_SAMPLES / 2; k++) s->ns[k] = s->ns[2 * k];
    s->n = MAX_SAMPLES / 2;
    s->stride *= 2;
  }
  s->ns[s->n++] = ns;
}

static int by_size(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static uint64_t median(uint64_t *ns, size_t n) {
  qsort(ns, n, sizeof *ns, by_size);
  return n % 2 ? ns[n / 2] : (ns[n / 2 - 1] + ns[n / 2]) / 2;
}

/* ---- one instance ------------------------------------------------------------------------------------------------ */

typedef struct bench {
  bench_options *o;
  whit_model model;
  whit_file file;
  uint32_t entry;
  whit_host host;
  whit_threads *threads;
  whit_instance *i;
  uint8_t *arena;
  size_t n_arena, n_planned;
} bench;

static _Noreturn void run_failed(const bench *b, whit_status s) {
  const char *cause = whit_error_text(b->i), *sentence = whit_status_text(s);
  const uint32_t node = whit_error_node(b->i);
  const bool more = cause && *cause && strcmp(cause, sentence);
  if (node == WHIT_NONE) bench_fail(1, "%s: %s%s%s", b->o->model, sentence, more ? ": " : "", more ? cause : "");
  bench_fail(1, "%s: node %s (#%u, %s): %s%s%s", b->o->model, whit_node_name(&b->model, node), node,
             whit_node_operator(&b->model, node), sentence, more ? ": " : "", more ? cause : "");
}

static void check(const bench *b, whit_status s) {
  if (s) run_failed(b, s);
}

/* One run; the arena grows as long as the run asks for it. */
static void run(bench *b) {
  whit_status s = whit_run(b->i);
  while (s == WHIT_E_MEMORY) {
    size_t n = whit_arena_needed(b->i), more = (n - b->n_planned) / 2;  /* half as much again of what the plan did not foresee */
    n += more > 1024 ? more : 1024;
    uint8_t *next = bench_memory(n, b->o->model);
    memcpy(next, b->arena, b->n_arena);
    s = whit_arena_set(b->i, next, n);
    free(b->arena);
    b->arena = next;
    b->n_arena = n;
    if (!s) s = whit_run(b->i);
  }
  check(b, s);
}

static uint64_t timed_run(bench *b) {
  const uint64_t start = whit_clock_ns();
  run(b);
  return whit_clock_ns() - start;
}

static uint64_t load(bench *b) {
  uint64_t ns[N_LOADS];
  for (int k = 0; k < N_LOADS; k++) {
    whit_file_unmap(&b->file);
    const uint64_t start = whit_clock_ns();
    const int error = whit_file_map(&b->file, b->o->model);
    if (error) bench_fail(1, "%s: %s", b->o->model, error == EINVAL ? "not a file, or an empty one" : strerror(error));
    const whit_status s = whit_open(&b->model, b->file.data, b->file.n_bytes);
    ns[k] = whit_clock_ns() - start;
    if (s == WHIT_E_OPERATOR) bench_fail(1, "%s: %s (hash 0x%08x)", b->o->model, whit_status_text(s), b->model.bad_offset);
    if (s == WHIT_E_FORMAT) bench_fail(1, "%s: %s: at byte %u", b->o->model, whit_status_text(s), b->model.bad_offset);
    if (s) bench_fail(1, "%s: %s", b->o->model, whit_status_text(s));
  }
  b->entry = whit_entry_find(&b->model, b->o->entry);
  if (b->entry == WHIT_NONE) bench_fail(2, "--entry %s: the model has no such entry point", b->o->entry ? b->o->entry : "");
  return median(ns, N_LOADS);
}

/* Makes the instance, plans it and gives it its memory. Outputs whose shapes are known get memory of their own, as apps do it. */
static void plan(bench *b, const bench_result *r) {
  const uint32_t n_outputs = whit_port_count(&b->model, b->entry, 1);
  void *tables = bench_memory(r->instance_bytes, b->o->model);
  b->i = whit_instance_init(tables, r->instance_bytes, &b->model, b->entry, &b->host);
  if (!b->i) bench_fail(1, "%s: whit_instance_init refused its arguments", b->o->model);
  if (r->state_bytes) check(b, whit_state_set(b->i, bench_memory(r->state_bytes, b->o->model), r->state_bytes, 1));
  for (uint32_t k = 0; k < r->n_inputs; k++) {
    const bench_input *in = &r->inputs[k];
    const whit_tensor *t = in->items;
    check(b, in->absent ? whit_input_absent(b->i, k)
             : in->port.kind == WHIT_SEQUENCE ? whit_input_sequence(b->i, k, t, in->n_items)
             : whit_input_set(b->i, k, t->dtype, t->rank, t->shape, t->data));
  }
  for (uint32_t k = 0; k < n_outputs; k++) check(b, whit_output_bind(b->i, k, NULL, 0));
  check(b, whit_plan(b->i, &b->n_planned));
  b->n_arena = b->n_planned;
  if (b->n_arena < 64) b->n_arena = 64;
  b->arena = bench_memory(b->n_arena, b->o->model);
  check(b, whit_arena_set(b->i, b->arena, b->n_arena));
  for (uint32_t k = 0; k < n_outputs; k++) {
    const whit_tensor *t = whit_output(b->i, k);
    if (t->kind != WHIT_TENSOR || t->rank > WHIT_MAX_RANK || !bench_type_size(t->dtype)) continue;
    const size_t n = bench_tensor_bytes(t);
    void *data = bench_memory(n, b->o->model);
    if (whit_output_bind(b->i, k, data, n)) free(data);
  }
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static uint32_t crc32_of(const uint8_t *p, uint64_t n) {
  uint32_t crc = ~0u;
  for (; n; n--) {
    crc ^= *p++;
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

/* Of a dense tensor, as model outputs are. */
static void note_output(bench_result *r, const whit_tensor *t, const char *name, int32_t item) {
  if (t->kind != WHIT_TENSOR) return;
  bench_output *all = realloc(r->outputs, (r->n_outputs + 1) * sizeof *all);
  const size_t n_name = strlen(name) + 16;
  char *own = malloc(n_name);
  if (!all || !own) bench_fail(1, "no memory");
  snprintf(own, n_name, item < 0 ? "%s" : "%s[%d]", name, (int)item);
  r->outputs = all;
  all[r->n_outputs++] = (bench_output){ own, *t, crc32_of(t->data, bench_tensor_bytes(t)) };
}

static void note_outputs(const bench *b, bench_result *r) {
  for (uint32_t k = 0; k < whit_port_count(&b->model, b->entry, 1); k++) {
    whit_port_info port;
    whit_tensor item;
    const whit_tensor *t = whit_output(b->i, k);
    whit_port_get(&b->model, b->entry, 1, k, &port);
    if (t->kind != WHIT_SEQUENCE) note_output(r, t, port.name, -1);
    else
      for (int32_t j = 0; j < t->shape[0]; j++)
        if (!whit_sequence_at(b->i, t, (uint32_t)j, &item)) note_output(r, &item, port.name, j);
  }
}

static void warm(bench *b, bench_result *r) {
  const bench_options *o = b->o;
  const uint64_t budget = (uint64_t)(o->seconds * 1e9);
  uint64_t start = whit_clock_ns();
  const int n = o->n_warmup >= 0 ? o->n_warmup : o->n_runs / 10 > 3 ? o->n_runs / 10 : 3;
  for (int k = 0; k < n && (o->n_warmup >= 0 || !k || whit_clock_ns() - start < budget / 10); k++) run(b);
  samples_start(&r->warm);
  start = whit_clock_ns();
  while (o->n_runs ? r->warm.runs < (uint64_t)o->n_runs : r->warm.runs < 5 || whit_clock_ns() - start < budget)
    samples_add(&r->warm, timed_run(b));
  r->median_ns = median(r->warm.ns, r->warm.n);
  const size_t p95 = r->warm.n * 95 / 100;
  r->p95_ns = r->warm.ns[p95 < r->warm.n ? p95 : r->warm.n - 1];
}

/* Intervals of equal length, each of one run at least: one that takes longer than an interval leaves the next ones out. */
static void long_run(bench *b, bench_result *r) {
  bench_samples s = { 0 };
  const double total = b->o->minutes * 60e9;
  const uint64_t start = whit_clock_ns();
  uint64_t now = start;
  while ((double)(now - start) < total && r->n_intervals < BENCH_INTERVALS) {
    const int slot = (int)((double)(now - start) / total * BENCH_INTERVALS);
    const double end = total * (slot + 1) / BENCH_INTERVALS;
    bench_interval *at = &r->intervals[r->n_intervals++];
    at->start_s = (double)(now - start) / 1e9;
    samples_start(&s);
    do {
      samples_add(&s, timed_run(b));
      now = whit_clock_ns();
    } while ((double)(now - start) < end);
    at->runs = s.runs;
    at->min_ns = s.min;
    at->median_ns = median(s.ns, s.n);
    at->mhz = fastest_clock();
  }
  free(s.ns);
}

static int by_time(const void *a, const void *b) {
  const bench_node *x = a, *y = b;
  return x->ns != y->ns ? (x->ns < y->ns) - (x->ns > y->ns) : (x->index > y->index) - (x->index < y->index);
}

/* Each node's smallest time of several runs, so that a busy machine shows less. */
static void profile(bench *b, bench_result *r) {
  const uint32_t n = b->model.n_nodes;
  uint64_t *best = bench_memory((uint64_t)n * 8, "profile"), *ns = bench_memory((uint64_t)n * 8, "profile"),
           *runs = bench_memory((uint64_t)n * 8, "profile");
  const uint64_t start = whit_clock_ns(), budget = b->o->profile ? (uint64_t)(b->o->seconds * 1e9) : 200000000;
  memset(best, 0xff, (size_t)n * 8);
  for (int k = 0; k < MIN_PROFILES || (k < MAX_PROFILES && whit_clock_ns() - start < budget); k++) {
    whit_profile p = { .ns = ns, .count = runs };
    memset(ns, 0, (size_t)n * 8);
    memset(runs, 0, (size_t)n * 8);
    whit_observe(b->i, whit_profile_observe, &p);
    run(b);
    for (uint32_t j = 0; j < n; j++) best[j] = ns[j] < best[j] ? ns[j] : best[j];
  }
  whit_observe(b->i, NULL, NULL);
  r->nodes = bench_memory((uint64_t)(n + 1) * sizeof *r->nodes, "profile");
  for (uint32_t j = 0; j < n; j++)
    if (runs[j]) r->nodes[r->n_nodes++] = (bench_node){ j, runs[j], best[j] };
  qsort(r->nodes, r->n_nodes, sizeof *r->nodes, by_time);
  free(best), free(ns), free(runs);
}

static uint64_t best_of(const bench *b, void (*work)(void *, uint32_t), whit_peak *p, int repeats) {
  uint64_t best = UINT64_MAX;
  for (; repeats; repeats--) {
    const uint64_t start = whit_clock_ns();
    if (b->threads) whit_threads_for(b->threads, work, p, b->host.n_threads);
    else work(p, 0);
    const uint64_t ns = whit_clock_ns() - start;
    best = ns < best ? ns : best;
  }
  return best ? best : 1;
}

/* What the machine can do at most, as python_bindings/whit/_profile.py measures it. */
static void peaks(const bench *b, bench_result *r) {
  const uint64_t largest = bench_blocks[BENCH_BLOCKS - 1], n_threads = b->host.n_threads;
  float *block = bench_memory(largest, "a block to measure reading with");
  memset(block, 0, largest);
  whit_peak p = { .n_flops = 384 << 14, .data = block, .cpu = b->host.cpu };
  r->gflops = (double)(n_threads * p.n_flops) / (double)best_of(b, whit_peak_flops, &p, 20);
  for (int k = 0; k < BENCH_BLOCKS; k++) {
    const uint64_t size = bench_blocks[k], part = size / n_threads / 4096 * 4096;
    p.n_times = size < 1 << 22 ? (uint32_t)((1 << 22) / size) : 1;
    p.n_bytes = part ? part : 4096;
    r->gb_per_s[k] = (double)(p.n_bytes * p.n_times * n_threads) / (double)best_of(b, whit_peak_read, &p, size == largest ? 3 : 12);
  }
  r->has_peaks = true;
  free(block);
}

static bench_result measure(bench *b) {
  bench_result r = { .load_ns = load(b), .cpu = b->host.cpu, .machine = machine };
  r.file_bytes = b->file.n_bytes;
  r.instance_bytes = whit_instance_bytes(&b->model);
  r.state_bytes = whit_state_bytes(&b->model);
  r.n_inputs = whit_port_count(&b->model, b->entry, 0);
  r.inputs = bench_inputs_make(&b->model, b->entry, b->o);
  const uint64_t start = whit_clock_ns();
  plan(b, &r);
  r.plan_ns = whit_clock_ns() - start;
  run(b);
  r.first_run_ns = whit_clock_ns() - start;
  note_outputs(b, &r);
  warm(b, &r);
  r.steps = whit_steps(b->i);
  r.arena_bytes = b->n_arena;
  r.peak_resident_bytes = memory_of("VmHWM");
  r.resident_bytes = memory_of("VmRSS");
  r.anonymous_bytes = memory_of("RssAnon");
  r.n_mhz = clocks(r.mhz);
  if (b->o->minutes > 0) long_run(b, &r);
  profile(b, &r);
  if (b->o->profile) peaks(b, &r);
  return r;
}

int main(int argc, char **argv) {
  bench_options o = parse(argc, argv);
  bench b = { .o = &o };
  const uint32_t cpu = features(o.cpu);
  FILE *out = o.json && strcmp(o.json, "-") ? fopen(o.json, "w") : stdout;   /* before minutes of work are spent */
  if (!out) bench_fail(1, "%s: %s", o.json, strerror(errno));
  if (o.n_threads > 1 && !(b.threads = whit_threads_create((uint32_t)o.n_threads)))
    bench_fail(1, "--threads %d: the system gives no such number of threads", o.n_threads);
  b.host = whit_host_with(b.threads);
  b.host.cpu = cpu;
  b.host.max_steps = o.max_steps;
  bench_result r = measure(&b);
  if (o.json) bench_json(out, &o, &b.model, &r);
  if (out != stdout && fclose(out)) bench_fail(1, "%s: %s", o.json, strerror(errno));
  if (!o.json || strcmp(o.json, "-")) bench_tables(stdout, &o, &b.model, &r);
  if (fflush(stdout) || ferror(stdout)) bench_fail(1, "the results cannot be written");
  whit_threads_destroy(b.threads);
  return 0;
}
