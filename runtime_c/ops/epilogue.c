/* epilogue.c - see epilogue.h. */
#include "epilogue.h"
#include "../kernels/tile.h"

/* What a register of the program holds, as far as a finish can say it. */
enum { EPILOGUE_OTHER, EPILOGUE_SUM, EPILOGUE_INPUT, EPILOGUE_NUMBER, EPILOGUE_GATE, EPILOGUE_LEAK };
typedef struct epilogue_value { unsigned kind; float number; } epilogue_value;

static bool epilogue_adds(const whit_tensor *x, const whit_tensor *y) {
  return x && x->kind == WHIT_TENSOR && x->dtype == WHIT_F32 && whit_same_shape(x, y) && whit_is_dense(x);
}

static bool epilogue_free(const whit_finish *f) { return !(f->low > -__builtin_inff()) && !(f->high < __builtin_inff()); }

static bool epilogue_number(const epilogue_value *v) { return v->kind == EPILOGUE_NUMBER && v->number == v->number; }

/* x * slope + shift, or the limits of that: the gate of a sum that stays as it is. */
static bool epilogue_gate(whit_finish *f, unsigned op, const epilogue_value *a, const epilogue_value *b, const epilogue_value *c) {
  if (!epilogue_number(b) || !epilogue_number(c) || f->add_row || f->leak != 1) return false;
  if (op == WHIT_MICRO_fma && a->kind == EPILOGUE_SUM && epilogue_free(f)) {
    f->slope = b->number;
    f->shift = c->number;
    return true;
  }
  if (op != WHIT_MICRO_clamp || a->kind != EPILOGUE_GATE || !epilogue_free(f)) return false;
  f->low = b->number;
  f->high = c->number;
  return true;
}

/* The sum times a number, of which the larger is taken next. Neither 0 nor an infinity, whose products may be NaN. */
static bool epilogue_leak(whit_finish *f, const epilogue_value *a, const epilogue_value *b) {
  if (a->kind != EPILOGUE_SUM) {
    const epilogue_value *swap = a;
    a = b;
    b = swap;
  }
  if (a->kind != EPILOGUE_SUM || b->kind != EPILOGUE_NUMBER || !epilogue_free(f) || f->gate) return false;
  if (b->number - b->number != 0 || b->number == 0) return false;
  f->leak = b->number;
  return true;
}

/* One instruction on two registers: the result's register now holds the sum, further on in its finish. */
static bool epilogue_fold(whit_epilogue *e, unsigned op, const epilogue_value *a, const epilogue_value *b) {
  whit_finish *f = &e->finish;
  if (a->kind != EPILOGUE_SUM) {
    const epilogue_value *swap = a;
    a = b;
    b = swap;
  }
  if (a->kind != EPILOGUE_SUM || f->gate) return false;
  if (b->kind == EPILOGUE_LEAK) return op == WHIT_MICRO_max;
  if (op == WHIT_MICRO_mul && b->kind == EPILOGUE_GATE) return f->gate = true;
  if (op == WHIT_MICRO_add && b->kind == EPILOGUE_INPUT) {
    const whit_tensor *x = e->in[(unsigned)b->number];
    if (f->add_row || !epilogue_free(f) || f->leak != 1 || !epilogue_adds(x, e->out[0])) return false;
    f->add = (const float *)x->data;
    f->add_row = x->shape[x->rank - 1];
    return true;
  }
  if (!epilogue_number(b)) return false;
  if (op == WHIT_MICRO_max) {
    if (f->low < b->number) f->low = b->number;
    if (f->high < b->number) f->high = b->number;
    return true;
  }
  if (op != WHIT_MICRO_min) return false;
  if (f->low > b->number) f->low = b->number;
  if (f->high > b->number) f->high = b->number;
  return true;
}

/* Do the caller's kernels know all that the finish asks for? */
static bool epilogue_can(const whit_finish *f, unsigned can) {
  if (f->gate) return can & WHIT_EPILOGUE_GATE;
  return (can & WHIT_EPILOGUE_LIMIT || (epilogue_free(f) && f->leak == 1)) && (can & WHIT_EPILOGUE_ADD || !f->add_row);
}

/* Is the whole program a finish? The result is loaded once; it, its gate and its leak are read on only where they were changed
 * last. A build without programs has no other check of them. */
static bool epilogue_simple(whit_epilogue *e, unsigned can) {
  enum { NOWHERE = 64 };
  epilogue_value reg[64] = { { EPILOGUE_OTHER, 0 } };
  const uint32_t *p = (const uint32_t *)e->call.attr + 1, *const end = p + e->call.attr[0];
  unsigned sum = NOWHERE, gate = NOWHERE, leak = NOWHERE; /* the registers that hold them */
  bool leaks = false;
  if ((*p & 255) != 0 || e->out[0]->dtype != WHIT_F32) return false;
  for (uint32_t k = *p++ >> 16; k && p < end; k--) {
    const uint32_t w = *p++;
    const unsigned op = w & 255, dst = w >> 8 & 63, a = w >> 14 & 63, b = w >> 20 & 63;
    if (op == WHIT_MICRO_store)
      return k == 1 && p == end && !b && w >> 26 == WHIT_F32 && reg[a].kind == EPILOGUE_SUM &&
             (gate != NOWHERE) == e->finish.gate && (leak != NOWHERE) == leaks && epilogue_can(&e->finish, can);
    if (op == WHIT_MICRO_load && a >= e->call.n_in) return false;
    if (op == WHIT_MICRO_load && a) {
      reg[dst] = (epilogue_value){ EPILOGUE_INPUT, (float)a };
    } else if (op == WHIT_MICRO_imm) {
      if (p == end) return false;
      const union { uint32_t i; float f; } u = { *p++ };
      reg[dst] = (epilogue_value){ EPILOGUE_NUMBER, u.f };
    } else if (op == WHIT_MICRO_fma || op == WHIT_MICRO_clamp) {
      if ((gate != NOWHERE) != (op == WHIT_MICRO_clamp) || !epilogue_gate(&e->finish, op, &reg[a], &reg[b], &reg[w >> 26]))
        return false;
      if (gate != NOWHERE) reg[gate].kind = EPILOGUE_OTHER;
      gate = dst;
      reg[dst].kind = EPILOGUE_GATE;
    } else if (op == WHIT_MICRO_mul && gate == NOWHERE) {
      if (leak != NOWHERE || !epilogue_leak(&e->finish, &reg[a], &reg[b])) return false;
      leak = dst;
      reg[dst].kind = EPILOGUE_LEAK;
    } else {
      leaks |= op == WHIT_MICRO_max && (reg[a].kind == EPILOGUE_LEAK || reg[b].kind == EPILOGUE_LEAK);
      if (op == WHIT_MICRO_load ? sum != NOWHERE
                                : a == b || (gate != NOWHERE) != (op == WHIT_MICRO_mul) ||
                                      !epilogue_fold(e, op, &reg[a], &reg[b]))
        return false;
      if (sum != NOWHERE) reg[sum].kind = EPILOGUE_OTHER;
      if (leak != NOWHERE) reg[leak].kind = EPILOGUE_OTHER;
      sum = dst;
      reg[dst].kind = EPILOGUE_SUM;
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
