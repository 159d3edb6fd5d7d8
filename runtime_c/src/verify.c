/* verify.c - a model file is hostile input: every offset, index and count is checked here, once, vector by vector. How regions
 * nest, what is in scope, and what depends on the inputs' shapes, the planner checks; what depends on data, the operator that
 * meets it. */
#include "internal.h"

/* A check returns NULL, or where in the file it found what must not be; status then says why, WHIT_E_FORMAT if nothing better. */
#define VERIFY(check) do { const void *bad_ = (check); if (bad_) return bad_; } while (0)

typedef struct reader {
  whit_model model;
  uint64_t data_offset;
  uint32_t version, debug;      /* debug: position of the table of names, 0: none */
  whit_status status;
  uint32_t value;               /* the next one to be defined */
  const void *bad;              /* number_at: where nothing is */
} reader;

/* Do n bytes at `at` lie in the file, aligned to a power of two? */
static bool fits(const reader *r, uint32_t at, uint64_t n, uint32_t align) {
  return !(at & (align - 1)) && at + n <= r->model.n_bytes;
}

static bool words_fit(const whit_model *m, uint32_t first, uint32_t n) { return (uint64_t)first + n <= m->n_words; }

/* The number of n_bytes at `at`; 0 if it is not in the file, which is kept in mind: nobody need ask before all is read. */
static uint64_t number_at(reader *r, uint32_t at, uint32_t n_bytes) {
  const uint8_t *place = r->model.bytes + at;
  uint64_t number = 0;
  if (!fits(r, at, n_bytes, n_bytes)) r->bad = place;
  else while (n_bytes) number = number << 8 | place[--n_bytes];
  return number;
}

/* A field of a table and the members of reader that take it: a number of n_bytes; or of a vector a pointer to its items, of n_bytes
 * each, and their count; or where a table lies. Members of absent fields stay as they are. */
typedef struct field_row { uint8_t kind, n_bytes, align, member, count; } field_row;
enum { NUMBER, TABLE, ITEMS };
#define FIELD(kind, member) { kind, sizeof ((reader *)0)->member, 0, offsetof(reader, member), 0 }
#define VECTOR(align, member) \
  { ITEMS, sizeof *((whit_model *)0)->member, align, offsetof(reader, model.member), offsetof(reader, model.n_##member) }

/* Reads the table at `at`, of which row k describes field k. */
static const void *read_table(reader *r, uint32_t at, const field_row *row, unsigned n) {
  const uint32_t vtable = at - (uint32_t)number_at(r, at, 4), end = (uint32_t)number_at(r, vtable, 2);
  for (uint32_t k = 4; k < 4 + 2 * n && k < end; k += 2, row++) {
    const uint32_t offset = (uint32_t)number_at(r, vtable + k, 2), field = at + offset;
    uint8_t *member = (uint8_t *)r + row->member;
    if (!offset) continue;
    uint64_t number = number_at(r, field, row->kind == NUMBER ? row->n_bytes : 4);
    if (row->kind != NUMBER) number += field;
    if (row->kind != ITEMS) {
      whit_bytes_copy(member, &number, row->n_bytes);
      continue;
    }
    const uint32_t count = (uint32_t)number_at(r, (uint32_t)number, 4), first = (uint32_t)number + 4;
    const uint8_t *items = r->model.bytes + first;
    if (!fits(r, first, (uint64_t)count * row->n_bytes, row->align)) return items;
    if (row->n_bytes == 1 && count && items[count - 1]) return items;    /* strings end before their vector does */
    __builtin_memcpy(member, &items, sizeof items);
    __builtin_memcpy((uint8_t *)r + row->count, &count, sizeof count);
  }
  return r->bad;
}

static const void *read_tables(reader *r) {
  static const field_row program[] = {
    FIELD(NUMBER, version), FIELD(NUMBER, model.n_values), FIELD(NUMBER, data_offset), FIELD(NUMBER, model.n_data),
    VECTOR(4, ops), VECTOR(4, words), VECTOR(4, nodes), VECTOR(4, regions), VECTOR(8, constants), VECTOR(4, states),
    VECTOR(4, ports), VECTOR(4, entries), VECTOR(1, strings), FIELD(TABLE, debug),
  };
  static const field_row names[] = { VECTOR(1, debug_strings), VECTOR(4, node_names), VECTOR(4, names) };
  whit_model *m = &r->model;
  const uint64_t head = number_at(r, 0, 8);
  if (head >> 32 != 0x54494857) return m->bytes;    /* "WHIT" */
  VERIFY(read_table(r, (uint32_t)head, program, sizeof program / sizeof *program));
  if (r->version > WHIT_VERSION) {
    r->status = WHIT_E_VERSION;
    return m->bytes;
  }
  const bool many = sizeof(size_t) < 8 && m->n_values > 0x7fffffff / sizeof(whit_value);    /* for 32 bits to count their bytes */
  if (many || r->data_offset % 64 || r->data_offset > m->n_bytes || m->n_data > m->n_bytes - r->data_offset) return m->bytes;
  m->data = m->bytes + r->data_offset;
  if (r->debug) VERIFY(read_table(r, r->debug, names, sizeof names / sizeof *names));
  return NULL;
}

/* What is described at p has a type that this build has not: of a whole build the file is damaged. */
static const void *no_type(reader *r, const void *p) {
  if (WHIT_DTYPES != 0xffffffffu) r->status = WHIT_E_TYPE;
  return p;
}

static const void *check_constants(reader *r) {
  const whit_model *m = &r->model;
  const struct whit_constant *c = m->constants;
  for (uint32_t k = 0; k < m->n_constants; k++, c++) {
    whit_tensor t;
    if (!words_fit(m, c->dims, c->rank) || c->offset % 64 || c->offset > m->n_data) return c;
    const whit_status s = whit_constant_get(m, k, &t);
    if (s == WHIT_E_TYPE) return no_type(r, c);
    if (s || whit_bytes(&t) > m->n_data - c->offset) return c;
  }
  return NULL;
}

static const void *check_ports(reader *r) {
  const whit_model *m = &r->model;
  const struct whit_port *p = m->ports;
  for (uint32_t left = m->n_ports; left; left--, p++) {
    if (!whit_type_size(p->dtype)) return no_type(r, p);
    if (p->name >= m->n_strings) return p;
    if (p->rank != 255 && (p->rank > WHIT_MAX_RANK || !words_fit(m, p->dims, p->rank))) return p;
  }
  return NULL;
}

static const void *check_states(reader *r) {
  const whit_model *m = &r->model;
  if (!WHIT_STATES && m->n_states) {
    r->status = WHIT_E_UNSUPPORTED;
    return m->states;
  }
  for (uint32_t k = 0; WHIT_STATES && k < m->n_states; k++)
    if (m->states[k].initial >= m->n_constants || m->states[k].name >= m->n_strings) return &m->states[k];
  return NULL;
}

/* Names of nodes; and those of values, which the runtime never reads, where it explains itself to people. */
static const void *check_names(const whit_model *m) {
  for (uint32_t k = 0; k < m->n_node_names; k++)
    if (m->node_names[k] >= m->n_debug_strings) return &m->node_names[k];
  for (uint32_t k = 0; WHIT_TEXTS && k < m->n_names; k++) {
    const struct whit_name *n = &m->names[k];
    if (n->name >= m->n_debug_strings || n->value >= m->n_values || (n->node != WHIT_NONE && n->node >= m->n_nodes) ||
        (n->source != WHIT_NONE && n->source >= m->n_debug_strings))
      return n;
  }
  return NULL;
}

/* ---- the program, node by node ---------------------------------------------------------------------- */

/* Numbers of n values, of which the first `least` must be given; `defined` here, they are the next ones. */
static const void *check_values(reader *r, uint32_t first, uint32_t n, uint32_t least, bool defined) {
  const whit_model *m = &r->model;
  const uint32_t *v = m->words + first;
  if (!words_fit(m, first, n)) return m->bytes;
  for (uint32_t k = 0; k < n; k++, v++)
    if (!(*v == WHIT_NONE ? k >= least : defined ? *v == r->value++ : *v < m->n_values)) return v;
  return NULL;
}

/* Are n words the attributes of a row? A list that the row gained after the file was written is not there: empty. */
static bool attributes_fit(const whit_op *op, const uint32_t *words, uint32_t n) {
  uint64_t used = op->n_words;
  for (unsigned k = op->n_lists; k && used < n; k--) used += 1 + (uint64_t)words[used];
  return used == n;
}

static bool count_fits(uint32_t n, uint32_t least, uint32_t most) { return n >= least && n <= most; }

static const void *check_node(reader *r, const whit_node *n) {
  whit_model *m = &r->model;
  if (n->op >= m->n_ops) return n;
  const whit_op *op = whit_op_of(m, n->op);
  if (!op) {
    r->status = WHIT_E_OPERATOR;
    return m->ops + n->op;
  }
  const uint32_t n_args = (uint32_t)n->n_in + n->n_out;
  VERIFY(check_values(r, n->args, n->n_in, op->n_in_min, false));
  VERIFY(check_values(r, n->args + n->n_in, n->n_out, op->n_out_min, true));
  if (!count_fits(n->n_in, op->n_in_min, op->n_in_max) || !count_fits(n->n_out, op->n_out_min, op->n_out_max) ||
      !words_fit(m, n->args, n_args + n->n_attr) || !attributes_fit(op, m->words + n->args + n_args, n->n_attr))
    return n;
  if (WHIT_SMALL && m->n_pointers < n_args) m->n_pointers = n_args;
  if (!WHIT_SMALL && (m->n_pointers += n_args) > m->n_words) return n;    /* each node has words of its own */
  return NULL;
}

/* Regions stand in the sequence in which they begin, and define their parameters there. */
static const void *check_program(reader *r) {
  const whit_model *m = &r->model;
  const whit_region *g = m->regions;
  uint32_t left = m->n_regions;
  r->value = m->n_constants + m->n_states;
  for (uint32_t pc = 0;; pc++) {
    for (; left && g->begin == pc; left--, g++) {
      VERIFY(check_values(r, g->params, g->n_params, g->n_params, true));
      VERIFY(check_values(r, g->results, g->n_results, 0, false));
      if (g->end < pc || g->end > m->n_nodes) return g;
    }
    if (pc == m->n_nodes) break;
    const whit_node *n = &m->nodes[pc];
    if (n->end <= pc || n->end > m->n_nodes) return n;
    VERIFY(check_node(r, n));
  }
  return !left && r->value == m->n_values ? NULL : m->bytes;
}

static const void *check_entries(const whit_model *m) {
  const struct whit_entry *e = m->entries;
  for (uint32_t left = m->n_entries; left; left--, e++) {
    if (e->name >= m->n_strings || e->region >= m->n_regions) return e;
    const whit_region *g = &m->regions[e->region];
    if ((uint64_t)e->ports + e->n_inputs + e->n_outputs > m->n_ports || g->n_params != e->n_inputs ||
        g->n_results != e->n_outputs + e->n_updates)
      return e;
    if (WHIT_STATES && !words_fit(m, e->states, e->n_updates)) return e;
    for (unsigned k = 0; WHIT_STATES && k < e->n_updates; k++)
      if (m->words[e->states + k] >= m->n_states) return e;
  }
  return m->n_entries ? NULL : m->bytes;
}

static const void *check_file(reader *r) {
  const whit_model *m = &r->model;
  VERIFY(read_tables(r));
  VERIFY(check_constants(r));
  VERIFY(check_ports(r));
  VERIFY(check_states(r));
  VERIFY(check_names(m));
  VERIFY(check_program(r));
  VERIFY(check_entries(m));
  r->status = WHIT_OK;
  return m->bytes;
}

whit_status whit_open(whit_model *model, const void *bytes, size_t n_bytes) {
  if (!model || !bytes) return WHIT_E_ARGUMENT;
  if ((uintptr_t)bytes % 16) return WHIT_E_ALIGN;
  reader r = { .model = { .bytes = (const uint8_t *)bytes, .n_bytes = n_bytes }, .status = WHIT_E_FORMAT };
  const void *bad = check_file(&r);
  *model = r.model;
  model->bad_offset = r.status == WHIT_E_OPERATOR ? *(const uint32_t *)bad : (uint32_t)((const uint8_t *)bad - model->bytes);
  return r.status;
}
