/* plan.c - one walk over the program for one set of input shapes: shape functions run, small known values are computed,
 * every other value of known shape is a view or gets a place (place.c). What depends on data stays dynamic; it has a place all
 * the same if the plan knows how many bytes it takes at most, else it lies on the heap. */
#include "internal.h"

/* ---- definitions and uses --------------------------------------------------------------------------- */

/* Where the walk stands a value is defined, which lives, as far as is known yet, to the end of the node there. */
WHIT_CALLED static void plan_define(whit_instance *i, whit_value *value, unsigned flags) {
  const unsigned keep = WHIT_V_DENSE | WHIT_V_OWN | WHIT_V_GROWS | WHIT_V_BOUND;
  value->flags = (uint16_t)((value->flags & keep) | flags);
  value->birth = value->death = i->pc;
  if (WHIT_CONTROL && (flags & (WHIT_V_PARAM | WHIT_V_PLACED)) != WHIT_V_PARAM) value->death = i->model.nodes[i->pc].end - 1;
  if (flags & (WHIT_V_PLACED | WHIT_V_LIMITED)) value->n_bytes = whit_round(whit_bytes(&value->t), 64);
  if (WHIT_HEAP) value->release = flags & WHIT_V_PARAM ? WHIT_NONE : i->pc;
  value->depth = whit_frame_top(i)->depth;
  if (WHIT_DYNAMIC && flags & (WHIT_V_HEAP | WHIT_V_LIMITED)) {
    value->t.kind = 0;
    value->t.rank = 255;
  }
  if (WHIT_DYNAMIC && flags & WHIT_V_HEAP) {
    value->t.dtype = 0;
    i->heap = true;
  }
  if (!(flags & WHIT_V_KNOWN)) value->t.data = NULL;
}

/* A value read at node pc of the innermost region lives, seen from the region that defined it, until the end of the control
 * node that stands there. That region is open, and not one before it that was as deep. */
static whit_status plan_use(whit_instance *i, whit_value *value, uint32_t pc) {
  const whit_frame *top = whit_frame_top(i), *home = i->frames + value->depth;
  /* a loop's parameters are defined at its node; the entry is no loop */
  if (home > top || value->birth + (WHIT_HAS_loop && home->loop) < home->region->begin)
    return whit_error(i, WHIT_E_FORMAT, pc, "reads a value that is not in scope");
  const uint32_t at = WHIT_CONTROL && home < top ? home[1].node : pc;
  const uint32_t death = WHIT_CONTROL ? i->model.nodes[at].end - 1 : pc;
  if (death > value->death) value->death = death;
  if (WHIT_SHARES) value->flags |= value->flags & WHIT_V_READ ? WHIT_V_READ_AGAIN : WHIT_V_READ;
  if (WHIT_HEAP) value->release = at;
  return WHIT_OK;
}

/* May a shape depend on data? */
static whit_status need_dynamic(whit_instance *i, uint32_t node) {
  (void)i, (void)node;
  return WHIT_DYNAMIC ? WHIT_OK : whit_error(i, WHIT_E_UNSUPPORTED, node, "a shape depends on data: not in this build of the runtime");
}

/* Elements of a value at most; UINT64_MAX: the plan cannot know. */
static uint64_t most_elements(const whit_value *v) {
  if (whit_on_heap(v)) return UINT64_MAX;
  return (uint64_t)(whit_is_limited(v) ? v->t.shape[0] : whit_count(&v->t));
}

/* Gives a value of unknown shape a type, and room for n elements at most. Returns its flags: if these are too many, the heap's. */
static unsigned limit_value(whit_value *v, unsigned dtype, uint64_t n) {
  if (!WHIT_DYNAMIC || n > WHIT_LIMIT_MAX) return WHIT_V_HEAP;
  v->t.dtype = (uint8_t)dtype;
  v->t.rank = 1;
  v->t.shape[0] = (int32_t)n;
  return WHIT_V_LIMITED | WHIT_V_PLACED;
}

/* ---- plain nodes -------------------------------------------------------------------------------------- */

/* Tries to compute small outputs now. true: done, or failed with *status. */
static bool compute_now(whit_instance *i, whit_call *c, const whit_op *op, whit_status *status) {
  size_t used = i->known_used;
  for (unsigned k = 0; k < c->n_out; k++) {
    if (!c->out[k]) continue;
    const whit_value *v = (const whit_value *)(const void *)c->out[k];
    const size_t n_bytes = whit_bytes(c->out[k]);
    if (n_bytes > WHIT_KNOWN_MAX || v->flags & WHIT_V_OWN) return false;
    c->out[k]->data = i->known + used;
    used += whit_round(n_bytes, 16);
  }
  const size_t scratch = whit_round(used, 64);
  if (scratch + c->scratch_bytes > whit_known_bytes(&i->model)) return false;
  if (WHIT_VIEWS && c->view) whit_out_dense(c);
  i->known_used = used;
  c->scratch = i->known + scratch;
  c->running = true;
  *status = op->run(c);
  return true;
}

/* A node whose shapes are known: output 0 is a view, or all of them get places. Returns the flags of either. */
static unsigned plan_ready(whit_step *step, const whit_call *c) {
  step->mode = WHIT_STEP_READY;
  step->scratch = (uint32_t)((c->scratch_bytes + 63) / 64);
  if (WHIT_SHARES) {
    step->over = c->over;
    step->joins = c->joins;
    step->spaced = c->spaced;
  }
#if !WHIT_SMALL
  if (c->run) step->run = c->run;
#endif
  if (!WHIT_VIEWS || !c->view) return WHIT_V_PLACED;
  whit_value *out = (whit_value *)(void *)c->out[0];      /* a tensor is the first member of its value */
  if (WHIT_VIEWS > 1 && whit_view_allowed(out, c)) {
    step->mode = WHIT_STEP_VIEW;
    out->offset = (size_t)(c->view_offset * (ptrdiff_t)whit_type_size(out->t.dtype));
    return WHIT_V_VIEW;
  }
  const bool run_of_bytes = whit_is_dense(c->out[0]) && !c->view_offset;
  if (WHIT_SHARES && run_of_bytes && whit_count(c->out[0]) == whit_count(c->in[0])) step->joins = WHIT_JOINS_WHOLE;
  if (run_of_bytes && !WHIT_SMALL) step->run = whit_dense_copy;
  whit_out_dense(c);
  return WHIT_V_PLACED;
}

/* The output of a node whose shapes are known only when it runs: one that takes no more than input 0 is limited by it. A view takes
 * nothing; it is one for certain if nobody minds its strides. Returns its flags. */
static unsigned plan_later(const whit_call *c, const whit_op *op) {
  if (!(op->flags & WHIT_OP_NO_LARGER)) return WHIT_V_HEAP;
  whit_value *out = (whit_value *)(void *)c->out[0];
  const unsigned minds = WHIT_V_OWN | (op->strided & 1 ? WHIT_V_DENSE : 0u);
  const unsigned flags = limit_value(out, c->in[0]->dtype, most_elements((const whit_value *)(const void *)c->in[0]));
  return WHIT_VIEWS > 1 && op->flags & WHIT_OP_VIEW && !(out->flags & minds) ? flags & ~(unsigned)WHIT_V_PLACED : flags;
}

/* A node whose inputs are in scope, and what its shape function has said of its outputs. */
static whit_status plan_plain(whit_instance *i, whit_step *step, whit_call *c, const whit_op *op, bool known, whit_status s) {
  unsigned flags = WHIT_V_HEAP;
  step->run = op->run;
  step->mode = WHIT_STEP_DYNAMIC;
  if (s == WHIT_LATER) {
    WHIT_TRY(need_dynamic(i, c->node));
    flags = plan_later(c, op);
  } else {
    WHIT_TRY(s);
    if ((uint64_t)c->scratch_bytes >> 37) return whit_error(i, WHIT_E_SIZE, c->node, "needs more scratch than can be named");
    if (WHIT_KNOWN && known && compute_now(i, c, op, &s)) {
      WHIT_TRY(s);
      step->mode = WHIT_STEP_SKIP;
      flags = WHIT_V_KNOWN;
    } else {
      flags = plan_ready(step, c);
    }
  }
  for (unsigned k = 0; k < c->n_out; k++) {
    if (c->out[k]) plan_define(i, (whit_value *)(void *)c->out[k], flags);
  }
  i->pc++;
  return WHIT_OK;
}

/* ---- control nodes ------------------------------------------------------------------------------------ */

/* Defines a loop's parameters: the iteration, and the carried values as the loop finds them. */
static whit_status plan_define_params(whit_instance *i, const whit_frame *f) {
  whit_value *iter = &i->values[f->params[-1]];
  whit_tensor_set(&iter->t, WHIT_I64, 0, NULL);
  plan_define(i, iter, WHIT_V_PLACED | WHIT_V_PARAM);
  for (unsigned k = 0; k < f->n_carried; k++) {
    if (f->in[k] == WHIT_NONE) return whit_error(i, WHIT_E_FORMAT, f->node, "lacks an input");
    const whit_value *init = &i->values[f->in[k]];
    whit_value *p = &i->values[f->params[k]];
    const bool dynamic = WHIT_DYNAMIC && (whit_is_dynamic(init) || p->flags & WHIT_V_GROWS);
    if (!dynamic) p->t = init->t;
    plan_define(i, p, WHIT_V_PARAM | (dynamic ? WHIT_V_HEAP : 0u));
  }
  return WHIT_OK;
}

/* Opens the next region of the control node where the walk stands. Its nodes must begin at pc: what regions a file has, and how they
 * nest, nobody has checked before. */
static whit_status plan_open_region(whit_instance *i, uint32_t pc) {
  const uint32_t number = i->next_region++;
  if (i->top == i->frames + WHIT_MAX_DEPTH || number >= i->model.n_regions)
    return whit_error(i, WHIT_E_FORMAT, i->pc, "owns a region that is not there, or too deep");
  const whit_frame *f = whit_frame_open(i, number);
  const whit_region *r = f->region;
  const bool loop = whit_is_loop(f);
  const bool nested = r->begin == pc && f->end <= f->after && f->after <= f[-1].end;
  if (!nested || r->n_params != f->n_carried + loop || r->n_results != f->n_out + loop)
    return whit_error(i, WHIT_E_FORMAT, f->node, "owns a region that does not fit");
  if (loop) WHIT_TRY(plan_define_params(i, f));
  i->pc = pc;
  return WHIT_OK;
}

/* Results of the region that closes: each computed by a node of it, and named once. */
static whit_status use_results(whit_instance *i, const whit_frame *f) {
  const whit_region *r = f->region;
  const uint32_t *results = i->model.words + r->results;
  const bool loop = WHIT_HAS_loop && f->loop;        /* the entry is none */
  for (unsigned k = loop && results[0] == WHIT_NONE; k < r->n_results; k++) {
    whit_value *v = &i->values[results[k]];
    if (results[k] == WHIT_NONE || v->birth < r->begin || v->depth != f->depth || v->flags & (WHIT_V_RESULT | WHIT_V_PARAM))
      return whit_error(i, WHIT_E_FORMAT, f->node, "a region's result must be computed in it, once");
    v->flags |= WHIT_V_RESULT;
    v->death = f->end - 1;
    if (loop) v->birth = f->node;                             /* it outlives the trip that wrote it */
    if (!(v->flags & WHIT_V_PLACED) || whit_is_limited(v)) v->flags &= (uint16_t)~WHIT_V_BOUND;
  }
  return WHIT_OK;
}

/* How often a loop runs at most, if the plan can know it, else -1. */
static int64_t most_trips(const whit_instance *i, const whit_frame *f) {
  const uint32_t trips = f->in[-2];
  return trips == WHIT_NONE || whit_is_dynamic(&i->values[trips]) ? -1 : whit_trips(i, trips);
}

/* May a condition end it earlier? */
static bool may_end_early(const whit_frame *f) { return (f->in[-1] & f->results[-1]) != WHIT_NONE; }    /* all ones */

/* Gives an output of unknown shape room for what either branch writes, or for the slices of as many trips as there can be. */
static unsigned limit_output(whit_value *out, const whit_value *a, const whit_value *b, bool stacked, int64_t trips) {
  uint64_t n = most_elements(a);
  const uint64_t other = most_elements(b);
  if (n < other) n = other;
  if (stacked) n = whit_is_dynamic(a) || (uint64_t)trips > INT32_MAX ? UINT64_MAX : n * (uint64_t)trips;
  return a->t.dtype == b->t.dtype ? limit_value(out, a->t.dtype, n) : WHIT_V_HEAP;
}

/* Defines the outputs of the node whose last region has closed: of an if what both branches write, of a loop what it carries, in two
 * slots, then slices of each trip. *again: what it carries changes its shape, and its parameter is marked as growing: the body must be
 * planned again. */
static whit_status define_outputs(whit_instance *i, const whit_frame *f, const whit_step *step, bool *again) {
  const bool loop = whit_is_loop(f);
  const uint32_t *first = loop ? f->results : i->model.words + i->model.regions[step->region].results;
  const int64_t most = loop ? most_trips(i, f) : 0, trips = loop && may_end_early(f) ? -1 : most;
  for (unsigned k = 0; k < f->n_out; k++) {
    const bool carried = k < f->n_carried, stacked = loop && !carried;
    whit_value *a = &i->values[carried ? f->params[k] : first[k]], *b = &i->values[f->results[k]];
    const bool known = !whit_is_dynamic(a), same = known && whit_same_type(&a->t, &b->t);
    if (carried) b->flags |= WHIT_V_TWICE;
    if (carried && known && !same) {
      WHIT_TRY(need_dynamic(i, f->node));
      a->flags |= WHIT_V_GROWS;
      *again = true;
    }
    if (*again || f->out[k] == WHIT_NONE) continue;
    whit_value *out = &i->values[f->out[k]];
    unsigned flags = WHIT_V_HEAP;
    if (same && trips >= (stacked ? 0 : -1)) {
      out->t = a->t;
      if (stacked) WHIT_TRY(whit_stack(i, f->node, &out->t, &a->t, trips));
      flags = carried && !whit_owns_memory(out) ? 0 : WHIT_V_PLACED;        /* 0: it is where the last trip left the value */
    } else {
      WHIT_TRY(need_dynamic(i, f->node));
      if (WHIT_DYNAMIC && !carried) flags = limit_output(out, a, b, stacked, most);
    }
    if (!carried && flags & WHIT_V_PLACED) {            /* branches and trips write straight into it */
      a->flags &= (uint16_t)~WHIT_V_PLACED;
      b->flags &= (uint16_t)~WHIT_V_PLACED;
    }
    plan_define(i, out, flags);
  }
  return WHIT_OK;
}

/* A region has been planned. A branch is followed by the other one, a body by itself if what it carries changes its shape. */
static whit_status plan_close_region(whit_instance *i) {
  const whit_frame *f = whit_frame_top(i);
  whit_step *step = &i->steps[f->node];
  bool again = false;
  i->top--;
  i->pc = f->node;
  if (WHIT_HAS_if && !whit_is_loop(f) && step->other == step->region) {
    step->other = i->next_region;
    return plan_open_region(i, f->end);
  }
  WHIT_TRY(define_outputs(i, f, step, &again));
  if (WHIT_DYNAMIC && again) {
    i->next_region = step->region;
    return plan_open_region(i, f->node + 1);
  }
  i->pc = f->after;
  return WHIT_OK;
}

/* ---- the walk ------------------------------------------------------------------------------------------- */

static whit_status plan_node(whit_instance *i) {
  const uint32_t pc = i->pc;
  whit_call c;
  whit_call_of(i, pc, &c);
  const whit_op *op = whit_op_at(i, pc);
  const bool control = WHIT_CONTROL && op->flags & WHIT_OP_CONTROL;
  whit_step *step = &i->steps[pc];
  if (WHIT_HEAP) step->release = WHIT_NONE;
  bool dynamic = WHIT_SEQUENCES && op->flags & WHIT_OP_SEQUENCE, known = !(op->flags & WHIT_OP_IMPURE);
  for (unsigned k = 0; k < c.n_in; k++) {
    whit_value *v = (whit_value *)(void *)c.in[k];      /* a tensor is the first member of its value */
    if (!v) continue;
    WHIT_TRY(plan_use(i, v, pc));
    dynamic |= whit_is_dynamic(v);
    known &= (v->flags & WHIT_V_KNOWN) || (WHIT_HAS_shape && op->shape == whit_shape_shape);    /* reads no data */
  }
  const whit_status s = dynamic && !control ? WHIT_LATER : op->shape(&c);
  if (!control) return plan_plain(i, step, &c, op, known, s);
  WHIT_TRY(s);
  step->mode = whit_owns_loop(op) ? WHIT_STEP_LOOP : WHIT_STEP_IF;
  step->region = step->other = i->next_region;
  return plan_open_region(i, pc + 1);
}

static whit_status plan_walk(whit_instance *i) {
  for (;;) {
    const whit_frame *f = whit_frame_top(i);
    const uint32_t pc = i->pc;
    if (pc < f->end) {
      WHIT_TRY(plan_node(i));
    } else {
      WHIT_TRY(use_results(i, f));
      if (!WHIT_CONTROL || f->node == WHIT_NONE) return WHIT_OK;
      WHIT_TRY(plan_close_region(i));
    }
    if (WHIT_DYNAMIC && !WHIT_HEAP && i->heap) {
      i->pc = pc;
      return whit_error(i, WHIT_E_UNSUPPORTED, pc,
                        "a shape depends on data, and nothing limits it: not in this build of the runtime");
    }
  }
}

/* ---- the interface -------------------------------------------------------------------------------------- */

/* Lists the values on the heap that are let go after each node. */
static void list_releases(whit_instance *i) {
  for (uint32_t v = 0; v < i->model.n_values; v++) {
    whit_value *value = &i->values[v];
    if (!whit_on_heap(value) || value->flags & WHIT_V_OWN || value->release == WHIT_NONE) continue;
    value->next = i->steps[value->release].release;
    i->steps[value->release].release = v;
  }
}

/* State and inputs. */
static whit_status define_shared(whit_instance *i) {
  const whit_model *m = &i->model;
  for (uint32_t k = 0; WHIT_STATES && k < m->n_states; k++) {
    whit_value *v = &i->values[m->n_constants + k];
    v->t = i->values[m->states[k].initial].t;
    plan_define(i, v, WHIT_V_PARAM);
  }
  whit_value *value;
  for (unsigned k = 0; (value = whit_port_value(i, 0, k)); k++) {
    plan_define(i, value, WHIT_V_PARAM);
    if (!whit_is_tensor(&value->t)) {
      value->flags |= WHIT_V_HEAP;
      i->heap = true;
    } else if (value->t.dtype == 0) {
      return whit_error(i, WHIT_E_INPUT, WHIT_NONE, "an input has no shape yet: call whit_input_set");
    }
  }
  return WHIT_OK;
}

static whit_status plan_entry(whit_instance *i) {
  const whit_model *m = &i->model;
  i->ready = WHIT_NEW;
  i->running = false;
  if (WHIT_DYNAMIC) i->heap = false;
  i->failed = WHIT_OK;
  if (WHIT_KNOWN) i->known_used = 0;
  for (uint32_t v = m->n_constants; v < m->n_values; v++) {
    const unsigned bound = i->values[v].t.data ? 0 : WHIT_V_BOUND;    /* only announced: see whit_output_bind */
    i->values[v].flags &= (uint16_t)(WHIT_V_DENSE | WHIT_V_OWN | bound);
    i->values[v].depth = WHIT_MAX_DEPTH + 1;    /* not defined */
    if (WHIT_HEAP || !WHIT_SMALL) i->values[v].block = 0;
  }
  i->top = i->frames;
  i->pc = WHIT_NONE;            /* no node yet, if there is an error */
  WHIT_TRY(define_shared(i));
  i->next_region = i->entry->region + 1;
  i->pc = i->region->begin;
  WHIT_TRY(plan_walk(i));
  whit_place(i);
  if (WHIT_HEAP) list_releases(i);
  i->ready = WHIT_PLANNED;
  i->needed = i->static_bytes + (WHIT_SMALL || i->heap || !i->static_bytes ? 64 : 0);
  return WHIT_OK;
}

whit_status whit_plan(whit_instance *i, size_t *n_bytes) {
  const whit_status s = plan_entry(i);
  if (s) return whit_error_here(i, s);
  *n_bytes = i->needed;
  return WHIT_OK;
}
