/* exec.c - running is a walk over the planned steps. It can stop at any node boundary and go on later: all it knows is in the
 * instance. Control nodes are in flow.c. */
#include "internal.h"

void whit_point(whit_instance *i, const uint32_t *args, unsigned n, whit_tensor **pointers) {
  for (unsigned k = 0; k < n; k++) pointers[k] = args[k] == WHIT_NONE ? NULL : &i->values[args[k]].t;
}

/* It described the same elements just now, so it cannot fail. */
WHIT_CALLED void whit_out_dense(const whit_call *c) {
  whit_tensor *t = c->out[0];
  whit_tensor_set(t, t->dtype, t->rank, t->shape);
}

/* A dense one takes the strides of its shape: along an axis of one element a view has any, and operators count with them. */
bool whit_view_allowed(const whit_value *out, const whit_call *c) {
  if (out->flags & WHIT_V_OWN) return false;
  if (!whit_is_dense(c->out[0])) return !(out->flags & WHIT_V_DENSE);
  whit_out_dense(c);
  return true;
}

static void *view_data(const whit_call *c) {
  return (uint8_t *)c->in[0]->data + c->view_offset * (ptrdiff_t)whit_type_size(c->in[0]->dtype);
}

/* The shape function describes the view again; the elements it names are copied in order. A view of everything in order may have
 * got its input's place: nothing is left to do. */
whit_status whit_view_copy(whit_call *c) {
  WHIT_TRY(whit_op_at(c->instance, c->node)->shape(c));
  whit_tensor view = *c->out[0];
  view.data = view_data(c);
  whit_out_dense(c);
  if (!WHIT_SHARES || view.data != c->out[0]->data) whit_copy_all(c, c->out[0]->data, c->out[0]->stride, &view);
  return WHIT_OK;
}

/* The same for a view of everything in order, faster. */
whit_status whit_dense_copy(whit_call *c) {
  const whit_tensor *out = c->out[0];
  if (out->data != c->in[0]->data) whit_bytes_copy(out->data, c->in[0]->data, whit_bytes(out));
  return WHIT_OK;
}

WHIT_CALLED const void *whit_scalar(const whit_instance *i, uint32_t v, unsigned dtype) {
  static const int64_t always = INT64_MAX;    /* true, too */
  if (v == WHIT_NONE) return &always;
  const whit_tensor *t = &i->values[v].t;
  return whit_is_tensor(t) && t->dtype == dtype && whit_count(t) > 0 ? t->data : NULL;
}

int64_t whit_trips(const whit_instance *i, uint32_t v) {
  const whit_tensor *t = v == WHIT_NONE ? NULL : &i->values[v].t;
  if (t && t->rank && t->dtype != WHIT_I64) return t->shape[0];
  const int64_t *n = (const int64_t *)whit_scalar(i, v, WHIT_I64);
  return !n ? -1 : *n < 0 ? 0 : *n;
}

whit_frame *whit_frame_open(whit_instance *i, uint32_t region) {
  const whit_model *m = &i->model;
  const whit_region *r = &m->regions[region];
  const uint32_t node = i->pc;
  const whit_node *n = &m->nodes[node];
  const bool loop = WHIT_HAS_loop && i->steps[node].mode == WHIT_STEP_LOOP;
  whit_frame *f = i->top + 1;
  f->region = r;
  f->node = node;
  f->end = r->end;
  f->after = n->end;
  f->depth = (uint16_t)(i->top->depth + 1);
  f->loop = loop;
  f->in = m->words + n->args + 2 * loop;
  f->out = m->words + n->args + n->n_in;
  f->params = m->words + r->params + loop;
  f->results = m->words + r->results + loop;
  f->n_carried = loop ? n->n_in - 2u : 0;
  f->n_out = n->n_out;
  f->i = -1;
  i->top = f;
  return f;
}

void whit_parallel(const whit_call *c, void (*fn)(void *arg, uint32_t i), void *arg, uint32_t n) {
  const whit_host *h = &c->instance->host;
  if (h->parallel_for && n > 1) {
    h->parallel_for(h->context, fn, arg, n);
    return;
  }
  for (uint32_t k = 0; k < n; k++) fn(arg, k);
}

uint32_t whit_threads(const whit_call *c) {
  const whit_host *h = &c->instance->host;
  return h->parallel_for && h->n_threads ? h->n_threads : 1;
}

/* ---- nodes whose shapes are known only now --------------------------------------------------------------- */

/* A sequence or an absent optional is handed on by reference. */
static whit_status share_value(whit_instance *i, whit_call *c) {
  whit_value_share(i, (whit_value *)(void *)c->out[0], (const whit_value *)(const void *)c->in[0]);
  return WHIT_OK;
}

/* Memory for an output as it is described. One that owns its memory has it; another one may have been a view in an earlier trip. */
static whit_status take_memory(whit_instance *i, whit_value *v) {
  if (whit_on_heap(v)) return whit_value_take(i, v);
  if (whit_bytes(&v->t) > v->n_bytes) return WHIT_E_SIZE;
  if (WHIT_VIEWS > 1 && !(v->flags & WHIT_V_OWN)) v->t.data = whit_slot(i, v, false);
  return WHIT_OK;
}

static whit_status run_with_memory(whit_instance *i, whit_call *c, const whit_op *op) {
  size_t scratch = 0;
  whit_status s = WHIT_OK;
  if (WHIT_HEAP && c->scratch_bytes) {    /* none if all outputs are limited */
    scratch = whit_heap_take(i, c->scratch_bytes);
    if (!scratch) return WHIT_E_MEMORY;
    c->scratch = i->arena + scratch;
  }
  for (unsigned k = 0; k < c->n_out && !s; k++)
    if (c->out[k] && whit_is_tensor(c->out[k])) s = take_memory(i, (whit_value *)(void *)c->out[k]);
  if (!s) s = op->run(c);
  if (WHIT_HEAP) whit_heap_drop(i, scratch);
  return s;
}

static whit_status run_dynamic(whit_instance *i, uint32_t pc, whit_call *c) {
  const whit_op *op = whit_op_at(i, pc);
  for (unsigned k = 0; k < c->n_in; k++)
    if (c->in[k] && !whit_is_tensor(c->in[k]) && !(op->flags & WHIT_OP_SEQUENCE)) {
      if (WHIT_HAS_identity && op->shape == whit_identity_shape && c->out[0]) return share_value(i, c);
      return whit_error(i, WHIT_E_TYPE, pc, "takes a tensor, not a sequence or an absent optional");
    }
  c->running = true;
  for (unsigned k = 0; k < c->n_out; k++)
    if (c->out[k] && whit_on_heap((whit_value *)(void *)c->out[k])) {
      whit_value_drop(i, (whit_value *)(void *)c->out[k]);
      *c->out[k] = (whit_tensor){ 0 };
    }
  whit_status s = op->shape(c);
  if (s) return s == WHIT_LATER ? WHIT_E_VALUE : s;
  if (WHIT_VIEWS && c->view) {
    whit_value *in = (whit_value *)(void *)c->in[0], *out = (whit_value *)(void *)c->out[0];
    if (WHIT_VIEWS > 1 && whit_view_allowed(out, c)) {
      out->t.data = view_data(c);
      if (!WHIT_HEAP) return WHIT_OK;
      out->block = in->block;
      whit_heap_keep(i, in->block);
      return WHIT_OK;
    }
    whit_out_dense(c);
  }
  return run_with_memory(i, c, op);
}

/* ---- the walk ----------------------------------------------------------------------------------------------- */

static whit_status run_step(whit_instance *i, uint32_t pc, const whit_step *step) {
  if (WHIT_VIEWS > 1 && step->mode == WHIT_STEP_VIEW) {
    const uint32_t *args = whit_args(i, &i->model.nodes[pc]);
    whit_value *out = &i->values[args[i->model.nodes[pc].n_in]];
    out->t.data = (uint8_t *)i->values[args[0]].t.data + (ptrdiff_t)out->offset;
    return WHIT_OK;
  }
  whit_call c;
  whit_call_of(i, pc, &c);
  if (WHIT_DYNAMIC && step->mode == WHIT_STEP_DYNAMIC) return run_dynamic(i, pc, &c);
  c.scratch = i->arena + (size_t)step->scratch_at * 64;
  c.running = true;
  return step->run(&c);
}

static void release_after(whit_instance *i, const whit_step *step) {
  for (uint32_t v = step->release; v != WHIT_NONE; v = i->values[v].next) whit_value_drop(i, &i->values[v]);
}

/* Tells the observer; true if it wants to stop. */
static bool tell_observer(whit_instance *i, uint32_t pc, int after) {
  if (!i->observer || (!after && i->observed == pc)) return false;    /* going on after a stop or a larger arena */
  i->observed = after ? WHIT_NONE : pc;
  return i->observer(i->observer_context, i, pc, after) != 0;
}

static bool steps_are_used_up(const whit_instance *i) { return i->steps_done > i->host.max_steps - 1; }     /* 0: never */

whit_status whit_count_step(whit_instance *i) {
  if (steps_are_used_up(i)) return WHIT_E_BUDGET;
  i->steps_done++;
  return WHIT_OK;
}

/* The caller's items as dense tensors: what their strides say does not count. */
static whit_status bind_items(whit_instance *i, whit_value *v, unsigned dtype) {
  const whit_tensor *items = (const whit_tensor *)v->bound;
  whit_call c = { .instance = i };
  whit_item *own = whit_sequence_make(&c, &v->t, (uint32_t)v->t.shape[0]);
  if (!own) return WHIT_E_MEMORY;
  for (int32_t j = 0; j < v->t.shape[0]; j++) {
    const whit_tensor *item = &items[j];
    if (item->kind != WHIT_TENSOR || item->dtype != dtype || whit_tensor_set(&own[j].t, dtype, item->rank, item->shape) ||
        (!item->data && whit_count(item)))
      return whit_error(i, WHIT_E_INPUT, WHIT_NONE, "an item of a sequence is no tensor of the input's type, or has no data");
    own[j].t.data = item->data;
  }
  return WHIT_OK;
}

static whit_status bind_inputs(whit_instance *i) {
  const whit_model *m = &i->model;
  for (uint32_t k = 0; WHIT_STATES && k < m->n_states; k++) {
    whit_value *v = &i->values[m->n_constants + k];
    if (!i->state) return whit_error(i, WHIT_E_ORDER, WHIT_NONE, "the model has state: call whit_state_set");
    v->t.data = (void *)(uintptr_t)v->bound;
  }
  whit_value *v;
  for (unsigned k = 0; (v = whit_port_value(i, 0, k)); k++) {
    if (whit_is_tensor(&v->t)) {
      if (!v->bound && whit_count(&v->t))
        return whit_error(i, WHIT_E_INPUT, WHIT_NONE, "an input has no data: call whit_input_set");
      v->t.data = (void *)(uintptr_t)v->bound;
    } else if (v->t.kind == WHIT_SEQUENCE) {
      WHIT_TRY(bind_items(i, v, m->ports[i->entry->ports + k].dtype));
    }
  }
  for (unsigned k = 0; (v = whit_port_value(i, 1, k)); k++)
    if (v->flags & WHIT_V_BOUND && !v->t.data)
      return whit_error(i, WHIT_E_ORDER, WHIT_NONE, "an output has no memory: call whit_output_bind");
  return WHIT_OK;
}

static whit_status start_run(whit_instance *i) {
  if (i->ready < WHIT_HAS_ARENA) return WHIT_E_ORDER;
  i->failed = WHIT_OK;
  i->steps_done = 0;
  i->observed = i->pc = WHIT_NONE;      /* no node yet, if there is an error */
  i->top = i->frames;
  if (WHIT_HEAP && i->heap) {
    whit_heap_reset(i);
    for (uint32_t v = 0; v < i->model.n_values; v++) i->values[v].block = 0;
  }
  WHIT_TRY(bind_inputs(i));
  i->pc = i->region->begin;
  i->running = true;
  return WHIT_OK;
}

/* The run is complete: new states replace the old ones. */
static whit_status finish_run(whit_instance *i) {
  if (!WHIT_STATES) return WHIT_OK;
  const whit_model *m = &i->model;
  const struct whit_entry *e = i->entry;
  const uint32_t *results = m->words + i->region->results + e->n_outputs;
  for (unsigned k = 0; k < e->n_updates; k++) {
    const whit_value *from = &i->values[results[k]], *to = &i->values[m->n_constants + m->words[e->states + k]];
    if (!whit_same_type(&from->t, &to->t))
      return whit_error(i, WHIT_E_SHAPE, WHIT_NONE, "a state's new value has another type or shape");
  }
  for (unsigned k = 0; k < e->n_updates; k++) {
    const whit_tensor *from = &i->values[results[k]].t;
    whit_bytes_copy(i->values[m->n_constants + m->words[e->states + k]].t.data, from->data, whit_bytes(from));
  }
  return WHIT_OK;
}

whit_status whit_run(whit_instance *i) {
  whit_status s = i->running ? WHIT_OK : start_run(i);
  while (!s) {
    if (i->host.cancel && __atomic_load_n(i->host.cancel, __ATOMIC_RELAXED)) {    /* also where no node of a loop has work */
      s = WHIT_E_CANCELLED;
      break;
    }
    const whit_frame *f = whit_frame_top(i);
    uint32_t pc = i->pc;
    const whit_step *step = &i->steps[pc];
    if (pc >= f->end) {
      pc = f->node;
      if (pc == WHIT_NONE) {
        s = finish_run(i);
        break;
      }
      step = &i->steps[pc];
      if (WHIT_CONTROL) s = whit_flow_close(i);
      if (s || i->top == f) continue;                   /* another trip */
    } else {
      if (!WHIT_SMALL && whit_is_skipped(step) && !i->observer) {  /* faster */
        i->pc++;
        continue;
      }
      s = steps_are_used_up(i) ? WHIT_E_BUDGET : tell_observer(i, pc, 0) ? WHIT_STOPPED : WHIT_OK;
      if (s) break;
      if (WHIT_CONTROL && step->mode >= WHIT_STEP_IF) {
        s = whit_flow_open(i, pc);
        continue;
      }
      if (!whit_is_skipped(step)) s = run_step(i, pc, step);
      if (s) break;
      i->pc = pc + 1;
    }
    i->steps_done += !whit_is_skipped(step);            /* the node is complete */
    if (tell_observer(i, pc, 1)) s = WHIT_STOPPED;
    if (WHIT_HEAP) release_after(i, step);
  }
  if (s == WHIT_STOPPED || s == WHIT_E_MEMORY) return s;
  i->running = false;
  return s ? whit_error_here(i, s) : s;
}

void whit_reset(whit_instance *i) { i->running = false; }
