/* epilogue.c - see epilogue.h. */
#include "epilogue.h"
#include "../kernels/tile.h"

/* What a register of the program holds, as far as a finish can say it. */
enum { EPILOGUE_OTHER, EPILOGUE_SUM, EPILOGUE_INPUT, EPILOGUE_NUMBER, EPILOGUE_GATE, EPILOGUE_LEAK };
typedef struct epilogue_value { unsigned kind; float number; } epilogue_value;

/* How far a program has come: it has loaded the result, made a gate or a leak; waits: for the maximum with that leak. */
typedef struct epilogue_progress { bool loaded, gated, leaked, waits; } epilogue_progress;

static bool epilogue_adds(const whit_tensor *x, const whit_tensor *y) {
  return x && x->kind == WHIT_TENSOR && x->dtype == WHIT_F32 && whit_same_shape(x, y) && whit_is_dense(x);
}

WHIT_CALLED static bool epilogue_free(const whit_finish *f) {
  return !(f->low > -__builtin_inff()) && !(f->high < __builtin_inff());
}

WHIT_CALLED static bool epilogue_number(const epilogue_value *v) {
  return v->kind == EPILOGUE_NUMBER && v->number == v->number;
}

/* An instruction on registers a, b, c as a step of the finish: what its result holds; EPILOGUE_OTHER: it is none. */
static unsigned epilogue_step(whit_epilogue *e, epilogue_progress *at, unsigned op, const epilogue_value *a,
                              const epilogue_value *b, const epilogue_value *c) {
  whit_finish *f = &e->finish;
  const bool free = epilogue_free(f);
  if (f->gate) return EPILOGUE_OTHER;
  if (WHIT_GATES && (op == WHIT_MICRO_fma || op == WHIT_MICRO_clamp)) {
    /* x * slope + shift, or the limits of that: the gate of a sum that stays as it is */
    if (!epilogue_number(b) || !epilogue_number(c) || !free || f->add_row || f->leak != 1 ||
        at->gated != (op == WHIT_MICRO_clamp) || a->kind != (at->gated ? EPILOGUE_GATE : EPILOGUE_SUM))
      return EPILOGUE_OTHER;
    *(at->gated ? &f->low : &f->slope) = b->number;
    *(at->gated ? &f->high : &f->shift) = c->number;
    at->gated = true;
    return EPILOGUE_GATE;
  }
  if (a->kind != EPILOGUE_SUM) {
    const epilogue_value *swap = a;
    a = b;
    b = swap;
  }
  if (a->kind != EPILOGUE_SUM || at->gated != (op == WHIT_MICRO_mul && b->kind == EPILOGUE_GATE)) return EPILOGUE_OTHER;
  if (WHIT_GATES && at->gated) {
    f->gate = true;
  } else if (WHIT_PROGRAMS && op == WHIT_MICRO_mul) { /* _select.py knows no leak but as a program */
    /* neither 0 nor an infinity, whose products may be NaN */
    if (!epilogue_number(b) || !free || at->leaked || b->number - b->number != 0 || b->number == 0) return EPILOGUE_OTHER;
    f->leak = b->number;
    at->leaked = at->waits = true;
    return EPILOGUE_LEAK;
  } else if (WHIT_PROGRAMS && op == WHIT_MICRO_max && b->kind == EPILOGUE_LEAK) {
    at->waits = false;
  } else if (op == WHIT_MICRO_add && b->kind == EPILOGUE_INPUT) {
    const whit_tensor *x = e->in[(unsigned)b->number];
    if (f->add_row || !free || f->leak != 1 || !epilogue_adds(x, e->out[0])) return EPILOGUE_OTHER;
    f->add = (const float *)x->data;
    f->add_row = x->shape[x->rank - 1];
  } else {
    const bool max = op == WHIT_MICRO_max;
    if ((!max && op != WHIT_MICRO_min) || !epilogue_number(b)) return EPILOGUE_OTHER;
    if (max ? f->low < b->number : f->low > b->number) f->low = b->number;
    if (max ? f->high < b->number : f->high > b->number) f->high = b->number;
  }
  return EPILOGUE_SUM;
}

/* Do the caller's kernels know all that the finish asks for? */
static bool epilogue_can(const whit_finish *f, unsigned can) {
  if (f->gate) return can & WHIT_EPILOGUE_GATE;
  return (can & WHIT_EPILOGUE_LIMIT || (epilogue_free(f) && f->leak == 1)) && (can & WHIT_EPILOGUE_ADD || !f->add_row);
}

/* The register that held this kind last does so no more. */
static void epilogue_forget(epilogue_value *last, unsigned kind) {
  if (last && last->kind == kind) last->kind = EPILOGUE_OTHER;
}

/* Is the whole program a finish? The result is loaded once; it, its gate and its leak are read on only where they were changed
 * last. A build without programs has no other check of them. */
static bool epilogue_simple(whit_epilogue *e, unsigned can) {
  epilogue_value reg[64] = { { EPILOGUE_OTHER, 0 } }, *last[EPILOGUE_LEAK + 1] = { NULL };
  epilogue_progress at = { false, false, false, false };
  const uint32_t *p = (const uint32_t *)e->call.attr + 1, *const end = p + e->call.attr[0];
  if ((*p & 255) != 0 || e->out[0]->dtype != WHIT_F32) return false;
  for (uint32_t k = *p++ >> 16; k && p < end; k--) {
    const uint32_t w = *p++;
    const unsigned op = w & 255, a = w >> 14 & 63, b = w >> 20 & 63;
    epilogue_value *const to = &reg[w >> 8 & 63];
    if (op == WHIT_MICRO_store)
      return k == 1 && p == end && !b && w >> 26 == WHIT_F32 && reg[a].kind == EPILOGUE_SUM && at.gated == e->finish.gate &&
             !at.waits && epilogue_can(&e->finish, can);
    if (op == WHIT_MICRO_load) {
      if (a >= e->call.n_in || (!a && at.loaded)) return false;
      at.loaded |= !a;
      *to = (epilogue_value){ a ? EPILOGUE_INPUT : EPILOGUE_SUM, (float)a };
      if (!a) last[EPILOGUE_SUM] = to;
    } else if (op == WHIT_MICRO_imm) {
      if (p == end) return false;
      const union { uint32_t i; float f; } u = { *p++ };
      *to = (epilogue_value){ EPILOGUE_NUMBER, u.f };
    } else {
      const unsigned kind = epilogue_step(e, &at, op, &reg[a], &reg[b], &reg[w >> 26]);
      if (!kind) return false;
      epilogue_forget(last[kind], kind);
      if (kind == EPILOGUE_SUM) epilogue_forget(last[EPILOGUE_LEAK], EPILOGUE_LEAK);
      to->kind = kind;
      last[kind] = to;
    }
  }
  return false;
}

whit_status whit_epilogue_read(whit_epilogue *e, whit_call *c, unsigned first, unsigned words, unsigned list, unsigned can) {
  static const whit_finish none = WHIT_FINISH_NONE;
  uint32_t n_words;
  const int32_t *program = whit_attr_list(c, words, list, &n_words);
  e->finish = none;
  e->plan = NULL;
  e->program = false;
  if (!n_words) return c->n_in > first ? whit_fail(c, WHIT_E_FORMAT, "inputs without an epilogue") : WHIT_OK;
  const unsigned more = c->n_in > first ? c->n_in - first : 0;
  if (more >= WHIT_EPILOGUE_INPUTS) return whit_fail(c, WHIT_E_FORMAT, "an epilogue has at most seven inputs");
  whit_tensor y = *c->out[0];
  e->call = *c;
  e->call.attr = program - 1;   /* the word that counts */
  e->call.in = e->in;
  e->call.out = e->out;
  e->call.n_in = (uint16_t)(more + 1);
  e->call.n_out = 1;
  e->in[0] = c->out[0];
  e->out[0] = &y;
  for (unsigned k = 0; k < more; k++) e->in[k + 1] = c->in[first + k];
  if (WHIT_PROGRAMS && !c->running) {
    WHIT_TRY(whit_tile_check(&e->call));
    if (y.dtype != c->out[0]->dtype || !whit_same_shape(&y, c->out[0]))
      return whit_fail(c, WHIT_E_SHAPE, "an epilogue must keep type and shape of the result");
  }
  e->out[0] = c->out[0];
  if (can && epilogue_simple(e, can)) return WHIT_OK;
  if (!WHIT_PROGRAMS) return whit_fail(c, WHIT_E_OPERATOR, "this build of the runtime lacks epilogues of this kind");
  e->finish = none;
  e->program = true;
  return WHIT_OK;
}

size_t whit_epilogue_bytes(const whit_epilogue *e, uint32_t n_jobs) {
  return WHIT_PROGRAMS && e->program ? whit_tile_bytes(&e->call, whit_count(e->out[0]), n_jobs) : 0;
}

void whit_epilogue_begin(whit_epilogue *e, void *scratch, uint32_t n_jobs) {
  if (WHIT_PROGRAMS && e->program) e->plan = whit_tile_begin(&e->call, e->out[0], scratch, n_jobs);
}

void whit_epilogue_run(const whit_epilogue *e, uint32_t job, int32_t start, int32_t n) {
  if (WHIT_PROGRAMS && e->plan) whit_tile_range(e->plan, job, start, n);
}

void whit_epilogue_after(const void *context, uint32_t job, const whit_gemm *g, int32_t row, int32_t end, int32_t column,
                         int32_t n) {
  const whit_epilogue *e = (const whit_epilogue *)context;
  const int32_t start = (int32_t)(g->c - (const float *)e->out[0]->data) + column, pitch = (int32_t)g->c_row;
  if (n == pitch) whit_epilogue_run(e, job, start + row * pitch, (end - row) * pitch);
  else
    for (; row < end; row++) whit_epilogue_run(e, job, start + row * pitch, n);
}
