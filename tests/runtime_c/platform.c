/* platform.c - exercises runtime_c/platform. Prints ok, or says what is wrong. */
#define _DEFAULT_SOURCE
#include "whit_platform.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); exit(1); } } while (0)

enum { N = 1000 };
typedef struct job { _Atomic uint32_t done[N]; } job;

static void mark(void *arg, uint32_t i) { atomic_fetch_add(&((job *)arg)->done[i], 1); }

static void run_jobs(whit_threads *t, int rounds) {
  for (int round = 0; round < rounds; round++) {
    static _Thread_local job j;
    const uint32_t n = (uint32_t)round * 7 % N + 1;
    memset(&j, 0, sizeof j);
    whit_threads_for(t, mark, &j, n);
    for (uint32_t i = 0; i < N; i++) CHECK(atomic_load(&j.done[i]) == (i < n));
  }
}

static void *from_another_thread(void *t) {
  run_jobs(t, 500);
  return NULL;
}

static void test_threads(void) {
  CHECK(!whit_threads_create(0) && !whit_threads_create(257));
  for (uint32_t n = 1; n <= 8; n *= 2) {
    whit_threads *t = whit_threads_create(n);
    CHECK(t);
    run_jobs(t, 1500);
    usleep(20000);                                /* the helpers fall asleep */
    run_jobs(t, 3);
    pthread_t id[3];
    for (int k = 0; k < 3; k++) CHECK(!pthread_create(&id[k], NULL, from_another_thread, t));
    run_jobs(t, 500);
    for (int k = 0; k < 3; k++) pthread_join(id[k], NULL);
    whit_threads_destroy(t);
  }
  whit_threads_destroy(NULL);
}

/* A job whose items are jobs of the same pool. */
static void run_inner(void *t, uint32_t i) {
  job j;
  memset(&j, 0, sizeof j);
  whit_threads_for(t, mark, &j, i + 2);
  for (uint32_t k = 0; k < N; k++) CHECK(atomic_load(&j.done[k]) == (k < i + 2));
}

static void test_nested(void) {
  whit_threads *t = whit_threads_create(3);
  for (int round = 0; round < 200; round++) whit_threads_for(t, run_inner, t, 9);
  whit_threads_destroy(t);
}

static void test_many_pools(void) {
  for (int round = 0; round < 1000; round++) {
    whit_threads *t = whit_threads_create(3);
    CHECK(t);
    if (round % 2) run_jobs(t, round % 5);
    whit_threads_destroy(t);
  }
}

/* Between two jobs the helpers may be at work, spinning, falling asleep or asleep. */
static void test_fork(void) {
  whit_threads *t = whit_threads_create(4);
  for (int round = 0; round < 60; round++) {
    run_jobs(t, 3);
    usleep((useconds_t)round * 5);
    const pid_t child = fork();
    if (!child) {
      run_jobs(t, 30);
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__ /* whose own locks do not survive fork */
      whit_threads_destroy(t);
      t = whit_threads_create(2);                 /* threads of its own */
      run_jobs(t, 30);
      whit_threads_destroy(t);
#endif
      _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  run_jobs(t, 3);                                 /* the parent's are as they were */
  whit_threads_destroy(t);
}

static void test_file(const char *path) {
  whit_file f;
  CHECK(whit_file_map(&f, path) == 0 && f.n_bytes > 100 && !memcmp(f.data, "MIT License", 11));
  whit_file_unmap(&f);
  CHECK(!f.data && !f.n_bytes);
  whit_file_unmap(&f);
  CHECK(whit_file_map(&f, "/nonexistent") != 0 && !f.data);
  CHECK(whit_file_map(&f, "/") != 0 && !f.data);
}

/* A node with N pieces of work, and room for all events but one. */
static void test_trace(void) {
  static whit_trace_event events[N + 1];
  static job j;
  whit_threads *t = whit_threads_create(4);
  whit_trace trace = { .events = events, .n_max = N, .threads = t };
  events[N].node = 99;
  CHECK(!whit_trace_observe(&trace, NULL, 7, 0));
  whit_trace_for(&trace, mark, &j, N);
  CHECK(!whit_trace_observe(&trace, NULL, 7, 1));
  CHECK(trace.n == N + 1 && events[N].node == 99);
  CHECK(events[0].part == WHIT_NONE && events[0].node == 7);
  uint32_t seen[N] = { 0 };
  for (int k = 1; k < N; k++) {
    const whit_trace_event *e = events + k;
    CHECK(e->node == 7 && e->part < N && !seen[e->part]++);
    CHECK(events[0].start <= e->start && e->start <= e->end && e->end <= events[0].end);
  }
  for (int i = 0; i < N; i++) CHECK(atomic_load(&j.done[i]) == 1);
  whit_threads_destroy(t);
}

/* The work grows with what is asked for, on every kind of vectors that there are here. */
static void test_peak(void) {
  static _Alignas(64) float data[4096];
  whit_peak p = { .n_flops = 384, .n_bytes = sizeof data, .data = data, .n_times = 1 };
  const uint32_t cpus[] = { 0, whit_cpu_features() };
  for (int k = 0; k < 2; k++) {
    p.cpu = cpus[k];
    uint64_t least[2] = { UINT64_MAX, UINT64_MAX };
    for (int round = 0; round < 20; round++)
      for (int big = 0; big < 2; big++) {
        p.n_flops = big ? 384 << 10 : 384;
        const uint64_t start = whit_clock_ns();
        whit_peak_flops(&p, 0);
        const uint64_t ns = whit_clock_ns() - start;
        if (ns < least[big]) least[big] = ns;
      }
    CHECK(least[1] > 4 * least[0]);
    whit_peak_read(&p, 0);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const uint64_t start = whit_clock_ns();
  test_threads();
  test_nested();
  test_many_pools();
  test_fork();
  test_file(argv[1]);
  test_trace();
  test_peak();
  CHECK(whit_clock_ns() > start);
  const whit_host alone = whit_host_with(NULL);
  CHECK(alone.cpu == whit_cpu_features() && !alone.parallel_for && alone.n_threads == 1);
  whit_threads *t = whit_threads_create(3);
  const whit_host host = whit_host_with(t);
  CHECK(host.context == t && host.n_threads == 3 && host.parallel_for == whit_threads_for);
  whit_threads_destroy(t);
  puts("ok");
}
