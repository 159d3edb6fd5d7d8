/* epilogue.c - see epilogue.h. */
#include "epilogue.h"
#include "../kernels/tile.h"

static bool epilogue_adds(const whit_tensor *x, const whit_tensor *y) {
  return x && x->kind == WHIT_TENSOR && x->dtype == WHIT_F32 && whit_same_shape(x, y) && whit_is_dense(x);
}

bool whit_finish_read(whit_finish *f, const int32_t *numbers, uint32_t n, const whit_tensor *x, const whit_tensor *y,
                      unsigned can) {
  enum { LIMITS = 2, GATE = 5 };
  if (!WHIT_EPILOGUES || !n || n > (WHIT_GATES ? GATE : LIMITS)) return false;
  f->gate = WHIT_GATES && n == GATE;
  if (f->gate ? x || !(can & WHIT_EPILOGUE_GATE) : !(can & (x ? WHIT_EPILOGUE_ADD : WHIT_EPILOGUE_LIMIT))) return false;
  if (x) {
    if (!epilogue_adds(x, y)) return false;
    f->add = (const float *)x->data;
    f->add_row = x->shape[x->rank - 1];
  }
  whit_bytes_copy(&f->low, numbers, n * sizeof f->low);
  return true;
}

whit_status whit_epilogue_read(whit_epilogue *e, whit_call *c, unsigned first, unsigned words, unsigned list, unsigned can) {
  static const whit_finish none = WHIT_FINISH_NONE;
  uint32_t n_words, n_numbers;
  const int32_t *program = whit_attr_list(c, words, list, &n_words);
  const unsigned more = c->n_in > first ? c->n_in - first : 0;
  if (WHIT_FINISHES) e->finish = none;
  if (WHIT_PROGRAMS) {
    e->plan = NULL;
    e->program = false;
  }
  if (!n_words && !more) return WHIT_OK;
  if (!WHIT_EPILOGUES) return whit_fail(c, WHIT_E_OPERATOR, "this build of the runtime lacks epilogues");
  if (!n_words) return whit_fail(c, WHIT_E_FORMAT, "inputs without an epilogue");
  const int32_t *numbers = whit_attr_list(c, words, list + 1, &n_numbers);
  if (more < 2 && whit_finish_read(&e->finish, numbers, n_numbers, more ? c->in[first] : NULL, c->out[0], can)) return WHIT_OK;
  if (!WHIT_PROGRAMS) return whit_fail(c, WHIT_E_OPERATOR, "this build of the runtime lacks epilogues of this kind");
  if (more >= WHIT_EPILOGUE_INPUTS) return whit_fail(c, WHIT_E_FORMAT, "an epilogue has at most seven inputs");
  whit_tensor y = *c->out[0];
  e->finish = none;
  e->program = true;
  e->call = *c;
  e->call.attr = program - 1;   /* the word that counts */
  e->call.in = e->in;
  e->call.out = e->out;
  e->call.n_in = (uint16_t)(more + 1);
  e->call.n_out = 1;
  e->in[0] = c->out[0];
  e->out[0] = &y;
  for (unsigned k = 0; k < more; k++) e->in[k + 1] = c->in[first + k];
  if (!c->scratch) {            /* a shape function asks, perhaps in a run */
    WHIT_TRY(whit_tile_check(&e->call));
    if (y.dtype != c->out[0]->dtype || !whit_same_shape(&y, c->out[0]))
      return whit_fail(c, WHIT_E_SHAPE, "an epilogue must keep type and shape of the result");
  }
  e->out[0] = c->out[0];
  return WHIT_OK;
}

size_t whit_epilogue_bytes(const whit_epilogue *e, uint32_t n_jobs) {
  return WHIT_PROGRAMS && e->program ? whit_tile_bytes(&e->call, whit_count(e->out[0]), n_jobs) : 0;
}

void whit_epilogue_begin(whit_epilogue *e, void *scratch, uint32_t n_jobs) {
  if (WHIT_PROGRAMS && e->program) e->plan = whit_tile_begin(&e->call, e->out[0], scratch, n_jobs);
}

void whit_epilogue_run(const whit_epilogue *e, uint32_t job, int32_t start, int32_t n) {
  if (whit_epilogue_runs(e)) whit_tile_range(e->plan, job, start, n);
}

void whit_epilogue_after(const void *context, uint32_t job, const whit_gemm *g, int32_t row, int32_t end, int32_t column,
                         int32_t n) {
  const whit_epilogue *e = (const whit_epilogue *)context;
  const int32_t start = (int32_t)(g->c - (const float *)e->out[0]->data) + column, pitch = (int32_t)g->c_row;
  if (n == pitch) whit_epilogue_run(e, job, start + row * pitch, (end - row) * pitch);
  else
    for (; row < end; row++) whit_epilogue_run(e, job, start + row * pitch, n);
}
