/* flow.c - If and Loop while running: an if is a loop of one trip that carries nothing. Only carried values move, and they move by
 * pointer: a result written in one of two slots becomes the parameter, and the next trip writes the other slot. A branch writes
 * straight into the output's memory, and so does a slice of a stacked output, if the bytes they can take are known. */
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

/* An output on the heap becomes what a region has made: its block, or if it has none (it is dense then), a copy in a new one. */
static whit_status take_over(whit_instance *i, whit_value *v, const whit_value *made) {
  whit_value_share(i, v, made);
  if (v->block || !whit_is_tensor(&v->t)) return WHIT_OK;
  const void *from = v->t.data;
  WHIT_TRY(whit_value_take(i, v));
  whit_bytes_copy(v->t.data, from, whit_bytes(&v->t));
  return WHIT_OK;
}

whit_status whit_stack(whit_instance *i, uint32_t node, whit_tensor *t, const whit_tensor *slice, int64_t n) {
  int32_t shape[WHIT_MAX_RANK];
  whit_status s = WHIT_E_SIZE;
  if (slice->rank < WHIT_MAX_RANK && n <= INT32_MAX) {
    shape[0] = (int32_t)n;
    for (unsigned a = 0; a < slice->rank; a++) shape[a + 1] = slice->shape[a];
    s = whit_tensor_set(t, slice->dtype, slice->rank + 1u, shape);
  }
  return s ? whit_error(i, s, node, "a stacked output is too large") : WHIT_OK;
}

/* ---- begin ---------------------------------------------------------------------------------------------- */

/* Where outputs end that may be on the heap. */
static unsigned heap_end(const whit_instance *i, const whit_frame *f) { return WHIT_HEAP && i->heap ? f->n_out : 0; }

/* Begins the trip that is next, or if there is none, leads to the region's end: whit_flow_close then finishes. */
static void begin_trip(whit_instance *i, whit_frame *f) {
  i->pc = f->end;
  f->steps = i->steps_done;
  if (f->i >= f->n) return;
  i->pc = f->region->begin;
  if (whit_is_loop(f)) *(int64_t *)i->values[f->params[-1]].t.data = f->i;
  for (unsigned k = f->n_carried; k < f->n_out; k++) {
    const whit_value *out = value_at(i, f->out[k]);
    whit_value *r = &i->values[f->results[k]];
    if (out && !whit_on_heap(out)) r->t.data = (uint8_t *)out->t.data + (f->i ? (size_t)f->i * whit_bytes(&r->t) : 0);
  }
}

/* How often a loop's region may run; of an if 0: the second one does. */
static whit_status trips_of(whit_instance *i, uint32_t pc, bool loop, int64_t *n) {
  const uint32_t *args = whit_args(i, &i->model.nodes[pc]);
  *n = loop && args[0] != WHIT_NONE ? whit_trips(&i->values[args[0]].t) : INT64_MAX;
  if (*n < 0) return whit_error(i, WHIT_E_SHAPE, pc, "a trip count must be an i64, or have rows to count");
  const int go = truth_of(i, args[loop]);
  if (go < 0) return no_bool(i, pc);
  if (!go) *n = 0;
  return WHIT_OK;
}

/* Stacked outputs on the heap that no trip has written: their types, and blocks all the same, so that data is not NULL. */
static whit_status begin_stacks(whit_instance *i, const whit_frame *f) {
  const int32_t *words = (const int32_t *)(const void *)(f->out + f->n_out + 2);    /* attribute `scans` */
  for (unsigned k = f->n_carried; k < f->n_out; k++) {
    const int32_t *dims = words + 2;
    const unsigned rank = words[1] == 255 ? 0 : (unsigned)words[1];
    whit_value *out = value_at(i, f->out[k]);
    if (out && whit_on_heap(out)) {
      const whit_value *r = &i->values[f->results[k]];
      whit_tensor slice = r->t;
      if (whit_is_dynamic(r)) {
        slice.dtype = (uint8_t)words[0];
        slice.rank = (uint8_t)rank;
        for (unsigned a = 0; a < rank; a++) slice.shape[a] = dims[a] < 0 ? 0 : dims[a];
      }
      WHIT_TRY(whit_stack(i, f->node, &out->t, &slice, 0));
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
    if (whit_on_heap(p))
      whit_value_share(i, p, init);
    else
      p->t.data = init->t.data;
  }
  return whit_is_loop(f) && heap_end(i, f) ? begin_stacks(i, f) : WHIT_OK;
}

whit_status whit_flow_open(whit_instance *i, uint32_t pc) {
  const whit_step *step = &i->steps[pc];
  int64_t n;
  WHIT_TRY(trips_of(i, pc, WHIT_HAS_loop && (!WHIT_HAS_if || step->mode == WHIT_STEP_LOOP), &n));
  whit_frame *f = whit_frame_open(i, n ? step->region : step->other, pc);
  f->n = whit_is_loop(f) ? n : 1;
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
  whit_tensor next;
  WHIT_TRY(whit_stack(i, f->node, &next, t, f->i + 1));
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
  if (whit_on_heap(p))
    whit_value_move(i, p, r);
  else
    p->t.data = r->t.data;
  if (whit_on_heap(r)) return;
  uint8_t *first = whit_slot(i, r, false);
  r->t.data = r->t.data == first ? first + r->n_bytes : first;
}

/* Hands on what a trip has made: first all that can run out of memory. */
static whit_status end_trip(whit_instance *i, whit_frame *f) {
  for (unsigned k = f->n_carried; k < heap_end(i, f); k++) {
    whit_value *out = value_at(i, f->out[k]), *r = &i->values[f->results[k]];
    if (out && whit_on_heap(out)) WHIT_TRY(whit_is_loop(f) ? append_slice(i, f, out, r) : take_over(i, out, r));
  }
  int go = 0;
  if (whit_is_loop(f)) {
    if (f->steps == i->steps_done) WHIT_TRY(whit_count_step(i));
    go = truth_of(i, f->results[-1]);
    if (go < 0) return no_bool(i, f->node);
  }
  for (unsigned k = 0; k < f->n_carried; k++) carry_value(i, &i->values[f->params[k]], &i->values[f->results[k]]);
  for (unsigned k = f->n_carried; k < heap_end(i, f); k++) whit_value_drop(i, &i->values[f->results[k]]);
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
    if (whit_on_heap(out)) {
      if (own) WHIT_TRY(take_over(i, out, p));
      else whit_value_share(i, out, p);
    } else if (own) {
      whit_bytes_copy(out->t.data, p->t.data, whit_bytes(&p->t));
    } else {
      out->t.data = p->t.data;
    }
  }
  for (unsigned k = f->n_carried; WHIT_DYNAMIC && k < f->n_out; k++) {
    whit_value *out = value_at(i, f->out[k]);
    const whit_tensor *t = &i->values[f->results[k]].t;
    if (!out || !whit_is_limited(out)) continue;        /* what trips or a branch have written there says its shape */
    if (whit_is_loop(f)) WHIT_TRY(whit_stack(i, f->node, &out->t, t, f->i));
    else out->t = *t;
  }
  for (unsigned k = 0; WHIT_HEAP && k < f->n_carried; k++) {
    whit_value *p = &i->values[f->params[k]];
    if (whit_on_heap(p)) whit_value_drop(i, p);
  }
  i->pc = i->model.nodes[f->node].end;
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
