/* flow.c - If and Loop while running. Only carried values move, and they move by pointer: a result written in one of two slots
 * becomes the parameter, and the next trip writes the other slot. A branch writes straight into the output's memory, and
 * so does a slice of a stacked output whose length is known. */
#include "internal.h"

typedef struct loop_view {      /* the arrays of a loop node, decoded once per call */
  const uint32_t *in, *out, *params, *results;
  unsigned n_carried, n_scans;
} loop_view;

static loop_view view_of(const whit_instance *i, uint32_t pc) {
  const whit_node *n = &i->model->nodes[pc];
  const whit_region *r = &i->model->regions[i->steps[pc].region];
  const uint32_t *args = i->model->words + n->args;
  const unsigned n_carried = n->n_in - 2u;
  return (loop_view){ .in = args, .out = args + n->n_in, .params = i->model->words + r->params,
                      .results = i->model->words + r->results, .n_carried = n_carried, .n_scans = n->n_out - n_carried };
}

static whit_value *loop_output(whit_instance *i, uint32_t v) { return v == WHIT_NONE ? NULL : &i->values[v]; }

/* Copies a value into a heap block of its own if it has none. */
static whit_status own_block(whit_instance *i, whit_value *v) {
  if (v->block || !whit_is_tensor(&v->t)) return WHIT_OK;
  const whit_tensor from = v->t;
  WHIT_TRY(whit_tensor_set(&v->t, from.dtype, from.rank, from.shape));
  const whit_status s = whit_value_take(i, v);
  if (s) {
    v->t = from;
    return s;
  }
  whit_copy(&v->t, &from);
  return WHIT_OK;
}

/* Is a condition true? One that is not given is. */
static whit_status truth_of(whit_instance *i, uint32_t node, uint32_t v, bool *truth) {
  *truth = true;
  if (v == WHIT_NONE) return WHIT_OK;
  const uint8_t *data = (const uint8_t *)whit_scalar(&i->values[v].t, WHIT_BOOL);
  if (!data) return whit_error(i, WHIT_E_SHAPE, node, "a condition must be a bool");
  *truth = *data;
  return WHIT_OK;
}

/* ---- if ------------------------------------------------------------------------------------------------- */

static whit_status run_open_if(whit_instance *i, uint32_t pc) {
  const whit_node *n = &i->model->nodes[pc];
  const uint32_t *args = whit_args(i, n);
  bool truth;
  WHIT_TRY(truth_of(i, pc, args[0], &truth));
  const whit_region *r = &i->model->regions[truth ? i->steps[pc].region : i->steps[pc].other];
  const uint32_t *results = i->model->words + r->results;
  for (unsigned k = 0; k < n->n_out; k++) {
    whit_value *out = loop_output(i, args[n->n_in + k]);
    if (!out) continue;
    if (whit_is_dynamic(out))
      whit_value_drop(i, out);
    else
      i->values[results[k]].t.data = out->t.data;
  }
  whit_frame_open(i, r, pc);
  return WHIT_OK;
}

static whit_status run_close_if(whit_instance *i) {
  const whit_frame *f = whit_frame_top(i);
  const whit_node *n = &i->model->nodes[f->node];
  const uint32_t *outs = whit_args(i, n) + n->n_in;
  const uint32_t *results = i->model->words + f->region->results;
  for (unsigned k = 0; k < n->n_out; k++) {    /* all that can run out of memory first */
    whit_value *r = &i->values[results[k]];
    const whit_value *out = loop_output(i, outs[k]);
    if (!out || !whit_is_dynamic(out) || whit_is_dynamic(r)) continue;
    WHIT_TRY(own_block(i, r));
  }
  for (unsigned k = 0; k < n->n_out; k++) {
    whit_value *r = &i->values[results[k]], *out = loop_output(i, outs[k]);
    if (out && whit_is_dynamic(out)) {
      WHIT_TRY(whit_is_dynamic(r) ? own_block(i, r) : WHIT_OK);
      whit_value_move(i, out, r);
      if (r->flags & WHIT_V_PLACED) r->t.data = whit_slot(i, r, false);
    } else if (whit_is_dynamic(r)) {
      whit_value_drop(i, r);
    }
  }
  i->pc = n->end;
  i->depth--;
  return WHIT_OK;
}

/* ---- loop ----------------------------------------------------------------------------------------------- */

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

/* Begins the trip that is next, or if there is none, leads to the region's end: whit_flow_close then finishes the loop. */
static void begin_trip(whit_instance *i, const loop_view *l, whit_frame *f) {
  i->pc = f->end;
  f->steps = i->steps_done;
  if (f->i >= f->n) return;
  i->pc = f->region->begin;
  *(int64_t *)i->values[l->params[0]].t.data = f->i;
  for (unsigned k = 0; k < l->n_scans; k++) {
    const whit_value *out = loop_output(i, l->out[l->n_carried + k]);
    whit_value *r = &i->values[l->results[1 + l->n_carried + k]];
    if (out && !whit_is_dynamic(out)) r->t.data = (uint8_t *)out->t.data + (size_t)f->i * whit_bytes(&r->t);
  }
}

static whit_status trips_of(whit_instance *i, uint32_t pc, const loop_view *l, int64_t *n) {
  *n = INT64_MAX;
  if (l->in[0] != WHIT_NONE) {
    const int64_t *data = (const int64_t *)whit_scalar(&i->values[l->in[0]].t, WHIT_I64);
    if (!data) return whit_error(i, WHIT_E_SHAPE, pc, "a trip count must be an i64");
    *n = *data;
  }
  bool go;
  WHIT_TRY(truth_of(i, pc, l->in[1], &go));
  if (!go || *n < 0) *n = 0;
  return WHIT_OK;
}

/* The type of a stacked output that no trip has written. */
static whit_status empty_stack(whit_instance *i, uint32_t pc, const loop_view *l, unsigned scan, whit_tensor *t) {
  const int32_t *words = (const int32_t *)(const void *)(l->out + l->n_carried + l->n_scans + 2);    /* attribute `scans` */
  for (unsigned k = 0; k < scan; k++) words += 2 + (words[1] == 255 ? 0 : words[1]);
  const whit_value *r = &i->values[l->results[1 + l->n_carried + scan]];
  *t = r->t;
  if (whit_is_dynamic(r)) {
    *t = (whit_tensor){ .dtype = (uint8_t)words[0], .rank = (uint8_t)(words[1] == 255 ? 0 : words[1]) };
    for (unsigned a = 0; a < t->rank; a++) t->shape[a] = words[2 + a] < 0 ? 0 : words[2 + a];
  }
  return whit_stack(i, pc, t, 0);
}

static whit_status run_open_loop(whit_instance *i, uint32_t pc) {
  const loop_view l = view_of(i, pc);
  int64_t n;
  WHIT_TRY(trips_of(i, pc, &l, &n));
  for (unsigned k = 0; k < l.n_carried; k++) {
    const whit_value *init = &i->values[l.in[2 + k]];
    whit_value *p = &i->values[l.params[1 + k]];
    if (!whit_is_dynamic(p)) {
      p->t.data = init->t.data;
      continue;
    }
    whit_value_share(i, p, init);
  }
  for (unsigned k = 0; k < l.n_scans; k++) {
    whit_value *out = loop_output(i, l.out[l.n_carried + k]);
    if (!out || !whit_is_dynamic(out)) continue;
    whit_value_drop(i, out);
    WHIT_TRY(empty_stack(i, pc, &l, k, &out->t));
  }
  whit_frame *f = whit_frame_open(i, &i->model->regions[i->steps[pc].region], pc);
  f->n = n;
  begin_trip(i, &l, f);
  return WHIT_OK;
}

/* Appends a slice to a stacked output of unknown length; memory doubles. May be called twice for one trip. */
static whit_status append_slice(whit_instance *i, const whit_frame *f, whit_value *out, const whit_value *r) {
  const whit_tensor *t = &r->t;
  if (!whit_is_tensor(t)) return whit_error(i, WHIT_E_TYPE, f->node, "a stacked output must be a tensor");
  if (out->t.shape[0] == f->i + 1) return WHIT_OK;
  whit_tensor next = *t;
  WHIT_TRY(whit_stack(i, f->node, &next, f->i + 1));
  next.shape[0] = (int32_t)f->i;
  if (f->i && (next.dtype != out->t.dtype || !whit_same_shape(&next, &out->t)))
    return whit_error(i, WHIT_E_SHAPE, f->node, "slices of a stacked output must have one shape");
  next.shape[0]++;
  const size_t n_bytes = whit_bytes(t), used = (size_t)f->i * n_bytes;
  if (!out->block || whit_heap_capacity(i, out->block) < used + n_bytes) {
    const size_t block = whit_heap_take(i, used * 2 + n_bytes);
    if (!block) return WHIT_E_MEMORY;
    if (out->block) whit_bytes_copy(i->arena + block, i->arena + out->block, used);
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
  if (whit_is_dynamic(r)) {
    whit_value_move(i, p, r);
    return;
  }
  if (whit_is_dynamic(p)) {
    whit_value_drop(i, p);
    p->t = r->t;
  } else {
    p->t.data = r->t.data;
  }
  uint8_t *first = whit_slot(i, r, false);
  r->t.data = r->t.data == first ? first + r->n_bytes : first;
}

static whit_status finish_loop(whit_instance *i, uint32_t pc, const loop_view *l) {
  for (unsigned k = 0; k < l->n_carried; k++) {
    whit_value *out = loop_output(i, l->out[k]), *p = &i->values[l->params[1 + k]];
    if (!out) continue;
    if (!whit_is_dynamic(out)) {
      if (out->flags & WHIT_V_OWN)
        whit_copy(&out->t, &p->t);
      else
        out->t.data = p->t.data;
      continue;
    }
    if (out->flags & WHIT_V_OWN) WHIT_TRY(own_block(i, p));
  }
  for (unsigned k = 0; k < l->n_scans; k++) {   /* nothing was written: a block all the same, so that data is not NULL */
    whit_value *out = loop_output(i, l->out[l->n_carried + k]);
    if (out && whit_is_dynamic(out) && !out->block) WHIT_TRY(whit_value_take(i, out));
  }
  for (unsigned k = 0; k < l->n_carried; k++) {
    whit_value *out = loop_output(i, l->out[k]), *p = &i->values[l->params[1 + k]];
    if (!whit_is_dynamic(p)) continue;
    if (out) whit_value_share(i, out, p);
    whit_value_drop(i, p);
  }
  i->pc = i->model->nodes[pc].end;
  i->depth--;
  return WHIT_OK;
}

static whit_status run_close_loop(whit_instance *i) {
  whit_frame *f = whit_frame_top(i);
  const loop_view l = view_of(i, f->node);
  if (f->i >= f->n) return finish_loop(i, f->node, &l);   /* no trips, or back here for memory */
  if (f->steps == i->steps_done) WHIT_TRY(whit_count_step(i));
  for (unsigned k = 0; k < l.n_scans; k++) {
    whit_value *out = loop_output(i, l.out[l.n_carried + k]), *r = &i->values[l.results[1 + l.n_carried + k]];
    if (out && whit_is_dynamic(out)) WHIT_TRY(append_slice(i, f, out, r));
  }
  bool go;
  WHIT_TRY(truth_of(i, f->node, l.results[0], &go));
  for (unsigned k = 0; k < l.n_carried; k++) carry_value(i, &i->values[l.params[1 + k]], &i->values[l.results[1 + k]]);
  for (unsigned k = 0; k < l.n_scans; k++) {
    whit_value *r = &i->values[l.results[1 + l.n_carried + k]];
    if (whit_is_dynamic(r)) whit_value_drop(i, r);
  }
  f->i++;
  if (!go) f->n = f->i;
  begin_trip(i, &l, f);
  return WHIT_OK;
}

whit_status whit_flow_open(whit_instance *i, uint32_t pc) {
  const bool loop = WHIT_HAS_loop && (!WHIT_HAS_if || i->steps[pc].mode == WHIT_STEP_LOOP);
  return loop ? run_open_loop(i, pc) : run_open_if(i, pc);
}

whit_status whit_flow_close(whit_instance *i) {
  const bool loop = WHIT_HAS_loop && (!WHIT_HAS_if || whit_is_loop(whit_frame_top(i)));
  return loop ? run_close_loop(i) : run_close_if(i);
}
