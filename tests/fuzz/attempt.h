/* attempt.h - one file, hostile or not: opened, planned for small shapes, and run with bounded memory and steps; each entry, and every
 * byte of the answers is read. counts[s]: how many attempts ended with status s. Built with AddressSanitizer and
 * UndefinedBehaviorSanitizer; any report ends the process. */
#include "whit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARENA = 1 << 24, MAX_STEPS = 2000, MAX_TRIES = 4, MAX_ELEMENTS = 1 << 16 };

static unsigned counts[128];
static void *arena;               /* of the run in progress; answers are read from it */

static void *aligned(size_t n) { return aligned_alloc(64, (n + 127) / 64 * 64); }

/* Inputs of the port's own type; dynamic dimensions are 2. NULL if it would be unreasonably large. */
static void *set_input(whit_instance *i, uint32_t k, const whit_port_info *p, whit_status *s) {
  int32_t shape[WHIT_MAX_RANK] = { 0 };
  const int rank = p->rank == 255 ? 1 : p->rank;
  size_t n = 1;
  for (int a = 0; a < rank; a++) {
    shape[a] = p->dims[a] < 0 || p->rank == 255 ? 2 : p->dims[a];
    n *= (size_t)shape[a] + (n == 0);
    if (n > MAX_ELEMENTS) {
      *s = WHIT_E_SIZE;
      return NULL;
    }
  }
  unsigned char *data = aligned(n * 8);
  const size_t size = p->dtype == WHIT_I64 || p->dtype == WHIT_F64 || p->dtype == WHIT_U64 ? 8 : 4;
  for (size_t b = 0; b < n * 8; b++) data[b] = (unsigned char)(b % size == 0 ? 1 + b / size % 5 : 0);
  *s = whit_input_set(i, k, p->dtype, rank, shape, data);
  return data;
}

static whit_status run(whit_instance *i, size_t n_bytes) {
  size_t n = n_bytes;
  if (n > MAX_ARENA) return WHIT_E_MEMORY;
  arena = aligned(n);
  memset(arena, 0xa5, n);
  whit_status s = whit_arena_set(i, arena, n);
  if (!s) s = whit_run(i);
  for (int tries = 0; s == WHIT_E_MEMORY && tries < MAX_TRIES; tries++) {
    const size_t more = whit_arena_needed(i) + n;
    if (more > MAX_ARENA) break;
    void *next = aligned(more);
    memset(next, 0xa5, more);
    memcpy(next, arena, n);
    free(arena);
    arena = next;
    n = more;
    s = whit_arena_set(i, arena, n);
    if (!s) s = whit_run(i);
  }
  return s;
}

static whit_status try_entry(const whit_model *m, uint32_t e) {
  const whit_host host = { .max_steps = MAX_STEPS, .cpu = WHIT_CPU_AVX2 };
  const size_t n_bytes = whit_instance_bytes(m), n_state = whit_state_bytes(m);
  if (n_bytes > MAX_ARENA || n_state > MAX_ARENA) return WHIT_E_MEMORY;
  void *memory = aligned(n_bytes), *state = aligned(n_state);
  whit_instance *i = whit_instance_init(memory, n_bytes, m, e, &host);
  const uint32_t n_inputs = whit_port_count(m, e, 0);
  void **inputs = calloc(n_inputs + 1, sizeof *inputs);
  whit_status s = whit_state_set(i, state, n_state, 1);
  for (uint32_t k = 0; k < n_inputs && !s; k++) {
    whit_port_info p;
    s = whit_port_get(m, e, 0, k, &p);
    if (!s && p.optional)
      s = whit_input_absent(i, k);
    else if (!s && p.kind == WHIT_SEQUENCE)
      s = whit_input_sequence(i, k, NULL, 0);
    else if (!s)
      inputs[k] = set_input(i, k, &p, &s);
  }
  size_t n = 0;
  if (!s) s = whit_plan(i, &n);
  if (!s) s = run(i, n);
  for (uint32_t k = 0; !s && k < whit_port_count(m, e, 1); k++) {   /* every byte of an answer can be read */
    const whit_tensor *t = whit_output(i, k);
    volatile unsigned char sink = 0;
    size_t bytes = t->kind == WHIT_TENSOR ? 1 : 0;
    for (unsigned a = 0; a < t->rank; a++) bytes *= (size_t)t->shape[a];
    for (size_t b = 0; b < bytes; b++) sink = (unsigned char)(sink + ((const unsigned char *)t->data)[b]);
  }
  free(arena);
  arena = NULL;
  for (uint32_t k = 0; k < n_inputs; k++) free(inputs[k]);
  free(inputs);
  free(memory);
  free(state);
  return s;
}

/* The mutant lies at the end of its own block, so that reading past it is seen. */
static void try_bytes(const unsigned char *bytes, size_t n) {
  whit_model m;
  void *copy = NULL;
  if (posix_memalign(&copy, 16, n)) exit(1);
  if (n) memcpy(copy, bytes, n);
  whit_status s = whit_open(&m, copy, n);
  for (uint32_t e = 0; !s && e < m.n_entries; e++) {
    s = try_entry(&m, e);
    if (s == WHIT_E_MEMORY || s == WHIT_E_BUDGET) break;
  }
  counts[s & 127]++;
  free(copy);
}
