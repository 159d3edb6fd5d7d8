/* As much of POSIX threads as threads.c uses. Threads are not made here: they are Java's, which call the pool's function. */
#ifndef WHIT_PTHREAD_H
#define WHIT_PTHREAD_H

#include <stdatomic.h>

#include "../system.h"

typedef int pthread_t, pthread_once_t;
typedef struct { _Atomic uint32_t state; } pthread_mutex_t;     /* 0 free, 1 taken, 2 taken and waited for */
typedef struct { _Atomic uint32_t round; } pthread_cond_t;
#define PTHREAD_ONCE_INIT 0

static inline int pthread_create(pthread_t *id, const void *attributes, void *(*run)(void *), void *arg) {
  (void)attributes, (void)run, (void)arg;
  *id = 0;
  return 0;
}
/* Whoever destroys a pool has waited for its threads. */
static inline int pthread_join(pthread_t id, void **result) { return (void)id, (void)result, 0; }
/* An app's processes are forked before they load libraries. */
static inline int pthread_once(pthread_once_t *once, void (*run)(void)) { return (void)once, (void)run, 0; }
static inline int pthread_atfork(void (*a)(void), void (*b)(void), void (*c)(void)) { return (void)a, (void)b, (void)c, 0; }

static inline int pthread_mutex_init(pthread_mutex_t *m, const void *attributes) {
  (void)attributes;
  atomic_init(&m->state, 0);
  return 0;
}
static inline int pthread_mutex_destroy(pthread_mutex_t *m) { return (void)m, 0; }
static inline int pthread_mutex_lock(pthread_mutex_t *m) {
  uint32_t state = 0;
  if (atomic_compare_exchange_strong(&m->state, &state, 1)) return 0;
  while (atomic_exchange(&m->state, 2)) word_wait((const volatile uint32_t *)&m->state, 2);
  return 0;
}
static inline int pthread_mutex_unlock(pthread_mutex_t *m) {
  if (atomic_exchange(&m->state, 0) == 2) word_wake((const volatile uint32_t *)&m->state, 1);
  return 0;
}

static inline int pthread_cond_init(pthread_cond_t *c, const void *attributes) {
  (void)attributes;
  atomic_init(&c->round, 0);
  return 0;
}
static inline int pthread_cond_destroy(pthread_cond_t *c) { return (void)c, 0; }
static inline int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m) {
  const uint32_t round = atomic_load(&c->round);
  pthread_mutex_unlock(m);
  word_wait((const volatile uint32_t *)&c->round, round);
  return pthread_mutex_lock(m);
}
static inline int pthread_cond_broadcast(pthread_cond_t *c) {
  atomic_fetch_add(&c->round, 1);
  word_wake((const volatile uint32_t *)&c->round, INT_MAX);
  return 0;
}
#endif
