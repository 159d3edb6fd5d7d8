/* instance.c - making an instance, its inputs and outputs, and what an observer may ask. */
#include "internal.h"

static whit_status record_error(whit_instance *i, whit_status s, uint32_t node, const char *cause) {
  if (!i->failed) {
    i->failed = s;
    i->error_node = node;
    if (WHIT_TEXTS) i->error = cause;
  }
  return s;
}

WHIT_CALLED whit_status whit_error_here(whit_instance *i, whit_status s) {
  const whit_frame *f = whit_frame_top(i);
  return record_error(i, s, i->pc < f->end ? i->pc : f->node, NULL);
}

#if WHIT_TEXTS
whit_status whit_error(whit_instance *i, whit_status s, uint32_t node, const char *cause) {
  return record_error(i, s, node, cause);
}

whit_status whit_fail(whit_call *c, whit_status s, const char *cause) {
  return whit_error(c->instance, s, c->node, cause);
}
#endif

/* ---- layout of the block: the struct, then the tables ------------------------------------------------- */

size_t whit_instance_bytes(const whit_model *m) {
  return sizeof(whit_instance) + (m->n_values + WHIT_PLACE_TRIES) * sizeof(whit_value) + m->n_nodes * sizeof(whit_step) +
         m->n_pointers * sizeof(whit_tensor *) + (WHIT_SMALL ? 0 : m->n_ops * sizeof(whit_op *)) +
         (WHIT_KNOWN ? 64 + whit_known_bytes(m) : 0);
}

/* Who needs dense data or memory of its own does not depend on shapes. */
static void mark_values(whit_instance *i) {
  const whit_model *m = &i->model;
  if (WHIT_SMALL && WHIT_VIEWS < 2 && !WHIT_DYNAMIC && !WHIT_KNOWN) return;     /* nobody asks */
  for (const whit_region *r = m->regions; r < m->regions + m->n_regions; r++)
    for (unsigned k = 0; k < r->n_results; k++) {
      const uint32_t v = m->words[r->results + k];
      if (v != WHIT_NONE) i->values[v].flags = WHIT_V_OWN | WHIT_V_DENSE;
    }
  if (WHIT_VIEWS < 2) return;
  for (uint32_t pc = 0; pc < i->model.n_nodes; pc++) {
    whit_call c;
    whit_call_of(i, pc, &c);
    const unsigned strided = whit_op_at(i, pc)->strided;
    for (unsigned k = 0; k < c.n_in; k++)
      if (c.in[k] && !(strided >> (k < 7 ? k : 7) & 1)) ((whit_value *)(void *)c.in[k])->flags |= WHIT_V_DENSE;
  }
}

whit_instance *whit_instance_init(void *memory, size_t n_bytes, const whit_model *model, uint32_t e,
                                  const whit_host *host) {
  if (!memory || !model || (uintptr_t)memory % 16 || e >= model->n_entries) return NULL;
  if (n_bytes < whit_instance_bytes(model)) return NULL;
  whit_bytes_zero(memory, whit_instance_bytes(model));
  whit_instance *i = (whit_instance *)memory;
  i->model = *model;
  i->entry = &model->entries[e];
  i->region = &model->regions[i->entry->region];
  if (host) i->host = *host;
  if (WHIT_TABLES || (WHIT_ISAS & (WHIT_ISAS - 1)) != 0) i->kernels = whit_kernels_for(i->host.cpu);   /* else there is one set */
  /* the size of each table is a multiple of what the next one is aligned to */
  i->steps = (whit_step *)(i->values + model->n_values + WHIT_PLACE_TRIES);
  i->pointers = (whit_tensor **)(i->steps + model->n_nodes);
  const whit_op **ops = (const whit_op **)(i->pointers + model->n_pointers);
  if (!WHIT_SMALL) i->ops = ops;
  for (uint32_t k = 0; !WHIT_SMALL && k < model->n_ops; k++) *ops++ = whit_op_of(model, k);
  if (WHIT_KNOWN) i->known = (uint8_t *)memory + whit_round((uintptr_t)ops, 64) - (uintptr_t)memory;
#if !WHIT_SMALL
  whit_tensor **pointers = i->pointers;
  for (uint32_t pc = 0; pc < model->n_nodes; pc++) {
    const whit_node *n = &model->nodes[pc];
    i->steps[pc].pointers = pointers;
    whit_point(i, model->words + n->args, (unsigned)n->n_in + n->n_out, pointers);
    pointers += (unsigned)n->n_in + n->n_out;
  }
#endif
  i->error_node = i->observed = WHIT_NONE;
  i->top = i->frames;
  i->top->region = i->region;
  i->top->node = WHIT_NONE;
  i->top->end = i->region->end;
  mark_values(i);
  for (uint32_t k = 0; k < model->n_constants; k++) {
    whit_constant_get(model, k, &i->values[k].t);
    i->values[k].flags = WHIT_V_KNOWN | WHIT_V_PARAM;
    i->values[k].birth = WHIT_NONE;   /* in scope in all of the entry */
  }
  return i;
}

/* ---- inputs, outputs, state ------------------------------------------------------------------------------ */

/* The k-th of n values whose numbers begin at words[first], or NULL. */
WHIT_CALLED static whit_value *listed_value(const whit_instance *i, uint32_t first, uint32_t n, uint32_t k) {
  const uint32_t v = k < n ? i->model.words[first + k] : WHIT_NONE;
  return v == WHIT_NONE ? NULL : (whit_value *)(uintptr_t)&i->values[v];
}

WHIT_CALLED whit_value *whit_port_value(const whit_instance *i, int outputs, uint32_t k) {
  const struct whit_entry *e = i->entry;
  const whit_region *r = i->region;
  return outputs ? listed_value(i, r->results, e->n_outputs, k) : listed_value(i, r->params, e->n_inputs, k);
}

static const struct whit_port *input_port(const whit_instance *i, uint32_t k) {
  return &i->model.ports[i->entry->ports + k];
}

whit_status whit_input_set(whit_instance *i, uint32_t k, int dtype, int rank, const int32_t *shape, const void *data) {
  whit_value *v = whit_port_value(i, 0, k);
  whit_tensor t;
  if (!v) return WHIT_E_ARGUMENT;
  const struct whit_port *p = input_port(i, k);
  if ((p->kind & 1) || p->dtype != dtype || (p->rank != 255 && p->rank != rank)) return WHIT_E_INPUT;
  WHIT_TRY(whit_tensor_set(&t, (unsigned)dtype, (unsigned)rank, shape));
  for (unsigned a = 0; a < p->rank && p->rank != 255; a++) {
    const int32_t want = (int32_t)i->model.words[p->dims + a];
    if (want >= 0 && want != shape[a]) return WHIT_E_INPUT;
  }
  if (!whit_same_type(&v->t, &t)) {
    i->ready = WHIT_NEW;
    v->t = t;
  }
  v->bound = data;
  return WHIT_OK;
}

whit_status whit_input_sequence(whit_instance *i, uint32_t k, const whit_tensor *items, uint32_t n) {
  if (!WHIT_SEQUENCES) return WHIT_E_UNSUPPORTED;
  whit_value *v = whit_port_value(i, 0, k);
  if (!v || (n && !items) || n > 0x7fffffff) return WHIT_E_ARGUMENT;
  if (!(input_port(i, k)->kind & 1)) return WHIT_E_INPUT;
  if (v->t.kind != WHIT_SEQUENCE) i->ready = WHIT_NEW;
  v->t = (whit_tensor){ .rank = 1, .kind = WHIT_SEQUENCE, .shape = { (int32_t)n }, .stride = { 1 } };
  v->bound = items;
  return WHIT_OK;
}

whit_status whit_input_absent(whit_instance *i, uint32_t k) {
  if (!WHIT_SEQUENCES) return WHIT_E_UNSUPPORTED;
  whit_value *v = whit_port_value(i, 0, k);
  if (!v) return WHIT_E_ARGUMENT;
  if (!(input_port(i, k)->kind & 2)) return WHIT_E_INPUT;
  if (v->t.kind != WHIT_ABSENT) i->ready = WHIT_NEW;
  v->t = (whit_tensor){ .kind = WHIT_ABSENT };
  v->bound = NULL;
  return WHIT_OK;
}

whit_status whit_state_set(whit_instance *i, void *memory, size_t n_bytes, int reset) {
  const whit_model *m = &i->model;
  if (!WHIT_STATES) return WHIT_OK;
  if (n_bytes < whit_state_bytes(m) || (!memory && m->n_states)) return WHIT_E_MEMORY;
  if ((uintptr_t)memory % 16) return WHIT_E_ALIGN;
  uint8_t *at = (uint8_t *)memory;
  for (uint32_t k = 0; k < m->n_states; k++) {
    whit_tensor t;
    whit_constant_get(m, m->states[k].initial, &t);
    if (reset) whit_bytes_copy(at, t.data, whit_bytes(&t));
    i->values[m->n_constants + k].bound = at;
    at += whit_round(whit_bytes(&t), 64);
  }
  i->state = (uint8_t *)memory;
  return WHIT_OK;
}

const whit_tensor *whit_output(const whit_instance *i, uint32_t k) {
  const whit_value *v = whit_port_value(i, 1, k);
  return v ? &v->t : NULL;
}

whit_status whit_output_bind(whit_instance *i, uint32_t k, void *data, size_t n_bytes) {
  whit_value *v = whit_port_value(i, 1, k);
  if (!v) return WHIT_E_ARGUMENT;
  if (!data) {
    i->ready = WHIT_NEW;
  } else {
    if (i->ready < WHIT_PLANNED) return WHIT_E_ORDER;
    if (!(v->flags & WHIT_V_PLACED) || whit_is_limited(v)) return WHIT_E_UNSUPPORTED;
    if (n_bytes < whit_bytes(&v->t)) return WHIT_E_MEMORY;
  }
  v->flags |= WHIT_V_BOUND;
  v->t.data = data;
  for (uint32_t part = v->release; WHIT_SHARES && data && part != WHIT_NONE; part = i->values[part].release)
    i->values[part].t.data = (uint8_t *)data + i->values[part].offset;
  return WHIT_OK;
}

whit_status whit_arena_set(whit_instance *i, void *arena, size_t n_bytes) {
  if (i->ready < WHIT_PLANNED) return WHIT_E_ORDER;
  if ((uintptr_t)arena % 64) return WHIT_E_ALIGN;
  if (!WHIT_HEAP && i->running) return WHIT_E_ORDER;    /* no run of this build needs more */
  const uintptr_t old = (uintptr_t)i->arena;
  const bool running = WHIT_HEAP && i->running;
  const size_t old_bytes = running ? i->arena_bytes : i->static_bytes;
  if (n_bytes < old_bytes || !arena) return WHIT_E_MEMORY;
  i->arena = (uint8_t *)arena;
  i->arena_bytes = n_bytes;
  for (whit_value *value = i->values; value < i->values + i->model.n_values; value++) {
    const uintptr_t at = (uintptr_t)value->t.data - old;
    if (running && at < old_bytes)
      value->t.data = (uint8_t *)arena + at;
    else if (!running && (value->flags & (WHIT_V_PLACED | WHIT_V_BOUND)) == WHIT_V_PLACED)
      value->t.data = whit_slot(i, value, false);
  }
  if (running) whit_heap_extend(i, old_bytes);
  i->ready = WHIT_HAS_ARENA;
  return WHIT_OK;
}

size_t whit_arena_needed(const whit_instance *i) { return i->needed; }

whit_status whit_sequence_at(const whit_instance *i, const whit_tensor *sequence, uint32_t k, whit_tensor *item) {
  if (!WHIT_SEQUENCES || sequence->kind != WHIT_SEQUENCE) return WHIT_E_TYPE;
  if (k >= (uint32_t)sequence->shape[0]) return WHIT_E_INDEX;
  const whit_call c = { .instance = (whit_instance *)(uintptr_t)i };
  whit_item_get(&c, (const whit_item *)sequence->data + k, item);
  return WHIT_OK;
}

/* ---- looking inside ----------------------------------------------------------------------------------------- */

void whit_observe(whit_instance *i, whit_observer observer, void *context) {
  i->observer = observer;
  i->observer_context = context;
}

const whit_tensor *whit_node_value(const whit_instance *i, uint32_t node, int outputs, uint32_t k) {
  if (node >= i->model.n_nodes) return NULL;
  const whit_node *n = &i->model.nodes[node];
  const whit_value *v = outputs ? listed_value(i, n->args + n->n_in, n->n_out, k) : listed_value(i, n->args, n->n_in, k);
  return v ? &v->t : NULL;
}

uint32_t whit_loop_depth(const whit_instance *i) {
  uint32_t n = 0;
  for (const whit_frame *f = i->frames; WHIT_HAS_loop && f <= i->top; f++) n += f->loop;
  return n;
}

int64_t whit_loop_iteration(const whit_instance *i, uint32_t d) {
  for (const whit_frame *f = i->frames; WHIT_HAS_loop && f <= i->top; f++)
    if (f->loop && d-- == 0) return f->i;
  return -1;
}

uint64_t whit_steps(const whit_instance *i) { return i->steps_done; }
uint32_t whit_error_node(const whit_instance *i) { return i->failed ? i->error_node : WHIT_NONE; }
const char *whit_error_text(const whit_instance *i) {
  return !i->failed ? "" : WHIT_TEXTS && i->error ? i->error : whit_status_text(i->failed);
}
