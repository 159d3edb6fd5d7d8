/* threads.c - a pool of threads for whit_host.parallel_for.
 *
 * A job is published as one 64-bit ticket: its number in the upper half, the items left in the lower. Whoever lowers the
 * ticket by one has taken an item, and has thereby seen that the job's fn and arg are still those of this job:
 * they change only after every item of it is done, and then the ticket's number is another.
 *
 * A helper without work spins for a while, which makes the next job cost less than a microsecond, and then sleeps. Waking
 * costs the caller a system call and tens of microseconds pass until the helper runs. So whoever finds helpers asleep works alone
 * until that has taken, over all jobs since the last waking, as long as waking does: never more than twice the best choice, and a
 * small model that runs now and then wakes nobody. */
#define _POSIX_C_SOURCE 200809L
#include "whit_platform.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

typedef void (*work_fn)(void *arg, uint32_t i);

struct whit_threads {
  _Alignas(64) _Atomic uint64_t ticket;
  _Alignas(64) _Atomic uint32_t done;
  _Alignas(64) _Atomic(work_fn) fn;
  _Atomic(void *) arg;
  _Atomic uint32_t sleeping, stop;
  atomic_flag busy;
  uint64_t alone_ns;             /* of the caller who is busy: time without the sleeping helpers */
  uint32_t forks;                /* of the process that the helpers belong to */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  uint32_t n;                    /* threads, the caller's included */
  pthread_t id[];
};

enum { SPIN_NS = 100000,         /* longer than what lies between two nodes of a run that are worth dividing */
       WAKE_NS = 20000 };        /* the caller's share of a waking: 5 to 15 us */

/* A child made by fork has no helpers, and their mutex may be locked for ever: it must not touch what they share. */
static _Atomic uint32_t n_forks;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void count_fork(void) { atomic_fetch_add(&n_forks, 1); }
static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }
static bool helpers_gone(const struct whit_threads *t) { return t->forks != atomic_load(&n_forks); }

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Does items of the job at hand until none is left. */
static void work(struct whit_threads *t) {
  uint64_t ticket = atomic_load(&t->ticket);
  while ((uint32_t)ticket) {
    const work_fn fn = atomic_load(&t->fn);
    void *arg = atomic_load(&t->arg);
    if (!atomic_compare_exchange_weak(&t->ticket, &ticket, ticket - 1)) continue;
    fn(arg, (uint32_t)ticket - 1);
    atomic_fetch_add(&t->done, 1);
    ticket = atomic_load(&t->ticket);
  }
}

static bool has_news(struct whit_threads *t) { return (uint32_t)atomic_load(&t->ticket) || atomic_load(&t->stop); }

/* Waits for news for SPIN_NS; true if there are some. */
static bool spin(struct whit_threads *t) {
  const uint64_t start = whit_clock_ns();
  do
    for (int k = 0; k < 64; k++) {
      if (has_news(t)) return true;
      pause_cpu();
    }
  while (whit_clock_ns() - start < SPIN_NS);
  return false;
}

static void *helper(void *context) {
  struct whit_threads *t = context;
  while (!atomic_load(&t->stop)) {
    work(t);
    if (spin(t)) continue;
    pthread_mutex_lock(&t->mutex);
    atomic_fetch_add(&t->sleeping, 1);
    if (!has_news(t)) pthread_cond_wait(&t->wake, &t->mutex); /* too late for that job: spin, the next one is near */
    atomic_fetch_sub(&t->sleeping, 1);
    pthread_mutex_unlock(&t->mutex);
  }
  return NULL;
}

static void wake_all(struct whit_threads *t) {
  pthread_mutex_lock(&t->mutex);
  pthread_cond_broadcast(&t->wake);
  pthread_mutex_unlock(&t->mutex);
}

/* Does items from the n-th down while helpers sleep and waking them does not pay yet; how many are left. */
static uint32_t work_alone(struct whit_threads *t, work_fn fn, void *arg, uint32_t n) {
  const uint64_t start = whit_clock_ns(), before = t->alone_ns;
  while (n && t->alone_ns < WAKE_NS) {
    fn(arg, --n);
    t->alone_ns = before + (whit_clock_ns() - start);
  }
  return n;
}

void whit_threads_for(void *context, work_fn fn, void *arg, uint32_t n) {
  struct whit_threads *t = context;
  if (n < 2 || t->n < 2 || helpers_gone(t) || atomic_flag_test_and_set(&t->busy)) {
    for (uint32_t i = 0; i < n; i++) fn(arg, i);
    return;
  }
  const bool asleep = atomic_load(&t->sleeping);
  if (asleep) n = work_alone(t, fn, arg, n);
  if (n) {
    const uint64_t number = (atomic_load_explicit(&t->ticket, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&t->fn, fn, memory_order_relaxed);
    atomic_store_explicit(&t->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&t->done, 0, memory_order_relaxed);
    atomic_store_explicit(&t->ticket, number << 32 | n, memory_order_release);
    if (asleep && n > 1) {
      t->alone_ns = 0;
      wake_all(t);
    }
    work(t);
    for (unsigned spins = 0; atomic_load(&t->done) != n; spins++) {
      if (spins < 4000) pause_cpu();
      else sched_yield();
    }
  }
  atomic_flag_clear(&t->busy);
}

whit_threads *whit_threads_create(uint32_t n) {
  if (n < 1 || n > 256) return NULL;
  size_t n_bytes = sizeof(struct whit_threads) + n * sizeof(pthread_t);
  struct whit_threads *t = aligned_alloc(64, (n_bytes + 63) / 64 * 64);
  if (!t) return NULL;
  pthread_once(&fork_once, watch_forks);
  t->forks = atomic_load(&n_forks);
  t->alone_ns = 0;
  atomic_init(&t->ticket, 0);
  atomic_init(&t->done, 0);
  atomic_init(&t->fn, (work_fn)0);
  atomic_init(&t->arg, NULL);
  atomic_init(&t->sleeping, 0);
  atomic_init(&t->stop, 0);
  atomic_flag_clear(&t->busy);
  pthread_mutex_init(&t->mutex, NULL);
  pthread_cond_init(&t->wake, NULL);
  for (t->n = 1; t->n < n; t->n++)
    if (pthread_create(&t->id[t->n], NULL, helper, t)) {
      whit_threads_destroy(t);
      return NULL;
    }
  return t;
}

void whit_threads_destroy(whit_threads *t) {
  if (!t) return;
  if (!helpers_gone(t)) {
    atomic_store(&t->stop, 1);
    wake_all(t);
    for (uint32_t k = 1; k < t->n; k++) pthread_join(t->id[k], NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
  }
  free(t);
}

whit_host whit_host_with(whit_threads *threads) {
  whit_host host = { .cpu = whit_cpu_features(), .n_threads = 1 };
  if (threads) {
    host.context = threads;
    host.parallel_for = whit_threads_for;
    host.n_threads = threads->n;
  }
  return host;
}
