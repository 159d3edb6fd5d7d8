/* flow.c - If and Loop while running: an if is a loop of one trip that carries nothing. Only carried values move, and they move by
 * pointer: a result written in one of two slots becomes the parameter, and the next trip writes the other slot. A branch writes
 * straight into the output's memory, and so does a slice of a stacked output, if the bytes they can take are known. */
#include "internal.h"

static whit_value *value_at(whit_instance *i, uint32_t v) { return v == WHIT_NONE ? NULL : &i->values[v]; }

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
  whit_status s = WHIT_E_SIZE;
  if (slice->rank < WHIT_MAX_RANK && n <= INT32_MAX) {
    for (unsigned a = slice->rank; a > 0; a--) t->shape[a] = slice->shape[a - 1];    /* backwards: t may be slice */
    t->shape[0] = (int32_t)n;
    s = whit_tensor_set(t, slice->dtype, slice->rank + 1u, t->shape);
  }
  return s ? whit_error(i, s, node, "a stacked output is too large") : WHIT_OK;
}

/* ---- begin ---------------------------------------------------------------------------------------------- */

/* Where outputs end that may be on the heap. */
static unsigned heap_end(const whit_instance *i, const whit_frame *f) { return WHIT_HEAP && i->heap ? f->n_out : 0; }

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

whit_status whit_flow_open(whit_instance *i, uint32_t pc) {
  const whit_step *step = &i->steps[pc];
  const bool loop = WHIT_HAS_loop && (!WHIT_HAS_if || step->mode == WHIT_STEP_LOOP);
  const uint32_t *args = whit_args(i, &i->model.nodes[pc]);
  const int64_t n = whit_trips(i, loop ? args[0] : WHIT_NONE);
  const uint8_t *go = (const uint8_t *)whit_scalar(i, args[loop], WHIT_BOOL);
  if (n < 0 || !go)
    return whit_error(i, WHIT_E_SHAPE, pc, "a condition must be a bool, a trip count an i64, or have rows to count");
  whit_frame *f = whit_frame_open(i, *go ? step->region : step->other);
  f->n = loop && !*go ? 0 : n;   /* an if's first trip is its last */
  const whit_status s = loop && heap_end(i, f) ? begin_stacks(i, f) : WHIT_OK;
  if (!s) i->pc = f->end;     /* where whit_flow_close begins the first trip */
  else i->top--;
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

/* Parameters become what the region finds, or what the last trip has made; that is where the next one does not write. */
static void carry_values(whit_instance *i, const whit_frame *f, const uint32_t *from) {
  for (unsigned k = 0; k < f->n_carried; k++) {
    whit_value *v = &i->values[from[k]], *p = &i->values[f->params[k]], *r = &i->values[f->results[k]];
    if (!whit_on_heap(p))
      p->t.data = v->t.data;
    else if (from == f->in)
      whit_value_share(i, p, v);
    else
      whit_value_move(i, p, v);
    if (whit_on_heap(r)) continue;
    uint8_t *first = whit_slot(i, r, false);
    r->t.data = r->t.data == first ? first + r->n_bytes : first;
  }
}

/* Hands on what a trip has made: first all that can run out of memory. */
static whit_status end_trip(whit_instance *i, whit_frame *f) {
  for (unsigned k = f->n_carried; k < heap_end(i, f); k++) {
    whit_value *out = value_at(i, f->out[k]), *r = &i->values[f->results[k]];
    if (out && whit_on_heap(out)) WHIT_TRY(whit_is_loop(f) ? append_slice(i, f, out, r) : take_over(i, out, r));
  }
  bool go = false;
  if (whit_is_loop(f)) {
    if (f->steps == i->steps_done) WHIT_TRY(whit_count_step(i));
    const uint8_t *more = (const uint8_t *)whit_scalar(i, f->results[-1], WHIT_BOOL);
    if (!more) return whit_error(i, WHIT_E_SHAPE, f->node, "a condition must be a bool");
    go = *more;
  }
  for (unsigned k = f->n_carried; k < heap_end(i, f); k++) whit_value_drop(i, &i->values[f->results[k]]);
  if (!go) f->n = f->i + 1;
  return WHIT_OK;
}

/* Begins the trip that is next. */
static void begin_trip(whit_instance *i, whit_frame *f) {
  i->pc = f->region->begin;
  f->steps = i->steps_done;
  if (whit_is_loop(f)) *(int64_t *)i->values[f->params[-1]].t.data = f->i;
  for (unsigned k = f->n_carried; k < f->n_out; k++) {
    const whit_value *out = value_at(i, f->out[k]);
    whit_value *r = &i->values[f->results[k]];
    if (out && !whit_on_heap(out)) r->t.data = (uint8_t *)out->t.data + (f->i ? (size_t)f->i * whit_bytes(&r->t) : 0);
  }
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
    if (whit_is_loop(f)) WHIT_TRY(whit_stack(i, f->node, &out->t, t, f->n));
    else out->t = *t;
  }
  for (unsigned k = 0; WHIT_HEAP && k < f->n_carried; k++) {
    whit_value *p = &i->values[f->params[k]];
    if (whit_on_heap(p)) whit_value_drop(i, p);
  }
  i->pc = f->after;
  i->top--;
  return WHIT_OK;
}

whit_status whit_flow_close(whit_instance *i) {
  whit_frame *f = whit_frame_top(i);
  const bool first = f->i < 0;
  if (first || f->i < f->n) { /* else it is back here for memory */
    if (!first) WHIT_TRY(end_trip(i, f));
    carry_values(i, f, first ? f->in : f->results);
  }
  if (++f->i >= f->n) return end_region(i, f);
  begin_trip(i, f);
  return WHIT_OK;
}
