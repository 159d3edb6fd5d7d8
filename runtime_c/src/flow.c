/* flow.c - If and Loop while running: an if is a loop of one trip that carries nothing. Only carried values move, and they move by
 * pointer: a result written in one of two slots becomes the parameter, and the next trip writes the other slot. A branch writes
 * straight into the output's memory, and so does a slice of a stacked output whose length is known. */
#include "internal.h"

static whit_value *value_at(whit_instance *i, uint32_t v) { return v == WHIT_NONE ? NULL : &i->values[v]; }

/* 1: a condition is true, or not given; 0: it is false; -1: it is no bool. */
static int truth_of(whit_instance *i, uint32_t v) {
  if (v == WHIT_NONE) return 1;
  const uint8_t *data = (const uint8_t *)whit_scalar(&i->values[v].t, WHIT_BOOL);
  return data ? *data != 0 : -1;
}

static whit_status no_bool(whit_instance *i, uint32_t node) {
  (void)i, (void)node;
  return whit_error(i, WHIT_E_SHAPE, node, "a condition must be a bool");
}

/* Copies a value, which is dense, into a heap block of its own if it has none. */
static whit_status own_block(whit_instance *i, whit_value *v) {
  if (v->block || !whit_is_tensor(&v->t)) return WHIT_OK;
  const void *from = v->t.data;
  WHIT_TRY(whit_value_take(i, v));
  whit_bytes_copy(v->t.data, from, whit_bytes(&v->t));
  return WHIT_OK;
}

whit_status whit_stack(whit_instance *i, uint32_t node, whit_tensor *t, int64_t n) {
  int32_t shape[WHIT_MAX_RANK];
  whit_status s = WHIT_E_SIZE;
  if (t->rank < WHIT_MAX_RANK && n <= INT32_MAX) {
    shape[0] = (int32_t)n;
    for (unsigned a = 0; a < t->rank; a++) shape[a + 1] = t->shape[a];
    s = whit_tensor_set(t, t->dtype, t->rank + 1u, shape);
  }
  return s ? whit_error(i, s, node, "a stacked output is too large") : WHIT_OK;
}

/* ---- begin ---------------------------------------------------------------------------------------------- */

/* Of a frame that a control node owns. */
static bool is_loop(const whit_frame *f) { return WHIT_HAS_loop && (!WHIT_HAS_if || f->loop); }

/* Where outputs end that may be of unknown shape. */
static unsigned dynamic_end(const whit_instance *i, const whit_frame *f) { return WHIT_DYNAMIC && i->dynamic ? f->n_out : 0; }

/* Begins the trip that is next, or if there is none, leads to the region's end: whit_flow_close then finishes. */
static void begin_trip(whit_instance *i, whit_frame *f) {
  i->pc = f->end;
  f->steps = i->steps_done;
  if (f->i >= f->n) return;
  i->pc = f->region->begin;
  if (is_loop(f)) *(int64_t *)i->values[f->params[-1]].t.data = f->i;
  for (unsigned k = f->n_carried; k < f->n_out; k++) {
    const whit_value *out = value_at(i, f->out[k]);
    whit_value *r = &i->values[f->results[k]];
    if (out && !whit_is_dynamic(out)) r->t.data = (uint8_t *)out->t.data + (f->i ? (size_t)f->i * whit_bytes(&r->t) : 0);
  }
}

/* How often a loop's region may run; of an if 0: the second one does. */
static whit_status trips_of(whit_instance *i, uint32_t pc, bool loop, int64_t *n) {
  const uint32_t *args = whit_args(i, &i->model.nodes[pc]);
  *n = INT64_MAX;
  if (loop && args[0] != WHIT_NONE) {
    const int64_t *data = (const int64_t *)whit_scalar(&i->values[args[0]].t, WHIT_I64);
    if (!data) return whit_error(i, WHIT_E_SHAPE, pc, "a trip count must be an i64");
    *n = *data;
  }
  const int go = truth_of(i, args[loop]);
  if (go < 0) return no_bool(i, pc);
  if (!go || *n < 0) *n = 0;
  return WHIT_OK;
}

/* Stacked outputs of unknown shape that no trip has written: their types, and blocks all the same, so that data is not NULL. */
static whit_status begin_stacks(whit_instance *i, const whit_frame *f) {
  const int32_t *words = (const int32_t *)(const void *)(f->out + f->n_out + 2);    /* attribute `scans` */
  for (unsigned k = f->n_carried; k < f->n_out; k++) {
    const int32_t *dims = words + 2;
    const unsigned rank = words[1] == 255 ? 0 : (unsigned)words[1];
    whit_value *out = value_at(i, f->out[k]);
    if (out && whit_is_dynamic(out)) {
      const whit_value *r = &i->values[f->results[k]];
      out->t = r->t;
      if (whit_is_dynamic(r)) {
        out->t.dtype = (uint8_t)words[0];
        out->t.rank = (uint8_t)rank;
        for (unsigned a = 0; a < rank; a++) out->t.shape[a] = dims[a] < 0 ? 0 : dims[a];
      }
      WHIT_TRY(whit_stack(i, f->node, &out->t, 0));
      WHIT_TRY(whit_value_take(i, out));
    }
    words = dims + rank;
  }
  return WHIT_OK;
}

/* Carried values as the region finds them, and outputs without any trip. */
static whit_status begin_values(whit_instance *i, const whit_frame *f) {
  for (unsigned k = 0; k < f->n_carried; k++) {
    const whit_value *init = &i->values[f->in[k]];
    whit_value *p = &i->values[f->params[k]];
    if (whit_is_dynamic(p))
      whit_value_share(i, p, init);
    else
      p->t.data = init->t.data;
  }
  return is_loop(f) && dynamic_end(i, f) ? begin_stacks(i, f) : WHIT_OK;
}

whit_status whit_flow_open(whit_instance *i, uint32_t pc) {
  const whit_step *step = &i->steps[pc];
  int64_t n;
  WHIT_TRY(trips_of(i, pc, WHIT_HAS_loop && (!WHIT_HAS_if || step->mode == WHIT_STEP_LOOP), &n));
  whit_frame *f = whit_frame_open(i, n ? step->region : step->other);
  f->n = is_loop(f) ? n : 1;
  const whit_status s = begin_values(i, f);
  if (!s) {
    begin_trip(i, f);
  } else {
    i->top--;
    i->pc = pc;
  }
  return s;
}

/* ---- end ------------------------------------------------------------------------------------------------ */

/* Appends a slice to a stacked output of unknown length; memory doubles. May be called twice for one trip. */
static whit_status append_slice(whit_instance *i, const whit_frame *f, whit_value *out, const whit_value *r) {
  const whit_tensor *t = &r->t;
  if (!whit_is_tensor(t)) return whit_error(i, WHIT_E_TYPE, f->node, "a stacked output must be a tensor");
  if (out->t.shape[0] == f->i + 1) return WHIT_OK;
  whit_tensor next = *t;
  WHIT_TRY(whit_stack(i, f->node, &next, f->i + 1));
  next.shape[0] = (int32_t)f->i;
  if (f->i && !whit_same_type(&next, &out->t))
    return whit_error(i, WHIT_E_SHAPE, f->node, "slices of a stacked output must have one shape");
  next.shape[0]++;
  const size_t n_bytes = whit_bytes(t), used = (size_t)f->i * n_bytes;
  if (whit_heap_capacity(i, out->block) < used + n_bytes) {
    const size_t block = whit_heap_take(i, used * 2 + n_bytes);
    if (!block) return WHIT_E_MEMORY;
    whit_bytes_copy(i->arena + block, out->t.data, used);
    whit_value_drop(i, out);
    out->block = block;
  }
  out->t = next;
  out->t.data = i->arena + out->block;
  whit_bytes_copy((uint8_t *)out->t.data + used, t->data, n_bytes);
  return WHIT_OK;
}

/* A carried result becomes the parameter. */
static void carry_value(whit_instance *i, whit_value *p, whit_value *r) {
  if (whit_is_dynamic(p))
    whit_value_move(i, p, r);
  else
    p->t.data = r->t.data;
  if (whit_is_dynamic(r)) return;
  uint8_t *first = whit_slot(i, r, false);
  r->t.data = r->t.data == first ? first + r->n_bytes : first;
}

/* Hands on what a trip has made: first all that can run out of memory. */
static whit_status end_trip(whit_instance *i, whit_frame *f) {
  for (unsigned k = f->n_carried; k < dynamic_end(i, f); k++) {
    whit_value *out = value_at(i, f->out[k]), *r = &i->values[f->results[k]];
    if (out && whit_is_dynamic(out)) WHIT_TRY(is_loop(f) ? append_slice(i, f, out, r) : own_block(i, r));
  }
  int go = 0;
  if (is_loop(f)) {
    if (f->steps == i->steps_done) WHIT_TRY(whit_count_step(i));
    go = truth_of(i, f->results[-1]);
    if (go < 0) return no_bool(i, f->node);
  }
  for (unsigned k = 0; k < f->n_carried; k++) carry_value(i, &i->values[f->params[k]], &i->values[f->results[k]]);
  for (unsigned k = f->n_carried; k < dynamic_end(i, f); k++) {
    whit_value *out = value_at(i, f->out[k]), *r = &i->values[f->results[k]];
    if (!is_loop(f) && out && whit_is_dynamic(out)) {
      whit_value_move(i, out, r);
      if (!whit_is_dynamic(r)) r->t.data = whit_slot(i, r, false);
    } else if (whit_is_dynamic(r)) {
      whit_value_drop(i, r);
    }
  }
  f->i++;
  if (!go) f->n = f->i;
  return WHIT_OK;
}

/* Carried values become outputs, and the node is done. May be called again after WHIT_E_MEMORY. */
static whit_status end_region(whit_instance *i, const whit_frame *f) {
  for (unsigned k = 0; k < f->n_carried; k++) {
    whit_value *out = value_at(i, f->out[k]);
    const whit_value *p = &i->values[f->params[k]];
    if (!out) continue;
    const bool own = whit_owns_memory(out);
    if (whit_is_dynamic(out)) {
      whit_value_share(i, out, p);
      if (own) WHIT_TRY(own_block(i, out));
    } else if (own) {
      whit_bytes_copy(out->t.data, p->t.data, whit_bytes(&p->t));
    } else {
      out->t.data = p->t.data;
    }
  }
  for (unsigned k = 0; WHIT_DYNAMIC && k < f->n_carried; k++) {
    whit_value *p = &i->values[f->params[k]];
    if (whit_is_dynamic(p)) whit_value_drop(i, p);
  }
  i->pc = f->after;
  i->top--;
  return WHIT_OK;
}

whit_status whit_flow_close(whit_instance *i) {
  whit_frame *f = whit_frame_top(i);
  if (f->i < f->n) WHIT_TRY(end_trip(i, f));    /* else there was no trip, or it is back here for memory */
  if (f->i >= f->n) return end_region(i, f);
  begin_trip(i, f);
  return WHIT_OK;
}
