/* whit_bench.h - what the files of the on-device benchmark share. The only tool here that uses libc; see whit_bench.c. */
#ifndef WHIT_BENCH_H
#define WHIT_BENCH_H

#include "whit_platform.h"

#include <stdbool.h>
#include <stdio.h>

/* NAME=VALUE of --input or --shape. */
typedef struct bench_pair {
  const char *name, *value;
  size_t n_name;
  bool used;
} bench_pair;

typedef struct bench_options {
  const char *model, *entry, *json, *cpu;
  bench_pair *inputs, *shapes;
  int n_inputs, n_shapes, n_runs, n_warmup, n_threads, top;   /* n_runs 0: as many as fit; n_warmup -1: a tenth of them */
  double seconds, minutes;
  uint64_t seed, max_steps;
  bool profile;
} bench_options;

/* An input as it is given to the model: items[0] of a tensor, n_items of a sequence, absent if there is none. */
typedef struct bench_input {
  whit_port_info port;
  whit_tensor *items;
  uint32_t n_items;
  bool absent;
} bench_input;

/* The bits of an output, or of an item of it if that is a sequence. */
typedef struct bench_output {
  char *name;
  whit_tensor t;                 /* data is gone */
  uint32_t crc32;
} bench_output;

/* Times of runs. Of very many, evenly spaced ones are kept; runs and min are of all. */
typedef struct bench_samples {
  uint64_t *ns, runs, stride, min;
  size_t n;
} bench_samples;

typedef struct bench_interval {
  double start_s;
  uint64_t runs, min_ns, median_ns;
  uint32_t mhz;
} bench_interval;

typedef struct bench_node {
  uint32_t index;
  uint64_t runs, ns;
} bench_node;

enum { BENCH_BLOCKS = 5, BENCH_INTERVALS = 20, BENCH_CPUS = 64 };

typedef struct bench_result {
  const char *machine;
  uint32_t cpu, n_inputs, n_outputs, n_nodes, n_intervals, n_mhz;
  bench_input *inputs;
  bench_output *outputs;
  uint64_t load_ns, plan_ns, first_run_ns, median_ns, p95_ns, steps;
  bench_samples warm;
  uint64_t arena_bytes, instance_bytes, state_bytes, file_bytes, peak_resident_bytes, resident_bytes, anonymous_bytes;
  uint32_t mhz[BENCH_CPUS];
  bench_node *nodes;             /* those that ran, slowest first */
  bench_interval intervals[BENCH_INTERVALS];
  bool has_peaks;
  double gflops, gb_per_s[BENCH_BLOCKS];
} bench_result;

extern const uint64_t bench_blocks[BENCH_BLOCKS];   /* bytes that are read to measure the caches and the memory */

/* Prints a sentence and ends the program: code 1, the model, a file or the run failed; 2, the arguments are wrong. */
_Noreturn void bench_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* n_bytes > 0 at a multiple of 64, or the end of the program. */
void *bench_memory(uint64_t n_bytes, const char *what);

/* whit_bench_inputs.c */
size_t bench_type_size(unsigned dtype);
const char *bench_type_name(unsigned dtype);
uint64_t bench_tensor_bytes(const whit_tensor *t);
bool bench_numbers(const char *text, int32_t *numbers, int *n);
bench_input *bench_inputs_make(const whit_model *model, uint32_t entry, bench_options *o);

/* whit_bench_report.c */
/* Text from a model, which may hold anything: UTF-8 that moves no terminal's cursor, cut to n_bytes with the end. */
void bench_plain(char *to, size_t n_bytes, const char *text);
void bench_json(FILE *out, const bench_options *o, const whit_model *model, const bench_result *r);
void bench_tables(FILE *out, const bench_options *o, const whit_model *model, const bench_result *r);

#endif
