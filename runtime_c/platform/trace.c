/* trace.c - writes down when each node ran, and on which thread each piece of its work. */
#include "whit_platform.h"

#include <pthread.h>

static void record(whit_trace *t, uint32_t at, const whit_trace_event *e) {
  if (at < t->n_max) t->events[at] = *e;
}

static uint64_t thread_now(void) { return (uint64_t)(uintptr_t)pthread_self(); }

int whit_trace_observe(void *context, whit_instance *i, uint32_t node, int after) {
  whit_trace *t = context;
  (void)i;
  if (!after) {
    if (t->depth > WHIT_MAX_DEPTH + 1) t->depth = 0;   /* an earlier run was given up */
    const uint32_t at = __atomic_fetch_add(&t->n, 1, __ATOMIC_RELAXED);
    t->node = node;
    t->open[t->depth++] = at;
    record(t, at, &(whit_trace_event){ .start = whit_clock_ns(), .thread = thread_now(), .node = node, .part = WHIT_NONE });
    return 0;
  }
  const uint64_t now = whit_clock_ns();
  if (!t->depth) return 0;
  const uint32_t at = t->open[--t->depth];
  if (at < t->n_max) t->events[at].end = now;
  return 0;
}

struct traced_job {
  whit_trace *trace;
  void (*fn)(void *arg, uint32_t i);
  void *arg;
};

static void traced_item(void *context, uint32_t i) {
  const struct traced_job *job = context;
  whit_trace_event e = { .start = whit_clock_ns(), .thread = thread_now(), .node = job->trace->node, .part = i };
  job->fn(job->arg, i);
  e.end = whit_clock_ns();
  record(job->trace, __atomic_fetch_add(&job->trace->n, 1, __ATOMIC_RELAXED), &e);
}

void whit_trace_for(void *trace, void (*fn)(void *arg, uint32_t i), void *arg, uint32_t n) {
  struct traced_job job = { trace, fn, arg };
  whit_threads_for(job.trace->threads, traced_item, &job, n);
}
