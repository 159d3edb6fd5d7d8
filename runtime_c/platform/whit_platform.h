/* whit_platform.h - what a host with an operating system lends to the runtime: files, a clock, threads, a
 * profiler. Optional: the runtime itself never calls it, and it is the only code here that uses libc.
 *
 *   whit_file f;
 *   whit_threads *t = whit_threads_create(4);
 *   whit_host host = whit_host_with(t);                  // processor features, and threads if t is not NULL
 *   if (!whit_file_map(&f, "model.whit")) { ... whit_open(&model, f.data, f.n_bytes) ... whit_file_unmap(&f); }
 *   whit_threads_destroy(t);
 */
#ifndef WHIT_PLATFORM_H
#define WHIT_PLATFORM_H

#include "whit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A file in memory. */
typedef struct whit_file {
  const void *data;              /* aligned to a page */
  size_t n_bytes;
} whit_file;

/* Maps the file at path for reading; pages are read when they are touched, and are shared between processes.
 * Returns 0, or an errno value with *file empty. The file must not be shortened while it is mapped. */
WHIT_API int whit_file_map(whit_file *file, const char *path);
/* Ends the mapping; *file may be empty. No model may be in use in it. */
WHIT_API void whit_file_unmap(whit_file *file);

/* Nanoseconds of a clock that never goes back; its zero is arbitrary. */
WHIT_API uint64_t whit_clock_ns(void);

/* WHIT_CPU_* bits that this processor and operating system have, for whit_host.cpu. */
WHIT_API uint32_t whit_cpu_features(void);

/* ---- threads ---- */

typedef struct whit_threads whit_threads;

/* Starts n - 1 threads that wait for work; the thread that calls whit_threads_for is the n-th. n: 1 to 256.
 * They spin for a tenth of a millisecond, then sleep until there is enough work to be worth waking them. Returns NULL if n is out of range or the system refuses. */
WHIT_API whit_threads *whit_threads_create(uint32_t n);
/* Ends the threads and frees everything; NULL is fine. No call of whit_threads_for may be open. In a process made by
 * fork it frees the memory. */
WHIT_API void whit_threads_destroy(whit_threads *threads);
/* whit_host.parallel_for, with the whit_threads as context: runs fn(arg, 0) ... fn(arg, n - 1) and returns when all are
 * done. Any thread may call it; while one call has the helpers, further ones do their work alone. In a
 * process made by fork the helpers are gone and every call does its work alone. */
WHIT_API void whit_threads_for(void *threads, void (*fn)(void *arg, uint32_t i), void *arg, uint32_t n);

/* A host with this processor's features and, if threads is not NULL, its threads. */
WHIT_API whit_host whit_host_with(whit_threads *threads);

/* ---- profiler ---- */

/* Time and count of each node, summed over runs. Zero it, point ns and count at one item per node of the
 * model, and give it to whit_observe: whit_observe(i, whit_profile_observe, &profile). Reading the
 * clock costs some 25 ns a node; the time of a control node does not contain that of its regions. */
typedef struct whit_profile {
  uint64_t *ns;
  uint64_t *count;
  uint32_t depth;                /* private from here on */
  uint64_t start[WHIT_MAX_DEPTH + 2], inside[WHIT_MAX_DEPTH + 2];
} whit_profile;
WHIT_API int whit_profile_observe(void *profile, whit_instance *i, uint32_t node, int after);

/* When something ran, in whit_clock_ns. */
typedef struct whit_trace_event {
  uint64_t start, end;
  uint64_t thread;               /* tells threads apart, says nothing else */
  uint32_t node, part;           /* part: WHIT_NONE for the node itself, or the number of a piece of its work */
} whit_trace_event;

/* Every node of a run, in order of start, and the pieces of work that threads did between them, in order of end. Zero it, point
 * events at n_max of them, and give it to whit_observe(i, whit_trace_observe, &trace). For the pieces set threads, and
 * let whit_host.parallel_for be whit_trace_for and whit_host.context the trace. n counts events, those beyond n_max too,
 * which are lost. */
typedef struct whit_trace {
  whit_trace_event *events;
  uint32_t n_max, n;
  whit_threads *threads;
  uint32_t node, depth, open[WHIT_MAX_DEPTH + 2];   /* private */
} whit_trace;
WHIT_API int whit_trace_observe(void *trace, whit_instance *i, uint32_t node, int after);
WHIT_API void whit_trace_for(void *trace, void (*fn)(void *arg, uint32_t i), void *arg, uint32_t n);

/* ---- what the machine can do at most ---- */

/* Work to be timed, for one thread or for whit_threads_for: fused multiply-adds in registers with the vectors that cpu
 * names, each call n_flops operations (a multiple of 384); and reading, call i n_times the n_bytes (a multiple of 4096) from
 * data + i * n_bytes. What a kernel reaches can be seen as a share of it. */
typedef struct whit_peak {
  uint64_t n_flops, n_bytes;
  const float *data;             /* aligned to 64, n_bytes a thread */
  uint32_t n_times, cpu;
} whit_peak;
WHIT_API void whit_peak_flops(void *peak, uint32_t i);
WHIT_API void whit_peak_read(void *peak, uint32_t i);

#ifdef __cplusplus
}
#endif
#endif
