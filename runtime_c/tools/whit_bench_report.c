/* whit_bench_report.c - what was measured, as JSON with the keys of `whit bench --json` and as tables for people. */
#include "whit_bench.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

/* ---- text from a model, which may hold anything --------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at s, 0 if it is none. */
static int utf8(const unsigned char *s) {
  const int n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
  for (int k = 1; k < n; k++)
    if ((s[k] & 0xc0) != 0x80) return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return n;
}

static void json_string(FILE *out, const char *text) {
  fputc('"', out);
  for (const unsigned char *s = (const unsigned char *)text; *s;) {
    const int n = utf8(s);
    if (n == 1 && (*s < 32 || *s == 127)) fprintf(out, "\\u%04x", *s);
    else if (*s == '"' || *s == '\\') fprintf(out, "\\%c", *s);
    else if (!n) fputs("\\ufffd", out);
    else fwrite(s, 1, (size_t)n, out);
    s += n ? n : 1;
  }
  fputc('"', out);
}

void bench_plain(char *to, size_t n_bytes, const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  size_t k = 0;
  while (*s) {
    const int n = utf8(s);
    if (k + (n ? (size_t)n : 1) >= n_bytes) break;
    if (n < 1 || *s < 32 || *s == 127) to[k++] = '?', s++;
    else
      for (int j = 0; j < n; j++) to[k++] = (char)*s++;
  }
  to[k] = 0;
}

/* ---- operators -------------------------------------------------------------------------------------------------------- */

typedef struct operator_sum {
  const char *name;
  uint64_t runs, ns;
  uint32_t n_nodes;
} operator_sum;

static int by_time_of_operator(const void *a, const void *b) {
  const operator_sum *x = a, *y = b;
  return (x->ns < y->ns) - (x->ns > y->ns);
}

static operator_sum *operators(const whit_model *model, const bench_result *r, uint32_t *n) {
  operator_sum *found = calloc(r->n_nodes + 1, sizeof *found);
  if (!found) bench_fail(1, "no memory");
  *n = 0;
  for (uint32_t k = 0; k < r->n_nodes; k++) {
    const char *name = whit_node_operator(model, r->nodes[k].index);
    uint32_t j = 0;
    while (j < *n && strcmp(found[j].name, name)) j++;
    if (j == *n) found[(*n)++].name = name;
    found[j].n_nodes++;
    found[j].runs += r->nodes[k].runs;
    found[j].ns += r->nodes[k].ns;
  }
  qsort(found, *n, sizeof *found, by_time_of_operator);
  return found;
}

static uint64_t total_ns(const bench_result *r) {
  uint64_t ns = 0;
  for (uint32_t k = 0; k < r->n_nodes; k++) ns += r->nodes[k].ns;
  return ns ? ns : 1;
}

static double drift(const bench_result *r) {
  const uint64_t first = r->intervals[0].median_ns, last = r->intervals[r->n_intervals - 1].median_ns;
  return (double)last / (double)(first ? first : 1);
}

static const struct { uint32_t cpu; const char *name; } feature_names[] = {
  { WHIT_CPU_AVX2, "avx2" }, { WHIT_CPU_AVX512, "avx512" }, { WHIT_CPU_NEON, "neon" } };
enum { N_FEATURES = sizeof feature_names / sizeof *feature_names };

/* ---- JSON --------------------------------------------------------------------------------------------------------------- */

static void json_shape(FILE *out, const whit_tensor *t) {
  fputc('[', out);
  for (unsigned a = 0; a < t->rank; a++) fprintf(out, "%s%d", a ? ", " : "", t->shape[a]);
  fputc(']', out);
}

static void json_times_and_bytes(FILE *out, const bench_options *o, const bench_result *r) {
  fprintf(out, ",\n \"threads\": %d,\n \"runs\": %llu", o->n_threads, (ull)r->warm.runs);
  const struct { const char *key; uint64_t value; } numbers[] = {
    { "load_ns", r->load_ns }, { "plan_ns", r->plan_ns }, { "first_run_ns", r->first_run_ns }, { "min_ns", r->warm.min },
    { "median_ns", r->median_ns }, { "p95_ns", r->p95_ns }, { "steps", r->steps }, { "arena_bytes", r->arena_bytes },
    { "instance_bytes", r->instance_bytes }, { "state_bytes", r->state_bytes }, { "file_bytes", r->file_bytes },
    { "peak_resident_bytes", r->peak_resident_bytes }, { "resident_bytes", r->resident_bytes },
    { "anonymous_bytes", r->anonymous_bytes } };
  for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
    fprintf(out, ",\n \"%s\": %llu", numbers[k].key, (ull)numbers[k].value);
}

static void json_machine(FILE *out, const bench_result *r) {
  fprintf(out, ",\n \"machine\": \"%s\",\n \"cpu\": [", r->machine);
  const char *comma = "";
  for (int k = 0; k < N_FEATURES; k++)
    if (r->cpu & feature_names[k].cpu) fprintf(out, "%s\"%s\"", comma, feature_names[k].name), comma = ", ";
  fputs("],\n \"cpu_mhz\": [", out);
  for (uint32_t k = 0; k < r->n_mhz; k++) fprintf(out, "%s%u", k ? ", " : "", r->mhz[k]);
  fputs("]", out);
}

static void json_outputs(FILE *out, const bench_result *r) {
  fputs(",\n \"outputs\": [", out);
  for (uint32_t k = 0; k < r->n_outputs; k++) {
    fputs(k ? ",\n  {\"name\": " : "\n  {\"name\": ", out);
    json_string(out, r->outputs[k].name);
    fprintf(out, ", \"dtype\": \"%s\", \"shape\": ", bench_type_name(r->outputs[k].t.dtype));
    json_shape(out, &r->outputs[k].t);
    fprintf(out, ", \"crc32\": %u}", r->outputs[k].crc32);
  }
  fputs("]", out);
}

static void json_nodes(FILE *out, const whit_model *model, const bench_result *r) {
  fputs(",\n \"nodes\": [", out);
  for (uint32_t k = 0; k < r->n_nodes; k++) {
    const bench_node *n = &r->nodes[k];
    fprintf(out, "%s\n  {\"index\": %u, \"operator\": ", k ? "," : "", n->index);
    json_string(out, whit_node_operator(model, n->index));
    fputs(", \"name\": ", out);
    json_string(out, whit_node_name(model, n->index));
    fprintf(out, ", \"runs\": %llu, \"ns\": %llu}", (ull)n->runs, (ull)n->ns);
  }
  uint32_t n;
  operator_sum *sums = operators(model, r, &n);
  fputs("],\n \"operators\": [", out);
  for (uint32_t k = 0; k < n; k++) {
    fprintf(out, "%s\n  {\"operator\": ", k ? "," : "");
    json_string(out, sums[k].name);
    fprintf(out, ", \"kind\": \"\", \"nodes\": %u, \"runs\": %llu, \"ns\": %llu}", sums[k].n_nodes, (ull)sums[k].runs, (ull)sums[k].ns);
  }
  fputs("]", out);
  free(sums);
}

void bench_json(FILE *out, const bench_options *o, const whit_model *model, const bench_result *r) {
  fputs("{\n \"file\": ", out);
  json_string(out, o->model);
  fputs(",\n \"shapes\": {", out);
  const char *comma = "";
  for (uint32_t k = 0; k < r->n_inputs; k++) {
    const bench_input *in = &r->inputs[k];
    if (in->absent || in->port.kind == WHIT_SEQUENCE) continue;
    fputs(comma, out);
    json_string(out, in->port.name);
    fputs(": ", out);
    json_shape(out, in->items);
    comma = ", ";
  }
  fputs("}", out);
  json_times_and_bytes(out, o, r);
  json_machine(out, r);
  json_outputs(out, r);
  if (r->n_intervals) {
    fputs(",\n \"intervals\": [", out);
    for (uint32_t k = 0; k < r->n_intervals; k++) {
      const bench_interval *at = &r->intervals[k];
      fprintf(out, "%s\n  {\"start_s\": %.6f, \"runs\": %llu, \"min_ns\": %llu, \"median_ns\": %llu, \"mhz\": %u}", k ? "," : "",
              at->start_s, (ull)at->runs, (ull)at->min_ns, (ull)at->median_ns, at->mhz);
    }
    fprintf(out, "],\n \"drift\": %.6f", drift(r));
  }
  json_nodes(out, model, r);
  if (r->has_peaks) {
    fprintf(out, ",\n \"peaks\": {\"threads\": %d, \"gflops\": %.6f, \"read\": [", o->n_threads, r->gflops);
    for (int k = 0; k < BENCH_BLOCKS; k++)
      fprintf(out, "%s{\"bytes\": %llu, \"gb_per_s\": %.6f}", k ? ", " : "", (ull)bench_blocks[k], r->gb_per_s[k]);
    fputs("]}", out);
  }
  fputs("\n}\n", out);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------- */

static void time_line(FILE *out, const char *label, uint64_t ns) {
  const double v = (double)ns;
  if (ns >= 1000000000) fprintf(out, "  %-22s %10.3f s\n", label, v / 1e9);
  else if (ns >= 1000000) fprintf(out, "  %-22s %10.3f ms\n", label, v / 1e6);
  else if (ns >= 1000) fprintf(out, "  %-22s %10.3f us\n", label, v / 1e3);
  else fprintf(out, "  %-22s %10llu ns\n", label, (ull)ns);
}

static void interval_table(FILE *out, const bench_options *o, const bench_result *r) {
  fprintf(out, "\n%g minutes\n  %10s %12s %12s %12s %8s\n", o->minutes, "from, s", "runs", "min, us", "median, us", "MHz");
  for (uint32_t k = 0; k < r->n_intervals; k++) {
    const bench_interval *at = &r->intervals[k];
    fprintf(out, "  %10.2f %12llu %12.2f %12.2f", at->start_s, (ull)at->runs, (double)at->min_ns / 1e3, (double)at->median_ns / 1e3);
    if (at->mhz) fprintf(out, " %8u", at->mhz);
    fputc('\n', out);
  }
  fprintf(out, "  the last interval's median is %.3f times the first's\n", drift(r));
}

static void node_tables(FILE *out, const bench_options *o, const whit_model *model, const bench_result *r) {
  const double total = (double)total_ns(r);
  char name[96];
  uint32_t n;
  operator_sum *sums = operators(model, r, &n);
  fprintf(out, "\nby operator (a run; reading the clock adds some 25 ns a node)\n  %-18s %6s %8s %12s %6s\n", "operator", "nodes", "runs",
          "us", "%");
  for (uint32_t k = 0; k < n; k++)
    fprintf(out, "  %-18s %6u %8llu %12.2f %6.2f\n", sums[k].name, sums[k].n_nodes, (ull)sums[k].runs, (double)sums[k].ns / 1e3,
            100 * (double)sums[k].ns / total);
  free(sums);
  n = r->n_nodes < (uint32_t)o->top ? r->n_nodes : (uint32_t)o->top;
  fprintf(out, "\nby node (the first %u of %u)\n  %6s %-18s %8s %12s %6s  %s\n", n, r->n_nodes, "#", "operator", "runs", "us", "%",
          "source node");
  for (uint32_t k = 0; k < n; k++) {
    const bench_node *at = &r->nodes[k];
    bench_plain(name, sizeof name, whit_node_name(model, at->index));
    fprintf(out, "  %6u %-18s %8llu %12.2f %6.2f  %s\n", at->index, whit_node_operator(model, at->index), (ull)at->runs,
            (double)at->ns / 1e3, 100 * (double)at->ns / total, name);
  }
}

void bench_tables(FILE *out, const bench_options *o, const whit_model *model, const bench_result *r) {
  fprintf(out, "%s, %llu runs, %d thread%s, %s", o->model, (ull)r->warm.runs, o->n_threads, o->n_threads > 1 ? "s" : "", r->machine);
  for (int k = 0; k < N_FEATURES; k++)
    if (r->cpu & feature_names[k].cpu) fprintf(out, " %s", feature_names[k].name);
  for (uint32_t k = 0; k < r->n_mhz; k++) fprintf(out, "%s%u", k ? " " : ", MHz: ", r->mhz[k]);
  fputs("\n\n", out);
  time_line(out, "load", r->load_ns);
  time_line(out, "first run (with plan)", r->first_run_ns);
  time_line(out, "min", r->warm.min);
  time_line(out, "median", r->median_ns);
  time_line(out, "p95", r->p95_ns);
  const struct { const char *label; uint64_t n; } sizes[] = {
    { "arena", r->arena_bytes }, { "instance", r->instance_bytes }, { "state", r->state_bytes }, { "file", r->file_bytes },
    { "peak resident", r->peak_resident_bytes }, { "resident", r->resident_bytes }, { "anonymous", r->anonymous_bytes } };
  fputc('\n', out);
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) fprintf(out, "  %-22s %12llu bytes\n", sizes[k].label, (ull)sizes[k].n);
  fprintf(out, "\n%llu nodes executed a run\n", (ull)r->steps);
  if (r->n_intervals) interval_table(out, o, r);
  if (r->has_peaks) {
    fprintf(out, "\nthe machine's peak, measured now: %.1f GFLOP/s; reads", r->gflops);
    for (int k = 0; k < BENCH_BLOCKS; k++)
      fprintf(out, "%s %.1f GB/s from %llu KB", k ? "," : "", r->gb_per_s[k], (ull)(bench_blocks[k] >> 10));
    fputc('\n', out);
  }
  node_tables(out, o, model, r);
}
